"""The life of an alert, told and then tried with every sequence that hypothesis can think of."""

from __future__ import annotations

import math
import timeit
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts import HOUR_S, Alert, Happening, Moved, Rule, advance, happened, interrupted

RULE = Rule(on_delay_s=10.0, off_delay_s=30.0)


@dataclass(frozen=True)
class Step:
    now: float
    level: float
    before: Alert
    after: Alert
    what: Happening | None


def walk(rule: Rule, *points: tuple[float, float], alert: Alert | None = None) -> list[Step]:
    """The alert's life through (time, level) points."""
    alert = alert or Alert()
    steps = []
    for now, level in points:
        after = advance(alert, rule, level, now)
        steps.append(Step(now, level, alert, after, happened(alert, after)))
        alert = after
    return steps


def heard(steps: list[Step]) -> list[tuple[float, Happening]]:
    return [(step.now, step.what) for step in steps if step.what is not None]


def test_a_high_level_raises_once_it_has_lasted_for_the_on_delay() -> None:
    steps = walk(RULE, (0, 0.5), (1, 1.2), (5, 1.3), (10.9, 1.2), (11, 1.1), (12, 1.1))
    assert heard(steps) == [(11, "raised")]
    assert steps[-1].after.since == 11
    assert steps[-1].after.raised_at == 11


def test_a_dip_below_the_on_level_starts_the_delay_afresh() -> None:
    assert heard(walk(RULE, (0, 1.2), (9, 0.95), (10, 1.2), (19, 1.2), (20, 1.2))) == [(20, "raised")]


def test_an_alert_clears_once_it_has_been_low_for_the_off_delay() -> None:
    steps = walk(RULE, (0, 1.5), (10, 1.5), (20, 0.5), (49.9, 0.5), (50, 0.5))
    assert heard(steps) == [(10, "raised"), (50, "cleared")]
    end = steps[-1].after
    assert (end.state, end.raised_at, end.duration_s, end.peak) == ("inactive", 10, 40, 1.5)


def test_between_the_two_levels_an_alert_goes_on_and_none_begins() -> None:
    assert heard(walk(RULE, *((t, 0.95) for t in range(0, 1000, 10)))) == []
    raised = walk(RULE, (0, 1.5), (10, 1.5))[-1].after
    steps = walk(RULE, *((t, 0.95) for t in range(20, 1000, 10)), alert=raised)
    assert heard(steps) == []
    assert steps[-1].after is raised


def test_with_no_delays_one_level_raises_and_one_clears() -> None:
    assert heard(walk(Rule(on_delay_s=0, off_delay_s=0), (0, 1.0), (1, 0.89))) == [
        (0, "raised"),
        (1, "cleared"),
    ]


def test_rows_five_minutes_apart_need_two_in_a_row_unless_the_delay_is_zero() -> None:
    assert heard(walk(RULE, (0, 0.5), (300, 3.0), (600, 0.5))) == []
    assert heard(walk(RULE, (0, 0.5), (300, 3.0), (600, 3.0))) == [(600, "raised")]
    assert heard(walk(replace(RULE, on_delay_s=0), (0, 0.5), (300, 3.0))) == [(300, "raised")]


def test_severity_rises_with_the_level_is_told_and_never_falls() -> None:
    steps = walk(RULE, (0, 1.5), (10, 1.5), (11, 2.0), (12, 1.2), (13, 5.0))
    assert heard(steps) == [(10, "raised"), (11, "updated")]
    assert steps[-1].after.severity == "critical"
    assert steps[-1].after.peak == 5.0


def test_an_alert_that_begins_high_is_critical_from_the_start() -> None:
    steps = walk(RULE, (0, 2.5), (10, 2.5), (11, 9.0))
    assert heard(steps) == [(10, "raised")]
    assert steps[1].after.severity == "critical"


def test_severity_may_rise_while_the_alert_is_coming_back_from_clearing() -> None:
    steps = walk(RULE, (0, 1.5), (10, 1.5), (11, 0.1), (12, 3.0))
    assert heard(steps) == [(10, "raised"), (12, "updated")]
    assert steps[-1].after.state == "active"


@pytest.mark.parametrize("state", ["inactive", "pending", "active", "clearing"])
def test_a_level_that_is_not_a_number_changes_nothing(state: str) -> None:
    lives = walk(RULE, (0, 0.5), (1, 1.5), (11, 1.5), (12, 0.5))
    alert = next(step.after for step in lives if step.after.state == state)
    assert advance(alert, RULE, math.nan, 1e9) is alert


def test_an_infinite_level_is_simply_high() -> None:
    steps = walk(RULE, (0, math.inf), (10, math.inf))
    assert heard(steps) == [(10, "raised")]
    assert steps[-1].after.severity == "critical"


def test_within_the_hold_only_twice_the_level_raises_again() -> None:
    rule = Rule(on_delay_s=0, off_delay_s=0, hold_s=100.0)
    steps = walk(rule, (0, 1.5), (1, 0.1), (50, 2.9), (51, 0.1), (60, 3.0))
    assert heard(steps) == [(0, "raised"), (1, "cleared"), (60, "raised")]


