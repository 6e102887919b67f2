"""What takes weeks: a machine that degrades over 14 days, and a working week that breaks on one Tuesday."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.monitor_config import MonitorConfig
from agent.progress import Progress
from agent.quantities import SPAN
from benchmarks.drawing import Bar, bars
from benchmarks.road import Walk, walk
from benchmarks.tables import markdown, shown
from benchmarks.weeks import Break, week
from sensors.base import Channel
from sensors.machine import Fault, FaultKind
from sensors.synthetic import Synthetic

HELP = "The synthetic machine degrading over 14 days, and a weekly pattern that breaks on one Tuesday."
WALKED = (
    "Each machine goes through a `Monitor` of its own: `learn: 2 d`, of the weeks `14 d`, all else as it "
    "comes."
)
DAY_S, HOUR_S = 86_400.0, 3600.0
HEALTHY_DAYS, LEARN_DAYS, RAMP_DAYS = 5, 2, 14
RATE_HZ = 1 / 60
START = 1_700_000_000.0
FAULTS: tuple[FaultKind, ...] = ("misalignment", "imbalance", "bearing_outer")
LISTENED: tuple[tuple[str, ...], ...] = ((), ("temperature",), ("vibration",))
SEVERITIES = (1.0, 0.05)  # at the end of the ramp; 1 is ready to be stopped
WEEKS, BREAKS_IN, WEEK_LEARN_DAYS, WEEK_PERIOD_S = 8, 5, 14, 600.0
FORGETS_H, FORGETS_SIGMA = 54, 5.0  # the control that learns for ever from what it has just seen
PUBLISHED = {
    "Netdata": "learns the last 54 hours, or a part of them, over and over: weekly seasons and degradation slower than"
    " that are declared undetectable (its documentation of machine learning, read in November 2026)"
}


@dataclass(frozen=True, slots=True)
class Ramp:
    """A machine, what is listened to, and what goes wrong."""

    fault: FaultKind | None
    severity: float
    channels: tuple[str, ...]  # () is all five, by the Mahalanobis head; one goes to the level bank
    seed: int

    @property
    def name(self) -> str:
        return f"{self.fault} to {self.severity:g}" if self.fault else "healthy"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=3, help="machines, and weeks, of each kind")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    seeds = range(arguments.seeds)
    ramps = [
        Ramp(fault, severity, channels, seed)
        for seed in seeds
        for fault in (*FAULTS, None)
        for severity in (SEVERITIES if fault else (0.0,))
        for channels in LISTENED
        if (fault, channels) != ("imbalance", ("temperature",))  # which does not warm it
    ]
    breaks: tuple[Break, ...] = ("idle", "shifted", "through", "none")
    weeks = [(broken, seed) for broken in breaks for seed in seeds]
    found: dict[str, Any] = {"seeds": len(seeds), "published": PUBLISHED, "ramps": [], "weeks": []}
    done, whole = 0, len(ramps) + len(weeks)
    with Progress("slow") as progress:
        for ramp in ramps:
            progress.tell(lambda: done / whole, lambda: ramp.name)  # noqa: B023
            found["ramps"].append(degrade(ramp))
            done += 1
        for broken, seed in weeks:
            progress.tell(lambda: done / whole, lambda: f"Tuesday {broken}")  # noqa: B023
            found["weeks"].append(tuesday(broken, seed))
            done += 1
    return found


def degrade(ramp: Ramp) -> dict[str, Any]:
    """One machine, healthy for days and then worse from minute to minute; a healthy one for as long."""
    begin_s = HEALTHY_DAYS * DAY_S
    faults: tuple[Fault, ...] = ()
    if ramp.fault is not None:
        faults = (Fault(ramp.fault, at_s=begin_s, severity=ramp.severity, ramp_s=RAMP_DAYS * DAY_S),)
    values, times, channels = made(ramp.seed, faults)
    config = MonitorConfig(
        name="recording",
        sensor="recording",
        channels=ramp.channels,
        learn=SPAN.parse(f"{LEARN_DAYS} d"),
    )
    walked = walk(values, times, channels=channels, rate_hz=RATE_HZ, config=config, block=1440)
    begin = START + begin_s
    listened = [i for i, channel in enumerate(channels) if not ramp.channels or channel.name in ramp.channels]
    forgets = forgetful(values[:, listened], times)
    first = {about: raised(walked, about, begin) for about in ("machine", "creeping")}
    heard = min((at for at in first.values() if at is not None), default=None)
    return {
        "fault": ramp.fault,
        "severity": ramp.severity,
        "channels": list(ramp.channels),
        "seed": ramp.seed,
        "false_before": sum(event.kind == "raised" and event.time < begin for event in walked.events),
        "alerts": sum(event.kind == "raised" for event in walked.events),
        "first_d": heard,
        "machine_d": first["machine"],
        "creeping_d": first["creeping"],
        "of_ramp": None if heard is None else heard / RAMP_DAYS,
        "forgetful_d": next(((at - begin) / DAY_S for at in forgets if at >= begin), None),
        "forgetful_false": sum(at < begin for at in forgets),
        "us_per_row": walked.us_per_row,
    }


@lru_cache(maxsize=1)  # what listens to one machine comes one after the other
def made(
    seed: int, faults: tuple[Fault, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float64], tuple[Channel, ...]]:
    """The machine's telemetry, a row a minute."""
    sensor = Synthetic(
        output="telemetry",
        rate_hz=RATE_HZ,
        seed=seed,
        faults=faults,
        duration_s=(HEALTHY_DAYS + RAMP_DAYS) * DAY_S,
        start=START,
        block_s=DAY_S,
        speed=0.0,
    )
    sensor.name = "recording"
    pieces = []
    with sensor:
        while not sensor.finished:
            reading = sensor.read(1.0)
            if reading is not None:
                pieces.append(reading.values)
    values = np.concatenate(pieces)
    return values, START + np.arange(len(values)) / RATE_HZ, sensor.channels


