"""How hard a machine shakes as ISO 20816 has it: its broad-band velocity, and the zone that lies in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Zone = Literal["A", "B", "C", "D"]
Machine = Literal["group1", "group2"]
Mounting = Literal["rigid", "flexible"]

LOWEST_HZ, HIGHEST_HZ = 10.0, 1000.0  # the band of ISO 20816-1, for shafts of 600 rpm and more
FEWEST_LINES = 2  # of a window's spectrum: below the second a tapered line leaks into the mean
# Upper bounds of zones A, B and C in mm/s: ISO 10816-3:2009, tables A.1 and A.2, whose place ISO 20816-3:2022 took.
BOUNDS: dict[tuple[Machine, Mounting], tuple[float, float, float]] = {
    ("group1", "rigid"): (2.3, 4.5, 7.1),
    ("group1", "flexible"): (3.5, 7.1, 11.0),
    ("group2", "rigid"): (1.4, 2.8, 4.5),
    ("group2", "flexible"): (2.3, 4.5, 7.1),
}
STANDARD_GRAVITY = 9.80665  # m/s2, 3rd CGPM (1901)
ACCELERATIONS = {  # in m/s2; "g" as everybody writes it, "[g]" as UCUM does
    "m/s2": 1.0,
    "mm/s2": 1e-3,
    "g": STANDARD_GRAVITY,
    "[g]": STANDARD_GRAVITY,
    "mg": STANDARD_GRAVITY / 1e3,
    "m[g]": STANDARD_GRAVITY / 1e3,
}
VELOCITIES = {"m/s": 1e3, "cm/s": 10.0, "mm/s": 1.0, "um/s": 1e-3}  # in mm/s


@dataclass(frozen=True, slots=True)
class Scale:
    """The zones of one kind of machine."""

    machine: Machine
    mounting: Mounting

    @property
    def bounds(self) -> tuple[float, float, float]:
        """Where A, B and C end, in mm/s."""
        return BOUNDS[self.machine, self.mounting]

    def zone(self, velocity_mm_s: float) -> Zone:
        """A: as when newly commissioned; B: good for unrestricted operation; C: not for long; D: does damage."""
        a, b, c = self.bounds
        return (
            "A" if velocity_mm_s <= a else "B" if velocity_mm_s <= b else "C" if velocity_mm_s <= c else "D"
        )


def measurable(unit: str) -> bool:
    """A channel of this unit has a velocity."""
    return unit in ACCELERATIONS or unit in VELOCITIES


def weights(unit: str, rate_hz: float, length: int) -> NDArray[np.float64]:
    """`(length // 2 + 1,)`: what each line's mean square in `unit` squared adds to the mean square velocity in (mm/s)
    squared. Acceleration is integrated in the frequency domain: a line at f counts 1 / (2 pi f) squared. Zeros for
    units that are neither an acceleration nor a velocity."""
    hz = np.arange(length // 2 + 1) * rate_hz / length
    inside = (hz >= lowest_hz(rate_hz, length)) & (hz <= HIGHEST_HZ)
    squares = np.zeros(len(hz))
    if unit in VELOCITIES:
        squares[inside] = VELOCITIES[unit] ** 2
    elif unit in ACCELERATIONS:
        squares[inside] = (1e3 * ACCELERATIONS[unit] / (2 * math.pi * hz[inside])) ** 2
    return squares


def lowest_hz(rate_hz: float, length: int) -> float:
    """Where the band begins in windows of this length: they must be two lines long for 10 Hz."""
    return max(LOWEST_HZ, FEWEST_LINES * rate_hz / length)
