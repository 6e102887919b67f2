"""The smoother gives the same levels and changes however its rows come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.smoothing import CHANGE_SPANS, Smoother
from tests.models.streams import Array, cuts, noise

Smooth = tuple[list[int], list[list[float]], list[list[float]]]


def smoothed(smoother: Smoother, pieces: list[tuple[Array, bool]]) -> Smooth:
    """The stream's rows that end a level, the levels, and the changes."""
    ends: list[int] = []
    levels: list[list[float]] = []
    changes: list[list[float]] = []
    row = 0
    for rows, fresh in pieces:
        first, level, change = smoother.push(rows, fresh)
        assert level.shape == change.shape
        ends += [row + first + i * smoother.every for i in range(len(level))]
        levels += level.tolist()
        changes += change.tolist()
        row += len(rows)
    return ends, levels, changes


def plainly(rows: Array, span: int, every: int, lag: int) -> Smooth:
    """The same in double precision from the definition."""
    ends = list(range(span - 1, len(rows), every))
    exact = rows.astype(np.float64)
    levels = np.array([exact[end - span + 1 : end + 1].mean(axis=0) for end in ends]).reshape(
        -1, rows.shape[1]
    )
    changes = np.zeros_like(levels)
    for i in range(CHANGE_SPANS * lag, len(levels)):
        changes[i] = levels[i] - np.mean([levels[i - k * lag] for k in range(1, CHANGE_SPANS + 1)], axis=0)
    return ends, levels.tolist(), changes.tolist()


@given(
    st.integers(1, 200),
    st.integers(1, 25),
    st.integers(1, 9),
    st.integers(1, 6),
    st.integers(1, 3),
    cuts(),
)
def test_any_way_of_cutting_gives_the_same_levels_to_the_last_bit(
    count: int, span: int, every: int, lag: int, width: int, where: list[int]
) -> None:
    rows = noise(count, width, count)
    expected = smoothed(Smoother(span, every, lag, width), [(rows, True)])
    edges = [0, *sorted({c for c in where if c < count}), count]
    pieces = [(rows[a:b], i == 0) for i, (a, b) in enumerate(pairwise(edges))]
    assert smoothed(Smoother(span, every, lag, width), pieces) == expected

    ends, levels, changes = plainly(rows, span, every, lag)
    assert expected[0] == ends
    assert np.array(expected[1]) == pytest.approx(np.array(levels), abs=1e-6)
    assert np.array(expected[2]) == pytest.approx(np.array(changes), abs=2e-6)


def test_a_fresh_stretch_forgets_the_one_before() -> None:
    rows = noise(90, 2)
    alone = smoothed(Smoother(5, 2, 3, 2), [(rows, True)])
    smoother = Smoother(5, 2, 3, 2)
    smoother.push(noise(77, 2, 5) * 1000, True)
    assert smoothed(smoother, [(rows, True)]) == alone


def test_levels_of_plain_rows_are_the_rows() -> None:
    rows = noise(10, 3)
    ends, levels, _ = smoothed(Smoother(1, 1, 1, 3), [(rows[:4], True), (rows[4:], False)])
    assert ends == list(range(10))
    assert levels == rows.tolist()


def test_a_step_is_the_change_for_as_long_as_the_levels_before_it_knew_nothing_of_it() -> None:
    rows = np.zeros((200, 1), np.float32)
    rows[100:] = 6.0
    _, levels, changes = smoothed(Smoother(10, 1, 10, 1), [(rows, True)])
    step = 109 - 9  # the first level made of new rows only
    assert levels[step] == [6.0]
    assert changes[step] == [6.0]
    assert changes[step + 10] == [4.0]
    assert changes[-1] == [0.0]
