"""A leaking count of what goes wrong: full, a fault has begun; empty again, it is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Turn(NamedTuple):
    """A fault begins or is over with sample `at` of the piece that was looked at."""

    at: int
    begins: bool
    first: int  # number, in the same piece, of the first sample that was wrong: negative when it lies before


class Leak:
    """Rises by `gain` with each wrong sample, sinks by 1 with every sample: whole numbers, so that it comes to the
    same however a stream is cut.

    A fault begins at `full`; after one at `most` it takes so many sound samples until it is over. So it needs
    wrong samples more often than each `gain`-th, for ever so long.
    """

    __slots__ = ("_first", "_full", "_most", "active", "gain", "level")

    def __init__(self, gain: int, full: int, most: int) -> None:
        """`gain` at least 2, or nothing would ever fill it."""
        self.gain, self._full, self._most = gain, full, most
        self.level, self._first = 0, 0
        self.active = False

    def pour(self, wrong: Iterable[tuple[int, int, int]], rows: int) -> list[Turn]:
        """The turns that a piece of `rows` samples brings. `wrong` are the stretches (start, stop, times) in which
        each sample counts so many times."""
        turns: list[Turn] = []
        at = 0
        for start, stop, times in wrong:
            self._sink(at, start, turns)
            if not self.level:
                self._first = start
            rise = self.gain * times - 1
            if not self.active:
                needed = max(1, -(-(self._full - self.level) // rise))
                if needed <= stop - start:
                    self.active = True
                    turns.append(Turn(start + needed - 1, True, self._first))
            self.level = min(self._most, self.level + rise * (stop - start))
            at = stop
        self._sink(at, rows, turns)
        self._first -= rows
        return turns

    def _sink(self, at: int, until: int, turns: list[Turn]) -> None:
        if self.level and self.level <= until - at:
            if self.active:
                turns.append(Turn(at + self.level - 1, False, self._first))
            self.level, self.active = 0, False
        else:
            self.level = max(0, self.level - (until - at))
