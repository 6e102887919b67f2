"""Readings on their way from the readers to the pipeline: bounded per sensor, the oldest dropped and counted."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from sensors.base import Reading

MOST_READINGS = 1024  # per sensor: 4 s of 4 ms blocks, a quarter of an hour of samples at 1 Hz
MOST_BYTES = 4 * 2**20  # per sensor: 100 s of three axes at 3.2 kHz
TAKE_BYTES = (
    256 * 1024
)  # per sensor and take, so that a turn of the pipeline stays short also on a small board


@dataclass(slots=True)
class _Lane:
    readings: deque[Reading] = field(default_factory=deque)
    bytes: int = 0
    dropped: int = 0  # rows

    def full(self, reading: Reading) -> bool:
        """No room for one more. An empty lane has room for anything."""
        return bool(self.readings) and (
            len(self.readings) >= MOST_READINGS or self.bytes + reading.values.nbytes > MOST_BYTES
        )

    def pop(self) -> Reading:
        reading = self.readings.popleft()
        self.bytes -= reading.values.nbytes
        return reading


class Inbox:
    """One lane per sensor, so that a flood in one drops nothing from another. Many put, one takes."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
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
            elif not self._room.wait_for(lambda: not lane.full(reading), wait_s):
                return False
            lane.readings.append(reading)
            lane.bytes += reading.values.nbytes
            self._arrived.notify()
            return True

    def take(self, timeout_s: float) -> list[Reading]:
        """What has arrived, oldest first per sensor, of each at most TAKE_BYTES or one reading; [] after the time-out.
        Coming back for more says that what was taken before is dealt with."""
        with self._lock:
            self._taken = False
            self._arrived.wait_for(lambda: self._hurried or self._waiting(), timeout_s)
            if not self._waiting():
                return []
            taken: list[Reading] = []
            for lane in self._lanes.values():
                room = TAKE_BYTES
                while lane.readings and (room == TAKE_BYTES or lane.readings[0].values.nbytes <= room):
                    taken.append(lane.pop())
                    room -= taken[-1].values.nbytes
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

    def _waiting(self) -> bool:
        return any(lane.readings for lane in self._lanes.values())
