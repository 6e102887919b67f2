"""Levels into alarms by the product's own alert rule, at any threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.alerts import Alert, Rule, advance

Doubles = NDArray[np.float64]


def raised(times: Doubles, levels: Doubles, rule: Rule, threshold: float = 1.0) -> list[int]:
    """The rows at which the rule raises an alert when 1.0 lies at `threshold`: as if all levels were divided by it.
    NaN is no information, as for the rule itself; rows below on the way to nothing are passed over."""
    rule = replace(rule, flood_per_hour=0)
    scaled = levels / threshold
    above = np.flatnonzero(scaled >= rule.on_level)
    rows: list[int] = []
    row = 0
    while True:
        place = int(np.searchsorted(above, row))
        if place == len(above):
            return rows
        row = int(above[place])
        row = _through(times, scaled, rule, row, rows)


def _through(times: Doubles, levels: Doubles, rule: Rule, row: int, rows: list[int]) -> int:
    """Follow one alert from the row that makes it pending until it is inactive again; the row after that."""
    alert = _last(times, levels, rows)
    while row < len(levels):
        after = advance(alert, rule, float(levels[row]), float(times[row]))
        if after.raised and not alert.raised:
            rows.append(row)
        alert = after
        row += 1
        if alert.state == "inactive":
            break
    return row


def _last(times: Doubles, levels: Doubles, rows: Sequence[int]) -> Alert:
    """An inactive alert that remembers its latest raise, for the rule's hold."""
    if not rows:
        return Alert()
    return Alert(raised_at=float(times[rows[-1]]), raised_level=float(levels[rows[-1]]))
