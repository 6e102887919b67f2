"""F1, false alarm rate and missed alarm rate over rows, pooled over files; delays and false alarms over alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what they are and what they were called."""

    hits: int  # anomalous and called so
    false: int
    missed: int
    quiet: int  # normal and called so

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hits + other.hits,
            self.false + other.false,
            self.missed + other.missed,
            self.quiet + other.quiet,
        )

    @property
    def f1(self) -> float:
        """0 to 1; 0 where nothing was hit."""
        return 2 * self.hits / max(1, 2 * self.hits + self.false + self.missed)

    @property
    def far(self) -> float:
        """False alarm rate: per cent of the normal rows; NaN without any."""
        normal = self.false + self.quiet
        return 100 * self.false / normal if normal else float("nan")

    @property
    def mar(self) -> float:
        """Missed alarm rate: per cent of the anomalous rows; NaN without any."""
        anomalous = self.hits + self.missed
        return 100 * self.missed / anomalous if anomalous else float("nan")


def count(labels: Bools, alarm: Bools) -> Counts:
    """Of rows `(n,)`."""
    return Counts(
        int((labels & alarm).sum()),
        int((~labels & alarm).sum()),
        int((labels & ~alarm).sum()),
        int((~labels & ~alarm).sum()),
    )


def total(counts: Sequence[Counts]) -> Counts:
    """Pooled over files."""
    return sum(counts, Counts(0, 0, 0, 0))


def stretches(flags: Bools) -> list[tuple[int, int]]:
    """Where the flags stand: `[start, stop)` of each stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def delays_s(times: NDArray[np.float64], labels: Bools, alarm: Bools) -> list[float | None]:
    """Of each anomaly, how long from its first row until an alarm stands; None where none does in it."""
    found: list[float | None] = []
    for start, stop in stretches(labels):
        standing = np.flatnonzero(alarm[start:stop])
        found.append(float(times[start + standing[0]] - times[start]) if len(standing) else None)
    return found


def false_alarms(labels: Bools, alarm: Bools) -> int:
    """Alarms that began at a row that is not anomalous."""
    return sum(not labels[start] for start, _ in stretches(alarm))
