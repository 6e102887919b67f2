"""What a person sees of one sensor's stream: values and how they went, or a waveform and its spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent.charts import Doubles, Pen, line_chart, spark
from agent.sentences import quantity
from sensors.base import Channel, Kind, Reading

KEPT_ROWS = 600  # of telemetry: ten minutes at 1 Hz
KEPT_S, MOST_ROWS = 1.0, 2**17  # of a waveform, for its spectrum
WAVE_S, WAVE_ROWS = 0.1, 200  # of it that is drawn: so long, but at least so many samples
PEAKS = 3  # of a spectrum that are named
LATE = 1.5  # periods from one sample to the next: more is a gap
NARROW, WIDE = 8, 40  # characters of a spark


class Scope:
    """Keeps the newest of a stream, and what was missing in it."""

    def __init__(self, channels: Sequence[Channel], kind: Kind, rate_hz: float) -> None:
        self.channels, self.kind, self.rate_hz = tuple(channels), kind, rate_hz
        most = KEPT_ROWS if kind == "telemetry" else min(MOST_ROWS, max(WAVE_ROWS, round(KEPT_S * rate_hz)))
        self._most = most
        self._rows: NDArray[np.float32] = np.empty((0, len(self.channels)), np.float32)
        self._latest = math.nan  # time of the newest sample
        self.rows = 0
        self.gaps = 0
        self.missing_s = 0.0  # in all gaps
        self.absent = 0  # values that were no numbers
        self._silent = np.ones(len(self.channels), bool)  # no value of them has come

    def push(self, reading: Reading) -> None:
        """Take in a reading."""
        period = 1.0 / reading.rate_hz
        step = reading.time - self._latest
        if step > LATE * period:
            self.gaps += 1
            self.missing_s += step - period
            if self.kind == "vibration":  # a spectrum across a gap would be of something else
                self._rows = self._rows[:0]
        self._latest = reading.time + (len(reading.values) - 1) * period
        self.rows += len(reading.values)
        missing = np.isnan(reading.values)
        self.absent += int(missing.sum())
        self._silent &= missing.all(axis=0)
        self._rows = np.concatenate((self._rows, reading.values))[-self._most :]

    def trouble(self) -> str:
        """What was missing, in words; "" when nothing was."""
        told = []
        if self.gaps:
            told.append(f"{self.gaps} gap{'s' * (self.gaps > 1)} ({self.missing_s:.3g} s)")
        if self.absent:
            told.append(f"{self.absent} value{'s' * (self.absent > 1)} missing")
        return ", ".join(told)

    def silent(self) -> list[str]:
        """The channels of which no value has come."""
        return [channel.name for channel, silent in zip(self.channels, self._silent, strict=True) if silent]

    def sentence(self) -> str:
        """The newest of each channel, in one line; of a waveform its RMS and peak."""
        if not len(self._rows):
            return "nothing yet"
        if self.kind == "telemetry":
            pairs = zip(self.channels, self._rows[-1].tolist(), strict=True)
            return ", ".join(f"{channel.name} {_shown(value, channel.unit)}" for channel, value in pairs)
        return ", ".join(
            f"{channel.name} rms {_shown(rms, channel.unit)} peak {_shown(peak, channel.unit)}"
            for channel, rms, peak in self._figures()
        )

    def picture(self, pen: Pen, height: int, chosen: int = 0) -> list[str]:
        """Lines of text, at most `height` of them: all channels of telemetry, or one of a waveform."""
        if not len(self._rows):
            return ["nothing yet"]
        return self._table(pen, height) if self.kind == "telemetry" else self._wave(pen, height, chosen)

    def _table(self, pen: Pen, height: int) -> list[str]:
        cells = []
        for i, channel in enumerate(self.channels):
            column = self._rows[:, i].astype(np.float64)
            known = column[np.isfinite(column)]
            low, high = (float(known.min()), float(known.max())) if len(known) else (math.nan, math.nan)
            cells.append(
                (channel.name, _shown(float(column[-1]), channel.unit), column, _shown(low), _shown(high))
            )
        most = height - 1 if len(cells) <= height - 1 else height - 2
        names, values, lows, highs = (
            max([len(word), *(len(str(cell[i])) for cell in cells)])
            for word, i in (("channel", 0), ("now", 1), ("least", 3), ("most", 4))
        )
        room = min(WIDE, max(NARROW, pen.width - names - values - lows - highs - 8))
        lines = [
            f"{'channel':<{names}}  {'now':>{values}}  {'':<{room}}  {'least':>{lows}}  {'most':>{highs}}"
        ]
        lines += [
            f"{name:<{names}}  {value:>{values}}  {spark(pen, course, room):<{room}}  {low:>{lows}}  {high:>{highs}}"
            for name, value, course, low, high in cells[:most]
        ]
        lines += [f"and {len(cells) - most} more"] if len(cells) > most else []
        return [line[: pen.width].rstrip() for line in lines]

    def _wave(self, pen: Pen, height: int, chosen: int) -> list[str]:
        chosen %= len(self.channels)
        channel = self.channels[chosen]
        column = self._rows[:, chosen].astype(np.float64)
        head = "  ".join(
            f"{'>' if i == chosen else ' '}{name.name} rms {_shown(rms, name.unit)} peak {_shown(peak, name.unit)}"
            for i, (name, rms, peak) in enumerate(self._figures())
        )
        each = max(3, (height - 6) // 2)
        drawn = column[-max(WAVE_ROWS, round(WAVE_S * self.rate_hz)) :]
        span_ms = 1e3 * len(drawn) / self.rate_hz
        unit = "" if channel.unit == "1" else channel.unit
        lines = [head[: pen.width], ""]
        times = np.arange(len(drawn)) / self.rate_hz
        lines += line_chart(
            pen, times, drawn, height=each, ends=(f"{channel.name} {unit}", f"{span_ms:.3g} ms")
        )
        if len(column) < WAVE_ROWS or not np.isfinite(column).all():
            return [*lines, "too little without a gap for a spectrum"][:height]
        frequencies, amplitudes = spectrum(column, self.rate_hz)
        marks = [(at, f"{at:.4g} Hz") for at in peaks(frequencies, amplitudes)]
        ends = (f"0 Hz ({unit or 'amplitude'})", f"{self.rate_hz / 2:g} Hz")
        lines += line_chart(
            pen, frequencies, amplitudes, height=each, marks=marks, ends=ends, base=0.0, peaks=True
        )
        return lines[:height]

    def _figures(self) -> list[tuple[Channel, float, float]]:
        """Each channel's RMS about its mean, and its largest deviation from that."""
        found = []
        for i, channel in enumerate(self.channels):
            column = self._rows[:, i].astype(np.float64)
            column = column[np.isfinite(column)]
            away = column - column.mean() if len(column) else np.array([math.nan])
            found.append((channel, math.sqrt(float(np.mean(away**2))), float(np.abs(away).max())))
        return found


def spectrum(values: Doubles, rate_hz: float) -> tuple[Doubles, Doubles]:
    """Frequencies, and the amplitude at each: of a sine its height, through a Hann window."""
    window = np.hanning(len(values))
    amplitudes = 2.0 * np.abs(np.fft.rfft((values - values.mean()) * window)) / window.sum()
    frequencies = np.fft.rfftfreq(len(values), 1.0 / rate_hz)
    return frequencies.astype(np.float64), amplitudes.astype(np.float64)


def peaks(frequencies: Doubles, amplitudes: Doubles, most: int = PEAKS) -> list[float]:
    """Where the spectrum is highest, each the top of its hill."""
    inner = np.flatnonzero((amplitudes[1:-1] > amplitudes[:-2]) & (amplitudes[1:-1] >= amplitudes[2:])) + 1
    highest = inner[np.argsort(amplitudes[inner])[::-1][:most]]
    return [float(frequencies[i]) for i in highest if amplitudes[i] > 0]


def _shown(value: float, unit: str = "1") -> str:
    return quantity(value, unit) if math.isfinite(value) else "-"
