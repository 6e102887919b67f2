"""The demo's recording, replayed on an emulated aarch64 board."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.proof.trees import ROOT, emulated_tree, enable_emulation, fresh_copy, say, wheels

pytestmark = pytest.mark.proof

EMULATE = str(Path(__file__).with_name("emulate.sh"))


@pytest.fixture(scope="module")
def board() -> Path:
    """A Debian 13 for aarch64 with the agent and all it needs: the base of Raspberry Pi OS."""
    enable_emulation()
    tree = fresh_copy(emulated_tree(), "board")
    folder = wheels("3.13", "aarch64")
    for wheel in folder.glob("*.whl"):  # pip would not install for another processor; a wheel is a zip file
        say([sys.executable, "-m", "zipfile", "-e", str(wheel), str(tree / "opt/site")])
    return tree


def test_the_wheels_load_on_aarch64(board: Path) -> None:
    told = _on_the_board(
        board,
        "-c",
        "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '1'\n"
        "import platform, sys, onnxruntime, numpy, msgspec, psutil, yaml, paho.mqtt\n"
        "print(platform.machine(), sys.version.split()[0], onnxruntime.__version__, numpy.__version__)",
    ).split()
    print(f"\non the board: {told[0]}, Python {told[1]}, onnxruntime {told[2]}, numpy {told[3]}")
    assert told[0] == "aarch64"
    assert told[1].startswith("3.13.")


def test_a_replay_gives_the_same_alerts_on_aarch64_as_here(board: Path) -> None:
    recording = "agent/demo/recordings/machine_temperature_system_failure.csv"
    there = _on_the_board(board, "-m", "agent", "replay", f"/opt/site/{recording}")
    here = subprocess.run(
        [sys.executable, "-m", "agent", "replay", str(ROOT / recording)],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    alerts_here, alerts_there = _alerts(here), _alerts(there)
    bytes_too = "byte for byte" if here == there else "but for the last digits of some numbers"
    print(f"\n{len(alerts_there)} alerts on aarch64, {len(alerts_here)} here: the same, {bytes_too}")
    assert alerts_here
    assert [_who(alert) for alert in alerts_there] == [_who(alert) for alert in alerts_here]
    for one, other in zip(alerts_here, alerts_there, strict=True):
        assert other["level"] == pytest.approx(one["level"], rel=1e-3)


def _who(alert: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(alert[key]) for key in ("id", "monitor", "kind", "time", "severity"))


def _alerts(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def _on_the_board(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        [EMULATE, str(tree), "python3", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, (
        f"{arguments} on aarch64 ended with {done.returncode}:\n{done.stderr[-4000:]}"
    )
    return done.stdout