def test_a_level_that_outlasts_the_hold_raises_when_it_ends() -> None:
    rule = Rule(on_delay_s=0, off_delay_s=0, hold_s=100.0)
    steps = walk(rule, (0, 1.5), (1, 0.1), (50, 1.5), (99, 1.5), (100, 1.5))
    assert heard(steps) == [(0, "raised"), (1, "cleared"), (100, "raised")]
    assert steps[3].after.withheld == "hold"


def test_a_flood_is_said_once_counted_and_told_with_the_next_alert() -> None:
    rule = Rule(on_delay_s=0, off_delay_s=0, flood_per_hour=2)
    points = [(float(t), 1.5 if t % 2 == 0 else 0.1) for t in range(20)]
    steps = walk(rule, *points, (HOUR_S + 1, 1.5), (HOUR_S + 2, 0.1))
    assert heard(steps) == [
        (0, "raised"),
        (1, "cleared"),
        (2, "raised"),
        (3, "cleared"),
        (4, "flooded"),
        (HOUR_S + 1, "raised"),
        (HOUR_S + 2, "cleared"),
    ]
    assert steps[-2].after.suppressed == 8
    assert steps[-1].after.suppressed == 0


def test_without_a_flood_limit_every_raise_is_raised_and_none_is_remembered() -> None:
    rule = Rule(on_delay_s=0, off_delay_s=0, flood_per_hour=0)
    steps = walk(rule, *[(float(t), 1.5 if t % 2 == 0 else 0.1) for t in range(200)])
    assert len(heard(steps)) == 200
    assert steps[-1].after.raises == ()


def test_a_clock_that_is_set_back_only_starts_a_delay_afresh() -> None:
    assert heard(walk(RULE, (1000, 1.5), (500, 1.5), (505, 1.5), (510, 1.5))) == [(510, "raised")]
    raised = walk(RULE, (1000, 1.5), (1010, 1.5))[-1].after
    assert heard(walk(RULE, (1020, 0.1), (500, 0.1), (529, 0.1), (530, 0.1), alert=raised)) == [
        (530, "cleared")
    ]


def test_an_alert_that_clears_before_it_was_raised_lasted_no_time() -> None:
    steps = walk(Rule(on_delay_s=0, off_delay_s=0), (1000, 1.5), (400, 0.1))
    assert heard(steps) == [(1000, "raised"), (400, "cleared")]
    assert steps[-1].after.duration_s == 0.0


def test_a_clock_that_is_set_back_neither_lifts_the_flood_limit_nor_keeps_it_for_ever() -> None:
    rule = Rule(on_delay_s=0, off_delay_s=0, flood_per_hour=3)
    now = 1e9
    alert = walk(rule, *((now + t, 1.5 if t % 2 == 0 else 0.1) for t in range(6)))[-1].after
    back = now - 86_400.0
    points = [(back + t, 1.5 if t % 20 == 0 else 0.1) for t in range(0, 4000, 10)]
    said = heard(walk(rule, *points, alert=alert))
    assert said[0] == (back, "flooded")
    assert [what for _, what in said[1:3]] == ["raised", "cleared"]
    assert said[1][0] == back + HOUR_S


def test_two_high_levels_with_an_interruption_between_them_have_not_been_high_all_along() -> None:
    pending = walk(RULE, (0, 1.5))[-1].after
    assert pending.state == "pending"
    resumed = interrupted(pending)
    assert resumed.state == "inactive"
    assert happened(pending, resumed) is None
    assert heard(walk(RULE, (10_800, 1.5), (10_809, 1.5), (10_810, 1.5), alert=resumed)) == [
        (10_810, "raised")
    ]


@pytest.mark.parametrize("points", [[], [(0, 1.5), (10, 1.5)], [(0, 1.5), (10, 1.5), (11, 0.1)]])
def test_an_interruption_changes_nothing_but_what_is_pending(points: list[tuple[float, float]]) -> None:
    alert = walk(RULE, *points)[-1].after if points else Alert()
    assert interrupted(alert) is alert


def test_the_sign_of_sigma_is_the_direction() -> None:
    assert Moved("a", "a", -3.0, None, None, "1").direction == "down"
    assert Moved("a", "a", 3.0, None, None, "1").direction == "up"


def test_a_quiet_monitor_costs_next_to_nothing() -> None:
    alert = Alert()
    best = min(timeit.repeat(lambda: advance(alert, RULE, 0.4, 1.0), number=10_000, repeat=7)) / 10_000
    assert best < 2e-6  # measured 0.1 us; wide, because the test must not fail on a busy machine
    assert advance(alert, RULE, 0.4, 1.0) is alert


