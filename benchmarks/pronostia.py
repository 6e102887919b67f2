"""PRONOSTIA: bearings run to failure, a snapshot of 0.1 s each 10 s, each learned from the first tenth of its life."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.assemble import make_monitor, shape_of
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from agent.progress import Progress
from agent.quantities import Span
from benchmarks.drawing import Bar, bars
from benchmarks.recordings import NoRecordings, files, folder, which
from benchmarks.resampling import interval
from benchmarks.road import Arrays
from benchmarks.tables import markdown, shown, within
from models.detector import Job
from models.smoothing import fewest_rows
from sensors.base import Channel, Reading

HELP = "Bearings run to failure: how long before the end an alarm is raised that lasts, and which came for nothing."
WALKED = (
    "Each bearing goes through a `Monitor` of its own, snapshot by snapshot: `window` a snapshot, `snapshots:"
    " 10 s`, `learn` a tenth of the life, all else as it comes."
)
RATE_HZ, EVERY_S = 25_600.0, 10.0  # Nectoux et al., "PRONOSTIA: An experimental platform ...", IEEE PHM 2012
LEARNED = 0.1  # of each life
FIRST = 0.5  # of each life, in which an alarm that clears again was a false one
START = 1.3e9  # Unix seconds of the first snapshot; any would do
HOLD = 12  # snapshots that an alarm of a control lasts
TIMERS_S = tuple(60.0 * minutes for minutes in (0, 30, 60, 90, 120, 180, 240, 360))  # after the lesson
METRONOMES_S = tuple(60.0 * minutes for minutes in (10, 30, 60, 120, 240))
DRAWS = 20
HOURS = 10.0

Alarm = tuple[int, int | None]  # snapshots of its raise and of its end; None: it lasts to the end


@dataclass(frozen=True, slots=True)
class Life:
    """What was said of one bearing."""

    name: str
    snapshots: int
    armed: int  # the first snapshot that was judged
    alarms: tuple[Alarm, ...]
    cpu_s: float = 0.0
    averaged: int = 0  # snapshots
    words: str = ""  # what the budget says of itself

    @property
    def lead_s(self) -> float | None:
        """From the alarm that lasts to the end until the end."""
        lasting = [start for start, end in self.alarms if end is None]
        return (self.snapshots - 1 - lasting[0]) * EVERY_S if lasting else None

    @property
    def cleared(self) -> int:
        """Alarms of the first half of life that ended again."""
        half = FIRST * self.snapshots
        return sum(start < half and end is not None for start, end in self.alarms)

    @property
    def watched_h(self) -> float:
        """Of the first half of life, from the lesson on."""
        return max(0.0, FIRST * self.snapshots - self.armed) * EVERY_S / 3600


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--per-file", action="store_true", help="add when each alarm was raised and cleared")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    path = folder(arguments.data, "pronostia", ["*.npz"])
    every = files(path, ["*.npz"])
    recordings = [file for file in every if _has_snapshots(file)]
    if not recordings:
        raise NoRecordings(f"no *.npz with an array acc (snapshots, samples, axes) in {path}")
    lives: list[Life] = []
    with Progress("PRONOSTIA") as progress:
        for number, file in enumerate(recordings):

            def watch(share: float, before: int = number, name: str = file.stem) -> None:
                progress.tell(lambda: (before + share) / len(recordings), lambda: name)

            lives.append(listen(file.stem, _snapshots(file), watch))
    found = figures(lives)
    found["intervals"] = {
        "median_lead_s": interval(len(lives), lambda drawn: _median_lead([lives[i] for i in drawn])),
        "cleared_per_10_hours": interval(len(lives), lambda drawn: _per_10_hours([lives[i] for i in drawn])),
    }
    found["bearings"] = [
        {
            "name": life.name,
            "alarmed": life.lead_s is not None,
            "lead_s": life.lead_s,
            "life_s": life.snapshots * EVERY_S,
            "cleared_first_half": life.cleared,
            "armed_s": life.armed * EVERY_S,
            "averaged": life.averaged,
            "budget": life.words,
            **({"alarms": [list(alarm) for alarm in life.alarms]} if arguments.per_file else {}),
        }
        for life in lives
    ]
    found["us_per_row"] = 1e6 * sum(life.cpu_s for life in lives) / sum(life.snapshots for life in lives)
    found["controls"] = controls(lives)
    found["files"] = [file.name for file in recordings]
    found["left_out"] = {file.name: "no snapshots in it" for file in every if file not in recordings}
    return found


def listen(
    name: str, snapshots: NDArray[np.float32], watch: Callable[[float], None] = lambda share: None
) -> Life:
    """One bearing through a monitor of its own, snapshot by snapshot as they come, at the defaults of a sensor that
    gives snapshots; it learns from the first tenth."""
    count, length, axes = snapshots.shape
    config = MonitorConfig(
        name="bearing",
        sensor="recording",
        features="vibration",
        window=Span(length, "rows"),
        snapshots_s=EVERY_S,
        learn=Span(
            max(int(LEARNED * count), fewest_rows(1)) * EVERY_S, "s"
        ),  # of the shortest lives a little more
    )
    channels = [Channel(axis, "g") for axis in ("horizontal", "vertical", "axial")[:axes]]
    sensor = Arrays(channels, RATE_HZ, "vibration")
    monitor = make_monitor(config, sensor)
    pipeline = Pipeline([monitor])
    judged: list[float] = []

    def hear(job: Job, levels: Sequence[float]) -> None:
        judged.extend(job.times)

    monitor.listener = hear
    alarms: list[Alarm] = []
    cpu_s = 0.0
    for number, snapshot in enumerate(snapshots):
        reading = Reading(sensor.name, START + number * EVERY_S, RATE_HZ, snapshot)
        before = process_time()
        events = pipeline.push([reading])
        cpu_s += process_time() - before
        for event in events:
            if event.about == "machine" and event.kind == "raised":
                alarms.append((number, None))
            elif event.about == "machine" and event.kind == "cleared":
                alarms[-1] = alarms[-1][0], number
        watch(number / count)
    return Life(
        name=name,
        snapshots=count,
        armed=count if not judged else int((judged[0] - START) / EVERY_S),
        alarms=tuple(alarms),
        cpu_s=cpu_s,
        averaged=shape_of(config, sensor, axes).smooth,
        words=monitor.aim.words(),
    )


def figures(lives: Sequence[Life]) -> dict[str, Any]:
    """Over all bearings; one without an alarm at its end has no lead."""
    return {
        "alarmed": sum(life.lead_s is not None for life in lives),
        "of": len(lives),
        "median_lead_s": _median_lead(lives),
        "cleared": sum(life.cleared for life in lives),
        "watched_hours": sum(life.watched_h for life in lives),
        "cleared_per_10_hours": _per_10_hours(lives),
    }


def controls(lives: Sequence[Life]) -> dict[str, dict[str, Any]]:
    """What alarms that never look at a bearing would get; timer and metronome by the share of bearings in alarm at the
    end, then by fewer cleared, then by lead."""

    def over(alarms: Callable[[Life], Sequence[Alarm]]) -> dict[str, Any]:
        return figures([Life(one.name, one.snapshots, one.armed, tuple(alarms(one))) for one in lives])

    def best(settings: Sequence[float], alarms: Callable[[Life, float], Sequence[Alarm]]) -> dict[str, Any]:
        tried = {setting: over(lambda life, s=setting: alarms(life, s)) for setting in settings}  # type: ignore[misc]
        chosen = max(
            tried, key=lambda s: (tried[s]["alarmed"], -tried[s]["cleared"], tried[s]["median_lead_s"] or 0.0)
        )
        return {**tried[chosen], "setting_s": chosen}

    random = np.random.default_rng(7)
    drawn = [
        over(
            lambda life: _brief(life, random.integers(life.armed, life.snapshots, len(life.alarms)).tolist())
        )
        for _ in range(DRAWS)
    ]
    return {
        "always": over(lambda life: [(life.armed, None)]),
        "timer": best(
            TIMERS_S,
            lambda life, after_s: (
                [(life.armed + int(after_s / EVERY_S), None)]
                if life.armed + after_s / EVERY_S < life.snapshots
                else []
            ),
        ),
        "metronome": best(
            METRONOMES_S,
            lambda life, every_s: _brief(life, range(life.armed, life.snapshots, int(every_s / EVERY_S))),
        ),
        "random": {
            key: float(np.mean([one[key] or 0.0 for one in drawn]))
            for key in ("alarmed", "median_lead_s", "cleared", "cleared_per_10_hours")
        },
    }


def table(result: dict[str, Any]) -> str:
    rows: list[list[Any]] = [
        [
            one["name"],
            _minutes(one["lead_s"]),
            one["life_s"] / 3600,
            one["cleared_first_half"],
            one["averaged"],
        ]
        for one in result["bearings"]
    ]
    summary: list[list[Any]] = [["**Tocsin**", *_summary(result)]]
    summary += [
        [f"control: {name}{_setting(control)}", *_summary(control)]
        for name, control in result["controls"].items()
    ]
    intervals = result["intervals"]
    lead = intervals["median_lead_s"]
    return "\n".join(
        [
            markdown(["bearing", "lead, min", "life, h", "cleared in first half", "averaged over"], rows),
            "",
            markdown(["", "in alarm at the end", "median lead, min", "cleared per 10 h"], summary),
            "",
            f"{len(result['files'])} bearings, {shown(result['watched_hours'])} h of first halves after the lesson;"
            f" {shown(result['us_per_row'])} us a snapshot. 95 % intervals over bearings (bootstrap): median lead"
            f" {within(None if lead is None else [each / 60 for each in lead], ' min')}, cleared per 10 h"
            f" {within(intervals['cleared_per_10_hours'])}. The lead is that of the alarm that lasts to the end;"
            " cleared are alarms of the first half of a life that ended again. An alarm that is always on has the"
            " longest lead of all and none that cleared: these figures tell of an alarm's time and of its steadiness,"
            " not of whether it looked.",
            *(["", which(result["files"], result["left_out"])] if result["left_out"] else []),
        ]
    )


def plot(result: dict[str, Any], path: Path) -> None:
    leads = [Bar(one["name"], (one["lead_s"] or 0.0) / 60, "ours") for one in result["bearings"]]
    medians = [Bar("Tocsin", (result["median_lead_s"] or 0.0) / 60, "ours")]
    cleared = [Bar("Tocsin", result["cleared_per_10_hours"], "ours")]
    for name, control in result["controls"].items():
        medians.append(Bar(name, (control["median_lead_s"] or 0.0) / 60, "control"))
        cleared.append(Bar(name, control["cleared_per_10_hours"], "control"))
    bars(path, [("lead, min", leads), ("median lead, min", medians), ("cleared per 10 h", cleared)])


def _brief(life: Life, starts: Sequence[int] | range) -> list[Alarm]:
    """Alarms of HOLD snapshots."""
    return [(start, start + HOLD if start + HOLD < life.snapshots else None) for start in sorted(starts)]


def _median_lead(lives: Sequence[Life]) -> float:
    """A bearing without an alarm at its end counts as a lead of nothing."""
    return float(np.median([life.lead_s or 0.0 for life in lives]))


def _per_10_hours(lives: Sequence[Life]) -> float:
    hours = sum(life.watched_h for life in lives)
    return HOURS * sum(life.cleared for life in lives) / hours if hours else float("nan")


def _has_snapshots(file: Path) -> bool:
    with np.load(file, allow_pickle=False) as archive:
        return "acc" in archive.files and archive["acc"].ndim == 3


def _snapshots(file: Path) -> NDArray[np.float32]:
    with np.load(file, allow_pickle=False) as archive:
        found: NDArray[np.float32] = archive["acc"].astype(np.float32, copy=False)
    return found


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _summary(one: dict[str, Any]) -> list[Any]:
    alarmed = one["alarmed"]
    count = f"{alarmed:.3g}" if "of" not in one else f"{alarmed} of {one['of']}"
    return [count, _minutes(one["median_lead_s"]), one["cleared_per_10_hours"]]


def _setting(control: dict[str, Any]) -> str:
    return f", {shown(control['setting_s'] / 60)} min" if "setting_s" in control else ""
