"""An event as one English sentence, for a person who has never seen this program."""

from __future__ import annotations

from math import isfinite

from agent.alerts import Event, Moved

SPOKEN = 1  # how many moved features are said in full; the others are counted


def sentence(event: Event) -> str:
    """What moved, by how much, which way, from what to what; or what ended, and how it was."""
    if event.kind == "flooded":
        return (
            f"{event.monitor}: alerts come too often, so further ones are only counted until it calms down;"
            f" {_level(event)}."
        )
    if event.kind == "cleared" and event.note:
        return f"{event.monitor}: an alert is over after {duration(event.alert.duration_s)}: {event.note}."
    if event.about in ("sensor", "signal"):
        return _sensor(event)
    if event.about == "state":
        return _unknown(event)
    if event.about == "creeping":
        return _creeping(event)
    if event.kind == "cleared":
        alert = event.alert
        lasted = duration(alert.duration_s)
        return f"{event.monitor}: back to normal after {lasted} (peak level {_number(alert.peak)})."
    happening = f"{_moved(event.moved)}; " if event.moved else "left normal; "
    if event.diagnosis:
        happening = f"{event.diagnosis}; {happening}"
    if event.kind == "updated":
        happening = f"now {event.alert.severity}: {happening}"
        return f"{event.monitor}: {happening}{_level(event)}."
    return f"{event.monitor}: {happening}{_level(event)}, {event.alert.severity}{_suppressed(event)}."


def _sensor(event: Event) -> str:
    alert = event.alert
    what = event.note or "its readings make no sense"
    if event.kind == "cleared":
        return f"{event.monitor}: sensor {event.sensor} is well again after {duration(alert.duration_s)}."
    if event.about == "signal":
        now = " now" if event.kind == "updated" else ""
        return f"{event.monitor}: sensor {event.sensor}{now}: {what}{_suppressed(event)}."
    word = f", now {alert.severity}" if event.kind == "updated" else ""
    return f"{event.monitor}: sensor {event.sensor}: {what}{word}{_suppressed(event)}."


def _unknown(event: Event) -> str:
    if event.kind == "cleared":
        return f"{event.monitor}: in a known operating state again after {duration(event.alert.duration_s)}."
    where = f" ({event.note})" if event.note else ""
    return f"{event.monitor}: in no known operating state for too long{where}, so nothing is judged."


def _creeping(event: Event) -> str:
    lasted = duration(event.alert.duration_s)
    if event.kind == "cleared":
        return f"{event.monitor}: what had crept away is back within its limit after {lasted}."
    said = "its normal has crept away"
    if event.moved:
        first, others = event.moved[0], len(event.moved) - 1
        said = f"{first.feature} has crept"
        if first.value is not None and first.normal is not None:
            said += f" from {quantity(first.normal, '')} to {quantity(first.value, first.unit)}"
        if others:
            said += f", {others} more with it,"
    word = f"now {event.alert.severity}: " if event.kind == "updated" else ""
    return f"{event.monitor}: {word}{said} {event.note}{_suppressed(event)}."


def _moved(moved: tuple[Moved, ...]) -> str:
    said = [_one(feature) for feature in moved[:SPOKEN]]
    rest = len(moved) - SPOKEN
    if rest > 0:
        said.append(f"{rest} more moved")
    return ", ".join(said)


def _one(moved: Moved) -> str:
    verb = "fell" if moved.direction == "down" else "rose"
    if isfinite(moved.sigma):
        text = f"{moved.feature} {verb} {_sigmas(moved.sigma)} sigma"
    else:
        text = f"{moved.feature} {verb} far"
    text += " below normal" if moved.direction == "down" else " above normal"
    if moved.value is None or not isfinite(moved.value):
        return text
    here = quantity(moved.value, moved.unit)
    if moved.normal is None or not isfinite(moved.normal):
        return f"{text} ({here})"
    return f"{text} ({here}, normal {quantity(moved.normal, moved.unit)})"


def _level(event: Event) -> str:
    return f"level {_number(event.level)}" if isfinite(event.level) else "level unknown"


def _suppressed(event: Event) -> str:
    count = event.alert.suppressed
    if event.kind != "raised" or not count:
        return ""
    return f" ({count} earlier {'alert was' if count == 1 else 'alerts were'} kept back as too many)"


def _sigmas(sigma: float) -> str:
    """12 rather than 12.3: beyond ten the tenths tell nobody anything."""
    size = abs(sigma)
    if size >= 1000.0:
        return "over 1000"
    return f"{size:.0f}" if size >= 9.95 else f"{size:.1f}"


def _number(value: float) -> str:
    return f"{value:.1f}" if 0.95 <= abs(value) < 1000.0 else f"{value:.2g}"


def quantity(value: float, unit: str) -> str:
    """Three or four figures and the UCUM unit: "43.1 Cel", "0.0123 m/s2", "1480 Hz"."""
    size = abs(value)
    if size >= 1e6 or 0.0 < size < 1e-3:
        text = f"{value:.3g}"
    elif size >= 100.0:
        text = f"{value:.0f}"
    elif size >= 10.0:
        text = f"{value:.1f}"
    else:
        text = f"{value:.3g}"
    text = "0" if text in ("-0", "-0.0") else text
    return text if unit in ("", "1") else f"{text} {unit}"


def duration(seconds: float) -> str:
    """In the two largest units that matter: "45 s", "12 min", "2 h 5 min", "3 d 4 h"."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{minutes} min"
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days >= 2:
        return f"{days} d {hours} h" if hours else f"{days} d"
    hours += 24 * days
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
