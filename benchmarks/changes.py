"""Sudden changes out of the change head's raw score: where it leaps further than it did in the whole lesson."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.road import Walk
from models.mahalanobis import JUMP_MARGIN, Mahalanobis

JUMP = 1  # of the Mahalanobis head's raw scores
MARGIN = 1.5  # times the largest jump while learning
HOLD_S = 60.0  # after a change, none is told for so long


def changes(walked: Walk) -> list[int]:
    """The rows at which a change is told; none where too little was learned to judge jumps, or where no head of
    this kind judges."""
    baseline = walked.monitor.baseline
    if baseline is None or len(walked.raw) <= JUMP or walked.monitor.head.detector != Mahalanobis.detector:
        return []
    largest = baseline.learned.calibration.edges[JUMP] / JUMP_MARGIN
    return spaced(walked.times, walked.raw[JUMP] > MARGIN * largest)


def spaced(times: NDArray[np.float64], flags: NDArray[np.bool_], hold_s: float = HOLD_S) -> list[int]:
    """The rows flagged, but for those within `hold_s` of the one before that was taken."""
    taken: list[int] = []
    for row in np.flatnonzero(flags).tolist():
        if not taken or times[row] - times[taken[-1]] >= hold_s:
            taken.append(row)
    return taken
