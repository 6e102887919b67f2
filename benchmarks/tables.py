"""Markdown tables of figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns after the first are figures, to the right; None is an empty cell."""
    lines = [_line(head), _line(["---", *["--:"] * (len(head) - 1)])]
    lines += [_line([shown(cell) for cell in row]) for row in rows]
    return "\n".join(lines)


def shown(value: Any, digits: int = 3) -> str:
    """Numbers to so many digits that count, whole ones whole; text as it is."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == round(value) or abs(value) >= 10**digits / 10:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def within(interval: Sequence[float] | None, unit: str = "") -> str:
    """An interval in words, also where there is none."""
    return "unknown" if interval is None else f"{shown(interval[0])} to {shown(interval[1])}{unit}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
