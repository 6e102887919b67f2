"""How fast samples really come, by their own times: at a wrong rate every frequency is wrong."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.leak import Leak
from models.window import SAME_TIME_S

TOLERANCE = {
    False: 0.2,
    True: 0.05,
}  # of figures polled over a bus; of a waveform (a sensor's own clock: 1 to 3 %)
MOST = 0.75  # of the steps between figures must be wrong: rows that did not come, here and there, are no rate
MARGIN = 1.5  # times the largest deviation seen while learning is usual still ...
MOST_USUAL = 2.0  # ... but no more than so many tolerances: a rate wrong from the beginning is no habit
BLOCKS = 3  # in a row, or one gap would be a wrong rate
FIGURES = 9  # decimals that count, so that it does not matter in which order periods were added


class PaceTurn(NamedTuple):
    """The rate begins to be wrong, or to be right again, with sample `at` of the piece that was looked at."""

    at: int
    begins: bool
    since: float  # Unix seconds
    rate_hz: float  # of the latest block


class Pace:
    """Compares the rate that was told with that of the samples' times, block by block."""

    def __init__(self, rate_hz: float, waveform: bool) -> None:
        self._rate, self._waveform = rate_hz, waveform
        self._tolerance = TOLERANCE[waveform]
        self._block = max(20, math.ceil(rate_hz if waveform else 5 * rate_hz))
        self._gap = (
            float(self._block) if waveform else 10.5
        )  # periods: longer is a gap and says nothing of a rate
        self.usual = 0.0  # the largest deviation to be expected, by what was learned
        self._leak = Leak(2, BLOCKS, BLOCKS)
        self._rows = self._steps = 0  # of this block; those whose length counts
        self._slow = self._fast = 0  # of these, longer or shorter than is tolerated
        self._periods = 0.0  # that these took, by the samples' times
        self._began = self._since = 0.0  # Unix seconds: of this block; of the first that was wrong
        self._doubt = False  # the block before was wrong
        self.held: list[tuple[int, int]] = []  # of the latest piece, what must not be believed

    @property
    def even(self) -> bool:
        """Nothing is wrong: for a sample on time `tick` is enough."""
        return not self._leak.level

    def tick(self, time: float) -> None:
        """A sample on time, as usual, live: it says nothing new."""
        if not self._rows:
            self._began = time
        self._rows += 1
        self._steps += 1
        self._periods += 1.0
        if self._rows == self._block:
            self._judge(0, False)  # the first wrong block is not said yet

    def step(
        self, anchor: float, number: int, rate_hz: float, rows: int, newest: float, lesson: int
    ) -> list[PaceTurn]:
        """What a piece of `rows` samples brings, the first of which is of anchor + number / rate_hz. `newest` is the
        time of the sample before it; NaN without one. The first `lesson` samples are learned from."""
        since = anchor + number / rate_hz - newest
        on_time = abs(since - 1 / rate_hz) < SAME_TIME_S and rate_hz == self._rate
        if self.held:
            self.held.clear()
        turns: list[PaceTurn] = []
        each = self._rate / rate_hz
        first = 1.0 if on_time else since * self._rate
        at = 0
        while at < rows:
            if not self._rows:
                self._began = anchor + (number + at) / rate_hz
            take = min(self._block - self._rows, rows - at)
            inner = take
            if not at:
                inner -= 1
                if 0.0 < first <= self._gap:
                    self._count(1, first)
            self._count(inner, each)
            self._rows += take
            if self._leak.active or (self._doubt and self._waveform):
                self.held.append((at, at + take))
            at += take
            if self._rows == self._block:
                turns += self._judge(at - 1, at <= lesson)
        return turns

    def _count(self, steps: int, each: float) -> None:
        self._steps += steps
        self._periods += steps * each
        self._slow += steps * (each > 1 + self._tolerance)
        self._fast += steps * (each * (1 + self._tolerance) < 1)

    def _judge(self, at: int, learning: bool) -> list[PaceTurn]:
        steps, periods, most_wrong = self._steps, self._periods, max(self._slow, self._fast)
        self._rows = self._steps = self._slow = self._fast = 0
        self._periods = 0.0
        if 2 * steps < self._block:  # mostly gaps
            return []
        ratio = round(periods / steps, FIGURES)
        if not self._waveform:
            self._doubt = most_wrong >= MOST * steps
        else:
            apart = max(ratio, 1 / ratio) - 1
            most = MOST_USUAL * self._tolerance
            self._doubt = apart > (most if learning else max(self._tolerance, self.usual))
            if learning:
                usual = min(max(self.usual, MARGIN * apart), most)
                self.usual = float(np.float32(usual))  # as it will be when it has been saved
        if self._doubt and not self._leak.level:
            self._since = self._began
        wrong = [(0, 1, 1)] if self._doubt else []
        return [
            PaceTurn(at, turn.begins, self._since, self._rate / ratio) for turn in self._leak.pour(wrong, 1)
        ]
