"""CWRU: which part of a bearing is hurt, named from windows of 2 s without having learned anything, or not named."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.assemble import make_monitor
from agent.monitor_config import BearingConfig, MonitorConfig
from agent.pipeline import Pipeline
from agent.quantities import Span
from benchmarks import cwru_peers
from benchmarks.cwru_files import LABELS, Recording, read
from benchmarks.drawing import Bar, bars
from benchmarks.recordings import folder, which
from benchmarks.resampling import interval
from benchmarks.road import Arrays
from benchmarks.tables import markdown, shown, within
from models.bearing import Bearing
from models.naming import Naming
from sensors.base import Channel, Reading

HELP = "A bearing rig, healthy and with known faults: the part named, without training, or not named."
WALKED = (
    "Each window goes through a `Monitor` of its own that has heard nothing before: `window: 2 s` and "
    "`bearing`, all else as it comes. Nothing is learned, so no alert is raised: counted is what an event at "
    "the window's end would name. In the field an event names from up to eight windows."
)
WINDOW_S = 2.0
# SKF 6205-2RS JEM, drive end: the bearing data centre of Case Western Reserve University gives 0.3126 in and 1.537 in.
BALLS, BALL_M, PITCH_M = 9, 0.00794, 0.03904
PARTS = tuple(LABELS.values())
# Bearings that are not there, none of whose lines lies within 4 % of one that is, up to the third harmonic.
STRANGERS = ((6, 0.0108, 0.04), (7, 0.0064, 0.04), (8, 0.011, 0.04), (10, 0.0064, 0.04), (15, 0.0064, 0.04))
SLOWEST, FASTEST = 0.7, 1.5  # of the true speed, between which it is estimated for comparison
DRAWS = 20
NOTHING = Naming(
    "", 0.0, 0.0, 0.0, 0.0, False
)  # where the window was withheld: its signal cannot be believed

Said = Sequence[tuple[str, str]]  # of windows: the part that is hurt and the one that was named; "" is none


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said of one window."""

    file: str
    part: str  # that is hurt; "" in a healthy bearing
    given: Naming
    estimated: Naming
    absent: tuple[Naming, ...]  # by the geometries of bearings that are not there
    cpu_s: float  # of `given`, its monitor's making with it


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--per-file", action="store_true", help="add what was named in each window of each file"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    recordings, left_out = read(folder(arguments.data, "cwru", ["*.npz"]), WINDOW_S)
    heard = [one for recording in recordings for one in listen(recording)]
    of_file = [[one for one in heard if one.file == each.name] for each in recordings]
    result = figures(said(heard))
    result["estimated"] = {
        **figures(said(heard, "estimated")),
        "speed_right": _share(
            [abs(one.estimated.shaft_hz - one.given.shaft_hz) < 0.01 * one.given.shaft_hz for one in heard]
        ),
    }
    absent = [naming for one in heard for naming in one.absent]
    result["absent"] = {"windows": len(absent), "named": sum(bool(naming.part) for naming in absent)}
    result["parts"] = {part: figures(said([one for one in heard if one.part == part])) for part in PARTS}
    result["intervals"] = {key: _interval(of_file, key) for key in ("coverage", "accuracy")}
    result["controls"] = controls([one.part for one in heard], result["coverage"])
    result["peers"] = _peers(recordings, heard)
    result["us_per_row"] = 1e6 * sum(one.cpu_s for one in heard) / len(heard)
    result["windows"] = {one.name: sum(each.file == one.name for each in heard) for one in recordings}
    result["files"] = [one.name for one in recordings]
    result["left_out"] = left_out
    if arguments.per_file:
        result["per_file"] = {
            name: [
                [one.given.part, round(one.given.confidence, 3), round(one.given.z, 2)]
                for one in heard
                if one.file == name
            ]
            for name in result["files"]
        }
    return result


