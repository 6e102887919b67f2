"""VUS-PR against the definition worked out row by row, and its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.scores.points import stretches
from benchmarks.scores.volume import Doubles, vus_pr


def _slowly(labels: Doubles, scores: Doubles, widest: int) -> float:
    """The paper's definition with loops, for one file."""
    count, areas = len(labels), []
    anomalies = stretches(labels > 0)
    for width in range(widest + 1):
        soft = labels.astype(float)
        for start, stop in anomalies:
            for row in range(count):
                away = start - row if row < start else row - (stop - 1)
                inside = 0 < away <= width // 2
                if inside:
                    soft[row] = min(1.0, soft[row] + math.sqrt(1 - away / width))
        segments = stretches(soft > 0)
        area, before = 0.0, 0.0
        for threshold in sorted(set(scores), reverse=True):
            called = scores >= threshold
            true = float(soft[called].sum())
            weighed = np.where(labels > 0, 1.0, soft * called).sum()
            recall = min(1.0, true / ((labels.sum() + weighed) / 2))
            recall *= np.mean([called[a:b].any() for a, b in segments])
            area += (recall - before) * true / called.sum()
            before = recall
        areas.append(area)
    return float(np.mean(areas))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_definition_worked_out_row_by_row(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.zeros(80, bool)
    labels[20:28] = labels[33:35] = labels[70:80] = True
    scores = np.round(random.random(80) + 0.4 * labels, 2)
    assert vus_pr([(labels, scores)], 12) == pytest.approx(_slowly(labels, scores, 12))


def test_perfect_scores_reach_nearly_one_and_constant_ones_the_share_of_anomalies() -> None:
    labels = np.zeros(1000, bool)
    labels[300:500] = True
    assert vus_pr([(labels, labels.astype(float))], 0) == pytest.approx(1)
    assert vus_pr([(labels, np.zeros(1000))], 0) == pytest.approx(0.2)
    assert vus_pr([(labels, labels.astype(float))], 40) > 0.95


def test_buffers_do_not_reach_into_the_next_file() -> None:
    labels = np.zeros(50, bool)
    labels[45:] = True
    scores = labels.astype(float)
    quiet = (np.zeros(50, bool), np.zeros(50))
    quiet[1][:3] = 1  # just after the anomaly, if the files were one
    apart = vus_pr([(labels, scores), quiet], 10)
    joined = vus_pr([(np.append(labels, quiet[0]), np.append(scores, quiet[1]))], 10)
    assert apart < joined - 0.05


def test_rows_that_were_not_judged_count_as_the_lowest() -> None:
    labels = np.array([False, True, True, False, False])
    scores = np.array([np.nan, 2.0, np.nan, 0.1, 0.2])
    floor = np.where(np.isnan(scores), -1.0, scores)
    assert vus_pr([(labels, scores)], 2) == vus_pr([(labels, floor)], 2)
    assert math.isnan(vus_pr([(~labels & labels, scores)], 2))
