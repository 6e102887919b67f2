"""The speed of a shaft read from signals whose speed is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.envelope import Doubles
from models.shaft import CLEAR, Shaft
from tests.models.streams import noise

RATE_HZ, LENGTH = 3200.0, 6400


def energy(x: Doubles) -> Doubles:
    """`(channels, bins)` as of a tapered window."""
    amplitude: Doubles = np.abs(np.fft.rfft(x * np.hanning(x.shape[1])))
    amplitude *= amplitude
    return amplitude


def shaking(hz: float, harmonics: dict[int, float], seed: int = 0, length: int = LENGTH) -> Doubles:
    seconds = np.arange(length) / RATE_HZ
    shaken: Doubles = noise(length, 1, seed).T.astype(np.float64)
    for order, amplitude in harmonics.items():
        shaken += amplitude * np.cos(2 * np.pi * order * hz * seconds + order)
    return shaken


@pytest.mark.parametrize("hz", [21.3, 24.7, 29.95, 38.02])
@pytest.mark.parametrize(
    "harmonics",
    [{1: 1.0, 2: 0.5, 3: 0.2}, {1: 0.2, 2: 1.0, 3: 0.2, 4: 0.4}, {1: 1.0}, {1: 0.3, 3: 1.0, 5: 0.5}],
    ids=["imbalance", "misalignment", "one line", "odd"],
)
def test_the_speed_is_found_though_another_harmonic_is_louder(hz: float, harmonics: dict[int, float]) -> None:
    shaft = Shaft(RATE_HZ / LENGTH, LENGTH // 2 + 1, 20.0, 45.0)
    found, clarity = shaft.estimate(energy(shaking(hz, harmonics)))
    assert found == pytest.approx(hz, rel=0.01)
    assert clarity >= CLEAR


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_no_clear_speed(seed: int) -> None:
    shaft = Shaft(RATE_HZ / LENGTH, LENGTH // 2 + 1, 20.0, 45.0)
    assert shaft.estimate(energy(noise(LENGTH, 1, seed).T.astype(np.float64)))[1] < CLEAR


def test_silence_has_none_either() -> None:
    shaft = Shaft(RATE_HZ / LENGTH, LENGTH // 2 + 1, 20.0, 45.0)
    assert shaft.estimate(np.zeros((2, LENGTH // 2 + 1)))[1] < CLEAR


def test_axes_are_listened_to_together() -> None:
    both = np.concatenate([shaking(25.0, {1: 0.3}, 1), shaking(25.0, {2: 0.5, 3: 0.3}, 2)])
    shaft = Shaft(RATE_HZ / LENGTH, LENGTH // 2 + 1, 20.0, 45.0)
    assert shaft.estimate(energy(both))[0] == pytest.approx(25.0, rel=0.01)


def test_speeds_whose_harmonics_lie_above_the_spectrum_are_refused() -> None:
    with pytest.raises(ValueError, match="up to 400 Hz cannot be read"):
        Shaft(1.0, 1601, 100.0, 400.0)