def listen(recording: Recording) -> Iterator[Heard]:
    """What is said of each window."""
    shaft_hz = recording.shaft_hz
    there = _bearing(BALLS, BALL_M, PITCH_M, speed_hz=shaft_hz)
    unknown = _bearing(BALLS, BALL_M, PITCH_M, slowest_hz=SLOWEST * shaft_hz, fastest_hz=FASTEST * shaft_hz)
    others = [_bearing(*geometry, speed_hz=shaft_hz) for geometry in STRANGERS]
    for window in recording.windows(WINDOW_S):
        before = process_time()
        given = named(window, recording.rate_hz, there)
        cpu_s = process_time() - before
        estimated, *absent = (named(window, recording.rate_hz, bearing) for bearing in (unknown, *others))
        yield Heard(recording.name, recording.part, given, estimated, tuple(absent), cpu_s)


def named(window: NDArray[np.float32], rate_hz: float, bearing: BearingConfig) -> Naming:
    """What an event would say of the bearing after this window `(samples,)`, the first that a monitor hears: all its
    settings but these two as they come."""
    sensor = Arrays([Channel("drive end", "g")], rate_hz, "vibration")
    config = MonitorConfig(name="rig", sensor=sensor.name, window=Span(len(window), "rows"), bearing=bearing)
    monitor = make_monitor(config, sensor)
    Pipeline([monitor]).push([Reading(sensor.name, 0.0, rate_hz, window[:, None])])
    assert monitor.diagnosis is not None
    return monitor.diagnosis.naming(math.inf) or NOTHING


def _bearing(balls: int, ball_m: float, pitch_m: float, **speed: float) -> BearingConfig:
    return BearingConfig(balls=balls, ball_diameter_m=ball_m, pitch_diameter_m=pitch_m, **speed)


def said(heard: Sequence[Heard], which: str = "given") -> Said:
    """What is hurt and what was named, of each window."""
    return [(one.part, getattr(one, which).part) for one in heard]


def figures(windows: Said) -> dict[str, Any]:
    """Of the windows of hurt bearings, how many were named; of all that were named, how many rightly. A name for a
    healthy bearing is a wrong one."""
    hurt = [bool(name) for part, name in windows if part]
    healthy = [bool(name) for part, name in windows if not part]
    right = [name == part for part, name in windows if name]
    return {
        "coverage": _share(hurt),
        "accuracy": _share(right),
        "named": len(right),
        "right": sum(right),
        "of": len(hurt),
        "healthy": {"windows": len(healthy), "named": sum(healthy)},
    }


def _peers(recordings: Sequence[Recording], heard: Sequence[Heard]) -> dict[str, dict[str, Any]]:
    """What plain envelope analysis comes to where it names as many windows as ours."""
    windows = []
    for one in recordings:
        there = Bearing(BALLS, BALL_M, PITCH_M, 0.0, one.shaft_hz)
        others = [Bearing(*geometry, 0.0, one.shaft_hz) for geometry in STRANGERS]
        windows += [(window, one.rate_hz, there, others) for window in one.windows(WINDOW_S)]
    found = cwru_peers.heard(windows, PARTS, sum(bool(one.given.part) for one in heard))
    return {
        name: {
            **figures([(one.part, part) for one, part in zip(heard, peer.parts, strict=True)]),
            "absent": {"windows": len(peer.absent), "named": sum(map(bool, peer.absent))},
            "least_z": peer.least_z,
            "us_per_row": peer.us_per_row,
        }
        for name, peer in found.items()
    }


def controls(parts: Sequence[str], coverage: float | None) -> dict[str, dict[str, Any]]:
    """What is right without listening: one part always, at its best; each in turn; any, as often as ours dare."""
    random = np.random.default_rng(5)
    drawn = [_share([PARTS[random.integers(len(PARTS))] == part for part in parts]) for _ in range(DRAWS)]
    return {
        "always": {"coverage": 1.0, "accuracy": max(parts.count(part) for part in PARTS) / len(parts)},
        "metronome": {
            "coverage": 1.0,
            "accuracy": _share([part == PARTS[i % len(PARTS)] for i, part in enumerate(parts)]),
        },
        "random": {"coverage": coverage, "accuracy": _mean(drawn)},
    }


