from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import inbox as inboxes
from agent.inbox import MOST_BYTES, MOST_READINGS, TAKE_BYTES, Inbox
from sensors.base import Reading


def reading(sensor: str, time: float, rows: int = 1) -> Reading:
    return Reading(sensor, time, 1.0, np.zeros((rows, 1), np.float32))


def times(readings: list[Reading], sensor: str = "a") -> list[float]:
    return [reading.time for reading in readings if reading.sensor == sensor]


def test_what_was_put_comes_out_once_and_in_order() -> None:
    inbox = Inbox()
    for time in range(5):
        assert inbox.put(reading("a", time))
        assert inbox.put(reading("b", 10 + time))
    taken = inbox.take(0.0)
    assert times(taken) == [0, 1, 2, 3, 4]
    assert times(taken, "b") == [10, 11, 12, 13, 14]
    assert inbox.take(0.0) == []


def test_a_full_lane_drops_its_oldest_and_counts_the_rows() -> None:
    inbox = Inbox()
    for time in range(MOST_READINGS + 3):
        inbox.put(reading("a", time, rows=2))
    assert inbox.dropped("a") == 6
    assert times(inbox.take(0.0))[0] == 3


def test_a_lane_is_bounded_in_bytes_too() -> None:
    inbox = Inbox()
    big = MOST_BYTES // 4 // 4  # rows of which four fill a lane
    for time in range(6):
        inbox.put(reading("a", time, rows=big))
    assert inbox.dropped("a") == 2 * big


def test_one_reading_larger_than_a_lane_still_passes() -> None:
    inbox = Inbox()
    inbox.put(reading("a", 1, rows=MOST_BYTES))
    assert times(inbox.take(0.0)) == [1]
    assert inbox.dropped("a") == 0


def test_a_flood_in_one_lane_drops_nothing_from_another() -> None:
    inbox = Inbox()
    inbox.put(reading("b", 7))
    for time in range(3 * MOST_READINGS):
        inbox.put(reading("a", time))
    assert inbox.dropped("b") == 0
    assert times(inbox.take(0.0), "b") == [7]


