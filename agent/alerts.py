"""The life of an alert: inactive, pending, active, clearing, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import Literal

State = Literal["inactive", "pending", "active", "clearing"]
Severity = Literal["warning", "critical"]
Look = Literal["full", "lite", "sentinel", "none"]
Happening = Literal["raised", "updated", "cleared", "flooded"]
# What is ill: the machine; the machine, slowly; its sensor, which is silent; its sensor's signal, which cannot be true;
# what the machine does, which is none of its operating states.
About = Literal["machine", "creeping", "sensor", "signal", "state"]
ABOUT: tuple[About, ...] = ("machine", "creeping", "sensor", "signal", "state")

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Rule:
    """When a monitor's level becomes an alert, and when the alert ends. Level 1.0 is the edge of normal."""

    on_delay_s: float = 10.0  # the level must have been at or above on_level this long; 0 raises at once
    off_delay_s: float = 30.0  # and below clear_level this long; 0 clears at once
    on_level: float = 1.0
    off_level: float = 0.9
    # Below it for off_delay_s clears the alert; between it and off_level it is clearing. 0.0: where a budget of false
    # alarms wants it (Judge), and without one off_level.
    clear_level: float = 0.0
    # For this long after a raise another one needs twice the level of that raise. The method is
    # ARTime's and NAB's: an alarm that repeats says nothing new unless the score has doubled.
    hold_s: float = 0.0
    critical_level: float = 2.0  # at or above: severity "critical", else "warning"
    flood_per_hour: int = 12  # raises in any 3,600 s; further ones are counted, not raised; 0 is no limit


@dataclass(frozen=True, slots=True)
class Alert:
    """One monitor's alert. When cleared it keeps raised_at, peak and severity, to tell its story by."""

    state: State = "inactive"
    since: float = 0.0  # Unix seconds, when this state began
    raised_at: float = 0.0  # Unix seconds of the latest raise; 0.0 when there never was one
    raised_level: float = 0.0  # the level that raised it
    level: float = 0.0  # at the latest change of anything else here
    peak: float = 0.0  # highest level from the raise on
    severity: Severity = "warning"  # rises while the alert lives, never falls
    raises: tuple[float, ...] = ()  # times of the raises of the last hour, at most flood_per_hour of them
    withheld: Literal["", "hold", "flood"] = ""  # pending, long enough, and yet not raised: why
    flooded: bool = False  # raises were suppressed and that was said; until the next raise has been cleared
    suppressed: int = 0  # raises the flood limit kept back before this one

    @property
    def raised(self) -> bool:
        """Between "raised" and "cleared"."""
        return self.state == "active" or self.state == "clearing"

    @property
    def duration_s(self) -> float:
        """How long a cleared alert lasted; 0.0 for one that has not been, and where the clock was set back."""
        return max(0.0, self.since - self.raised_at) if self.state == "inactive" and self.raised_at else 0.0


def advance(alert: Alert, rule: Rule, level: float, now: float) -> Alert:
    """The alert after one more level, measured at `now`. Pure; compare before and after with `happened`.

    What lies between two levels is taken to be as they are: two rows of 1.2, 5 min apart, have been above
    1.0 for 5 min, while a single row above 1.0 raises only with on_delay_s = 0. A NaN level is no
    information: it changes nothing. When time goes backwards, a delay under way starts afresh, and raises
    that then lie in the future count as made now. The very same object comes back when nothing changes.
    """
    state = alert.state
    if state == "inactive":
        if not level >= rule.on_level:  # so written that NaN ends here too
            return alert
        if rule.on_delay_s <= 0.0:
            return _ripe(replace(alert, state="pending", since=now, level=level), rule, level, now)
        return replace(alert, state="pending", since=now, level=level, withheld="")
    if isnan(level):
        return alert
    if state == "pending":
        if level < rule.on_level:
            return replace(alert, state="inactive", since=now, level=level, withheld="")
        if now < alert.since:
            return replace(alert, since=now, level=level)
        if now - alert.since < rule.on_delay_s:
            return alert
        return _ripe(alert, rule, level, now)
    return _fading(alert, rule, level, now)


def _ripe(alert: Alert, rule: Rule, level: float, now: float) -> Alert:
    """A pending alert that has waited long enough: raised, or kept back by the hold or the flood limit."""
    if 0.0 <= now - alert.raised_at < rule.hold_s and level < 2.0 * alert.raised_level:
        return alert if alert.withheld == "hold" else replace(alert, level=level, withheld="hold")
    # Those in the future count for an hour from now: not for nothing, and not until the clock is there again.
    recent = tuple(min(time, now) for time in alert.raises if time > now - HOUR_S)
    if 0 < rule.flood_per_hour <= len(recent):
        if alert.withheld == "flood":  # one stretch above on_level is one raise kept back
            return alert
        return replace(
            alert,
            level=level,
            raises=recent,
            withheld="flood",
            flooded=True,
            suppressed=alert.suppressed + 1,
        )
    return replace(
        alert,
        state="active",
        since=now,
        raised_at=now,
        raised_level=level,
        level=level,
        peak=level,
        severity="critical" if level >= rule.critical_level else "warning",
        raises=(*recent, now) if rule.flood_per_hour > 0 else (),
        withheld="",
    )


