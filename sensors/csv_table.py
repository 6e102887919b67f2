"""Rows of a CSV file, read in blocks: its dialect, its columns, and what is wrong in it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, SensorError
from sensors.csv_columns import MISSING, Column, choose_channels, find_time, is_header, is_units, name_columns
from sensors.decimals import find_decimals
from sensors.rows import BLOCK_ROWS, Rows, RowSource, Tally, count_missing
from sensors.times import LAST_S, PER_SECOND, Form, Times, find_form, is_number, parse_iso, parse_one

SAMPLE_ROWS = 100  # looked at to tell dialect, times and numbers apart
TIME_WIDTH = 40  # characters; the longest ISO time with nine digits and an offset has 35
MARKS = ";\t,"  # between cells; of two as frequent, the first
Numbers = NDArray[np.int64]


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
        self._times: list[Column] = []  # one, or one of dates and one of times of day
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
        number, head, comment = self._find_head()
        cells = self._split(head)
        lines = list(itertools.islice(self._text, SAMPLE_ROWS))
        first = number + 1
        headed = is_header(cells)
        if not headed:
            lines, first = [head, *lines], number
            named = self._split(comment.lstrip("# "))  # as numpy.savetxt writes it
            fits = len(named) == len(cells) and is_header(named)
            cells = named if fits else [f"column {i + 1}" for i in range(len(cells))]
        while len(cells) > 1 and not cells[-1]:  # a mark too many
            cells.pop()
        self._width = len(cells)
        filled = [(i, self._split(line)) for i, line in enumerate(lines) if not _is_void(line)]
        units = None
        if headed and len(filled) > 1 and is_units(filled[0][1], [filled[1][1]]):
            start, units = filled.pop(0)
            lines, first = lines[start + 1 :], first + start + 1
        self._sample, self._first_row = lines, first
        samples = self._check_width([row for _, row in filled], number)
        columns = name_columns(cells, units)
        try:
            self._times = find_time(columns, samples, time)
            if not self._times and self._assumed_rate is None:
                if len(columns) == 1:
                    raise LookupError(
                        f"one column only, {columns[0].name}: part the cells with `,`, `;` or tabs"
                    )
                raise LookupError(
                    f"no time column among {', '.join(c.name for c in columns)}: name it with "
                    "`time: COLUMN`, or give `rate_hz` if the rows are evenly spaced"
                )
            chosen, self.ignored = choose_channels(columns, samples, self._times, channels)
        except LookupError as error:
            raise SensorError(f"{self.path}: {error.args[0]}") from None
        self._form = self._find_form(samples, form)
        self._indices = [column.index for column in chosen]
        try:
            numbers = (row[i] for row in samples for i in self._indices)
            self._decimals = find_decimals(numbers, self._delimiter)
        except ValueError as error:
            raise SensorError(f"{self.path}: {error}") from None
        self.channels = tuple(Channel(column.name, column.unit) for column in chosen)

    def _find_head(self) -> tuple[int, str, str]:
        """The number and text of the first line that is none of comment, empty and Excel's `sep=`; the comment
        before it."""
        comment = told = ""
        for number, line in enumerate(self._text, 1):
            if line.startswith("#"):
                comment = line
            elif line.lower().startswith("sep=") and line.strip()[4:] in tuple(MARKS):
                told = line.strip()[4:]
            elif line.strip():
                fullest = max(MARKS, key=line.count)
                self._delimiter = told or (fullest if fullest in line else ",")
                return number, line, comment
        raise SensorError(f"{self.path}: is empty")

    def _check_width(self, rows: list[list[str]], number: int) -> list[list[str]]:
        """The rows that have all columns."""
        if not rows:
            raise SensorError(f"{self.path}, row {number}: only a header, no rows follow it")
        whole = [row for row in rows if len(row) >= self._width]
        if not whole or all(any(row[self._width :]) for row in rows):
            hint = ": are those decimal commas? write the cells in quotes, or part them with `;`"
            raise SensorError(
                f"{self.path}, row {self._first_row}: {len(rows[0])} columns where the header has {self._width}"
                + (hint if whole and self._delimiter == "," else "")
            )
        return whole

    def _find_form(self, samples: list[list[str]], asked: Form) -> Form:
        if not self._times:
            return "s"
        if asked != "auto":
            return asked
        cells = [self._time_of(row) for row in samples]
        unit = self._times[0].unit
        if unit in PER_SECOND and 2 * sum(map(is_number, cells)) > len(cells):
            return unit  # type: ignore[return-value]
        try:
            return find_form(cells)
        except ValueError as error:
            raise SensorError(
                f"{self.path}, row {self._first_row}, column {self._time_name}: {error}"
            ) from None

    def _time_of(self, cells: list[str]) -> str:
        return " ".join(cells[column.index] for column in self._times)

    @property
    def _time_name(self) -> str:
        return " and ".join(column.name for column in self._times)

    # its rows

    def _parse(self, lines: list[str], number: int, given: int) -> Rows:
        """The rows of some lines, the first of which has this number; `given` rows went before."""
        numbers = np.arange(number, number + len(lines))
        void = [_is_void(line) for line in lines]
        if any(void):
            numbers = numbers[~np.array(void)]
            lines = [line for line in lines if not _is_void(line)]
        rows = self._parse_fast(lines, numbers) if lines else None
        if rows is None:
            rows = self._parse_slowly(lines, numbers)
        if not self._times:
            assert self._assumed_rate is not None
            rows = Rows(
                np.arange(given, given + len(rows.values)) / self._assumed_rate, rows.values, rows.numbers
            )
        return rows

    def _parse_fast(self, lines: list[str], numbers: Numbers) -> Rows | None:
        """The rows by numpy's own parser; None where something in them needs a closer look."""
        mark = self._delimiter
        marks = set(map(str.count, lines, itertools.repeat(mark)))
        extra = min(marks) - self._width + 1
        if len(marks) > 1 or extra < 0 or self._decimals.unlike_numpy(text := "".join(lines)):
            return None
        if extra and not all(line.rstrip("\r\n").endswith(mark * extra) for line in lines):
            return None
        if self._decimals.decimal == ",":
            text = text.replace(", ", "  ").replace(",", ".")  # but not the comma between a date and a time
        if mark + mark in text or mark + "\n" in text:  # empty cells: missing values
            text = text.replace(mark + mark, f"{mark}nan{mark}").replace(mark + mark, f"{mark}nan{mark}")
            text = text.replace(mark + "\n", f"{mark}nan\n")
        kind = "f8" if self._form in PER_SECOND else f"S{TIME_WIDTH}"
        names = [("date", kind), ("clock", kind)][: len(self._times)]
        fields = [*names, ("values", "f4", (len(self._indices),))]
        columns = [column.index for column in self._times] + self._indices
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
        if not self._times:
            return rows
        cells = table["date"]
        if len(self._times) > 1:
            cells = np.char.add(np.char.add(np.char.strip(cells), b" "), np.char.strip(table["clock"]))
        return self._timed(rows, cells)

    def _timed(self, rows: Rows, cells: NDArray[np.bytes_] | Times) -> Rows:
        """The rows with their times from the cells; those without a time are counted and left out."""
        if cells.dtype.kind == "f":
            times = cells.astype(np.float64) / PER_SECOND[self._form]
            good = np.abs(times) < LAST_S
        elif self._form == "iso":
            times, good = parse_iso(cells.astype(np.bytes_))
        else:
            times, good = np.empty(len(cells)), np.zeros(len(cells), np.bool_)
        for i in np.flatnonzero(~good).tolist():
            text = cells[i].decode("latin-1") if isinstance(cells[i], bytes) else f"{cells[i]:g}"
            time = self._parse_time(text, int(rows.numbers[i]))
            if time is not None:
                times[i], good[i] = time, True
        return Rows(times[good], rows.values[good], rows.numbers[good]) if not good.all() else Rows(
            times, rows.values, rows.numbers
        )  # fmt: skip

    def _parse_time(self, text: str, number: int) -> float | None:
        if text.strip().lower() in MISSING:
            self.tally.add("bad_times", number, f"column {self._time_name}: has no time")
            return None
        try:
            return parse_one(text, self._form)
        except ValueError as error:
            self.tally.add("bad_times", number, f"column {self._time_name}: {error}")
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
            time = self._parse_time(self._time_of(cells), number) if self._times else 0.0
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
        value = self._decimals.number(cell)
        if value is not None:
            return value
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


def _is_void(line: str) -> bool:
    """Whether a line is a comment or empty."""
    return line.startswith("#") or line.isspace()
