"""What a window costs on the road: live, watched part by part, in chunks, and the same work without a road."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import process_time

import msgspec
import numpy as np

from agent import bare
from agent.assemble import make_monitor
from agent.config import EvidenceConfig
from agent.detectors import Shape
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from agent.stopwatch import Clock, Split, own_cost, split, stopwatch
from models.window import Array, Windows
from sensors.base import Reading, Sensor

MOST, LARGEST = 20_000, 32 * 2**20  # windows and bytes in one pass
PASSES = 8  # about; the best counts, for everything else on this computer only makes it slower
WARM_UP = 2  # passes that do not count
CHUNK = 4096  # rows at a time where they need not come one by one
START = 1_700_000_000.0


class Cost(msgspec.Struct, kw_only=True):
    """One monitor; microseconds of CPU for each window. Live: one hop at a time, as from a sensor."""

    name: str
    sensor: str
    detector: str
    features: str
    columns: int
    rate_hz: float
    hop_s: float
    input: str  # "recorded rows", "noise"
    live_us: float  # the whole road; the next four add up to it
    features_us: float
    session_us: float
    calibration_us: float
    rest_us: float
    watched_us: float  # the whole road of the pass whose parts these are, less what watching it cost
    bare_us: float  # the same calls of numpy and onnxruntime in a bare loop
    ratio: float  # live over bare
    chunked_us: float  # with CHUNK rows at a time
    rows_per_s: float  # the same
    core_share: float  # of one core, live, at the sensor's own rate


@dataclass(frozen=True, slots=True)
class Subject:
    """A monitor to be measured, and normal rows for it."""

    entry: MonitorConfig
    sensor: Sensor  # for its channels and rate
    shape: Shape
    rows: Array  # (n, channels), at least those it learns from
    origin: str  # "recorded rows", "noise"

    @property
    def hop(self) -> int:
        """Rows from one score to the next."""
        return max(self.shape.hop, self.shape.every)

    def windows(self, count: int) -> list[Windows]:
        """The first windows as the monitor's features see them, one hop apart."""
        shape, rate = self.shape, self.sensor.rate_hz
        length = shape.window if shape.kind == "vibration" else 1
        columns = [
            i
            for i, c in enumerate(self.sensor.channels)
            if not self.entry.channels or c.name in self.entry.channels
        ]
        rows = np.ascontiguousarray(self.rows[:, columns])
        found = []
        for i in range(count):
            first = i * self.hop % (len(rows) - max(length, self.hop) + 1)
            end = first + max(length, self.hop)
            time = START + (i * self.hop + end - first - 1) / rate
            found.append(Windows([time], rows[first:end], length, shape.hop, False))
        return found

    def readings(self, size: int, count: int, first: int) -> list[Reading]:
        """`count` Readings of `size` rows from row `first` of an endless stream of the rows."""
        place = np.arange(first, first + size * count) % len(self.rows)
        rows = self.rows[place].reshape(count, size, -1)
        rate = self.sensor.rate_hz
        return [
            Reading(self.sensor.name, START + (first + i * size) / rate, rate, rows[i]) for i in range(count)
        ]


