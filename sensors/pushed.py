"""A sensor whose source pushes values whenever it likes: a thread takes them, ticks hand out the newest."""

from __future__ import annotations

import dataclasses
import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence

from sensors.attendant import Attendant
from sensors.base import PolledSensor, Reading, SensorError
from sensors.latest import Latest
from sensors.password import as_told

logger = logging.getLogger(__name__)

TURN_S = 0.2  # longest a source may wait before it looks whether it should leave
# Without any value for so long, whichever is longer, a channel is told of.
UNHEARD_S, UNHEARD_TICKS = 10.0, 3.0
AHEAD_S = 1.0  # so much may a source's clock be ahead of ours before it is counted


class PushedSensor(PolledSensor):
    """At each tick the newest value of every channel, NaN once it is stale.

    `attend` takes what comes in a thread of its own. A row's time is its tick's. Where a source sends late what it has
    measured in time, `delay_s` waits for it: each row comes so much later, with the values of its own time.
    """

    def __init__(self, where: str, rate_hz: float, delay_s: float = 0.0) -> None:
        """`where` is what errors name: an address, an interface."""
        self.where = where
        self.rate_hz = rate_hz
        self.delay_s = delay_s
        self.skipped: Counter[str] = Counter()
        self._line: Line | None = None
        self._limits_s: Sequence[float] = ()
        self._old: set[int] = set()
        self._unheard: set[int] | None = None  # channels that never had a value; None before the first tick
        self._waiting: set[int] = set()  # those of them that were told of

    @abstractmethod
    def attend(self, line: Line) -> None:
        """Connect, say `line.up()`, and push what comes until `line.leaving`; leave nothing open. Runs in a thread of
        its own. Raises SensorError or OSError, in which neither this sensor nor `where` is named, when the source is
        not there, or is gone."""

    @abstractmethod
    def limits_s(self) -> Sequence[float]:
        """How old the value of each channel may be; infinity where it stands until the source withdraws it. `channels`
        are known when this returns. Raises SensorError."""

    def source(self, channel: int) -> str:
        """What a channel's values come on, as the options name it."""
        return self.where

    def open(self) -> None:
        self._limits_s = self.limits_s()
        super().open()
        assert self._first_tick is not None
        self._ticks = 1  # values need a period to come
        self._old = set()
        self._line = Line(self, Latest(self._limits_s, self._first_tick, 1.0 / self.rate_hz, self.skipped))
        self._line.begin()
        self._line.wait()

    def read(self, timeout: float) -> Reading | None:
        if self._line is not None:
            self._line.check()
        reading = super().read(timeout)
        if reading is None or not self.delay_s:
            return reading
        return dataclasses.replace(reading, time=reading.time - self.delay_s)

    def sample(self) -> tuple[float, ...]:
        assert self._line is not None
        assert self._first_tick is not None
        latest = self._line.latest
        tick = self._first_tick + (self._ticks - 1) / self.rate_hz  # what came after it belongs to the next
        values = latest.at(tick - self.delay_s)
        if latest.old != self._old:
            self._tell(latest.old)
        if self._unheard is None or self._unheard:
            self._listen_for(latest.unheard(), tick)
        return tuple(values)

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.end()
        super().close()

    def _tell(self, old: set[int]) -> None:
        for channel in sorted(old ^ self._old):
            name = self.channels[channel].name
            if channel in old:
                logger.warning(
                    "sensor %s: %s is stale: nothing for %g s", self.name, name, self._limits_s[channel]
                )
            else:
                logger.info("sensor %s: %s is heard again", self.name, name)
        self._old = set(old)

    def _listen_for(self, unheard: set[int], tick: float) -> None:
        """Tell once of the channels without any value yet: a slip in the options? And of each when it comes."""
        self._unheard = unheard if self._unheard is None else self._unheard & unheard
        for channel in sorted(self._waiting - self._unheard):
            logger.info("sensor %s: %s is heard now", self.name, self.channels[channel].name)
        assert self._first_tick is not None
        patience_s = self.delay_s + max(UNHEARD_S, UNHEARD_TICKS / self.rate_hz)
        if self._unheard and not self._waiting and tick - self._first_tick >= patience_s:
            where: dict[str, list[str]] = {}
            for channel in sorted(self._unheard):
                where.setdefault(self.source(channel), []).append(self.channels[channel].name)
            for source, names in where.items():
                logger.warning(
                    "sensor %s: no value of %s has come on %s yet: %s",
                    self.name,
                    ", ".join(names),
                    source,
                    "is that written right, and does its device send?",
                )
            self._waiting = set(self._unheard)
        self._waiting &= self._unheard
        if self._waiting:
            self.skipped["nothing_yet"] += len(self._waiting)


class Line(Attendant):
    """One connection of a sensor; the next has one of its own."""

    def __init__(self, sensor: PushedSensor, latest: Latest) -> None:
        super().__init__(f"listen:{sensor.name}", lambda _: self._listen())
        self.latest = latest
        self._sensor = sensor

    def push(self, channel: int, value: float, time: float | None = None) -> None:
        """A value, NaN where there is none any more, and the Unix time its source gives it; None: it gives none."""
        clock = self._sensor.clock
        age_s = 0.0 if time is None else clock.now() - time
        if age_s < -AHEAD_S:
            self._sensor.skip("ahead", f"the time of a value is {-age_s:.0f} s ahead of this clock")
        self.latest.push(channel, clock.monotonic() - max(0.0, age_s), value)

    def _listen(self) -> None:
        why = "the connection has ended"
        try:
            self._sensor.attend(self)
        except (SensorError, OSError) as error:
            why = str(error)
        raise self._sensor.error(f"{as_told(self._sensor.where)}: {why}")
