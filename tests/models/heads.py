"""Every head, with what it takes to learn and to score: for the suite that all of them pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.detector import Bank, Head, Job, Learned
from models.level import Level
from models.mahalanobis import Mahalanobis
from models.neighbours import Neighbours
from models.reconstruction import Reconstruction
from tests.models.streams import Array, noise

LESSON_ROWS = 600
START, STEP_S = 1700000000.0, 60.0
EDGE = 1.5  # of the reference edge: where a usual budget has it


@dataclass(frozen=True)
class Kind:
    """A detector in one shape."""

    name: str
    width: int
    settles: int  # rows until a step is all that its short memory holds
    head: Callable[[], Head]

    def bank(self) -> Bank:
        return self.head().make_bank()

    def __str__(self) -> str:
        return self.name


KINDS = (
    Kind("mahalanobis of 1", 1, 20, lambda: Mahalanobis(1, smooth=20)),
    Kind("mahalanobis of 8", 8, 20, lambda: Mahalanobis(8, smooth=20)),
    Kind("mahalanobis of 45", 45, 5, lambda: Mahalanobis(45, smooth=5, every=2, lag=9)),
    Kind("mahalanobis unsmoothed", 3, 1, lambda: Mahalanobis(3, smooth=1)),
    Kind("reconstruction of 1", 1, 20, lambda: Reconstruction(1, smooth=20)),
    Kind("reconstruction of 8", 8, 20, lambda: Reconstruction(8, smooth=20)),
    Kind("reconstruction of 5, some", 5, 5, lambda: Reconstruction(5, smooth=5, every=2)),
    Kind("level of 1", 1, 20, lambda: Level(1)),
    Kind("level of 3", 3, 20, lambda: Level(3)),
    Kind("knn of 1", 1, 24, lambda: Neighbours(1)),
    Kind("knn of 3", 3, 24, lambda: Neighbours(3)),
)


def times_of(count: int, first: int = 0) -> list[float]:
    """Unix seconds of rows a minute apart."""
    return [START + STEP_S * i for i in range(first, first + count)]


def healthy(kind: Kind, rows: int, seed: int = 0) -> Array:
    """Columns of different means and deviations, some of them coupled."""
    rows_ = noise(rows, kind.width, seed).astype(np.float64)
    rows_[:, 1:] += 0.5 * rows_[:, :-1]
    return (rows_ * deviations(kind) + means(kind)).astype(np.float32)


def means(kind: Kind) -> NDArray[np.float64]:
    return np.linspace(20.0, -70.0, kind.width)


def deviations(kind: Kind) -> NDArray[np.float64]:
    return np.geomspace(1.0, 0.05, kind.width)


@cache
def lesson(kind: Kind, seed: int = 0) -> Learned:
    """What the kind learns from its healthy rows."""
    times = np.asarray(times_of(LESSON_ROWS))
    return kind.head().learn(times, healthy(kind, LESSON_ROWS, seed), [0])


def armed(kind: Kind, bank: Bank | None = None, learned: Learned | None = None, seed: int = 0) -> Head:
    """A head with a seat in a bank."""
    head = kind.head()
    head.arm(learned or lesson(kind, seed))
    head.calibration = head.calibration.at(EDGE)
    head.bank = bank or kind.bank()
    head.seat = head.bank.seat(head)
    return head


@dataclass(frozen=True)
class Scored:
    """Everything a head said of a stream."""

    times: list[float]
    raw: Array  # (scores, n)
    levels: list[float]


def scored(head: Head, pieces: Sequence[Array], *, first: int = LESSON_ROWS, fresh: bool = True) -> Scored:
    """Alone with its bank, piece by piece; `first` is the number of the first row."""
    times: list[float] = []
    raws: list[Array] = []
    levels: list[float] = []
    for rows in pieces:
        job = head.take(times_of(len(rows), first), rows, fresh)
        first, fresh = first + len(rows), False
        if job is not None:
            score([job])
            times += job.times
            raws.append(job.raw.copy())
            levels += head.calibration.apply(job.raw)
    return Scored(times, np.concatenate(raws, axis=1), levels)


def score(jobs: Sequence[Job]) -> None:
    """In one call, for all have one bank."""
    bank = jobs[0].head.bank
    assert bank is not None
    bank.score(jobs)
