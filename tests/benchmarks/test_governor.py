"""The governor's benchmark: the board's physics, the day's streams, and the scoring of what was heard."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks import governor
from benchmarks.governed_agent import Agent, Halved, Heard, Policy, _found
from benchmarks.governed_board import BATTERY_WH, BROWN_OUT, SCRIPTS, TAU_S, THROTTLED, Script, SimulatedBoard
from benchmarks.governed_streams import (
    BANDS_HZ,
    BLOCK_S,
    MOTOR_HZ,
    START,
    Anomaly,
    Remembered,
    Stream,
    hide,
    motors,
)
from models.features import Feature
from models.window import Array, Windows

QUIET = Script("quiet", "nothing happens", others=lambda hour: 0.0)


def test_a_board_warms_with_one_time_constant_towards_what_its_power_makes_of_the_room() -> None:
    board = SimulatedBoard(QUIET)
    before_c = board.heat_c
    for _ in range(600):
        board.pass_by(0.5, 1.0)
    gained_c = QUIET.rise_c * board.board.core_w * 1.0
    assert board.heat_c - before_c == pytest.approx(gained_c * (1 - math.exp(-300 / TAU_S)), rel=1e-6)
    assert before_c == pytest.approx(21.0 + QUIET.rise_c * board.board.idle_w)


def test_it_throttles_when_hot_until_it_is_cooler() -> None:
    board = SimulatedBoard(replace(QUIET, room_c=lambda hour: 60.0 if hour < 1 else 40.0))
    board.pass_by(1.0, 0.0)
    assert board.speed == THROTTLED
    board.time, seen = 3600.0, []
    for _ in range(600):
        board.pass_by(1.0, 0.0)
        seen.append((board.heat_c, board.speed))
    assert all(speed == THROTTLED for heat_c, speed in seen if heat_c > 75.5)
    assert seen[-1][1] == 1.0


def test_a_weak_supply_takes_the_clock_down_with_it() -> None:
    board = SimulatedBoard(replace(QUIET, supply_w=lambda hour: 3.0))
    board.pass_by(1.0, 0.05)
    assert board.speed == 1.0
    board.pass_by(1.0, 0.5)
    assert board.speed == BROWN_OUT
    assert board.under_voltage


def test_a_battery_empties_by_what_the_board_draws() -> None:
    board = SimulatedBoard(replace(QUIET, battery=True))
    board.pass_by(3600.0, 0.0)
    assert board.left_wh == pytest.approx(BATTERY_WH - board.board.idle_w)
    board.pass_by(20 * 3600.0, 0.0)
    assert board.left_wh == 0.0
    assert board.empty_at is not None


@cache
def streams() -> tuple[Stream, ...]:
    return tuple(motors(0.4, 2))


def test_a_motor_repeats_itself_from_where_it_begins() -> None:
    stream = replace(streams()[0], ahead_s=500.0)
    readings = [reading for _, reading in stream.due(0.5)]
    assert len(readings) == 0.5 * 3600 / BLOCK_S
    assert readings[0].time == pytest.approx(START)
    np.testing.assert_array_equal(readings[0].values, stream.readings[5000][1])
    assert np.diff([reading.time for reading in readings]) == pytest.approx(BLOCK_S, abs=1e-6)
    again = round((stream.repeats_s - 500.0) / BLOCK_S)
    np.testing.assert_array_equal(readings[again].values, stream.readings[0][1])


def test_what_happens_moves_with_where_it_begins() -> None:
    stream = replace(streams()[0], ahead_s=500.0)
    for anomaly in stream.happening(1.0):
        since = (anomaly.start + 500.0) % stream.repeats_s
        assert any(since == pytest.approx(each.start) for each in stream.anomalies)


class Counted:
    """Features that count how often they are made."""

    columns = (Feature("x", "x", "1"),)
    made = 0

    def extract(self, windows: Windows) -> Array:
        self.made += len(windows.times)
        rows: Array = windows.stacked().mean(axis=1)
        return rows


def windows(*since: float) -> Windows:
    count = len(since)
    rows = np.arange(count * 8, dtype=np.float32)[:, None]
    return Windows([START + at for at in since], rows, 8, 8, False)


def test_remembered_features_are_made_once_and_charged_each_time() -> None:
    counted = Counted()
    memory = Remembered(counted, repeats_s=100.0)
    first = memory.extract(windows(10.0, 20.0))
    owed_s, memory.owed_s = memory.owed_s, 0.0
    np.testing.assert_array_equal(memory.extract(windows(110.0, 120.0)), first)
    assert counted.made == 2
    assert memory.owed_s == pytest.approx(owed_s)


def test_the_naive_rule_looks_at_every_so_manieth_window() -> None:
    halved = Halved(Counted())
    halved.every = 4
    seen = [each for _ in range(3) for each in halved.hear(windows(*range(6)))]
    assert halved.looks.extracted == 5
    assert [time - START for each in seen for time in each.times] == [0, 4, 2, 0, 4]


@pytest.mark.parametrize(
    ("raised", "cleared", "found"),
    [
        ([], [], (False, None)),
        ([(99.0, 100.5)], [], (True, 0.5)),
        ([(40.0, 50.0)], [], (True, None)),  # it stood already
        ([(40.0, 50.0)], [90.0], (False, None)),
        ([(150.0, 239.0)], [], (True, 139.0)),  # told within what is allowed after the end
        ([(150.0, 241.0)], [], (False, None)),
    ],
)
def test_an_anomaly_is_heard_while_an_alert_stands(
    raised: list[tuple[float, float]], cleared: list[float], found: tuple[bool, float | None]
) -> None:
    assert _found(Anomaly(100.0, 180.0, "it"), Heard(raised, cleared), 60.0) == found


@cache
def day(policy: Policy) -> dict[str, object]:
    memories, costs = governor.remember(streams())
    script = replace(SCRIPTS[0], hours=0.4)
    return Agent(policy, script, streams(), memories, costs).run()


def test_a_governed_day_hears_as_much_for_less_and_no_later_than_allowed() -> None:
    fixed, governed = day("fixed"), day("governed")
    assert fixed["anomalies"] == governed["anomalies"]
    assert isinstance(governed["cpu_s"], float)
    assert isinstance(fixed["cpu_s"], float)
    assert governed["cpu_s"] < 0.85 * fixed["cpu_s"]  # in the first hour it looks at all that may be
    assert governed["max_delay_broken"] == 0
    assert governed["recall"] >= fixed["recall"] - 0.1  # type: ignore[operator]


def test_the_naive_rule_is_fixed_while_it_is_cool() -> None:
    assert day("naive")["heard"] == day("fixed")["heard"]


def test_the_figures_have_what_was_asked_for() -> None:
    script = replace(SCRIPTS[0], hours=0.4)
    cool: dict[str, dict[str, Any]] = {policy: day(policy) for policy in governor.POLICIES}
    found = governor.summary(script, cool)
    whole = governor.together([found], {"cool": cool})
    asked = "cpu_ratio energy_ratio recall_fixed recall_naive recall_governed max_delay_broken over_cpu_share"
    for key in f"{asked} over_power_share over_temperature_c changes_per_hour".split():
        assert key in found
        assert key in whole
    result = {"scripts": [found], "all": whole, "cost": governor.own_cost(), "missing": [], "monitors": 4}
    shares = dict.fromkeys(("sentinel", "lite", "sentinel_hidden", "lite_hidden"), 1.0)
    assert "| cool |" in governor.table({**result, "hears": shares})


def test_a_hidden_fault_moves_power_between_bands_and_leaves_rms_and_slope_as_they_were() -> None:
    values = np.random.default_rng(0).standard_normal((int(20 * MOTOR_HZ), 2)).astype(np.float32)
    hidden = hide(values, 1.0)
    np.testing.assert_allclose(hidden.std(axis=0), values.std(axis=0), rtol=2e-3)
    np.testing.assert_allclose(
        np.diff(hidden, axis=0).std(axis=0), np.diff(values, axis=0).std(axis=0), rtol=2e-3
    )
    hz = np.fft.rfftfreq(len(values), 1 / MOTOR_HZ)
    power = [np.abs(np.fft.rfft(each[:, 0])) ** 2 for each in (values, hidden)]
    bands = [(hz >= low) & (hz < high) for low, high in BANDS_HZ]
    ratios = [power[1][band].sum() / power[0][band].sum() for band in bands]
    assert ratios[1] > 1.5
    assert min(ratios[0], ratios[2]) < 0.5
