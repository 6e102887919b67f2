"""The agent on a quarter of a core and 128 MB: sixteen monitors, every greatest delay, no sample lost silently."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.agent.brokers import Mosquitto
from tests.agent.running import Agent
from tests.proof.cgroup import Cgroup

pytestmark = pytest.mark.proof

CORES, MEMORY_BYTES = 0.25, 128_000_000
MONITORS, MAX_DELAY_S = 16, 30.0
LEARN_S, LISTEN_S = 100.0, 120.0
BEARING = {"balls": 9, "ball_diameter": "7.94 mm", "pitch_diameter": "39.04 mm", "speed": "24.7 Hz"}


def configuration() -> dict[str, Any]:
    """Eight accelerometers with three axes, two monitors at each that know its bearing; one of these begins to fail."""
    sensors: dict[str, Any] = {}
    monitors: dict[str, Any] = {}
    for i in range(MONITORS // 2):
        sensors[f"s{i}"] = {"driver": "synthetic", "rate_hz": 3200, "axes": 3, "seed": i}
        for half in "ab":
            monitors[f"m{i}{half}"] = {
                "sensor": f"s{i}",
                "learn": "30 s",
                "max_delay": f"{MAX_DELAY_S:g} s",
                "bearing": BEARING,
                "publish_state": "2 s",
            }
    sensors["s0"]["faults"] = [{"kind": "bearing_outer", "at_s": LEARN_S + 30, "severity": 0.5}]
    return {
        "budgets": {"cpu": "20%", "memory": "120 MB"},
        "evidence": {"memory": "64 kB"},
        "sensors": sensors,
        "monitors": monitors,
    }


def test_sixteen_monitors_live_on_a_quarter_of_a_core_and_128_mb(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Cgroup("tocsin-quarter", memory_bytes=MEMORY_BYTES, cores=CORES) as group,
        Agent(tmp_path, configuration(), port=broker.port, before=group.enter) as agent,
    ):
        time.sleep(LEARN_S)
        learned = agent.ask()
        assert set(learned["agent"]["monitors"].values()) == {"armed"}, agent.log
        time.sleep(LISTEN_S)
        seen = agent.ask()
        cores = _cores(seen) - _cores(learned)
        governor, peak_bytes = seen["agent"]["governor"], group.peak_bytes
        print(
            f"\n{MONITORS} monitors on {CORES} cores: {cores / LISTEN_S:.3f} cores used, throttled for "
            f"{group.throttled_s:.1f} s in all, {peak_bytes / 1e6:.0f} MB at the peak, "
            f"{seen['agent']['counters']['rss_bytes'] / 1e6:.0f} MB resident at the end; longest delays "
            f"{sorted(governor['delay_s'].values())[-3:]} s of {MAX_DELAY_S:g}; {governor['saved']} of "
            f"{governor['windows']} windows saved"
        )
        assert group.killed == 0
        assert peak_bytes <= MEMORY_BYTES
        assert max(governor["delay_s"].values()) <= MAX_DELAY_S
        for name, sensor in seen["sensors"].items():
            wanted = 3200 * (seen["agent"]["counters"]["up_seconds"] - 20)
            lost = sensor["dropped"] + sum(sensor["left_out"].values())
            assert sensor["rows"] + lost >= wanted, f"{name}: {sensor}"
            assert sensor["dropped"] == 0, f"{name}: {sensor}"
        assert cores / LISTEN_S <= 0.2
        raised = [name for name, monitor in seen["monitors"].items() if monitor["state"] == "active"]
        assert set(raised) >= {"m0a", "m0b"}
        assert not [problem for problem in seen["agent"]["problems"] if "budget" in problem]


def _cores(answer: dict[str, Any]) -> float:
    return float(answer["agent"]["counters"]["cpu_seconds"])
