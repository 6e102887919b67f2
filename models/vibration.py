"""Features of a window of vibration: levels, shape, bands, and the lines of a bearing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import naming, severity, shaft
from models.bearing import Bearing
from models.envelope import TINY, Doubles, Envelope, comb, teeth
from models.features import Feature
from models.naming import Naming
from models.shaft import Shaft
from models.window import Array, Windows

BANDS = 12
VELOCITY = 3  # of a channel's columns
LOWEST_BAND_HZ = 10.0  # below, accelerometers drift; ISO 20816 begins at 10 Hz too
FLOOR = 1e-12  # keeps the logarithm of silence finite
SHORTEST_VIBRATION = 64  # rows; twelve geometric bands need that many spectral lines
HANN_POWER = 0.375  # of a signal's, is left by the taper
COARSEST = 4.0  # lines from 0 to a fault's frequency: a comb nearer to 0 is not told from the mean
REMEMBERED = 8  # windows a fault is named from
MOST_HEARD = 4096  # windows of one call that can be asked for; of any usual Reading there are fewer


class _Heard(NamedTuple):
    """What a bearing is named from."""

    time: float
    lines: Array  # (bins,) logarithms of the logarithmic envelope's spectrum, the mean of all channels
    shaft_hz: float
    clear: bool  # the shaft's speed is given, or stands out of the spectrum


class Vibration:
    """Per axis: log RMS, log kurtosis, log crest factor; log RMS of the velocity, where the channel is an
    acceleration or a velocity; log RMS of twelve geometric bands; and, where the bearing is known, how far the lines
    of each part's defects stand out of the envelope spectrum.

    Does badly where speed or load change: a baseline holds for the operating point it was learned at.
    """

    def __init__(
        self,
        channels: Sequence[tuple[str, str]],
        rate_hz: float,
        length: int,
        bearing: Bearing | None = None,
        remembered: int = REMEMBERED,
    ) -> None:
        """Channels are (name, unit); `remembered` is how many windows a fault is named from. Raises ValueError when a
        window of `length` rows is too short, or the rate too low, for the bands or the bearing."""
        if length < SHORTEST_VIBRATION:
            raise ValueError(
                f"vibration features need windows of at least {SHORTEST_VIBRATION} rows, not {length}"
            )
        self._length, self._rate_hz, self._remembered = length, rate_hz, remembered
        self._taper = np.hanning(length)
        self._edges = _band_edges(rate_hz, length)
        self._bearing = bearing
        self._parts: dict[str, tuple[float, int]] = {}  # order of the shaft, teeth
        self._heard: deque[_Heard] = deque(maxlen=MOST_HEARD)
        self._shaft: Shaft | None = None
        if bearing is not None:
            self._listen_for(bearing)
        self._to_velocity = np.stack([severity.weights(unit, rate_hz, length) for _, unit in channels])
        moving = [severity.measurable(unit) for _, unit in channels]
        all_columns = [self._of_channel(name, unit) for name, unit in channels]
        kept = np.ones((len(channels), len(all_columns[0])), bool)
        kept[:, VELOCITY] = moving
        self._kept = kept
        self.columns = tuple(
            column
            for columns, row in zip(all_columns, kept, strict=True)
            for column, keep in zip(columns, row, strict=True)
            if keep
        )
        starts = np.cumsum([0, *kept.sum(axis=1)])
        self.velocities = tuple(
            int(start) + VELOCITY for start, there in zip(starts, moving, strict=False) if there
        )  # the columns that are logarithms of velocities in mm/s

    def extract(self, windows: Windows) -> Array:
        """One window at a time, so that its features do not depend on its neighbours in the call."""
        return np.stack(
            [self._one(time, window) for time, window in zip(windows.times, windows.stacked(), strict=True)]
        )

    def named(self, time: float) -> Naming | None:
        """What the windows up to `time` say of the bearing; None where none is known, or nothing was heard."""
        heard = [each for each in self._heard if each.time <= time][-self._remembered :]
        if self._bearing is None or not heard:
            return None
        shaft_hz = float(np.median([each.shaft_hz for each in heard]))
        if sum(each.clear for each in heard) * 2 < len(heard):
            return Naming("", 0.0, 0.0, 0.0, shaft_hz, self._bearing.estimated)
        lines: Doubles = np.stack([each.lines for each in heard]).astype(np.float64).mean(axis=0)
        return naming.name(lines, self._envelope.step_hz, self._bearing, shaft_hz)

    def forget_all(self) -> None:
        """Keep nothing of what was heard: it was no machine."""
        self._heard.clear()

    def forget(self) -> None:
        """Keep of what was heard only what can still be asked for: nothing is asked of the past any more."""
        while len(self._heard) > self._remembered:
            self._heard.popleft()

    def _one(self, time: float, window: Array) -> Array:
        x = window.T.astype(np.float64)  # channels first: sums along a row are quick
        x -= x.mean(axis=1, keepdims=True)
        square = x * x
        power = square.mean(axis=1)
        rms = np.sqrt(power)
        kurtosis = (square * square).mean(axis=1) / np.maximum(power * power, TINY)
        crest = np.abs(x).max(axis=1) / np.maximum(rms, TINY)
        spectrum = np.fft.rfft(x * self._taper)
        energy = spectrum.real**2 + spectrum.imag**2
        energy *= 2 / HANN_POWER / self._length**2  # mean square in unit^2
        velocity = np.sqrt((energy * self._to_velocity).sum(axis=1))
        bands = np.sqrt(np.add.reduceat(energy, self._edges[:-1], axis=1))
        quantities = np.concatenate([np.stack([rms, kurtosis, crest, velocity], axis=1), bands], axis=1)
        logarithms = np.log(quantities + FLOOR)
        if self._bearing is not None:
            logarithms = np.concatenate([logarithms, self._listen(time, x, energy)], axis=1)
        row: Array = logarithms[self._kept].astype(np.float32)
        return row

    def _listen(self, time: float, x: Doubles, energy: Doubles) -> Doubles:
        """`(channels, parts)`: how far each part's comb stands out."""
        assert self._bearing is not None
        squared, logarithmic = self._envelope.spectra(x)
        shaft_hz, clear = self._bearing.speed_hz, True
        if self._shaft is not None:
            shaft_hz, clarity = self._shaft.estimate(energy)
            clear = clarity >= shaft.CLEAR
        lines = np.log(logarithmic).mean(axis=0).astype(np.float32)
        self._heard.append(_Heard(time, lines, shaft_hz, clear))
        heights = [
            comb(squared, self._envelope.step_hz, np.array([order * shaft_hz]), count)[0]
            for order, count in self._parts.values()
        ]
        return np.log(np.concatenate(heights, axis=1))

    def _listen_for(self, bearing: Bearing) -> None:
        orders = bearing.orders()
        if bearing.estimated:
            step_hz, bins = self._rate_hz / self._length, self._length // 2 + 1
            self._shaft = Shaft(step_hz, bins, bearing.slowest_hz, bearing.fastest_hz)
        highest = naming.reach_hz(max(orders.values()) * bearing.top_hz)
        self._envelope = Envelope(self._rate_hz, self._length, highest)
        for part, order in orders.items():
            count = teeth(order * bearing.top_hz, self._envelope.limit_hz)
            if not count:
                raise ValueError(
                    f"a fault frequency of {order * bearing.top_hz:g} Hz lies above half the sample rate of"
                    f" {self._rate_hz:g} Hz"
                )
            lowest = bearing.slowest_hz if bearing.estimated else bearing.speed_hz
            if order * lowest >= COARSEST * self._envelope.step_hz:
                self._parts[part] = order, count
        if not self._parts:
            raise ValueError(
                f"windows of {self._length} rows are too short to tell fault frequencies of up to"
                f" {max(orders.values()) * bearing.top_hz:g} Hz apart"
            )

    def _of_channel(self, name: str, unit: str) -> list[Feature]:
        columns = [
            Feature(f"{name} RMS", name, unit, logarithm=True),
            Feature(f"{name} kurtosis", name, "1", logarithm=True),
            Feature(f"{name} crest factor", name, "1", logarithm=True),
            Feature(f"{name} velocity RMS", name, "mm/s", logarithm=True),
        ]
        for a, b in pairwise(self._edges * self._rate_hz / self._length):
            columns.append(Feature(f"{name} band {_hz(a)}-{_hz(b)} Hz", name, unit, logarithm=True))
        for part, (order, _) in self._parts.items():
            hz = order * self._bearing.speed_hz if self._bearing is not None else 0.0
            at = f" {_hz(hz)} Hz" if hz else ""
            columns.append(Feature(f"{name} {part}{at}", name, "1", logarithm=True, fault=True))
        return columns


def _band_edges(rate_hz: float, length: int) -> NDArray[np.intp]:
    """The first line of each band, and the one after the last. Raises ValueError where there are too few."""
    low = max(LOWEST_BAND_HZ, 2 * rate_hz / length)
    edges = np.geomspace(low, rate_hz / 2, BANDS + 1)
    bins = np.maximum.accumulate(np.round(edges * length / rate_hz).astype(np.intp))
    bins += np.maximum(0, bins[0] + np.arange(BANDS + 1) - bins)  # never an empty band
    if bins[-1] > length // 2:
        raise ValueError(
            f"{length} rows at {rate_hz:g} Hz leave no room for {BANDS} bands from {LOWEST_BAND_HZ:g} Hz up"
        )
    return bins


def shortest(kind: str) -> int:
    """Fewest rows a window may have for "telemetry" or "vibration"."""
    return SHORTEST_VIBRATION if kind == "vibration" else 1


def _hz(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
