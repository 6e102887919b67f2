"""What the monitors of a simulated day listen to: a motor that fails now and then, and recordings laid out over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from agent.monitor_config import MonitorConfig
from agent.quantities import SPAN, Span
from benchmarks import nab_files, skab_files
from benchmarks.pronostia import RATE_HZ as BEARING_HZ
from benchmarks.pronostia_lives import EVERY_S, lesson
from benchmarks.recordings import NoRecordings, files, folder
from benchmarks.road import Arrays
from models.features import Feature, Features
from models.window import Array, Windows
from sensors.base import Channel, Reading
from sensors.machine import Fault, FaultKind
from sensors.synthetic import Synthetic

START = 1_700_006_400.0  # Unix seconds of hour 0: a midnight
DAY_S, HOUR_S = 86_400.0, 3600.0
MOTOR_HZ, BLOCK_S = 3200.0, 0.1
SHIFT_S = (
    4 * 3600.0
)  # of a motor are made, and repeated: with an agent's looks they never meet the same twice
FIRST_FAULT_S, EVERY_FAULT_S, CALM_S = (
    300.0,
    400.0,
    200.0,
)  # from one fault to the next; calm again after the first
# Each a machine of its own with faults of its own, and so far ahead of the last that they do not fail together. Whether
# a fault at the very edge of normal is heard is luck, and fewer of them would make it that of the whole table.
MOTORS = 4
KINDS = ("imbalance", "misalignment", "looseness", "bearing_outer", "bearing_inner", "hidden")
SEVERITIES = (0.02, 0.05, 0.1, 0.2)
LASTS_S = (150.0, 60.0, 90.0, 30.0)
# A fault that the sentinel cannot hear: of the noise between the first and the last band so much as there is, times
# this by severity, goes into the middle one, so that RMS and the RMS of the slope stay as they were.
HIDDEN = dict(zip(SEVERITIES, (0.25, 0.5, 0.75, 1.0), strict=True))
BANDS_HZ = ((400.0, 600.0), (760.0, 960.0), (1000.0, 1200.0))
MOTOR_DELAY_S, SKAB_DELAY_S, BEARING_DELAY_S, SLOW_DELAY_S = 60.0, 60.0, 1800.0, 60.0
SLOW = "realKnownCause/"
FAILING_S = 1800.0  # the end of a bearing's life


class Anomaly(NamedTuple):
    """Something that is to be heard."""

    start: float  # seconds of the day
    stop: float
    name: str


@dataclass(frozen=True, slots=True)
class Stream:
    """One sensor with its monitor, over the day."""

    name: str
    sensor: Arrays
    config: MonitorConfig
    readings: Sequence[tuple[float, NDArray[np.float32]]]  # seconds of the day at their end, samples
    anomalies: tuple[Anomaly, ...]
    family: str  # "motor", "skab", "pronostia", "nab"
    repeats_s: float = 0.0  # the readings begin again after so long
    ahead_s: float = 0.0  # and the first of the day comes from so far into them

    def due(self, hours: float) -> Iterator[tuple[float, Reading]]:
        """Readings of the day with the second at which each is there, in order."""
        end, shift = hours * HOUR_S, -self.ahead_s
        while True:
            for at, values in self.readings:
                if at + shift > end:
                    return
                if at + shift < len(values) / self.sensor.rate_hz - 1e-9:
                    continue
                began = START + at + shift - len(values) / self.sensor.rate_hz
                yield at + shift, Reading(self.sensor.name, began, self.sensor.rate_hz, values)
            if not self.repeats_s:
                return
            shift += self.repeats_s

    def happening(self, hours: float) -> list[Anomaly]:
        """What is to be heard in the day."""
        repeats = int(hours * HOUR_S // self.repeats_s) + 2 if self.repeats_s else 1
        shifts = [i * self.repeats_s - self.ahead_s for i in range(repeats)]
        return [
            Anomaly(each.start + shift, each.stop + shift, each.name)
            for shift in shifts
            for each in self.anomalies
            if each.start + shift > 0 and each.stop + shift <= hours * HOUR_S
        ]


@dataclass
class Remembered:
    """Features of windows that many agents see, made once: the same rows, and the CPU time that making them took, which
    each agent is charged for as often as it asks."""

    features: Features
    repeats_s: float = 0.0
    ahead_s: float = 0.0
    rows: dict[int, tuple[Array, float]] = field(default_factory=dict)
    owed_s: float = 0.0  # for what was asked since this was last set to 0

    @property
    def columns(self) -> tuple[Feature, ...]:
        return self.features.columns

    def extract(self, windows: Windows) -> Array:
        found = []
        for i, time in enumerate(windows.times):
            since = time - START + self.ahead_s
            key = round((since % self.repeats_s if self.repeats_s else since) * 1e6)
            whole = not self.repeats_s or since % self.repeats_s > windows.length / MOTOR_HZ
            if not whole or key not in self.rows:
                first = i * windows.hop
                alone = Windows(
                    [time],
                    windows.rows[first : first + windows.length],
                    windows.length,
                    windows.length,
                    False,
                )
                before = process_time()
                row = self.features.extract(alone)[0]
                took_s = process_time() - before
                if not whole:
                    self.owed_s += took_s
                    found.append(row)
                    continue
                self.rows[key] = row, took_s
            row, took_s = self.rows[key]
            self.owed_s += took_s
            found.append(row)
        return np.stack(found)


def motors(hours: float, count: int = MOTORS) -> list[Stream]:
    """Of the synthetic machine: healthy, and every few minutes a fault that begins and ends."""
    return [_motor(number, min(SHIFT_S, hours * HOUR_S)) for number in range(count)]


def _motor(motor: int, span_s: float) -> Stream:
    faults, anomalies, hidden = [], [], list[tuple[Anomaly, float]]()
    for i, at in enumerate(np.arange(FIRST_FAULT_S, span_s - max(LASTS_S) - 60.0, EVERY_FAULT_S).tolist()):
        kind = KINDS[i % len(KINDS)]
        severity = SEVERITIES[(i + i // len(KINDS) + motor) % len(SEVERITIES)]
        lasts_s = LASTS_S[(i // 2 + i // 12 + 2 * motor) % len(LASTS_S)]
        anomalies.append(Anomaly(at, at + lasts_s, f"{kind} {severity:g}, {lasts_s:g} s"))
        if kind == "hidden":
            hidden.append((anomalies[-1], HIDDEN[severity]))
        else:
            faults.append(Fault(cast(FaultKind, kind), at_s=at, for_s=lasts_s, severity=severity))
    made = Synthetic(
        rate_hz=MOTOR_HZ,
        axes=2,
        seed=motor,
        speed=0,
        start=0.0,
        duration_s=span_s,
        faults=faults,
        block_s=60.0,
    )
    pieces = []
    with made:
        while not made.finished:
            reading = made.read(0.0)
            if reading is not None:
                pieces.append(reading.values)
    values = np.concatenate(pieces)
    for anomaly, share in hidden:
        span = slice(round(anomaly.start * MOTOR_HZ), round(anomaly.stop * MOTOR_HZ))
        values[span] = hide(values[span], share)
    block = round(BLOCK_S * MOTOR_HZ)
    cuts = range(0, len(values) - block + 1, block)
    readings = [((first + block) / MOTOR_HZ, values[first : first + block]) for first in cuts]
    ahead_s = FIRST_FAULT_S + CALM_S + round(motor * len(anomalies) / MOTORS) * EVERY_FAULT_S
    sensor = Arrays(made.channels, MOTOR_HZ, "vibration")
    sensor.name = f"motor {motor + 1}"
    config = MonitorConfig(name=sensor.name, sensor=sensor.name, max_delay_s=MOTOR_DELAY_S)
    return Stream(sensor.name, sensor, config, readings, tuple(anomalies), "motor", span_s, ahead_s)


def hide(values: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """The samples `(n, axes)` with power moved between BANDS_HZ: none of their mean square, nor of that of their slope,
    is gained or lost."""
    spectrum = np.fft.rfft(values.astype(np.float64), axis=0)
    hz = np.fft.rfftfreq(len(values), 1 / MOTOR_HZ)
    slope = (2 * np.sin(np.pi * hz / MOTOR_HZ)) ** 2
    for axis in range(values.shape[1]):
        power = np.abs(spectrum[:, axis]) ** 2
        bands = [(hz >= low) & (hz < high) for low, high in BANDS_HZ]
        held = [float(power[band].sum()) for band in bands]
        steep = [
            float((power * slope)[band].sum()) / max(each, 1e-300)
            for band, each in zip(bands, held, strict=True)
        ]
        low, middle, high = steep
        of_high = (middle - low) / (high - low)  # of what the middle band gains
        most = min(0.9 * held[0] / (1 - of_high), 0.9 * held[2] / of_high)
        moved = share * most
        gains = (-moved * (1 - of_high), moved, -moved * of_high)
        for band, each, gain in zip(bands, held, gains, strict=True):
            spectrum[band, axis] *= np.sqrt(1 + gain / each)
    found: NDArray[np.float32] = np.fft.irfft(spectrum, len(values), axis=0).astype(np.float32)
    return found


def pumps(data: str | None) -> list[Stream]:
    """SKAB's files one after the other over the day, each with a monitor that learns from its first 400 rows."""
    recordings, _ = skab_files.read(folder(data, "skab", skab_files.PATTERNS))
    found = []
    for i, recording in enumerate(recordings):
        slot = i * DAY_S / len(recordings)
        rows = len(recording.values)
        readings = [(slot + row + 1.0, recording.values[row : row + 1]) for row in range(rows)]
        edges = np.flatnonzero(np.diff(np.concatenate(([0], recording.anomaly.astype(int), [0])))).reshape(
            -1, 2
        )
        anomalies = [
            Anomaly(slot + a + 1.0, slot + b + 1.0, "anomaly")
            for a, b in edges.tolist()
            if a > skab_files.TRAIN
        ]
        sensor = Arrays(recording.channels, 1.0)
        sensor.name = recording.name
        config = MonitorConfig(
            name=recording.name,
            sensor=recording.name,
            learn=Span(skab_files.TRAIN, "rows"),
            max_delay_s=SKAB_DELAY_S,
        )
        found.append(Stream(recording.name, sensor, config, readings, tuple(anomalies), "skab"))
    return found


