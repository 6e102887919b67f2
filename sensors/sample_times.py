"""Times of samples that come in blocks: by the stamps their source gave them, or by when they arrived."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensors.base import Clock

SAME_PERIOD = (
    0.1  # a block whose own period is so near to the one told has the sensor's; another has holes in it
)
LATE = 1.5  # periods: a longer step may leave a sample out
HOLE = 0.55  # periods that a sample is late: a sample is missing, as far as is known yet
FEW_STEPS, MANY_STEPS = 50, 2000  # from which the source's own period is known; more are not remembered
FORGET = (
    0.9  # of the lateness, from sample to sample: a period that is 3 % off adds up to a third of a sample
)
STEP_S = 1e-3  # a clock that is off by more was set, and not merely slewed
# the clocks of /sys/bus/iio/devices/iio:deviceX/current_timestamp_clock; None is Unix time already
CLOCKS: dict[str, int | None] = {
    "realtime": None,
    "realtime_coarse": None,
    "monotonic": time.CLOCK_MONOTONIC,
    "monotonic_coarse": time.CLOCK_MONOTONIC,
    "monotonic_raw": time.CLOCK_MONOTONIC_RAW,
    "boottime": time.CLOCK_BOOTTIME,
    "tai": time.CLOCK_TAI,
}


@dataclass(frozen=True, slots=True)
class Run:
    """Samples first..stop of a block, evenly spaced; `lost` are missing before them."""

    first: int
    stop: int
    time: float  # Unix seconds of the first
    lost: int = 0


class Epoch:
    """What to add to the stamps of one of the kernel's clocks to get Unix seconds. Raises KeyError for a clock that is
    not one of CLOCKS."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._id = CLOCKS[name]
        self._clock = clock
        self._offset_s = 0.0

    def offset_s(self) -> float:
        """The same from call to call until this computer's clock has been set: no jitter comes into the times."""
        if self._id is not None:
            monotonic = self._id == time.CLOCK_MONOTONIC
            there = self._clock.monotonic() if monotonic else time.clock_gettime(self._id)
            offset = self._clock.now() - there
            if abs(offset - self._offset_s) > STEP_S:
                self._offset_s = offset
        return self._offset_s


class Stamped:
    """Cuts blocks where samples are missing between stamps, or a clock was set back."""

    def __init__(self, rate_hz: float) -> None:
        self._told_ns = 1e9 / rate_hz
        self._span_ns = self._steps = 0.0  # between stamps of late, without holes: the source's own period
        self._newest: int | None = None  # stamp of the latest sample
        self._late = 0.0  # by how many periods it came after its turn

    def runs(self, stamps_ns: NDArray[np.int64], offset_s: float) -> list[Run]:
        """Of one block. `stamps_ns` are those of its samples, `offset_s` makes Unix seconds of them."""
        rows = len(stamps_ns)
        before = stamps_ns[0] - round(self._told_ns) if self._newest is None else self._newest
        steps = np.diff(stamps_ns, prepend=before)
        self._newest = int(stamps_ns[-1])
        period = self._told_ns
        if self._steps >= FEW_STEPS or rows >= FEW_STEPS:
            own = self._span_ns / self._steps if self._steps >= FEW_STEPS else float(np.median(steps))
            period = own if abs(own / self._told_ns - 1) < SAME_PERIOD else period
        even = steps.min() > 0 and steps.max() < LATE * period
        lost = {0: 0} if even else self._holes(steps, period)
        found = []
        for first, stop in zip(lost, [*list(lost)[1:], rows], strict=True):
            inside = stamps_ns[first:stop]
            # half the way back from the middle, which jitter does not move: the first stamp alone would carry its own
            start = float(np.mean(inside - inside[0])) - float(inside[-1] - inside[0]) / 2
            found.append(Run(first, stop, (int(inside[0]) + start) / 1e9 + offset_s, lost[first]))
        if even:
            self._late = 0.0
            self._span_ns, self._steps = self._span_ns + float(steps.sum()), self._steps + rows
            if self._steps > MANY_STEPS:
                self._span_ns, self._steps = self._span_ns / 2, self._steps / 2
        return found

    def _holes(self, steps: NDArray[np.int64], period: float) -> dict[int, int]:
        """Where runs begin, and how many samples are lost before each.

        A stamp that comes late is a hole only if those after it come as late: what was counted too many is taken back.
        """
        lost, latest, late = {0: 0}, 0, self._late
        for i, step in enumerate(steps.tolist()):
            if step <= 0:
                latest, late = i, 0.0
                lost.setdefault(i, 0)
                continue
            late = FORGET * late + step / period - 1
            if abs(late) > HOLE:
                missing = round(late)
                late -= missing
                latest = i if missing > 0 else latest
                lost[latest] = lost.get(latest, 0) + missing
        self._late = late
        return lost


class Arrivals:
    """A line through the arrivals of blocks that have been read to their end, from a source with a clock of its own.

    The newest sample of such a block is less than a period old; half a period is assumed. The line follows slowly, so
    that the phase at which blocks happen to be read does not shake the times.
    """

    FOLLOW, TURN = (
        0.1,
        0.01,
    )  # of an error: how much the line moves, and how much of that its slope; damping 0.5
    LOST_PERIODS, LOST_S = 4.0, 0.02  # an error of both is no jitter: samples were lost, or a clock was set

    def __init__(self, rate_hz: float, late_s: float = LOST_S) -> None:
        """`late_s`: by how much a block may arrive late of which nothing is lost."""
        self._period = self._usual = 1 / rate_hz
        self._next = math.nan  # time of the sample to come
        self._late_s = late_s

    def run(self, rows: int, arrived: float | None, *, broken: bool = False) -> Run:
        """The block's time, and how many samples were lost before it by their count; `broken`: some were. `arrived`
        is None for a block of which is only known that it follows the one before."""
        if arrived is None:
            arrived = self._next + (rows - 0.5) * self._period
        due = self._next + (rows - 1) * self._period
        error = arrived - self._period / 2 - due
        lost = 0
        if broken or not abs(error) <= max(self.LOST_PERIODS * self._period, self._late_s):
            lost = max(int(broken), round(error / self._period) if error > 0 else 0)
            self._next = arrived - (rows - 0.5) * self._period
        else:
            self._next += self.FOLLOW * error
            slope = self._period + self.TURN * error / rows
            self._period = min(max(slope, (1 - SAME_PERIOD) * self._usual), (1 + SAME_PERIOD) * self._usual)
        start = self._next
        self._next += rows * self._period
        return Run(0, rows, start, lost)

    def resume(self, at: float) -> int:
        """The sample to come is of this time. Returns how many were lost, one at least."""
        lost = max(1, round((at - self._next) / self._period)) if at > self._next else 1
        self._next = at
        return lost


class Timeline:
    """The times that Readings are given: those of their samples, as long as no Reading begins before the last one ends.

    A source that is faster than its rate_hz says would have that of each: windows would start afresh with each Reading.
    Its times run ahead instead, by AHEAD_S at most, and are set right then, with one fresh start.
    """

    AHEAD_S = 2.0
    EARLY = 0.5  # periods: within this a sample is on time

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._due = -math.inf  # time of the sample to come

    def place(self, time: float, rows: int) -> float:
        """The time for a Reading of so many rows, the first of which was taken at `time`."""
        earliest = self._due - self.EARLY / self._rate_hz
        if earliest - time < self.AHEAD_S:
            time = max(time, earliest)
        self._due = time + rows / self._rate_hz
        return time
