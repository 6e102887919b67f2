"""The rows a monitor learns from: its first normal ones, without gaps, stuck channels and strays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.window import Array

STUCK_ROWS = 30  # a channel that moves at nearly every row and then repeats itself this often is stuck
STRAY_SIGMA = 8.0  # robust sigma beyond which a row is called abnormal
PULSE_SHARE = 0.01  # a channel that leaves its resting value at least this often does so in health
FAINTEST = 1e-30  # deviation of a channel worth listening to; its inverse still fits float32
RETURNS = 2  # visits to a state in which the same is seen
TOGETHER = 256  # columns looked through in one go: they need not all be there in double precision
STRAY_SHARE = 0.1  # more strays than this are no strays but another way the machine runs


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was kept, in order, with the starts of its unbroken stretches."""

    rows: Array  # (n, columns)
    times: NDArray[np.float64]  # (n,) Unix seconds
    starts: tuple[int, ...]  # first row of each stretch
    stuck: int
    strays: int
    still: tuple[int, ...]  # columns that never moved in what was kept


@dataclass(slots=True)
class Learner:
    """Collects rows of features until `needed` normal ones are there; one that is not choosy takes all for normal."""

    needed: int
    width: int
    choosy: bool = True
    bridge: int = 0  # so many rows in a row may be left out of a stretch that goes on
    visits: bool = False  # stretches are visits to an operating state: what happens in several is no stray
    _rows: Array = field(init=False, repr=False)  # (needed, width), filled up to _count
    _times: NDArray[np.float64] = field(init=False, repr=False)
    _count: int = 0
    _starts: list[int] = field(default_factory=list)
    _broken: bool = False  # the latest row was forgotten
    _stuck: int = 0  # rows forgotten so far
    _strays: int = 0

    def __post_init__(self) -> None:
        self._rows = np.empty((self.needed, self.width), np.float32)
        self._times = np.empty(self.needed)

    def add(self, times: Sequence[float], rows: Array, fresh: bool) -> None:
        """Append consecutive rows `(n, columns)`; `fresh` when they do not follow the ones before."""
        if fresh or self._broken or not self._count:
            self._starts.append(self._count)
        self._broken = False
        stop = self._count + len(rows)
        if stop > len(self._rows):
            self._rows = np.concatenate([self._rows[: self._count], rows])
            self._times = np.concatenate([self._times[: self._count], times])
        self._rows[self._count : stop], self._times[self._count : stop] = rows, times
        self._count = stop

    @property
    def missing(self) -> int:
        """How many more rows are needed, as far as is known before they are looked through."""
        return max(0, self.needed - self._count)

    @property
    def collected(self) -> tuple[NDArray[np.float64], Array, tuple[int, ...]]:
        """Times and rows so far, and the first row of each unbroken stretch."""
        return self._times[: self._count], self._rows[: self._count], tuple(self._starts)

    def lesson(self) -> Lesson | None:
        """What to learn from, or None when too much of it was abnormal: then the abnormal is forgotten, and
        more rows are asked for."""
        rows, times = self._rows[: self._count], self._times[: self._count]
        stuck = strays = np.zeros(self._count, bool)
        if self.choosy:
            stuck = stuck_rows(rows)
            strays = stray_rows(rows, ~stuck, self._starts if self.visits else ())
        keep = ~(stuck | strays)
        self._stuck += int(stuck.sum())
        self._strays += int(strays.sum())
        fresh = np.zeros(len(rows), bool)
        fresh[self._starts] = True
        kept = np.flatnonzero(keep)
        apart = np.diff(kept, prepend=-1 - self.bridge) > 1 + self.bridge
        begun = np.diff(np.cumsum(fresh)[kept], prepend=0) > 0
        starts = tuple(np.flatnonzero(apart | begun).tolist())
        lesson = Lesson(
            rows[keep],
            times[keep],
            starts,
            self._stuck,
            self._strays,
            tuple(np.flatnonzero((rows[keep] == rows[keep][:1]).all(axis=0)).tolist()),
        )
        if len(lesson.rows) >= self.needed or self.needed - len(lesson.rows) <= 0.02 * self.needed:
            return lesson
        self._count, self._starts = len(lesson.rows), list(starts)
        self._rows[: self._count], self._times[: self._count] = lesson.rows, lesson.times
        self._broken = len(rows) - 1 - int(kept[-1]) > self.bridge if len(kept) else True
        return None


