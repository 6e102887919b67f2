"""The random-feature autoencoder against its definition, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from models.detector import Learned, LearningError
from models.mahalanobis import Mahalanobis
from models.reconstruction import FEATURES, Reconstruction
from models.smoothed import SmoothedHead
from tests.models.heads import LESSON_ROWS, score, times_of
from tests.models.streams import Array, noise


def curve(rows: int, seed: int = 0, across: float = 0.0) -> Array:
    """Two channels along half a circle, as of a load and what follows from it, `across` off the curve; a third."""
    random = np.random.default_rng(seed)
    angle = random.uniform(0, np.pi, rows)
    radius = 1 + across + 0.02 * random.standard_normal(rows)
    third = random.standard_normal(rows)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), third], axis=1).astype(np.float32)


def learned_from(head: SmoothedHead, rows: Array) -> Learned:
    return head.learn(np.asarray(times_of(len(rows))), rows, [0])


def scores(head: SmoothedHead, rows: Array) -> Array:
    """Over the reference edge."""
    bank = head.make_bank()
    head.bank, head.seat = bank, bank.seat(head)
    job = head.take(times_of(len(rows), LESSON_ROWS), rows, True)
    assert job is not None
    score([job])
    raw: Array = job.raw[0] / np.float32(head.calibration.edges[0])
    return raw


def test_a_score_is_the_whitened_error_of_what_the_features_rebuild() -> None:
    head, rows = Reconstruction(3, smooth=1), curve(400, seed=1)
    learned = learned_from(head, curve(LESSON_ROWS))
    head.arm(learned)
    found = scores(head, rows) * head.calibration.edges[0]
    weights = {name: array.astype(np.float64) for name, array in learned.arrays.items()}
    for row, score_ in zip(rows[:50].astype(np.float64), found[:50].tolist(), strict=True):
        z = (row[:, None] - weights["mean"]) * weights["inverse_scale"]
        hidden = np.tanh(weights["projection"] @ z + weights["offset"])
        error = z - weights["readout"] @ hidden - weights["centre"]
        assert score_ == pytest.approx(
            np.sqrt((error.T @ weights["precision"] @ error).item()), rel=1e-3, abs=1e-3
        )
    assert weights["projection"].shape == (FEATURES, 3)


def test_what_leaves_the_curve_inside_of_its_range_is_heard_though_an_ellipse_does_not_hear_it() -> None:
    inside = curve(500, seed=2, across=-0.5)
    heard = {}
    for kind in (Reconstruction, Mahalanobis):
        head = kind(3, smooth=1)
        head.arm(learned_from(head, curve(3000)))
        assert np.mean(scores(head, curve(1000, seed=3)) > 1) < 0.03
        heard[kind] = np.mean(scores(head, inside) > 1)
    assert heard[Reconstruction] > 0.5 > 5 * heard[Mahalanobis]


def test_a_channel_that_wanders_while_learning_is_not_listened_to() -> None:
    rows = noise(LESSON_ROWS, 4)
    rows[:, 2] += np.linspace(0, 50, LESSON_ROWS, dtype=np.float32)
    head = Reconstruction(4, smooth=20)
    head.arm(learned_from(head, rows))
    later = noise(300, 4, seed=1)
    calm = scores(head, later)
    later[:, 2] += 1000
    assert (scores(head, later) == calm).all()
    assert not head.weights["projection"][:, 2].any()


def test_contributions_add_up_to_the_score_and_normal_is_what_was_rebuilt() -> None:
    head = Reconstruction(3, smooth=1)
    head.arm(learned_from(head, curve(LESSON_ROWS)))
    rows = curve(20, seed=4, across=0.5)
    bank = head.make_bank()
    head.bank, head.seat = bank, bank.seat(head)
    job = head.take(times_of(20), rows, True)
    assert job is not None
    score([job])
    for index in range(20):
        shifts = head.explain(job, index)
        assert sum(shift.share for shift in shifts) == pytest.approx(1)
        inverse = head.weights["inverse_scale"][:, 0]
        for shift in shifts:
            assert shift.value == pytest.approx(float(rows[index, shift.column]), rel=1e-6)
            assert (shift.value - shift.normal) * inverse[shift.column] == pytest.approx(
                shift.sigma, abs=1e-5
            )


def test_constants_teach_nothing() -> None:
    with pytest.raises(LearningError, match="no channel moved"):
        learned_from(Reconstruction(2, smooth=5), np.ones((200, 2), np.float32))
