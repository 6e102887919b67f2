"""The newest value of each channel at each tick."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.latest import MOST_WAITING, Latest

FOREVER = math.inf


def test_the_newest_value_at_the_time_asked_for_counts() -> None:
    latest = Latest([FOREVER, FOREVER], first_tick=0.0, period_s=1.0)
    assert all(map(math.isnan, latest.at(1.0)))
    latest.push(0, 1.5, 7.0)
    latest.push(0, 2.5, 8.0)
    assert latest.at(2.0)[0] == 7.0
    assert latest.at(3.0)[0] == 8.0
    assert latest.at(9.0)[0] == 8.0
    assert math.isnan(latest.at(9.0)[1])


def test_a_value_that_is_too_old_is_missing_and_counted_at_each_tick() -> None:
    counts: dict[str, int] = {}
    latest = Latest([2.0], 0.0, 1.0, counts)
    latest.push(0, 0.5, 7.0)
    assert latest.at(2.0) == [7.0]
    assert latest.old == set()
    assert math.isnan(latest.at(3.0)[0])
    assert math.isnan(latest.at(4.0)[0])
    assert latest.old == {0}
    assert counts == {"stale": 2}
    latest.push(0, 4.5, 8.0)
    assert latest.at(5.0) == [8.0]
    assert latest.old == set()


def test_a_value_that_is_withdrawn_is_missing_at_once_and_not_stale() -> None:
    counts: dict[str, int] = {}
    latest = Latest([2.0], 0.0, 1.0, counts)
    latest.push(0, 0.5, 7.0)
    latest.push(0, 1.5, math.nan)
    assert latest.at(1.0) == [7.0]
    assert math.isnan(latest.at(2.0)[0])
    assert math.isnan(latest.at(9.0)[0])
    assert counts == {}


def test_what_comes_later_is_never_older_whatever_its_time_says() -> None:
    latest = Latest([FOREVER], 0.0, 1.0)
    latest.push(0, 5.0, 1.0)
    latest.push(0, 3.0, 2.0)  # a source that set its clock back
    assert latest.at(5.0) == [2.0]


def test_a_flood_before_a_tick_is_bounded_and_counted() -> None:
    counts: dict[str, int] = {}
    latest = Latest([FOREVER], 0.0, 1.0, counts)
    for i in range(3 * MOST_WAITING):
        latest.push(0, i / 3, float(i))
    assert counts["superseded"] == 3 * MOST_WAITING - MOST_WAITING
    assert latest.at(0.0) == [0.0]
    assert latest.at(MOST_WAITING) == [3.0 * MOST_WAITING - 1]


@given(
    st.lists(st.floats(0.0, 30.0), max_size=60),
    st.sampled_from([0.3, 1.0, 7.0]),
    st.floats(-5.0, 0.0),
)
def test_every_value_is_given_or_counted(times: list[float], period_s: float, first_tick: float) -> None:
    counts: dict[str, int] = {}
    latest = Latest([FOREVER], first_tick, period_s, counts)
    waiting = sorted(times)
    given_out: set[float] = set()
    tick = first_tick
    while tick < 40.0:
        while waiting and waiting[0] <= tick + period_s / 2:  # some come before their tick
            latest.push(0, waiting.pop(0), float(len(waiting)))
        value = latest.at(tick)[0]
        known = [i for i, time in enumerate(sorted(times, reverse=True)) if time <= tick]
        assert value == known[0] if known else math.isnan(value)
        given_out |= {value} - {math.nan} if not math.isnan(value) else set()
        tick += period_s
    assert len(given_out) + counts.get("superseded", 0) == len(times)


def test_a_channel_counts_for_itself() -> None:
    latest = Latest([1.0, 10.0], 0.0, 1.0)
    latest.push(0, 0.0, 1.0)
    latest.push(1, 0.0, 2.0)
    assert latest.at(5.0)[1] == 2.0
    assert latest.old == {0}
    assert latest.at(5.0) == pytest.approx([math.nan, 2.0], nan_ok=True)
