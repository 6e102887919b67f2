"""The autoencoder's making: slopes that are slopes, a rig without faults, and the same bytes again."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.build.network import LAYERS, calibrate, forward, gradients, initial, shapes, train
from models.build.rig import FRAME, frames
from models.build.rounding import LEVELS, WIDEST, point, rounded, rounded_kernel, whole_kernel
from models.bundle import shipped
from models.session import open_model
from tests.real import require

ROOT = Path(__file__).resolve().parents[2]


def test_every_slope_is_the_difference_that_a_small_step_makes() -> None:
    weights = {name: array.astype(np.float64) for name, array in initial(3).items()}
    rows, random, step = frames(2, 5).astype(np.float64), np.random.default_rng(1), 1e-5
    _, slopes = gradients(weights, rows)  # type: ignore[arg-type]  # in double precision, to be told from rounding
    assert set(slopes) == set(shapes())
    for name, array in weights.items():
        place = tuple(int(random.integers(0, size)) for size in array.shape)
        losses = []
        for sign in (1, -1):
            array[place] += sign * step
            losses.append(gradients(weights, rows)[0])  # type: ignore[arg-type]
            array[place] -= sign * step
        assert slopes[name][place] == pytest.approx(
            (losses[0] - losses[1]) / (2 * step), rel=1e-3, abs=1e-6
        ), name


def test_training_learns_and_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib, os; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
        "from models.build.network import train\n"
        "losses, told = [], hashlib.sha256()\n"
        "for weights in train(steps=40, whole_steps=2, batch=8, tell=lambda step, loss: losses.append(loss)):\n"
        "    for name in sorted(weights): told.update(name.encode() + weights[name].tobytes())\n"
        "print(sum(losses[30:40]) < sum(losses[:10]), len(losses), told.hexdigest())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0].startswith("True 42 ")
    assert outputs[0] == outputs[1]


def test_the_integers_training_leaves_the_floats_alone() -> None:
    short, long = (train(steps=2, whole_steps=steps, batch=4) for steps in (0, 2))
    assert all(np.array_equal(short[0][name], long[0][name]) for name in shapes())
    assert not all(np.array_equal(short[1][name], long[1][name]) for name in shapes())
    assert set(long[1]) - set(shapes()) == {"frames.range", *(f"{layer.name}.range" for layer in LAYERS)}


def test_the_rig_gives_other_machines_for_another_seed_and_the_same_for_the_same() -> None:
    assert np.array_equal(frames(8, 1), frames(8, 1))
    assert not np.array_equal(frames(8, 1), frames(8, 2))
    rows = frames(256, 3)
    assert rows.shape == (256, FRAME)
    assert np.isfinite(rows).all()
    assert np.abs(rows.mean(axis=1)).max() < 1e-5
    assert 0.9 < np.sqrt((rows**2).mean(axis=1)).mean() < 1.1


def test_the_rig_is_healthy() -> None:
    """Impacts would show as a kurtosis well above the 3 of noise."""
    rows = frames(512, 4).astype(np.float64)
    kurtosis = (rows**4).mean(axis=1) / (rows**2).mean(axis=1) ** 2
    assert np.median(kurtosis) < 3.2
    assert (kurtosis < 9).mean() > 0.97


def test_rounding_keeps_zero_and_is_wrong_by_half_a_step_at_most_inside_its_ends() -> None:
    for low, high in ((-3.0, 4.0), (0.0, 10.0), (-1.0, 0.0)):
        ends = np.array([low, high], np.float32)
        step, zero = point(ends)
        values = np.linspace(low, high, 1001, dtype=np.float32)
        assert rounded(np.zeros(1, np.float32), ends)[0] == 0
        assert np.abs(rounded(values, ends) - values).max() <= 1.001 * step
        assert 0 <= zero <= LEVELS
        assert rounded(np.array([1e9], np.float32), ends)[0] <= high + step


def test_sums_of_two_products_fit_sixteen_bits() -> None:
    """As x86 processors without VNNI add them up."""
    assert 2 * LEVELS * WIDEST < 2**15
    kernel = np.random.default_rng(2).standard_normal((5, 3, 7)).astype(np.float32)
    whole, steps = whole_kernel(kernel)
    assert np.abs(whole).max(axis=(1, 2)).tolist() == [WIDEST] * 5
    assert np.abs(rounded_kernel(kernel) - kernel).max() <= 0.5001 * steps.max()


def test_the_shipped_graph_computes_what_the_trained_network_does() -> None:
    require(importlib.util.find_spec("onnx") is not None, "onnx is not installed")
    from models.build.zoo import stored

    rows = frames(16, 77)
    made, _ = forward(stored()["fp32"], rows)
    bundle = shipped("autoencoder")
    found = open_model(bundle.content("fp32")).run(["reconstruction"], {"frames": rows[:, None]})[0]
    assert np.abs(found.reshape(16, FRAME) - made).max() < 1e-4
    whole = open_model(bundle.content("int8")).run(["reconstruction"], {"frames": rows[:, None]})[0]
    assert np.square(whole.reshape(16, FRAME) - made).mean() < 0.02


def test_the_stored_ranges_are_those_of_the_stored_weights() -> None:
    require(importlib.util.find_spec("onnx") is not None, "onnx is not installed")
    from models.build.zoo import stored

    whole = stored()["int8"]
    for name, ends in calibrate({name: whole[name] for name in shapes()}).items():
        assert whole[name] == pytest.approx(ends, rel=1e-4), name


def test_building_the_zoo_again_gives_the_very_bytes_that_are_shipped() -> None:
    require(importlib.util.find_spec("onnx") is not None, "onnx is not installed")
    from models.build.zoo import bundle

    folder = shipped("autoencoder").folder
    for name, content in bundle().items():
        assert hashlib.sha256(content).digest() == hashlib.sha256((folder / name).read_bytes()).digest(), name
