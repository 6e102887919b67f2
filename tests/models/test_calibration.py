"""One is the edge of normal, whatever the detector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import FOLDS, Calibration, Doubles, out_of_fold
from tests.models.streams import noise


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=3), st.integers(1, 30), st.integers(0, 9))
def test_the_level_is_the_largest_share_of_an_edge_and_the_same_alone_as_in_company(
    edges: list[float], count: int, seed: int
) -> None:
    raw = np.abs(noise(len(edges) + 2, count, seed))  # scores beyond the edges only explain
    calibration = Calibration(tuple(edges))
    levels = calibration.apply(raw)
    for i, level in enumerate(levels):
        assert level == max(float(raw[k, i]) / edge for k, edge in enumerate(edges))
        assert calibration.apply(raw[:, i : i + 1]) == [level]


def test_a_score_at_its_edge_is_a_level_of_one() -> None:
    assert Calibration((4.0, 2.0)).apply(np.array([[4.0, 1.0], [1.0, 2.0]], np.float32)) == [1.0, 1.0]


def test_edges_move_together() -> None:
    assert Calibration((2.0, 10.0)).at(2.0).edges == (4.0, 20.0)


def test_scores_out_of_fold_never_come_from_a_fit_on_the_same_rows() -> None:
    rows = np.arange(22.0)[:, None]
    fits: list[set[float]] = []

    def fit(seen: Doubles) -> object:
        known = set(seen[:, 0].tolist())
        fits.append(known)
        return lambda unseen: np.array([float(value in known) for value in unseen[:, 0]])

    scores = out_of_fold(rows, fit)  # type: ignore[arg-type]
    assert scores.tolist() == [0.0] * 22
    assert len(fits) == FOLDS
    assert set.union(*fits) == set(range(22))


def test_scores_out_of_fold_keep_the_order_of_the_rows() -> None:
    rows = noise(37, 1).astype(np.float64)
    assert out_of_fold(rows, lambda seen: lambda unseen: unseen[:, 0]) == pytest.approx(rows[:, 0])
