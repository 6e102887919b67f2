"""Plain envelope analysis of a bearing's windows, as textbooks have it: the part whose lines stand out farthest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time

import numpy as np
from numpy.typing import NDArray

from models.bearing import Bearing

PEERS = {"squared envelope": False, "squared envelope, prewhitened": True}
HARMONICS, SLIP = 3, 0.015  # Randall and Antoni, Mech. Syst. Signal Process. 25 (2011): slip is 1 to 2 %
SPREAD = 1.4826  # standard deviations in a median deviation, of normal noise
TINY = 1e-300

Doubles = NDArray[np.float64]
# Samples (n,), their rate, the bearing that is there, and some that are not.
Window = tuple[NDArray[np.float32], float, Bearing, Sequence[Bearing]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a peer made of all windows."""

    parts: list[str]  # named in each; "" where none is
    absent: list[str]  # likewise by the geometries of bearings that are not there
    least_z: float  # from which it names
    us_per_row: float


def heard(windows: Sequence[Window], among: Sequence[str], count: int) -> dict[str, Heard]:
    """What each names of the parts `among`, at the one z from which it names `count` of the windows."""
    found = {}
    for name, whiten in PEERS.items():
        before = process_time()
        there = [
            _highest(standing(*spectrum(x, rate_hz, whiten), bearing), among)
            for x, rate_hz, bearing, _ in windows
        ]
        took = process_time() - before
        absent = [
            _highest(standing(*spectrum(x, rate_hz, whiten), other), among)
            for x, rate_hz, _, others in windows
            for other in others
        ]
        least = sorted(z for _, z in there)[-count] if count else np.inf
        parts, strangers = ([part if z >= least else "" for part, z in each] for each in (there, absent))
        found[name] = Heard(parts, strangers, float(least), 1e6 * took / len(windows))
    return found


def _highest(heights: dict[str, float], among: Sequence[str]) -> tuple[str, float]:
    part = max(among, key=lambda part: heights[part])
    return part, heights[part]


def spectrum(samples: NDArray[np.float32], rate_hz: float, whiten: bool) -> tuple[Doubles, float]:
    """Amplitudes `(bins,)` of the squared envelope of a window, and how far apart they lie in Hz. The window is taken
    as it is, or prewhitened: every line of its spectrum at one size (Borghesani et al., Mech. Syst. Signal Process. 36
    (2013))."""
    x = samples.astype(np.float64)
    lines = np.fft.rfft(x - x.mean())
    if whiten:
        lines /= np.maximum(np.abs(lines), TINY)
    analytic = np.fft.ifft(lines, n=len(x))  # negative frequencies stay 0
    envelope = analytic.real**2 + analytic.imag**2
    amplitude: Doubles = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(x))))
    return amplitude, rate_hz / len(x)


def standing(amplitude: Doubles, step_hz: float, bearing: Bearing) -> dict[str, float]:
    """Of each part the mean over harmonics of how far the highest line near stands over the median of all lines that
    are looked at, in their spread."""
    frequencies = bearing.frequencies()
    top = math.ceil(HARMONICS * (1 + SLIP) * max(frequencies.values()) / step_hz)
    looked = amplitude[math.ceil(bearing.speed_hz / 2 / step_hz) : top + 1]
    middle = float(np.median(looked))
    spread = max(SPREAD * float(np.median(np.abs(looked - middle))), TINY)

    def height(hz: float) -> float:
        near = amplitude[math.floor(hz * (1 - SLIP) / step_hz) : math.ceil(hz * (1 + SLIP) / step_hz) + 1]
        return (float(near.max(initial=0.0)) - middle) / spread

    return {
        part: sum(height(k * hz) for k in range(1, HARMONICS + 1)) / HARMONICS
        for part, hz in frequencies.items()
    }
