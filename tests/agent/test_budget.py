"""A budget of false alarms instead of a threshold: kept, said, and never stricter in words than in deeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.alerts import Plan, Rule
from agent.budget import MARGIN, Budget
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from models.features import telemetry
from models.mahalanobis import Mahalanobis
from models.tail import HOUR_S, LOOSEST_HZ, WEEK_S, Tail
from models.window import Array, Windower
from sensors.base import Reading
from tests.agent.machines import CHANNELS

TAIL = Tail(0.8, 40.0, 6.0, 6 * HOUR_S, 0.16)
RATES = (LOOSEST_HZ, 1 / HOUR_S, 1 / 86_400, 1 / WEEK_S, 1 / (52 * WEEK_S))


def walked(
    budget: Budget, rows: Array, learn_rows: int = 300, rule: Rule | None = None
) -> tuple[Monitor, list[float]]:
    """A monitor of three channels at 1 Hz, and the times of its alerts."""
    monitor = Monitor(
        "pump",
        "rig",
        columns=None,
        windower=Windower(1, 1, 3, 10.0),
        features=telemetry(CHANNELS[:3]),
        head=Mahalanobis(3, smooth=5),
        rule=rule or Rule(on_delay_s=3, off_delay_s=10, flood_per_hour=0),
        learn_rows=learn_rows,
        plan=Plan(1.0),
        budget=budget,
    )
    events = Pipeline([monitor]).push([Reading("rig", 1.7e9, 1.0, rows)])
    return monitor, [event.time for event in events if event.kind == "raised"]


def restless(seed: int, rows: int) -> Array:
    """Noise with slow swings and bursts, so that there is much to be alarmed about."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((rows, 3))
    swing = np.cumsum(random.standard_normal((rows, 3)) * 0.05, axis=0)
    bursts = np.repeat(random.random((rows // 25 + 1, 3)) < 0.06, 25, axis=0)[:rows] * random.normal(
        0, 2, (rows, 3)
    )
    return (noise + swing + bursts).astype(np.float32)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000), st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)))
def test_a_stricter_budget_never_alarms_more(seed: int, rates: tuple[float, float]) -> None:
    rows = restless(seed, 4000)
    _, strict = walked(Budget(min(rates)), rows)
    _, loose = walked(Budget(max(rates)), rows)
    assert len(strict) <= len(loose)


def test_the_loosest_budget_has_something_to_alarm_about() -> None:
    """Else the test above would be about nothing."""
    counts = [len(walked(Budget(LOOSEST_HZ), restless(seed, 4000))[1]) for seed in range(5)]
    assert sum(counts) >= 5


def test_normal_operation_makes_the_edge_surer_while_it_is_armed() -> None:
    rows = np.random.default_rng(3).standard_normal((20_000, 3)).astype(np.float32)
    monitor, _ = walked(Budget(1 / WEEK_S), rows)
    learned = monitor.baseline
    assert learned is not None
    before = Budget(1 / WEEK_S).aim(learned.learned.tail)
    after = monitor.aim
    assert before.expected is not None
    assert after.expected is not None
    assert after.tail is not None
    assert after.tail.seconds > 40 * 300
    assert after.expected.high / after.expected.low < before.expected.high / before.expected.low
    assert after.extrapolation < before.extrapolation / 40


def test_a_fault_is_not_learned_as_normal() -> None:
    rows = np.random.default_rng(4).standard_normal((6000, 3)).astype(np.float32)
    broken = rows.copy()
    broken[1000:] += 30
    healthy, _ = walked(Budget(1 / WEEK_S), rows)
    ill, raised = walked(Budget(1 / WEEK_S), broken)
    assert len(raised) == 1
    assert ill.alert.state == "active"
    assert ill.aim.tail is not None
    assert healthy.aim.tail is not None
    assert ill.aim.tail.seconds < 1300 < healthy.aim.tail.seconds
    assert ill.aim.tail.events <= healthy.aim.tail.events


