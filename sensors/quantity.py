"""A number as a source tells it, made the quantity of a channel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sensors.base import LARGEST, Channel, OptionError

ROUNDING = 1e-9  # of a value: 1023 counts of 0.1 V make 102.30000000000001 V


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a channel is called, and what becomes of its source's number; where it stands, a driver adds.

    Options:
        name: the channel's name.
        unit: of the result, in UCUM, such as V, A, Cel, Pa, m/s2, %.
        scale: the number is multiplied by this, ...
        offset: ... and this is added.
        lowest: a smaller result is a wrong answer: counted, and missing.
        highest: a greater one too.
    """

    name: str
    unit: str = field(default="1", kw_only=True)
    scale: float = field(default=1.0, kw_only=True)
    offset: float = field(default=0.0, kw_only=True)
    lowest: float | None = field(default=None, kw_only=True)
    highest: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_limits(self.lowest, self.highest)

    @property
    def channel(self) -> Channel:
        return Channel(self.name, self.unit)

    def of(self, number: float) -> float:
        """The source's number as a sample; NaN stays. Raises ValueError for what is outside of the limits, or of
        float32."""
        scaled = number * self.scale
        return within(scaled + self.offset, self.lowest, self.highest, abs(scaled))


def check_limits(lowest: float | None, highest: float | None) -> None:
    """Raises OptionError."""
    if lowest is not None and highest is not None and lowest > highest:
        raise OptionError("lowest", lowest, f"must not be above highest ({highest:g})")


def within(value: float, lowest: float | None, highest: float | None, summed: float = 0.0) -> float:
    """The value; NaN stays. Raises ValueError for what is outside of the limits, or of float32. `summed` is the largest
    number that the value was made of: what it is beyond a limit by rounding alone is within it."""
    if math.isnan(value):
        return value
    if not abs(value) <= LARGEST:
        raise ValueError(f"{value:g} is too large")
    rounding = ROUNDING * max(abs(value), summed)
    if lowest is not None and value < lowest - rounding:
        raise ValueError(f"{value:g} is below {lowest:g}")
    if highest is not None and value > highest + rounding:
        raise ValueError(f"{value:g} is above {highest:g}")
    return value
