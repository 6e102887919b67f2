"""What heads share that judge means of the newest rows: telemetry averaged over a span, features of vibration over
some windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.blocks import BlockBank, check_arrays
from models.calibration import Calibration, Doubles
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
        self._weights: dict[str, NDArray[Any]] = {}  # as learned, but for what follows the machine
        self.calibration = Calibration(())
        self.bank: Bank | None = None
        self.seat = -1

    @property
    def shares(self) -> Hashable:
        return self.graph, self.width

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The arrays the graph takes."""
        return self._weights

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
        self._learned, self._weights = learned, learned.arrays
        self.calibration = learned.calibration
        self._smoother = self.averaging.smoother()

    def learned(self) -> Learned:
        assert self._learned is not None
        return self._learned

    def usual(self) -> tuple[Doubles, Doubles]:
        """Mean and deviation `(width,)` of the levels it learned from."""
        arrays = self.learned().arrays
        mean, inverse = (arrays[name][:, 0].astype(np.float64) for name in ("mean", "inverse_scale"))
        return mean, np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0)

    def seen(self, job: Job) -> Array:
        return job.inputs[0]

    def follow(self, offset: Doubles) -> None:
        """Judge by a mean so far from the learned one, from the next row that is scored."""
        arrays = self.learned().arrays
        mean = arrays["mean"].astype(np.float64) + offset[:, None]
        self._weights = {**arrays, "mean": mean.astype(np.float32)}
        if isinstance(self.bank, BlockBank):
            self.bank.renew(self)

    def take(self, times: list[float], rows: Array, fresh: bool) -> Job | None:
        first, levels, changes = self._smoother.push(rows, fresh)
        if not len(levels):
            return None
        inputs = (levels, changes) if self.compares else (levels,)
        return Job(self, times[first :: self._smoother.every] if len(times) > 1 else times, inputs)
