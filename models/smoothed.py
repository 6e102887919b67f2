"""What heads share that judge means of the newest rows: telemetry averaged over a span, features of vibration over
some windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.blocks import BlockBank, check_arrays
from models.calibration import Calibration
from models.detector import Bank, Job, Learned, Shift
from models.smoothing import Averaging
from models.window import Array


class SmoothedHead(ABC):
    """A head that takes levels, and perhaps their changes, to a bank of blocks."""

    detector: str
    graph: str
    choosy = True
    still = "cannot be judged"
    compares: ClassVar[bool]  # the graph takes changes beside levels

    def __init__(self, width: int, *, smooth: int, every: int = 1, lag: int = 0) -> None:
        """`smooth` rows are averaged, `every` so many; a level is compared with those `lag` levels apart."""
        self.width = width
        apart = (lag or max(1, smooth // every)) if self.compares else 0
        self.averaging = Averaging(smooth, every, apart, width)
        self._smoother = self.averaging.smoother()
        self._learned: Learned | None = None
        self.calibration = Calibration(())
        self.bank: Bank | None = None
        self.seat = -1

    @property
    def shares(self) -> Hashable:
        return self.graph, self.width

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The arrays the graph takes."""
        assert self._learned is not None
        return self._learned.arrays

    @property
    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the learned arrays."""

    @abstractmethod
    def make_bank(self) -> BlockBank: ...

    @abstractmethod
    def learn(self, times: NDArray[np.float64], rows: Array, starts: Sequence[int]) -> Learned: ...

    @abstractmethod
    def explain(self, job: Job, index: int) -> list[Shift]: ...

    def arm(self, learned: Learned) -> None:
        check_arrays(learned.arrays, self.shapes)
        self._learned = learned
        self.calibration = learned.calibration
        self._smoother = self.averaging.smoother()

    def learned(self) -> Learned:
        assert self._learned is not None
        return self._learned

    def take(self, times: list[float], rows: Array, fresh: bool) -> Job | None:
        first, levels, changes = self._smoother.push(rows, fresh)
        if not len(levels):
            return None
        inputs = (levels, changes) if self.compares else (levels,)
        return Job(self, times[first :: self._smoother.every] if len(times) > 1 else times, inputs)
