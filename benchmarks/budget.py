"""The budget of false alarms on healthy machines: what was asked for, what the monitor said to expect, what came."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import numpy as np

from agent.assemble import make_monitor
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from agent.progress import Progress
from agent.quantities import SPAN, Span
from benchmarks import nab_files, skab_files
from benchmarks.drawing import Bar, bars
from benchmarks.recordings import NoRecordings, files, folder
from benchmarks.road import Arrays, cuts
from benchmarks.tables import markdown, shown
from models.detector import Job
from sensors.base import Channel, Reading, Sensor
from sensors.synthetic import Synthetic

HELP = "The budget of false alarms, from one an hour to one a week, on machines with nothing wrong."
HOUR_S = 3600.0
BUDGETS = {"1 per hour": 1 / HOUR_S, "1 per day": 1 / (24 * HOUR_S), "1 per week": 1 / (168 * HOUR_S)}
LEVEL = 0.05  # of either side of an interval
BLOCK = 60  # rows a Reading: the same alarms as row by row
SYNTHETIC_H, SYNTHETIC_LEARN = 200.0, "13 h"
SNAPSHOT_HZ, SNAPSHOT_S = 25_600.0, 10.0  # PRONOSTIA
FIRST, LEARNED = 0.5, 0.1  # of a bearing's life: what is tested of it, and what it learns from


@dataclass(slots=True)
class Outcome:
    """One machine under one budget."""

    name: str
    budget: str
    seen_h: float = 0.0  # of normal, when it was armed
    tested_h: float = 0.0  # judged
    low: float = 0.0  # alarms that it said to expect, from, middle and to, as it went
    middle: float = 0.0
    high: float = 0.0
    alarms: int = 0
    at_h: list[float] = field(default_factory=list)  # when they were raised, after the first sample
    words: str = ""  # what it said in the end
    states: int = 1


@dataclass(frozen=True, slots=True)
class Machine:
    """A healthy stretch: how its monitor is set up, and its readings."""

    name: str
    sensor: Sensor
    config: MonitorConfig
    readings: Callable[[], Iterator[Reading]]
    hours: float


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=float, default=SYNTHETIC_H, help="of each synthetic machine")
    parser.add_argument("--seeds", type=int, default=3, help="synthetic machines")
    parser.add_argument("--first-seed", type=int, default=0, help="of the synthetic machines")
    parser.add_argument("--per-file", action="store_true", help="add what happened on each machine")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    sources = {
        "SKAB anomaly-free": partial(_skab, arguments.data),
        "NAB without anomalies": partial(_nab, arguments.data),
        "PRONOSTIA first halves": partial(_pronostia, arguments.data),
        "synthetic, loads, starts and stops": partial(
            _synthetic, arguments.hours, arguments.first_seed, arguments.seeds
        ),
    }
    rows: list[dict[str, Any]] = []
    single: list[dict[str, Any]] = []
    missing: list[str] = []
    cpu_s = process_time()
    with Progress("budget") as progress:
        for number, (source, machines) in enumerate(sources.items()):
            progress.tell(lambda n=number: n / len(sources), lambda name=source: name)  # type: ignore[misc]
            try:
                found = [tested for machine in machines() for tested in listen(machine)]
            except NoRecordings as error:
                missing.append(f"{source}: {error}")
                continue
            rows += [summed(source, budget, [t for t in found if t.budget == budget]) for budget in BUDGETS]
            single += [_each(source, tested) for tested in found]
    result = {"rows": rows, "inside": all(row["inside"] for row in rows), "missing": missing}
    result["cpu_s"] = process_time() - cpu_s
    if arguments.per_file:
        result["machines"] = single
    return result


def listen(machine: Machine) -> list[Outcome]:
    """One machine through a monitor for each budget, side by side."""
    found = []
    monitors = []
    for budget, rate_hz in BUDGETS.items():
        config = _with_budget(machine.config, budget, rate_hz)
        monitor = make_monitor(config, machine.sensor)
        tested = Outcome(machine.name, budget)

        def hear(job: Job, levels: Sequence[float], tested: Outcome = tested, monitor: Any = monitor) -> None:
            aim, hours = monitor.aim_of(job), len(levels) * monitor.plan.hop_s / HOUR_S
            if not tested.tested_h:
                tested.seen_h = monitor.aim.tail.seconds / HOUR_S
            tested.tested_h += hours
            expected = aim.expected
            tested.low += expected.low * HOUR_S * hours
            tested.middle += expected.rate * HOUR_S * hours
            tested.high += expected.high * HOUR_S * hours

        monitor.listener = hear
        monitors.append(monitor)
        found.append(tested)
    pipeline = Pipeline(monitors)
    of = {monitor.name: tested for monitor, tested in zip(monitors, found, strict=True)}
    first: float | None = None
    for reading in machine.readings():
        first = reading.time if first is None else first
        for event in pipeline.push([reading]):
            if event.kind == "raised" and event.about == "machine":
                of[event.monitor].alarms += 1
                of[event.monitor].at_h.append((event.time - first) / HOUR_S)
    for monitor, tested in zip(monitors, found, strict=True):
        tested.words = monitor.aim.words()
        tested.states = max(1, len(monitor.status().states))
    return found


def summed(source: str, budget: str, tested: Sequence[Outcome]) -> dict[str, Any]:
    """What all machines of a source did under one budget, and whether that was to be expected: the count must lie in
    the 90 % interval that the Poisson law gives to the rates at either end of what was stated."""
    low, high = sum(t.low for t in tested), sum(t.high for t in tested)
    alarms, hours = sum(t.alarms for t in tested), sum(t.tested_h for t in tested)
    least, most = poisson_quantile(low, LEVEL), poisson_quantile(high, 1 - LEVEL)
    seen = sum(t.seen_h for t in tested)
    return {
        "source": source,
        "budget": budget,
        "machines": len(tested),
        "seen_hours": seen,
        "tested_hours": hours,
        "asked": hours * BUDGETS[budget] * HOUR_S,
        "stated": [low, sum(t.middle for t in tested), high],
        "interval": [least, most],
        "alarms": alarms,
        "per_hour": alarms / hours if hours else None,
        "inside": least <= alarms <= most,
        "machines_inside": sum(_inside(t) for t in tested),
        "extrapolation": len(tested) / (seen * HOUR_S * BUDGETS[budget]) if seen else None,
    }


def _inside(tested: Outcome) -> bool:
    """Whether one machine's alarms were to be expected: several together may hide one that alarms daily."""
    low, high = poisson_quantile(tested.low, LEVEL), poisson_quantile(tested.high, 1 - LEVEL)
    return low <= tested.alarms <= high


