"""Samples of any rate made one value per channel and tick of another."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Take = Literal["mean", "last", "rms", "peak"]
Numbers = NDArray[np.float64]

NEAR_S = 1e-6  # a sample so close after a tick is of the tick: times are rounded on their way


@dataclass(slots=True)
class Cells:
    """What fell into some ticks, (ticks, channels); NaN is left out."""

    ticks: NDArray[np.int64]
    counts: Numbers
    sums: Numbers  # of the values, or of their squares
    peaks: Numbers  # largest magnitudes
    last: Numbers  # NaN where there was none

    def values(self, take: Take) -> Numbers:
        """NaN where there was none."""
        if take == "last":
            return self.last
        if take == "peak":
            return np.where(self.counts > 0, self.peaks, np.nan)
        mean = np.divide(self.sums, self.counts, out=np.full_like(self.sums, np.nan), where=self.counts > 0)
        return np.sqrt(mean) if take == "rms" else mean

    def add(self, other: Cells) -> None:
        """To the first tick, what came before into the last of another's."""
        self.counts[0] += other.counts[-1]
        self.sums[0] += other.sums[-1]
        self.peaks[0] = np.maximum(self.peaks[0], other.peaks[-1])
        self.last[0] = np.where(np.isnan(self.last[0]), other.last[-1], self.last[0])

    def cut(self, start: int, stop: int | None) -> Cells:
        """Some of them."""
        part = slice(start, stop)
        return Cells(self.ticks[part], self.counts[part], self.sums[part], self.peaks[part], self.last[part])


class Resampler:
    """One source's samples at ticks `k * period_s`, Unix seconds: tick k has what came after tick k - 1, up to itself.

    Where nothing fell into a tick, the value before stands for `hold_s`; then it is NaN.
    """

    def __init__(self, channels: int, period_s: float, take: Take, hold_s: float) -> None:
        self._period_s, self._take, self._hold_s = period_s, take, hold_s
        self._cells: deque[Cells] = deque()  # in order; more may fall into the last tick
        self._held = np.full(channels, np.nan)
        self._held_at = np.full(channels, -np.inf)

    def push(self, time: float, rate_hz: float, values: NDArray[np.float32], first: int | None = None) -> int:
        """Consecutive samples, the first at `time`. Returns how many were late: of ticks before `first`."""
        times = time + np.arange(len(values)) / rate_hz
        ticks = np.ceil((times - NEAR_S) / self._period_s).astype(np.int64)
        late = 0 if first is None else int(np.searchsorted(ticks, first))
        ticks, values = ticks[late:], values[late:]
        if not len(ticks):
            return late
        if self._cells:  # readings that overlap: what comes later is never of an earlier tick
            ticks = np.maximum(ticks, self._cells[-1].ticks[-1])
        cells = self._sorted(ticks, values.astype(np.float64))
        if self._cells and self._cells[-1].ticks[-1] == cells.ticks[0]:
            before = self._cells.pop()
            cells.add(before)
            if len(before.ticks) > 1:
                self._cells.append(before.cut(0, -1))
        self._cells.append(cells)
        return late

    def rows(self, first: int, last: int) -> Numbers:
        """The values of all channels at ticks first to last; they are asked for in order, and then gone."""
        found = np.full((last - first + 1, len(self._held)), np.nan)
        while self._cells and self._cells[0].ticks[0] <= last:
            cells = self._cells.popleft()
            stop = int(np.searchsorted(cells.ticks, last, "right"))
            if stop < len(cells.ticks):
                self._cells.appendleft(cells.cut(stop, None))
            known = cells.cut(0, stop)
            start = int(np.searchsorted(known.ticks, first))
            values = known.values(self._take)
            for tick, value in zip(known.ticks[:start], values[:start], strict=True):
                self._hold(value, float(tick) * self._period_s)
            found[known.ticks[start:] - first] = values[start:]
        return self._filled(first, found)

    @property
    def next(self) -> int | None:
        """The first tick that something fell into and that was not asked for yet."""
        return int(self._cells[0].ticks[0]) if self._cells else None

    @property
    def newest(self) -> float:
        """The last such tick; minus infinity where there is none."""
        return float(self._cells[-1].ticks[-1]) if self._cells else -math.inf

    def _sorted(self, ticks: NDArray[np.int64], values: Numbers) -> Cells:
        starts = np.flatnonzero(np.diff(ticks, prepend=ticks[0] - 1))
        there = ~np.isnan(values)
        known = np.where(there, values, 0.0)
        return Cells(
            ticks[starts],
            np.add.reduceat(there.astype(np.float64), starts),
            np.add.reduceat(known * known if self._take == "rms" else known, starts),
            np.maximum.reduceat(np.abs(known), starts),
            _last(values, there, starts),
        )

    def _filled(self, first: int, found: Numbers) -> Numbers:
        """The rows, with what stands from before where there is nothing."""
        at = np.arange(len(found))[:, None]
        latest = np.maximum.accumulate(np.where(np.isnan(found), -1, at), axis=0)
        values = np.where(latest >= 0, np.take_along_axis(found, np.maximum(latest, 0), axis=0), self._held)
        since = np.where(latest >= 0, (first + latest) * self._period_s, self._held_at)
        self._hold(np.where(latest[-1] >= 0, values[-1], np.nan), since[-1])
        return np.where((first + at) * self._period_s - since <= self._hold_s + NEAR_S, values, np.nan)

    def _hold(self, value: Numbers, at: float | Numbers) -> None:
        known = ~np.isnan(value)
        self._held = np.where(known, value, self._held)
        self._held_at = np.where(known, at, self._held_at)


def _last(values: Numbers, there: NDArray[np.bool_], starts: NDArray[np.int64]) -> Numbers:
    """The last number of each channel in each run of rows that begins at `starts`."""
    found = np.maximum.reduceat(np.where(there, np.arange(len(values))[:, None], -1), starts)
    picked = np.take_along_axis(values, np.maximum(found, 0), axis=0)
    return np.where(found >= starts[:, None], picked, np.nan)