def tuesday(broken: Break, seed: int) -> dict[str, Any]:
    """Weeks of work, one Tuesday of which is broken."""
    values, times, at = week(seed, weeks=WEEKS, period_s=WEEK_PERIOD_S, broken=broken, at_week=BREAKS_IN)
    config = MonitorConfig(name="recording", sensor="recording", learn=SPAN.parse(f"{WEEK_LEARN_DAYS} d"))
    walked = walk(
        values, times, channels=[Channel("load", "%")], rate_hz=1 / WEEK_PERIOD_S, config=config, block=1000
    )
    alerts = [event.time for event in walked.events if event.kind == "raised"]
    within = [time for time in alerts if at <= time < at + DAY_S]
    forgets = forgetful(values, times)
    return {
        "broken": broken,
        "seed": seed,
        "false_before": sum(time < at for time in alerts),
        "delay_h": (within[0] - at) / HOUR_S if within else None,
        "after": sum(
            time >= at + DAY_S for time in alerts
        ),  # as the Tuesday that follows is compared with it
        "forgetful_found": any(at <= time < at + DAY_S for time in forgets),
        "forgetful_false": sum(time < at for time in forgets),
    }


def raised(walked: Walk, about: str, begin: float) -> float | None:
    """Days from `begin` to the first alert about this."""
    times = [
        event.time
        for event in walked.events
        if event.kind == "raised" and event.about == about and event.time >= begin
    ]
    return (min(times) - begin) / DAY_S if times else None


def forgetful(values: NDArray[np.float32], times: NDArray[np.float64]) -> list[float]:
    """When a control alarms that compares the mean of an hour with the FORGETS_H hours before it; at most once in
    FORGETS_H hours."""
    rows = max(1, round(HOUR_S / float(times[1] - times[0])))
    hours = len(values) // rows
    means = values[: hours * rows].reshape(hours, rows, -1).mean(axis=1, dtype=np.float64)
    alarms: list[float] = []
    for hour in range(FORGETS_H, hours):
        before = means[hour - FORGETS_H : hour]
        apart = np.abs(means[hour] - before.mean(axis=0)) / np.maximum(before.std(axis=0), 1e-12)
        at = float(times[(hour + 1) * rows - 1])
        if apart.max() > FORGETS_SIGMA and (not alarms or at - alarms[-1] > FORGETS_H * HOUR_S):
            alarms.append(at)
    return alarms


