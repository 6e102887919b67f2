"""The comparison of the autoencoder's variants: its scorer, its split, and the figures that stand in the documents."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import quantised
from models.bundle import shipped
from models.vibration import Vibration
from sensors.machine import Fault

STORED = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "quantised.json"


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    random = np.random.default_rng(4)
    healthy, faulty = random.integers(0, 9, 30).astype(float), random.integers(3, 12, 40).astype(float)
    right = (faulty[None] > healthy[:, None]).mean() + 0.5 * (faulty[None] == healthy[:, None]).mean()
    assert quantised.auc(healthy, faulty) == pytest.approx(right)
    assert quantised.auc(np.zeros(3), np.ones(3)) == 1
    assert quantised.auc(np.ones(3), np.zeros(3)) == 0
    assert quantised.auc(np.ones(3), np.ones(5)) == 0.5


def test_what_is_tested_comes_after_the_lesson_and_differs_by_the_fault_alone() -> None:
    machine, same = quantised._rig(0.05, 1.0, 1), quantised._rig(0.05, 1.0, 1)
    lesson = quantised._samples(machine, 4.0)
    whole = quantised._samples(same, 8.0)
    rest = quantised._samples(machine, 4.0)
    assert np.array_equal(np.concatenate([lesson, rest])[: len(whole)], whole)
    loud = quantised._samples(quantised._rig(0.05, 1.0, 1), 4.0, Fault("imbalance", severity=1.0))
    assert not np.array_equal(loud, lesson)


def test_a_strong_fault_is_told_from_health_in_every_window() -> None:
    machine = quantised._rig(0.05, 1.0, 2)
    lesson = quantised._samples(machine, 30.0)
    healthy, faulty = quantised._samples(machine, 8.0), quantised._samples(machine, 8.0, Fault("imbalance"))
    features = Vibration([("x", "m/s2"), ("y", "m/s2")], quantised.RATE_HZ, 3200)
    normal, strange = quantised.distances(features, lesson, [healthy, faulty], 3200, 1600)
    assert quantised.auc(normal, strange) == 1
    assert len(normal) == len(strange) == 15


def test_the_figures_in_the_documents_are_of_what_ships_and_hold_what_was_promised() -> None:
    found = json.loads(STORED.read_text("utf-8"))
    variants = shipped("autoencoder").manifest.variants
    assert {name: cost["weight_bytes"] for name, cost in found["costs"].items()} == {
        name: variant.weight_bytes for name, variant in variants.items()
    }
    assert found["weights_ratio"] >= 3.5
    assert found["least_kept_of_mean"] >= 0.95
    assert {row["snr_db"] for row in found["synthetic"]} == {0, 5, 10, 15, 20}
    assert quantised.table(found).count("\n|") > 20
    assert found["summary"] in (shipped("autoencoder").folder / "card.md").read_text("utf-8")