LEVELS = st.one_of(
    st.sampled_from([0.0, 0.5, 0.9, 0.95, 1.0, 1.2, 1.9, 2.0, 4.0, math.nan, math.inf]),
    st.floats(min_value=0.0, max_value=10.0),
)
GAPS = st.one_of(st.sampled_from([0.0, 0.1, 1.0, 5.0, 10.0, 30.0, 300.0, 3600.0]), st.floats(0.0, 1e5))
RULES = st.builds(
    Rule,
    on_delay_s=st.sampled_from([0.0, 1.0, 10.0, 60.0]),
    off_delay_s=st.sampled_from([0.0, 1.0, 30.0]),
    on_level=st.just(1.0),
    off_level=st.sampled_from([0.5, 0.9, 1.0]),
    hold_s=st.sampled_from([0.0, 100.0, 5000.0]),
    critical_level=st.sampled_from([1.0, 2.0, 3.0]),
    flood_per_hour=st.sampled_from([0, 1, 2, 12]),
)
LIVES = st.lists(st.tuples(GAPS, LEVELS), max_size=80)


def live(rule: Rule, life: list[tuple[float, float]]) -> list[Step]:
    now, points = 1.7e9, []
    for gap, level in life:
        now += gap
        points.append((now, level))
    return walk(rule, *points)


@given(RULES, LIVES)
def test_raised_and_cleared_take_turns_and_updates_lie_between(
    rule: Rule, life: list[tuple[float, float]]
) -> None:
    open_ = False
    for step in live(rule, life):
        if step.what == "raised":
            assert not open_
            open_ = True
        elif step.what == "cleared":
            assert open_
            open_ = False
        elif step.what == "updated":
            assert open_
        assert step.after.raised == open_


@given(RULES, LIVES)
def test_nothing_is_raised_before_the_level_was_high_for_the_whole_on_delay(
    rule: Rule, life: list[tuple[float, float]]
) -> None:
    high_since: float | None = None
    for step in live(rule, life):
        if step.level < rule.on_level:
            high_since = None
        elif not math.isnan(step.level) and high_since is None:
            high_since = step.now
        if step.what == "raised":
            assert step.level >= rule.on_level
            assert high_since is not None
            assert step.now - high_since >= rule.on_delay_s


@given(RULES, LIVES)
def test_nothing_is_cleared_before_the_level_was_low_for_the_whole_off_delay(
    rule: Rule, life: list[tuple[float, float]]
) -> None:
    low_since: float | None = None
    for step in live(rule, life):
        if step.level >= rule.off_level:
            low_since = None
        elif not math.isnan(step.level) and low_since is None:
            low_since = step.now
        if step.what == "cleared":
            assert step.level < rule.off_level
            assert low_since is not None
            assert step.now - low_since >= rule.off_delay_s


@given(RULES, LIVES)
def test_no_hour_has_more_raises_than_the_flood_limit(rule: Rule, life: list[tuple[float, float]]) -> None:
    raised = [step.now for step in live(rule, life) if step.what == "raised"]
    for index, time in enumerate(raised):
        within = sum(time <= other < time + HOUR_S for other in raised[index:])
        assert rule.flood_per_hour == 0 or within <= rule.flood_per_hour


@given(RULES, LIVES)
def test_within_the_hold_only_a_doubled_level_raises(rule: Rule, life: list[tuple[float, float]]) -> None:
    last: Step | None = None
    for step in live(rule, life):
        if step.what == "raised":
            if last is not None and step.now - last.now < rule.hold_s:
                assert step.level >= 2 * last.level
            last = step


@given(RULES, LIVES)
def test_an_alert_stays_small_and_its_figures_stay_in_order(
    rule: Rule, life: list[tuple[float, float]]
) -> None:
    for step in live(rule, life):
        after = step.after
        assert len(after.raises) <= rule.flood_per_hour
        assert after.since <= step.now
        assert after.raised_at <= step.now
        if math.isnan(step.level):
            assert after is step.before
        if after.raised:
            assert after.peak >= after.raised_level >= rule.on_level
            assert math.isnan(step.level) or after.peak >= step.level
            assert (after.severity == "critical") == (after.peak >= rule.critical_level)


@given(RULES, LIVES, st.data())
def test_a_life_resumed_from_the_middle_is_the_same_life(
    rule: Rule, life: list[tuple[float, float]], data: st.DataObject
) -> None:
    steps = live(rule, life)
    at = data.draw(st.integers(0, len(steps)))
    resumed = walk(
        rule,
        *((step.now, step.level) for step in steps[at:]),
        alert=steps[at - 1].after if at else Alert(),
    )
    assert resumed == steps[at:] or any(math.isnan(step.level) for step in steps[at:])


@given(RULES, st.lists(st.tuples(st.floats(-1e5, 1e5), LEVELS, st.booleans()), max_size=80))
def test_whatever_the_clock_does_an_alert_stays_within_its_limits(
    rule: Rule, life: list[tuple[float, float, bool]]
) -> None:
    now, alert = 1.7e9, Alert()
    open_ = False
    for gap, level, interruption in life:
        now += gap
        if interruption:
            resumed = interrupted(alert)
            assert happened(alert, resumed) is None
            alert = resumed
        after = advance(alert, rule, level, now)
        what = happened(alert, after)
        if what in ("raised", "cleared"):
            assert open_ == (what == "cleared")
            open_ = not open_
        assert after.duration_s >= 0.0
        assert len(after.raises) <= rule.flood_per_hour
        if what == "raised" and rule.flood_per_hour:
            assert max(after.raises) == now
        alert = after
