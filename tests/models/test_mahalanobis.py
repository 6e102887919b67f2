"""The Mahalanobis head against its own definition in double precision."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from models.calibration import FOLDS, QUANTILE
from models.detector import LearningError
from models.mahalanobis import JUMP_MARGIN, Mahalanobis
from models.smoothing import CHANGE_SPANS, RIDGE, SHRINKAGE
from tests.models.heads import EDGE, times_of
from tests.models.streams import Array, noise

Doubles = NDArray[np.float64]
SPAN, WIDTH = 20, 5


def rig(rows: int, seed: int = 0) -> Array:
    """Coupled channels of very different size."""
    x = noise(rows, WIDTH, seed).astype(np.float64)
    x[:, 1] += 2 * x[:, 0]
    return (x * [1, 10, 0.01, 300, 1] + [0, 50, 1, -2000, 100]).astype(np.float32)


def levels_of(rows: Array, span: int = SPAN) -> Doubles:
    x = rows.astype(np.float64)
    return np.array([x[i : i + span].mean(axis=0) for i in range(len(x) - span + 1)])


def changes_of(levels: Doubles, lag: int = SPAN) -> Doubles:
    reach = CHANGE_SPANS * lag
    before = np.mean(
        [levels[reach - k * lag : len(levels) - k * lag] for k in range(1, CHANGE_SPANS + 1)], axis=0
    )
    changes: Doubles = levels[reach:] - before
    return changes


def fit(levels: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Mean, deviation, precision."""
    mean, deviation = levels.mean(axis=0), levels.std(axis=0)
    covariance = np.asarray(np.cov((levels - mean) / deviation, rowvar=False), np.float64)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))
    covariance += RIDGE * np.diag(covariance).mean() * np.eye(len(covariance))
    precision = np.asarray(np.linalg.inv(covariance), np.float64)
    return mean, deviation, precision


def distances(levels: Doubles, fitted: tuple[Doubles, Doubles, Doubles]) -> Doubles:
    mean, deviation, precision = fitted
    z = (levels - mean) / deviation
    found: Doubles = np.sqrt(np.sum(z @ precision * z, axis=1))
    return found


def head_of(rows: Array, **options: int) -> Mahalanobis:
    head = Mahalanobis(rows.shape[1], smooth=options.get("smooth", SPAN))
    head.arm(head.learn(np.asarray(times_of(len(rows))), rows, [0]))
    head.calibration = head.calibration.at(EDGE)
    head.bank = bank = head.make_bank()
    head.seat = bank.seat(head)
    return head


def raw_of(head: Mahalanobis, rows: Array) -> Array:
    job = head.take(times_of(len(rows)), rows, True)
    assert job is not None
    assert head.bank is not None
    head.bank.score([job])
    raw: Array = job.raw.copy()
    return raw


def test_distances_and_jumps_are_those_of_the_definition() -> None:
    lesson, rows = rig(600), rig(500, seed=1)
    rows[300:, 3] += 900
    distance, jump = raw_of(head_of(lesson), rows)
    known = levels_of(lesson)
    assert distance == pytest.approx(distances(levels_of(rows), fit(known)), rel=2e-3, abs=5e-3)

    scale = np.sqrt((changes_of(known) ** 2).mean(axis=0))
    expected = np.abs(changes_of(levels_of(rows)) / scale).max(axis=1)
    assert jump[CHANGE_SPANS * SPAN :] == pytest.approx(expected, rel=2e-3)
    assert not jump[: CHANGE_SPANS * SPAN].any()  # nothing to compare with yet


def test_the_edges_are_a_quantile_out_of_fold_and_the_largest_change_learned() -> None:
    known = levels_of(rig(600))
    scores = []
    edges = np.linspace(0, len(known), FOLDS + 1).astype(int)
    for a, b in pairwise(edges.tolist()):
        near = np.s_[max(0, a - SPAN + 1) : b + SPAN - 1]  # they share rows with the fold
        scores.append(distances(known[a:b], fit(np.delete(known, near, axis=0))))
    changes = changes_of(known)
    head = head_of(rig(600))
    assert head.learned().calibration.edges == pytest.approx(
        (
            np.quantile(np.concatenate(scores), QUANTILE),
            np.abs(changes / np.sqrt((changes**2).mean(axis=0))).max() * JUMP_MARGIN,
        ),
        rel=2e-3,
    )


def test_a_gap_in_the_lesson_is_not_averaged_across() -> None:
    rows = rig(800)
    rows[400:] += np.float32(5) * rows[:400].std(axis=0)  # what one average across the gap would lie between
    head = Mahalanobis(WIDTH, smooth=SPAN)
    learned = head.learn(np.asarray(times_of(800)), rows, [0, 400])
    whole = np.concatenate([levels_of(rows[:400]), levels_of(rows[400:])])
    assert learned.arrays["mean"][:, 0] == pytest.approx(whole.mean(axis=0), rel=1e-4, abs=1e-3)
    apart = np.concatenate([changes_of(levels_of(rows[:400])), changes_of(levels_of(rows[400:]))])
    scale = 1 / np.sqrt((apart**2).mean(axis=0))
    assert learned.arrays["inverse_change"][:, 0] == pytest.approx(scale, rel=1e-3)


