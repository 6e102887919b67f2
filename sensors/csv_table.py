"""Rows of a CSV file, read in blocks: its dialect, its columns, and what is wrong in it."""

from __future__ import annotations

import csv
import difflib
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, SensorError
from sensors.rows import BLOCK_ROWS, Rows, RowSource, Tally, count_missing
from sensors.times import PER_SECOND, Form, Times, find_form, is_number, is_time, parse_iso, parse_one

SAMPLE_ROWS = 100  # looked at to tell dialect, times and numbers apart
TIME_WIDTH = 40  # characters; the longest ISO time with nine digits and an offset has 35
TIME_NAMES = frozenset(
    (
        "time",
        "timestamp",
        "datetime",
        "date_time",
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
Numbers = NDArray[np.int64]
_UNIT = re.compile(r"(.*?)\s*[\[(]([^\])]*)[\])]\s*")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the header."""

    index: int
    name: str
    unit: str


class CsvTable(RowSource):
    """A CSV file as rows. Opens it and reads its head at once; raises SensorError."""

    def __init__(
        self,
        path: Path,
        *,
        time: str | None,
        channels: Sequence[str] | None,
        form: Form,
        rate_hz: float | None,
        tally: Tally,
    ) -> None:
        self.path, self.tally, self.rate_hz = path, tally, None
        self.ignored: dict[str, str] = {}  # columns that are not channels, and why
        self._assumed_rate = rate_hz
        self._raw = _open(path)
        try:
            self._size = path.stat().st_size
            self._text = io.TextIOWrapper(self._raw, encoding=_encoding(self._raw, path), errors="replace")
            self._read_head(time, channels, form)
        except SensorError:
            self.close()
            raise

    def blocks(self) -> Iterator[Rows]:
        number, given = self._first_row, 0
        sample: list[str] | None = self._sample
        while True:
            lines = (sample or []) + list(itertools.islice(self._text, BLOCK_ROWS - len(sample or [])))
            sample = None
            if not lines:
                return
            rows = self._parse(lines, number, given)
            number += len(lines)
            given += len(rows.times)
            if len(rows.times):
                yield rows

    def progress(self) -> float:
        if self._raw.closed:
            return 1.0
        return min(1.0, self._raw.tell() / max(1, self._size))

    def close(self) -> None:
        self._raw.close()

    # the head of the file

    def _read_head(self, time: str | None, channels: Sequence[str] | None, form: Form) -> None:
        number, head = 0, ""
        for line in self._text:
            number += 1
            if line.strip() and not line.startswith("#"):
                head = line
                break
        if not head:
            raise SensorError(f"{self.path}: is empty")
        self._delimiter = max(";\t,", key=head.count) if any(mark in head for mark in ";\t,") else ","
        cells = self._split(head)
        lines = list(itertools.islice(self._text, SAMPLE_ROWS))
        has_header = not all(is_number(cell) or is_time(cell) or cell.lower() in MISSING for cell in cells)
        if not has_header:
            lines = [head, *lines]
            cells = [f"column {i + 1}" for i in range(len(cells))]
        self._width = len(cells)
        self._sample, self._first_row = lines, number + has_header
        filled = [self._split(line) for line in lines if line.strip()]
        samples = [row for row in filled if len(row) >= self._width]
        if not filled:
            raise SensorError(f"{self.path}, row {number}: only a header, no rows follow it")
        if not samples:
            raise SensorError(
                f"{self.path}, row {self._first_row}: "
                f"{len(filled[0])} columns where the header has {self._width}"
            )
        self._decimal_comma = self._delimiter != "," and any(
            _DECIMAL_COMMA.fullmatch(cell) for row in samples for cell in row
        )
        if self._decimal_comma:
            samples = [[cell.replace(",", ".") for cell in row] for row in samples]
        columns = _name(cells)
        self._time = self._find_time(columns, samples, time)
        self._form = self._find_form(samples, form)
        chosen = self._choose(columns, samples, channels)
        self._indices = [column.index for column in chosen]
        self.channels = tuple(Channel(column.name, column.unit) for column in chosen)

    def _find_time(self, columns: list[Column], samples: list[list[str]], asked: str | None) -> Column | None:
        if asked is not None:
            return self._find(columns, asked, "time column")
        for column in columns:
            if column.name.lower() in TIME_NAMES:
                return column
        for column in columns:
            if 2 * sum(is_time(row[column.index]) for row in samples) > len(samples):
                return column
        if self._assumed_rate is None:
            raise SensorError(
                f"{self.path}: no time column among {', '.join(c.name for c in columns)}: name it with "
                "`time: COLUMN`, or give `rate_hz` if the rows are evenly spaced"
            )
        return None

    def _find_form(self, samples: list[list[str]], asked: Form) -> Form:
        if self._time is None:
            return "s"
        if asked != "auto":
            return asked
        cells = [row[self._time.index] for row in samples]
        try:
            form = find_form(cells)
        except ValueError as error:
            raise SensorError(
                f"{self.path}, row {self._first_row}, column {self._time.name}: {error}"
            ) from None
        unit = self._time.unit
        return unit if form in PER_SECOND and unit in ("s", "ms", "us", "ns") else form  # type: ignore[return-value]

    def _choose(
        self, columns: list[Column], samples: list[list[str]], asked: Sequence[str] | None
    ) -> list[Column]:
        if asked is not None:
            chosen = [self._find(columns, name, "column") for name in asked]
            for column in chosen:
                if not _numeric(column, samples):
                    text = next(
                        row[column.index] for row in samples if row[column.index].lower() not in MISSING
                    )
                    raise SensorError(
                        f"{self.path}, column {column.name}: holds text ({text!r}), not numbers"
                    )
            return chosen
        chosen = []
        for column in columns:
            if column is self._time or not column.name:
                continue
            if column.name.lower() in LABEL_NAMES:
                self.ignored[column.name] = "a label"
            elif not _numeric(column, samples):
                self.ignored[column.name] = "text"
            else:
                chosen.append(column)
        if not chosen:
            raise SensorError(f"{self.path}: no column of numbers among {', '.join(c.name for c in columns)}")
        return chosen

    def _find(self, columns: list[Column], name: str, noun: str) -> Column:
        for column in columns:
            if name in (column.name, f"{column.name} [{column.unit}]"):
                return column
        names = [column.name for column in columns]
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise SensorError(f"{self.path}: no {noun} {name!r}: {hint}")

    # its rows

    def _parse(self, lines: list[str], number: int, given: int) -> Rows:
        """The rows of some lines, the first of which has this number; `given` rows went before."""
        numbers = np.arange(number, number + len(lines))
        if any(map(str.isspace, lines)):
            numbers = numbers[[not line.isspace() for line in lines]]
            lines = [line for line in lines if not line.isspace()]
        rows = self._parse_fast(lines, numbers) if lines else None
        if rows is None:
            rows = self._parse_slowly(lines, numbers)
        if self._time is None:
            assert self._assumed_rate is not None
            rows = Rows(
                np.arange(given, given + len(rows.values)) / self._assumed_rate, rows.values, rows.numbers
            )
        return rows

    def _parse_fast(self, lines: list[str], numbers: Numbers) -> Rows | None:
        """The rows by numpy's own parser; None where something in them needs a closer look."""
        mark = self._delimiter
        if set(map(str.count, lines, itertools.repeat(mark))) != {self._width - 1}:
            return None
        text = "".join(lines)
        if self._decimal_comma:
            text = text.replace(",", ".")
        if mark + mark in text or mark + "\n" in text:  # empty cells: missing values
            text = text.replace(mark + mark, f"{mark}nan{mark}").replace(mark + mark, f"{mark}nan{mark}")
            text = text.replace(mark + "\n", f"{mark}nan\n")
        timed = self._time is not None
        kind = "f8" if self._form in PER_SECOND else f"S{TIME_WIDTH}"
        fields = [("time", kind)] * timed + [("values", "f4", (len(self._indices),))]
        columns = [self._time.index, *self._indices] if self._time is not None else self._indices
        try:
            with np.errstate(over="ignore"):
                table = np.loadtxt(
                    io.StringIO(text), dtype=np.dtype(fields), delimiter=mark, comments=None, usecols=columns,
                    quotechar='"' if '"' in text else None, ndmin=1,
                )  # fmt: skip
        except ValueError:
            return None
        if len(table) != len(lines):
            return None
        rows = Rows(np.zeros(len(table)), np.ascontiguousarray(table["values"]), numbers)
        count_missing(self.tally, rows, self.channels)
        return self._timed(rows, table["time"]) if timed else rows

    def _timed(self, rows: Rows, cells: NDArray[np.bytes_] | Times) -> Rows:
        """The rows with their times from the cells; those without a time are counted and left out."""
        if cells.dtype.kind == "f":
            times = cells.astype(np.float64) / PER_SECOND[self._form]
            good = np.isfinite(times)
        elif self._form == "iso":
            times, good = parse_iso(cells.astype(np.bytes_))
        else:
            times, good = np.empty(len(cells)), np.zeros(len(cells), np.bool_)
        for i in np.flatnonzero(~good).tolist():
            text = cells[i].decode("latin-1") if isinstance(cells[i], bytes) else ""
            time = self._parse_time(text, int(rows.numbers[i]))
            if time is not None:
                times[i], good[i] = time, True
        return Rows(times[good], rows.values[good], rows.numbers[good]) if not good.all() else Rows(
            times, rows.values, rows.numbers
        )  # fmt: skip

    def _parse_time(self, text: str, number: int) -> float | None:
        assert self._time is not None
        if text.strip().lower() in MISSING:
            self.tally.add("bad_times", number, f"column {self._time.name}: has no time")
            return None
        try:
            return parse_one(text, self._form)
        except ValueError as error:
            self.tally.add("bad_times", number, f"column {self._time.name}: {error}")
            return None

    def _parse_slowly(self, lines: list[str], numbers: Numbers) -> Rows:
        """Row by row, so that each mistake is told with its row, column and text."""
        times: list[float] = []
        values: list[list[float]] = []
        kept: list[int] = []
        for line, number in zip(lines, numbers.tolist(), strict=True):
            cells = self._split(line)
            if len(cells) < self._width:
                self.tally.add(
                    "missing_columns", number, f"{len(cells)} columns where the header has {self._width}"
                )
                continue
            if any(cells[self._width :]):
                self.tally.add(
                    "extra_columns", number, f"{len(cells)} columns where the header has {self._width}"
                )
                continue
            time = self._parse_time(cells[self._time.index], number) if self._time is not None else 0.0
            if time is None:
                continue
            times.append(time)
            kept.append(number)
            values.append([self._value(cells[i], i, number) for i in self._indices])
        with np.errstate(over="ignore"):
            table = np.array(values, np.float64).reshape(len(values), len(self._indices)).astype(np.float32)
        rows = Rows(np.array(times, np.float64), table, np.array(kept, np.int64))
        count_missing(self.tally, rows, self.channels)
        return rows

    def _value(self, cell: str, index: int, number: int) -> float:
        if self._decimal_comma:
            cell = cell.replace(",", ".")
        if is_number(cell):
            return float(cell)
        if cell.lower() not in MISSING:
            name = self.channels[self._indices.index(index)].name
            self.tally.add("not_a_number", number, f"column {name}: {cell!r} is not a number")
        return float("nan")

    def _split(self, line: str) -> list[str]:
        cells = (
            next(csv.reader([line], delimiter=self._delimiter), [])
            if '"' in line
            else line.split(self._delimiter)
        )
        return [cell.strip() for cell in cells]


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise SensorError(f"{path}: no such file") from None
    except OSError as error:
        raise SensorError(f"{path}: {error.strerror or error}") from error


def _encoding(raw: io.BufferedReader, path: Path) -> str:
    """UTF-8, or Latin-1 where the head of the file is not UTF-8."""
    head = raw.read(65_536)
    raw.seek(0)
    if b"\0" in head:
        raise SensorError(f"{path}: is not a text file: save it as CSV in UTF-8")
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _name(cells: list[str]) -> list[Column]:
    """The columns of a header; a unit may stand behind a name in brackets; a name given twice is numbered."""
    columns: list[Column] = []
    names: dict[str, int] = {}
    for index, cell in enumerate(cells):
        match = _UNIT.fullmatch(cell)
        name, unit = (match.group(1), match.group(2).strip()) if match and match.group(1) else (cell, "1")
        names[name] = names.get(name, 0) + 1
        if names[name] > 1 and name:
            name = f"{name} {names[name]}"
        columns.append(Column(index, name, UNIT_WORDS.get(unit.lower(), unit) or "1"))
    return columns


def _numeric(column: Column, samples: list[list[str]]) -> bool:
    """Whether a column may hold numbers: at least one, or nothing at all."""
    filled = [row[column.index] for row in samples if row[column.index].lower() not in MISSING]
    return not filled or any(is_number(cell) for cell in filled)