def poisson_quantile(mean: float, share: float) -> int:
    """The least count that a Poisson variable of this mean stays within with probability `share` or more."""
    count = max(0, int(mean - 10 * math.sqrt(mean)))  # what is below is next to nothing
    total = _poisson(mean, count)
    while total < share:
        count += 1
        total += _poisson(mean, count)
    return count


def _poisson(mean: float, count: int) -> float:
    """The probability of this count."""
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1)) if mean > 0 else float(count == 0)


def _with_budget(config: MonitorConfig, budget: str, rate_hz: float) -> MonitorConfig:
    return msgspec.structs.replace(config, name=budget.replace(" ", "-"), false_alarms_hz=rate_hz)


def _each(source: str, tested: Outcome) -> dict[str, Any]:
    return {
        "source": source,
        "name": tested.name,
        "budget": tested.budget,
        "tested_hours": tested.tested_h,
        "stated": [tested.low, tested.middle, tested.high],
        "alarms": tested.alarms,
        "at_hours": tested.at_h,
        "states": tested.states,
        "words": tested.words,
    }


# Healthy machines.


def _skab(data: str | None) -> Iterator[Machine]:
    path = folder(data, "skab", ["anomaly-free/*.csv"])
    for file in files(path, ["anomaly-free/*.csv"]):
        recording = skab_files.read_one(file, path)
        yield _rows(recording.name, recording.channels, recording.times, recording.values, 1.0)


def _nab(data: str | None) -> Iterator[Machine]:
    recordings, _ = nab_files.read(folder(data, "nab", [nab_files.LABELS]))
    for recording in recordings:
        if not recording.file.windows:
            values = recording.values.astype(np.float32)[:, None]
            channels = (Channel("value", "1"),)
            yield _rows(recording.name, channels, recording.times, values, recording.rate_hz)


