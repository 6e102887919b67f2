"""Streaming nearest neighbours: the distance, the reservoir, and when it takes something in."""

from __future__ import annotations

import numpy as np
import pytest

from models.detector import Learned, LearningError
from models.neighbours import CALM, CLIP, FEWEST, KEPT, LENGTH, REFRESH, Neighbours
from tests.models.heads import score, times_of
from tests.models.streams import Array, noise

LESSON_ROWS = 700


def wave(rows: int, seed: int = 0, first: int = 0) -> Array:
    """A rhythm of 50 rows with a little noise."""
    rhythm = 2 * np.sin(2 * np.pi * np.arange(first, first + rows) / 50)
    rows_: Array = (5 + rhythm[:, None] + 0.05 * noise(rows, 1, seed)).astype(np.float32)
    return rows_


def learned_from(rows: Array) -> Learned:
    return Neighbours(rows.shape[1]).learn(np.asarray(times_of(len(rows))), rows, [0])


def head_of(learned: Learned) -> Neighbours:
    head = Neighbours(len(learned.arrays["median"]))
    head.arm(learned)
    bank = head.make_bank()
    head.bank, head.seat = bank, bank.seat(head)
    return head


def raw_of(head: Neighbours, rows: Array, fresh: bool = True) -> Array:
    job = head.take(times_of(len(rows)), rows, fresh)
    assert job is not None
    score([job])
    return job.raw


def kept(head: Neighbours) -> set[bytes]:
    return {stretch.tobytes() for stretch in head.learned().arrays["memory"][0]}


def test_a_score_is_the_least_root_mean_square_difference_from_what_is_kept() -> None:
    rows = wave(LESSON_ROWS)
    head = head_of(learned_from(rows))
    arrays = head.weights
    later = wave(60, seed=1)
    later[40:] += 3
    raw = raw_of(head, later)
    root = np.sqrt(LENGTH)
    for i in range(len(later) - LENGTH + 1):
        x = np.clip(
            (later[i : i + LENGTH, 0] - arrays["median"][0]) * arrays["inverse_scale"][0], -CLIP, CLIP
        )
        least = min(float(np.sqrt(np.mean((x - stretch * root) ** 2))) for stretch in arrays["memory"][0])
        assert raw[0, i] == pytest.approx(least * arrays["inverse_edge"][0, 0], rel=1e-2, abs=1e-2)
    assert raw.shape == (2, 60 - LENGTH + 1)


def test_a_known_rhythm_is_calm_and_one_without_its_rhythm_is_not() -> None:
    head = head_of(learned_from(wave(LESSON_ROWS)))
    rows = wave(500, seed=1, first=LESSON_ROWS)
    rows[300:] = 5  # in the middle of its range, where no level is strange
    raw = raw_of(head, rows)[0] / head.calibration.edges[0]
    assert raw[:270].max() < 1.5
    assert raw[300:].min() > 5


def test_a_gap_begins_a_stretch_anew() -> None:
    head = head_of(learned_from(wave(LESSON_ROWS)))
    assert head.take(times_of(LENGTH - 1), wave(LENGTH - 1), True) is None
    job = head.take(times_of(3), wave(3), False)
    assert job is not None
    assert len(job.times) == 3
    assert head.take(times_of(LENGTH - 1), wave(LENGTH - 1), True) is None


def test_normal_operation_refreshes_the_memory_at_counted_rows() -> None:
    learned = learned_from(wave(LESSON_ROWS))
    head, rows = head_of(learned), wave(3000, seed=1)
    before, seen = kept(head), learned.arrays["seen"][0, 0]
    for first in range(0, 3000, 500):
        raw_of(head, rows[first : first + 500], first == 0)
    new = kept(head) - before
    candidates = head.learned().arrays["seen"][0, 0] - seen
    assert 0.6 * (3000 - CALM) / REFRESH < candidates <= 3000 / REFRESH
    assert 0.1 * candidates < len(new) < 0.6 * candidates  # about KEPT of all seen


def test_the_memory_fills_up_before_anything_is_forgotten() -> None:
    learned = learned_from(wave(FEWEST))
    known = int(learned.arrays["seen"][0, 0])
    assert known < KEPT
    assert not learned.arrays["memory"][0, known:].any()
    head = head_of(learned)
    raw_of(head, wave(2000, seed=1, first=FEWEST))
    after = head.learned().arrays
    assert after["seen"][0, 0] > known
    assert (after["memory"][0, :known] == learned.arrays["memory"][0, :known]).all()
    assert after["memory"][0, known].any()


def test_what_is_strange_is_never_taken_in() -> None:
    head = head_of(learned_from(wave(LESSON_ROWS)))
    before = kept(head)
    rows = wave(3000, seed=1)
    rows[:, 0] = 5
    raw = raw_of(head, rows)
    assert raw.min() > 1
    assert kept(head) == before


def test_one_channel_goes_on_learning_while_another_is_strange() -> None:
    rows = np.concatenate([wave(LESSON_ROWS), wave(LESSON_ROWS, seed=5)], axis=1)
    head = head_of(learned_from(rows))
    later = np.concatenate([wave(3000, seed=1), np.full((3000, 1), 5, np.float32)], axis=1)
    before = head.learned().arrays["memory"]
    raw_of(head, later)
    changed = (head.learned().arrays["memory"] != before).any(axis=(1, 2))
    assert changed.tolist() == [True, False]


def test_saved_memory_goes_on_where_it_stood() -> None:
    head, rows = head_of(learned_from(wave(LESSON_ROWS))), wave(3000, seed=1)
    raw_of(head, rows[:2000])
    saved = head.learned()
    expected = raw_of(head, rows[2000:], True)
    assert (raw_of(head_of(saved), rows[2000:]) == expected).all()


@pytest.mark.parametrize("size", [1, 7, 16, 17, 333])
def test_what_is_kept_does_not_depend_on_how_the_stream_was_cut(size: int) -> None:
    learned, rows = learned_from(wave(LESSON_ROWS)), wave(1000, seed=1)
    rows[500:520] += 9
    whole = head_of(learned)
    expected = raw_of(whole, rows)
    cut = head_of(learned)
    raws = []
    for first in range(0, 1000, size):
        job = cut.take(times_of(min(size, 1000 - first)), rows[first : first + size], first == 0)
        if job is not None:
            score([job])
            raws.append(job.raw.copy())
    assert (np.concatenate(raws, axis=1) == expected).all()
    assert (cut.learned().arrays["memory"] == whole.learned().arrays["memory"]).all()


def test_stretches_too_short_for_a_window_teach_nothing() -> None:
    rows = wave(400)
    with pytest.raises(LearningError, match="leave 0 stretches of 24 rows"):
        Neighbours(1).learn(np.asarray(times_of(400)), rows, list(range(0, 400, 20)))


@pytest.mark.parametrize("constant", [0.0, -1e6])
def test_a_channel_that_never_moved_is_strange_as_soon_as_it_does(constant: float) -> None:
    rows = np.full((800, 1), constant, np.float32)
    rows[760:] += max(1e-3, 0.01 * abs(constant))
    raw = raw_of(head_of(learned_from(rows[:LESSON_ROWS])), rows[LESSON_ROWS:])
    assert not raw[0, : 60 - LENGTH + 1].any()
    assert raw[0, -1] > 5