def table(result: dict[str, Any]) -> str:
    rows: list[list[Any]] = [
        [
            "**Tocsin**, speed of the shaft given",
            *_line(result),
            _of(result["absent"]),
            result["us_per_row"] / 1000,
        ]
    ]
    rows.append(["Tocsin, speed estimated from each window", *_line(result["estimated"]), None, None])
    rows += [[f"of these: {part}", *_line(one), None, None] for part, one in result["parts"].items()]
    for name, one in result["peers"].items():
        rows.append([f"{name}, here", *_line(one), _of(one["absent"]), one["us_per_row"] / 1000])
    rows += [
        [f"control: {name}", _percent(one["coverage"]), _percent(one["accuracy"]), *[None] * 5]
        for name, one in result["controls"].items()
    ]
    head = [
        "",
        "named, %",
        "of those right, %",
        "named",
        "windows",
        "healthy named",
        "absent named",
        "ms a window",
    ]
    intervals = result["intervals"]
    return "\n".join(
        [
            markdown(head, rows),
            "",
            f"{len(result['files'])} files, windows of {WINDOW_S:g} s that share no sample. Named are so many of"
            " the windows of hurt bearings; right is of all that were named, and a name for a healthy bearing is"
            " a wrong one. Absent: windows named by the geometries of bearings that are not there. Of the speeds"
            f" estimated, between {SLOWEST:g} and {FASTEST:g} times the true one,"
            f" {shown(_percent(result['estimated']['speed_right']))} % lay within 1 % of it. 95 % intervals over"
            f" files (bootstrap): named {within(_percents(intervals['coverage']), ' %')}, right"
            f" {within(_percents(intervals['accuracy']), ' %')}. A window's cost is with its monitor's making.",
            "",
            "Peers: squared envelope spectra of the whole band, the part with the highest lines over their"
            " median, named from the one z on at which each names as many windows as ours, chosen after the fact;"
            " ours stands where it ships. Nothing that was published of these recordings is comparable as it"
            " stands: classifiers are trained and tested on the same bearings, and studies of envelope analysis"
            " grade whole recordings by eye.",
            "",
            which(result["files"], result["left_out"]),
        ]
    )


def plot(result: dict[str, Any], path: Path) -> None:
    every = {"Tocsin": ("ours", result), "Tocsin, speed estimated": ("ours", result["estimated"])}
    every |= {name: ("peer", one) for name, one in result["peers"].items()}
    every |= {name: ("control", one) for name, one in result["controls"].items()}
    panels = [
        (
            title,
            [
                Bar(
                    name,
                    _percent(one[key]),
                    kind,
                    _percents(result["intervals"][key]) if name == "Tocsin" else None,
                )
                for name, (kind, one) in every.items()
            ],
        )
        for key, title in (("coverage", "windows named, %"), ("accuracy", "of those right, %"))
    ]
    bars(path, panels)


def _interval(of_file: Sequence[Sequence[Heard]], key: str) -> tuple[float, float] | None:
    """Over files."""

    def figure(drawn: NDArray[np.intp]) -> float:
        found = figures(said([one for i in drawn for one in of_file[i]]))[key]
        return float("nan") if found is None else float(found)

    return interval(len(of_file), figure)


def _share(claims: Sequence[bool]) -> float | None:
    """None of nothing."""
    return sum(claims) / len(claims) if claims else None


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _percents(interval: Sequence[float] | None) -> list[float] | None:
    return None if interval is None else [100 * each for each in interval]


def _line(one: dict[str, Any]) -> list[Any]:
    return [
        _percent(one["coverage"]),
        _percent(one["accuracy"]),
        one["named"],
        one["of"],
        _of(one["healthy"]),
    ]


def _of(count: dict[str, int]) -> str | None:
    return f"{count['named']} of {count['windows']}" if count["windows"] else None
