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
    return [start for start, _ in spans(times, levels, rule, threshold)]


def spans(
    times: Doubles, levels: Doubles, rule: Rule, threshold: float = 1.0
) -> list[tuple[int, int | None]]:
    """The same with the row at which each alert clears; None for one that lasts to the end."""
    rule = replace(rule, flood_per_hour=0)
    scaled = levels / threshold
    above = np.flatnonzero(scaled >= rule.on_level)
    found: list[tuple[int, int | None]] = []
    row = 0
    while True:
        place = int(np.searchsorted(above, row))
        if place == len(above):
            return found
        row = _through(times, scaled, rule, int(above[place]), found)


def _through(
    times: Doubles, levels: Doubles, rule: Rule, row: int, found: list[tuple[int, int | None]]
) -> int:
    """Follow one alert from the row that makes it pending until it is inactive again; the row after that."""
    alert = _last(times, levels, found)
    while row < len(levels):
        after = advance(alert, rule, float(levels[row]), float(times[row]))
        if after.raised and not alert.raised:
            found.append((row, None))
        elif alert.raised and not after.raised:
            found[-1] = found[-1][0], row
        alert = after
        row += 1
        if alert.state == "inactive":
            break
    return row


def _last(times: Doubles, levels: Doubles, found: Sequence[tuple[int, int | None]]) -> Alert:
    """An inactive alert that remembers its latest raise, for the rule's hold."""
    if not found:
        return Alert()
    row = found[-1][0]
    return Alert(raised_at=float(times[row]), raised_level=float(levels[row]))
