"""What a replay showed: a report of each monitor, of all together, and the same for a person."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import msgspec

from agent.messages import rfc3339
from agent.monitor import Monitor
from agent.sentences import duration

HOUR_S = 3600.0


class Tally(msgspec.Struct):
    """What walking one sensor showed."""

    rows: int = 0
    first: float | None = None  # Unix seconds of the first and the last sample
    last: float | None = None


class MonitorReport(msgspec.Struct, kw_only=True):
    """What one monitor did in a replay."""

    name: str
    sensor: str
    health: str  # "learning", "armed"
    needs: str
    rows: int
    windows: int
    alerts: int
    signal_alerts: int  # about the sensor's signal
    learned_rows: int | None  # None: still learning
    armed_from: str | None  # RFC 3339; None: still learning, or armed all along
    missing: int
    restarts: int
    notes: tuple[str, ...]
    judged_hours: float  # of which there is a level
    learning_hours: float
    # Of which there is neither: gaps, values that were no numbers, and what follows on them.
    blind_hours: float
    false_alarms: (
        str | None
    )  # the budget, and what its tail of normal lets expect, in words; None: still learning


class LabelReport(msgspec.Struct, kw_only=True):
    """What the alerts were worth against labels."""

    windows: int
    hits: int
    misses: int
    unjudged: int
    false_alarms: int
    delays_s: list[float | None]


class ReplayReport(msgspec.Struct, kw_only=True, tag_field="schema", tag="tocsin.replay/1"):
    """The summary of a replay. `seconds` and `rows_per_s` are this computer's; all else follows from the input."""

    device: str
    rows: int
    seconds: float
    rows_per_s: float
    windows: int
    alerts: int  # raised about machines
    signal_alerts: int  # ... and about sensors' signals
    events: dict[str, int]  # by kind
    hours: float  # from the first to the last sample, of all recordings together
    alarms_per_hour: float | None
    monitors: list[MonitorReport]
    skipped: dict[str, dict[str, int]]  # file -> reason -> count
    examples: dict[str, dict[str, str]]  # file -> reason -> the first case
    labels: LabelReport | None = None


def report_of(monitor: Monitor, alerts: int, signal_alerts: int, tally: Tally, judged: int) -> MonitorReport:
    status = monitor.status()
    origin = monitor.baseline.origin if monitor.baseline is not None else None
    hours = hours_of([tally])
    learning = hours
    if origin is not None and tally.first is not None:
        learning = (
            min(max(0.0, origin.last - tally.first) / HOUR_S, hours) if origin.last >= tally.first else 0.0
        )
    judged_hours = min(judged * monitor.plan.hop_s / HOUR_S, hours - learning)
    return MonitorReport(
        name=monitor.name,
        sensor=monitor.sensor,
        health=status.health,
        needs=status.needs,
        rows=status.rows,
        windows=status.windows,
        alerts=alerts,
        signal_alerts=signal_alerts,
        learned_rows=origin.rows if origin is not None else None,
        armed_from=rfc3339(origin.last) if origin is not None else None,
        missing=status.missing,
        restarts=status.restarts,
        notes=status.notes,
        judged_hours=round(judged_hours, 6),
        learning_hours=round(learning, 6),
        blind_hours=round(max(0.0, hours - learning - judged_hours), 6),
        false_alarms=monitor.aim.words() if monitor.armed else None,
    )


def hours_of(tallies: Iterable[Tally]) -> float:
    """From the first sample to the last."""
    spans = [
        (tally.first, tally.last) for tally in tallies if tally.first is not None and tally.last is not None
    ]
    if not spans:
        return 0.0
    return (max(last for _, last in spans) - min(first for first, _ in spans)) / HOUR_S


def summary(report: ReplayReport) -> str:
    """The report for a person."""
    lines = [
        f"{report.rows:,} rows in {report.seconds:.2f} s ({report.rows_per_s:,.0f} rows/s), {report.windows:,} windows,"
        f" {report.hours:,.1f} h of recording"
    ]
    rate = "" if report.alarms_per_hour is None else f", {report.alarms_per_hour:.3g} per hour"
    lines.append(f"{_count(report.alerts, 'alert')}{rate}")
    for monitor in report.monitors:
        words = f"learned from {monitor.learned_rows} rows until {monitor.armed_from}"
        if monitor.learned_rows is None:
            words = f"is still learning: {monitor.needs}"
        words += f"; judged {_span(monitor.judged_hours)}"
        if monitor.blind_hours * HOUR_S >= 1:
            words += f", blind {_span(monitor.blind_hours)}"
        missing = f", {monitor.missing} samples missing" if monitor.missing else ""
        restarts = f", {monitor.restarts} fresh starts after gaps" if monitor.restarts else ""
        ailments = (
            f", {_count(monitor.signal_alerts, 'alert')} about its sensor" if monitor.signal_alerts else ""
        )
        lines.append(
            f"monitor {monitor.name}: {words}; {_count(monitor.alerts, 'alert')}{ailments}{missing}{restarts}"
        )
        if monitor.false_alarms is not None:
            lines.append(f"  false alarms: {monitor.false_alarms}")
        lines += [f"  note: {note}" for note in monitor.notes]
    for file, reasons in report.skipped.items():
        for reason, count in reasons.items():
            lines.append(
                f"{count} x {reason.replace('_', ' ')}, the first: {report.examples[file].get(reason, file)}"
            )
    if report.labels is not None:
        lines.append(_verdict_words(report.labels))
    return "\n".join(lines)


def _verdict_words(label: LabelReport) -> str:
    delays = sorted(delay for delay in label.delays_s if delay is not None)
    words = f"labels: {label.hits} of {label.windows} windows heard"
    if delays:
        words += f" (after {delays[0]:,.0f} to {delays[-1]:,.0f} s, median {median(delays):,.0f} s)"
    words += f", {label.misses} missed, {_count(label.false_alarms, 'false alarm')}"
    return words + (f", {label.unjudged} while still learning" if label.unjudged else "")


def _span(hours: float) -> str:
    return duration(hours * HOUR_S)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
