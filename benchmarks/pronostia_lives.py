"""What was said of bearings run to failure, and what that comes to: the same for all who try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.alerts import Rule
from models.smoothing import fewest_rows

EVERY_S = 10.0  # Nectoux et al., "PRONOSTIA: An experimental platform ...", IEEE PHM 2012
LEARNED = 0.1  # of each life
FIRST = 0.5  # of each life, in which an alarm that clears again was a false one
HOURS = 10.0

Alarm = tuple[int, int | None]  # snapshots of its raise and of its end; None: it lasts to the end


@dataclass(frozen=True, slots=True)
class Life:
    """What was said of one bearing."""

    name: str
    snapshots: int
    armed: int  # the first snapshot that was judged
    alarms: tuple[Alarm, ...]
    cpu_s: float = 0.0
    averaged: int = 0  # snapshots
    words: str = ""  # what the budget says of itself
    rule: Rule = Rule()  # noqa: RUF009  (frozen)

    @property
    def lead_s(self) -> float | None:
        """From the alarm that lasts to the end until the end."""
        lasting = [start for start, end in self.alarms if end is None]
        return (self.snapshots - 1 - lasting[0]) * EVERY_S if lasting else None

    @property
    def cleared(self) -> int:
        """Alarms of the first half of life that ended again."""
        half = FIRST * self.snapshots
        return sum(start < half and end is not None for start, end in self.alarms)

    @property
    def watched_h(self) -> float:
        """Of the first half of life, from the lesson on."""
        return max(0.0, FIRST * self.snapshots - self.armed) * EVERY_S / 3600

    @property
    def under_h(self) -> float:
        """Of these, with an alarm standing."""
        half = FIRST * self.snapshots
        ends = ((start, half if end is None else min(end, half)) for start, end in self.alarms)
        return sum(max(0.0, end - start) for start, end in ends) * EVERY_S / 3600


def lesson(snapshots: int) -> int:
    """How many are learned from: of the shortest lives a little more than the tenth."""
    return max(int(LEARNED * snapshots), fewest_rows(1))


def figures(lives: Sequence[Life]) -> dict[str, Any]:
    """Over all bearings; one without an alarm at its end has no lead."""
    watched_h = sum(life.watched_h for life in lives)
    return {
        "alarmed": sum(life.lead_s is not None for life in lives),
        "of": len(lives),
        "median_lead_s": median_lead(lives),
        "cleared": sum(life.cleared for life in lives),
        "watched_hours": watched_h,
        "cleared_per_10_hours": per_10_hours(lives),
        "under_alarm_first_half": sum(life.under_h for life in lives) / watched_h if watched_h else None,
    }


def median_lead(lives: Sequence[Life]) -> float:
    """A bearing without an alarm at its end counts as a lead of nothing."""
    return float(np.median([life.lead_s or 0.0 for life in lives]))


def per_10_hours(lives: Sequence[Life]) -> float:
    """Alarms that cleared again, in so much of first halves; NaN without any."""
    hours = sum(life.watched_h for life in lives)
    return HOURS * sum(life.cleared for life in lives) / hours if hours else float("nan")
