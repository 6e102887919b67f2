"""A lesson of what the samples of some channels look like: counted, and looked at anew each so many samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.habits import Habits
from models.window import Array

LOOK_ROWS = {False: 64, True: 4096}  # what is known by then is renewed so often; True: of a waveform


class Study:
    """Of some columns, from sample number `first` on. At which samples it is looked at follows from their numbers."""

    def __init__(self, columns: Sequence[int], first: int, rows: int, *, waveform: bool) -> None:
        self.columns = np.array(columns, np.intp)
        self.habits = Habits(len(self.columns), rows, waveform=waveform)
        self._first, self._last, self._each = first, first + rows, LOOK_ROWS[waveform]

    def left(self, row: int) -> int:
        """Samples from number `row` to the next look, at least 1."""
        return min(self._each - (row - self._first) % self._each, max(1, self._last - row))

    def add(self, values: Array) -> None:
        """Samples `(n, width)` of all columns, no more than are left."""
        self.habits.add(values[:, self.columns])

    def due(self, row: int) -> bool:
        """Whether it is to be looked at before sample number `row`."""
        return (row - self._first) % self._each == 0 or self.over(row)

    def over(self, row: int) -> bool:
        """Whether it is complete before sample number `row`."""
        return row >= self._last
