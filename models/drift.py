"""Where normal lies, day by day: how far it has crept since it was commissioned, and how far a head may follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.window import Array

Doubles = NDArray[np.float64]

HOUR_S, DAY_S = 3600.0, 86400.0
ENOUGH = 0.5  # share of a block's rows that must be normal, or it is left out
LEAST_SIGMA = 1e-30  # a channel that never moved creeps nowhere
NAMES = ("drift_days", "drift_normal", "drift_slow", "drift_since")


@dataclass(frozen=True, slots=True)
class DriftPlan:
    """How far normal may creep, and how fast it is followed."""

    limit: float = 4.0  # deviations of normal movement; 0: no limit, and nothing is followed
    follow_s: float = 3 * DAY_S  # time constant; 0: nothing is followed


@dataclass(frozen=True, slots=True)
class Crept:
    """How the latest day of normal operation lies from what was commissioned."""

    level: float  # 1.0 is the limit
    value: Doubles  # (width,) mean of that day
    normal: Doubles  # (width,) mean at commissioning
    sigma: Doubles  # (width,) how far apart, in deviations of normal movement; 0 for columns that never moved
    scatter: Doubles  # (width,) such a deviation
    days: float  # since commissioning
    together: bool = False  # not one column has reached its limit, but all of them together the edge
    # (width,) of the squared distance, where all together make the level; None where the farthest column does.
    shares: Doubles | None = None


class Drift:
    """Follows the mean of a head's normal rows, an hour of them (a block) at a time.

    Commissioned are the mean and the deviation over the first day of normal operation, the lesson's included, or over
    the whole lesson where that is longer: a deviation is that of the head's own rows or that of the blocks' means,
    whichever is larger, for ten minutes say little of a day. From then on the mean of the latest day is compared with
    that (an alert, at `limit` deviations), and a mean of the last `follow_s` is where a head that can be moved
    is moved to: never further from what it learned than `limit` deviations.

    Blocks count rows of the stream, so it does not matter how that was cut. Their sums are in double precision and
    added in the order of rows; what outlives a restart is in single precision, and rounded to that at each block.
    """

    def __init__(self, width: int, hop_s: float, plan: DriftPlan = DriftPlan()) -> None:
        """Of rows `hop_s` apart."""
        self.limit = plan.limit
        self.block = max(1, round(HOUR_S / hop_s))  # rows
        self.day = max(2, round(DAY_S / (self.block * hop_s)))  # blocks
        self._rate = min(1.0, self.block * hop_s / plan.follow_s) if plan.follow_s > 0 else 0.0
        self._mean, self._deviation = np.zeros(width), np.zeros(width)  # of the head
        self._days = np.zeros((width, self.day), np.float32)  # means of the latest blocks, the newest last
        self._filled = 0  # how many of them
        self._normal = np.zeros((width, 2), np.float32)  # mean and deviation, once commissioned
        self._slow = np.zeros(width, np.float32)
        self._since = 0.0  # days since 1970; 0 while not commissioned
        self._start_block()

    def _start_block(self) -> None:
        self.left = self.block  # rows to the end of the block
        self._sum = np.zeros(len(self._mean))
        self._count = 0  # normal rows in it
        self._passed = 0  # rows in it that nobody looked at

    @property
    def commissioned(self) -> bool:
        return self._since > 0

    def begin(self, mean: Doubles, deviation: Doubles, lesson: Array, time: float) -> None:
        """With what a head has learned `(width,)` from rows `(n, width)` that ended at `time`."""
        self._mean, self._deviation = mean, deviation
        self._slow[:] = mean
        self._since, self._days[:] = 0.0, 0.0
        self._start_block()
        blocks = len(lesson) // self.block
        shape = (blocks, self.block, len(mean))
        means = lesson[: blocks * self.block].reshape(shape).mean(axis=1, dtype=np.float64)
        kept = means[-self.day :].T.astype(np.float32)
        self._filled = kept.shape[1]
        self._days[:, self.day - self._filled :] = kept
        if blocks >= self.day:
            self._commission(means, time)

    def _commission(self, means: Doubles, time: float) -> None:
        """By the means of blocks `(n, width)`."""
        apart = np.maximum(self._deviation, means.std(axis=0))
        self._normal[:, 0] = means.mean(axis=0)
        self._normal[:, 1] = np.where(self._deviation > LEAST_SIGMA, apart, 0.0)
        self._since = float(np.float32(time / DAY_S))

    def skip(self, rows: int) -> None:
        """So many rows of the stream were not looked at: time goes on, but a block ends with a row that was."""
        passed = max(0, min(rows, self.left - 1))
        self.left -= passed
        self._passed += passed

    def push(self, rows: Array, normal: NDArray[np.bool_] | None) -> None:
        """Rows `(n, width)`, at most `left` of them; `normal` `(n,)` says which count, None that all do."""
        self.left -= len(rows)
        if normal is not None:
            rows = rows[normal]
        if len(rows) == 1:
            self._sum += rows[0]
        elif len(rows):
            self._sum = np.add.accumulate(np.concatenate([self._sum[None], rows]), axis=0, dtype=np.float64)[
                -1
            ]
        self._count += len(rows)

    def turn(self, time: float) -> Crept | None:
        """At the end of a block (`left` is 0): how far normal has crept; None where there is nothing new to say."""
        total, count, looked_at = self._sum, self._count, self.block - self._passed
        self._start_block()
        if count < ENOUGH * looked_at or not count:
            return None
        mean = (total / count).astype(np.float32)
        self._days = np.concatenate([self._days[:, 1:], mean[:, None]], axis=1)
        self._filled = min(self.day, self._filled + 1)
        days = self._days.astype(np.float64)
        if not self.commissioned:
            if self._filled == self.day:
                self._commission(days.T, time)
            return None
        self._slow = (self._slow + (mean.astype(np.float64) - self._slow) * self._rate).astype(np.float32)
        value, (normal, sigma) = days.mean(axis=1), self._normal.astype(np.float64).T
        moved = np.divide(value - normal, sigma, out=np.zeros(len(value)), where=sigma > 0)
        level = float(np.abs(moved).max(initial=0.0)) / self.limit
        return Crept(level, value, normal, moved, sigma, time / DAY_S - self._since)

    def offset(self) -> Doubles:
        """`(width,)`: how far from what it learned a head is to be moved."""
        if not self.commissioned:
            return np.zeros(len(self._slow))
        bound = self.limit * self._normal[:, 1].astype(np.float64)
        return np.clip(self._slow.astype(np.float64) - self._mean, -bound, bound)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a baseline keeps; `restore` is the way back. The block under way is not among it."""
        since = np.array([self._since, self._filled], np.float32)
        return dict(
            zip(NAMES, (self._days.copy(), self._normal.copy(), self._slow.copy(), since), strict=True)
        )

    def restore(self, mean: Doubles, deviation: Doubles, arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Go on from a baseline of a head with this mean and deviation; False, and a fresh start, where it holds
        nothing that fits."""
        self.begin(mean, deviation, np.zeros((0, len(mean)), np.float32), 0.0)
        kept = [arrays.get(name) for name in NAMES]
        shapes = [self._days.shape, self._normal.shape, self._slow.shape, (2,)]
        if any(array is None or array.shape != shape for array, shape in zip(kept, shapes, strict=True)):
            return False
        self._days, self._normal, self._slow = (np.array(array, np.float32) for array in kept[:3])
        self._since, self._filled = float(arrays[NAMES[3]][0]), int(arrays[NAMES[3]][1])
        return True
