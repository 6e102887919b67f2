"""NAB's score: worked by hand on small cases, and the reference scores of a fixed rule on the recordings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.nab_files import read
from benchmarks.scores.nab import (
    PROFILES,
    Doubles,
    File,
    count_windows,
    points,
    score,
    sweep,
    windows,
)
from tests.benchmarks.reference import reference

STANDARD = PROFILES["standard"]
FILE = File(100, ((40, 49),))  # 15 rows of probation, one window of ten rows


def test_an_alarm_at_the_first_row_of_each_window_and_nothing_else_scores_100() -> None:
    for profile in PROFILES.values():
        assert score([FILE], [[40]], profile) == pytest.approx(100)


def test_silence_scores_0() -> None:
    for profile in PROFILES.values():
        assert score([FILE], [[]], profile) == pytest.approx(0)


def test_a_later_hit_is_worth_less_and_the_earliest_of_several_counts() -> None:
    late, early = score([FILE], [[48]], STANDARD), score([FILE], [[42]], STANDARD)
    assert 50 < late < early < 100  # a hit, however late, is worth more than none
    assert score([FILE], [[42, 48]], STANDARD) == early


def test_a_false_alarm_costs_the_more_the_further_past_the_window() -> None:
    def cost(row: int) -> float:
        return 100 - score([FILE], [[40, row]], STANDARD)

    assert cost(50) < cost(55) < cost(90) == pytest.approx(100 * 0.11 / 2)
    assert cost(20) == cost(90)  # before any window
    assert cost(10) == pytest.approx(0)  # in probation


def test_profiles_weigh_false_alarms_and_misses() -> None:
    assert points(FILE, [90], STANDARD) == pytest.approx(-1.11)
    assert points(FILE, [90], PROFILES["low_fp"]) == pytest.approx(-1.22)
    assert points(FILE, [90], PROFILES["low_fn"]) == pytest.approx(-2.11)


def test_windows_take_the_rows_within_both_ends() -> None:
    times = np.arange(0.0, 1000, 10)
    assert windows(times, [(95, 120), (2000, 2100)]) == ((10, 12),)


def test_probation_is_a_share_of_the_file_and_at_most_750_rows() -> None:
    assert File(4032, ()).probation == 604
    assert File(22695, ()).probation == 750


def test_the_sweep_finds_the_threshold_that_scores_best() -> None:
    random = np.random.default_rng(3)
    files = [File(200, ((60, 79), (150, 169))), File(150, ((90, 99),)), File(80, ())]
    scores = [np.round(random.random(file.rows), 2) for file in files]
    for profile in PROFILES.values():
        every = np.unique(np.concatenate(scores))
        tried = [(score(files, [np.flatnonzero(s >= t) for s in scores], profile), t) for t in every]
        found = sweep(files, scores, profile)
        assert found[0] == pytest.approx(max(max(tried)[0], 0))
        assert found[1] in (math.inf, *[t for value, t in tried if value == pytest.approx(max(tried)[0])])


def test_the_reference_scores_of_a_fixed_rule_are_reproduced() -> None:
    path, expected = reference("nab", ["labels/combined_windows.json"])
    recordings, named, _ = read(path)
    scores = [_rule(recording.values, recording.file.probation) for recording in recordings]
    files = [recording.file for recording in recordings]
    assert count_windows(files) == sum(len(file.windows) for file in files)
    theirs = {"standard": "standard", "low_fp": "reward_low_FP_rate", "low_fn": "reward_low_FN_rate"}
    for name, profile in named.items():
        best, threshold = sweep(files, scores, profile)
        assert round(best, 2) == expected["best_threshold"][theirs[name]]
        assert round(threshold, 4) == expected["best_threshold"][theirs[name] + "_thr"]
        at_half = score(files, [np.flatnonzero(s >= 0.5) for s in scores], profile)
        assert round(at_half, 2) == expected["threshold_0.5"][theirs[name]]


def _rule(values: Doubles, probation: int) -> Doubles:
    """As the reference file says."""
    spread = 20 * (values[:probation].std() + 1e-9)
    distance = np.zeros(len(values))
    for i in range(1, len(values)):
        distance[i] = min(1.0, abs(values[i] - values[max(0, i - 30) : i].mean()) / spread)
    scores = np.zeros(len(values))
    for i in range(1, len(values)):
        if distance[i] > distance[max(0, i - 100) : i].max():
            scores[i] = distance[i]
    return scores
