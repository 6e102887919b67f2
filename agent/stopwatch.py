"""Times the parts of the road from outside, so that the road itself carries no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import process_time
from typing import Any, NamedTuple

from models.calibration import Calibration
from models.features import Telemetry
from models.session import Bound
from models.vibration import Vibration
from models.waveform import Waveform

Clock = Callable[[], float]
ROUNDS, CALLS = 50, 100  # of the trial that finds what watching costs; the best round counts


class Own(NamedTuple):
    """What a watched call costs by being watched, in seconds: between its two looks at the clock, and around them."""

    inside_s: float
    around_s: float


class Part:
    """A part of the road: how often it was called, and what that took with the watching."""

    def __init__(self) -> None:
        self.spent_s, self.calls = 0.0, 0


class Split(NamedTuple):
    """A whole and its parts, by one clock in one pass, less what the watching cost; in seconds."""

    whole_s: float
    parts_s: dict[str, float]

    @property
    def rest_s(self) -> float:
        """What no part took."""
        return self.whole_s - sum(self.parts_s.values())


@contextmanager
def stopwatch(clock: Clock = process_time) -> Iterator[dict[str, Part]]:
    """Time every call of the features, the session and the calibration, wherever they are made."""
    parts = {"features": Part(), "session": Part(), "calibration": Part()}
    watched: list[tuple[type, str, str]] = [
        (Telemetry, "extract", "features"),
        (Vibration, "extract", "features"),
        (Waveform, "_fill", "features"),  # its graph, between the two, is the session's
        (Waveform, "_columns_of", "features"),
        (Bound, "run", "session"),
        (Calibration, "apply", "calibration"),
    ]
    before = [getattr(owner, name) for owner, name, _ in watched]
    for (owner, name, part), function in zip(watched, before, strict=True):
        setattr(owner, name, _timed(function, parts[part], clock))
    try:
        yield parts
    finally:
        for (owner, name, _), function in zip(watched, before, strict=True):
            setattr(owner, name, function)


def split(whole_s: float, parts: dict[str, Part], own: Own) -> Split:
    """What the watched whole took, taken apart."""
    calls = sum(part.calls for part in parts.values())
    return Split(
        whole_s - calls * (own.inside_s + own.around_s),
        {name: part.spent_s - part.calls * own.inside_s for name, part in parts.items()},
    )


def own_cost(clock: Clock = process_time) -> Own:
    """What it costs to be watched, found with a function that does nothing."""
    best = Own(float("inf"), float("inf"))
    for _ in range(ROUNDS):
        part = Part()
        plain_s = _calls_s(_nothing, clock)
        watched_s = _calls_s(_timed(_nothing, part, clock), clock)
        inside = part.spent_s / CALLS - plain_s
        best = min(best, Own(inside, watched_s - plain_s - inside), key=sum)
    return best


def _timed(function: Callable[..., Any], part: Part, clock: Clock) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        began = clock()
        result = function(*arguments)
        part.spent_s += clock() - began
        part.calls += 1
        return result

    return timed


def _nothing() -> None: ...


def _calls_s(function: Callable[[], None], clock: Clock) -> float:
    """Seconds for one call."""
    calls = range(CALLS)
    began = clock()
    for _ in calls:
        function()
    return (clock() - began) / CALLS
