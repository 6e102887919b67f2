"""A number as a source tells it, made the quantity of a channel."""

from __future__ import annotations

import math

from sensors.json_path import LARGEST


def quantity(
    number: float, scale: float, offset: float, lowest: float | None, highest: float | None
) -> float:
    """`number * scale + offset`; NaN stays. Raises ValueError for what is outside of the limits, or of float32."""
    value = number * scale + offset
    if math.isnan(number):
        return number
    if not abs(value) <= LARGEST:
        raise ValueError(f"{value:g} is too large")
    if lowest is not None and value < lowest:
        raise ValueError(f"{value:g} is below {lowest:g}")
    if highest is not None and value > highest:
        raise ValueError(f"{value:g} is above {highest:g}")
    return value