def _fading(alert: Alert, rule: Rule, level: float, now: float) -> Alert:
    """An active or clearing alert. Between off_level and on_level it neither ends nor begins; between clear_level and
    off_level it comes no nearer to its end."""
    if level >= rule.off_level:
        if alert.state == "active" and level <= alert.peak:  # so severity has had its chance too
            return alert
        return replace(
            alert,
            state="active",
            since=alert.since if alert.state == "active" else now,
            level=level,
            peak=max(alert.peak, level),
            severity="critical" if level >= rule.critical_level else alert.severity,
        )
    quiet = level < (rule.clear_level or rule.off_level)
    since = alert.since if quiet and alert.state == "clearing" and now >= alert.since else now
    if not quiet:
        return replace(alert, state="clearing", since=now, level=level)
    if now - since >= rule.off_delay_s:
        return replace(alert, state="inactive", since=now, level=level, flooded=False, suppressed=0)
    if alert.state == "clearing" and since == alert.since:
        return alert
    return replace(alert, state="clearing", since=since, level=level)


def interrupted(alert: Alert) -> Alert:
    """The alert after a stretch in which nothing was seen: what was pending has not lasted through it.

    What was raised goes on, also towards its end: one that is clearing needs no whole off_delay_s anew, or an
    alert on a stream with many gaps would never end. Nobody hears of it.
    """
    return replace(alert, state="inactive", withheld="") if alert.state == "pending" else alert


def happened(before: Alert, after: Alert) -> Happening | None:
    """What one `advance` made of the alert that others should hear: usually nothing, which is None."""
    if after is before:
        return None
    if after.raised:
        if not before.raised:
            return "raised"
        return "updated" if after.severity != before.severity else None
    if before.raised:
        return "cleared"
    return "flooded" if after.flooded and not before.flooded else None


@dataclass(frozen=True, slots=True)
class Moved:
    """A feature that left normal: by how many sigma, and upwards where sigma is positive."""

    feature: str  # "temperature", "x band 400-800 Hz", "x outer race (BPFO) 88 Hz"
    channel: str
    sigma: float
    value: float | None  # in `unit`; None where the feature has no value worth telling
    normal: float | None
    unit: str  # UCUM
    share: float | None = None  # of the score; those of all features add up to 1

    @property
    def direction(self) -> Literal["up", "down"]:
        return "down" if self.sigma < 0.0 else "up"


@dataclass(frozen=True, slots=True)
class Model:
    """What scored: the graph, and the digest of it with its weights."""

    detector: str
    graph: str  # file name
    digest: str  # SHA-256 in hex of graph and weights
    variant: str = "fp32"


@dataclass(frozen=True, slots=True)
class Plan:
    """How it was scored: a window every hop_s seconds, by this variant of the graph. Where the governor saves, the
    whole model looks at the newest windows every `full_s`, and at one alone every `lite_s` in between (0: only where
    the sentinel stirs), and samples are gathered for `gather_s` before anybody looks."""

    hop_s: float
    variant: str = "fp32"
    full_s: float = 0.0  # 0: the whole model looks at every window
    lite_s: float = 0.0
    gather_s: float = 0.0
    rests: bool = False  # nobody looks at all: the hardware cannot, and others are more important

    @property
    def look(self) -> Look:
        """What looks at the windows between two looks of the whole model."""
        if self.rests:
            return "none"
        if self.full_s <= self.hop_s:
            return "full"
        return "lite" if self.lite_s else "sentinel"


@dataclass(frozen=True, slots=True)
class Event:
    """Something others should hear, at the sample's own time."""

    kind: Happening
    monitor: str
    time: float  # Unix seconds, rounded to the microsecond
    seq: int  # per monitor, from 1
    alert: Alert  # after the happening
    level: float
    moved: tuple[Moved, ...]  # the largest first
    model: Model | None
    plan: Plan | None
    sensor: str
    about: About = "machine"
    note: str = ""  # about a sensor: what is wrong with it, as a phrase ("no data for 30 s: device gone")
    fault: str = ""  # its name, where it has one: "stuck", "outer race (BPFO)"
    confidence: float | None = None  # in the fault's name, up to 0.99; None where none is named
    zone: str = ""  # ISO 20816's, where the kind of machine is known
    diagnosis: str = ""  # fault and zone as a phrase
    operating: str = ""  # the operating state the machine was in; "" where it has only one
    evidence: str = ""  # name of the file that holds what was seen; "" without one
