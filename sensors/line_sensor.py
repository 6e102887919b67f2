"""A sensor that hears lines: each a sample, or the newest of them at each tick."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from sensors.base import OptionError, PolledSensor, Reading
from sensors.lines import Line, LineForm, Splitter, Unreadable, Value
from sensors.values import check_names

STALE_TICKS = 3.0  # how old a value may be at a tick, where nothing else is said: two lines may be missed


class LineSensor(PolledSensor):
    """What a serial instrument and a program have in common. A driver says how bytes are received."""

    def __init__(
        self,
        line: Line | None,
        channels: Sequence[Value],
        rate_hz: float,
        align: bool,
        stale_s: float | None,
        asks: bool = False,
    ) -> None:
        """`align`: a sample at each tick of the rate, of the newest values; `asks`: at each tick, by a `sample` of the
        driver's own; otherwise each line is one. Raises OptionError."""
        line = line or Line()
        check_names("channels[{}].name", [value.name for value in channels])
        if (align or asks) and line.time is not None:
            raise OptionError("line.time", line.time, "is of no use where samples are taken at ticks")
        if stale_s is not None and not align:
            raise OptionError("stale_s", stale_s, "goes with align")
        self.channels = tuple(value.channel for value in channels)
        self.rate_hz = rate_hz
        self.skipped: Counter[str] = Counter()
        self._form = LineForm(line, channels, self.skip)
        self._align, self._at_ticks = align, align or asks
        self._stale_s = STALE_TICKS / rate_hz if stale_s is None else stale_s
        self._begin(whole=True)

    @abstractmethod
    def receive(self, timeout: float) -> bytes:
        """What has come; b"" when nothing does within `timeout` seconds. Raises OSError when the peer is gone."""

    def read(self, timeout: float) -> Reading | None:
        if self._at_ticks:
            return super().read(timeout)
        if self._first_tick is None:
            raise self.error("read before open")
        end = self.clock.monotonic() + timeout
        while not self._heard:
            left = end - self.clock.monotonic()
            if not self._hear(max(0.0, left)) or left <= 0.0:
                break
        return self._heard.popleft() if self._heard else None

    def sample(self) -> tuple[float, ...] | None:
        """The newest value of each channel; NaN where it is stale, None where all are."""
        self._hear(0.0)
        now = self.clock.monotonic()
        values = tuple(value if now - since <= self._stale_s else math.nan for value, since in self._newest)
        if any(math.isnan(value) for value in values):
            self.skipped["stale"] += 1
        return None if all(math.isnan(value) for value in values) else values

    def pass_time(self, seconds: float) -> None:
        """Listen meanwhile: what nobody takes is lost when the kernel's buffer is full."""
        if not self._align:
            return super().pass_time(seconds)
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0.0:
            if not self._hear(left):
                break

    def rows(self, chunk: bytes) -> list[tuple[float | None, list[float]]]:
        """The lines that end in what was received: time and values of each; those that are none are counted."""
        found = []
        for text in self._splitter.feed(chunk):
            try:
                found.append(self._form.read(text))
            except Unreadable as error:
                self.skip(error.reason, str(error))
        return found

    def _begin(self, whole: bool) -> None:
        """Forget what was heard; the first line to come is `whole`, or may be the rest of one."""
        self._splitter = Splitter(self.skipped, whole)
        self._heard: deque[Reading] = deque()
        self._newest = [(math.nan, -math.inf)] * len(self.channels)  # value, when it came
        self._latest = -math.inf  # time of the newest sample

    def _hear(self, timeout: float) -> bool:
        """Wait for bytes and take them; False when none came. Raises SensorError."""
        try:
            chunk = self.receive(timeout)
        except OSError as error:
            self._splitter.end()
            raise self.error(str(error)) from error
        rows = self.rows(chunk)
        if self._align:
            now = self.clock.monotonic()
            for _, values in rows:
                for i, value in enumerate(values):
                    if not math.isnan(value):
                        self._newest[i] = (value, now)
        elif rows:
            self._tell(rows)
        return bool(chunk)

    def _tell(self, rows: Sequence[tuple[float | None, list[float]]]) -> None:
        """Make a reading of each row. Rows that came at once are one period apart, or less where the newest sample
        before them is not that long ago."""
        now, n = self.clock.now(), len(rows)
        step, since = 1.0 / self.rate_hz, now - self._latest
        if since > 0.0:  # the clock was not set back
            step = min(step, since / n)
        for i, (told, values) in enumerate(rows):
            time = now - (n - 1 - i) * step if told is None else told
            if time == told == self._latest:
                self.skipped["duplicates"] += 1  # the same measurement again
                continue
            self._latest = time
            self._heard.append(Reading(self.name, time, self.rate_hz, np.array([values], np.float32)))
