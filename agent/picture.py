"""The picture of an explanation, drawn by matplotlib: level, contributions, features before and after, spectra."""

from __future__ import annotations

import textwrap
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from agent.evidence_store import Stored
from agent.explanation import HARMONICS, Doubles, Explanation, series, spectra
from agent.recordings import Refusal

MOST_BARS, MOST_COURSES = 12, 4
INCHES, DOTS = 9.0, 110
RED, BLUE, GREY, GREEN = "#c0392b", "#2c5d8f", "#888888", "#2e8b57"


def save(stored: Stored, told: Explanation, path: Path) -> None:
    """Write the picture; its form by the file's ending, PNG where that says nothing. Raises Refusal where matplotlib
    is not installed or does not know the form, OSError where the file cannot be written."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise Refusal("a picture needs matplotlib: pip install 'tocsin[plot]'") from None
    found = spectra(stored, told)
    courses = _courses(stored, told)
    panels = 2 + len(courses) + (1 if found else 0) + (1 if found and told.lines else 0)
    bars = min(MOST_BARS, len(told.contributions)) + 1
    heights = [2.2, 0.5 + 0.26 * bars, *[1.3] * len(courses), *[2.0] * (panels - 2 - len(courses))]
    figure = Figure(figsize=(INCHES, sum(heights) + 0.55 * panels + 0.9), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(textwrap.fill(told.event.sentence, 100), fontsize=11, x=0.01, ha="left")
    axes = figure.subplots(panels, 1, height_ratios=heights, squeeze=False)[:, 0].tolist()
    _level(axes.pop(0), told)
    _contributions(axes.pop(0), told)
    for name, unit, times, values, band in courses:
        _course(axes.pop(0), told, name, unit, times, values, band)
    if found:
        _spectra(axes, told, found)
    try:
        figure.savefig(path, format=None if path.suffix else "png", metadata=_no_date(path))
    except ValueError as error:  # a form that it does not know
        raise Refusal(f"{path}: {error}") from None


def _no_date(path: Path) -> dict[str, Any]:
    """The same evidence gives the same file."""
    return {"Date": None} if path.suffix == ".svg" else {}


def _level(axes: Any, told: Explanation) -> None:
    times, levels = np.array([t for t, _ in told.level]), np.array([level for _, level in told.level])
    axes.plot(_dates(times), levels, color=BLUE, lw=1)
    axes.axhline(1.0, color=RED, lw=0.8, ls="--")
    if len(levels) and levels.max() > 6.0 and levels.min() >= 0:
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.05)
    else:
        axes.set_ylim(bottom=0.0)
    _mark(axes, told)
    axes.set_title(f"level (1 is the edge of normal), {told.event.kind} {told.event.time}", **_title())


def _contributions(axes: Any, told: Explanation) -> None:
    parts = list(told.contributions[:MOST_BARS])
    names, shares = [part.feature for part in parts], [100 * part.share for part in parts]
    others = told.contributions[MOST_BARS:]
    if others:
        names.append(f"{len(others)} others")
        shares.append(100 * sum(part.share for part in others))
    axes.barh(names, shares, color=[BLUE if share >= 0 else RED for share in shares])
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    made = told.scores[0] if told.scores else None
    what = "" if made is None else f" of the {made.adds_up}" if made.adds_up else f" of the {made.name}"
    axes.set_title(f"shares{what} in percent; together {100 * told.total:.1f} %", **_title())


def _courses(
    stored: Stored, told: Explanation
) -> list[tuple[str, str, Doubles, Doubles, tuple[float, float, float] | None]]:
    times, rows, columns = series(stored)
    places = {column.name: i for i, column in enumerate(columns)}
    found = []
    for course in told.features[:MOST_COURSES]:
        if course.feature in places and len(times):
            learned = course.learned
            band = None if learned is None else (learned.low, learned.median, learned.high)
            found.append((course.feature, course.unit, times, rows[:, places[course.feature]], band))
    return found


def _course(
    axes: Any,
    told: Explanation,
    name: str,
    unit: str,
    times: Doubles,
    values: Doubles,
    band: tuple[float, float, float] | None,
) -> None:
    axes.plot(_dates(times), values, color=BLUE, lw=0.8)
    if band is not None:
        axes.axhspan(band[0], band[2], color=GREEN, alpha=0.15, lw=0)
        axes.axhline(band[1], color=GREEN, lw=0.8)
    _mark(axes, told)
    words = "" if unit in ("", "1") else f" in {unit}"
    learned = "; green: median and 5 to 95 % of what was learned from" if band is not None else ""
    axes.set_title(f"{name}{words}{learned}", **_title())


def _spectra(axes: list[Any], told: Explanation, found: Any) -> None:
    channel = next((part.channel for part in told.contributions if part.channel in found), next(iter(found)))
    (frequencies, amplitudes, envelope), before = found[channel]
    first = axes.pop(0)
    if before is not None:
        floor = before.amplitudes.max() * 1e-5
        first.semilogy(before.frequencies[1:], np.maximum(before.amplitudes[1:], floor), color=GREEN, lw=0.6)
    first.semilogy(frequencies[1:], np.maximum(amplitudes[1:], amplitudes.max() * 1e-5), color=BLUE, lw=0.6)
    first.set_title(f"spectrum of {channel}, Hz" + ("" if before is None else "; green: before"), **_title())
    if told.lines:
        second = axes.pop(0)
        until = min(HARMONICS * max(told.lines.values()), float(frequencies[-1]))
        shown = (frequencies > 0) & (frequencies <= until)
        second.plot(frequencies[shown], envelope[shown], color=BLUE, lw=0.6)
        top = float(envelope[shown].max(initial=1.0))
        for part, hz in told.lines.items():
            for harmonic in (1, 2, 3):
                if harmonic * hz <= until:
                    second.axvline(harmonic * hz, color=RED, lw=0.6, ls="--" if harmonic == 1 else ":")
            second.text(hz, top, part, fontsize=7, rotation=90, va="top", ha="right", color=RED)
        second.set_title(f"envelope spectrum of {channel} over its median, Hz", **_title())


def _mark(axes: Any, told: Explanation) -> None:
    axes.axvline(_dates(np.array([told.time]))[0], color=GREY, lw=0.8)
    axes.tick_params(labelsize=8)


def _title() -> dict[str, Any]:
    return {"fontsize": 9, "loc": "left"}


def _dates(times: Doubles) -> list[datetime]:
    return [datetime.fromtimestamp(time, timezone.utc) for time in times.tolist()]
