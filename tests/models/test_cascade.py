"""The sentinel hears every window; the model is asked where it stirs, and as often as was planned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cascade import Cascade, Gaze, Seen
from models.features import Feature
from models.sentinel import LESSON, Edge, Sentinel, figures
from models.window import Array, Windower, Windows

RATE, LENGTH, HOP, SPAN = 1000.0, 200, 100, 5
TAUGHT = 2 * LESSON  # windows after which everything has been taught


class Loudness:
    """Features that count how often they are made: the logarithm of each channel's RMS."""

    def __init__(self, channels: int) -> None:
        self.columns = tuple(Feature(f"c{i}", f"c{i}", "1", logarithm=True) for i in range(channels))
        self.made = 0

    def extract(self, windows: Windows) -> Array:
        self.made += len(windows.times)
        rows: Array = np.log(windows.stacked().astype(np.float64).std(axis=1)).astype(np.float32)
        return rows


class Trial:
    """A cascade on white noise, with a model whose level is how far the mean loudness lies from that of the noise."""

    def __init__(self, channels: int = 2, seed: int = 0) -> None:
        self.features = Loudness(channels)
        self.cascade = Cascade(self.features, channels, SPAN, self.glance)
        self._windower = Windower(LENGTH, HOP, channels, 0.05)
        self._random, self._channels, self._rows = np.random.default_rng(seed), channels, 0
        self.armed = True

    def glance(self, level: Array) -> float | None:
        return float(np.abs(level).max()) / 0.25 if self.armed else None

    def push(self, windows: int, loud: float = 1.0, piece: int = 1) -> list[Seen]:
        """So many hops of noise, `piece` at a time."""
        seen: list[Seen] = []
        for _ in range(windows // piece):
            rows = (loud * self._random.standard_normal((piece * HOP, self._channels))).astype(np.float32)
            for cut in self._windower.push(1000.0 + self._rows / RATE, RATE, rows):
                seen += self.cascade.hear(cut)
            self._rows += piece * HOP
        return seen

    def gap(self) -> None:
        """Samples that never came."""
        self._rows += 10 * HOP


def times(seen: list[Seen]) -> list[float]:
    return [time for each in seen for time in each.times]


def test_a_full_gaze_hands_on_every_window_as_it_came() -> None:
    trial, plain = Trial(), Windower(LENGTH, HOP, 2, 0.05)
    seen = trial.push(50)
    rows = np.random.default_rng(0).standard_normal((50 * HOP, 2)).astype(np.float32)
    (whole,) = plain.push(1000.0, RATE, rows)
    assert times(seen) == pytest.approx(whole.times)
    np.testing.assert_array_equal(np.concatenate([each.rows for each in seen]), Loudness(2).extract(whole))
    assert [each.skipped for each in seen] == [0] * len(seen)
    assert [each.fresh for each in seen] == [True] + [False] * (len(seen) - 1)


def test_until_it_is_taught_the_model_looks_at_everything() -> None:
    trial = Trial()
    trial.cascade.gaze = Gaze(20)
    assert len(times(trial.push(LESSON // 2))) == LESSON // 2 - 1
    assert not trial.cascade.taught


def test_what_the_model_has_not_learned_teaches_nobody() -> None:
    trial = Trial()
    trial.armed = False
    trial.push(TAUGHT)
    assert not trial.cascade.taught
    trial.armed = True
    trial.push(TAUGHT)
    assert trial.cascade.taught


@pytest.mark.parametrize("piece", [1, 5, 10])
def test_a_sparse_gaze_looks_as_often_as_planned_and_at_as_many_windows_as_are_averaged(piece: int) -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze, made = Gaze(20), trial.features.made
    trial.cascade.longest_s = 0.0
    seen = trial.push(1000, piece=piece)
    assert trial.cascade.longest_s <= 20 * HOP / RATE + 1e-6
    assert 1000 / 20 * SPAN <= trial.features.made - made <= 0.4 * 1000
    fresh_looks = [each for each in seen if each.skipped]
    assert len(fresh_looks) >= 40
    assert all(len(each.times) == SPAN for each in fresh_looks)


def test_what_was_skipped_and_what_was_seen_add_up() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze = Gaze(16, 4)
    seen = trial.push(640)
    told = sum(each.skipped + len(each.times) for each in seen)
    assert 640 - 16 < told <= 640


def test_a_look_gives_the_features_of_the_very_windows() -> None:
    sparse, full = Trial(seed=3), Trial(seed=3)
    for trial in (sparse, full):
        trial.push(TAUGHT)
    sparse.cascade.gaze = Gaze(12)
    of = {time: row for each in full.push(300) for time, row in zip(each.times, each.rows, strict=True)}
    looked = [(t, row) for each in sparse.push(300) for t, row in zip(each.times, each.rows, strict=True)]
    assert len(looked) >= 300 / 12 * SPAN
    for time, row in looked:
        np.testing.assert_array_equal(row, of[time])


def test_a_fault_stirs_the_sentinel_and_the_model_looks_at_once_and_goes_on_looking() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze = Gaze(500)
    trial.push(50)
    stirs = trial.cascade.looks.stirs
    seen = times(trial.push(20, loud=1.6))
    assert trial.cascade.looks.stirs > stirs
    assert len(seen) >= 15, "it looks at nearly every window of the fault"


def test_while_an_alert_is_raised_it_looks_as_planned() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze = Gaze(50)
    trial.push(20, loud=1.6)
    trial.cascade.heed("active")
    assert len(times(trial.push(200, loud=1.6))) <= 5 * SPAN
    trial.cascade.heed("inactive")
    assert len(times(trial.push(50, loud=1.6))) >= 40


def test_a_pending_alert_is_looked_after_without_pause() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze = Gaze(500)
    trial.push(20)
    trial.cascade.heed("pending")
    assert len(times(trial.push(SPAN))) >= SPAN


def test_after_a_gap_the_model_looks_again_soon() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze = Gaze(500)
    trial.push(20)
    trial.gap()
    before, *seen = trial.push(SPAN + 2)
    assert not before.fresh, "first at what was passed over before the gap"
    assert seen[0].fresh
    assert len(times(seen)) >= SPAN


def test_a_lite_look_costs_one_window() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze, made = Gaze(100, 10), trial.features.made
    lite = trial.cascade.looks.lite
    trial.push(1000)
    assert trial.cascade.looks.lite - lite >= 85
    assert trial.features.made - made <= 1000 / 10 + 1000 / 100 * SPAN + 200


@settings(max_examples=25, deadline=None)
@given(
    every=st.integers(2, 60),
    lite=st.integers(0, 10),
    pieces=st.lists(st.integers(1, 12), min_size=5, max_size=40),
    seed=st.integers(0, 1000),
)
def test_the_model_never_waits_longer_than_planned(
    every: int, lite: int, pieces: list[int], seed: int
) -> None:
    trial = Trial(seed=seed)
    trial.push(TAUGHT)
    trial.cascade.gaze, trial.cascade.longest_s = Gaze(every, lite), 0.0
    for piece in pieces:
        trial.push(piece, piece=piece)
    assert trial.cascade.longest_s <= every * HOP / RATE + 1e-6


def test_the_sentinel_stirs_for_nothing_in_about_a_hundredth_of_normal() -> None:
    random, sentinel = np.random.default_rng(1), Sentinel(1, 1)
    for _ in range(LESSON):
        sentinel.teach(random.standard_normal(3).astype(np.float32))
    stirred = 0
    for _ in range(20_000):
        mean = random.standard_normal((1, 3)).astype(np.float32)
        (distance,) = sentinel.distances(mean)
        stirred += sentinel.stirs(distance)
        sentinel.calm(distance)
    assert 0.005 < stirred / 20_000 < 0.02


def test_an_edge_follows_a_quantile_and_grows_deaf_only_so_far() -> None:
    random, edge = np.random.default_rng(2), Edge(0.1)
    edge.begin(random.exponential(size=200))
    first = edge.value
    above = []
    for score in random.exponential(size=5000):
        above.append(score > edge.value)
        edge.follow(float(score))
    assert 0.07 < np.mean(above[1000:]) < 0.13
    for _ in range(1000):
        edge.follow(1e9)
    assert edge.value <= 3 * first


def test_figures_are_those_of_a_sine() -> None:
    t = np.arange(1000) / RATE
    rows = np.stack([2 * np.sin(2 * np.pi * 50 * t), 0.5 * np.sin(2 * np.pi * 100 * t)], axis=1)
    (found,) = np.exp(figures(Windows([1.0], rows.astype(np.float32), 1000, 1000, True)))
    power, steep, kurtosis = found.reshape(2, 3).T
    np.testing.assert_allclose(power, [2.0, 0.125], rtol=1e-3)  # A^2 / 2
    slope = [2 * np.sin(np.pi * hz / RATE) for hz in (50, 100)]  # of a unit sine from sample to sample
    np.testing.assert_allclose(steep / power, np.square(slope), rtol=2e-3)
    np.testing.assert_allclose(kurtosis, 1.5, rtol=1e-3)


def test_a_machine_that_stays_nearly_strange_is_not_watched_for_ever() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze = Gaze(50)
    trial.push(600, loud=1.24)  # a level of about 0.85
    made = trial.features.made
    trial.push(2000, loud=1.24)
    assert trial.features.made - made < 0.5 * 2000
    seen = times(trial.push(20, loud=1.6))
    assert len(seen) >= 10, "worse than it was"


def test_every_window_is_near_a_look_or_an_end() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze = Gaze(40)
    looked: list[float] = []
    for _ in range(20):
        looked += times(trial.push(30))
        trial.gap()
    newest = 1000.0 + trial._rows / RATE - 10 * HOP / RATE
    looked += times(trial.cascade.flush())
    assert looked[-1] == pytest.approx(newest, abs=2 * HOP / RATE)
    assert trial.cascade.flush() == []
    gaps = np.diff(looked)
    assert gaps.max() <= (40 + 11) * HOP / RATE


def test_a_gap_in_the_samples_is_no_delay_of_ours() -> None:
    trial = Trial()
    trial.push(TAUGHT)
    trial.cascade.gaze, trial.cascade.longest_s = Gaze(20), 0.0
    for _ in range(5):
        trial.push(50)
        for _ in range(100):
            trial.gap()
    assert trial.cascade.longest_s <= 20 * HOP / RATE + 1e-6
