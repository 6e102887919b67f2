"""Levels of sound in bands, against what is known of sines and noise in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sensors import OptionError
from sensors.log_mel import LogMel, Mel, hertz, mel

RATE_HZ = 48_000.0
ONE = np.ones(1, np.float32)


def sine(hz: float, rms: float, rows: int = 24_000) -> NDArray[np.float32]:
    t = np.arange(rows) / RATE_HZ
    wave: NDArray[np.float64] = np.sqrt(2) * rms * np.sin(2 * np.pi * hz * t)
    return wave.astype(np.float32)[:, None]


def levels(samples: NDArray[np.float32], how: Mel, rate_hz: float = RATE_HZ) -> NDArray[np.float32]:
    return LogMel(how, rate_hz, np.ones(samples.shape[1], np.float32)).feed(samples)[0]


def test_the_scale_is_that_of_the_formula() -> None:
    np.testing.assert_allclose(mel(np.array([0.0, 700.0, 1000.0])), [0.0, 781.17, 999.99], atol=0.01)
    hz = np.array([20.0, 440.0, 96_000.0])
    np.testing.assert_allclose(hertz(mel(hz)), hz)


@pytest.mark.parametrize("band", [0, 3, 10, 30])
def test_a_sine_in_the_middle_of_a_band_has_its_level_there_and_little_beside(band: int) -> None:
    how = Mel(bands=32, lowest_hz=50)
    middle = LogMel(how, RATE_HZ, ONE).centres_hz[band]
    for frame in levels(sine(middle, 0.1), how):
        assert frame.argmax() == band
        assert frame[band] == pytest.approx(-20.0, abs=0.6)  # what the window spreads falls to its neighbours
        far = [level for i, level in enumerate(frame) if abs(i - band) > 1]
        assert max(far) < -60.0


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_sine_between_two_middles_is_shared_by_its_mel(share: float) -> None:
    how = Mel(bands=16)
    middles = mel(np.array(LogMel(how, RATE_HZ, ONE).centres_hz))
    hz = float(hertz((1 - share) * middles[8:9] + share * middles[9:10])[0])
    frame = levels(sine(hz, 1.0), how)[0]
    np.testing.assert_allclose(10 ** (frame[8:10] / 10), [1 - share, share], atol=0.01)


def test_all_bands_together_hold_the_whole_power_of_noise() -> None:
    how = Mel(bands=20, lowest_hz=1e-3 * RATE_HZ, highest_hz=RATE_HZ / 2)
    noise = np.random.default_rng(0).normal(0.0, 0.5, (480_000, 1)).astype(np.float32)
    begin, end = mel(np.array([how.lowest_hz, RATE_HZ / 2])).tolist()
    middles = hertz(np.linspace(begin, end, how.bands + 2, dtype=np.float64))
    inside = (
        middles[-1] + middles[-2] - middles[0] - middles[1]
    ) / RATE_HZ  # of triangles that overlap, about
    power = (10 ** (levels(noise, how) / 10)).sum(1).mean()
    assert power == pytest.approx(0.25 * inside, rel=0.01)


def test_zero_db_is_the_reference() -> None:
    how = Mel(bands=8, reference=2e-5)
    middle = LogMel(how, RATE_HZ, ONE).centres_hz[4]
    assert levels(sine(middle, 1.0), how)[0, 4] == pytest.approx(94.0, abs=0.1)  # 1 Pa is 94 dB SPL


def test_digital_silence_has_a_level() -> None:
    assert (levels(np.zeros((9600, 1), np.float32), Mel()) == -200.0).all()


def test_what_is_missing_makes_its_frames_missing() -> None:
    samples = sine(1000.0, 1.0, 48_000)
    samples[20_000] = np.nan
    found = np.isnan(levels(samples, Mel()))
    assert found.all(1).tolist() == [False] * 3 + [True] * 2 + [False] * 4
    assert found.any(1).tolist() == found.all(1).tolist()


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
@settings(max_examples=30)
def test_frames_are_the_same_however_the_sound_was_cut(sizes: list[int]) -> None:
    samples = np.random.default_rng(1).normal(size=(sum(sizes), 2)).astype(np.float32)
    how = Mel(frame_hz=10, bands=8)
    whole, first = LogMel(how, 8000.0, np.ones(2, np.float32)).feed(samples)
    cut = LogMel(how, 8000.0, np.ones(2, np.float32))
    ends, frames, done = [], [], 0
    for size in sizes:
        part, last = cut.feed(samples[done : done + size])
        ends += [done + last + 800 * i for i in range(len(part))]
        frames.append(part)
        done += size
    np.testing.assert_array_equal(np.concatenate(frames), whole)
    assert ends == [first + 800 * i for i in range(len(whole))]
    assert first == 1599


@pytest.mark.parametrize(
    ("how", "path", "words"),
    [
        (Mel(frame_hz=7), "mel.frame_hz", "must divide 48000 Hz: 7.0001"),
        (Mel(frame_hz=1e6), "mel.frame_hz", "must divide"),
        (Mel(highest_hz=30_000), "mel.highest_hz", "at most 24000"),
        (Mel(lowest_hz=300, highest_hz=200), "mel.lowest_hz", "must be below 200"),
        (Mel(bands=2000), "mel.bands", "narrower than 5 Hz"),
    ],
)
def test_bands_that_cannot_be_made_are_refused(how: Mel, path: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as raised:
        LogMel(how, RATE_HZ, ONE)
    assert raised.value.path == path
