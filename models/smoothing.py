"""Means of the newest rows: what is judged of telemetry, how they are taken live and from a lesson, and which
columns' means may be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import Doubles
from models.detector import LearningError
from models.learning import FAINTEST
from models.window import Array, Tail, sliding_sum

SHRINKAGE = 0.1  # of the covariance towards its diagonal
RIDGE = 1e-3  # of the mean variance, on the diagonal
WANDERING = 0.5  # variance of block means over variance inside blocks, above which a channel wanders
BLOCKS = 10
RESOLUTION_FLOOR = 0.3  # of the smallest step between two values, as a least standard deviation
CHANGE_SPANS = 3  # the level is compared with the mean of the three levels before it
THREE = np.float32(CHANGE_SPANS)
FEWEST = 40  # rows to learn from
FEWEST_SPANS = 4  # independent levels to learn from, and changes to learn sudden ones from: one for each fold


def fewest_levels(smooth: int, every: int = 1) -> int:
    """How many averages over `smooth` rows, every `every` rows, it takes to learn from."""
    return max(FEWEST, FEWEST_SPANS * smooth // every)


def fewest_rows(smooth: int, every: int = 1) -> int:
    """How many rows give so many averages."""
    return smooth + (fewest_levels(smooth, every) - 1) * every


class Smoother:
    """Means of the newest `span` rows, every `every` rows, and how far each lies from the levels before."""

    def __init__(self, span: int, every: int, lag: int, width: int) -> None:
        self.span, self.every, self.lag = span, every, lag
        self._rows = Tail(span - 1, width)
        self._levels = Tail(CHANGE_SPANS * lag, width)
        self._seen = 0

    def push(self, rows: Array, fresh: bool) -> tuple[int, Array, Array]:
        """`(first, levels, changes)`: the row of `rows` that ends the first level (every further one
        `every` rows on); changes are 0 until there is enough to compare with; with `lag` 0 they are nothing."""
        count = len(rows)
        if fresh:
            self._rows.clear()
            self._levels.clear()
            self._seen = 0
        elif count == 1 and self._settled:
            return self._push_one(rows)
        first = self.span - 1 - self._seen  # levels end at stream rows span - 1, span - 1 + every, ...
        if first < 0:
            first %= self.every
        view = rows if self.span == 1 else self._rows.extend(rows)
        older = len(view) - count
        self._seen += count
        if first >= count:
            return count, rows[:0], rows[:0]
        if self.span == 1:
            levels = rows[first :: self.every]
        else:
            sums = sliding_sum(view[older + first - self.span + 1 :], self.span)
            levels = (sums[:: self.every] / self.span).astype(np.float32)
        if not self.lag:
            return first, levels, levels
        history = self._levels.extend(levels)
        lag, reach = self.lag, CHANGE_SPANS * self.lag
        compared = len(history) - reach  # so many of the newest levels have a whole history
        if compared <= 0:
            return first, levels, np.zeros_like(levels)
        before = history[:compared] + history[lag : lag + compared]
        before += history[2 * lag : 2 * lag + compared]
        before /= THREE
        changes = history[reach:] - before
        if compared < len(levels):
            changes = np.concatenate([np.zeros_like(levels[compared:]), changes])
        return first, levels, changes

    @property
    def _settled(self) -> bool:
        """Every row gives a level, and each has a whole history."""
        return self.every == 1 and self._seen >= self.span + CHANGE_SPANS * self.lag

    def _push_one(self, row: Array) -> tuple[int, Array, Array]:
        """The usual case, live: one row, one level."""
        level = row
        if self.span > 1:
            level = (sliding_sum(self._rows.extend(row), self.span) / self.span).astype(np.float32)
        if not self.lag:
            return 0, level, level
        history, lag = self._levels.extend(level), self.lag
        before = history[:1] + history[lag : lag + 1]
        before += history[2 * lag : 2 * lag + 1]
        before /= THREE
        return 0, level, level - before


@dataclass(frozen=True, slots=True)
class Averaging:
    """Of how many rows a level is the mean, every how many rows there is one, and how many levels lie between those
    that are compared (0: none are)."""

    span: int
    every: int
    lag: int
    width: int

    def smoother(self) -> Smoother:
        """A new one, that has seen nothing."""
        return Smoother(self.span, self.every, self.lag, self.width)

    @property
    def guard(self) -> int:
        """Levels that share rows with their neighbour."""
        return (self.span - 1) // self.every

    @property
    def fewest_changes(self) -> int:
        """Of levels, to learn sudden ones from; the largest of fewer says nothing."""
        return FEWEST_SPANS * self.lag

    @property
    def rows_for_changes(self) -> int:
        """Rows in a stretch that have so many; 0 where no levels are compared."""
        levels = CHANGE_SPANS * self.lag + self.fewest_changes
        return self.span + (levels - 1) * self.every if self.lag else 0

    def floor(self, steps: Doubles) -> Doubles:
        """The least deviation of a level, for channels with these smallest steps."""
        floor: Doubles = np.maximum(RESOLUTION_FLOOR * steps / np.sqrt(self.span), FAINTEST)
        return floor

    def of(self, rows: Array, starts: Sequence[int]) -> tuple[Doubles, Doubles, tuple[int, ...]]:
        """Of a lesson with stretches from `starts`: levels, those changes that had something to compare with, and
        the first level of each stretch that has any. Raises LearningError when they are too few to learn from."""
        if len(rows) < FEWEST:
            raise LearningError(f"{len(rows)} normal rows are too few to learn from: it takes {FEWEST}")
        levels, changes, firsts, count = [], [], [], 0
        for a, b in zip(starts, (*starts[1:], len(rows)), strict=True):
            _, level, change = self.smoother().push(rows[a:b], True)
            if len(level):
                firsts.append(count)
            count += len(level)
            levels.append(level)
            changes.append(change[CHANGE_SPANS * self.lag :])
        fewest = fewest_levels(self.span, self.every)
        if count < fewest:
            raise LearningError(
                f"{len(rows)} rows with {len(starts) - 1} gaps leave {count} averages over"
                f" {self.span} rows: it takes {fewest}"
            )
        return (
            np.concatenate(levels).astype(np.float64),
            np.concatenate(changes).astype(np.float64),
            tuple(firsts),
        )


def steady_columns(rows: Array, steps: Doubles) -> NDArray[np.bool_]:
    """`(width,)`: columns whose level may be trusted; those that wander only feed the jump. `steps` are the smallest
    between their values, 0 for a constant. Raises LearningError when none moves."""
    blocks = np.array_split(rows.astype(np.float64), BLOCKS)
    inside = np.mean([block.var(axis=0) for block in blocks], axis=0)
    between = np.var([block.mean(axis=0) for block in blocks], axis=0)
    ratio = np.where(steps > 0, between / np.maximum(inside, 1e-300), np.inf)
    steady = ratio < WANDERING
    for column in np.argsort(ratio, kind="stable")[:2]:  # at least two, if two move at all
        steady[column] |= bool(np.isfinite(ratio[column]))
    if not steady.any():
        raise LearningError("no channel moved while learning: nothing can be learned from constants")
    return steady


def shrunk_precision(z: Doubles, watched: NDArray[np.bool_]) -> Doubles:
    """Inverse of the shrunk covariance of the watched columns; zero for the others."""
    covariance = np.atleast_2d(np.cov(z[:, watched], rowvar=False))
    covariance = (1 - SHRINKAGE) * covariance + np.diag(SHRINKAGE * np.diag(covariance))
    covariance += RIDGE * max(float(np.diag(covariance).mean()), 1e-12) * np.eye(len(covariance))
    precision = np.zeros((len(watched), len(watched)))
    precision[np.ix_(watched, watched)] = np.linalg.inv(covariance)
    symmetric: Doubles = (precision + precision.T) / 2
    return symmetric
