"""Charts of characters, for a terminal or a pipe: lines of dots, bars, sparks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
EIGHTHS = " ▏▎▍▌▋▊▉█"
SPARKS = "▁▂▃▄▅▆▇█"
BRAILLE = 0x2800
DOTS = (
    (0x01, 0x08),
    (0x02, 0x10),
    (0x04, 0x20),
    (0x40, 0x80),
)  # bits of a character's 4 x 2 dots, Unicode 28xx
MANY = 6.0  # times the edge, beyond which a linear axis would press the edge onto the ground
CHARACTERS = EIGHTHS + SPARKS + "⠿─┤│╵▲▒µσ·"  # what a terminal must be able to show


@dataclass(frozen=True, slots=True)
class Pen:
    """What may be drawn with."""

    width: int  # characters of a line
    plain: bool = False  # nothing beyond ASCII

    def __post_init__(self) -> None:
        if self.width < 40:
            object.__setattr__(self, "width", 40)


def pen(width: int, encoding: str | None) -> Pen:
    """For an output of this width and encoding."""
    try:
        CHARACTERS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return Pen(width, plain=True)
    return Pen(width)


def line_chart(
    pen: Pen,
    x: Doubles,
    y: Doubles,
    *,
    height: int = 8,
    edge: float | None = None,
    marks: Sequence[tuple[float, str]] = (),
    ends: tuple[str, str] = ("", ""),
    logarithmic: bool | None = None,
    base: float | None = None,
    peaks: bool = False,
) -> list[str]:
    """`y` over `x` as lines of text: each column of dots spans what lies in it, so that no peak is lost.

    `edge` is drawn across, `marks` are words below their places, `ends` what the first and last x are called.
    `logarithmic` None: where the largest is many times the edge. `peaks`: only the highest of each column. NaN leaves
    a hole. x must not fall.
    """
    good = np.isfinite(y) & np.isfinite(x)
    x, y = x[good], y[good]
    if not len(y):
        return ["nothing to draw"]
    if logarithmic is None:
        logarithmic = edge is not None and float(y.max()) > MANY * edge and float(y.min()) >= 0.0
    low, high = _range(y, edge, logarithmic, base)
    label = [_short(high), _short(edge) if edge is not None else "", _short(low)]
    margin = max(map(len, label)) + 2
    canvas = _Canvas(pen, pen.width - margin, height)
    columns, rows = canvas.dots
    span = float(x[-1] - x[0]) or 1.0
    at = np.clip(((x - x[0]) / span * (columns - 1)).astype(int), 0, columns - 1)
    spots = _heights(y, low, high, logarithmic, rows)
    edge_row = None
    if edge is not None:
        edge_row = int(_heights(np.array([edge]), low, high, logarithmic, rows)[0])
    tops = np.full(columns, -1)
    bottoms = np.full(columns, rows)
    np.maximum.at(tops, at, spots)
    np.minimum.at(bottoms, at, spots)
    if peaks:
        bottoms = np.where(tops >= 0, tops, rows)
    before: tuple[int, int, int] | None = None
    for column in np.flatnonzero(tops >= 0).tolist():
        top, bottom = int(tops[column]), int(bottoms[column])
        if before is not None and column - before[0] <= max(2, columns // max(1, len(y) - 1) + 1):
            joined = (min(bottom, before[2] + 1), max(top, before[1] - 1))
            canvas.fill(column, *joined)
            for between in range(before[0] + 1, column):
                near = before if between - before[0] <= column - between else (column, top, bottom)
                canvas.fill(between, near[2], near[1])
        canvas.fill(column, bottom, top)
        before = column, top, bottom
    lines = canvas.lines(edge_row)
    edge_line = None if edge_row is None else height - 1 - edge_row * height // rows
    axis = "|" if pen.plain else "┤"
    out = []
    for i, text in enumerate(lines):
        words = label[0] if i == 0 else label[2] if i == height - 1 else ""
        if edge_line == i:
            words = label[1]
        out.append(f"{words:>{margin - 2}} {axis}{text}")
    out += _below(pen, margin, x, span, marks, ends)
    return out


def _range(y: Doubles, edge: float | None, logarithmic: bool, base: float | None) -> tuple[float, float]:
    high = max(float(y.max()), 0.0 if edge is None else 1.15 * edge)
    if logarithmic:
        positive = y[y > 0]
        low = float(positive.min()) if len(positive) else high / 10
        if edge is not None:
            low = max(min(low, edge / 5), edge / 20)
        return low, max(high, 1.01 * low)
    low = float(y.min()) if base is None else min(base, float(y.min()))
    return low, high if high > low else low + (abs(low) or 1.0)


def _heights(y: Doubles, low: float, high: float, logarithmic: bool, rows: int) -> NDArray[np.int64]:
    if logarithmic:
        part = np.log(np.maximum(y, low) / low) / math.log(high / low)
    else:
        part = (y - low) / (high - low)
    return np.clip(np.round(part * (rows - 1)), 0, rows - 1).astype(np.int64)


def _below(
    pen: Pen,
    margin: int,
    x: Doubles,
    span: float,
    marks: Sequence[tuple[float, str]],
    ends: tuple[str, str],
) -> list[str]:
    """The words under a chart: marks at their places, then what the ends are called."""
    width = pen.width - margin
    out = []
    if marks:
        line = [" "] * width
        taken = 0
        for place, words in sorted(marks):
            text = f"{'^' if pen.plain else '▲'} {words}"
            spot = round((place - float(x[0])) / span * (width - 1))
            if not 0 <= spot < width:
                continue
            if spot + len(text) > width and spot - len(text) + 1 >= taken:  # to the left of its arrow
                text = f"{words} {text[0]}"
                spot = spot - len(text) + 1
            if spot < taken:
                continue
            line[spot : spot + len(text)] = text[: width - spot]
            taken = spot + len(text) + 1
        out.append((" " * margin + "".join(line)).rstrip())
    if any(ends):
        out.append(" " * margin + ends[0] + ends[1].rjust(width - len(ends[0])))
    return out


class _Canvas:
    """Dots, of which a character holds 2 x 4; one, where only ASCII may be used."""

    def __init__(self, pen: Pen, width: int, height: int) -> None:
        self._pen, self._width, self._height = pen, width, height
        columns, rows = (width, height) if pen.plain else (2 * width, 4 * height)
        self.dots = columns, rows
        self._set = np.zeros((rows, columns), bool)

    def fill(self, column: int, bottom: int, top: int) -> None:
        self._set[bottom : top + 1, column] = True

    def lines(self, edge_row: int | None) -> list[str]:
        """From the top; the edge is a dotted line behind the dots."""
        rows = self._set[::-1]
        plain = self._pen.plain
        if plain:
            out = [["*" if dot else " " for dot in row] for row in rows.tolist()]
        else:
            blocks = rows.reshape(self._height, 4, self._width, 2)
            bits = (blocks * np.array(DOTS)[:, None, :]).sum(axis=(1, 3))
            out = [[chr(BRAILLE + bit) if bit else " " for bit in line] for line in bits.tolist()]
        if edge_row is not None:
            line = out[self._height - 1 - edge_row * self._height // self.dots[1]]
            line[:] = [("-" if plain else "─") if cell == " " else cell for cell in line]
        return ["".join(line) for line in out]


def bar(pen: Pen, part: float, width: int) -> str:
    """A bar of `part` of `width` characters; one that is negative looks different."""
    part = max(-1.0, min(1.0, part))
    if part < 0:
        return ("-" if pen.plain else "▒") * max(1, round(-part * width))
    if pen.plain:
        return "#" * (max(1, round(part * width)) if part > 0 else 0)
    eighths = round(part * width * 8)
    whole, rest = divmod(eighths, 8)
    text = "█" * whole + (EIGHTHS[rest] if rest else "")
    return text or (EIGHTHS[1] if part > 0 else "")


def spark(pen: Pen, y: Doubles, width: int) -> str:
    """The course of `y` in one line: the mean of each of `width` stretches between its lowest and highest."""
    y = y[np.isfinite(y)]
    if pen.plain or not len(y):
        return ""
    pieces = np.array_split(y, min(width, len(y)))
    means = np.array([piece.mean() for piece in pieces])
    low, high = float(means.min()), float(means.max())
    if not high > low:
        return SPARKS[3] * len(means)
    steps = np.clip(((means - low) / (high - low) * len(SPARKS)).astype(int), 0, len(SPARKS) - 1)
    return "".join(SPARKS[step] for step in steps.tolist())


def percents(parts: Sequence[float], decimals: int = 1) -> list[str]:
    """Parts that add up to 1 as percents whose printed figures add up to 100: the largest remainders are rounded up."""
    unit = 10**decimals
    scaled = [part * 100 * unit for part in parts]
    floors = [math.floor(value) for value in scaled]
    missing = round(sum(scaled)) - sum(floors)
    order = sorted(range(len(parts)), key=lambda i: floors[i] - scaled[i])
    for i in order[: max(0, missing)]:
        floors[i] += 1
    return [f"{value / unit:.{decimals}f}" for value in floors]


def _short(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.3g}"
