"""The changepoint score: worked by hand on small cases, and the reference scores of fixed rules on the recordings."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.scores import changepoints, points
from benchmarks.scores.changepoints import PROFILES, edges, find
from benchmarks.skab_files import PATTERNS, TRAIN, read
from tests.benchmarks.reference import reference

TIMES = np.arange(0.0, 300)


def test_an_emission_at_each_changepoint_and_no_other_scores_100() -> None:
    found = find(TIMES, [50, 200], [50, 200])
    assert [found.score(profile) for profile in PROFILES] == pytest.approx([100, 100, 100])


def test_silence_scores_0_and_a_late_hit_more_than_a_miss() -> None:
    assert find(TIMES, [50], []).score("nab_standard") == 0
    assert find(TIMES, [50], [110]).score("nab_standard") == pytest.approx(100 * (1 - 0.11) / 2)
    assert find(TIMES, [50], [80]).reward == pytest.approx(0.5, abs=0.01)


def test_emissions_outside_of_windows_are_false_and_repeated_ones_inside_are_not() -> None:
    found = find(TIMES, [50], [10, 55, 60, 70, 111])
    assert (found.hits, found.false, found.missed, found.delays_s) == (1, 2, 0, (5.0,))
    assert find(TIMES, [50], [50, 10]).score("nab_low_fp") < 100


def test_a_window_begins_where_the_one_before_it_ends() -> None:
    found = find(TIMES, [50, 90], [95, 120])
    assert found.delays_s == (45.0, 10.0)


def test_an_alarm_emits_where_it_begins_and_ends() -> None:
    assert edges(np.array([True, True, False, True])) == [0, 2, 3]


def test_the_reference_scores_of_fixed_rules_are_reproduced() -> None:
    path, expected = reference("skab", PATTERNS)
    recordings, _ = read(path)
    assert len(recordings) == expected["files"]
    for name, scores in expected["scores"].items():
        counts, found = [], []
        for recording in recordings:
            rest = slice(TRAIN, None)
            values, times = recording.values.astype(np.float64), recording.times[rest]
            rows = len(times)
            alarm = np.zeros(rows, bool)
            emitted = None
            if name == "always":
                alarm[:] = True
            elif name == "timer":
                alarm[180:] = True
            elif name == "rule":
                mean, spread = values[:TRAIN].mean(axis=0), values[:TRAIN].std(axis=0)
                alarm = (np.abs(values[rest] - mean) > 4 * spread + 1e-9).any(axis=1)
            elif name == "metronome_60":
                emitted = list(range(59, rows, 60))
            emitted = edges(alarm) if emitted is None else emitted
            counts.append(points.count(recording.anomaly[rest], alarm))
            changes = np.flatnonzero(recording.changepoint[rest]).tolist()
            found.append(changepoints.find(times, changes, emitted))
        pooled, change = points.total(counts), changepoints.total(found)
        ours = [round(pooled.f1, 4), round(pooled.far, 4), round(pooled.mar, 4)]
        assert ours == [scores["F1"], scores["FAR"], scores["MAR"]], name
        ours = [round(change.score(profile), 4) for profile in PROFILES]
        assert ours == [scores["NAB_Standard"], scores["NAB_LowFP"], scores["NAB_LowFN"]], name
        assert [change.hits + change.missed, change.missed, change.false] == [
            scores["cps"],
            scores["missedCP"],
            scores["fpCP"],
        ]
        if scores["delayCP"] is not None:
            assert round(float(np.mean(change.delays_s)), 4) == scores["delayCP"]
