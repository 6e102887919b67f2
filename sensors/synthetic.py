"""A rotating machine that does not exist, with faults by schedule and on command."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from sensors.base import VIBRATION_FROM_HZ, AtLeast, NotNegative, OptionError, Positive, Reading, Sensor
from sensors.bearing import Bearing
from sensors.duty import Stage, drive
from sensors.machine import Fault, FaultKind, Machine
from sensors.recording import start_time

VIBRATION_HZ, TELEMETRY_HZ = 3200.0, 1.0
RESONANCE_HZ = 1200.0
LATE_S = 5.0  # a reader further behind than this has slept: a real sensor would have gone on without it


class Synthetic(Sensor):
    """A motor on a bearing, seen by an accelerometer or by slow instruments.

    The samples depend on the seed, the schedule and their index alone: not on the clock, and not on how they
    are cut into Readings.

    Options:
        output: vibration = acceleration along each axis; telemetry = speed, load, temperature, vibration rms
            and current.
        rate_hz: samples per second; 3200 for vibration and 1 for telemetry.
        speed_hz: the shaft's speed at the given load.
        load: mean load, 1 = rated.
        load_swing: how far the load swings around its mean.
        noise: the sensors' noise, 1 = usual.
        axes: how many axes the accelerometer has: x across, y up, z along the shaft.
        seed: another seed is another machine of the same make.
        bearing: the geometry of the bearing, which sets the frequencies of its faults.
        resonance_hz: what bearing impacts ring; 1200 Hz, or lower where the rate needs it.
        faults: what goes wrong, and when.
        schedule: what is asked of the machine, and when: speeds, loads, stops. It stands still before the first
            stage. Without a schedule it always runs at its own speed and load.
        duty: steady = always, or as scheduled; shifts = days that differ from each other, with starts, stops,
            pauses, nights and four settings of speed and load.
        duration_s: end after this long; without it, never.
        start: time of the first sample (Unix seconds or an ISO date); without it, now.
        block_s: length of one Reading.
        speed: times real time; 0 = as fast as it goes.
    """

    def __init__(
        self,
        *,
        output: Literal["vibration", "telemetry"] = "vibration",
        rate_hz: Positive | None = None,
        speed_hz: Positive = 24.7,
        load: NotNegative = 0.7,
        load_swing: NotNegative = 0.05,
        noise: NotNegative = 1.0,
        axes: Literal[1, 2, 3] = 2,
        seed: Annotated[int, AtLeast(0)] = 0,
        bearing: Bearing | None = None,
        resonance_hz: Positive | None = None,
        faults: Sequence[Fault] = (),
        schedule: Sequence[Stage] = (),
        duty: Literal["steady", "shifts"] = "steady",
        duration_s: Positive | None = None,
        start: float | str | None = None,
        block_s: Positive = 0.1,
        speed: NotNegative = 1.0,
    ) -> None:
        vibration = output == "vibration"
        self.rate_hz = rate_hz or (VIBRATION_HZ if vibration else TELEMETRY_HZ)
        if vibration and speed_hz > 0.45 * self.rate_hz:
            raise OptionError(
                "rate_hz", rate_hz, f"is too low to see a shaft at {speed_hz:g} Hz: sample faster"
            )
        if vibration and resonance_hz is not None and resonance_hz > 0.45 * self.rate_hz:
            raise OptionError("resonance_hz", resonance_hz, f"must be at most 0.45 x {self.rate_hz:g} Hz")
        for i, stage in enumerate(schedule):
            if duty != "steady":
                raise OptionError("schedule", None, f"and duty {duty} cannot both say what the machine does")
            if vibration and (stage.speed_hz or 0.0) > 0.45 * self.rate_hz:
                raise OptionError(
                    f"schedule[{i}].speed_hz", stage.speed_hz, f"must be at most 0.45 x {self.rate_hz:g} Hz"
                )
        if seed >= 2**64:
            raise OptionError("seed", seed, "must be below 2^64")
        self.kind = "vibration" if vibration and self.rate_hz >= VIBRATION_FROM_HZ else "telemetry"
        self.waits = speed != 1.0  # in real time it behaves as a sensor does: who is slow, misses samples
        self.speed = speed
        self.overruns = 0  # how often the reader was so late that samples were left out
        self._drive = functools.partial(drive, tuple(schedule), duty, seed, speed_hz, load)
        self._build = functools.partial(
            Machine,
            vibration=vibration,
            rate_hz=self.rate_hz,
            speed_hz=speed_hz,
            load=load,
            load_swing=load_swing,
            noise=noise,
            axes=axes,
            seed=seed,
            bearing=bearing or Bearing(),
            resonance_hz=resonance_hz
            or (min(RESONANCE_HZ, 0.35 * self.rate_hz) if vibration else RESONANCE_HZ),
        )
        self.channels = self._build().channels
        for i, fault in enumerate(faults):
            self._check_channel(fault, f"faults[{i}].channel")
        self._scheduled = self._faults = tuple(faults)
        self._start = start_time(start)
        self._total: int | None = None if duration_s is None else max(1, round(duration_s * self.rate_hz))
        self._block = max(1, round(block_s * self.rate_hz))
        self._machine: Machine | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The schedule as it stands, injected faults included."""
        return self._faults

    def inject(self, fault: Fault) -> None:
        """Add a fault; its `at_s` counts from the samples that are made next. Callable from any thread."""
        self._check_channel(fault, "channel")
        self._faults = (*self._faults, dataclasses.replace(fault, at_s=self._made_s() + fault.at_s))

    def clear(self, kind: FaultKind | None = None) -> None:
        """End the faults of one kind, or all, with the samples made next. Callable from any thread."""
        now = self._made_s()
        self._faults = tuple(
            dataclasses.replace(
                fault, for_s=min(now - fault.at_s, math.inf if fault.for_s is None else fault.for_s)
            )
            if kind in (None, fault.kind)
            else fault
            for fault in self._faults
            if fault.at_s < now or kind not in (None, fault.kind)
        )

    def progress(self) -> float:
        """The share of `duration_s` handed out, 0 to 1; 0 where it has no end."""
        if self._machine is None or self._total is None:
            return 0.0
        return self._index / self._total

    def open(self) -> None:
        self._faults = self._scheduled
        self._machine = self._build(drive=self._drive())
        self._made: NDArray[np.float32] = np.empty((0, len(self.channels)), np.float32)
        self._index: int = 0
        self.finished = False
        self._first_time = self.clock.now() if self._start is None else self._start
        self._began = self.clock.monotonic()

    def read(self, timeout: float) -> Reading | None:
        if self._machine is None:
            raise self.error("read before open")
        n = self._block if self._total is None else min(self._block, self._total - self._index)
        if n == 0 or not self._due(self._index + n - 1, timeout):
            return None
        pieces, rows = [self._made], len(self._made)
        while rows < n:
            pieces.append(self._machine.page(self._faults, n - rows))
            rows += len(pieces[-1])
        made = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        seconds = self._index / self.rate_hz
        late = sum(fault.so_far(seconds) for fault in self._faults if fault.kind == "wrong_rate")
        reading = Reading(self.name, self._first_time + seconds + late, self.rate_hz, made[:n])
        self._made = made[n:]
        self._index += n
        self.finished = self._index == self._total
        return reading

    def close(self) -> None:
        self._machine = None

    def _made_s(self) -> float:
        if self._machine is None:
            return 0.0
        return self._machine.pages * self._machine.page_rows / self.rate_hz

    def _check_channel(self, fault: Fault, path: str) -> None:
        names = [channel.name for channel in self.channels]
        if fault.channel is not None and fault.channel not in names:
            raise OptionError(path, fault.channel, f"must be one of {', '.join(names)}")

    def _due(self, row: int, timeout: float) -> bool:
        """Wait until that row would have been sampled; False where that is after `timeout`."""
        if self.speed == 0.0:
            return True
        wait = self._began + row / self.rate_hz / self.speed - self.clock.monotonic()
        if wait > timeout:
            self.clock.wait(max(0.0, timeout))
            return False
        if wait > 0.0:
            self.clock.wait(wait)
        elif wait < -LATE_S:
            self._began -= wait
            if not self.waits:
                self._first_time -= wait
                self.overruns += 1
        return True
