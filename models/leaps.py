"""Lone leaps: a figure far away for a sample or three, which comes back at once, calm before and after. Found while
learning, the same however the stream was cut, so that a few spikes are told from what a channel does in health."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.window import Array

SPIKE_ROWS = 3  # a figure that stays away for longer is a step, which is the machine's
CALM = 2  # samples before and after it in which a lone leap has nothing like it
LEAP = 6.0  # times as far as the largest of these steps, at least
PARTS, GROUPS = 16, 4  # of a lesson; as many as have passed are looked at in so many groups
OFTEN = (
    0.01  # of the samples: what leaps more often than that in every group is no spike but how the channel is
)
REACH = 2 * CALM + SPIKE_ROWS + 1  # samples from the first that is looked at for a leap to the last, less one

Doubles = NDArray[np.float64]
Columns = NDArray[np.intp]


class Leaps:
    """Of `width` channels in a lesson of so many samples. Counts, smallest and largest values only: no sum that
    rounds."""

    def __init__(self, width: int, lesson: int) -> None:
        self._width, self._part = width, max(1, -(-lesson // PARTS))
        self._rows = 0
        self._low = np.full(width, np.inf, np.float32)  # of all samples that are in no lone leap
        self._high = np.full(width, -np.inf, np.float32)
        self._tail = np.full((REACH, width), np.nan, np.float32)  # the newest samples ...
        self._lone = np.zeros((REACH, width), bool)  # ... and whether they are in a lone leap
        # Of each lone leap: the part of the lesson, the channel, its steps, its height, the farthest value.
        self._found: list[tuple[Columns, Columns, Columns, Array, Array]] = []

    def add(self, values: Array) -> None:
        """Consecutive samples `(n, width)`; NaN where one is missing."""
        rows = len(values)
        whole = np.concatenate((self._tail, values))
        lone = np.concatenate((self._lone, np.zeros(values.shape, bool)))

        def back(by: int) -> slice:
            """Rows of `whole`, one for each new sample and so many before it."""
            return slice(REACH - by, REACH - by + rows)

        steps = np.abs(np.diff(whole, axis=0))
        after = whole[back(CALM)]
        calm_after = _largest([steps[back(k)] for k in range(1, CALM + 1)])
        for length in range(1, SPIKE_ROWS + 1):
            gone = CALM + length + 1  # samples since the one before the leap
            before = whole[back(gone)]
            away = [whole[back(CALM + k)] for k in range(1, length + 1)]
            lowest, highest = np.minimum.reduce(away), np.maximum.reduce(away)
            height = np.maximum(lowest - np.maximum(before, after), np.minimum(before, after) - highest)
            calm = _largest([calm_after, *(steps[back(gone + k)] for k in range(1, CALM + 1))])
            leaps = (height > LEAP * np.fmax(calm, np.abs(after - before))) & (height > 0)
            if not leaps.any():
                continue
            for k in range(1, length + 1):
                lone[back(CALM + k)] |= leaps
            at, columns = np.nonzero(leaps)
            far = np.where(lowest > before, highest, lowest)[leaps]
            parts = (self._rows + at) // self._part
            self._found.append((parts, columns, np.full(len(at), length + 1), height[leaps], far))
        self._rows += rows
        # A value counts once it was left for another: a run that was cut short, perhaps because it was suspect, is no
        # measurement.
        known = slice(SPIKE_ROWS, len(whole) - REACH + SPIKE_ROWS)
        counts = (steps[known] > 0) & ~lone[known]
        here = whole[known]
        np.minimum(self._low, np.where(counts, here, np.inf).min(axis=0, initial=np.inf), out=self._low)
        np.maximum(self._high, np.where(counts, here, -np.inf).max(axis=0, initial=-np.inf), out=self._high)
        self._tail, self._lone = whole[-REACH:].copy(), lone[-REACH:].copy()

    def spikes(self, limit: Doubles) -> tuple[Doubles, Array, Array]:
        """`(width,)` each: how many steps belong to lone leaps higher than the limit `(width,)`, unless these come so
        often all through the lesson that the channel is like that; and the smallest and the largest value without
        them, infinite where there is none."""
        low, high = self._low.copy(), self._high.copy()
        if not self._found:
            return np.zeros(self._width), low, high
        parts, columns, steps, heights, far = (
            np.concatenate(each) for each in zip(*self._found, strict=True)
        )
        higher = heights > limit[columns]
        higher &= ~self._usual(parts[higher], columns[higher])[columns]
        np.minimum.at(low, columns[~higher], far[~higher])
        np.maximum.at(high, columns[~higher], far[~higher])
        counts: Doubles = np.bincount(columns[higher], steps[higher], self._width).astype(np.float64)
        return counts, low, high

    def _usual(self, parts: Columns, columns: Columns) -> NDArray[np.bool_]:
        """`(width,)`: channels in which leaps come often in every group of the parts of the lesson that have passed."""
        passed = -(-self._rows // self._part)
        usual = np.full(self._width, passed > 1)
        for group in np.array_split(np.arange(passed), min(GROUPS, passed)):
            first, last = int(group[0]), int(group[-1]) + 1
            rows = min(last * self._part, self._rows) - first * self._part
            inside = columns[(parts >= first) & (parts < last)]
            usual &= np.bincount(inside, minlength=self._width) > OFTEN * rows
        return usual


def _largest(steps: list[Array]) -> Array:
    """Of some steps, those that are not known left out."""
    largest: Array = np.fmax.reduce(steps)
    return largest
