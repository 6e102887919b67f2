"""What has crept: the alert about a normal that moved too far from where it was commissioned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agent.alerts import Moved, Rule
from models.drift import Crept
from models.features import Feature

# A day's mean does not flicker: no delays, and no hold.
CREEPING = Rule(on_delay_s=0.0, off_delay_s=0.0, off_level=0.9, critical_level=1.5)
LEAST_SHARE = 0.5  # of the farthest, for a feature to be named


def crept_far(crept: Crept, columns: Sequence[Feature]) -> tuple[Moved, ...]:
    """The columns that crept the most, the farthest first, with the means of the latest day and of commissioning."""
    sizes = np.abs(crept.sigma)
    named = []
    for i in np.argsort(-sizes, kind="stable").tolist():
        if not sizes[i] or sizes[i] < LEAST_SHARE * sizes.max():
            break
        column, value, normal = columns[i], float(crept.value[i]), float(crept.normal[i])
        if column.logarithm:
            value, normal = math.exp(value), math.exp(normal)
        named.append(Moved(column.name, column.channel, float(crept.sigma[i]), value, normal, column.unit))
    return tuple(named)


def in_words(crept: Crept, limit: float) -> str:
    """ "in 9 days: the limit is 4 sigma since commissioning"."""
    days = f"{crept.days:.0f} days" if crept.days >= 1.95 else f"{24 * crept.days:.0f} hours"
    if crept.together:
        return f"in {days}: with all channels together, to the edge of what was normal at commissioning"
    return f"in {days}: the limit is {limit:g} sigma since commissioning"
