"""What each monitor costs on this very device: `tocsin bench`."""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import process_time

import msgspec
import numpy as np

from agent import bare
from agent.assemble import Shape, make_monitor, make_sensor, shape_of
from agent.checking import side_by_side
from agent.config import Config, MonitorConfig
from agent.memory import resident
from agent.offline import next_reading
from agent.pipeline import Monitor, Pipeline
from agent.progress import Progress
from agent.stopwatch import Part, stopwatch
from agent.weight import START, Load, Noise, weigh
from models.session import VERSION
from models.window import Array, Windows
from sensors.base import Channel, Kind, Reading, Sensor, SensorError

MOST, LARGEST = 20_000, 32 * 2**20  # windows and bytes in one pass
PASSES = 8  # about; the best counts, for everything else on this computer only makes it slower
CHUNK = 4096  # rows at a time where they need not come one by one
COPIES = 32
MB = 1e6


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
    live_us: float  # the whole road, of which:
    features_us: float
    session_us: float
    calibration_us: float
    rest_us: float
    bare_us: float  # the same calls of numpy and onnxruntime in a bare loop
    ratio: float  # live over bare
    chunked_us: float  # with CHUNK rows at a time
    rows_per_s: float  # the same
    core_share: float  # of one core, live, at the sensor's own rate


class Memory(msgspec.Struct, kw_only=True):
    """Resident memory in MB of fresh processes that import what the agent does."""

    bench_mb: float  # of this process
    one_monitor_mb: float
    many_monitors_mb: float
    many: int


class Report(msgspec.Struct, kw_only=True, tag_field="schema", tag="tocsin.bench/1"):
    """All of it."""

    machine: str
    python: str
    onnxruntime: str
    numpy: str
    monitors: list[Cost]
    memory: Memory | None
    left_out: dict[str, str]  # monitor -> why


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


def command(config: Config | None, *, seconds: float, as_json: bool) -> int:
    """`tocsin bench`; without a configuration, of three usual monitors."""
    found = report(config, seconds)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print(table(found))
    return 0 if found.monitors else 2


def report(config: Config | None, seconds: float, *, weighed: bool = True) -> Report:
    """Measure; `seconds` for each of the three measurements of each monitor."""
    costs: list[Cost] = []
    left_out: dict[str, str] = {}
    memory: Memory | None = None
    with Progress("bench") as bar:
        entries = list(STOCK if config is None else config.monitors.values())
        for i, entry in enumerate(entries):
            share, words = i / len(entries), f"monitor {entry.name}"
            bar.tell(lambda: share, lambda: words)  # noqa: B023
            subject = _subject(config, entry)
            found = subject if isinstance(subject, str) else measure(subject, seconds)
            if isinstance(found, str):
                left_out[entry.name] = found
                continue
            costs.append(found)
            if weighed and memory is None and not isinstance(subject, str):
                memory = _memory(subject)
    return Report(
        machine=_machine(),
        python=platform.python_version(),
        onnxruntime=VERSION,
        numpy=np.__version__,
        monitors=costs,
        memory=memory,
        left_out=left_out,
    )


# What is measured.

STOCK = (
    MonitorConfig(name="8-channels-1-Hz", sensor="telemetry"),
    MonitorConfig(name="1-channel-1-Hz", sensor="slow"),
    MonitorConfig(name="3-axes-3200-Hz", sensor="vibration"),
)
STOCK_SHAPES: dict[str, tuple[int, float, Kind]] = {
    "telemetry": (8, 1.0, "telemetry"),
    "slow": (1, 1.0, "telemetry"),
    "vibration": (3, 3200.0, "vibration"),
}


def _subject(config: Config | None, entry: MonitorConfig) -> Subject | str:
    """The monitor with rows to learn from, or why there are none."""
    if config is None:
        channels, rate_hz, kind = STOCK_SHAPES[entry.sensor]
        return _noisy(
            entry, Noise(entry.sensor, [Channel(f"c{i + 1}") for i in range(channels)], rate_hz, kind)
        )
    told = config.sensors[entry.sensor]
    quick = told.driver in ("recording", "synthetic")
    if quick:
        told = msgspec.structs.replace(told, options={**told.options, "speed": 0.0})
    sensor = make_sensor(told)
    if sensor.channels and sensor.rate_hz and not quick:
        return _noisy(entry, Noise(sensor.name, sensor.channels, sensor.rate_hz, sensor.kind))
    try:
        return _listened(entry, sensor, quick)
    except SensorError as error:
        return str(error)


