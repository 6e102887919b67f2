"""What every sensor is: channels, a rate, and Readings until it is closed."""

from __future__ import annotations

import logging
import re
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sensors.peers import Peer

logger = logging.getLogger(__name__)

Kind = Literal["telemetry", "vibration"]
EVEN = 0.05  # of a period; waking up took 3 ms at most in 99 of 100 reads, the period of which is 60 ms
LARGEST = 3.4028234e38  # that a Reading holds: of float32
VIBRATION_FROM_HZ = 100.0  # slower signals are figures to follow, faster ones waveforms to analyse


@dataclass(frozen=True, slots=True)
class Channel:
    """One measured quantity. `unit` is UCUM: "Cel", "m/s2", "A", "Pa", "Hz", "%", "1"."""

    name: str
    unit: str = "1"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Consecutive samples of one sensor; sample i was taken at `time + i / rate_hz`, Unix seconds.

    `values` is (samples, channels) float32 in the channels' units; NaN is a missing value.
    """

    sensor: str
    time: float
    rate_hz: float
    values: NDArray[np.float32]


class SensorError(Exception):
    """The world failed: a file, a bus, a device. Says what, where, and what would be right."""


class OptionError(ValueError):
    """Options that are each well formed but do not fit together; raised by constructors."""

    def __init__(self, path: str, value: object, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.value = value
        self.message = message


@dataclass(frozen=True, slots=True)
class Slip:
    """Marks an option for which something of another kind is often given: what `given`, a regular expression, finds
    in it is answered with what to `write`."""

    given: str
    write: str


@dataclass(frozen=True, slots=True)
class Above:
    """Marks an option as a number greater than `limit`."""

    limit: float


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Marks an option as a number not smaller than `limit`."""

    limit: float


# Letters of a name that is made up: a configuration's may have 64, and "-2" comes behind it.
LONGEST_NAME = 60
NO_NAMES = (
    *("availability", "state", "event", "request", "response"),  # topics of the agent's own
    *("null", "true", "false", "yes", "no", "on", "off", "y", "n"),  # which YAML reads as no text
)


Positive = Annotated[float, Above(0.0)]
NotNegative = Annotated[float, AtLeast(0.0)]


class Clock:
    """The two clocks of this computer, in one place so that tests can push them."""

    def now(self) -> float:
        """Unix seconds; jumps when the clock is set."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some start; never jumps."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Block for that long."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Found:
    """Something on this machine that a driver can read."""

    name: str  # to call the sensor by: "board", "adxl345"
    what: str  # in words: "accelerometer ADXL345 on i2c-1"
    options: Mapping[str, object]  # with which the driver reads it
    note: str = ""  # what must be done before it can be read, as a command where there is one
    driver: str = ""  # filled in by registry.find


def sensor_name(text: str, otherwise: str) -> str:
    """What the world calls a thing, as a configuration may call a sensor: letters, digits, - _ . only, and not many."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-")[:LONGEST_NAME].rstrip(".-") or otherwise
    return f"{name}-sensor" if name.lower() in NO_NAMES else name


S = TypeVar("S", bound="Sensor")


