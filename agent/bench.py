"""What each monitor costs on this very device: `tocsin bench`."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import msgspec
import numpy as np

from agent.assemble import make_sensor, shape_of
from agent.checking import side_by_side
from agent.config import Config
from agent.detectors import Shape
from agent.measure import CHUNK, START, Cost, Subject, measure
from agent.memory import resident
from agent.monitor_config import MonitorConfig
from agent.offline import next_reading
from agent.progress import Progress
from agent.weight import MB, Load, WeighingError, Weight, weigh
from models.session import VERSION
from models.window import Array
from sensors.base import Channel, Kind, Reading, Sensor, SensorError

COPIES = 32
COPIED_BYTES, COPY_TRIES = 32 * 2**20, 5  # twice a large cache, and a quarter of a second on a slow board


class Memory(msgspec.Struct, kw_only=True):
    """What fresh agents take that listen to the first of the monitors measured; 1 MB is a million bytes."""

    one_monitor: Weight
    many_monitors: Weight  # on one sensor, sharing a graph
    many: int
    bench_mb: float  # resident, of this process


class Report(msgspec.Struct, kw_only=True, tag_field="schema", tag="tocsin.bench/1"):
    """All of it."""

    machine: str
    python: str
    onnxruntime: str
    numpy: str
    monitors: list[Cost]
    memory: Memory | None
    memory_unknown: str  # why there is none
    bandwidth_gb_s: float  # of memory, reading and writing, by one core
    left_out: dict[str, str]  # monitor -> why


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
    unknown = "no monitor was measured" if weighed else "not asked for"
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
            if weighed and len(costs) == 1 and not isinstance(subject, str):
                try:
                    memory, unknown = _memory(subject), ""
                except WeighingError as error:
                    unknown = str(error)
    return Report(
        machine=_machine(),
        python=platform.python_version(),
        onnxruntime=VERSION,
        numpy=np.__version__,
        monitors=costs,
        memory=memory,
        memory_unknown=unknown,
        bandwidth_gb_s=bandwidth_gb_s(),
        left_out=left_out,
    )


class Noise(Sensor):
    """A sensor only in its shape: what it gives is noise."""

    waits = True

    def __init__(self, name: str, channels: Sequence[Channel], rate_hz: float, kind: Kind) -> None:
        self.name, self.channels, self.rate_hz, self.kind = name, tuple(channels), rate_hz, kind
        self._random = np.random.default_rng(0)
        self._given = 0

    def open(self) -> None: ...
    def close(self) -> None: ...

    def read(self, timeout: float) -> Reading | None:
        time = START + self._given / self.rate_hz
        self._given += 1
        return Reading(self.name, time, self.rate_hz, self.rows(1))

    def rows(self, count: int) -> Array:
        """`(count, channels)` of new noise."""
        return self._random.standard_normal((count, len(self.channels)), np.float32)


def bandwidth_gb_s() -> float:
    """Bytes read and written a second, in units of 10^9, while one core copies an array that fits no cache; the best of
    some tries. Weights of models cannot come faster."""
    source = np.ones(COPIED_BYTES // 8)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(COPY_TRIES):
        began = perf_counter()
        np.copyto(target, source)
        best = min(best, perf_counter() - began)
    return round(2 * source.nbytes / best / 1e9, 2)


# What is measured.

STOCK = (
    MonitorConfig(name="8-channels-1-Hz", sensor="telemetry"),
    MonitorConfig(name="1-channel-1-Hz", sensor="slow", detector="level"),
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


# Memory.


def _memory(subject: Subject) -> Memory:
    """With one such monitor, and with many that share its graph; side by side. Raises WeighingError."""
    shape, rate_hz = subject.shape, subject.sensor.rate_hz
    load = Load(
        monitor=msgspec.structs.replace(subject.entry, features=shape.kind, detector=shape.detector),
        channels=[channel.name for channel in subject.sensor.channels],
        rate_hz=rate_hz,
        lesson_s=shape.learn * shape.hop / rate_hz,
        copies=1,
    )
    loads = [load, msgspec.structs.replace(load, copies=COPIES)]
    with ThreadPoolExecutor() as pool:
        one, many = pool.map(lambda each: weigh(each, subject.rows), loads)
    return Memory(one_monitor=one, many_monitors=many, many=COPIES, bench_mb=round(resident()[0] / MB, 1))


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
            f"memory of a `tocsin run`, in MB of 1,000,000 bytes: {_mb(memory.one_monitor)} with one monitor;"
            f" {_mb(memory.many_monitors)} with {memory.many} that share a graph. This process: {memory.bench_mb:.0f}"
        )
    elif found.memory_unknown:
        lines.append(f"memory: not measured: {found.memory_unknown}")
    lines.append(f"memory bandwidth, one core copying: {found.bandwidth_gb_s:g} GB/s")
    lines += [f"not measured: {name}: {why}" for name, why in found.left_out.items()]
    return "\n".join(lines)


def _mb(weight: Weight) -> str:
    return f"{weight.resident_mb:.0f} ({weight.anonymous_mb:.0f} anonymous, {weight.peak_mb:.0f} at its peak)"


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
