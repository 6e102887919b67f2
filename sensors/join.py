"""Several sensors of different rates as one, for one monitor."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from sensors import registry
from sensors.base import VIBRATION_FROM_HZ, NotNegative, OptionError, Positive, Reading, Sensor
from sensors.feed import READ_S, Feed
from sensors.peers import Peer
from sensors.resample import NEAR_S, Take
from sensors.values import Problem, structure

MOST_ROWS = 4096  # of one Reading
BACK_S = 5.0  # a part's time that goes back further is a clock that was set
AHEAD_S = 5.0  # and wait_s: a live part's time that is further ahead of this clock is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the sensors. All other keys are its driver's options.

    Options:
        driver: which driver reads it.
        take: what becomes of the samples between two ticks: their mean, the last, their root mean square or their
            largest magnitude; without it rms of a vibration, and the mean of others.
        hold_s: how long a value stands while nothing new comes; without it 1.5 periods of the part.
    """

    written: ClassVar[str] = (
        "each part is written out with its driver and options, as in {plug: {driver: http, ...}}; "
        "a sensor of the configuration cannot be named"
    )

    driver: str
    take: Take | None = None
    hold_s: NotNegative | None = None

    @staticmethod
    def read_options(value: object, path: str, problems: list[Problem]) -> Any:
        """As `values.convert` wants it: our keys, and those of the driver. What is wrong is added to `problems`."""
        if not isinstance(value, Mapping):
            problems.append(Problem(path, value, f"is not a part: {Part.written}"))
            return None
        if "sensor" in value and "driver" not in value:
            problems.append(Problem(f"{path}.sensor", value["sensor"], f"is not an option: {Part.written}"))
            return None
        ours = {name: value[name] for name in OURS if name in value}
        part = structure(Part, ours, path, problems)
        rest = {name: option for name, option in value.items() if name not in OURS}
        driver = value.get("driver")
        if isinstance(driver, str):
            for problem in registry.check(driver, rest):
                where = "driver" if problem.path == driver else problem.path
                problems.append(Problem(f"{path}.{where}", problem.value, problem.message))
        return (
            Wired(driver=part.driver, take=part.take, hold_s=part.hold_s, options=rest)
            if isinstance(part, Part)
            else part
        )


