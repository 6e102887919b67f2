"""Features of a window of vibration: levels, shape, bands, and the lines of a bearing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.bearing import Bearing
from models.features import Feature
from models.window import Array, Windows

BANDS = 12
LOWEST_BAND_HZ = 10.0  # below, accelerometers drift; ISO 20816 begins at 10 Hz too
FLOOR = 1e-12  # keeps the logarithm of silence finite
TINY = 1e-300  # keeps a ratio of zeros finite, and those of the faintest signals as they are
SHORTEST_VIBRATION = 64  # rows; twelve geometric bands need that many spectral lines


class Vibration:
    """Per axis: log RMS, log kurtosis, log crest factor, log RMS of twelve geometric bands, and, where the
    bearing is known, how far its fault frequencies stand out of the squared envelope spectrum.

    Does badly where speed or load change: a baseline holds for the operating point it was learned at.
    """

    def __init__(
        self, channels: Sequence[tuple[str, str]], rate_hz: float, length: int, bearing: Bearing | None = None
    ) -> None:
        """Raises ValueError when a window of `length` rows is too short, or the rate too low, for the bands."""
        if length < SHORTEST_VIBRATION:
            raise ValueError(
                f"vibration features need windows of at least {SHORTEST_VIBRATION} rows, not {length}"
            )
        self._length, self._rate_hz = length, rate_hz
        self._taper = np.hanning(length)[:, None]
        low = max(LOWEST_BAND_HZ, 2 * rate_hz / length)
        edges = np.geomspace(low, rate_hz / 2, BANDS + 1)
        bins = np.maximum.accumulate(np.round(edges * length / rate_hz).astype(int))
        bins = np.maximum(bins, bins[0] + np.arange(BANDS + 1))  # never an empty band
        if bins[-1] > length // 2:
            raise ValueError(
                f"{length} rows at {rate_hz:g} Hz leave no room for {BANDS} bands from {LOWEST_BAND_HZ:g} Hz up"
            )
        self._edges = bins
        self._lines = {} if bearing is None else bearing.frequencies()
        self._ranges = [self._line_ranges(hz) for hz in self._lines.values()]
        columns: list[Feature] = []
        for name, unit in channels:
            columns.append(Feature(f"{name} RMS", name, unit, logarithm=True))
            columns.append(Feature(f"{name} kurtosis", name, "1", logarithm=True))
            columns.append(Feature(f"{name} crest factor", name, "1", logarithm=True))
            for a, b in zip(self._edges[:-1], self._edges[1:], strict=True):
                label = f"{name} band {_hz(a * rate_hz / length)}-{_hz(b * rate_hz / length)} Hz"
                columns.append(Feature(label, name, unit, logarithm=True))
            for part, hz in self._lines.items():
                columns.append(Feature(f"{name} {part} {_hz(hz)} Hz", name, "1", logarithm=True, fault=True))
        self.columns = tuple(columns)

    def extract(self, windows: Windows) -> Array:
        """One window at a time, so that its features do not depend on its neighbours in the call."""
        return np.stack([self._one(window) for window in windows.stacked()])

    def _one(self, window: Array) -> Array:
        x = window.astype(np.float64)
        x -= x.mean(axis=0)
        square = x * x
        power = square.mean(axis=0)
        rms = np.sqrt(power)
        kurtosis = (square * square).mean(axis=0) / np.maximum(power * power, TINY)
        crest = np.abs(x).max(axis=0) / np.maximum(rms, TINY)
        spectrum = np.fft.rfft(x * self._taper, axis=0)
        energy = spectrum.real**2 + spectrum.imag**2
        # A Hann taper keeps 3/8 of the power: bands come out as mean square in unit^2.
        bands = np.add.reduceat(energy, self._edges[:-1], axis=0) * (2 / 0.375 / self._length**2)
        rows = [rms[None], kurtosis[None], crest[None], np.sqrt(bands)]
        if self._lines:
            rows.append(self._standing_out(x))
        logarithms: Array = np.log(np.concatenate(rows) + FLOOR).T.ravel().astype(np.float32)
        return logarithms

    def _standing_out(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(lines, channels)`: amplitude at each fault frequency and two harmonics over the median around
        them, in the squared envelope spectrum of the prewhitened signal (Borghesani et al., Mech. Syst.
        Signal Process. 36 (2013))."""
        spectrum = np.fft.rfft(x, axis=0)
        spectrum /= np.abs(spectrum) + FLOOR
        spectrum[: len(spectrum) // 16] = 0  # shaft harmonics live there, bearing resonances do not
        analytic = np.fft.ifft(spectrum, n=self._length, axis=0)  # negative frequencies stay 0
        envelope = analytic.real**2 + analytic.imag**2
        lines = np.abs(np.fft.rfft(envelope - envelope.mean(axis=0), axis=0))
        standing = np.zeros((len(self._ranges), x.shape[1]))
        for i, harmonics in enumerate(self._ranges):
            for a, b, c, d in harmonics:
                standing[i] += lines[a:b].max(axis=0) / (np.median(lines[c:d], axis=0) + FLOOR)
        return standing

    def _line_ranges(self, hz: float) -> list[tuple[int, int, int, int]]:
        """Bins to look for each harmonic in (1 % of slip, at least one bin), and around it."""
        ranges = []
        for harmonic in (1, 2, 3):
            centre = harmonic * hz * self._length / self._rate_hz
            near, far = max(1.0, 0.01 * centre), max(8.0, 0.15 * centre)
            if centre + near < self._length / 2:
                a, b = math.floor(centre - near), math.ceil(centre + near) + 1
                ranges.append((max(a, 1), b, max(math.floor(centre - far), 1), math.ceil(centre + far) + 1))
        if not ranges:
            raise ValueError(
                f"a fault frequency of {hz:g} Hz lies above half the sample rate of {self._rate_hz:g} Hz"
            )
        return ranges


def shortest(kind: str) -> int:
    """Fewest rows a window may have for "telemetry" or "vibration"."""
    return SHORTEST_VIBRATION if kind == "vibration" else 1


def _hz(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
