"""Detectors: a head per monitor with what it learned, a bank per graph that scores all heads in one call."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.tail import Growth, Prior, Tail
from models.window import Array

UNSCORED: Array = np.empty((0, 0), np.float32)


class LearningError(Exception):
    """What was seen cannot be learned from; the message says why and what would help."""


@dataclass(frozen=True, slots=True)
class Normal:
    """What normal operation scored that the detector had not seen, over the reference edge: the larger of its scores
    counts. Out of fold, or ahead of what was learned."""

    scores: NDArray[np.float64]  # (n,)
    starts: tuple[int, ...] = (0,)  # first score of each unbroken stretch
    prior: Prior | None = None

    def stretches(self) -> list[NDArray[np.float64]]:
        return np.split(self.scores, list(self.starts[1:]))


@dataclass(frozen=True, slots=True)
class Learned:
    """What a detector takes from its lesson: arrays for its graph, reference edges for its levels, and what a person
    should know."""

    arrays: dict[str, NDArray[Any]]
    calibration: Calibration
    notes: tuple[str, ...] = ()
    tail: Tail | None = None  # of its normal scores; goes on being learned
    growth: Growth | None = None  # what will be learned of it next
    normal: Normal | None = None  # what the tail is made from; not kept


@dataclass(frozen=True, slots=True)
class Shift:
    """One column that moved: by `sigma` of its normal movement, from `normal` to `value` in its own unit."""

    column: int
    sigma: float
    value: float
    normal: float
    share: float = 1.0  # of the score that this column makes; of a jump, how far against the farthest
    jump: bool = False  # a sudden change rather than a distance from normal


@dataclass(slots=True)
class Job:
    """Rows of one head waiting for its bank; `raw` is `(scores, n)` once scored."""

    head: Head
    times: list[float]  # (n,) Unix seconds
    inputs: tuple[NDArray[Any], ...]
    fresh: bool = False  # these are the first since a gap: what was pending before it is not
    skipped: int = 0  # rows of the stream just before them that nobody looked at
    thinned: bool = False  # these are no fair sample of the stream
    raw: Array = field(default_factory=lambda: UNSCORED)

    def part(self, first: int, last: int) -> Job:
        """Rows `first` to `last` of a scored job."""
        rows = slice(first, last)
        inputs = tuple(array[rows] for array in self.inputs)
        fresh, skipped = (False, 0) if first else (self.fresh, self.skipped)
        return Job(self.head, self.times[rows], inputs, fresh, skipped, self.thinned, self.raw[:, rows])


class Head(Protocol):
    """One monitor's part of a detector: state, learned arrays, explanations. Scoring is the bank's."""

    detector: str  # "mahalanobis", "level"
    width: int  # columns
    graph: str  # file name in models/graphs
    choosy: bool  # learns from rows without strays and stuck channels only; False: takes all as they come
    still: str  # what it makes of a column that never moved while learning, as a phrase
    calibration: Calibration  # once armed: the reference edges, until they are moved
    bank: Bank | None
    seat: int

    @property
    def shares(self) -> Hashable:
        """Heads that say the same here share a bank."""
        ...

    def make_bank(self) -> Bank:
        """A bank for heads like this."""
        ...

    def learn(self, times: NDArray[np.float64], rows: Array, starts: Sequence[int]) -> Learned:
        """What these normal rows teach. Pure; raises LearningError."""
        ...

    def arm(self, learned: Learned) -> None:
        """Score with this from now on."""
        ...

    def take(self, times: list[float], rows: Array, fresh: bool) -> Job | None:
        """Rows of features become inputs of the graph; None while too few have come since a restart."""
        ...

    def explain(self, job: Job, index: int) -> list[Shift]:
        """All columns as they stood at row `index` of a scored job, the one that counts most first."""
        ...

    def learned(self) -> Learned:
        """What it is armed with, its streaming state included: for the baseline on disk."""
        ...


@runtime_checkable
class Watched(Protocol):
    """A head whose rows have a usual place, from which a machine may creep away."""

    def usual(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation `(width,)` of the rows it learned from; a deviation of 0 for a column that never moved."""
        ...

    def seen(self, job: Job) -> Array:
        """The rows `(n, width)` that are compared with that."""
        ...


@runtime_checkable
class Follower(Watched, Protocol):
    """A head that can be moved after a machine that drifts."""

    def follow(self, offset: NDArray[np.float64]) -> None:
        """Judge by a mean so far `(width,)` from what was learned, from the next row that is scored."""
        ...

    def reach(self, offset: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The level that what was learned would give rows so far from its mean, and no farther; and what each column
        makes of its square `(width,)`, together 1."""
        ...


@runtime_checkable
class Glancer(Protocol):
    """A head that can say without its graph what it will make of a row."""

    def glance(self, level: Array) -> float:
        """About the level `(width,)` would be given."""
        ...


class Bank(Protocol):
    """All heads with one graph and one width."""

    def seat(self, head: Any) -> int:
        """Take in a head; its number here."""
        ...

    def score(self, jobs: Sequence[Job]) -> None:
        """Fill in `raw` of every job, in one call of the graph for all of them. A row's score does not
        depend, not by a bit, on the rows scored with it."""
        ...
