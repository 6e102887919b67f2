"""One of several sensors that are read as one: in a thread of its own, its samples sorted into ticks."""

from __future__ import annotations

import math
import threading
from collections import deque
from contextlib import suppress
from functools import partial

from sensors.attendant import Attendant
from sensors.base import Channel, Clock, Reading, Sensor, SensorError
from sensors.resample import Numbers, Resampler, Take

READ_S = 0.2  # longest a read blocks, and so how soon it is left
MOST_READINGS = 256  # that wait to be taken
EARLY = 0.1  # of a period; no sample comes sooner than that before it is due
HOLD = 1.5  # periods, in which the next sample has come


class Feed:
    """A part's sensor in a thread of its own, and its samples sorted into ticks."""

    def __init__(
        self, name: str, sensor: Sensor, take: Take | None, hold_s: float | None, arrived: threading.Condition
    ) -> None:
        """`take` and `hold_s` as of a Part; `arrived` guards what is shared with the thread, and tells of readings."""
        self.name, self.sensor = name, sensor
        self._take, self._hold_s, self._arrived = take, hold_s, arrived
        self.channels = self._named()  # none where they are known only when it is open
        self._readings: deque[tuple[Reading, float]] = deque()  # and when each came, on the monotonic clock
        self._dropped = 0  # rows that nobody took in time
        self._attendant: Attendant | None = None
        self._resampler: Resampler | None = None

    def begin(self, name: str, clock: Clock) -> None:
        """Open the sensor and read it from now on."""
        self.sensor.name, self.sensor.clock = name, clock
        self._readings.clear()
        self._attendant = Attendant(f"read:{name}", self._attend)
        self._attendant.begin()

    def wait(self, rate_hz: float) -> None:
        """Block until it is open. Raises what it raised."""
        assert self._attendant is not None
        self._attendant.wait()
        faster = self.sensor.rate_hz > rate_hz
        usual: Take = "rms" if self.sensor.kind == "vibration" and faster else "mean"
        hold_s = HOLD / self.sensor.rate_hz if self._hold_s is None else self._hold_s
        self.channels = self._named()
        self._make = partial(Resampler, len(self.channels), 1.0 / rate_hz, self._take or usual, hold_s)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what has been heard."""
        self._resampler = self._make()
        self.begins = math.inf  # time of the first sample
        self.until = -math.inf  # when the next sample is due
        self.known_until = -math.inf  # no sample of a time before comes any more
        self.ahead_s = -math.inf  # its time, less the monotonic clock's

    def first(self, furthest: float) -> Reading | None:
        """The oldest reading that is not sorted; None where there is none, or it can wait and is ahead."""
        if not self._readings or (self.sensor.waits and self.until > furthest):
            return None
        return self._readings[0][0]

    def sort(self, tick: int | None) -> int:
        """That reading's samples into ticks. Returns how many were too late: the next row is that of `tick`."""
        assert self._resampler is not None
        reading, arrived = self._readings.popleft()
        self._arrived.notify_all()
        period_s = 1.0 / reading.rate_hz
        self.begins = min(self.begins, reading.time)
        self.until = reading.time + len(reading.values) * period_s
        self.known_until = self.until - EARLY * period_s
        self.ahead_s = self.until - period_s - arrived
        return self._resampler.push(reading.time, reading.rate_hz, reading.values, tick)

    def drop(self) -> int:
        """Leave that reading out. Returns how many samples it had."""
        reading, _ = self._readings.popleft()
        self._arrived.notify_all()
        return len(reading.values)

    def rows(self, first: int, last: int) -> Numbers:
        assert self._resampler is not None
        return self._resampler.rows(first, last)

    @property
    def next(self) -> int | None:
        """The first tick that something fell into and that no row was asked of."""
        return None if self._resampler is None else self._resampler.next

    @property
    def newest(self) -> float:
        return -math.inf if self._resampler is None else self._resampler.newest

    @property
    def ended(self) -> bool:
        """There is no more of it."""
        return self._attendant is not None and self._attendant.ended and not self._readings

    @property
    def failed(self) -> bool:
        return self._attendant is not None and self._attendant.failed

    def check(self) -> None:
        """Raises what ended it, if something did."""
        if self._attendant is not None:
            self._attendant.check()

    def leave(self) -> None:
        """Ask it to end."""
        if self._attendant is not None:
            self._attendant.leave()
            with self._arrived:
                self._arrived.notify_all()

    def end(self) -> None:
        """Make it end, and wait for it."""
        attendant, self._attendant = self._attendant, None
        if attendant is not None:
            attendant.end()

    def _named(self) -> tuple[Channel, ...]:
        return tuple(Channel(f"{self.name} {c.name}", c.unit) for c in self.sensor.channels)

    def left_out(self) -> dict[str, int]:
        return self.sensor.left_out() | ({"dropped": self._dropped} if self._dropped else {})

    def _attend(self, attendant: Attendant) -> None:
        try:
            self.sensor.open()
            attendant.up()
            while not attendant.leaving and not self.sensor.finished:
                reading = self.sensor.read(READ_S)
                if reading is not None:
                    self._put(reading, attendant)
        finally:
            with suppress(SensorError, OSError):  # a plug that is out already
                self.sensor.close()

    def _put(self, reading: Reading, attendant: Attendant) -> None:
        with self._arrived:
            while self.sensor.waits and len(self._readings) >= MOST_READINGS and not attendant.leaving:
                self._arrived.wait()
            if attendant.leaving:
                return
            if len(self._readings) >= MOST_READINGS:
                self._dropped += len(self._readings.popleft()[0].values)
            self._readings.append((reading, self.sensor.clock.monotonic()))
            self._arrived.notify_all()
