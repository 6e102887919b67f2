"""Healthy stretches of machines: what of the recordings has nothing wrong in it, and the synthetic machine, well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.monitor_config import MonitorConfig
from agent.quantities import SPAN, Span
from benchmarks import nab_files, skab_files
from benchmarks.recordings import files, folder
from benchmarks.road import Arrays, cuts
from sensors.base import Channel, Reading, Sensor
from sensors.synthetic import Synthetic

HOUR_S = 3600.0
BLOCK = 60  # rows a Reading: the same alarms as row by row
SYNTHETIC_LEARN = "13 h"
SNAPSHOT_HZ, SNAPSHOT_S = 25_600.0, 10.0  # PRONOSTIA
FIRST, LEARNED = 0.5, 0.1  # of a bearing's life: what is tested of it, and what it learns from


@dataclass(frozen=True, slots=True)
class Machine:
    """A healthy stretch: how its monitor is set up, and its readings."""

    name: str
    sensor: Sensor
    config: MonitorConfig
    readings: Callable[[], Iterator[Reading]]
    hours: float


def skab(data: str | None) -> Iterator[Machine]:
    """The pump rig's recordings without anomalies. Raises NoRecordings, as do the next two."""
    path = folder(data, "skab", ["anomaly-free/*.csv"])
    for file in files(path, ["anomaly-free/*.csv"]):
        recording = skab_files.read_one(file, path)
        yield of_rows(recording.name, recording.channels, recording.times, recording.values, 1.0)


def nab(data: str | None) -> Iterator[Machine]:
    """Slow channels without a window."""
    recordings, _, _ = nab_files.read(folder(data, "nab", [nab_files.LABELS]))
    for recording in recordings:
        if not recording.file.windows:
            values = recording.values.astype(np.float32)[:, None]
            channels = (Channel("value", "1"),)
            yield of_rows(recording.name, channels, recording.times, values, recording.rate_hz)


def of_rows(name: str, channels: Sequence[Channel], times: Any, values: Any, rate_hz: float) -> Machine:
    """Rows `(n, channels)` taken at `times`, at the defaults."""
    sensor = Arrays(channels, rate_hz)

    def readings() -> Iterator[Reading]:
        for start, stop in cuts(times, rate_hz, BLOCK):
            yield Reading(sensor.name, float(times[start]), rate_hz, values[start:stop])

    config = MonitorConfig(name="healthy", sensor=sensor.name)
    return Machine(name, sensor, config, readings, len(times) / rate_hz / HOUR_S)


def pronostia(data: str | None) -> Iterator[Machine]:
    """First halves of bearings' lives."""
    path = folder(data, "pronostia", ["*.npz"])
    for file in files(path, ["*.npz"]):
        with np.load(file, allow_pickle=False) as arrays:
            if "acc" not in arrays or arrays["acc"].ndim != 3:
                continue
            snapshots = arrays["acc"]
        life, length, axes = snapshots.shape
        sensor = Arrays([Channel(axis, "g") for axis in ("x", "y", "z")[:axes]], SNAPSHOT_HZ, "vibration")

        def readings(snapshots: Any = snapshots, life: int = life) -> Iterator[Reading]:
            for number, snapshot in enumerate(snapshots[: int(FIRST * life)]):
                yield Reading("recording", number * SNAPSHOT_S, SNAPSHOT_HZ, snapshot)

        config = MonitorConfig(
            name="healthy",
            sensor=sensor.name,
            window=Span(length, "rows"),
            snapshots_s=SNAPSHOT_S,
            learn=Span(int(LEARNED * life) * SNAPSHOT_S, "s"),
        )
        yield Machine(file.stem, sensor, config, readings, FIRST * life * SNAPSHOT_S / HOUR_S)


def synthetic(hours: float, first_seed: int, seeds: int) -> Iterator[Machine]:
    """Through loads, starts and stops."""
    for seed in range(first_seed, first_seed + seeds):
        sensor = Synthetic(
            output="telemetry",
            duty="shifts",
            seed=seed,
            speed=0,
            start=0.0,
            duration_s=hours * HOUR_S,
            block_s=BLOCK,
        )
        sensor.name = "recording"

        def readings(sensor: Synthetic = sensor) -> Iterator[Reading]:
            with sensor:
                while (reading := sensor.read(0)) is not None:
                    yield reading

        config = MonitorConfig(name="healthy", sensor="recording", learn=SPAN.parse(SYNTHETIC_LEARN))
        yield Machine(f"seed {seed}", sensor, config, readings, hours)