def measure(subject: Subject, seconds: float, clock: Clock = process_time) -> Cost | str:
    """What the monitor costs, or why that cannot be said. All by one clock, and in turns: a computer that slows
    down while it is measured slows all of them down."""
    road = Road(subject)
    if not road.learn():
        return f"does not learn from its rows: it {road.monitor.status().needs}"
    assert road.monitor.baseline is not None
    learned, monitor, own = road.monitor.baseline.learned, road.monitor, own_cost(clock)
    rows = subject.hop * max(CHUNK // subject.hop, 1)

    def pass_live(count: int) -> Split:
        return Split(road.push(subject.hop, count, clock), {})

    def pass_watched(count: int) -> Split:
        with stopwatch(clock) as parts:
            return split(road.push(subject.hop, count, clock), parts, own)

    def pass_chunked(count: int) -> Split:
        return Split(road.push(rows, count, clock), {})

    def pass_bare(count: int) -> Split:
        run = bare.loop(monitor.head, learned, monitor.features, subject.windows(count), clock)
        with _undisturbed():
            return Split(run()[0], {})

    bytes_each = rows * subject.rows.shape[1] * 4
    live, watched = Gauge(pass_live, seconds), Gauge(pass_watched, seconds / 2)
    chunked = Gauge(pass_chunked, seconds / 2, LARGEST // bytes_each, rows // subject.hop)
    straight = Gauge(pass_bare, seconds)
    take_turns((live, watched, chunked, straight))
    live_us = round(live.best_us, 2)
    shares = {part: took_s / watched.best.whole_s for part, took_s in watched.best.parts_s.items()}
    parts_us = {part: round(share * live.best_us, 2) for part, share in shares.items()}
    return Cost(
        name=subject.entry.name,
        sensor=subject.sensor.name,
        detector=subject.shape.detector,
        features=subject.shape.kind,
        columns=monitor.head.width,
        rate_hz=subject.sensor.rate_hz,
        hop_s=subject.shape.hop_s,
        input=subject.origin,
        live_us=live_us,
        features_us=parts_us["features"],
        session_us=parts_us["session"],
        calibration_us=parts_us["calibration"],
        rest_us=round(live_us - sum(parts_us.values()), 2),
        watched_us=round(watched.best_us, 2),
        bare_us=round(straight.best_us, 2),
        ratio=round(live.best_us / straight.best_us, 3),
        chunked_us=round(chunked.best_us, 2),
        rows_per_s=round(subject.hop / chunked.best_us * 1e6),
        core_share=float(f"{live.best_us / 1e6 / subject.shape.hop_s:.4g}"),
    )


class Gauge:
    """Pass after pass of one kind; the one in which a window took least is kept."""

    def __init__(
        self, one_pass: Callable[[int], Split], seconds: float, most: int = MOST, windows: int = 1
    ) -> None:
        """`one_pass` pushes so many pieces of `windows` windows each; at most `most` at a time."""
        self._pass, self._seconds, self._most, self._windows = (
            one_pass,
            seconds,
            max(1, min(MOST, most)),
            windows,
        )
        self._count, self._spent_s, self._passes = 1, 0.0, -WARM_UP
        self.best_us, self.best = float("inf"), Split(1.0, {})

    @property
    def done(self) -> bool:
        """Whether it has had its time, and two passes that count."""
        return self._spent_s >= self._seconds and self._passes >= 2

    def go(self) -> None:
        """One more pass."""
        took = self._pass(self._count)
        self._spent_s += took.whole_s
        self._passes += 1
        each_us = took.whole_s / self._count / self._windows * 1e6
        if self._passes > 0 and each_us < self.best_us:
            self.best_us, self.best = each_us, took
        each_s = max(took.whole_s / self._count, 1e-7)
        self._count = max(1, min(self._most, int(self._seconds / PASSES / each_s)))


def take_turns(gauges: Sequence[Gauge]) -> None:
    """Until all are done."""
    while not all(gauge.done for gauge in gauges):
        for gauge in gauges:
            if not gauge.done:
                gauge.go()


class Road:
    """A monitor in a pipeline of its own, and how far its endless stream has come."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self._row = subject, 0
        self.monitor = make_monitor(subject.entry, subject.sensor)
        self.monitor.remember("bench", EvidenceConfig().memory_bytes)
        self.pipeline = Pipeline([self.monitor])

    def learn(self) -> bool:
        """Push rows until it has learned; False when it does not."""
        size = self._subject.hop
        most = 4 * len(self._subject.rows) // size
        while not self.monitor.armed and self._row < most * size:
            self.push(size, 64, process_time)
        return self.monitor.armed

    def push(self, size: int, count: int, clock: Clock) -> float:
        """The next `count` readings of `size` rows; seconds that the road took for them."""
        readings = self._subject.readings(size, count, self._row)
        self._row += size * count
        push = self.pipeline.push
        with _undisturbed():
            began = clock()
            for reading in readings:
                push([reading])
            return clock() - began


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No collection of garbage in between."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
