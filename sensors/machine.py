"""The physics of a rotating machine that does not exist: what its sensors would see, page by page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, NotNegative, OptionError
from sensors.bearing import Bearing
from sensors.duty import STREAM, Drive, Motion
from sensors.spoiler import CHANNEL_FAULTS, Spoiler

BearingFault = Literal["bearing_outer", "bearing_inner", "bearing_ball"]
FaultKind = Literal[
    "imbalance",
    "misalignment",
    "looseness",
    "bearing_outer",
    "bearing_inner",
    "bearing_ball",
    "dropout",
    "stuck",
    "saturated",
    "spikes",
    "wrong_rate",
]
BEARING_FAULTS: tuple[BearingFault, ...] = ("bearing_outer", "bearing_inner", "bearing_ball")
SENSOR_FAULTS = (*CHANNEL_FAULTS, "wrong_rate")

AXES = ("x", "y", "z")  # horizontal, vertical, along the shaft
TELEMETRY = (
    Channel("speed", "Hz"),
    Channel("load", "%"),
    Channel("temperature", "Cel"),
    Channel("vibration", "m/s2"),
    Channel("current", "A"),
)

# Amplitudes in m/s2 at full severity and full load. They are this machine's own, set so that a healthy one
# shakes with about 1 mm/s rms at 24.7 Hz and one at severity 1 with far more than anyone would let it. Which
# orders and axes a fault shows in is common knowledge of the trade (imbalance 1x, misalignment 2x and axial).
ORDERS = 8  # highest harmonic of the shaft
HEALTHY = {1.0: 0.25, 2.0: 0.12, 3.0: 0.06, 4.0: 0.04}
LINE_HUM = 0.05  # twice the mains frequency: the pull of the motor's field
NOISE_RMS = 0.15
IMBALANCE = 4.0  # 1x, radial
MISALIGNMENT = {1.0: 0.8, 2.0: 3.0, 3.0: 0.5}  # 2x leads, strongest along the shaft
LOOSENESS = {
    0.5: 0.9,
    1.0: 1.5,
    1.5: 0.7,
    2.0: 1.2,
    2.5: 0.5,
    3.0: 0.9,
    4.0: 0.7,
    5.0: 0.5,
    6.0: 0.4,
    7.0: 0.3,
    8.0: 0.2,
}
IMPACT = 10.0  # height of the ringing after one impact
SLIP = 0.01  # impacts come 1 to 2 % beside the kinematic interval, at random: see Bearing
DAMPING = 0.05  # of the resonance that the impacts ring
RADIAL = (1.0, 0.8, 0.35)  # how strongly x, y and z see a force across the shaft
AXIAL = (0.5, 0.4, 1.0)  # ... and along it
MAINS_HZ = 50.0

AMBIENT_C = 22.0
LOAD_C = 30.0  # rise at full load
FAULT_C = {
    "bearing_outer": 15.0,
    "bearing_inner": 15.0,
    "bearing_ball": 12.0,
    "misalignment": 8.0,
    "looseness": 2.0,
}
THERMAL_S = 300.0  # time constant of the bearing housing
NO_LOAD_A, LOAD_A = 2.0, 8.0
SLIP_PER_LOAD = 0.02  # an induction motor turns slower under load
TELEMETRY_NOISE = (0.01, 0.4, 0.05, 0.01, 0.04)  # rms, in the units of TELEMETRY

# Only of a machine with a schedule:
INRUSH_A = 40.0  # more than at no load while the shaft stands: an induction motor takes 5 to 7 times its rated current
FRICTION_C = 6.0  # rise at its own speed without load
QUIET = 0.2  # of the noise is the sensor's own, and there at standstill
DRAWN_ROWS = 4096  # noise of telemetry under a schedule is drawn for so many rows at once

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Options:
        kind: what goes wrong; from dropout on these are faults of the sensor, the others of the machine.
        at_s: when it begins, after the first sample.
        for_s: how long it lasts; without it, for good.
        severity: 0 = healthy, 1 = ready to be stopped; what it means to a fault of the sensor, see below.
        ramp_s: time from nothing to full severity.
        channel: which channel of the sensor is at fault; without it, all.
    """

    kind: FaultKind
    at_s: NotNegative = 0.0
    for_s: NotNegative | None = None
    severity: NotNegative = 1.0
    ramp_s: NotNegative = 0.0
    channel: str | None = None

    def __post_init__(self) -> None:
        if self.channel is not None and self.kind not in CHANNEL_FAULTS:
            whole = "the whole sensor" if self.kind in SENSOR_FAULTS else "the machine"
            raise OptionError("channel", self.channel, f"{self.kind} concerns {whole}, not one channel")

    def at(self, seconds: Samples) -> Samples:
        """The severity at times after the first sample."""
        end = math.inf if self.for_s is None else self.at_s + self.for_s
        severity: Samples = self.severity * ((seconds >= self.at_s) & (seconds < end)).astype(np.float64)
        if self.ramp_s > 0.0:
            severity *= np.clip((seconds - self.at_s) / self.ramp_s, 0.0, 1.0)
        return severity

    def so_far(self, seconds: float) -> float:
        """The severity, summed over the time up to `seconds` after the first sample: in seconds."""
        end = math.inf if self.for_s is None else self.for_s
        lasted = max(0.0, min(seconds - self.at_s, end))
        rising = min(lasted, self.ramp_s)
        if not rising:
            return self.severity * lasted
        return self.severity * (rising * rising / (2 * self.ramp_s) + lasted - rising)