def stuck_rows(rows: Array) -> NDArray[np.bool_]:
    """`(n,)`: rows in which a channel repeats one value for at least STUCK_ROWS, though it usually moves.

    Slow or coarse channels repeat themselves in health as well; of those it says nothing.
    """
    stuck = np.zeros(len(rows), bool)
    for column in rows.T:
        changes = np.flatnonzero(np.diff(column)) + 1
        edges = np.concatenate(([0], changes, [len(column)]))
        lengths = np.diff(edges)
        if np.median(lengths) > 1:
            continue
        for i in np.flatnonzero(lengths >= STUCK_ROWS):
            stuck[edges[i] : edges[i + 1]] = True
    return stuck


def stray_rows(rows: Array, candidates: NDArray[np.bool_], visits: Sequence[int] = ()) -> NDArray[np.bool_]:
    """`(n,)`: rows far from the others in some column (median and median absolute deviation). Where one column
    has so many that they must be another way the machine runs, that column calls none of them a stray; where all
    columns together have so many, strays are how it runs, and there are none. Nor is a stray what comes in several of
    `visits`, the first rows of stretches, or is there when one begins: a housing that warms."""
    strays = np.zeros(len(rows), bool)
    if np.count_nonzero(candidates) < 10:
        return strays
    visit = np.searchsorted(visits, np.flatnonzero(candidates), side="right")
    returns = RETURNS if len(visits) >= RETURNS else len(rows) + 1
    for first in range(0, rows.shape[1], TOGETHER):
        seen = rows[candidates, first : first + TOGETHER].astype(np.float64)
        strays[candidates] |= _far(seen, visit, returns)
    return strays if strays.sum() <= STRAY_SHARE * len(visit) else np.zeros_like(strays)


def _far(seen: NDArray[np.float64], visit: NDArray[np.int64], returns: int) -> NDArray[np.bool_]:
    """`(n,)`: far from the others in some column in which so few are, not since its visit began, and in fewer than
    so many visits."""
    apart = np.abs(seen - np.median(seen, axis=0))
    spread = 1.4826 * np.median(apart, axis=0)
    for column in np.flatnonzero(spread == 0):  # mostly rests: a coarse channel, or one of pulses
        moved = apart[apart[:, column] > 0, column]
        if len(moved) >= max(3, PULSE_SHARE * len(seen)):
            spread[column] = 1.4826 * np.median(moved)
    spread = np.maximum(spread, 0.25 * seen.std(axis=0))
    far = apart > STRAY_SIGMA * spread
    if visit[-1]:  # there are visits: that of the first row is 1
        for first, stop in pairwise([*np.flatnonzero(np.diff(visit, prepend=0)), len(visit)]):
            far[first:stop] &= np.logical_or.accumulate(~far[first:stop], axis=0)
    rare = far.mean(axis=0) <= STRAY_SHARE
    rare &= [len(np.unique(visit[column])) < returns for column in far.T]
    strange: NDArray[np.bool_] = far[:, rare].any(axis=1)
    return strange


def smallest_steps(rows: Array) -> NDArray[np.float64]:
    """`(columns,)`: the smallest difference between two values of each column; 0 if it never moved."""
    steps = np.zeros(rows.shape[1])
    for i, column in enumerate(rows.T):
        distinct = np.unique(column)
        if len(distinct) > 1:
            steps[i] = np.diff(distinct.astype(np.float64)).min()
    return steps


def robust_standard(rows: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(columns,)` each: the median, and a deviation that a few strays do not move. One that never moved gets a
    thousandth of its value, so that any movement is strange."""
    low, median, high = np.quantile(rows.astype(np.float64), (0.05, 0.5, 0.95), axis=0)
    scale = (high - low) / 3.3  # of a normal distribution: one sigma
    scale = np.where(scale > 0, scale, rows.std(axis=0, dtype=np.float64))
    constant = np.maximum(1e-6, 1e-3 * np.abs(median))
    return median, np.maximum(np.where(scale > 0, scale, constant), FAINTEST)