def bearings(data: str | None) -> list[Stream]:
    """PRONOSTIA's bearings, side by side from midnight on, until each has failed."""
    found = []
    for file in files(folder(data, "pronostia", ["*.npz"]), ["*.npz"]):
        with np.load(file, allow_pickle=False) as archive:
            snapshots = archive["acc"]
        count, length, axes = snapshots.shape
        readings = [((i + 1) * EVERY_S, snapshots[i]) for i in range(count)]
        end = count * EVERY_S
        sensor = Arrays([Channel(f"axis {i + 1}", "g") for i in range(axes)], BEARING_HZ, "vibration")
        sensor.name = file.stem
        config = MonitorConfig(
            name=file.stem,
            sensor=file.stem,
            features="vibration",
            window=Span(length, "rows"),
            snapshots_s=EVERY_S,
            learn=Span(lesson(count) * EVERY_S, "s"),
            max_delay_s=BEARING_DELAY_S,
        )
        anomalies = (Anomaly(end - FAILING_S, end, "failing"),)
        found.append(Stream(file.stem, sensor, config, readings, anomalies, "pronostia"))
    return found


def slow(data: str | None) -> list[Stream]:
    """NAB's machines and services with a known cause, each drawn together into one day."""
    recordings, _, _ = nab_files.read(folder(data, "nab", [nab_files.LABELS]))
    found = []
    for recording in recordings:
        if not recording.name.startswith(SLOW):
            continue
        name = Path(recording.name).stem
        period = DAY_S / len(recording.values)
        values = recording.values.astype(np.float32)[:, None]
        readings = [((i + 1) * period, values[i : i + 1]) for i in range(len(values))]
        anomalies = tuple(
            Anomaly((a + 1) * period, (b + 1) * period, "labelled") for a, b in recording.file.windows
        )
        sensor = Arrays([Channel("value")], 1 / period)
        sensor.name = name
        config = MonitorConfig(
            name=name, sensor=name, detector="level", learn=SPAN.parse("750 rows"), max_delay_s=SLOW_DELAY_S
        )
        found.append(Stream(name, sensor, config, readings, anomalies, "nab"))
    return found


def recorded(data: str | None) -> tuple[list[Stream], list[str]]:
    """All recordings that are there, and what is not."""
    found: list[Stream] = []
    missing = []
    for name, make in (("skab", pumps), ("pronostia", bearings), ("nab", slow)):
        try:
            found += make(data)
        except NoRecordings:
            missing.append(name)
    return found, missing
