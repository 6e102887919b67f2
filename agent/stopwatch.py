"""Times the parts of the road from outside, so that the road itself carries no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from models.calibration import Calibration
from models.features import Telemetry, Vibration
from models.session import Bound


class Part:
    """A part of the road: what the calls of one pass took, and the least of all passes."""

    def __init__(self) -> None:
        self.spent_s, self.calls = 0.0, 0
        self.least_us = float("inf")

    def end(self, windows: int) -> None:
        """After a pass of so many windows."""
        self.least_us = min(self.least_us, max(0.0, self.spent_s) / windows * 1e6)


@contextmanager
def stopwatch() -> Iterator[dict[str, Part]]:
    """Time every call of the features, the session and the calibration, wherever they are made."""
    parts = {"features": Part(), "session": Part(), "calibration": Part()}
    watched: list[tuple[type, str, str]] = [
        (Telemetry, "extract", "features"),
        (Vibration, "extract", "features"),
        (Bound, "run", "session"),
        (Calibration, "apply", "calibration"),
    ]
    before = [getattr(owner, name) for owner, name, _ in watched]
    own_s = _own_s()
    for (owner, name, part), function in zip(watched, before, strict=True):
        setattr(owner, name, _timed(function, parts[part], own_s))
    try:
        yield parts
    finally:
        for (owner, name, _), function in zip(watched, before, strict=True):
            setattr(owner, name, function)


def _timed(function: Callable[..., Any], part: Part, own_s: float) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        began = perf_counter()
        result = function(*arguments)
        part.spent_s += perf_counter() - began - own_s
        return result

    return timed


def _own_s() -> float:
    """What a watched call costs by being watched."""
    least = float("inf")
    for _ in range(20):
        part = Part()
        nothing = _timed(lambda: None, part, 0.0)
        for _ in range(1000):
            nothing()
        least = min(least, part.spent_s / 1000)
    return least
