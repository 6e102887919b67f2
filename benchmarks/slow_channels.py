"""Ten thousand slow channels at 1 Hz through the real Pipeline: share of a core, and memory for each."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from agent.assemble import make_monitor
from agent.memory import release, resident
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from agent.quantities import Span
from benchmarks.road import Arrays
from benchmarks.tables import markdown
from sensors.base import Channel, Reading

LESSON = 750  # rows: the level bank's default
ROWS = 120  # judged
BUDGET = {"core_share": 0.05, "kb_per_channel": 20.0}  # of the design, for 10,000
START = 1_700_000_000.0


def measure(channels: int) -> dict[str, Any]:
    """One monitor of them all, and a hundred monitors of a hundredth each; each in a process of its own."""
    found: dict[str, Any] = {"channels": channels, "budget": BUDGET}
    for monitors in (1, 100):
        command = [sys.executable, "-m", "benchmarks.slow_channels", str(monitors), str(channels // monitors)]
        done = subprocess.run(
            command, cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, check=True
        )
        found[f"{monitors} x {channels // monitors}"] = json.loads(done.stdout)
    return found


def weigh(monitors: int, channels: int) -> dict[str, Any]:
    """In this process. Memory counts from when the libraries are loaded and a small pipeline has scored. Each monitor
    has a sensor of its own; their readings of one second come together."""
    _scored(1, 1)
    release()
    before = resident()[0]
    pipeline, sensors = _made(monitors, channels)
    random = np.random.default_rng(0)
    began = process_time()
    for row in range(0, LESSON, 50):
        pipeline.push(_second(sensors, random.standard_normal((50, channels), np.float32), row))
    learned_s = process_time() - began
    assert all(monitor.armed for monitor in pipeline.monitors)
    pipeline.push(_second(sensors, random.standard_normal((1, channels), np.float32), LESSON))
    best_s, whole_s = float("inf"), 0.0
    gc.collect()
    for row in range(LESSON + 1, LESSON + 1 + ROWS):
        readings = _second(sensors, random.standard_normal((1, channels), np.float32), row)
        began = process_time()
        pipeline.push(readings)
        took = process_time() - began
        best_s, whole_s = min(best_s, took), whole_s + took
    release()
    count = monitors * channels
    return {
        "core_share": whole_s / ROWS,
        "core_share_best": best_s,
        "us_per_channel": 1e6 * whole_s / ROWS / count,
        "learning_s": learned_s,
        "kb_per_channel": (resident()[0] - before) / count / 1e3,
        "kb_per_channel_peak": (_peak() - before) / count / 1e3,
    }


def _made(monitors: int, channels: int) -> tuple[Pipeline, list[Arrays]]:
    sensors, made = [], []
    for i in range(monitors):
        sensor = Arrays([Channel(f"c{j + 1}") for j in range(channels)], 1.0)
        sensor.name = f"s{i}"
        entry = MonitorConfig(name=f"m{i}", sensor=sensor.name, detector="level", learn=Span(LESSON, "rows"))
        sensors.append(sensor)
        made.append(make_monitor(entry, sensor))
    return Pipeline(made), sensors


def _scored(monitors: int, channels: int) -> None:
    pipeline, sensors = _made(monitors, channels)
    pipeline.push(_second(sensors, np.random.default_rng(1).standard_normal((800, channels), np.float32), 0))


def _second(sensors: Sequence[Arrays], rows: np.ndarray[Any, Any], row: int) -> list[Reading]:
    return [Reading(sensor.name, START + row, 1.0, rows) for sensor in sensors]


def _peak() -> int:
    """The most bytes of this process that were ever in memory; 0 where unknown."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def table(result: dict[str, Any], peer_us: float | None, netdata: dict[str, Any]) -> str:
    """`peer_us` of a row of one channel; `netdata` as it says of itself."""
    channels, budget = result["channels"], result["budget"]
    rows: list[list[Any]] = [
        [
            f"`level`, {name}",
            100 * one["core_share"],
            one["kb_per_channel"],
            one["kb_per_channel_peak"],
            one["learning_s"],
        ]
        for name, one in result.items()
        if isinstance(one, dict) and "core_share_best" in one
    ]
    if peer_us is not None:
        rows.append(["River HalfSpaceTrees, reckoned from a row", peer_us * channels / 1e4, None, None, None])
    low, high = netdata["core_share_of_10000"]
    rows.append(
        [
            f"[Netdata]({netdata['source']}), as published for 10,000",
            f"{100 * low:g} to {100 * high:g}",
            netdata["kb_per_channel"],
            None,
            None,
        ]
    )
    rows.append(["budget for 10,000", 100 * budget["core_share"], budget["kb_per_channel"], None, None])
    head = [
        f"{channels:,} channels at 1 Hz, monitors x channels",
        "% of a core",
        "kB each",
        "at the peak",
        "s to learn",
    ]
    return "\n".join(
        [
            markdown(head, rows),
            "",
            f"Mean of {ROWS} rows on white noise, learned from {LESSON}; the whole road. Memory beyond that of a"
            " process with one channel; the peak is while learning. Netdata's figures are its own words, of its own"
            " machines and C++; its model is another one.",
        ]
    )


if __name__ == "__main__":
    print(json.dumps(weigh(int(sys.argv[1]), int(sys.argv[2]))))