class Sensor(ABC):
    """A source of Readings. The constructor stores; `open` is the first to touch the world.

    `channels` and `rate_hz` are known after `open` at the latest. One thread calls open, read and
    close; a sensor may be opened again after it was closed.
    """

    name: str = ""  # given by registry.create; stands in every Reading
    origin: str = ""  # given by registry.create: the package whose plug-in it is, "" for a driver built in
    channels: tuple[Channel, ...] = ()
    rate_hz: float = 0.0  # 0 until known
    kind: Kind = "telemetry"  # decides the default features and detector of a monitor
    waits: bool = False  # True: a full queue makes the reader wait instead of dropping the oldest
    finished: bool = False  # True once a finite source has given its last Reading
    clock: Clock = Clock()
    extra: str = (
        ""  # of pyproject.toml, that it needs as it is set; one of the driver's own name need not be said
    )

    @classmethod
    def find(cls, root: Path) -> Sequence[Found]:
        """What this driver can read on the machine whose files are under `root`; nothing where it cannot know.

        Lists and reads files of the kernel's (/sys, /proc, names in /dev) and nothing else: opens no device, speaks to
        no bus and no network. What it gives can be opened without harm, for the kernel knows the device; with `root` in
        its options where that is not "/".
        """
        return ()

    def peers(self) -> Sequence[Peer]:
        """What must be there for `open` to succeed and can be looked for without harm, as far as the options tell."""
        return ()

    @abstractmethod
    def open(self) -> None:
        """Touch the source for the first time. Raises SensorError when it is not there."""

    @abstractmethod
    def read(self, timeout: float) -> Reading | None:
        """Block until samples arrive; None after `timeout` seconds or at the end. Raises SensorError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the source; may be called at any time, and twice."""

    def left_out(self) -> dict[str, int]:
        """How often something could not be used, by reason: what a driver counts in `skipped`, and missed ticks."""
        skipped: Mapping[str, int] = getattr(self, "skipped", {})
        missed: int = getattr(self, "missed", 0)
        return {reason: count for reason, count in {**skipped, "missed_ticks": missed}.items() if count}

    def __enter__(self: S) -> S:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def error(self, text: str) -> SensorError:
        """A SensorError that begins with this sensor's name."""
        return SensorError(f"{self.name or type(self).__name__.lower()}: {text}")


class PolledSensor(Sensor):
    """A sensor that is asked for one sample at each tick of `rate_hz`.

    Ticks are counted on the monotonic clock from the first read, so they do not drift; a tick that
    passed while nobody was reading is not made up for, and counted in `missed`. A sample taken within EVEN of a period
    of its tick has the tick's time: what waking up adds to it is no property of the signal.
    """

    missed: int = 0
    skipped: Counter[str]  # what could not be used, by reason; a driver that counts so makes it
    _first_tick: float | None = None
    _ticks: int = 0
    _anchor: tuple[int, float] = (0, -1e300)  # a tick, and its time

    @abstractmethod
    def sample(self) -> tuple[float, ...] | None:
        """One value per channel, NaN where unknown; None for nothing at this tick. Raises OSError or SensorError."""

    def skip(self, reason: str, words: str) -> None:
        """Count what cannot be used; the first of its kind is told."""
        if reason not in self.skipped:
            logger.warning("sensor %s: %s; counted as %s from now on", self.name, words, reason)
        self.skipped[reason] += 1

    def pass_time(self, seconds: float) -> None:
        """Until the next tick; for a source that must be listened to meanwhile."""
        self.clock.wait(seconds)

    def open(self) -> None:
        self._first_tick = self.clock.monotonic()
        self._ticks = 0

    def read(self, timeout: float) -> Reading | None:
        if self._first_tick is None:
            raise self.error("read before open")
        wait = self._first_tick + self._ticks / self.rate_hz - self.clock.monotonic()
        if wait > timeout:
            self.pass_time(max(0.0, timeout))
            return None
        if wait > 0.0:
            self.pass_time(wait)
        late = int(max(0.0, -wait) * self.rate_hz)  # whole ticks gone by
        self.missed += late
        self._ticks += late + 1
        taken = self._even(self.clock.now())
        try:
            sample = self.sample()
        except OSError as error:
            raise self.error(str(error)) from error
        if sample is None:
            return None
        return Reading(self.name, taken, self.rate_hz, np.array([sample], dtype=np.float32))

    def _even(self, taken: float) -> float:
        tick, time = self._anchor
        due = time + (self._ticks - tick) / self.rate_hz
        if abs(taken - due) * self.rate_hz <= EVEN:
            return due
        self._anchor = self._ticks, taken
        return taken

    def close(self) -> None:
        self._first_tick = None
