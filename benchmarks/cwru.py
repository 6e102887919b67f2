"""CWRU: which part of a bearing is hurt, named from windows of 2 s without having learned anything, or not named."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cwru_files import LABELS, Recording, read
from benchmarks.drawing import Bar, bars
from benchmarks.recordings import folder, which
from benchmarks.resampling import interval
from benchmarks.tables import markdown, shown, within
from models.bearing import Bearing
from models.naming import Naming
from models.vibration import Vibration
from models.window import Windower

HELP = "A bearing rig, healthy and with known faults: the part named, without training, or not named."
WINDOW_S = 2.0
# SKF 6205-2RS JEM, drive end: the bearing data centre of Case Western Reserve University gives 0.3126 in and 1.537 in.
BALLS, BALL_M, PITCH_M = 9, 0.00794, 0.03904
PARTS = tuple(LABELS.values())
NO_SUCH = ((6, 0.0108, 0.04), (7, 0.0064, 0.04), (8, 0.011, 0.04), (10, 0.0064, 0.04), (15, 0.0064, 0.04))
APART = 0.04  # a line of a bearing that is not there keeps so far from all of the one that is, up to the third harmonic
SLOWEST, FASTEST = 0.7, 1.5  # of the true speed, between which it is estimated for comparison
DRAWS = 20

Said = Sequence[tuple[str, str]]  # of windows: the part that is hurt and the one that was named; "" is none


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said of one window."""

    file: str
    part: str  # that is hurt; "" in a healthy bearing
    given: Naming
    estimated: Naming
    absent: tuple[Naming, ...]  # by the geometries of bearings that are not there


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--per-file", action="store_true", help="add what was named in each window of each file"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    recordings, left_out = read(folder(arguments.data, "cwru", ["*.npz"]), WINDOW_S)
    heard: list[Heard] = []
    cpu_s = 0.0
    for recording in recordings:
        before = process_time()
        heard += listen(recording)
        cpu_s += process_time() - before
    of_file = [[one for one in heard if one.file == each.name] for each in recordings]
    result = figures(said(heard))
    result["estimated"] = {
        **figures(said(heard, "estimated")),
        "speed_right": _share([abs(one.estimated.shaft_hz / one.given.shaft_hz - 1) < 0.01 for one in heard]),
    }
    absent = [naming for one in heard for naming in one.absent]
    result["absent"] = {"windows": len(absent), "named": sum(bool(naming.part) for naming in absent)}
    result["parts"] = {part: figures(said([one for one in heard if one.part == part])) for part in PARTS}
    result["intervals"] = {key: _interval(of_file, key) for key in ("coverage", "accuracy")}
    result["controls"] = controls([one.part for one in heard], result["coverage"])
    result["us_per_row"] = 1e6 * cpu_s / len(heard)
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
    """What is said of each window, of those that follow on each other without sharing a sample."""
    rate_hz, shaft_hz = recording.rate_hz, recording.shaft_hz
    length = round(WINDOW_S * rate_hz)
    there = Bearing(BALLS, BALL_M, PITCH_M, 0.0, shaft_hz)
    unknown = Bearing(BALLS, BALL_M, PITCH_M, 0.0, 0.0, SLOWEST * shaft_hz, FASTEST * shaft_hz)
    others = [Bearing(n, ball, pitch, 0.0, shaft_hz) for n, ball, pitch in NO_SUCH]
    ears = [
        Vibration([("drive end", "g")], rate_hz, length, bearing, remembered=1)
        for bearing in (there, unknown, *(other for other in others if _strangers(other, there)))
    ]
    for windows in Windower(length, length, 1, WINDOW_S).push(0.0, rate_hz, recording.values.reshape(-1, 1)):
        for ear in ears:
            ear.extract(windows)
        for time in windows.times:
            namings = [ear.named(time) for ear in ears]
            given, estimated, *absent = [naming for naming in namings if naming is not None]
            yield Heard(recording.name, recording.part, given, estimated, tuple(absent))


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
    rows: list[list[Any]] = [["**Tocsin**, speed of the shaft given", *_line(result)]]
    rows.append(["Tocsin, speed estimated from each window", *_line(result["estimated"])])
    rows += [[f"of these: {part}", *_line(one)] for part, one in result["parts"].items()]
    rows += [
        [f"control: {name}", _percent(one["coverage"]), _percent(one["accuracy"]), None, None, None]
        for name, one in result["controls"].items()
    ]
    absent, intervals = result["absent"], result["intervals"]
    return "\n".join(
        [
            markdown(["", "named, %", "of those right, %", "named", "windows", "healthy named"], rows),
            "",
            f"{len(result['files'])} files, windows of {WINDOW_S:g} s that share no sample, nothing learned, one"
            " setting. Named are so many of the windows of hurt bearings; right is of all that were named, and a name"
            f" for a healthy bearing is a wrong one. With geometries of bearings that are not there, {absent['named']} of"
            f" {absent['windows']} windows were named. Of the speeds estimated, between {SLOWEST:g} and {FASTEST:g} times the true one,"
            f" {shown(_percent(result['estimated']['speed_right']))} % lay within 1 % of it. 95 % intervals over files"
            f" (bootstrap): named {within(_percents(intervals['coverage']), ' %')}, right"
            f" {within(_percents(intervals['accuracy']), ' %')}. {shown(result['us_per_row'] / 1000)} ms a window, all"
            " geometries together.",
            "",
            which(result["files"], result["left_out"]),
        ]
    )


def plot(result: dict[str, Any], path: Path) -> None:
    every = {"Tocsin": ("ours", result), "Tocsin, speed estimated": ("ours", result["estimated"])}
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


def _strangers(one: Bearing, other: Bearing) -> bool:
    """No line of one lies near a line of the other."""
    orders = np.arange(1, 4)
    for mine in one.orders().values():
        for theirs in other.orders().values():
            ratios = orders[:, None] * mine / (orders * theirs)
            if (np.abs(ratios - 1) < APART).any():
                return False
    return True


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
    count = one["healthy"]
    healthy = f"{count['named']} of {count['windows']}" if count["windows"] else None
    return [_percent(one["coverage"]), _percent(one["accuracy"]), one["named"], one["of"], healthy]
