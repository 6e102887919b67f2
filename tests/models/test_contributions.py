"""What the columns make of a score adds up to the score that the graph gave, however they are coupled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detector import Job, Shift
from tests.models.heads import KINDS, Kind, armed, healthy, score, times_of

SUMS = [kind for kind in KINDS if kind.name.startswith(("mahalanobis", "reconstruction"))]


def scored(kind: Kind, moved: list[float]) -> Job:
    """The last row of a stretch whose columns have left normal by so many of their deviations, and stay there: until
    a sudden change is none any more."""
    head = armed(kind)
    rows = healthy(kind, 400, seed=9)
    rows[100:] += np.resize(moved, kind.width).astype(np.float32) * rows.std(axis=0)
    job = head.take(times_of(400), rows, True)
    assert job is not None
    score([job])
    return job


@pytest.mark.parametrize("kind", SUMS, ids=str)
@settings(max_examples=25, deadline=None)
@given(moved=st.lists(st.floats(-30, 30), min_size=3, max_size=8))
def test_contributions_add_up_to_the_squared_distance_that_was_scored(kind: Kind, moved: list[float]) -> None:
    job = scored(kind, moved)
    head, last = job.head, len(job.times) - 1
    shifts = head.explain(job, last)
    if shifts[0].jump:
        return
    sigma = np.zeros(kind.width)
    for shift in shifts:
        sigma[shift.column] = shift.sigma
    precision = head.learned().arrays["precision"].astype(np.float64)
    parts = sigma * (precision @ sigma)
    scored_square = float(job.raw[0, last]) ** 2
    assert parts.sum() == pytest.approx(scored_square, rel=2e-3, abs=1e-3)
    assert sum(shift.share for shift in shifts) == pytest.approx(1.0, abs=1e-9)
    if scored_square > 1:
        for shift in shifts:
            assert shift.share * scored_square == pytest.approx(
                parts[shift.column], rel=5e-3, abs=5e-3 * scored_square
            )


def test_a_column_that_moved_as_little_as_its_partner_lets_expect_speaks_against() -> None:
    """Two columns that move together: one far out, the other half as far. Without the other it would be stranger."""
    kind = next(kind for kind in SUMS if kind.name == "mahalanobis of 8")
    job = scored(kind, [8.0, 2.0, 0, 0, 0, 0, 0, 0])
    shifts: dict[int, Shift] = {shift.column: shift for shift in job.head.explain(job, len(job.times) - 1)}
    assert shifts[0].share > 1.0
    assert min(shift.share for shift in shifts.values()) < 0.0
