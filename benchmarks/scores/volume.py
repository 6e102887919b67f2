"""VUS-PR: the volume under the precision-recall surface, averaged over the width of a buffer around anomalies.

Source: Paparrizos, Boniol, Palpanas, Tsay, Elmore, Franklin: Volume Under the Surface, PVLDB 15(11), 2022. Written
from the paper: labels sink from 1 at an anomaly's edge as the root of one minus the distance over the buffer, to half
the buffer on either side; recall is weighted by the share of anomalies that were touched at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.scores.points import Bools, stretches

Doubles = NDArray[np.float64]


def vus_pr(files: Sequence[tuple[Bools, Doubles]], widest: int) -> float:
    """Of labels and scores of several files, pooled; buffers of 0 to `widest` rows never reach from one file into
    the next. NaN scores are the lowest. Every distinct score is a threshold. NaN without anomalies."""
    labels = np.concatenate([labels for labels, _ in files])
    if not labels.any():
        return float("nan")
    scores = np.concatenate([np.nan_to_num(scores, nan=-np.inf) for _, scores in files])
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(
        np.append(ranked[1:] != ranked[:-1], True)
    )  # of the rows at or above each threshold
    areas = []
    for width in range(widest + 1):
        soft = np.concatenate([_soft(labels, width) for labels, _ in files])
        segments, offset = [], 0
        for flags, _ in files:
            for start, stop in stretches(_soft(flags, width) > 0):
                segments.append(scores[offset + start : offset + stop].max())
            offset += len(flags)
        areas.append(_area(labels[order], soft[order], ranked, last, np.sort(segments)))
    return float(np.mean(areas))


def _area(labels: Bools, soft: Doubles, ranked: Doubles, last: NDArray[np.intp], segments: Doubles) -> float:
    """Average precision at one width; rows from the highest score to the lowest, `segments` the best of each."""
    true = np.cumsum(soft)[last]
    precision = true / (last + 1)
    outside = np.cumsum(np.where(labels, 0.0, soft))[last]
    positives = (
        labels.sum() + outside / 2
    )  # the mean of the hard labels and of the soft ones that were called
    touched = (len(segments) - np.searchsorted(segments, ranked[last], "left")) / len(segments)
    recall = np.minimum(true / positives, 1.0) * touched
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _soft(labels: Bools, width: int) -> Doubles:
    """The labels with their buffers `(n,)`."""
    soft = labels.astype(np.float64)
    count, half = len(labels), width // 2
    for start, stop in stretches(labels):
        after = np.arange(stop, min(stop + half, count))
        soft[after] += np.sqrt(1 - (after - stop + 1) / width)
        before = np.arange(max(start - half, 0), start)
        soft[before] += np.sqrt(1 - (start - before) / width)
    return np.minimum(soft, 1.0)
