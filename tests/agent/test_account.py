"""Shares of a score: they add up to one, whatever kind of score it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.account import PLAIN, scores, shares
from agent.evidence import Score
from models.detector import Job, Shift
from models.level import Level

SUM = Score(name="distance", adds_up="squared distance", raw=2.0, reference=1.0)
LARGEST = Score(name="jump", adds_up="", raw=2.0, reference=1.0)


def shifts(parts: list[float]) -> list[Shift]:
    return [Shift(i, 1.0, 1.0, 0.0, part) for i, part in enumerate(parts)]


@given(parts=st.lists(st.floats(-1, 10), min_size=1, max_size=20), made=st.sampled_from([SUM, LARGEST]))
def test_shares_add_up_to_one(parts: list[float], made: Score) -> None:
    parts = sorted(parts, reverse=True)
    if sum(parts) < 0.1:  # of a score that hardly is one, shares are of rounding
        parts = [part + 1 for part in parts]
    assert math.fsum(shares(shifts(parts), made)) == pytest.approx(1.0)


def test_the_largest_makes_a_score_alone_that_is_no_sum() -> None:
    assert shares(shifts([1.0, 0.99]), LARGEST) == [1.0, 0.0]
    assert shares(shifts([0.75, 0.5, -0.25]), SUM) == [0.75, 0.5, -0.25]


@pytest.mark.parametrize("part", [0.0, math.inf, math.nan])
def test_where_nothing_can_be_shared_the_first_stands_for_all(part: float) -> None:
    assert shares(shifts([part, part]), SUM) == [1.0, 0.0]


def test_the_score_that_made_the_level_comes_first() -> None:
    job = Job(Level(1), [0.0, 1.0], (), raw=np.array([[3.0, 9.0], [20.0, 4.0]], np.float32))
    assert [score.name for score in scores(job, 0, (3.0, 10.0), PLAIN)] == ["jump", "distance"]
    assert [score.name for score in scores(job, 1, (3.0, 10.0), PLAIN)] == ["distance", "jump"]
