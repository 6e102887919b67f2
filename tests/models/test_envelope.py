"""Envelope spectra of signals that were struck, swollen, or neither."""

from __future__ import annotations

import numpy as np
import pytest

from models.envelope import Doubles, Envelope, comb, teeth
from tests.models.streams import noise

RATE_HZ, LENGTH = 6400.0, 6400


def lines(x: Doubles) -> tuple[Doubles, float]:
    """Of the logarithmic envelope, as logarithms."""
    envelope = Envelope(RATE_HZ, LENGTH, 800.0)
    return np.log(envelope.spectra(x)[1]), envelope.step_hz


def swelling(hz: float, depth: float = 0.8) -> Doubles:
    """Noise that grows and falls `hz` times a second."""
    seconds = np.arange(LENGTH) / RATE_HZ
    swollen: Doubles = noise(LENGTH, 1).T.astype(np.float64)
    swollen *= np.exp(depth * np.cos(2 * np.pi * hz * seconds))
    return swollen


def test_noise_that_swells_shows_its_rate_and_nothing_else() -> None:
    found, step_hz = lines(swelling(80.0))
    assert found.shape == (1, found.shape[1])
    assert found[0].argmax() * step_hz == pytest.approx(80.0, abs=1.5 * step_hz)
    assert found[0].max() > 2.5
    others = np.delete(found[0], slice(int(75 / step_hz), int(85 / step_hz)))
    assert others.max() < 1.8


def test_the_squared_envelope_shows_a_swelling_as_well() -> None:
    envelope = Envelope(RATE_HZ, LENGTH, 800.0)
    squared, _ = envelope.spectra(swelling(80.0))
    assert squared[0].argmax() * envelope.step_hz == pytest.approx(80.0, abs=1.5 * envelope.step_hz)
    assert squared.max() > 10


def test_plain_noise_shows_nothing() -> None:
    found, _ = lines(noise(LENGTH, 2).T.astype(np.float64))
    assert abs(np.median(found)) < 0.1
    assert found.max() < 1.8


def test_a_steady_tone_and_a_slow_drift_show_nothing() -> None:
    seconds = np.arange(LENGTH) / RATE_HZ
    calm = noise(LENGTH, 1)[:, 0].astype(np.float64)
    loud = calm + 200 * np.cos(2 * np.pi * 33.3 * seconds) + 40 * seconds**2
    found, step_hz = lines(loud[None])
    heights, _ = comb(found, step_hz, np.array([33.3, 66.6]))
    plain, _ = comb(lines(calm[None])[0], step_hz, np.array([33.3, 66.6]))
    assert heights.max() < plain.max() + 0.7


def test_one_loud_click_does_not_drown_the_lines() -> None:
    clicked = swelling(80.0)
    clicked[0, 3000] += 500.0
    found, step_hz = lines(clicked)
    assert found[0, round(80.0 / step_hz)] > 2.0


def test_loudness_does_not_matter() -> None:
    found, _ = lines(swelling(80.0))
    for factor in (1e-30, 1e15):
        assert lines(factor * swelling(80.0))[0] == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("length", [64, 100, 257, 2560, 3200, 4801])
def test_any_length_gives_finite_lines(length: int) -> None:
    envelope = Envelope(6400.0, length, 5000.0)
    with np.errstate(all="raise", under="ignore"):
        for x in (np.zeros((2, length)), noise(length, 2).T.astype(np.float64), np.ones((2, length))):
            for found in envelope.spectra(x):
                assert found.shape == (2, envelope.bins)
                assert np.isfinite(np.log(found)).all()


def test_a_comb_is_found_within_the_slip_and_not_beyond() -> None:
    spectrum = np.zeros((1, 2000))
    for tooth in (1, 2, 3, 4):
        spectrum[0, round(tooth * 101.0 / 0.5)] = 3.0
    heights, places = comb(spectrum, 0.5, np.array([100.0, 101.0, 104.0, 140.0]))
    assert heights[0].tolist() == pytest.approx([3.0, 3.0, 0.0, 0.0])
    assert places[0, 0] == pytest.approx(101.0, rel=0.003)


def test_a_comb_with_half_of_its_teeth_is_half_as_high() -> None:
    spectrum = np.zeros((2, 2000))
    spectrum[0, [400, 800]] = 4.0
    heights, _ = comb(spectrum, 0.5, np.array([100.0]))
    assert heights[:, 0].tolist() == pytest.approx([2.0, 0.0])


def test_teeth_above_the_spectrum_are_not_looked_for() -> None:
    assert teeth(100.0, 1000.0) == 4
    assert teeth(100.0, 310.0) == 3
    assert teeth(100.0, 101.0) == 0
