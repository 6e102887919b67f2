"""What a monitor learns from, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.learning import (
    STRAY_SHARE,
    STUCK_ROWS,
    Learner,
    Lesson,
    smallest_steps,
    stray_rows,
    stuck_rows,
)
from tests.models.streams import Array, noise


def lesson_of(rows: Array, needed: int | None = None) -> Lesson | None:
    learner = Learner(needed or len(rows), rows.shape[1])
    learner.add(list(map(float, range(len(rows)))), rows, True)
    return learner.lesson()


def test_a_normal_stretch_is_kept_whole() -> None:
    rows = noise(200, 3)
    lesson = lesson_of(rows)
    assert lesson is not None
    assert (lesson.rows == rows).all()
    assert lesson.times.tolist() == list(range(200))
    assert lesson.starts == (0,)
    assert (lesson.stuck, lesson.strays, lesson.still) == (0, 0, ())


def test_a_learner_counts_down_the_rows_it_needs() -> None:
    learner = Learner(100, 1)
    assert learner.missing == 100
    learner.add([0.0] * 60, noise(60, 1), True)
    assert learner.missing == 40
    learner.add([0.0] * 60, noise(60, 1), False)
    assert learner.missing == 0


def test_every_gap_starts_a_stretch() -> None:
    learner = Learner(90, 1)
    rows = noise(90, 1)
    for start, fresh in ((0, True), (30, False), (60, True)):
        learner.add([float(i) for i in range(start, start + 30)], rows[start : start + 30], fresh)
    lesson = learner.lesson()
    assert lesson is not None
    assert lesson.starts == (0, 60)
    assert (lesson.starts, len(lesson.rows)) == ((0, 60), 90)


def test_a_learner_that_is_not_choosy_takes_all_rows() -> None:
    """A disk that rests for an hour is not stuck, and bursts of traffic are no strays: they belong to normal."""
    rows = noise(300, 1)
    rows[100:180] = 0
    rows[200:203] = 40
    learner = Learner(300, 1, choosy=False)
    learner.add(list(map(float, range(300))), rows, True)
    lesson = learner.lesson()
    assert lesson is not None
    assert (len(lesson.rows), lesson.stuck, lesson.strays, lesson.starts) == (300, 0, 0, (0,))
    assert lesson_of(rows) is None  # a choosy one asks for more


def test_strays_are_left_out_and_what_follows_starts_a_stretch() -> None:
    rows = noise(1000, 2)
    rows[100:103, 1] = 40
    rows[999, 0] = -1e18
    lesson = lesson_of(rows, needed=990)
    assert lesson is not None
    assert lesson.strays == 4
    assert lesson.starts == (0, 100)
    assert lesson.times[99:101].tolist() == [99, 103]
    assert np.abs(lesson.rows).max() < 8


def test_a_channel_that_repeats_itself_though_it_usually_moves_is_stuck() -> None:
    rows = noise(600, 2)
    rows[200 : 200 + STUCK_ROWS, 1] = rows[200, 1]
    rows[400 : 400 + STUCK_ROWS - 1, 1] = rows[400, 1]  # not for long enough
    lesson = lesson_of(rows, needed=500)
    assert lesson is not None
    assert lesson.stuck == STUCK_ROWS
    assert lesson.starts == (0, 200)
    assert len(lesson.rows) == 600 - STUCK_ROWS


def test_a_coarse_or_slow_channel_is_not_called_stuck() -> None:
    slow = np.repeat(noise(20, 1), 50, axis=0)
    assert not stuck_rows(slow).any()
    resting = np.zeros((1000, 1), np.float32)
    resting[::100] = 1
    assert not stuck_rows(resting).any()


def test_a_channel_that_never_moved_is_said_and_does_not_make_the_others_strange() -> None:
    rows = noise(300, 3)
    rows[:, 1] = 7
    lesson = lesson_of(rows)
    assert lesson is not None
    assert lesson.still == (1,)
    assert (lesson.stuck, lesson.strays) == (0, 0)


def test_a_channel_whose_only_movement_was_left_out_never_moved() -> None:
    rows = noise(300, 2)
    rows[:, 1] = 0
    rows[150, 1] = 1
    lesson = lesson_of(rows, needed=295)
    assert lesson is not None
    assert lesson.strays == 1
    assert lesson.still == (1,)


def test_too_much_that_is_abnormal_is_forgotten_and_more_is_asked_for() -> None:
    learner = Learner(200, 1)
    rows = noise(300, 1)
    rows[50:60] = 100
    learner.add(list(map(float, range(200))), rows[:200], True)
    assert learner.lesson() is None
    assert learner.missing == 10
    learner.add(list(map(float, range(200, 210))), rows[200:210], False)
    lesson = learner.lesson()
    assert lesson is not None
    assert lesson.starts == (0, 50)
    assert lesson.times.tolist() == [*range(50), *range(60, 210)]


def test_rows_asked_for_after_the_latest_was_forgotten_start_a_stretch() -> None:
    learner = Learner(200, 1)
    rows = noise(220, 1)
    rows[190:200] = 100
    learner.add(list(map(float, range(200))), rows[:200], True)
    assert learner.lesson() is None
    learner.add(list(map(float, range(200, 210))), rows[200:210], False)
    lesson = learner.lesson()
    assert lesson is not None
    assert lesson.starts == (0, 190)


@pytest.mark.parametrize(("strays", "starts"), [(2, (0,)), (3, (0, 100))])
def test_a_few_rows_left_out_may_be_bridged(strays: int, starts: tuple[int, ...]) -> None:
    learner = Learner(200, 1, bridge=2)
    rows = noise(300, 1)
    rows[100 : 100 + strays] = 100
    learner.add(list(map(float, range(204))), rows[:204], True)
    lesson = learner.lesson()
    assert lesson is not None
    assert lesson.strays == strays
    assert lesson.starts == starts


@pytest.mark.parametrize(("strays", "starts"), [(2, (0,)), (3, (0, 90))])
def test_the_latest_rows_forgotten_may_be_bridged_too(strays: int, starts: tuple[int, ...]) -> None:
    learner = Learner(90 + strays, 1, bridge=2)
    rows = noise(120, 1)
    rows[90 : 90 + strays] = 100
    learner.add(list(map(float, range(90 + strays))), rows[: 90 + strays], True)
    assert (learner.lesson() is None) == (strays > 1)
    learner.add(list(map(float, range(93, 103))), rows[93:103], False)
    lesson = learner.lesson()
    assert lesson is not None
    assert lesson.starts == starts


def test_a_gap_among_rows_left_out_is_a_gap() -> None:
    learner = Learner(200, 1, bridge=5)
    rows = noise(204, 1)
    rows[100:102] = 100
    learner.add(list(map(float, range(101))), rows[:101], True)
    learner.add(list(map(float, range(201, 304))), rows[101:], True)
    lesson = learner.lesson()
    assert lesson is not None
    assert lesson.starts == (0, 100)


def test_where_columns_together_have_many_strays_there_are_none() -> None:
    rows = noise(400, 8)
    for column in range(8):
        rows[column * 50 : column * 50 + 7, column] = 60  # 14 % of all rows, though only 2 % of any column's
    assert not stray_rows(rows, np.ones(400, bool)).any()
    few = rows[:, :5]
    assert stray_rows(few, np.ones(400, bool)).sum() == 35


def test_a_few_rows_short_after_leaving_some_out_is_near_enough() -> None:
    rows = noise(500, 1)
    rows[[10, 20, 30]] = 50
    lesson = lesson_of(rows)
    assert lesson is not None
    assert len(lesson.rows) == 497


@pytest.mark.parametrize("share", [0.5 * STRAY_SHARE, 2 * STRAY_SHARE])
def test_what_happens_often_is_another_way_the_machine_runs(share: float) -> None:
    rows = noise(1000, 1)
    rows[: round(1000 * share)] += 60
    strays = stray_rows(rows, np.ones(1000, bool))
    assert strays.sum() == (50 if share < STRAY_SHARE else 0)


@pytest.mark.parametrize(
    "rows",
    [
        np.round(0.6 * noise(600, 8)),  # mostly zero, else a whole number
        (np.arange(600) % 97 == 0).astype(np.float32)[:, None],  # a pulse now and then
        np.where(np.arange(600) // 50 % 2, 10, 0).astype(np.float32)[:, None] + noise(600, 1),  # on and off
    ],
    ids=["coarse", "pulses", "on and off"],
)
def test_the_ways_of_healthy_channels_are_no_strays(rows: Array) -> None:
    assert not stray_rows(rows, np.ones(len(rows), bool)).any()


def test_a_handful_of_rows_are_not_judged() -> None:
    rows = np.array([[0.0]] * 8 + [[100.0]], np.float32)
    assert not stray_rows(rows, np.ones(9, bool)).any()


@given(st.integers(1, 300), st.integers(1, 4), st.integers(0, 99), st.sampled_from([1.0, 1e-30, 1e18]))
def test_nothing_is_kept_that_was_not_given_and_stretches_never_cross_what_was_left_out(
    count: int, width: int, seed: int, scale: float
) -> None:
    rows = np.round(noise(count, width, seed) ** 3, 1) * np.float32(scale)
    learner = Learner(1, width)
    learner.add(list(map(float, range(count))), rows, True)
    lesson = learner.lesson()
    if lesson is None:
        return
    taken = lesson.times.astype(int)
    assert (rows[taken] == lesson.rows).all()
    assert len(taken) == count - len(set(range(count)) - set(taken.tolist()))
    breaks = [0, *(np.flatnonzero(np.diff(taken) > 1) + 1).tolist()]
    assert list(lesson.starts) == breaks


def test_the_smallest_step_of_a_channel_is_its_resolution() -> None:
    rows = np.stack([np.arange(50) % 7 * 0.25, np.full(50, 3.0), np.geomspace(1, 9, 50)], axis=1)
    steps = smallest_steps(rows.astype(np.float32))
    assert steps[:2].tolist() == [0.25, 0.0]
    assert 0 < steps[2] < 0.06


def test_what_is_there_when_a_visit_to_a_state_begins_is_no_stray_but_what_comes_later_is() -> None:
    rows = noise(1000, 2)
    warm = rows.copy()
    warm[500:530, 0] += np.linspace(
        40.0, 10.0, 30, dtype=np.float32
    )  # a housing that cools after one of two entries
    warm[700:703, 1] += 40.0
    strays = stray_rows(warm, np.ones(1000, bool), (0, 500))
    assert np.flatnonzero(strays).tolist() == [700, 701, 702]
    assert np.count_nonzero(stray_rows(warm, np.ones(1000, bool))) == 33  # where there are no states
