"""Features of the waveform: of known signals, of one window alone, and of both variants."""

from __future__ import annotations

import numpy as np
import pytest

from models.bundle import shipped
from models.waveform import BUNDLE, MOST_FRAMES, Waveform
from models.window import Array, Windower, Windows

RATE_HZ = 3200.0
CHANNELS = [("x", "m/s2"), ("y", "g")]
VARIANTS = tuple(shipped(BUNDLE).manifest.variants)


def waveform(length: int = 3200, variant: str = "int8") -> Waveform:
    return Waveform(CHANNELS, RATE_HZ, length, shipped(BUNDLE), variant)


def healthy(rows: int, seed: int = 1) -> Array:
    """A tone in noise on both axes."""
    random = np.random.default_rng(seed)
    tone = np.sin(2 * np.pi * 49.4 * np.arange(rows) / RATE_HZ)[:, None]
    mixed: Array = (tone * [1.0, 0.5] + 0.3 * random.standard_normal((rows, 2))).astype(np.float32)
    return mixed


def ringing(rows: int) -> Array:
    """A resonance struck 88 times a second."""
    time = np.arange(rows) / RATE_HZ % (1 / 88.3)
    wave = np.exp(-900 * time) * np.sin(2 * np.pi * 1100 * time)
    struck: Array = np.stack([wave, wave], axis=1).astype(np.float32)
    return struck


def extract(features: Waveform, samples: Array) -> dict[str, float]:
    (row,) = features.extract(Windows([0.0], samples, len(samples), 1, True)).tolist()
    return {column.name: value for column, value in zip(features.columns, row, strict=True)}


def test_columns_name_axis_unit_and_band() -> None:
    columns = waveform().columns
    names = [column.name for column in columns]
    assert names[:5] == ["x RMS", "x residual", "x residual kurtosis", "x residual unevenness", names[4]]
    assert names[4:12] == [
        f"x residual band {a}-{b} Hz"
        for a, b in (
            (0, 100),
            (100, 200),
            (200, 300),
            (300, 400),
            (400, 600),
            (600, 800),
            (800, 1200),
            (1200, 1600),
        )
    ]
    assert names[12:20] == [f"x pattern {i}" for i in range(8)]
    assert len(columns) == 40
    assert {(column.channel, column.unit) for column in columns if column.name.endswith(" RMS")} == {
        ("x", "m/s2"),
        ("y", "g"),
    }
    assert all(column.logarithm for column in columns)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_rms_is_the_signals_and_nothing_else_depends_on_how_loud_it_is(variant: str) -> None:
    features, samples = waveform(variant=variant), healthy(3200)
    quiet, loud = extract(features, samples), extract(features, samples * np.float32(64))
    assert quiet["x RMS"] == pytest.approx(np.log(samples[:, 0].astype(np.float64).std()), abs=1e-6)
    assert loud["x RMS"] - quiet["x RMS"] == pytest.approx(np.log(64), abs=1e-6)
    for name in set(quiet) - {"x RMS", "y RMS"}:
        assert loud[name] == pytest.approx(quiet[name], abs=1e-4), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_tone_is_rebuilt_and_noise_is_not(variant: str) -> None:
    tone = np.sin(2 * np.pi * 49.4 * np.arange(3200) / RATE_HZ).astype(np.float32)
    noise = np.random.default_rng(5).standard_normal(3200).astype(np.float32)
    found = extract(waveform(variant=variant), np.stack([tone, noise], axis=1))
    assert found["x residual"] < np.log(0.03)
    assert found["y residual"] > np.log(0.5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bands_of_the_residual_add_up_to_it(variant: str) -> None:
    found = extract(waveform(variant=variant), healthy(3200))
    bands = sum(np.exp(value) for name, value in found.items() if name.startswith("x residual band"))
    assert np.log(bands) == pytest.approx(found["x residual"], abs=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_impacts_stand_out_of_the_residual_before_they_are_loud(variant: str) -> None:
    features = waveform(variant=variant)
    rows = np.stack([list(extract(features, healthy(3200, seed)).values()) for seed in range(40)])
    struck = extract(features, healthy(3200, 99) + ringing(3200))
    sigma = (np.array(list(struck.values())) - rows.mean(axis=0)) / rows.std(axis=0)
    moved = dict(zip(struck, sigma, strict=True))
    assert moved["x RMS"] < 3.5
    assert moved["x residual kurtosis"] > 4
    assert moved["x residual band 800-1200 Hz"] > 6


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_windows_features_do_not_depend_on_the_windows_with_it(variant: str) -> None:
    samples, features = healthy(9600), waveform(variant=variant)
    (windows,) = Windower(3200, 800, 2, 1.0).push(0.0, RATE_HZ, samples)
    together = features.extract(windows)
    assert len(together) == 9
    for i, row in enumerate(together):
        part = np.ascontiguousarray(samples[i * 800 : i * 800 + 3200])
        alone = waveform(variant=variant).extract(Windows([0.0], part, 3200, 800, True))[0]
        assert np.array_equal(alone, row)


def test_int8_and_float32_see_the_same() -> None:
    samples = healthy(3200 * 30) + np.linspace(0, 0.5, 3200 * 30, dtype=np.float32)[:, None] * ringing(
        3200 * 30
    )
    windows = Windows([0.0] * 30, samples, 3200, 3200, True)
    fp32, int8 = (waveform(variant=variant).extract(windows) for variant in ("fp32", "int8"))
    assert not np.array_equal(fp32, int8)
    for i, column in enumerate(waveform().columns):
        if column.name.endswith("residual") or " pattern " in column.name:
            assert np.corrcoef(fp32[:, i], int8[:, i])[0, 1] > 0.99, column.name


def test_a_long_window_is_looked_at_in_so_many_frames_from_its_first_to_its_last_sample() -> None:
    length = 100_000
    features, samples = waveform(length), healthy(length)
    before = extract(features, samples)
    samples[-1] += 50
    after = extract(features, samples)
    assert after["x residual"] != before["x residual"]
    assert features._frames.shape == (2, MOST_FRAMES, 1024)


def test_a_still_channel_has_finite_features() -> None:
    samples = healthy(3200)
    samples[:, 1] = 4.2
    assert np.isfinite(list(extract(waveform(), samples).values())).all()


def test_a_window_shorter_than_a_frame_is_refused() -> None:
    assert waveform(1024).columns
    with pytest.raises(ValueError, match="at least 1024 rows, not 1023"):
        waveform(1023)
