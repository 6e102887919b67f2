"""What evidence says, in numbers: the level's course, what made it, and each feature before and after."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.evidence import Column, Contribution, Score, Spread
from agent.evidence_store import Stored
from agent.payloads import Event

Doubles = NDArray[np.float64]
SHARE_OF_BAND = (
    1 / 16
)  # of the spectrum left out at its low end: shaft harmonics live there, bearing resonances do not
TINY = 1e-300
HARMONICS = 4.2  # of the highest of a bearing's lines, up to which the envelope is drawn
SHORTEST = 64  # samples of which a spectrum is worth showing
SAME_TIME_S = 2e-6  # times are rounded to the microsecond


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """One feature: as learned, in the minutes before, when the alert was raised, and after it."""

    feature: str
    unit: str
    learned: Spread | None
    before: Spread | None
    now: Spread | None
    after: Spread | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="tocsin.explanation/1"):
    """All that `tocsin explain` draws."""

    event: Event
    evidence: str  # the file
    whole: bool  # it holds what came after, too
    level: tuple[tuple[float, float], ...]  # Unix seconds, level
    time: float  # of the event, Unix seconds
    onset: (
        float | None
    )  # since when the level had been at 1.0 or above; None: longer than the evidence reaches
    edge: float
    scores: tuple[Score, ...]
    notes: tuple[str, ...]
    contributions: tuple[Contribution, ...]
    total: float  # of the shares: 1, but for rounding
    features: tuple[Course, ...]  # the largest share first
    lines: dict[str, float]


def explain(stored: Stored, name: str) -> Explanation:
    """In numbers, of one file of evidence."""
    meta, arrays = stored.meta, stored.arrays
    level_times, levels = arrays["level_times"], arrays["levels"].astype(np.float64)
    time = meta.time
    begun = onset(level_times, levels, time)
    courses = {course.feature: course for course in _courses(stored, time, begun)}
    order = [part.feature for part in meta.account.contributions if part.feature in courses]
    return Explanation(
        event=meta.event,
        evidence=name,
        whole=meta.whole,
        level=tuple(zip(level_times.tolist(), [round(level, 6) for level in levels.tolist()], strict=True)),
        time=time,
        onset=begun,
        edge=meta.account.edge,
        scores=meta.account.scores,
        notes=meta.account.notes,
        contributions=meta.account.contributions,
        total=math.fsum(part.share for part in meta.account.contributions),
        features=tuple(courses[feature] for feature in dict.fromkeys([*order, *courses])),
        lines=meta.scene.lines,
    )


def onset(times: Doubles, levels: Doubles, time: float) -> float | None:
    """Since when the level had been at 1.0 or above at `time`."""
    there = int(np.searchsorted(times, time + SAME_TIME_S, side="right"))
    below = np.flatnonzero(levels[:there] < 1.0)
    if not len(below):
        return None
    return float(times[min(int(below[-1]) + 1, there - 1)])


def series(stored: Stored) -> tuple[Doubles, Doubles, tuple[Column, ...]]:
    """Times `(n,)`, features `(n, columns)` in their own units, and what the columns are."""
    meta, arrays = stored.meta, stored.arrays
    if "rows" in arrays:
        columns, times, rows = meta.scene.features, arrays["row_times"], arrays["rows"].astype(np.float64)
    elif "values" in arrays:
        columns, times, rows = meta.scene.channels, arrays["value_times"], arrays["values"].astype(np.float64)
    else:
        return np.empty(0), np.empty((0, len(meta.scene.features))), meta.scene.features
    for i, column in enumerate(columns):
        if column.logarithm:
            rows[:, i] = np.exp(np.minimum(rows[:, i], 700.0))
    return times, rows, columns


def _courses(stored: Stored, time: float, begun: float | None) -> list[Course]:
    scene = stored.meta.scene
    times, rows, columns = series(stored)
    late = time + SAME_TIME_S
    now_from, before_until = _borders(stored, time, begun)
    stretches = {
        "before": times < before_until if begun is not None else np.zeros(len(times), bool),
        "now": (times > now_from - SAME_TIME_S) & (times <= late),
        "after": times > late,
    }
    found = []
    for i, column in enumerate(columns):
        learned = None
        if i < len(scene.learned):
            learned = scene.learned[i]
            if column.logarithm:
                low, median, high = (math.exp(x) for x in msgspec.structs.astuple(learned))
                learned = Spread(low=low, median=median, high=high)
        spreads = {name: _spread(rows[which, i]) for name, which in stretches.items()}
        found.append(Course(feature=column.name, unit=column.unit, learned=learned, **spreads))
    return found


def _borders(stored: Stored, time: float, begun: float | None) -> tuple[float, float]:
    """Where "now" begins, which is what the level at the event looked back on, or since it had left normal; and where
    "before" ends. In between it was moving."""
    span_s = stored.meta.scene.span_s
    now_from = min(time - span_s, time if begun is None else begun)
    return now_from, now_from - span_s


def _spread(values: Doubles) -> Spread | None:
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    return Spread(low=low, median=median, high=high)


class Spectrum(NamedTuple):
    """Of one channel over one stretch."""

    frequencies: Doubles  # Hz
    amplitudes: Doubles  # in the channel's unit
    envelope: Doubles  # amplitudes of the squared envelope, over their median


def spectra(stored: Stored, told: Explanation) -> dict[str, tuple[Spectrum, Spectrum | None]]:
    """By channel the spectra now and, where the waveform reaches so far back, before. Empty where there is none."""
    wave = stored.arrays.get("waveform")
    if wave is None or not len(wave):
        return {}
    rate, end = stored.meta.rate_hz, stored.meta.waveform_end
    now_from, before_until = _borders(stored, told.time, told.onset)
    first, last = (max(0, len(wave) - round((end - time) * rate)) for time in (now_from, before_until))
    now, before = _whole(wave[first:]), _whole(wave[:last])
    if len(now) < SHORTEST:
        return {}
    found = {}
    for i, channel in enumerate(stored.meta.scene.channels):
        old = None
        if told.onset is not None and len(before) >= max(SHORTEST, len(now) // 2):
            old = _spectrum(before[-len(now) :, i].astype(np.float64), rate)
        found[channel.name] = (_spectrum(now[:, i].astype(np.float64), rate), old)
    return found


def _whole(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """The newest stretch in which every sample is a number."""
    bad = np.flatnonzero(~np.isfinite(wave).all(axis=1))
    return wave[bad[-1] + 1 :] if len(bad) else wave


def _spectrum(x: Doubles, rate_hz: float) -> Spectrum:
    """The envelope is that of the prewhitened signal (Borghesani et al., Mech. Syst. Signal Process. 36 (2013)), as the
    features have it."""
    x = x - x.mean()
    length, taper = len(x), np.hanning(len(x))
    amplitudes = np.abs(np.fft.rfft(x * taper)) * (2 / taper.sum())
    whitened = np.fft.rfft(x)
    whitened /= np.maximum(np.abs(whitened), TINY)
    whitened[: int(len(whitened) * SHARE_OF_BAND)] = 0
    analytic = np.fft.ifft(whitened, n=length)  # negative frequencies stay 0
    envelope = analytic.real**2 + analytic.imag**2
    lines = np.abs(np.fft.rfft(envelope - envelope.mean()))
    lines /= max(float(np.median(lines)), TINY)
    return Spectrum(np.fft.rfftfreq(length, 1 / rate_hz).astype(np.float64), amplitudes, lines)
