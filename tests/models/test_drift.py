"""What follows the machine, and how far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.drift import Crept, Drift, DriftPlan
from tests.models.streams import Array, noise

WIDTH, HOP_S = 3, 600.0  # six rows to a block, 24 blocks to a day
DAY = 144
START = 1_700_000_000.0


def begun(lesson: int = 2 * DAY, **settings: float) -> Drift:
    drift = Drift(WIDTH, HOP_S, DriftPlan(**settings))
    rows = noise(lesson, WIDTH)
    drift.begin(np.zeros(WIDTH), np.ones(WIDTH), rows, START)
    return drift


def walked(
    drift: Drift, rows: Array, normal: NDArray[np.bool_] | None = None, cuts: Sequence[int] = ()
) -> list[Crept]:
    """Rows in pieces that end at `cuts`, and at the ends of blocks as a monitor does."""
    found, first = [], 0
    for stop in (*sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)):
        while first < stop:
            last = min(stop, first + drift.left)
            drift.push(rows[first:last], None if normal is None else normal[first:last])
            first = last
            if not drift.left and (crept := drift.turn(START + HOP_S * first)) is not None:
                found.append(crept)
    return found


def same(one: Drift, other: Drift) -> bool:
    mine, its = one.arrays(), other.arrays()
    return all(mine[name].tobytes() == its[name].tobytes() for name in mine)


def test_a_healthy_machine_creeps_nowhere() -> None:
    drift = begun()
    found = walked(drift, noise(30 * DAY, WIDTH, seed=1))
    assert len(found) == 30 * 24
    assert max(crept.level for crept in found) < 0.2
    assert np.abs(drift.offset()).max() < 0.2


def test_a_slow_ramp_is_told_with_column_way_and_time() -> None:
    drift = begun()
    rows = noise(14 * DAY, WIDTH, seed=1)
    rows[:, 1] -= np.linspace(0, 8, len(rows), dtype=np.float32)
    found = walked(drift, rows)
    first = next(crept for crept in found if crept.level >= 1)
    assert 7 < first.days < 8.5  # half of the way, and half a day for the mean
    assert abs(first.sigma[1] + 4) < 0.1
    assert np.abs(first.sigma[[0, 2]]).max() < 0.5
    assert all(crept.level >= 1 for crept in found if crept.days > 9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.5, 6.0), st.floats(3600.0, 30 * 86400.0), st.floats(-50.0, 50.0))
def test_what_is_followed_never_goes_beyond_the_limit(
    seed: int, limit: float, follow_s: float, far: float
) -> None:
    drift = begun(limit=limit, follow_s=follow_s)
    rows = noise(10 * DAY, WIDTH, seed=seed)
    rows[:, 0] += np.linspace(0, far, len(rows), dtype=np.float32)
    bound = limit * drift.arrays()["drift_normal"][:, 1].astype(np.float64)
    for first in range(0, len(rows), 6):
        walked(drift, rows[first : first + 6])
        assert (np.abs(drift.offset()) <= bound).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_rows_that_are_not_normal_teach_nothing(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    rows = noise(3 * DAY, WIDTH, seed=seed)
    normal = random.random(len(rows)) >= share
    strange = rows.copy()
    strange[~normal] = random.choice(np.array([1e9, -1e9, np.nan], np.float32), strange[~normal].shape)
    one, other = begun(), begun()
    walked(one, rows, normal)
    walked(other, strange, normal)
    assert same(one, other)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 3 * DAY), max_size=40), st.booleans())
def test_how_the_stream_is_cut_changes_no_bit(seed: int, cuts: list[int], some: bool) -> None:
    rows = noise(3 * DAY, WIDTH, seed=seed)
    normal = np.random.default_rng(seed).random(len(rows)) > 0.3 if some else None
    one, other, single = begun(), begun(), begun()
    walked(one, rows, normal)
    walked(other, rows, normal, cuts)
    walked(single, rows, normal, range(len(rows)))
    assert same(one, other)
    assert same(one, single)


def test_an_hour_that_was_hardly_normal_is_left_out() -> None:
    drift = begun()
    rows = np.full((6, WIDTH), 100.0, np.float32)
    before = drift.arrays()
    assert walked(drift, rows, np.array([True, True, False, False, False, False])) == []
    assert all((drift.arrays()[name] == array).all() for name, array in before.items())
    assert len(walked(drift, rows, np.array([True, True, True, False, False, False]))) == 1


def test_a_short_lesson_is_made_up_to_a_day_before_anything_is_said() -> None:
    drift = begun(lesson=10)
    rows = noise(2 * DAY, WIDTH, seed=1)
    rows += (3 * np.sin(2 * np.pi * np.arange(len(rows)) / DAY)).astype(np.float32)[:, None]
    assert walked(drift, rows[: DAY - 12]) == []
    assert not drift.arrays()["drift_since"][0]
    assert not drift.offset().any()
    found = walked(drift, rows[DAY - 12 :])
    assert drift.arrays()["drift_since"][0] > 0
    assert max(crept.level for crept in found) < 0.5
    assert (
        drift.arrays()["drift_normal"][:, 1] > 1.8
    ).all()  # the day's rhythm, which the lesson has not seen


def test_a_column_that_never_moved_creeps_nowhere() -> None:
    drift = Drift(2, HOP_S)
    drift.begin(np.zeros(2), np.array([1.0, 0.0]), noise(DAY, 2), START)
    found = walked(drift, np.full((6, 2), 3.0, np.float32))
    assert found[0].sigma[1] == 0
    assert drift.offset()[1] == 0


def test_it_goes_on_where_a_baseline_was_saved() -> None:
    one, other = begun(), Drift(WIDTH, HOP_S)
    rows = noise(4 * DAY, WIDTH, seed=1)
    rows[:, 0] += np.linspace(0, 3, len(rows), dtype=np.float32)
    walked(one, rows[: 2 * DAY])
    assert other.restore(np.zeros(WIDTH), np.ones(WIDTH), one.arrays())
    assert [crept.level for crept in walked(one, rows[2 * DAY :])] == [
        crept.level for crept in walked(other, rows[2 * DAY :])
    ]
    assert same(one, other)


def test_what_does_not_fit_is_begun_anew() -> None:
    arrays = begun().arrays()
    other = Drift(WIDTH, 2 * HOP_S)
    assert not other.restore(
        np.zeros(WIDTH), np.ones(WIDTH), {**arrays, "drift_slow": arrays["drift_slow"][:2]}
    )
    assert not other.restore(np.zeros(WIDTH), np.ones(WIDTH), {})
    assert not other.commissioned


def test_a_limit_without_following_moves_nothing() -> None:
    drift = begun(follow_s=0.0)
    rows = noise(5 * DAY, WIDTH, seed=1) + np.float32(2)
    assert walked(drift, rows)
    assert not drift.offset().any()


def test_rows_rarer_than_hours_make_blocks_of_their_own() -> None:
    drift = Drift(1, 6 * 3600.0)
    assert (drift.block, drift.day) == (1, 4)
    assert (Drift(1, 2 * 86400.0).block, Drift(1, 2 * 86400.0).day) == (1, 2)
    assert (Drift(1, 0.5).block, Drift(1, 0.5).day) == (7200, 24)