def _listened(entry: MonitorConfig, sensor: Sensor, quick: bool) -> Subject | str:
    """Of an opened sensor: its rows where it gives them at once, else only its channels. Raises SensorError."""
    with sensor:
        if not quick:
            return _noisy(entry, Noise(sensor.name, sensor.channels, sensor.rate_hz, sensor.kind))
        shape = shape_of(entry, sensor, len(entry.channels) or len(sensor.channels))
        needed, pieces, count = _needed(shape), [], 0
        while count < needed and (reading := next_reading(sensor)) is not None:
            rows = reading.values[np.isfinite(reading.values).all(axis=1)]
            pieces.append(rows)
            count += len(rows)
        if count < shape.learn * shape.hop + shape.window:
            return f"{sensor.name} has {count} whole rows: it takes {needed} to learn and to measure"
        return Subject(entry, sensor, shape, np.concatenate(pieces)[:needed], "recorded rows")


def _noisy(entry: MonitorConfig, sensor: Noise) -> Subject:
    shape = shape_of(entry, sensor, len(entry.channels) or len(sensor.channels))
    return Subject(entry, sensor, shape, sensor.rows(_needed(shape)), "noise")


def _needed(shape: Shape) -> int:
    """Rows enough to learn from, and a few more where some are found abnormal."""
    return shape.window + 5 * shape.learn * shape.hop // 4


# Measuring.


