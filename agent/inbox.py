"""Readings on their way from the readers to the pipeline: bounded per sensor, the oldest dropped and counted, gathered
for as long as a plan says."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from models.window import SAME_TIME_S
from sensors.base import Reading

MOST_READINGS = 1024  # per sensor: 4 s of 4 ms blocks, a quarter of an hour of samples at 1 Hz
MOST_BYTES = 4 * 2**20  # per sensor: 100 s of three axes at 3.2 kHz
LOST_S = 60.0  # to be behind by, where rows were dropped
TAKE_BYTES = (
    256 * 1024
)  # per sensor and take, so that a turn of the pipeline stays short also on a small board


@dataclass(slots=True)
class _Lane:
    readings: deque[Reading] = field(default_factory=deque)
    bytes: int = 0
    dropped: int = 0  # rows
    gather_s: float = 0.0  # readings wait until so much of the stream is there, or for so long
    span_s: float = 0.0  # of the stream that waits
    arrived: deque[float] = field(default_factory=deque)  # when each of them came
    ended: bool = False  # no more will come
    waited_s: float = 0.0  # the longest that a sample of them has
    full_at: float | None = None  # when it held so much that no more is waited for
    lost: bool = False  # something was dropped since that was last asked

    def ripe(self, now: float) -> bool:
        """What waits is to be taken."""
        if not self.readings:
            return False
        return self.ended or self.full_at is not None or now - self.arrived[0] >= self.gather_s

    def overdue_s(self, now: float) -> float:
        """For how long what waits should have been taken."""
        if not self.readings:
            return 0.0
        due = self.arrived[0] + self.gather_s
        return max(0.0, now - (due if self.full_at is None else min(due, self.full_at)))

    @property
    def enough(self) -> bool:
        """It holds so much that no more is waited for."""
        many = self.bytes >= TAKE_BYTES or len(self.readings) >= MOST_READINGS // 2
        return many or self.span_s >= self.gather_s

    def push(self, reading: Reading, now: float) -> None:
        self.readings.append(reading)
        self.arrived.append(now)
        self.bytes += reading.values.nbytes
        self.span_s += len(reading.values) / reading.rate_hz
        if self.full_at is None and self.enough:
            self.full_at = now

    def full(self, reading: Reading) -> bool:
        """No room for one more. An empty lane has room for anything."""
        return bool(self.readings) and (
            len(self.readings) >= MOST_READINGS or self.bytes + reading.values.nbytes > MOST_BYTES
        )

    def pop(self) -> Reading:
        reading = self.readings.popleft()
        self.arrived.popleft()
        self.bytes -= reading.values.nbytes
        self.span_s = max(0.0, self.span_s - len(reading.values) / reading.rate_hz) if self.readings else 0.0
        return reading


class Inbox:
    """One lane per sensor, so that a flood in one drops nothing from another. Many put, one takes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._taken = False  # the latest take gave readings, and its taker has not come back for more
        self._hurried = False

    def put(self, reading: Reading, *, wait_s: float | None = None) -> bool:
        """Add a reading. A full lane loses its oldest, counted; with `wait_s` it waits for room instead, and False says
        that there was none in time."""
        with self._lock:
            lane = self._lanes.setdefault(reading.sensor, _Lane())
            if wait_s is None:
                while lane.full(reading):
                    lane.dropped += len(lane.pop().values)
                    lane.lost = True
            elif not self._room.wait_for(lambda: not lane.full(reading), wait_s):
                return False
            now = self._clock()
            lane.push(reading, now)
            if lane.ripe(now):
                self._arrived.notify()
            return True

    def gather(self, sensor: str, span_s: float) -> None:
        """From now on wait until so much of this sensor's stream is there before it is taken, and hand it on in as few
        readings as can be; 0: at once."""
        with self._lock:
            self._lanes.setdefault(sensor, _Lane()).gather_s = span_s
            self._arrived.notify()

    def end(self, sensor: str) -> None:
        """This sensor gives no more: what waits is taken."""
        with self._lock:
            self._lanes.setdefault(sensor, _Lane()).ended = True
            self._arrived.notify()

    def waited_s(self, sensor: str) -> float:
        """The longest that a sample of this sensor has waited to be taken, since this was last asked: first for the
        others of its reading, then here."""
        with self._lock:
            lane = self._lanes.setdefault(sensor, _Lane())
            waited_s, lane.waited_s = lane.waited_s, 0.0
            return waited_s

    def overdue_s(self) -> float:
        """For how long the longest of what should have been taken has waited since; LOST_S at least where something had
        to be dropped since this was last asked."""
        with self._lock:
            now = self._clock()
            found = 0.0
            for lane in self._lanes.values():
                found = max(found, lane.overdue_s(now), LOST_S if lane.lost else 0.0)
                lane.lost = False
            return found

    def take(self, timeout_s: float) -> list[Reading]:
        """What has arrived, oldest first per sensor, of each at most TAKE_BYTES or one reading; [] after the time-out.
        Coming back for more says that what was taken before is dealt with."""
        with self._lock:
            self._taken = False
            self._arrived.wait_for(lambda: self._hurried or self._ripe(), timeout_s)
            ripe = [lane for lane in self._lanes.values() if self._hurried or lane.ripe(self._clock())]
            taken: list[Reading] = []
            now = self._clock()
            for lane in ripe:
                if lane.readings:
                    oldest = lane.readings[0]
                    waited_s = now - lane.arrived[0] + len(oldest.values) / oldest.rate_hz
                    lane.waited_s = max(lane.waited_s, waited_s)
                room, first = TAKE_BYTES, len(taken)
                while lane.readings and (room == TAKE_BYTES or lane.readings[0].values.nbytes <= room):
                    taken.append(lane.pop())
                    room -= taken[-1].values.nbytes
                if not (lane.readings and lane.enough):
                    lane.full_at = None
                if lane.gather_s:
                    taken[first:] = joined(taken[first:])
            if not taken:
                return []
            self._taken = True
            self._room.notify_all()
            return taken

    def hurry(self) -> None:
        """From now on a take waits for nothing: the agent stops."""
        with self._lock:
            self._hurried = True
            self._arrived.notify()

    def abandon(self) -> int:
        """Drop all that waits, as nobody will take it any more; how many rows that were."""
        with self._lock:
            rows = 0
            for lane in self._lanes.values():
                left = 0
                while lane.readings:
                    left += len(lane.pop().values)
                lane.dropped += left
                rows += left
            self._room.notify_all()
            return rows

    @property
    def idle(self) -> bool:
        """Nothing waits, and nothing taken is still being dealt with."""
        with self._lock:
            return not self._taken and not self._waiting()

    def dropped(self, sensor: str) -> int:
        """Rows of this sensor dropped so far."""
        with self._lock:
            return self._lanes[sensor].dropped if sensor in self._lanes else 0

    def _ripe(self) -> bool:
        now = self._clock()
        return any(lane.ripe(now) for lane in self._lanes.values())

    def _waiting(self) -> bool:
        return any(lane.readings for lane in self._lanes.values())


def joined(readings: list[Reading]) -> list[Reading]:
    """The readings of one sensor, those that go on where the one before ended made one: fewer calls for all rows."""
    runs: list[list[Reading]] = []
    end, rows = 0.0, 0
    for reading in readings:
        first = runs[-1][0] if runs else reading
        goes_on = bool(runs) and reading.rate_hz == first.rate_hz and abs(reading.time - end) < SAME_TIME_S
        if not goes_on:
            runs.append([])
            first, rows = reading, 0
        runs[-1].append(reading)
        rows += len(reading.values)
        end = first.time + rows / first.rate_hz
    return [
        run[0]
        if len(run) == 1
        else Reading(
            run[0].sensor, run[0].time, run[0].rate_hz, np.concatenate([each.values for each in run])
        )
        for run in runs
    ]
