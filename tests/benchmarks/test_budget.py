"""The benchmark of the budget: counts against what was stated, on machines with nothing wrong."""

from __future__ import annotations

import argparse
import math

import pytest

from benchmarks.budget import BUDGETS, Outcome, poisson_quantile, run, summed, table


def poisson(mean: float, most: int) -> float:
    """The probability of at most so many."""
    return sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(most + 1))


@pytest.mark.parametrize("mean", [0.001, 0.05, 0.7, 3.0, 40.0, 150.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_poisson_quantile_is_the_least_count_that_is_likely_enough(mean: float, share: float) -> None:
    count = poisson_quantile(mean, share)
    assert poisson(mean, count) >= share
    assert count == 0 or poisson(mean, count - 1) < share


def test_a_quantile_of_a_large_mean_is_near_the_normal_ones() -> None:
    assert poisson_quantile(0.0, 0.95) == 0
    assert poisson_quantile(1500.0, 0.5) == 1500
    assert poisson_quantile(1500.0, 0.95) == pytest.approx(1500 + 1.645 * 1500**0.5, abs=2)


def test_more_alarms_than_were_stated_are_outside_and_so_are_fewer() -> None:
    def of(alarms: int) -> bool:
        one = Outcome(
            "a", "1 per hour", seen_h=5.0, tested_h=40.0, low=20.0, middle=40.0, high=50.0, alarms=alarms
        )
        return bool(summed("machines", "1 per hour", [one])["inside"])

    assert of(40)
    assert of(13)  # P(at most 13 of 20) = 0.066
    assert not of(12)  # P(at most 12 of 20) = 0.039
    assert of(62)
    assert not of(63)


def test_one_machine_that_alarms_too_often_does_not_hide_among_others() -> None:
    quiet = [Outcome(f"{i}", "1 per week", tested_h=168.0, low=0.5, high=4.0) for i in range(5)]
    loud = Outcome("loud", "1 per week", tested_h=168.0, low=0.5, high=4.0, alarms=12)
    found = summed("machines", "1 per week", [*quiet, loud])
    assert found["inside"]
    assert found["machines_inside"] == 5


def test_a_healthy_machine_keeps_its_budget_and_the_table_says_so() -> None:
    found = run(argparse.Namespace(data=None, hours=24.0, seeds=1, first_seed=0, per_file=True))
    assert [row["budget"] for row in found["rows"]] == [*BUDGETS]
    assert found["inside"]
    alarms = [row["alarms"] for row in found["rows"]]
    assert alarms == sorted(alarms, reverse=True)
    assert found["machines"][0]["states"] == 5
    assert len(found["missing"]) == 3  # recordings, without a folder of them
    shown = table(found)
    assert shown.count("| yes |") == 3
    assert "Not run: NAB" in shown
