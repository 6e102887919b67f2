"""Readings on their way from the readers to the pipeline: bounded per sensor, the oldest dropped and counted."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from sensors.base import Reading

MOST_READINGS = 256  # per sensor; a second of 4 ms blocks, minutes of slow samples
MOST_ROWS = 262_144  # per sensor, and per take of all


@dataclass(slots=True)
class _Lane:
    readings: deque[Reading] = field(default_factory=deque)
    rows: int = 0
    dropped: int = 0  # rows


class Inbox:
    """One lane per sensor, so that a flood in one drops nothing from another."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)

    def put(self, reading: Reading, *, wait_s: float | None = None) -> bool:
        """Add a reading. A full lane loses its oldest, counted; with `wait_s` it waits for room instead, and False says
        that there was none in time."""
        with self._lock:
            lane = self._lanes.setdefault(reading.sensor, _Lane())
            if wait_s is None:
                while lane.readings and _full(lane, reading):
                    oldest = lane.readings.popleft()
                    lane.rows -= len(oldest.values)
                    lane.dropped += len(oldest.values)
            elif not self._room.wait_for(lambda: not lane.readings or not _full(lane, reading), wait_s):
                return False
            lane.readings.append(reading)
            lane.rows += len(reading.values)
            self._arrived.notify()
            return True

    def take(self, timeout_s: float) -> list[Reading]:
        """All that has arrived, oldest first per sensor; [] after the time-out."""
        with self._lock:
            if not self._arrived.wait_for(self._waiting, timeout_s):
                return []
            taken: list[Reading] = []
            for lane in self._lanes.values():
                taken.extend(lane.readings)
                lane.readings.clear()
                lane.rows = 0
            self._room.notify_all()
            return taken

    def dropped(self) -> dict[str, int]:
        """Rows dropped so far, by sensor."""
        with self._lock:
            return {name: lane.dropped for name, lane in self._lanes.items()}

    def _waiting(self) -> bool:
        return any(lane.readings for lane in self._lanes.values())


def _full(lane: _Lane, reading: Reading) -> bool:
    return len(lane.readings) >= MOST_READINGS or lane.rows + len(reading.values) > MOST_ROWS
