"""What each detector costs with 64 monitors beside bare calls of its graph, and what 10,000 slow channels cost."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.assemble import make_monitor, shape_of
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from agent.progress import Progress
from benchmarks import slow_channels
from benchmarks.drawing import Bar, bars
from benchmarks.peers import absent, half_space_trees, timed
from benchmarks.road import Arrays
from benchmarks.tables import markdown, shown
from models.blocks import BlockBank
from models.level import LevelBank
from models.neighbours import NeighboursBank
from models.session import Bound, open_graph
from sensors.base import Channel, Kind, Reading

HELP = "Windows per second of each detector with 64 monitors, beside bare session.run; 10,000 slow channels at 1 Hz."
WALKED = (
    "White noise goes through `Monitor`s of each detector, as they come, and through bare calls of its graph."
)
START = 1_700_000_000.0
PEER_ROWS = 2000
NETDATA = {  # as published: its documentation of machine learning, "System Characteristics", read in November 2026
    "source": "https://learn.netdata.cloud/docs/ai-&-ml/ml-anomaly-detection",
    "core_share_of_10000": [0.02, 0.04],
    "kb_per_channel": 18.0,
}

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Case:
    """One detector on what it is for."""

    detector: str
    channels: int
    rate_hz: float
    kind: Kind = "telemetry"
    wide: int = 256  # windows of each monitor in one piece, where they need not come one by one


CASES = (
    Case("mahalanobis", 8, 1.0),
    Case("reconstruction", 8, 1.0),
    Case("level", 1, 1.0),
    Case("knn", 1, 1.0),
    Case("spectral", 3, 3200.0, "vibration", 16),
    Case("autoencoder", 3, 3200.0, "vibration", 16),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--monitors", type=int, default=64, help="of each detector, on one sensor")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement, at least")
    parser.add_argument("--channels", type=int, default=10_000, help="slow ones at 1 Hz; 0: not measured")
    parser.add_argument("--no-peers", action="store_true", help="without the other libraries' detectors")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "monitors": arguments.monitors,
        "detectors": {},
        "published": {"Netdata": NETDATA},
    }
    with Progress("throughput") as progress:
        for i, case in enumerate(CASES):
            progress.tell(lambda: i / len(CASES), lambda: case.detector)  # noqa: B023
            found["detectors"][case.detector] = measure(case, arguments.monitors, arguments.seconds)
    if not arguments.no_peers:
        found["peers"] = {"River HalfSpaceTrees": _peer()}
    if arguments.channels:
        found["slow"] = slow_channels.measure(arguments.channels)
    return found


def measure(case: Case, monitors: int, seconds: float) -> dict[str, Any]:
    """CPU microseconds for each window of each monitor: on the road one hop at a time and in pieces, and of bare calls
    of the graph on the very arrays that the bank binds, as many as the road makes."""
    sensor = Arrays([Channel(f"c{i + 1}") for i in range(case.channels)], case.rate_hz, case.kind)
    entry = MonitorConfig(name="m0", sensor=sensor.name, detector=case.detector)  # type: ignore[arg-type]
    shape = shape_of(entry, sensor, case.channels)
    rows = np.random.default_rng(0).standard_normal(
        (shape.window + case.wide * shape.hop, case.channels), np.float32
    )
    pupil = make_monitor(entry, sensor)
    stream = _Stream(sensor, rows)
    pipeline = Pipeline([pupil])
    while not pupil.armed:
        pipeline.push([stream.next(64 * shape.hop)])
    baseline = pupil.baseline
    every: list[Monitor] = []
    for i in range(monitors):
        copy = MonitorConfig(name=f"m{i}", sensor=sensor.name, detector=case.detector)  # type: ignore[arg-type]
        every.append(make_monitor(copy, sensor, baseline))
    pipeline = Pipeline(every)
    pipeline.push([stream.next(shape.window + case.wide * shape.hop)])  # until every window is whole
    session, feed = open_graph(every[0].head.graph), _arrays(every[0])
    calls = _calls(pipeline, stream.next(case.wide * shape.hop))
    features = None
    if case.kind == "vibration":
        monitor = every[0]
        (windows,) = make_monitor(entry, sensor)._windower.push(START, case.rate_hz, rows[: shape.window])
        features = lambda: monitor.features.extract(windows)  # noqa: E731
    timers = {
        "live": lambda: pipeline.push([stream.next(shape.hop)]),
        "wide": lambda: pipeline.push([stream.next(case.wide * shape.hop)]),
        "bare": lambda: session.run(None, feed),
        **({"features": features} if features is not None else {}),
    }
    best_us = best(timers, seconds)
    features_us = best_us.get("features", 0.0)
    live, bare = best_us["live"] / monitors, features_us + best_us["bare"] / monitors
    wide, bare_wide = (
        best_us["wide"] / monitors / case.wide,
        features_us + calls * best_us["bare"] / monitors / case.wide,
    )
    return {
        "columns": every[0].head.width,
        "us_live": live,
        "us_bare": bare,
        "ratio": live / bare,
        "us_wide": wide,
        "us_bare_wide": bare_wide,
        "ratio_wide": wide / bare_wide,
        "windows_per_s": 1e6 / live,
        "windows_per_s_wide": 1e6 / wide,
        "windows_per_s_bare_wide": 1e6 / bare_wide,
        "us_features": features_us or None,
    }


class _Stream:
    """Rows again and again, as Readings of a sensor whose clock goes on."""

    def __init__(self, sensor: Arrays, rows: Array) -> None:
        self._sensor, self._rows, self._given = sensor, np.concatenate([rows, rows]), 0

    def next(self, count: int) -> Reading:
        half = len(self._rows) // 2
        first, time = self._given % half, START + self._given / self._sensor.rate_hz
        self._given += count
        values = self._rows[first : first + count]
        if len(values) < count:
            values = np.resize(values, (count, values.shape[1]))
        return Reading(self._sensor.name, time, self._sensor.rate_hz, values)


def best(timers: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """CPU microseconds of one call of each, the best of passes taken in turns: everything else on this computer only
    makes a pass slower."""
    counts = dict.fromkeys(timers, 1)
    found = dict.fromkeys(timers, float("inf"))
    spent = dict.fromkeys(timers, 0.0)
    gc.collect()
    gc.disable()
    try:
        while min(spent.values()) < seconds:
            for name, call in timers.items():
                if spent[name] >= seconds:
                    continue
                count, began = counts[name], process_time()
                for _ in range(count):
                    call()
                took = process_time() - began
                spent[name] += took
                found[name] = min(found[name], took / count * 1e6)
                counts[name] = max(1, min(5000, int(seconds / 10 / max(took / count, 1e-7))))
    finally:
        gc.enable()
    return found


def _arrays(monitor: Monitor) -> dict[str, NDArray[Any]]:
    """The inputs that the bank of this monitor binds to its graph."""
    bank = monitor.head.bank
    bound: Bound | None
    if isinstance(bank, LevelBank):
        bound = bank._bound[0]
    elif isinstance(bank, NeighboursBank):
        bound = bank._all
    else:
        assert isinstance(bank, BlockBank)
        bound = bank._bound
    assert bound is not None
    return dict(bound._arrays[0])


def _calls(pipeline: Pipeline, reading: Reading) -> int:
    """How often the road calls the graph for one reading."""
    calls, run = 0, Bound.run

    def counted(self: Bound) -> None:
        nonlocal calls
        calls += 1
        run(self)

    Bound.run = counted  # type: ignore[method-assign]
    try:
        pipeline.push([reading])
    finally:
        Bound.run = run  # type: ignore[method-assign]
    return calls


def _peer() -> dict[str, Any]:
    """A detector of another library, per row of one channel and of eight; "missing" where it is not installed."""
    random = np.random.default_rng(0)
    try:
        timed(half_space_trees, random.standard_normal((8, 1)), 4)  # imports its library
        return {
            f"us_{width}_channels": 1e6
            * timed(half_space_trees, random.standard_normal((PEER_ROWS, width)), PEER_ROWS // 4)[1]
            / PEER_ROWS
            for width in (1, 8)
        }
    except ImportError:
        return {"missing": True}


def table(result: dict[str, Any]) -> str:
    rows: list[list[Any]] = []
    for name, one in result["detectors"].items():
        figures = (
            "us_live",
            "us_bare",
            "ratio",
            "us_wide",
            "us_bare_wide",
            "ratio_wide",
            "windows_per_s_wide",
        )
        rows.append([f"`{name}` on {one['columns']}", *(one[figure] for figure in figures)])
    head = ["detector, columns", "us live", "bare", "ratio", "us in pieces", "bare", "ratio", "windows/s"]
    lines = [
        markdown(head, rows),
        "",
        f"{result['monitors']} monitors of each detector on one sensor. CPU time of a window of one monitor, one hop at"
        " a time, and in pieces of 256 windows (16 of vibration); the best of several passes, taken in turns. Bare:"
        " `session.run` on the arrays that the bank binds, as many calls as the road makes, and the features where"
        " there are any (vibration). The road has guards, averages, levels, tails and alerts beside it.",
    ]
    peer = result.get("peers", {}).get("River HalfSpaceTrees", {})
    if "us_1_channels" in peer:
        lines += [
            "",
            f"River HalfSpaceTrees at its defaults, in the same run: {shown(peer['us_1_channels'])} us a row of one"
            f" channel, {shown(peer['us_8_channels'])} us of eight.",
        ]
    lines += absent(result.get("peers", {}))
    if "slow" in result:
        lines += ["", slow_channels.table(result["slow"], peer.get("us_1_channels"), NETDATA)]
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    detectors = result["detectors"]
    panels = []
    for title, ours, bare in (
        ("us a window, live", "us_live", "us_bare"),
        ("in pieces", "us_wide", "us_bare_wide"),
    ):
        panel = []
        for name, one in detectors.items():
            if not one[
                "us_features"
            ]:  # of vibration: a hundred times the others, and nearly all of it features
                panel += [Bar(name, one[ours], "ours"), Bar(f"{name}, bare", one[bare], "control")]
        panels.append((title, panel))
    bars(path, panels)
