"""The benchmark of the budget: counts against what was stated, on machines with nothing wrong."""

from __future__ import annotations

import argparse
import math

import numpy as np
import pytest

from benchmarks.budget import BUDGETS, Outcome, listen, poisson_quantile, run, summed, table
from benchmarks.healthy import of_rows
from sensors.base import Channel


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
            "a",
            "1 per hour",
            seen_h=5.0,
            tested_h=40.0,
            exposed_h=40.0,
            low=20.0,
            middle=40.0,
            high=50.0,
            alarms=alarms,
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


def test_hours_under_an_alert_are_no_time_to_expect_another_in() -> None:
    """A machine that leaves its lesson's normal a third of the way on, and stays there."""
    rows, leaves = 3000, 1200
    values = np.random.default_rng(3).standard_normal((rows, 3)).astype(np.float32)
    values[leaves:] += 8
    channels = [Channel("pressure"), Channel("flow"), Channel("current")]
    times = 1.7e9 + np.arange(float(rows))
    strayed = listen(of_rows("a", channels, times, values, 1.0))
    for tested in strayed:
        judged = tested.tested_h * 3600
        assert tested.alarms == 1
        (raised_s,) = (3600 * hour for hour in tested.at_h)
        assert leaves < raised_s < leaves + 60
        assert judged == pytest.approx(rows - 619, abs=1)  # after a lesson of 600 and the first mean of 20
        assert tested.exposed_h * 3600 == pytest.approx(judged - (rows - 1 - raised_s), abs=1e-6)
    hourly = strayed[0]
    assert hourly.middle == pytest.approx(hourly.exposed_h, rel=0.01)  # it states what was asked of it
    found = summed("pump", "1 per hour", [hourly])
    assert found["under_alert_share"] == pytest.approx(1 - hourly.exposed_h / hourly.tested_h)
    assert found["asked"] == pytest.approx(hourly.exposed_h)


def test_an_alert_that_ends_is_no_time_either_and_what_follows_is() -> None:
    rows = 3000
    values = np.random.default_rng(3).standard_normal((rows, 3)).astype(np.float32)
    values[1200:1500] += 8
    times = 1.7e9 + np.arange(float(rows))
    channels = [Channel("pressure"), Channel("flow"), Channel("current")]
    (tested, *_) = listen(of_rows("a", channels, times, values, 1.0))
    under_s = 3600 * (tested.tested_h - tested.exposed_h)
    assert tested.alarms == 1
    assert 300 < under_s < 450  # the fault, the mean of 20 rows that forgets it, and off_delay


def test_what_proves_little_is_said() -> None:
    strayed = Outcome(
        "a", "1 per week", tested_h=2.4, exposed_h=0.1, low=0.0, middle=0.001, high=0.07, alarms=1
    )
    sound = Outcome(
        "b", "1 per hour", tested_h=50.0, exposed_h=49.0, low=30.0, middle=49.0, high=60.0, alarms=90
    )
    rows = [summed("rig", "1 per week", [strayed]), summed("pump", "1 per hour", [sound])]
    shown = table({"rows": rows, "missing": []})
    assert "1 of 2 counts lie inside of what was stated; outside: pump at 1 per hour (90, where" in shown
    assert "less than one alarm: rig at 1 per week." in shown
    assert "more than 10 % of the hours judged: rig (96 %)." in shown


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
    assert all(0 <= row["under_alert_share"] < 0.1 for row in found["rows"])
    assert "Not run: NAB" in shown
