"""From raw score to level: 1.0 is the edge of normal, whatever the detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Sensitivity = Literal["quiet", "normal", "sensitive"]
MARGIN: dict[Sensitivity, float] = {"sensitive": 1.3, "normal": 1.5, "quiet": 2.0}  # times the 0.99 quantile
FOLDS = 4
QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Calibration:
    """One edge per raw score of a detector; the level is the largest ratio of a score to its edge. Learned
    edges hold at margin 1 and are scaled to the asked sensitivity when a head is armed."""

    edges: tuple[float, ...]

    def scaled(self, sensitivity: Sensitivity) -> Calibration:
        """With the edges moved out by the margin of this sensitivity."""
        return Calibration(tuple(edge * MARGIN[sensitivity] for edge in self.edges))

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