def measure(subject: Subject, seconds: float) -> Cost | str:
    """What the monitor costs, or why that cannot be said."""
    road = _Road(subject)
    if not road.learn():
        return f"does not learn from its rows: it {road.monitor.status().needs}"
    hop = subject.hop
    live_us = road.best_us(hop, seconds)
    with stopwatch() as parts:
        road.best_us(hop, seconds / 2, parts)
    chunked_us = road.best_us(max(CHUNK // hop, 1) * hop, seconds / 2)
    bare_us = _bare_us(subject, road.monitor, seconds)
    return Cost(
        name=subject.entry.name,
        sensor=subject.sensor.name,
        detector=subject.shape.detector,
        features=subject.shape.kind,
        columns=road.monitor.head.width,
        rate_hz=subject.sensor.rate_hz,
        hop_s=subject.shape.hop_s,
        input=subject.origin,
        live_us=round(live_us, 2),
        features_us=round(parts["features"].least_us, 2),
        session_us=round(parts["session"].least_us, 2),
        calibration_us=round(parts["calibration"].least_us, 2),
        rest_us=round(max(0.0, live_us - sum(part.least_us for part in parts.values())), 2),
        bare_us=round(bare_us, 2),
        ratio=round(live_us / bare_us, 3),
        chunked_us=round(chunked_us, 2),
        rows_per_s=round(hop / chunked_us * 1e6),
        core_share=float(f"{live_us / 1e6 / subject.shape.hop_s:.4g}"),
    )


class _Road:
    """A monitor in a pipeline of its own, and how far its endless stream has come."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self._row = subject, 0
        self.monitor = make_monitor(subject.entry, subject.sensor)
        self._pipeline = Pipeline([self.monitor])

    def learn(self) -> bool:
        """Push rows until it has learned; False when it does not."""
        size = self._subject.hop
        most = 4 * len(self._subject.rows) // size
        while not self.monitor.armed and self._row < most * size:
            for reading in self._subject.readings(size, 64, self._row):
                self._pipeline.push([reading])
            self._row += 64 * size
        return self.monitor.armed

    def push(self, reading: Reading) -> None:
        """One reading of one's own."""
        self._pipeline.push([reading])

    def best_us(self, size: int, seconds: float, parts: dict[str, Part] | None = None) -> float:
        """Microseconds of CPU for each window, `size` rows at a time: the best of many passes."""
        windows = size // self._subject.hop
        bytes_each = size * self._subject.rows.shape[1] * 4
        count, best, spent, passes = 1, float("inf"), 0.0, -2  # the first two only warm up
        while spent < seconds or passes < 2:
            readings = self._subject.readings(size, count, self._row)
            self._row += size * count
            push = self._pipeline.push
            for part in (parts or {}).values():
                part.spent_s = 0.0
            with _undisturbed():
                began = process_time()
                for reading in readings:
                    push([reading])
                took = process_time() - began
            spent, passes = spent + took, passes + 1
            if passes > 0:
                best = min(best, took / count / windows * 1e6)
                for part in (parts or {}).values():
                    part.end(count * windows)
            count = _count(seconds, took / count, LARGEST // bytes_each)
        return best


def _bare_us(subject: Subject, monitor: Monitor, seconds: float) -> float:
    """The same for the bare loop."""
    assert monitor.baseline is not None
    learned = monitor.baseline.learned
    count, best, spent, passes = 1, float("inf"), 0.0, -2
    while spent < seconds or passes < 2:
        windows = subject.windows(count)
        run = bare.loop(monitor.head, learned, monitor._features, windows)
        with _undisturbed():
            took, _ = run()
        spent, passes = spent + took, passes + 1
        if passes > 0:
            best = min(best, took / count * 1e6)
        count = _count(seconds, took / count, MOST)
    return best


def _count(seconds: float, each_s: float, most: int) -> int:
    """Windows, or pieces, for the next pass."""
    return max(1, min(MOST, most, int(seconds / PASSES / max(each_s, 1e-7))))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No collection of garbage in between."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Memory.


def _memory(subject: Subject) -> Memory:
    """With one such monitor, and with many that share its graph."""
    load = Load(
        monitor=subject.entry,
        channels=[channel.name for channel in subject.sensor.channels],
        rate_hz=subject.sensor.rate_hz,
        kind=subject.sensor.kind,
        hop=subject.hop,
        copies=1,
    )
    one, many = weigh(load), weigh(msgspec.structs.replace(load, copies=COPIES))
    return Memory(
        bench_mb=round(resident()[0] / MB, 1),
        one_monitor_mb=round(one / MB, 1),
        many_monitors_mb=round(many / MB, 1),
        many=COPIES,
    )


# Telling.


def table(found: Report) -> str:
    """The report for a person."""
    head = (
        "MONITOR",
        "DETECTOR",
        "INPUT",
        "us/window",
        "features",
        "session",
        "calibr.",
        "rest",
        "bare",
        "ratio",
    )
    rows: list[tuple[str, ...]] = [(*head, f"us by {CHUNK}", "rows/s", "of a core")]
    for cost in found.monitors:
        figures = (
            cost.live_us,
            cost.features_us,
            cost.session_us,
            cost.calibration_us,
            cost.rest_us,
            cost.bare_us,
        )
        rows.append(
            (
                cost.name,
                f"{cost.detector} on {cost.columns} of {cost.features}",
                cost.input,
                *(f"{figure:.1f}" for figure in figures),
                f"{cost.ratio:.2f}",
                f"{cost.chunked_us:.2f}",
                f"{cost.rows_per_s:,.0f}",
                f"{100 * cost.core_share:.3g} %",
            )
        )
    lines = [
        f"{found.machine}; Python {found.python}, onnxruntime {found.onnxruntime}, numpy {found.numpy}",
        "",
    ]
    lines += [*side_by_side(rows), ""]
    lines.append(
        "us/window: CPU time of the whole road when samples come one hop at a time; bare: the same calls of"
    )
    lines.append(f"numpy and onnxruntime in a bare loop; rows/s: {CHUNK} rows at a time, from memory.")
    if found.memory is not None:
        memory = found.memory
        lines.append(
            f"memory: {memory.one_monitor_mb:.0f} MB with one monitor, {memory.many_monitors_mb:.0f} MB with"
            f" {memory.many} that share a graph; this process {memory.bench_mb:.0f} MB"
        )
    lines += [f"not measured: {name}: {why}" for name, why in found.left_out.items()]
    return "\n".join(lines)


def _machine() -> str:
    """The processor as the kernel calls it."""
    model = ""
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(
                (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
            )
        with open("/proc/device-tree/model") as lines:
            model = lines.read().strip("\0\n ")
    except OSError:
        pass
    return f"{model or platform.processor() or 'unknown processor'} ({platform.machine()}, {os.cpu_count()} cores)"