@pytest.mark.parametrize("sigma", [0.8, 1.2])
def test_a_fault_that_stays_is_not_counted_as_normal_however_small(sigma: float) -> None:
    """It lies below all that is far from normal, so that only how long it lasts tells it."""
    rows = np.random.default_rng(4).standard_normal((20_000, 3)).astype(np.float32)
    rows[6000:] += sigma
    before, _ = walked(Budget(1 / HOUR_S), rows[:6000])
    after, raised = walked(Budget(1 / HOUR_S), rows)
    assert raised
    assert after.alert.raised
    assert before.aim.tail is not None
    assert after.aim.tail is not None
    assert 1.2 * 3600 < before.aim.tail.seconds <= after.aim.tail.seconds < 6200
    assert after.aim.edge == pytest.approx(before.aim.edge, rel=0.03)


def test_what_the_data_support_is_said() -> None:
    words = Budget(1 / WEEK_S).aim(TAIL).words()
    assert words.startswith("seen 6 h of normal; 1 per week is an extrapolation by 28x; expect ")
    low, high = words.removesuffix(" per week").rpartition("expect ")[2].split(" to ")
    assert float(low) < 1 < float(high)


def test_an_interval_is_one_that_a_person_can_use() -> None:
    """Not "2e-8 to 36 per week", nor "8 to 5e+03"."""
    for events, hours, rate in ((1.0, 0.2, 1 / WEEK_S), (3.0, 0.2, 1e-8), (40.0, 6.0, 1 / WEEK_S)):
        words = Budget(rate).aim(Tail(0.8, events, 0.1 * events, hours * HOUR_S, 0.16)).words()
        low, high, _ = words.rpartition("expect ")[2].replace(" to ", " ").split(" ", 2)
        assert "e" not in low + high
        assert low == "0" or float(low) >= 0.01


def test_who_asks_for_more_than_the_nearest_edge_gives_is_told_so() -> None:
    """A machine of one event in ten hours, and a budget of one an hour."""
    aim = Budget(1 / HOUR_S).aim(Tail(0.8, 100.0, 15.0, 1000 * HOUR_S, 0.16))
    assert aim.edge == 0.8
    words = "seen 42 d of normal; 1 per hour is more than comes at the nearest edge there is; expect 2 to 2.8 per day"
    assert aim.words() == words


def test_a_sensitivity_says_what_false_alarms_to_expect() -> None:
    aim = Budget(sensitivity="quiet").aim(TAIL)
    assert aim.edge == MARGIN["quiet"]
    assert aim.rate_hz is None
    assert "expect" in aim.words()
    assert "extrapolation" not in aim.words()


def test_with_nothing_asked_the_budget_grows_stricter_with_what_was_seen() -> None:
    little = Budget().aim(Tail(0.8, 4.0, 0.6, 600.0, 0.16))
    much = Budget().aim(Tail(0.8, 4000.0, 600.0, 600_000.0, 0.16))
    assert little.rate_hz == pytest.approx(1 / (30 * 600))
    assert much.rate_hz == 1 / WEEK_S


def test_an_alert_clears_where_it_was_told_to_and_else_where_every_budget_would() -> None:
    rows = np.random.default_rng(5).standard_normal((2000, 3)).astype(np.float32)
    rows[1000:1100] = 30
    one, _ = walked(Budget(1 / WEEK_S), rows[:1000])
    rows[1100:] = nearly_well(one, 0.8)
    told, _ = walked(Budget(1 / WEEK_S), rows, rule=Rule(3.0, 10.0, off_level=0.9, clear_level=0.9))
    plain, _ = walked(Budget(1 / WEEK_S), rows, rule=Rule(3.0, 10.0, off_level=0.9))
    assert told.level == plain.level == pytest.approx(0.8, abs=0.05)
    assert told.alert.state == "inactive"
    assert plain.alert.state == "clearing"
    assert plain.rule.clear_level < 0.7


def nearly_well(one: Monitor, level: float) -> Array:
    """A row `(3,)` to which a monitor gives such a level."""
    assert isinstance(one.head, Mahalanobis)
    at_a_thousand, _ = one.head.reach(np.array([1e3, 0.0, 0.0]))
    mean = one.head.weights["mean"][:, 0] + [1e3 * level / at_a_thousand, 0.0, 0.0]
    return np.asarray(mean, np.float32)


@pytest.mark.parametrize("rate", RATES)
def test_an_alert_clears_where_every_budget_would_clear_it(rate: float) -> None:
    assert Budget(rate).aim(TAIL).clear == Budget(LOOSEST_HZ).aim(TAIL).clear < Budget(rate).aim(TAIL).edge
