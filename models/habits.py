"""What the samples of sound channels look like: counted while learning, the same however the stream was cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.leaps import Leaps
from models.window import Array

OUTLIERS = 0.005  # of the steps from sample to sample may be spikes that nobody knew of while learning, ...
# ... and of figures as many more as are lone leaps so many times as far, and by so large a part of all other values.
LEAP, LEAP_SPAN = 6.0, 0.25
SETTLED = 3  # looks at which leaps these are: each knows better what the others do
APART = 10  # a longest run so many times the second longest was a stuck sensor, not a habit
AT_ONCE = 64  # samples
FIRST_POWER, POWERS, PARTS = -60, 124, 4  # of two, and bins in each: sizes of steps from 2^-61 to 2^64
NAMES = ("low", "high", "step", "resolution", "repeats", "longest", "changes", "missing")


class Habits:
    """Counts over `width` channels. Integers, smallest and largest values only: no sum that rounds."""

    def __init__(self, width: int, lesson: int, *, waveform: bool = False) -> None:
        self.rows = 0
        self._leaps = None if waveform else Leaps(width, lesson)
        self._low = np.full(width, np.inf, np.float32)
        self._high = np.full(width, -np.inf, np.float32)
        self._resolution = np.full(width, np.inf, np.float32)
        self._missing, self._steps, self._repeats = np.zeros((3, width), np.int64)
        self._longest = np.zeros((2, width), np.int64)  # the longest run of one value, and the second longest
        self._sizes = np.zeros((width, POWERS * PARTS), np.int32)  # how many steps are of each size
        self._last, self._step = np.full(
            (2, 1, width), np.nan, np.float32
        )  # the newest sample, and the step to it
        self._run = np.zeros(width, np.int64)
        self._waiting: list[Array] = []  # not counted yet
        self._waiting_rows = 0

    def add(self, values: Array) -> None:
        """Consecutive samples `(n, width)`; NaN where one is missing or was found to be no measurement. Few are only
        kept, and counted with the next: one by one they would cost a hundred times as much each."""
        self.rows += len(values)
        self._waiting.append(values.copy())
        self._waiting_rows += len(values)
        if self._waiting_rows >= AT_ONCE:
            self._count()

    def _count(self) -> None:
        if not self._waiting:
            return
        values = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting.clear()
        self._waiting_rows = 0
        before = np.concatenate((self._last, values[:-1]))
        steps = np.abs(values - before)
        # A step is counted once it was gone on from: one that a sensor began to fail with is no habit.
        sure = np.where(np.isnan(values), np.nan, np.concatenate((self._step, steps[:-1])))
        self._last, self._step = values[-1:].copy(), steps[-1:]
        if self._leaps is not None:
            self._leaps.add(values)
        else:
            np.fmin(self._low, np.fmin.reduce(values, 0), out=self._low)
            np.fmax(self._high, np.fmax.reduce(values, 0), out=self._high)
        for j, step in enumerate(steps.T):
            self._missing[j] += np.count_nonzero(np.isnan(values[:, j]))
            moved = sure[sure[:, j] > 0, j]
            self._steps[j] += np.count_nonzero(step >= 0)
            if len(moved):
                self._resolution[j] = min(self._resolution[j], moved.min())
                fractions, powers = np.frexp(moved)  # the fractions from 0.5 up to 1
                bins = PARTS * (powers.astype(np.int64) - FIRST_POWER) + (
                    2 * PARTS * (fractions - 0.5)
                ).astype(np.int64)
                bins = np.clip(bins, 0, POWERS * PARTS - 1)
                self._sizes[j] += np.bincount(bins, minlength=POWERS * PARTS).astype(np.int32)
            self._count_runs(j, np.isnan(values[:, j]), step == 0)

    def _count_runs(self, j: int, absent: NDArray[np.bool_], same: NDArray[np.bool_]) -> None:
        """Runs that ended by another value: one that was cut short, perhaps because it was suspect, is no habit."""
        begins = np.flatnonzero(~same)
        if not len(begins):
            self._run[j] += len(same)
            return
        whole = ~(absent[begins[:-1]] | absent[begins[1:]])
        lengths = np.diff(begins)[whole]
        if not absent[begins[0]] and (going := int(self._run[j]) + int(begins[0])):
            self._repeats[j] += going - 1
            self._note(j, going)
        self._repeats[j] += int((lengths - 1).sum())
        for length in np.sort(lengths)[-2:].tolist():
            self._note(j, length)
        self._run[j] = 0 if absent[begins[-1]] else len(same) - begins[-1]

    def _note(self, j: int, length: int) -> None:
        longest, second = self._longest[:, j]
        if length > longest:
            self._longest[:, j] = length, longest
        elif length > second:
            self._longest[1, j] = length

    def arrays(self) -> dict[str, Array]:
        """What is usual, (width,) each, by the NAMES: the smallest and the largest value; a step from sample to sample
        that few exceed; the smallest step; the share of steps of nothing; the longest run of one value; how often the
        value changed; the share of samples missing. Of figures without the spikes, and without a last value."""
        self._count()
        longest, second = self._longest
        apart = (longest > APART * np.maximum(second, 1)) & (self._steps > 2 * longest)
        repeats = self._repeats - np.where(apart, longest - 1, 0)
        steps = np.maximum(self._steps - np.where(apart, longest, 0), 1)
        above = np.cumsum(self._sizes[:, ::-1], axis=1)[:, ::-1]  # steps of this size or a larger one
        allowed, low, high = OUTLIERS * self._steps, self._low, self._high
        if self._leaps is not None:
            limit = np.zeros(len(low))
            for _ in range(SETTLED):
                spikes, low, high = self._leaps.spikes(limit)
                step = _exceeded(above, allowed + spikes)
                with np.errstate(invalid="ignore"):  # of nothing seen
                    limit = np.fmax(LEAP * step, LEAP_SPAN * (high - low))
                limit[step == 0] = np.inf  # it rests, and leaps are all it does
            spikes, low, high = self._leaps.spikes(limit)
            allowed = allowed + spikes
        moved = above[:, 0]
        found = (
            low,
            high,
            _exceeded(above, allowed),
            np.where(np.isfinite(self._resolution), self._resolution, 0.0),
            repeats / steps,
            np.where(apart, second, longest),
            np.minimum(moved, 2**24),
            self._missing / max(1, self.rows),
        )
        return {name: np.asarray(array, np.float32) for name, array in zip(NAMES, found, strict=True)}


def _exceeded(above: NDArray[np.integer[Any]], allowed: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """`(width,)`: a size that at most so many steps exceed, by how many are of each size or larger; 0 where so few
    moved at all."""
    highest = POWERS * PARTS - 1 - np.argmax(above[:, ::-1] > allowed[:, None], axis=1)
    ends = np.ldexp(0.5 + (highest % PARTS + 1) / (2 * PARTS), highest // PARTS + FIRST_POWER)
    return np.where(above[:, 0] > allowed, ends, 0.0)
