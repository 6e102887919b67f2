"""Any sensor or converter with a driver in the kernel's Industrial I/O: asked at a tick, or captured by the kernel."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensors.base import (
    LARGEST,
    VIBRATION_FROM_HZ,
    Channel,
    Found,
    NotNegative,
    OptionError,
    PolledSensor,
    Positive,
    Reading,
    SensorError,
    sensor_name,
)
from sensors.iio_buffer import TIMESTAMP, Buffer
from sensors.iio_device import COMPONENTS, Device, chosen, components, numbers
from sensors.kernel_files import number, read
from sensors.sample_times import CLOCKS, Arrivals, Epoch, Run, Stamped, Timeline

POLLED_HZ = 1.0
# Periods of its own rate that a chip of ST's is waited for, for each channel that is asked for by itself: Linux,
# drivers/iio/common/st_sensors/st_sensors_core.c, st_sensors_read_axis_data and its bootime
WAKING = 2.0


@dataclass(frozen=True, slots=True)
class Source:
    """A channel's number in an attribute (polled) or in the frames (buffered): (raw + offset) * scale."""

    channel: Channel
    path: Path | None
    place: tuple[int, int]  # which element of the frame; which of the numbers of the element or attribute
    offset: float
    scale: float


class Iio(PolledSensor):
    """An IIO device of the kernel: accelerometer, gyroscope, converter, pressure, humidity, light, ...

    `capture: polled` reads its files in /sys at each tick. `capture: buffered` lets the kernel collect samples at the
    chip's own beat or a trigger's, with their times, and fetches them by the block: for vibration at kHz.

    Options:
        device: its name (`adxl345`), its label, or its folder in /sys/bus/iio/devices (`iio:device0`).
        channels: which of its channels, as the kernel calls them (`accel_x`, `voltage0`); without it, all.
        capture: polled = ask it at each tick; buffered = the kernel collects the samples.
        rate_hz: samples per second; polled without it 1, buffered without it what the device is set to.
        trigger: what makes the kernel take a sample, buffered: auto = what is set already, the device's own, or a
            timer; timer = a high-resolution timer; none = the device by itself; or a trigger's name.
        block_s: length of one Reading, buffered.
        depth_s: how much the kernel holds while nobody reads, buffered.
        root: where the file system begins; another root shows another board, e.g. in tests or from a container.
    """

    def __init__(
        self,
        *,
        device: str,
        channels: Sequence[str] | None = None,
        capture: Literal["polled", "buffered"] = "polled",
        rate_hz: Positive | None = None,
        trigger: str = "auto",
        block_s: Positive = 0.1,
        depth_s: NotNegative = 2.0,
        root: str = "/",
    ) -> None:
        if capture == "polled" and trigger != "auto":
            raise OptionError(
                "trigger", trigger, "is of capture: buffered; polled samples are taken at a tick"
            )
        if trigger == "timer" and rate_hz is None:
            raise OptionError("rate_hz", None, "is missing: a timer needs to know how often")
        self.root = Path(root)
        self.buffered = capture == "buffered"
        self.skipped: Counter[str] = Counter()
        self._device, self._wanted = device, channels
        self._rate_hz = rate_hz if self.buffered else rate_hz or POLLED_HZ
        self._trigger, self._block_s, self._depth_s = trigger, block_s, depth_s
        self._sources: tuple[Source, ...] = ()
        self._buffer: Buffer | None = None
        self._ready: deque[Reading] = deque()
        self._told(self._rate_hz or 0.0)

    @classmethod
    def find(cls, root: Path) -> Sequence[Found]:
        found: list[Found] = []
        for device, name in Device.all(root):
            channels = ", ".join(device.polled())
            options: dict[str, object] = {"device": name}
            if root != Path("/"):
                options["root"] = str(root)
            own = read(device.folder / "sampling_frequency").strip()
            waking_s = WAKING * len(device.polled()) / (number(own) or math.inf) if own else 0.0
            if waking_s > 0.5 / POLLED_HZ:  # half of the time is left to others on its bus
                options["rate_hz"] = float(f"{0.5 / waking_s:.1g}")
            if channels:
                captured = (device.folder / "scan_elements").is_dir()
                what = f"{device.folder.name}: {channels}" + ("; or capture: buffered" if captured else "")
                found.append(Found(sensor_name(name, "iio"), what, options))
        return found

    def open(self) -> None:
        self.close()
        try:
            device = Device.find(self.root, self._device)
            if self.buffered:
                self._start(device)
            else:
                self._sources = tuple(self._find(device))
        except SensorError as error:
            self.close()
            raise self.error(str(error)) from error
        self.channels = tuple(source.channel for source in self._sources)
        super().open()

    def read(self, timeout: float) -> Reading | None:
        if self._buffer is None:
            return super().read(timeout)
        if not self._ready:
            try:
                frames = self._buffer.read(max(0.0, timeout))
            except SensorError as error:
                raise self.error(str(error)) from error
            if frames is None:
                return None
            self._ready += self._readings(self._buffer, frames)
        return self._ready.popleft()

    def sample(self) -> tuple[float, ...]:
        texts: dict[Path, str] = {}
        wrong: OSError | None = None
        values = []
        for source in self._sources:
            assert source.path is not None
            try:
                if source.path not in texts:
                    texts[source.path] = source.path.read_text("utf-8", "replace")
                number = numbers(texts[source.path])[source.place[1]]
                value = (number + source.offset) * source.scale
                values.append(value if abs(value) <= LARGEST else self._missing("out_of_range"))
            except OSError as error:
                wrong = error
                values.append(self._missing("failed_reads"))
            except (ValueError, IndexError):
                values.append(self._missing("not_a_number"))
        if wrong is not None and not texts:
            raise wrong
        return tuple(values)

    def close(self) -> None:
        super().close()
        if self._buffer is not None:
            self._buffer.stop()
            self._buffer = None
        self._ready.clear()

    def _told(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        fast = self.buffered and (rate_hz >= VIBRATION_FROM_HZ or not rate_hz)
        self.kind = "vibration" if fast else "telemetry"

    def _find(self, device: Device) -> list[Source]:
        """The attributes to ask, in the order of the channels."""
        files = device.polled()
        found = []
        for name in chosen(self._wanted, files, str(device.folder)):
            # the only channel of several numbers (Linux, Documentation/ABI/testing/sysfs-bus-iio); others are not read
            # to count theirs, for a chip may have to wake for it
            count = len(COMPONENTS) if name.endswith("quaternion") else 1
            meaning = device.meaning(name, reckoned=files[name].name.endswith("_input"))
            for i, each in enumerate(components(name, count)):
                channel = Channel(each, meaning.unit)
                found.append(Source(channel, files[name], (0, i), meaning.offset, meaning.scale))
        return found

    def _start(self, device: Device) -> None:
        self._buffer = buffer = Buffer(device)
        buffer.start(self._wanted, self._rate_hz, self._trigger, self._block_s, self._depth_s)
        self._told(buffer.rate_hz)
        self._sources = tuple(self._lie(device, buffer))
        self._stamped, self._arrivals = Stamped(self.rate_hz), Arrivals(self.rate_hz)
        self._timeline = Timeline(self.rate_hz)
        self._stamps_at = next(
            (i for i, element in enumerate(buffer.elements) if element.channel == TIMESTAMP), None
        )
        self._epoch = Epoch(self._clock_of(device), self.clock)

    def _lie(self, device: Device, buffer: Buffer) -> list[Source]:
        """Where the channels lie in the frames, in the order in which they were asked for."""
        places = {element.channel: (i, element) for i, element in enumerate(buffer.elements)}
        found = []
        for name in self._wanted or [name for name in places if name != TIMESTAMP]:
            i, element = places[name]
            meaning = device.meaning(name)
            for j, each in enumerate(components(name, element.format.repeat)):
                channel = Channel(each, meaning.unit)
                found.append(Source(channel, None, (i, j), meaning.offset, meaning.scale))
        return found

    def _clock_of(self, device: Device) -> str:
        path = device.folder / "current_timestamp_clock"
        try:
            name = path.read_text("utf-8").strip()
        except OSError:
            return "realtime"  # what all stamps were before a device could say
        if name not in CLOCKS:
            raise SensorError(f"{path}: a clock {name} is not known: write realtime into it")
        return name

    def _readings(self, buffer: Buffer, frames: bytes) -> list[Reading]:
        elements = buffer.frames.decode(frames)
        values = np.empty((len(elements[0]), len(self._sources)), np.float32)
        with np.errstate(all="ignore"):  # a chip of floating point may say NaN, or more than float32 holds
            for column, source in enumerate(self._sources):
                element, number = source.place
                raw = elements[element][:, number]
                # a float16 would be scaled as one
                values[:, column] = np.add(raw, source.offset, dtype=np.float64) * source.scale
        infinite = np.isinf(values)
        if infinite.any():
            values[infinite] = math.nan
            self.skipped["out_of_range"] += int(infinite.sum())
        readings = []
        for run in self._runs(elements, len(values)):
            if run.lost:
                self.skipped["lost_samples"] += run.lost
            time = self._timeline.place(run.time, run.stop - run.first)
            readings.append(Reading(self.name, time, self.rate_hz, values[run.first : run.stop]))
        return readings

    def _runs(self, elements: list[NDArray[Any]], rows: int) -> list[Run]:
        if self._stamps_at is not None:
            stamps: NDArray[np.int64] = elements[self._stamps_at][:, 0]
            if stamps.min() > 0:
                return self._stamped.runs(stamps, self._epoch.offset_s())
            self.skipped["bad_times"] += rows  # a driver that has none to give writes zeros
        return [self._arrivals.run(rows, self.clock.now())]

    def _missing(self, reason: str) -> float:
        self.skipped[reason] += 1
        return math.nan
