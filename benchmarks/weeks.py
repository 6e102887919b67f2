"""A channel with a working week that does not exist: the load of a hall, and one Tuesday unlike the others."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Break = Literal["none", "idle", "shifted", "through"]

MONDAY = 1_704_067_200.0  # 2024-01-01, 00:00 UTC
DAY_S, HOUR_S = 86_400.0, 3600.0
SATURDAY = 0.4  # of a working day's load; nothing on Sundays


def week(
    seed: int, *, weeks: int, period_s: float, broken: Break, at_week: int
) -> tuple[NDArray[np.float32], Doubles, float]:
    """Values `(n, 1)` in %, times `(n,)`, and when the Tuesday of week `at_week` (from 0) begins. That day is like any
    other ("none"), like a Sunday ("idle"), five hours late ("shifted"), or without a night ("through")."""
    random = np.random.default_rng(seed)
    times: Doubles = MONDAY + period_s * np.arange(int(weeks * 7 * DAY_S / period_s), dtype=np.float64)
    day = ((times - MONDAY) // DAY_S).astype(int)
    hour: Doubles = (times % DAY_S) / HOUR_S
    work = np.where(day % 7 < 5, 1.0, np.where(day % 7 == 5, SATURDAY, 0.0))
    work *= random.normal(1.0, 0.03, day.max() + 1)[day]  # no day is quite like another
    tuesday = day == 7 * at_week + 1
    started: Doubles = hour - np.where(tuesday & (broken == "shifted"), 5.0, 0.0)
    shift = _open(started, 7.0, 18.0)
    if broken == "idle":
        work[tuesday] = 0.0
    elif broken == "through":
        shift[tuesday] = 1.0
    outside = 3 * np.sin(2 * np.pi * (hour - 15) / 24)
    steps = random.normal(0.0, 0.15, len(times))
    wander = np.empty(len(times))
    level = 0.0
    for i, step in enumerate(steps.tolist()):
        level += step - 0.03 * level
        wander[i] = level
    values = 20 + 30 * work * shift + outside + wander + random.normal(0.0, 0.5, len(times))
    return values[:, None].astype(np.float32), times, MONDAY + (7 * at_week + 1) * DAY_S


def _open(hour: Doubles, first: float, last: float) -> Doubles:
    """1 between two hours of the day, 0 outside, half an hour to change."""
    opened: Doubles = 1 / (1 + np.exp(-4 * (hour - first))) / (1 + np.exp(4 * (hour - last)))
    return opened