OURS = tuple(part.name for part in fields(Part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired(Part):
    """A part with its driver's options."""

    options: Mapping[str, object] = field(default_factory=dict)


def options_of(part: Part) -> Mapping[str, object]:
    """The options of its driver."""
    return part.options if isinstance(part, Wired) else {}


class Join(Sensor):
    """Several sensors aligned into one stream, a row at each tick: a whole number of periods of Unix time.

    A row has what came after the tick before, up to its own, by the parts' own times. It is given once every part has
    been heard up to it. What a part did not give is NaN; when nothing comes of any part there are no rows.

    Options:
        of: the sensors by name, each with its driver and options; their channels are called "name channel".
        rate_hz: rows per second.
        wait_s: how much longer than the others a part may take; after that a row is given without it.
    """

    def __init__(self, *, of: Mapping[str, Part], rate_hz: Positive = 1.0, wait_s: NotNegative = 1.0) -> None:
        if not of:
            raise OptionError("of", {}, "there are none")
        self.rate_hz = rate_hz
        self._period_s, self._wait_s = 1.0 / rate_hz, wait_s
        self._arrived = threading.Condition()  # guards what the feeds share with us
        self._feeds = [
            Feed(
                name,
                registry.create(name, part.driver, options_of(part)),
                part.take,
                part.hold_s,
                self._arrived,
            )
            for name, part in of.items()
        ]
        if all(feed.channels for feed in self._feeds):
            self._name_channels()
        self.waits = any(feed.sensor.waits for feed in self._feeds)
        if rate_hz >= VIBRATION_FROM_HZ and all(feed.sensor.kind == "vibration" for feed in self._feeds):
            self.kind = "vibration"
        self._unfit = Counter[str]()  # samples, by part and reason
        self._tick: int | None = None  # of the next row
        self._made: deque[Reading] = deque()  # more rows that are due, behind gaps
        self._turns = False  # the next readings are of an earlier time
        self._is_open = False

    @property
    def skipped(self) -> dict[str, int]:
        """What each part left out, and its samples that came after their row was given, whose time is ahead of the
        clock, or that nobody took in time."""
        counts = self._unfit.copy()
        for feed in self._feeds:
            counts.update({f"{feed.name} {reason}": count for reason, count in feed.left_out().items()})
        return counts

    def peers(self) -> Sequence[Peer]:
        return [peer for feed in self._feeds for peer in feed.sensor.peers()]

    def open(self) -> None:
        self.finished, self._tick, self._turns, self._is_open = False, None, False, True
        self._made.clear()
        for feed in self._feeds:
            feed.begin(f"{self.name}.{feed.name}", self.clock)
        for feed in self._feeds:
            feed.wait(self.rate_hz)
        self._name_channels()
        names = [channel.name for channel in self.channels]
        if twice := [name for name in names if names.count(name) > 1]:
            raise self.error(f"two channels are called {twice[0]}: call the parts by other names")

    def read(self, timeout: float) -> Reading | None:
        if not self._is_open:
            raise self.error("read before open")
        end = self.clock.monotonic() + timeout
        with self._arrived:
            while True:
                before = self._tick
                self._gather()
                reading = self._rows()
                if reading is not None:
                    return reading
                if self._tick != before:  # on its way over a gap
                    continue
                if self._turns:
                    self._begin_anew()
                    continue
                for feed in self._feeds:
                    feed.check()
                self.finished = all(feed.ended for feed in self._feeds)
                left_s = end - self.clock.monotonic()
                if self.finished or left_s <= 0.0:
                    return None
                self._arrived.wait(min(left_s, READ_S))

    def close(self) -> None:
        self._is_open = False
        for feed in self._feeds:
            feed.leave()
        for feed in self._feeds:
            feed.end()

    def _name_channels(self) -> None:
        self.channels = tuple(channel for feed in self._feeds for channel in feed.channels)

    def _gather(self) -> None:
        """Sort what has arrived into ticks."""
        for feed in self._feeds:
            while (reading := feed.first(self._furthest())) is not None:
                if self._is_ahead(reading):
                    self._unfit[f"{feed.name} ahead"] += feed.drop()
                    continue
                if reading.time < feed.until - BACK_S:  # a clock was set back
                    self._turns = True
                    return
                if late := feed.sort(self._tick):
                    self._unfit[f"{feed.name} late"] += late

    def _is_ahead(self, reading: Reading) -> bool:
        """Whether its time cannot be right: taken for the present, it would make all of the other parts late."""
        newest = reading.time + (len(reading.values) - 1) / reading.rate_hz
        return not self.waits and newest > self.clock.now() + self._wait_s + AHEAD_S

    def _begin_anew(self) -> None:
        """What all parts gave is in rows: from here on times may be any."""
        self._tick, self._turns = None, False
        for feed in self._feeds:
            feed.begin_anew()

    def _furthest(self) -> float:
        """The time up to which a part may be ahead that can wait."""
        begins = min((feed.begins for feed in self._feeds), default=math.inf)
        return MOST_ROWS * self._period_s + (begins if self._tick is None else self._tick * self._period_s)

    def _rows(self) -> Reading | None:
        """The rows that are due, up to the first gap."""
        if self._made:
            return self._made.popleft()
        due, ticks = self._due(), self._ticks()
        if self._tick is None and ticks and min(ticks) <= due:
            self._tick = min(ticks)
        if self._tick is None or self._tick > due:
            return None
        first = self._tick
        last = min(math.floor(due), first + MOST_ROWS - 1)
        rows = np.concatenate([feed.rows(first, last) for feed in self._feeds], axis=1).astype(np.float32)
        there = np.flatnonzero(~np.isnan(rows).all(axis=1))
        if len(there):
            self._tick = last + 1
        else:  # nothing, up to the next tick that anything fell into
            self._tick = max(last + 1, min([math.floor(due) + 1, *self._ticks()]))
        for run in np.split(there, np.flatnonzero(np.diff(there) > 1) + 1) if len(there) else ():
            time = float(first + run[0]) * self._period_s
            self._made.append(Reading(self.name, time, self.rate_hz, rows[run[0] : run[-1] + 1]))
        return self._made.popleft() if self._made else None

    def _ticks(self) -> list[int]:
        """The first tick of each part that something fell into."""
        return [tick for feed in self._feeds if (tick := feed.next) is not None]

    def _due(self) -> float:
        """The last tick whose row may be given now; minus infinity while there is none."""
        going = [feed for feed in self._feeds if not feed.ended]
        if (
            self._turns or not going or any(feed.failed for feed in self._feeds)
        ):  # nothing more comes that fits
            return max((feed.newest for feed in self._feeds), default=-math.inf)
        known = min(feed.known_until for feed in going)
        complete = -math.inf if math.isinf(known) else math.ceil(known / self._period_s - NEAR_S) - 1
        if self.waits:
            return complete
        now = min(self.clock.monotonic() + max(feed.ahead_s for feed in self._feeds), self.clock.now())
        if math.isinf(now):
            return -math.inf
        patience_ends = math.floor((now - self._wait_s) / self._period_s)
        return max(patience_ends, min(complete, math.floor(now / self._period_s)))