def table(result: dict[str, Any]) -> str:
    rows = []
    keys = sorted(
        dict.fromkeys((tuple(r["channels"]), r["fault"], r["severity"]) for r in result["ramps"]),
        key=lambda key: key[0],
    )
    for channels, fault, severity in keys:
        of = [
            r
            for r in result["ramps"]
            if (tuple(r["channels"]), r["fault"], r["severity"]) == (channels, fault, severity)
        ]
        rows.append(
            [
                ", ".join(channels) or "all five",
                f"{fault} to {severity:g}" if fault else "none, healthy",
                f"{sum(r['first_d'] is not None for r in of)} of {len(of)}" if fault else "",
                _middle(of, "first_d") if fault else "",
                _middle(of, "of_ramp", 100) if fault else "",
                _middle(of, "creeping_d") if fault else "",
                str(sum(r["false_before"] if fault else r["alerts"] for r in of)),
                f"{sum(r['forgetful_d'] is not None for r in of)} of {len(of)}" if fault else "",
            ]
        )
    days = f"{HEALTHY_DAYS} healthy days, {LEARN_DAYS} of them learned from, then {RAMP_DAYS} days from well to ill"
    parts = [
        f"{result['seeds']} machines of each kind, a row a minute: {days}. Severity 1 is ready to be stopped. False:"
        " alerts before it begins, of healthy machines in all 19 days.",
        markdown(
            [
                "listens to",
                "fault",
                "heard",
                "after days, median",
                "at % of the ramp",
                "creeping after days",
                "false",
                f"control that forgets in {FORGETS_H} h: heard",
            ],
            rows,
        ),
    ]
    rows = []
    for broken in dict.fromkeys(r["broken"] for r in result["weeks"]):
        of = [r for r in result["weeks"] if r["broken"] == broken]
        rows.append(
            [
                {"idle": "like a Sunday", "shifted": "five hours late", "through": "without a night"}.get(
                    broken, "like any other"
                ),
                f"{sum(r['delay_h'] is not None for r in of)} of {len(of)}",
                _middle(of, "delay_h"),
                str(sum(r["false_before"] for r in of)),
                str(sum(r["after"] for r in of)),
                f"{sum(r['forgetful_found'] for r in of)} of {len(of)}",
                str(sum(r["forgetful_false"] for r in of)),
            ]
        )
    parts += [
        "Every alert counts as heard. Where healthy machines alarm too (the default budget is one a week), what is"
        " heard late in the ramp may be chance.",
        f"A working week, a row in {WEEK_PERIOD_S / 60:g} minutes, {WEEK_LEARN_DAYS} days learned from; the Tuesday of"
        f" week {BREAKS_IN + 1} of {WEEKS} is another. After: alerts on later days, mostly on the Tuesday that is"
        " compared with it.",
        markdown(
            [
                "that Tuesday",
                "heard on it",
                "hours after midnight",
                "false before",
                "after",
                "control heard",
                "control false before",
            ],
            rows,
        ),
        *(f"{name} {words}." for name, words in result["published"].items()),
    ]
    return "\n\n".join(parts)


def _middle(of: Sequence[dict[str, Any]], key: str, times: float = 1.0) -> str:
    known = [r[key] * times for r in of if r[key] is not None]
    return shown(median(known), 2) if known else "-"


def plot(result: dict[str, Any], path: Path) -> None:
    drawn = []
    for channels, fault, severity in dict.fromkeys(
        (tuple(r["channels"]), r["fault"], r["severity"]) for r in result["ramps"] if r["fault"]
    ):
        of = [
            r["first_d"]
            for r in result["ramps"]
            if (tuple(r["channels"]), r["fault"], r["severity"]) == (channels, fault, severity)
            and r["first_d"] is not None
        ]
        if of:
            drawn.append(Bar(f"{', '.join(channels) or 'all five'}: {fault} to {severity:g}", median(of)))
    bars(path, [(f"days of a {RAMP_DAYS}-day ramp to the first alert, median", drawn)])
