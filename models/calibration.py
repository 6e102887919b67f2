"""From raw score to level: 1.0 is the edge of normal, whatever the detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
FOLDS = 4
QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Calibration:
    """One edge per raw score of a detector; the level is the largest ratio of a score to its edge.

    What is learned are reference edges, of about the 0.99 quantile of normal; `at` moves them together to where the
    asked rate of false alarms wants them.
    """

    edges: tuple[float, ...]

    def at(self, factor: float) -> Calibration:
        """With every edge `factor` times as far out."""
        return Calibration(tuple(edge * factor for edge in self.edges))

    def apply(self, raw: NDArray[np.float32]) -> list[float]:
        """Levels of raw scores `(at least as many as edges, n)`, the same for one row as for many."""
        if raw.shape[1] == 1:
            level: float = raw.item(0, 0) / self.edges[0]
            for i in range(1, len(self.edges)):
                level = max(level, raw.item(i, 0) / self.edges[i])
            return [level]
        edges = np.asarray(self.edges)[:, None]
        levels: list[float] = (raw[: len(edges)] / edges).max(axis=0).tolist()
        return levels


def out_of_fold(
    rows: Doubles, fit: Callable[[Doubles], Callable[[Doubles], Doubles]], guard: int = 0
) -> Doubles:
    """Scores `(n,)` of `rows` in their order, each from a fit on the other three of four contiguous folds:
    what a machine's own normal scores when the detector has not seen it. `guard` rows on either side of a
    fold are left out of the fit, for averages that share samples with it."""
    edges = np.linspace(0, len(rows), FOLDS + 1).astype(int)
    scores = []
    for a, b in pairwise(edges.tolist()):
        score = fit(np.concatenate([rows[: max(0, a - guard)], rows[b + guard :]]))
        scores.append(score(rows[a:b]))
    return np.concatenate(scores)
