"""What the columns of a CSV are: times, measurements or labels, by their names and their first cells."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sensors.decimals import looks_numeric
from sensors.times import is_clock, is_date, is_number, is_time

TIME_NAMES = frozenset(
    (
        "time",
        "timestamp",
        "datetime",
        "date_time",
        "date time",
        "date",
        "ts",
        "t",
        "epoch",
        "unix",
        "unixtime",
        "unix_time",
        "utc",
    )
)
LABEL_NAMES = frozenset(
    ("anomaly", "anomalies", "is_anomaly", "changepoint", "label", "labels", "class", "target")
)
MISSING = frozenset(("", "nan", "na", "n/a", "null", "none", "-", "inf", "-inf", "+inf", "?"))
UNIT_WORDS = {"°c": "Cel", "degc": "Cel", "deg c": "Cel", "celsius": "Cel", "m/s^2": "m/s2", "m/s²": "m/s2"}
NO_TIME = "none"  # as `time`: the rows are evenly spaced, whatever their columns say
UNIT_WIDTH = 8  # characters; what is longer under a header is no unit
_UNIT = re.compile(r"(.*?)\s*[\[(]([^\])]*)[\])]\s*")
_TIME_PATTERN = re.compile(r"[YyMmDdHhSsTtf/:. -]+|utc|iso ?8601", re.IGNORECASE)  # YYYY-MM-DD hh:mm:ss

Cells = Sequence[Sequence[str]]  # the first rows of the table


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the header."""

    index: int
    name: str
    unit: str


def name_columns(cells: Sequence[str], units: Sequence[str] | None) -> list[Column]:
    """The columns of a header; a unit may stand behind a name in brackets, or in a row of its own; a name
    given twice is numbered."""
    columns: list[Column] = []
    names: dict[str, int] = {}
    for index, cell in enumerate(cells):
        match = _UNIT.fullmatch(cell)
        name, unit = (match.group(1), match.group(2).strip()) if match and match.group(1) else (cell, "")
        if not unit and units is not None and index < len(units):
            unit = units[index].strip("[]() ")
        names[name] = names.get(name, 0) + 1
        if names[name] > 1 and name:
            name = f"{name} {names[name]}"
        columns.append(Column(index, name, UNIT_WORDS.get(unit.lower(), unit) or "1"))
    return columns


def is_header(cells: Sequence[str]) -> bool:
    """Whether these cells name columns."""
    return not all(_is_value(cell) for cell in cells)


def is_units(cells: Sequence[str], below: Cells) -> bool:
    """Whether the row under the header holds units: short words, where the rows below hold values."""
    filled = [cell for cell in cells if cell.lower() not in MISSING]
    if not filled or any(_is_value(cell) for cell in filled):
        return False
    if any(len(cell) > UNIT_WIDTH and not _TIME_PATTERN.fullmatch(cell) for cell in filled):
        return False
    return any(_is_value(cell) and cell.lower() not in MISSING for row in below for cell in row)


def find_time(columns: list[Column], samples: Cells, asked: str | None) -> list[Column]:
    """The column with the times, or one with dates and one with times of day; none where there is none.

    Raises LookupError where the one asked for is not there.
    """
    if asked == NO_TIME and all(column.name != asked for column in columns):
        return []
    dates = [column for column in columns if _mostly(is_date, column, samples)]
    clocks = [column for column in columns if _mostly(is_clock, column, samples)]
    clocks = clocks or [
        column
        for column in columns
        if column.name.lower() in TIME_NAMES and column not in dates and _mostly(_is_six, column, samples)
    ]
    if asked is not None:
        column = find_column(columns, asked, "time column")
        if column in dates and clocks:
            return [column, clocks[0]]
        return [dates[0], column] if column in clocks and dates else [column]
    named = [column for column in columns if column.name.lower() in TIME_NAMES]
    whole = [column for column in named if column not in dates and column not in clocks]
    told = [column for column in columns if _mostly(is_time, column, samples) and column not in dates]
    telling = [column for column in whole if column in told or _mostly(is_number, column, samples)]
    written = [
        column for column in dates if column in named or _mostly(is_time, column, samples)
    ]  # eight digits are a date only under a name that says so
    if not telling and not told and written and clocks:
        return [written[0], clocks[0]]
    return (telling or told or whole or named or written)[:1]


def choose_channels(
    columns: list[Column], samples: Cells, times: Sequence[Column], asked: Sequence[str] | None
) -> tuple[list[Column], dict[str, str]]:
    """The columns to read, and why the others are ignored. Raises LookupError."""
    if asked is not None:
        chosen = [find_column(columns, name, "column") for name in asked]
        for column in chosen:
            if not _numeric(column, samples):
                text = next(row[column.index] for row in samples if row[column.index].lower() not in MISSING)
                raise LookupError(f"column {column.name}: holds text ({text!r}), not numbers")
        return chosen, {}
    chosen, ignored = [], {}
    for column in columns:
        if column in times or not column.name:
            continue
        if column.name.lower() in LABEL_NAMES:
            ignored[column.name] = "a label"
        elif not _numeric(column, samples):
            ignored[column.name] = "text"
        else:
            chosen.append(column)
    if not chosen:
        raise LookupError(f"no column of numbers among {', '.join(c.name for c in columns)}")
    return chosen, ignored


def find_column(columns: list[Column], name: str, noun: str) -> Column:
    """The column of that name, with or without its unit. Raises LookupError that names the nearest."""
    for column in columns:
        if name in (column.name, f"{column.name} [{column.unit}]"):
            return column
    names = [column.name for column in columns]
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise LookupError(f"no {noun} {name!r}: {hint}")


def _is_value(cell: str) -> bool:
    return looks_numeric(cell) or is_time(cell) or is_clock(cell) or cell.lower() in MISSING


def _is_six(cell: str) -> bool:
    """Whether a cell is a time of day in digits alone, 101433."""
    return len(cell) == 6 and cell.isdigit() and cell[:2] < "24" and cell[2:4] < "60" and cell[4:] < "60"


def _mostly(claim: Callable[[str], bool], column: Column, samples: Cells) -> bool:
    filled = [row[column.index] for row in samples if row[column.index].lower() not in MISSING]
    return 2 * sum(map(claim, filled)) > len(filled)


def _numeric(column: Column, samples: Cells) -> bool:
    """Whether a column may hold numbers: at least one, or nothing at all."""
    filled = [row[column.index] for row in samples if row[column.index].lower() not in MISSING]
    return not filled or any(looks_numeric(cell) for cell in filled)
