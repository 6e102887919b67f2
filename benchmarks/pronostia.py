"""PRONOSTIA: bearings run to failure, a snapshot of 0.1 s each 10 s, each learned from the first tenth of its life."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from benchmarks import pronostia_peers
from benchmarks.drawing import Bar, bars
from benchmarks.peers import Doubles, absent
from benchmarks.pronostia_lives import EVERY_S, Alarm, Life, figures, lesson, median_lead, per_10_hours
from benchmarks.recordings import NoRecordings, files, folder, which
from benchmarks.resampling import interval
from benchmarks.road import Arrays
from benchmarks.tables import markdown, shown, within
from models.detector import Job
from sensors.base import Channel, Reading

HELP = "Bearings run to failure: how long before the end an alarm is raised that lasts, and which came for nothing."
WALKED = (
    "Each bearing goes through a `Monitor` of its own, snapshot by snapshot: `window` a snapshot, `snapshots:"
    " 10 s`, `learn` a tenth of the life, all else as it comes."
)
RATE_HZ = 25_600.0
START = 1.3e9  # Unix seconds of the first snapshot; any would do
HOLD = 12  # snapshots that an alarm of a control lasts
TIMERS_S = tuple(60.0 * minutes for minutes in (0, 30, 60, 90, 120, 180, 240, 360))  # after the lesson
METRONOMES_S = tuple(60.0 * minutes for minutes in (10, 30, 60, 120, 240))
DRAWS = 20
HEAD = [
    "",
    "in alarm at the end",
    "median lead, min",
    "cleared per 10 h",
    "first halves under one, %",
    "µs a snapshot",
]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-peers", action="store_true", help="without the other detectors")
    parser.add_argument("--per-file", action="store_true", help="add when each alarm was raised and cleared")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    path = folder(arguments.data, "pronostia", ["*.npz"])
    every = files(path, ["*.npz"])
    recordings = [file for file in every if _has_snapshots(file)]
    if not recordings:
        raise NoRecordings(f"no *.npz with an array acc (snapshots, samples, axes) in {path}")
    lives: list[Life] = []
    loudness: list[Doubles] = []
    with Progress("PRONOSTIA") as progress:
        for number, file in enumerate(recordings):

            def watch(share: float, before: int = number, name: str = file.stem) -> None:
                progress.tell(lambda: (before + share) / len(recordings), lambda: name)

            snapshots = _snapshots(file)
            lives.append(listen(file.stem, snapshots, watch))
            loudness.append(pronostia_peers.loudness(snapshots))
    found = figures(lives)
    found["intervals"] = {
        "median_lead_s": interval(len(lives), lambda drawn: median_lead([lives[i] for i in drawn])),
        "cleared_per_10_hours": interval(len(lives), lambda drawn: per_10_hours([lives[i] for i in drawn])),
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
    if not arguments.no_peers:
        found["peers"] = pronostia_peers.peers(lives, loudness)
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
        learn=Span(lesson(count) * EVERY_S, "s"),
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
        rule=replace(monitor.rule, clear_level=0.0),
    )


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
        "always": over(lambda life: [(life.armed, None)] if life.armed < life.snapshots else []),
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
            for key in (
                "alarmed",
                "median_lead_s",
                "cleared",
                "cleared_per_10_hours",
                "under_alarm_first_half",
            )
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
    summary: list[list[Any]] = [["**Tocsin**", *_summary(result), result["us_per_row"]]]
    peers = result.get("peers", {})
    for name, peer in peers.items():
        here = "not installed" if "missing" in peer else "here"
        summary.append([f"{name}, {here}", *_summary(peer), peer.get("us_per_row")])
    summary += [
        [f"control: {name}{_setting(control)}", *_summary(control), None]
        for name, control in result["controls"].items()
    ]
    intervals = result["intervals"]
    lead = intervals["median_lead_s"]
    return "\n".join(
        [
            markdown(["bearing", "lead, min", "life, h", "cleared in first half", "averaged over"], rows),
            "",
            markdown(HEAD, summary),
            "",
            f"{len(result['files'])} bearings, {shown(result['watched_hours'])} h of first halves after the"
            " lesson. 95 % intervals over bearings (bootstrap): median lead"
            f" {within(None if lead is None else [each / 60 for each in lead], ' min')}, cleared per 10 h"
            f" {within(intervals['cleared_per_10_hours'])}. The lead is that of the alarm that lasts to the end;"
            " cleared are alarms of the first half of a life that ended again. An alarm that is always on has the"
            " longest lead of all and none that cleared, so beside it stands for how much of the first halves an"
            " alarm stood: nobody knows when a bearing began to be ill, but at half of its life few would have it"
            " so.",
            "",
            "Peers judge the logarithms of RMS and kurtosis of each axis, averaged over as many snapshots as"
            " ours, through the alert rule of ours, at the one threshold that is best after the fact of those"
            " whose alarms stand in first halves for no longer than ours. HalfSpaceTrees has a window no longer"
            " than the lesson. Nothing that was published of these recordings is comparable: they were made for a"
            " challenge to foretell the remaining life, which Tocsin does not try.",
            *absent(peers),
            *(["", which(result["files"], result["left_out"])] if result["left_out"] else []),
        ]
    )


def plot(result: dict[str, Any], path: Path) -> None:
    leads = [Bar(one["name"], (one["lead_s"] or 0.0) / 60, "ours") for one in result["bearings"]]
    every = {"Tocsin": ("ours", result)}
    every |= {name: ("peer", one) for name, one in result.get("peers", {}).items() if "missing" not in one}
    every |= {name: ("control", one) for name, one in result["controls"].items()}
    medians = [Bar(name, (one["median_lead_s"] or 0.0) / 60, kind) for name, (kind, one) in every.items()]
    cleared = [Bar(name, one["cleared_per_10_hours"], kind) for name, (kind, one) in every.items()]
    under = [
        Bar(name, None if (share := one["under_alarm_first_half"]) is None else 100 * share, kind)
        for name, (kind, one) in every.items()
    ]
    panels = [("lead, min", leads), ("median lead, min", medians), ("cleared per 10 h", cleared)]
    bars(path, [*panels, ("first halves under an alarm, %", under)])


def _brief(life: Life, starts: Sequence[int] | range) -> list[Alarm]:
    """Alarms of HOLD snapshots."""
    return [(start, start + HOLD if start + HOLD < life.snapshots else None) for start in sorted(starts)]


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
    if "missing" in one:
        return [None] * 4
    alarmed, under = one["alarmed"], one["under_alarm_first_half"]
    count = f"{alarmed:.3g}" if "of" not in one else f"{alarmed} of {one['of']}"
    share = None if under is None else 100 * under
    return [count, _minutes(one["median_lead_s"]), one["cleared_per_10_hours"], share]


def _setting(control: dict[str, Any]) -> str:
    return f", {shown(control['setting_s'] / 60)} min" if "setting_s" in control else ""
