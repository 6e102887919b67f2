"""A replay is a function of file and configuration: neither the pieces nor the day change a byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli import main
from tests.agent.recordings import fast, slow, write_csv

Replay = Callable[..., bytes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, and a configuration with a monitor of each kind on them."""
    path = tmp_path_factory.mktemp("recordings")
    write_csv(path / "slow.csv", *slow())
    times, values = fast()
    np.savez(
        path / "fast.npz",
        time=times,
        values=values,
        channels=np.array(["x", "y"]),
        units=np.array(["m/s2", "m/s2"]),
    )
    (path / "tocsin.yaml").write_text(
        """
device: test
state_dir: state
sensors:
  slow: {driver: recording, file: slow.csv, speed: 60}
  fast: {driver: recording, file: fast.npz}
monitors:
  together: {sensor: slow, learn: 300 rows, alert: {on_delay: 3 s, off_delay: 5 s}}
  jumps: {sensor: slow, channels: [c1], learn: 300 rows}
  every-fifth: {sensor: slow, channels: [c3, c1], learn: 250 rows, window: 10 rows, hop: 5 rows, sensitivity: sensitive}
  shaking: {sensor: fast, learn: 22 s, smooth: 3}
  short: {sensor: fast, channels: [y], window: 333 rows, hop: 100 rows, learn: 15 s}
"""
    )
    return path


@pytest.fixture
def replay(folder: Path, tmp_path: Path) -> Replay:
    """Run the command; the bytes of its alerts."""

    def run(*arguments: str) -> bytes:
        out = tmp_path / "alerts.jsonl"
        assert main(["replay", "-c", str(folder / "tocsin.yaml"), "--out", str(out), *arguments]) == 0
        return out.read_bytes()

    return run


def test_a_replay_says_something_of_every_monitor(replay: Replay) -> None:
    alerts = replay()
    for monitor in (b"together", b"jumps", b"every-fifth", b"shaking", b"short"):
        assert b'"monitor":"%s"' % monitor in alerts


def test_a_replay_twice_gives_the_same_bytes(replay: Replay) -> None:
    assert replay() == replay()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunk=st.integers(1, 700))
def test_slow_alerts_do_not_depend_on_the_chunk(replay: Replay, chunk: int) -> None:
    asked = ["--monitor", "together", "--monitor", "jumps", "--monitor", "every-fifth"]
    assert replay(*asked, "--chunk", str(chunk)) == replay(*asked)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunk=st.integers(50, 20_000))
def test_fast_alerts_do_not_depend_on_the_chunk(replay: Replay, chunk: int) -> None:
    asked = ["--monitor", "shaking", "--monitor", "short"]
    assert replay(*asked, "--chunk", str(chunk)) == replay(*asked)


@pytest.mark.parametrize("chunk", [1, 7, 4095, 4096, 100_000])
def test_all_alerts_come_in_the_order_of_time_whatever_the_chunk(replay: Replay, chunk: int) -> None:
    asked = [] if chunk > 1 else ["--monitor", "together", "--monitor", "jumps"]
    assert replay(*asked, "--chunk", str(chunk)) == replay(*asked)


def test_a_monitor_alone_says_the_same_as_among_others(replay: Replay) -> None:
    among = [line for line in replay().splitlines() if b'"monitor":"together"' in line]
    assert replay("--monitor", "together").splitlines() == among
