"""Rows and alerts counted: F1, rates, delays, false alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.scores.points import count, delays_s, false_alarms, stretches, total

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0], bool)
ALARM = np.array([0, 1, 0, 0, 0, 0, 1, 1, 1, 0], bool)


def test_rows_are_counted_as_the_confusion_matrix_has_them() -> None:
    counts = count(LABELS, ALARM)
    assert (counts.hits, counts.false, counts.missed, counts.quiet) == (2, 2, 2, 4)
    assert counts.f1 == pytest.approx(0.5)
    assert counts.far == pytest.approx(100 * 2 / 6)
    assert counts.mar == pytest.approx(50)


def test_files_are_pooled_and_not_averaged() -> None:
    nothing = count(np.zeros(90, bool), np.zeros(90, bool))
    pooled = total([count(LABELS, ALARM), nothing])
    assert pooled.f1 == pytest.approx(0.5)
    assert pooled.far == pytest.approx(100 * 2 / 96)
    assert math.isnan(nothing.mar)
    assert nothing.f1 == 0


def test_a_delay_runs_from_the_anomalys_first_row_to_the_first_alarm_in_it() -> None:
    times = np.arange(0.0, 20, 2)
    assert delays_s(times, LABELS, ALARM) == [4.0]
    assert delays_s(times, LABELS, ~LABELS) == [None]
    assert delays_s(times, LABELS, np.ones(10, bool)) == [0.0]


def test_an_alarm_that_begins_outside_of_anomalies_is_false() -> None:
    assert stretches(ALARM) == [(1, 2), (6, 9)]
    assert false_alarms(LABELS, ALARM) == 1
