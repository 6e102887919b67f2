"""What every head does, whatever its method."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.baseline import STREAMING
from models.detector import Head, Learned, LearningError
from tests.models.heads import (
    KINDS,
    LESSON_ROWS,
    Kind,
    armed,
    deviations,
    healthy,
    lesson,
    means,
    score,
    scored,
    times_of,
)
from tests.models.streams import Array, cuts

every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def weights(head: Head) -> dict[str, bytes]:
    """What was learned, without the streaming state."""
    arrays = head.learned().arrays
    return {name: array.tobytes() for name, array in arrays.items() if name not in STREAMING}


@every_kind
def test_a_healthy_machine_mostly_scores_below_the_edge(kind: Kind) -> None:
    levels = scored(armed(kind), [healthy(kind, 2000, seed=1)]).levels
    assert np.mean(np.array(levels) >= 1) < 0.05


@every_kind
@pytest.mark.parametrize("sign", [1, -1])
def test_a_strange_one_scores_high(kind: Kind, sign: int) -> None:
    rows = healthy(kind, 400, seed=1)
    rows[200:, kind.width // 2] += sign * 12 * deviations(kind)[kind.width // 2]
    result = scored(armed(kind), [rows])
    before = [
        level for time, level in zip(result.times, result.levels, strict=True) if time < times_of(1, 800)[0]
    ]
    after = [
        level for time, level in zip(result.times, result.levels, strict=True) if time >= times_of(1, 800)[0]
    ]
    assert max(after) > 2 > 1.5 * np.quantile(before, 0.9)


@every_kind
def test_scoring_teaches_nothing(kind: Kind) -> None:
    head, rows = armed(kind), healthy(kind, 300, seed=1)
    known = weights(head)
    edges = head.calibration
    rows[100:] += np.float32(1000)
    first = scored(head, [rows])
    assert weights(head) == known
    assert head.calibration == edges
    assert (scored(armed(kind), [rows]).raw == first.raw).all()


@every_kind
@settings(max_examples=25, deadline=None)
@given(
    where=cuts(120),
    neighbours=st.integers(0, 40),
    dues=st.lists(st.integers(0, 2**40), min_size=13, max_size=13),
)
def test_a_score_does_not_depend_on_what_is_scored_with_it(
    kind: Kind, where: list[int], neighbours: int, dues: list[int]
) -> None:
    """Not by a bit: on the size of the pieces, on how many share the bank, on who of them is due."""
    rows = healthy(kind, 120, seed=7)
    expected = scored(armed(kind), [rows])

    bank = kind.bank()
    others = [armed(kind, bank, seed=i % 3) for i in range(neighbours)]
    head = armed(kind, bank)
    others += [armed(kind, bank, seed=i % 2) for i in range(neighbours % 3)]
    raws: list[Array] = []
    times: list[float] = []
    edges = [0, *sorted({c for c in where if c < 120}), 120]
    for (a, b), due in zip(pairwise(edges), dues, strict=False):
        jobs = []
        for i, other in enumerate(others):
            if due >> i & 1:
                theirs = healthy(kind, 1 + (i + b) % 40, seed=i + a)
                jobs.append(other.take(times_of(len(theirs), a), theirs, due & 2 > 0))
        mine = head.take(times_of(b - a, LESSON_ROWS + a), rows[a:b], a == 0)
        jobs.insert(due % (len(jobs) + 1), mine)
        whole = [job for job in jobs if job is not None]
        if whole:
            score(whole)
        if mine is not None:
            raws.append(mine.raw.copy())
            times += mine.times
    assert times == expected.times
    assert (np.concatenate(raws, axis=1) == expected.raw).all()


@every_kind
def test_one_that_takes_a_seat_later_does_not_disturb_the_others(kind: Kind) -> None:
    rows = healthy(kind, 200, seed=3)
    expected = scored(armed(kind), [rows])
    bank = kind.bank()
    head = armed(kind, bank)
    first = scored(head, [rows[:90]])
    armed(kind, bank, seed=1)
    second = scored(head, [rows[90:]], first=LESSON_ROWS + 90, fresh=False)
    assert (np.concatenate([first.raw, second.raw], axis=1) == expected.raw).all()


@every_kind
def test_one_armed_anew_takes_its_new_weights_to_its_old_seat(kind: Kind) -> None:
    rows = healthy(kind, 100, seed=3)
    bank = kind.bank()
    armed(kind, bank)
    head = armed(kind, bank, seed=1)
    seat = head.seat
    scored(head, [rows])
    head.arm(lesson(kind, 0))
    head.seat = bank.seat(head)
    assert head.seat == seat
    assert (scored(head, [rows]).raw == scored(armed(kind), [rows]).raw).all()


@every_kind
def test_what_was_learned_can_be_armed_with_again(kind: Kind) -> None:
    head, rows = armed(kind), healthy(kind, 100, seed=3)
    again = armed(kind, learned=head.learned())
    assert again.calibration == head.calibration
    assert weights(again) == weights(head)
    assert (scored(again, [rows]).raw == scored(head, [rows]).raw).all()


@every_kind
def test_learning_the_same_rows_twice_gives_the_same_bits(kind: Kind) -> None:
    times, rows = np.asarray(times_of(LESSON_ROWS)), healthy(kind, LESSON_ROWS)
    again = kind.head().learn(times, rows.copy(), [0])
    assert again.calibration == lesson(kind).calibration
    for name, array in lesson(kind).arrays.items():
        assert (again.arrays[name] == array).all()
        assert array.dtype == np.float32


@every_kind
@pytest.mark.parametrize("sign", [1, -1])
def test_an_explanation_names_the_column_that_moved_and_by_how_much(kind: Kind, sign: int) -> None:
    column = kind.width // 2
    shift = sign * 15 * deviations(kind)[column]
    rows = healthy(kind, 100 + kind.settles, seed=1)
    rows[100:, column] += shift
    head = armed(kind)
    job = head.take(times_of(len(rows), LESSON_ROWS), rows, True)
    assert job is not None
    score([job])
    (first, *rest) = head.explain(job, len(job.times) - 1)
    assert first.column == column
    assert np.sign(first.sigma) == sign
    assert abs(first.sigma) > 5
    assert first.value == pytest.approx(means(kind)[column] + shift, abs=0.2 * abs(shift))
    assert first.normal == pytest.approx(means(kind)[column], abs=0.2 * abs(shift))
    assert all(other.column != column for other in rest)


@every_kind
def test_too_few_rows_teach_nothing_and_that_is_said(kind: Kind) -> None:
    with pytest.raises(LearningError, match="5 normal rows are too few to learn from"):
        kind.head().learn(np.asarray(times_of(5)), healthy(kind, 5), [0])


@every_kind
@pytest.mark.parametrize("damage", ["missing", "shape", "nan"])
def test_a_head_is_not_armed_with_arrays_that_do_not_fit(kind: Kind, damage: str) -> None:
    for name in lesson(kind).arrays:
        arrays = dict(lesson(kind).arrays)
        if damage == "missing":
            del arrays[name]
        elif damage == "shape":
            arrays[name] = arrays[name][:, :-1]
        else:
            arrays[name] = arrays[name].copy()
            arrays[name].flat[-1] = np.nan
        with pytest.raises(LearningError, match=f"learned array {name}: expected finite"):
            kind.head().arm(Learned(arrays, lesson(kind).calibration))


@every_kind
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_never_scores_as_normal(kind: Kind, value: float) -> None:
    """Windows keep it out; should it ever come through, it is heard or it is NaN, but not a quiet level."""
    rows = healthy(kind, 60, seed=1)
    rows[-2:, -1] = value
    with np.errstate(invalid="ignore"):
        level = scored(armed(kind), [rows]).levels[-1]
    assert not level < 1


@every_kind
def test_normal_scores_are_those_of_rows_that_were_not_learned(kind: Kind) -> None:
    normal = lesson(kind).normal
    assert normal is not None
    assert len(normal.scores) > 200
    assert 0.3 < np.quantile(normal.scores, 0.995) < 3
    assert (normal.scores >= 0).all()
