"""One sensor's thread: opens it, reads it, closes it, and opens it again after it failed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from agent.inbox import Inbox
from agent.pace import Pace
from sensors.base import Reading, Sensor, SensorError
from sensors.named_thread import NamedThread

logger = logging.getLogger(__name__)

READ_S = 0.5  # longest a read blocks, and so how soon a healthy reader notices a stop
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0  # between tries to open; doubling
OPENING_S = 120.0  # a driver may be as long in open: firmware, an unplugged network camera, many buses
STABLE_S = 10.0  # readings for so long end a row of failures: a loose plug does not fill the log

Phase = Literal["opening", "reading", "failed", "finished", "stopped"]


class Reader:
    """Owns the sensor and the thread `read:<sensor>`. What it shares are plain values that only it writes."""

    def __init__(self, sensor: Sensor, inbox: Inbox, opened: Callable[[Sensor], None]) -> None:
        """`opened(sensor)` is called in this thread each time the sensor has been opened, before its first reading;
        it may refuse it with a SensorError."""
        self.sensor, self._inbox, self._opened = sensor, inbox, opened
        self.phase: Phase = "opening"
        self.error = ""  # the latest, in words; "" once readings come again
        self.failures = 0
        self.rows = 0
        self.failing_since: float | None = None  # monotonic; None while readings come
        self.next_try: float | None = None  # monotonic; None where it does not wait for one
        self._pace = Pace()
        self.beat = time.monotonic()  # of the loop's latest turn
        self.heard = time.monotonic()  # when the latest reading came
        self._reading_since = 0.0
        self._in_open = False
        self._stop = threading.Event()
        self._thread = NamedThread(target=self._run, name=f"read:{sensor.name}", daemon=True)

    def delivered_hz(self) -> float | None:
        """Samples per second it really gave over the last minute; None until that is known."""
        return self._pace.rate_hz(time.monotonic())

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; `join` waits."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """True when the thread has ended; a driver that hangs is left behind and ends with the process."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Ended as it should: at the end of a recording, or asked to."""
        return self.phase in ("finished", "stopped")

    def still_for(self, now: float, limit_s: float) -> bool:
        """Whether the thread has not turned for longer than the limit, or OPENING_S if that is longer and it opens."""
        return now - self.beat > (max(limit_s, OPENING_S) if self._in_open else limit_s)

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                self._read_on()
            except (SensorError, OSError) as error:
                if self.phase == "reading" and time.monotonic() - self._reading_since >= STABLE_S:
                    pause = FIRST_PAUSE_S
                self._failed(str(error), pause)
            self._close()
            if self.sensor.finished:  # also when its last word was an error: there is no more of it
                logger.info("sensor %s has come to its end%s", self.sensor.name, _left_out(self.sensor))
                self.phase = "finished"
                self._inbox.end(self.sensor.name)
                return
            if self.phase == "failed":
                self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
        self.phase = "stopped"

    def _read_on(self) -> None:
        """Open and read until the end or a stop. Raises SensorError and OSError."""
        sensor = self.sensor
        self.phase, self.beat, self._in_open = "opening", time.monotonic(), True
        try:
            sensor.open()
        finally:
            self.beat, self._in_open = time.monotonic(), False
        self._pace.restart()
        self._opened(sensor)
        while not self._stop.is_set():
            reading = sensor.read(READ_S)
            self.beat = time.monotonic()
            if reading is not None:
                self._hear(reading)
            elif sensor.finished:
                return

    def _hear(self, reading: Reading) -> None:
        if self.phase != "reading":
            if self.error:
                logger.info("sensor %s reads again", self.sensor.name)
            self.phase, self.error, self._reading_since = "reading", "", self.beat
            self.failing_since = None
        self.rows += len(reading.values)
        self._pace.mark(self.rows, self.beat)
        if self.sensor.waits:
            while not self._inbox.put(reading, wait_s=READ_S) and not self._stop.is_set():
                self.beat = time.monotonic()
        else:
            self._inbox.put(reading)
        self.heard = time.monotonic()

    def _failed(self, words: str, pause: float) -> None:
        words = words.removeprefix(f"{self.sensor.name}: ")  # who shows it says the name
        if words != self.error:
            again = "" if self.sensor.finished else f" (next try in {pause:g} s)"
            logger.warning("sensor %s: %s%s", self.sensor.name, words, again)
        self.phase, self.error = "failed", words
        if self.failing_since is None and not self.sensor.finished:
            self.failing_since = time.monotonic()
        self.failures += 1

    def _close(self) -> None:
        try:
            self.sensor.close()
        except (SensorError, OSError) as error:  # a plug that is out already
            logger.debug("sensor %s: closing: %s", self.sensor.name, error)

    def _pause(self, seconds: float) -> None:
        self.next_try = end = time.monotonic() + seconds
        while not self._stop.is_set() and (left := end - time.monotonic()) > 0:
            self.beat = time.monotonic()
            self._stop.wait(min(left, READ_S))
        self.next_try = None


def _left_out(sensor: Sensor) -> str:
    told = ", ".join(f"{count} x {reason.replace('_', ' ')}" for reason, count in sensor.left_out().items())
    return f"; left out: {told}" if told else ""