def test_a_channel_that_wandered_while_learning_is_not_judged_by_its_level_but_by_its_jumps() -> None:
    lesson = noise(600, 3)
    lesson[:, 2] += np.sin(np.arange(600) / 100).astype(np.float32) * 5
    head = head_of(lesson)
    assert not head.weights["precision"][2].any()
    assert not head.weights["precision"][:, 2].any()
    assert head.weights["inverse_change"][2, 0] > 0
    rows = noise(200, 3, seed=1)
    rows[:, 2] += 8
    quiet, moved = raw_of(head, noise(200, 3, seed=1))[0], raw_of(head, rows)[0]
    assert (quiet == moved).all()


def test_at_least_two_channels_are_judged_by_their_level_however_they_wander() -> None:
    walk = np.cumsum(noise(600, 4), axis=0)
    assert head_of(walk).weights["precision"].any(axis=1).sum() == 2
    assert head_of(walk[:, :1]).weights["precision"].any()


def test_a_constant_channel_is_never_judged() -> None:
    lesson = noise(600, 3)
    lesson[:, 1] = 7
    rows = noise(100, 3, seed=1)
    rows[:, 1] = 7
    head, moved = head_of(lesson), rows.copy()
    moved[50:, 1] = 1e6
    assert (raw_of(head, rows) == raw_of(head, moved)).all()


@pytest.mark.parametrize("width", [1, 3])
def test_nothing_is_learned_from_constants(width: int) -> None:
    head = Mahalanobis(width, smooth=20)
    with pytest.raises(LearningError, match="no channel moved while learning"):
        head.learn(np.asarray(times_of(600)), np.full((600, width), 7, np.float32), [0])


@pytest.mark.parametrize(
    ("rows", "smooth", "starts"), [(600, 700, [0]), (600, 500, [0]), (600, 20, range(0, 600, 15))]
)
def test_a_lesson_too_short_for_its_averages_is_refused(rows: int, smooth: int, starts: list[int]) -> None:
    head = Mahalanobis(2, smooth=smooth)
    with pytest.raises(
        LearningError, match=rf"600 rows with \d+ gaps leave \d+ averages over {smooth} rows: it takes"
    ):
        head.learn(np.asarray(times_of(rows)), noise(rows, 2), list(starts))


def test_without_long_stretches_only_levels_are_judged_and_that_is_said() -> None:
    head = Mahalanobis(2, smooth=20)
    learned = head.learn(np.asarray(times_of(600)), noise(600, 2), list(range(0, 600, 60)))
    assert not learned.arrays["inverse_change"].any()
    assert "only levels are judged" in learned.notes[0]


@pytest.mark.parametrize(
    "scale",
    [lambda x: 1e5 + 0.01 * x, lambda x: 1e-20 * x, lambda x: 1e-38 * x, lambda x: 1e18 * x, np.round],
)
def test_offsets_and_scales_at_the_edge_of_single_precision_keep_their_calm(scale: np.ufunc) -> None:
    head = head_of(scale(noise(600, 4).astype(np.float64)).astype(np.float32))
    rows = scale(noise(3000, 4, seed=1).astype(np.float64)).astype(np.float32)
    levels = np.array(head.calibration.apply(raw_of(head, rows)))
    assert np.isfinite(levels).all()
    assert np.mean(levels >= 1) < 0.02


def test_channels_that_say_the_same_are_judged_by_what_they_say_differently() -> None:
    lesson = noise(600, 3)
    lesson[:, 1] = lesson[:, 0]
    rows = noise(300, 3, seed=1)
    rows[:, 1] = rows[:, 0]
    head = head_of(lesson)
    assert max(head.calibration.apply(raw_of(head, rows))) < 1.2
    rows[:, 1] += 1
    assert min(head.calibration.apply(raw_of(head, rows))) > 1.2


def test_a_jump_is_explained_as_one() -> None:
    lesson = noise(600, 3)
    lesson[:, 0] += np.sin(np.arange(600) / 100).astype(np.float32) * 20  # wanders far, but slowly
    lesson[:, 1:] += np.sin(np.arange(600) / 120).astype(np.float32)[:, None]
    head, rows = head_of(lesson), noise(200, 3, seed=1)
    rows[100:, 0] += 15
    job = head.take(times_of(200), rows, True)
    assert job is not None
    assert head.bank is not None
    head.bank.score([job])
    (first, *_) = head.explain(job, 100)
    assert first.jump
    assert first.column == 0
    assert first.value == pytest.approx(15, abs=1)
    assert first.normal == pytest.approx(0, abs=1)