def test_one_take_is_small_so_that_the_pipeline_turns_often() -> None:
    inbox = Inbox()
    for time in range(20):
        inbox.put(reading("a", time, rows=TAKE_BYTES // 4 // 4))
    found = []
    while taken := inbox.take(0.0):
        assert len(taken) == 4
        found += times(taken)
    assert found == list(range(20))


def test_who_can_wait_waits_for_room_and_loses_nothing() -> None:
    inbox = Inbox()
    for time in range(MOST_READINGS):
        assert inbox.put(reading("a", time), wait_s=0.0)
    assert not inbox.put(reading("a", -1), wait_s=0.0)
    accepted: list[bool] = []
    waiter = threading.Thread(target=lambda: accepted.append(inbox.put(reading("a", -1), wait_s=10.0)))
    waiter.start()
    inbox.take(0.0)
    waiter.join(10.0)
    assert accepted == [True]
    assert inbox.dropped("a") == 0


def test_a_put_wakes_who_waits_for_readings() -> None:
    inbox = Inbox()
    found: list[Reading] = []
    taker = threading.Thread(target=lambda: found.extend(inbox.take(10.0)))
    taker.start()
    inbox.put(reading("a", 1))
    taker.join(5.0)
    assert times(found) == [1]


def test_who_waits_in_a_hurry_does_not_wait() -> None:
    inbox = Inbox()
    found: list[list[Reading]] = []
    taker = threading.Thread(target=lambda: found.append(inbox.take(60.0)))
    taker.start()
    inbox.hurry()
    taker.join(5.0)
    assert found == [[]]
    inbox.put(reading("a", 1))
    assert times(inbox.take(60.0)) == [1], "what is there is taken all the same"
    assert inbox.take(60.0) == []


def test_it_is_idle_only_when_what_was_taken_has_been_dealt_with() -> None:
    inbox = Inbox()
    idle = [inbox.idle]
    inbox.put(reading("a", 1))
    idle.append(inbox.idle)
    inbox.take(0.0)
    idle.append(inbox.idle)  # taken, and perhaps still being worked on
    inbox.take(0.0)
    idle.append(inbox.idle)
    assert idle == [True, False, False, True]


@given(st.lists(st.one_of(st.just(0), st.integers(1, 9)), max_size=60))
def test_rows_are_taken_waiting_or_counted_as_dropped(steps: list[int]) -> None:
    with pytest.MonkeyPatch.context() as small:
        small.setattr(inboxes, "MOST_READINGS", 4)
        small.setattr(inboxes, "MOST_BYTES", 64)
        small.setattr(inboxes, "TAKE_BYTES", 24)
        inbox = Inbox()
        put = taken = 0
        last = -1.0
        for i, rows in enumerate(steps):
            if rows:
                inbox.put(reading("a", i, rows))
                put += rows
                continue
            for found in inbox.take(0.0):
                assert found.time > last
                last = found.time
                taken += len(found.values)
        while found_now := inbox.take(0.0):
            taken += sum(len(found.values) for found in found_now)
        assert taken + inbox.dropped("a") == put


def test_what_nobody_will_take_any_more_is_counted_as_dropped() -> None:
    inbox = Inbox()
    inbox.put(reading("a", 0, rows=3))
    inbox.put(reading("b", 0, rows=2))
    assert inbox.abandon() == 5
    assert (inbox.dropped("a"), inbox.dropped("b")) == (3, 2)
    assert inbox.idle
    assert inbox.abandon() == 0


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_gathered_waits_until_so_much_is_there_and_comes_in_one_piece() -> None:
    inbox = Inbox(Hand())
    inbox.gather("a", 4.0)
    for time in range(3):
        inbox.put(reading("a", time))
        inbox.put(reading("b", 10 + time))
    assert {each.sensor for each in inbox.take(0.0)} == {"b"}
    inbox.put(reading("a", 3))
    (whole,) = inbox.take(0.0)
    assert (whole.time, len(whole.values)) == (0, 4)
    assert inbox.idle is False
    assert inbox.take(0.0) == []
    assert inbox.idle


def test_what_is_gathered_waits_no_longer_than_that() -> None:
    clock = Hand()
    inbox = Inbox(clock)
    inbox.gather("a", 4.0)
    inbox.put(reading("a", 0))
    assert inbox.take(0.0) == []
    assert inbox.overdue_s() == 0.0
    clock.now += 5.0
    assert inbox.overdue_s() == 1.0
    assert times(inbox.take(0.0)) == [0]


def test_a_sensor_at_its_end_is_not_waited_for() -> None:
    inbox = Inbox(Hand())
    inbox.gather("a", 60.0)
    inbox.put(reading("a", 0))
    inbox.end("a")
    assert times(inbox.take(0.0)) == [0]


def test_a_stop_waits_for_nothing() -> None:
    inbox = Inbox(Hand())
    inbox.gather("a", 60.0)
    inbox.put(reading("a", 0))
    inbox.hurry()
    assert times(inbox.take(0.0)) == [0]


def test_a_lane_with_as_much_as_is_taken_at_once_does_not_wait() -> None:
    inbox = Inbox(Hand())
    inbox.gather("a", 1e9)
    inbox.put(reading("a", 0, rows=TAKE_BYTES // 4))
    assert len(inbox.take(0.0)) == 1


def test_only_what_goes_on_is_joined() -> None:
    pieces = [reading("a", 0, 2), reading("a", 2, 3), reading("a", 6, 1), reading("a", 7, 1)]
    other_rate = Reading("a", 8.0, 2.0, np.zeros((1, 1), np.float32))
    assert [(each.time, len(each.values)) for each in inboxes.joined([*pieces, other_rate])] == [
        (0, 5),
        (6, 2),
        (8, 1),
    ]
