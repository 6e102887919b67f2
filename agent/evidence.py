"""What there is to say for an alert: how its level came about, and the stretch of the stream it was judged by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from numpy.typing import NDArray

from agent.alerts import About, Alert, Event, Happening
from agent.ids import event_id, rfc3339

Arrays = dict[str, NDArray[Any]]
SHORT = 8  # figures of an event's id in the name of its evidence


class Contribution(Struct, frozen=True, kw_only=True):
    """What one feature makes of the score."""

    feature: str
    channel: str
    unit: str
    sigma: float | None  # distance from normal in standard deviations, signed
    share: float  # of the score; those of all features add up to 1; negative where it speaks against
    value: float | None  # in `unit`
    normal: float | None
    fault: bool = False  # tells of one fault by name


class Score(Struct, frozen=True, kw_only=True):
    """One of a detector's scores. The largest ratio of one to its reference, over the edge, is the level."""

    name: str
    adds_up: str  # of what the contributions are shares; "" where the largest alone makes it
    raw: float | None  # None: more than a number can hold
    reference: float


class Account(Struct, frozen=True, kw_only=True):
    """How a level came about: all of it, where an event names only the most."""

    contributions: tuple[Contribution, ...]  # the largest share first
    scores: tuple[Score, ...]  # the first is the one that made the level, and that has the contributions
    edge: float  # ratio of score to reference at which the level is 1.0
    notes: tuple[str, ...] = ()  # what the edge stands for, in words


class Column(Struct, frozen=True, kw_only=True):
    """A channel, or a feature made of one."""

    name: str
    channel: str
    unit: str
    logarithm: bool = False  # the numbers are the natural logarithm of a quantity in `unit`


class Measure(Struct, frozen=True, kw_only=True):
    """What one of a detector's scores is."""

    name: str  # "distance", "jump"
    adds_up: str = ""  # of what columns make shares: "squared distance"; "" where the largest alone makes it


class Spread(Struct, frozen=True, kw_only=True):
    """How a feature was spread over some rows."""

    low: float  # 5 % are below
    median: float
    high: float  # 5 % are above


class Scene(Struct, frozen=True, kw_only=True):
    """What one alert of a monitor has in common with the next. What was learned is filled in when there is one."""

    channels: tuple[Column, ...]  # columns of the values, or of the waveform
    features: tuple[Column, ...]  # columns of the rows; the same as the channels where there are no rows
    waveform: bool  # values come too fast to keep a time for each
    span_s: float  # how much of the stream one level looks back on
    measures: tuple[Measure, ...]  # of the detector's scores, in their order
    learned_rows: int = 0
    learned_from: float = 0.0  # Unix seconds
    learned_until: float = 0.0
    learned: tuple[Spread, ...] = ()  # of each feature, over what was learned from
    lines: dict[str, float] = {}  # a bearing's fault frequencies in Hz, by part


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to say for one alert; `whole` once it holds what came after it too.

    Its arrays: `level_times`, `levels`; of telemetry `value_times`, `values` as they came; where features are not
    the values themselves `row_times`, `rows`; of a waveform `waveform`, the newest samples up to the event.
    """

    name: str  # of its file
    event: Event
    account: Account
    scene: Scene
    arrays: Arrays = field(default_factory=dict)
    rate_hz: float = 0.0  # of the waveform
    waveform_end: float = 0.0  # time of its last sample
    whole: bool = False


def evidence_name(device: str, monitor: str, about: About, kind: Happening, alert: Alert, time: float) -> str:
    """The name of the file for an event, the same live and replayed: "pump-20231114T221320.123Z-12e035d3.npz". That of
    an alert's end is that of its raise; "" for a flood, and where no device is known."""
    if not device or kind == "flooded":
        return ""
    if kind == "cleared":
        kind, time = "raised", alert.raised_at
    stamp = rfc3339(time).replace("-", "").replace(":", "")
    return f"{monitor}-{stamp}-{event_id(device, monitor, about, kind, time)[:SHORT]}.npz"
