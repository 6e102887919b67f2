"""The budget of false alarms on healthy machines: what was asked for, what the monitor said to expect, what came."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import numpy as np

from agent.alerts import Event
from agent.assemble import make_monitor
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from agent.progress import Progress
from benchmarks.drawing import Bar, bars
from benchmarks.healthy import HOUR_S, Machine, nab, pronostia, skab, synthetic
from benchmarks.recordings import NoRecordings
from benchmarks.tables import markdown, shown
from models.detector import Job
from models.tail import Expected

HELP = "The budget of false alarms, from one an hour to one a week, on machines with nothing wrong."
WALKED = (
    "Each machine goes through three `Monitor`s side by side that differ in `false_alarms` alone. Bearings "
    "are given `window`, `snapshots: 10 s` and `learn` (a tenth of the life), the synthetic machine `learn: "
    "13 h`; all else as it comes."
)
BUDGETS = {"1 per hour": 1 / HOUR_S, "1 per day": 1 / (24 * HOUR_S), "1 per week": 1 / (168 * HOUR_S)}
LEVEL = 0.05  # of either side of an interval
LONG = 10.0  # % of the hours judged, under an alert: worth a word
SYNTHETIC_H = 200.0


@dataclass(slots=True)
class Outcome:
    """One machine under one budget."""

    name: str
    budget: str
    seen_h: float = 0.0  # of normal, when it was armed
    tested_h: float = 0.0  # judged
    exposed_h: float = 0.0  # of these, with no alert standing: an alarm could begin
    low: float = 0.0  # alarms that it said to expect in these, from, middle and to, as it went
    middle: float = 0.0
    high: float = 0.0
    alarms: int = 0
    at_h: list[float] = field(default_factory=list)  # when they were raised, after the first sample
    words: str = ""  # what it said in the end
    states: int = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=float, default=SYNTHETIC_H, help="of each synthetic machine")
    parser.add_argument("--seeds", type=int, default=3, help="synthetic machines")
    parser.add_argument("--first-seed", type=int, default=0, help="of the synthetic machines")
    parser.add_argument("--per-file", action="store_true", help="add what happened on each machine")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    sources = {
        "SKAB anomaly-free": partial(skab, arguments.data),
        "NAB without anomalies": partial(nab, arguments.data),
        "PRONOSTIA first halves": partial(pronostia, arguments.data),
        "synthetic, loads, starts and stops": partial(
            synthetic, arguments.hours, arguments.first_seed, arguments.seeds
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
            if not found:
                missing.append(f"{source}: there are none")
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
    ears = {}
    monitors = []
    for budget, rate_hz in BUDGETS.items():
        monitor = make_monitor(_with_budget(machine.config, budget, rate_hz), machine.sensor)
        ears[monitor.name] = _Ear(monitor, Outcome(machine.name, budget))
        monitors.append(monitor)
    pipeline = Pipeline(monitors)
    first: float | None = None
    for reading in machine.readings():
        first = reading.time if first is None else first
        turns: dict[str, list[Event]] = {name: [] for name in ears}
        for event in pipeline.push([reading]):
            if event.about == "machine" and event.kind in ("raised", "cleared"):
                turns[event.monitor].append(event)
        for name, ear in ears.items():
            ear.count(turns[name], first)
    for ear in ears.values():
        ear.tested.words = ear.monitor.aim.words()
        ear.tested.states = max(1, len(ear.monitor.status().states))
    return [ear.tested for ear in ears.values()]


class _Ear:
    """Counts what one monitor judges and expects, and its alarms."""

    def __init__(self, monitor: Monitor, tested: Outcome) -> None:
        self.monitor, self.tested = monitor, tested
        self._heard: list[tuple[list[float], Expected]] = []  # times of the rows judged, and what was stated
        self._standing = False  # an alert, after all that was counted
        monitor.listener = self._hear

    def _hear(self, job: Job, levels: Sequence[float]) -> None:
        aim = self.monitor.aim_of(job)
        assert aim.expected is not None  # there is a lesson behind every score
        if not self.tested.tested_h and not self._heard:
            tail = self.monitor.aim.tail
            self.tested.seen_h = 0.0 if tail is None else tail.seconds / HOUR_S
        self._heard.append((job.times, aim.expected))

    def count(self, turns: Sequence[Event], first: float) -> None:
        """What was heard since the last count, in which the alert was raised and cleared at these turns; `first` is
        the time of the first sample. While an alert stands none can begin: that is no time to expect one in."""
        for event in turns:
            if event.kind == "raised":
                self.tested.alarms += 1
                self.tested.at_h.append((event.time - first) / HOUR_S)
        times = [event.time for event in turns]
        standing = np.array([self._standing, *(event.kind == "raised" for event in turns)])
        row_h = self.monitor.plan.hop_s / HOUR_S
        for rows, expected in self._heard:
            under = standing[np.searchsorted(times, rows, side="left")]  # before the row was judged
            exposed_h = int((~under).sum()) * row_h
            self.tested.tested_h += len(rows) * row_h
            self.tested.exposed_h += exposed_h
            self.tested.low += expected.low * HOUR_S * exposed_h
            self.tested.middle += expected.rate * HOUR_S * exposed_h
            self.tested.high += expected.high * HOUR_S * exposed_h
        self._standing = bool(standing[-1])
        self._heard.clear()


def summed(source: str, budget: str, tested: Sequence[Outcome]) -> dict[str, Any]:
    """What all machines of a source did under one budget, and whether that was to be expected: the count must lie in
    the 90 % interval that the Poisson law gives to the rates at either end of what was stated, over the hours in which
    an alarm could begin."""
    low, high = sum(t.low for t in tested), sum(t.high for t in tested)
    alarms, hours = sum(t.alarms for t in tested), sum(t.exposed_h for t in tested)
    judged = sum(t.tested_h for t in tested)
    least, most = poisson_quantile(low, LEVEL), poisson_quantile(high, 1 - LEVEL)
    seen = sum(t.seen_h for t in tested)
    return {
        "source": source,
        "budget": budget,
        "machines": len(tested),
        "seen_hours": seen,
        "tested_hours": judged,
        "exposed_hours": hours,
        "under_alert_share": _share_under(judged, hours),
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


def _share_under(judged_h: float, exposed_h: float) -> float | None:
    return 1 - exposed_h / judged_h if judged_h else None


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
        "exposed_hours": tested.exposed_h,
        "under_alert_share": _share_under(tested.tested_h, tested.exposed_h),
        "stated": [tested.low, tested.middle, tested.high],
        "alarms": tested.alarms,
        "at_hours": tested.at_h,
        "states": tested.states,
        "words": tested.words,
    }


def table(result: dict[str, Any]) -> str:
    head = [
        "healthy machine",
        "machines",
        "lesson, h",
        "judged, h",
        "asked for",
        "under an alert, %",
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
            shown(_percent(row["under_alert_share"])),
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
        "Every alarm is a false one here. *Stated* is what the monitor said to expect of its own budget while it"
        " went (`budget` on the state topic, low, expected and high), summed over the hours in which an alarm"
        " could begin; the alarms must lie within the counts that 90 % of Poisson draws give at its ends. While"
        " an alert stands none can begin, and one that never ends is one alarm: its hours are judged, but no"
        " alarm is asked for or expected in them. Where they are many, a machine that was recorded as healthy has"
        " left what its lesson showed, and a count of alarms says little of it.",
        "",
        markdown(head, rows),
        "",
        *_verdict(result["rows"]),
    ]
    lines += ["", *(f"Not run: {each}." for each in result["missing"])] if result["missing"] else []
    for each in result.get("machines", ()):
        at = ", ".join(f"{hour:.2f}" for hour in each["at_hours"][:12])
        lines.append(
            f"- {each['name']}, {each['budget']}: {each['alarms']} alarms in {each['tested_hours']:.1f} h,"
            f" {shown(_percent(each['under_alert_share']))} % of them under an alert"
            f" ({each['states']} states){' at hour ' + at if at else ''}; {each['words']}"
        )
    return "\n".join(lines)


def _verdict(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where it failed and where it proves little, in words."""
    outside = [
        f"{_cell(row)} ({row['alarms']}, where {row['interval'][0]} to {row['interval'][1]} were to be expected)"
        for row in rows
        if not row["inside"]
    ]
    held = f"{len(rows) - len(outside)} of {len(rows)} counts lie inside of what was stated"
    lines = [f"{held}; outside: {', '.join(outside)}." if outside else f"{held}."]
    if few := [_cell(row) for row in rows if row["stated"][2] < 1]:
        lines.append(f"Little is tested where even the upper end is less than one alarm: {', '.join(few)}.")
    under: dict[str, list[float]] = {}
    for row in rows:
        under.setdefault(row["source"], []).append(100 * (row["under_alert_share"] or 0.0))
    long = [f"{source} ({_span(each)} %)" for source, each in under.items() if max(each) > LONG]
    if long:
        lines.append(f"Under an alert for more than {LONG:g} % of the hours judged: {', '.join(long)}.")
    return lines


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def _cell(row: dict[str, Any]) -> str:
    return f"{row['source']} at {row['budget']}"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


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