class _Drawn(NamedTuple):
    """Rows of telemetry under a schedule, as far as no fault changes them."""

    block: int
    load: Samples
    speed: Samples
    motion: Motion
    noise: Samples  # (rows, channels)


class Machine:
    """Renders pages of samples in order; a page depends on seed, index and faults alone.

    `page_rows` is fixed by the rate, so that whoever slices the pages sees the same samples in any slicing.
    """

    def __init__(
        self,
        *,
        vibration: bool,
        rate_hz: float,
        speed_hz: float,
        load: float,
        load_swing: float,
        noise: float,
        axes: int,
        seed: int,
        bearing: Bearing,
        resonance_hz: float,
        drive: Drive | None = None,
    ) -> None:
        self.drive = drive
        self.rate_hz, self.speed_hz, self.load, self.load_swing = rate_hz, speed_hz, load, load_swing
        self.noise, self.axes, self.seed, self.bearing = noise, axes, seed, bearing
        self.resonance_hz, self.vibration = resonance_hz, vibration
        self.page_rows: int = 2 ** int(max(0.0, min(12.0, math.log2(max(1.0, rate_hz / 8.0)))))  # about 0.1 s
        self.channels = tuple(Channel(name, "m/s2") for name in AXES[:axes]) if vibration else TELEMETRY
        self.pages = 0
        start = np.random.Generator(np.random.Philox(key=[seed, 0]))
        self._phases = start.uniform(0.0, 2 * math.pi, (4, len(AXES), 2 * ORDERS))  # one set for each pattern
        self._swing_phases = start.uniform(0.0, 2 * math.pi, 2)
        self._angle = 0.0  # of the shaft, radians, at the next page's first sample
        self._next_impact: dict[BearingFault, float] = {}
        self._strikes = 0
        ring_s = math.log(1e3) / (DAMPING * 2 * math.pi * resonance_hz)  # until a thousandth is left
        self._ring_rows = int(ring_s * rate_hz) + 1
        self._ringing = np.zeros(self._ring_rows)
        self._temperature = AMBIENT_C + LOAD_C * float(self._load_at(np.zeros(1))[0])
        if drive is not None:
            self._temperature = AMBIENT_C
        self._drawn: _Drawn | None = None
        self._spoiler = Spoiler([channel.name for channel in self.channels], vibration)

    def page(self, faults: Sequence[Fault], wanted: int = 0) -> NDArray[np.float32]:
        """The next page, (page_rows, channels); of telemetry under a schedule as many whole ones as it takes to
        give `wanted` rows, or fewer."""
        if self.drive is not None and not self.vibration:
            return self._scheduled_telemetry(faults, wanted)
        seconds = self._seconds(1)
        severities = self._severities(faults, seconds)
        motion = None if self.drive is None else self.drive.at(seconds)
        load = self._load_at(seconds) if motion is None else self._load_under(motion, seconds)
        speed = self.speed_hz if motion is None else motion.speed
        speed = speed * (1.0 - SLIP_PER_LOAD * (load - self.load))
        samples = (
            self._vibration(seconds, load, speed, severities, motion)
            if self.vibration
            else self._telemetry(load, speed, severities)
        )
        page = samples.astype(np.float32)
        self._spoiler.spoil(page, seconds, faults, self._random)
        self.pages += 1
        return page

    def _seconds(self, pages: int) -> Samples:
        rows = np.arange(self.pages * self.page_rows, (self.pages + pages) * self.page_rows)
        return rows / self.rate_hz

    def _severities(self, faults: Sequence[Fault], seconds: Samples) -> dict[str, Samples]:
        severities: dict[str, Samples] = {}
        for fault in faults:
            if fault.kind not in SENSOR_FAULTS:
                severity = fault.at(seconds)
                if severity.any():
                    severities[fault.kind] = np.maximum(severity, severities.get(fault.kind, severity))
        return severities

    def _load_under(self, motion: Motion, seconds: Samples) -> Samples:
        """What is asked of the shaft, with its swing, as far as the shaft turns."""
        turning = np.minimum(1.0, motion.speed / self.speed_hz)
        load: Samples = turning * np.maximum(
            0.0, motion.load + (self._load_at(seconds) - self.load) * motion.powered
        )
        return load

    def _load_at(self, seconds: Samples) -> Samples:
        """A load that swings slowly, without ever repeating itself exactly."""
        a, b = self._swing_phases
        swing = 0.6 * np.sin(2 * math.pi * seconds / 97.0 + a) + 0.4 * np.sin(
            2 * math.pi * seconds / 31.0 + b
        )
        load: Samples = np.maximum(0.0, self.load + self.load_swing * swing)
        return load

    def _random(self, stream: int) -> np.random.Generator:
        """Random numbers that belong to this page and purpose alone."""
        return np.random.Generator(
            np.random.Philox(key=[self.seed, stream], counter=[0, 0, 0, self.pages + 1])
        )

    # vibration

    def _vibration(
        self,
        seconds: Samples,
        load: Samples,
        speed: Samples,
        severities: dict[str, Samples],
        motion: Motion | None,
    ) -> Samples:
        n = len(seconds)
        angles = self._angle + np.concatenate(([0.0], np.cumsum(speed))) * (2 * math.pi / self.rate_hz)
        self._angle = float(angles[-1])
        half = np.exp(0.5j * angles[:n])
        orders = np.cumprod(np.broadcast_to(half, (2 * ORDERS, n)), axis=0)  # half orders 0.5, 1, 1.5, ...
        strength = 0.5 + 0.5 * load
        out = self._pattern(0, HEALTHY, RADIAL, orders) * strength
        if 0.45 * self.rate_hz > 2 * MAINS_HZ:
            hum = LINE_HUM * np.cos(2 * math.pi * 2 * MAINS_HZ * seconds)
            out += hum
        if "imbalance" in severities:
            radial = (RADIAL[0], RADIAL[1], 0.1)
            out += self._pattern(1, {1.0: IMBALANCE}, radial, orders) * severities["imbalance"]
        if "misalignment" in severities:
            out += self._pattern(2, MISALIGNMENT, AXIAL, orders) * (severities["misalignment"] * strength)
        white = self._random(1).standard_normal((self.axes, n)) * (NOISE_RMS * self.noise)
        if motion is not None:
            white *= QUIET + (1.0 - QUIET) * motion.turning
        if "looseness" in severities:
            loose = severities["looseness"]
            out += self._pattern(3, LOOSENESS, RADIAL, orders) * loose
            white *= 1.0 + 2.0 * loose  # rattling
        impacts = self._impacts(angles, severities) * strength
        if motion is not None:
            out *= motion.shaking
            if 0.45 * self.rate_hz > 2 * MAINS_HZ:
                out += hum * (motion.powered - motion.shaking)
            impacts *= motion.turning
        out += white
        gains = np.array(RADIAL[: self.axes])[:, None]
        out += gains * impacts
        samples: Samples = out.T
        return samples

    def _pattern(
        self, which: int, orders: dict[float, float], gains: Sequence[float], waves: NDArray[np.complex128]
    ) -> Samples:
        """Harmonics of the shaft, (axes, n), each axis with its own phases; none above the sensor's band."""
        index = [int(2 * order) - 1 for order in orders if order * self.speed_hz < 0.45 * self.rate_hz]
        if not index:
            return np.zeros((self.axes, waves.shape[1]))
        heights = np.array([orders[(i + 1) / 2] for i in index])
        phases = self._phases[which, : self.axes][:, index]
        weights = np.array(gains[: self.axes])[:, None] * heights * np.exp(1j * phases)
        pattern: Samples = (weights @ waves[index]).real
        return pattern

    def _impacts(self, angles: Samples, severities: dict[str, Samples]) -> Samples:
        """The resonance as bearing defects ring it, (n,); what still rings goes on in the next page."""
        n = len(angles) - 1
        ringing = np.zeros(n + self._ring_rows)
        ringing[: self._ring_rows] = self._ringing
        for kind in BEARING_FAULTS:
            if kind in severities:
                self._strike(kind, angles, severities[kind], ringing)
            else:
                self._next_impact.pop(kind, None)
        self._ringing = ringing[n:]
        return ringing[:n]

    def _strike(self, kind: BearingFault, angles: Samples, severity: Samples, ringing: Samples) -> None:
        random = self._random(2 + BEARING_FAULTS.index(kind))
        per_turn = {
            "bearing_outer": self.bearing.bpfo_hz(1.0),
            "bearing_inner": self.bearing.bpfi_hz(1.0),
            "bearing_ball": 2 * self.bearing.bsf_hz(1.0),  # once on each race
        }[kind]
        interval = 2 * math.pi / per_turn
        first, end = angles[0], angles[-1]
        at = self._next_impact.get(kind)
        if at is None:
            at = first + interval * random.random()
        steps = interval * (1.0 + SLIP * random.standard_normal(int((end - first) / interval * 1.2) + 8))
        struck = at + np.concatenate(([0.0], np.cumsum(steps)))
        self._next_impact[kind] = float(struck[np.searchsorted(struck, end)])
        struck = struck[struck < end]
        if not len(struck):
            return
        rows = np.interp(struck, angles, np.arange(len(angles)))  # fractions of a row matter to the phase
        heights = IMPACT * np.interp(rows, np.arange(len(severity)), severity)
        heights *= 1.0 + 0.1 * random.standard_normal(len(struck))
        if kind == "bearing_inner":  # the defect turns through the load zone
            heights *= 0.2 + 0.8 * np.maximum(0.0, np.cos(struck))
        elif kind == "bearing_ball":  # the ball does, with the cage; and the two races answer differently
            heights *= 0.3 + 0.7 * np.maximum(0.0, np.cos(struck * self.bearing.ftf_hz(1.0)))
            heights *= np.where((self._strikes + np.arange(len(struck))) % 2, 0.7, 1.0)
            self._strikes += len(struck)
        starts = np.ceil(rows).astype(np.int64)
        index = starts[:, None] + np.arange(self._ring_rows)
        elapsed = (index - rows[:, None]) / self.rate_hz
        omega = 2 * math.pi * self.resonance_hz
        wave = np.exp(-DAMPING * omega * elapsed) * np.sin(omega * math.sqrt(1 - DAMPING**2) * elapsed)
        np.add.at(ringing, index, heights[:, None] * wave)

    # telemetry

    def _scheduled_telemetry(self, faults: Sequence[Fault], wanted: int) -> NDArray[np.float32]:
        """The next pages, up to the end of the rows that are drawn together: elementwise from there on, so that it
        does not matter how many are made at once."""
        together = max(1, DRAWN_ROWS // self.page_rows)
        block, inside = divmod(self.pages, together)
        if self._drawn is None or self._drawn.block != block:
            self._drawn = self._draw(block, together)
        pages = min(together - inside, max(1, -(-wanted // self.page_rows)))
        part = slice(inside * self.page_rows, (inside + pages) * self.page_rows)
        seconds, drawn = self._seconds(pages), self._drawn
        severities = self._severities(faults, seconds)
        table = self._instruments(drawn.load[part], drawn.speed[part], severities, drawn.motion.part(part))
        page = (table + drawn.noise[part]).astype(np.float32)
        for first in range(0, len(page), self.page_rows):
            rows = slice(first, first + self.page_rows)
            self._spoiler.spoil(page[rows], seconds[rows], faults, self._random)
            self.pages += 1
        return page

    def _draw(self, block: int, pages: int) -> _Drawn:
        """What no fault changes, of `pages` pages at once."""
        assert self.drive is not None
        rows = np.arange(block * pages * self.page_rows, (block + 1) * pages * self.page_rows)
        seconds = rows / self.rate_hz
        motion = self.drive.at(seconds)
        load = self._load_under(motion, seconds)
        speed = motion.speed * (1.0 - SLIP_PER_LOAD * (load - self.load))
        key, counter = [self.seed, STREAM + 1], [0, 0, 0, block]
        random = np.random.Generator(np.random.Philox(key=key, counter=counter))
        noise = random.standard_normal((len(rows), len(TELEMETRY)))
        return _Drawn(block, load, speed, motion, noise * (np.array(TELEMETRY_NOISE) * self.noise))

    def _telemetry(self, load: Samples, speed: Samples, severities: dict[str, Samples]) -> Samples:
        table = self._instruments(load, speed, severities)
        noisy: Samples = table + self._random(1).standard_normal(table.shape) * (
            np.array(TELEMETRY_NOISE) * self.noise
        )
        return noisy

    def _instruments(
        self, load: Samples, speed: Samples, severities: dict[str, Samples], motion: Motion | None = None
    ) -> Samples:
        """What the instruments would show without their noise, (n, channels)."""
        n = len(load)
        nothing = np.zeros(n)
        turning = 1.0 if motion is None else motion.turning
        target = AMBIENT_C + LOAD_C * load
        for kind, rise in FAULT_C.items():
            target = target + rise * severities.get(kind, nothing) * turning
        if motion is not None:
            target += FRICTION_C * motion.turning
        approach = 1.0 - math.exp(-1.0 / (self.rate_hz * THERMAL_S))
        temperature = np.empty(n)
        for i, goal in enumerate(target.tolist()):
            self._temperature += approach * (goal - self._temperature)
            temperature[i] = self._temperature
        strength = 0.5 + 0.5 * load
        shaking = 1.0 if motion is None else motion.shaking * motion.shaking
        noise = NOISE_RMS**2 if motion is None else (NOISE_RMS * (QUIET + (1.0 - QUIET) * turning)) ** 2
        power = strength**2 * sum(height**2 for height in HEALTHY.values()) / 2 * shaking + noise
        power = power + (severities.get("imbalance", nothing) * IMBALANCE) ** 2 / 2 * shaking
        for kind, orders in (("misalignment", MISALIGNMENT), ("looseness", LOOSENESS)):
            power = (
                power + severities.get(kind, nothing) ** 2 * sum(h**2 for h in orders.values()) / 2 * shaking
            )
        rings = self.speed_hz * self.bearing.balls / 2 / (4 * DAMPING * 2 * math.pi * self.resonance_hz)
        for fault in BEARING_FAULTS:  # the energy of one ringing, times how many there are
            power = (
                power + (severities.get(fault, nothing) * IMPACT * strength * turning) ** 2 * rings * turning
            )
        current = NO_LOAD_A + LOAD_A * load * (1.0 + 0.05 * severities.get("misalignment", nothing))
        if motion is not None:
            current = motion.powered * (current + INRUSH_A * motion.slip)
        return np.stack([speed, 100.0 * load, temperature, np.sqrt(power), current], axis=1)
