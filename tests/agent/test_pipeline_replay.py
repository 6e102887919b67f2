"""The same input gives the same events, bit for bit, however it comes and whoever else listens."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts import Event, Rule
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from models.level import Level
from models.mahalanobis import Mahalanobis
from sensors.base import Reading
from tests.agent.machines import START, Array, healthy, heard, kinds, level, monitor, pieces, reading

ROWS = 900


def rig() -> Array:
    """A pump with everything that may happen to it."""
    rows = healthy(ROWS, 4)
    rows[150:152, 0] = 9e5  # abnormal while learning
    rows[90, 1] = np.nan
    rows[330:360, 1] += 20
    rows[400:415] = np.nan  # a gap
    rows[460:470, 3] = np.nan  # a hole
    rows[500:520, 2] += 3
    rows[521, 0] = np.inf
    rows[600:603, 3] += 90
    rows[700:, 0] -= 2000
    return rows


def mill() -> Array:
    """Another machine, of one channel."""
    rows = healthy(ROWS, 2, seed=5)[:, 1:]
    rows[480:500] += 4
    rows[720] = np.nan
    rows[730:] += 2
    return rows


def everyone(number: str = "") -> list[Monitor]:
    """Monitors of all shapes on two sensors, their names followed by `number`."""
    quick = Rule(on_delay_s=0, off_delay_s=2, flood_per_hour=3)
    return [
        monitor(f"all{number}", width=4),
        monitor(f"two{number}", columns=[2, 0], rule=quick),
        monitor(f"unsmoothed{number}", columns=[1, 3], rule=quick, head=Mahalanobis(2, smooth=1)),
        monitor(f"every third{number}", columns=[3, 1], rule=quick, head=Mahalanobis(2, smooth=6, every=3)),
        level(f"slow{number}", columns=[1]),
        level(f"slow two{number}", columns=[0, 3]),
        monitor(f"mill{number}", "mill", width=1, rule=quick),
        monitor(f"slow mill{number}", "mill", width=1, rule=quick, head=Level(1), learn_rows=250),
    ]


def interleaved(cuts: list[int]) -> list[list[Reading]]:
    """Pushes of both machines, cut at the same rows."""
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < ROWS}), ROWS]
    machines = (("rig", rig()), ("mill", mill()))
    return [[reading(rows[a:b], a, sensor) for sensor, rows in machines] for a, b in pairwise(edges)]


def said(monitors: list[Monitor], pushes: list[list[Reading]]) -> list[Event]:
    pipeline = Pipeline(monitors)
    return [event for readings in pushes for event in pipeline.push(readings)]


@pytest.fixture(scope="module")
def expected() -> list[Event]:
    return said(everyone(), interleaved([]))


def test_everyone_has_something_to_say(expected: list[Event]) -> None:
    assert {event.monitor for event in expected} == {one.name for one in everyone()}
    assert {"raised", "cleared"} <= set(kinds(expected))


def test_events_come_in_the_order_of_time_and_are_numbered(expected: list[Event]) -> None:
    times = [event.time for event in expected]
    assert times == sorted(times)
    for one in everyone():
        numbers = [event.seq for event in expected if event.monitor == one.name]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_same_stream_twice_says_the_same(expected: list[Event]) -> None:
    assert said(everyone(), interleaved([])) == expected


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, ROWS - 1), max_size=30))
def test_any_way_of_cutting_says_the_same(expected: list[Event], cuts: list[int]) -> None:
    assert said(everyone(), interleaved(cuts)) == expected


@pytest.mark.parametrize("size", [1, 2, 7, 16, 17, 100])
def test_pieces_of_any_size_say_the_same(expected: list[Event], size: int) -> None:
    assert said(everyone(), interleaved(list(range(size, ROWS, size)))) == expected


@pytest.mark.parametrize("index", range(8))
def test_one_alone_says_what_it_says_among_others(expected: list[Event], index: int) -> None:
    alone = everyone()[index]
    events = said([alone], interleaved(list(range(10, ROWS, 10))))
    assert events == [event for event in expected if event.monitor == alone.name]


@pytest.mark.parametrize("copies", [2, 32])
@pytest.mark.parametrize("index", [0, 1, 4, 5])
def test_many_that_share_a_graph_say_each_what_one_says(
    expected: list[Event], index: int, copies: int
) -> None:
    """Some of them learn longer than others, so that not all are due."""
    pattern = everyone()[index].name
    crowd = [everyone(f" {i}")[index] for i in range(copies)]
    crowd += [monitor(f"late {i}", columns=[i % 4, (i + 1) % 4], learn_rows=210 + 31 * i) for i in range(4)]
    crowd += [level(f"late level {i}", columns=[i % 4], learn_rows=230 + 17 * i) for i in range(4)]
    events = said(crowd, interleaved(list(range(23, ROWS, 23))))
    model = [(e.kind, e.time, e.seq, e.alert, e.level, e.moved) for e in expected if e.monitor == pattern]
    for i in range(copies):
        mine = [e for e in events if e.monitor == f"{pattern} {i}"]
        assert [(e.kind, e.time, e.seq, e.alert, e.level, e.moved) for e in mine] == model


def test_sensors_may_come_in_any_order_and_at_their_own_pace(expected: list[Event]) -> None:
    pipeline = Pipeline(everyone())
    events = heard(pipeline, pieces(mill(), [100, 350], sensor="mill"))
    events += heard(pipeline, pieces(rig(), list(range(31, ROWS, 31))))
    for one in everyone():
        mine = [event for event in events if event.monitor == one.name]
        assert mine == [event for event in expected if event.monitor == one.name]


def test_several_readings_of_one_sensor_in_one_push_say_the_same(expected: list[Event]) -> None:
    readings = [*pieces(rig(), range(9, ROWS, 9)), *pieces(mill(), range(50, ROWS, 50), sensor="mill")]
    assert Pipeline(everyone()).push(readings) == expected


def test_events_of_one_monitor_keep_their_order_though_time_ran_backwards() -> None:
    one = monitor(rule=Rule(on_delay_s=0, off_delay_s=0), head=Mahalanobis(3, smooth=1))
    pipeline = Pipeline([one])
    pipeline.push([reading(healthy(200))])
    early, late = healthy(40, seed=1), healthy(40, seed=2)
    early[20:30] += 5000
    late[20:30] += 5000
    events = pipeline.push([reading(late, 5000), reading(early, 1000)])
    assert len(events) >= 4
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[0].time > START + 5000 > events[-1].time