def _rows(name: str, channels: Sequence[Channel], times: Any, values: Any, rate_hz: float) -> Machine:
    sensor = Arrays(channels, rate_hz)

    def readings() -> Iterator[Reading]:
        for start, stop in cuts(times, rate_hz, BLOCK):
            yield Reading(sensor.name, float(times[start]), rate_hz, values[start:stop])

    config = MonitorConfig(name="healthy", sensor=sensor.name)
    return Machine(name, sensor, config, readings, len(times) / rate_hz / HOUR_S)


def _pronostia(data: str | None) -> Iterator[Machine]:
    path = folder(data, "pronostia", ["*.npz"])
    for file in files(path, ["*.npz"]):
        with np.load(file, allow_pickle=False) as arrays:
            if "acc" not in arrays or arrays["acc"].ndim != 3:
                continue
            snapshots = arrays["acc"]
        life, length, axes = snapshots.shape
        sensor = Arrays([Channel(axis, "g") for axis in ("x", "y", "z")[:axes]], SNAPSHOT_HZ, "vibration")

        def readings(snapshots: Any = snapshots, life: int = life) -> Iterator[Reading]:
            for number, snapshot in enumerate(snapshots[: int(FIRST * life)]):
                yield Reading("recording", number * SNAPSHOT_S, SNAPSHOT_HZ, snapshot)

        config = MonitorConfig(
            name="healthy",
            sensor=sensor.name,
            window=Span(length, "rows"),
            snapshots_s=SNAPSHOT_S,
            learn=Span(int(LEARNED * life) * SNAPSHOT_S, "s"),
        )
        yield Machine(file.stem, sensor, config, readings, FIRST * life * SNAPSHOT_S / HOUR_S)


def _synthetic(hours: float, first_seed: int, seeds: int) -> Iterator[Machine]:
    for seed in range(first_seed, first_seed + seeds):
        sensor = Synthetic(
            output="telemetry",
            duty="shifts",
            seed=seed,
            speed=0,
            start=0.0,
            duration_s=hours * HOUR_S,
            block_s=BLOCK,
        )
        sensor.name = "recording"

        def readings(sensor: Synthetic = sensor) -> Iterator[Reading]:
            with sensor:
                while (reading := sensor.read(0)) is not None:
                    yield reading

        config = MonitorConfig(name="healthy", sensor="recording", learn=SPAN.parse(SYNTHETIC_LEARN))
        yield Machine(f"seed {seed}", sensor, config, readings, hours)


# What is shown.


def table(result: dict[str, Any]) -> str:
    head = [
        "healthy machine",
        "machines",
        "lesson, h",
        "tested, h",
        "asked for",
        "as a count",
        "stated: from",
        "middle",
        "to",
        "90 % of counts",
        "alarms",
        "inside",
        "each alone",
    ]
    rows = [
        [
            row["source"],
            row["machines"],
            shown(row["seen_hours"]),
            shown(row["tested_hours"]),
            row["budget"],
            shown(row["asked"], 2),
            *(shown(each, 2) for each in row["stated"]),
            f"{row['interval'][0]} to {row['interval'][1]}",
            row["alarms"],
            "yes" if row["inside"] else "**no**",
            f"{row['machines_inside']} of {row['machines']}",
        ]
        for row in result["rows"]
    ]
    lines = [
        "Every alarm is a false one here. *Stated* is what the monitor said to expect of its own budget while it went"
        " (`budget` on the state topic, low, expected and high), summed over the hours it judged; the alarms must lie"
        " within the counts that 90 % of Poisson draws give at its ends.",
        "",
        markdown(head, rows),
    ]
    lines += ["", *(f"Not run: {each}." for each in result["missing"])] if result["missing"] else []
    for each in result.get("machines", ()):
        at = ", ".join(f"{hour:.2f}" for hour in each["at_hours"][:12])
        lines.append(
            f"- {each['name']}, {each['budget']}: {each['alarms']} alarms in {each['tested_hours']:.1f} h"
            f" ({each['states']} states){' at hour ' + at if at else ''}; {each['words']}"
        )
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    panels = [
        (
            f"{budget}: alarms, and the counts to expect",
            [
                Bar(row["source"], row["alarms"], "ours", row["interval"])
                for row in result["rows"]
                if row["budget"] == budget
            ],
        )
        for budget in BUDGETS
    ]
    bars(path, panels)
