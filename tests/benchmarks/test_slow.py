"""The benchmark of what takes weeks, in small."""

from __future__ import annotations

import numpy as np

from benchmarks import slow
from benchmarks.weeks import DAY_S, MONDAY, week


def test_a_week_has_a_sunday_and_one_tuesday_that_breaks() -> None:
    usual, times, at = week(0, weeks=3, period_s=600.0, broken="none", at_week=2)
    idle, _, _ = week(0, weeks=3, period_s=600.0, broken="idle", at_week=2)
    assert at == MONDAY + 15 * DAY_S
    noon = usual[72::144, 0].reshape(3, 7)
    assert (noon[:, :5] > 45).all()
    assert (noon[:, 6] < 30).all()
    day = (times >= at) & (times < at + DAY_S)
    assert (usual[~day] == idle[~day]).all()
    assert idle[day].max() < 30 < usual[day].max()


def test_a_tuesday_like_a_sunday_is_heard_and_nothing_before_it() -> None:
    found = slow.tuesday("idle", 0)
    assert found["delay_h"] is not None
    assert 6 < found["delay_h"] < 10
    assert found["false_before"] == 0


def test_a_bearing_that_fails_over_14_days_is_heard_and_nothing_before_it() -> None:
    found = slow.degrade(slow.Ramp("bearing_outer", 1.0, (), 0))
    assert found["first_d"] is not None
    assert 0 < found["of_ramp"] < 0.1
    assert found["false_before"] == 0


def test_the_control_hears_a_step_and_is_deaf_to_a_ramp() -> None:
    times = np.arange(6 * 24 * 30, dtype=np.float64)
    times *= 600.0
    noise = np.random.default_rng(0).standard_normal((len(times), 1))
    step, ramp = noise.copy(), noise + np.linspace(0, 10, len(times))[:, None]
    step[3000:] += 8
    assert slow.forgetful(step.astype(np.float32), times)[0] == times[3005]
    assert slow.forgetful(ramp.astype(np.float32), times) == []


def test_its_table_names_every_fault_and_every_tuesday() -> None:
    ramp = slow.degrade(slow.Ramp(None, 0.0, ("temperature",), 0))
    result = {"seeds": 1, "published": {}, "ramps": [ramp], "weeks": [slow.tuesday("none", 0)]}
    text = slow.table(result)
    assert "none, healthy" in text
    assert "like any other" in text
