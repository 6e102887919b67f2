"""Alarms at any threshold are those of the product's own rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent.alerts import Alert, Rule, advance, happened
from benchmarks.alarms import raised, spans

RULES = [Rule(), Rule(0.0, 3.0, hold_s=20.0), Rule(2.0, 0.0)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0])
def test_they_are_what_the_rule_says_row_by_row(rule: Rule, threshold: float) -> None:
    random = np.random.default_rng(5)
    levels = np.convolve(random.exponential(1.0, 400), np.ones(5) / 5, "same")
    levels[100:105] = np.nan
    times = 1.7e9 + np.arange(400.0)
    expected, ends, alert = [], [], Alert()
    plain = replace(rule, flood_per_hour=0)
    for row, level in enumerate(levels / threshold):
        after = advance(alert, plain, float(level), float(times[row]))
        if (kind := happened(alert, after)) == "raised":
            expected.append(row)
        elif kind == "cleared":
            ends.append(row)
        alert = after
    assert expected or threshold == 2.0
    assert raised(times, levels, rule, threshold) == expected
    assert [end for _, end in spans(times, levels, rule, threshold) if end is not None] == ends
    assert len(expected) - len(ends) == alert.raised
