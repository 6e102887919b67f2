"""A number as a source tells it, made the quantity of a channel."""

from __future__ import annotations

import math

from sensors.json_path import LARGEST


def quantity(number: float, scale: float, offset: float, low: float | None, high: float | None) -> float:
    """`number * scale + offset`; NaN stays. Raises ValueError for what is outside of low and high, or of float32."""
    value = number * scale + offset
    if math.isnan(number):
        return number
    if not abs(value) <= LARGEST:
        raise ValueError(f"{value:g} is too large")
    if (low is not None and value < low) or (high is not None and value > high):
        least = "" if low is None else f"below {low:g}"
        most = "" if high is None else f"above {high:g}"
        raise ValueError(f"{value:g} is {' or '.join(filter(None, (least, most)))}")
    return value
