"""Lines of text, as instruments and programs write them, and the values in them."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sensors.base import OptionError
from sensors.cells import SHOWN, Skip, Times, in_documents, number, sample, shown
from sensors.quantity import Quantity
from sensors.times import Form as TimeForm

SEPARATORS = (",", ";", "\t", "|", " ")  # that instruments use, the surest first
LONGEST = 65_536  # bytes of a line: an instrument's are shorter, and what never ends must not fill the memory


@dataclass(frozen=True, slots=True)
class Line:
    """How a line is read.

    Options:
        form: csv = columns; json = a document on each line; pattern = what a regular expression finds.
        separator: of csv, one character; a blank stands for any number of blanks and tabs.
        decimal: what marks the decimals in csv and pattern.
        pattern: of form pattern, a regular expression with a named group for each channel; it may match anywhere in the
            line, and lines in which it does not are passed over and counted.
        time: where the line says when it was measured: a column from 1, a path, or a group; without it, when it came.
        time_form: how that time is written, where the first one leaves it open; without a zone it is UTC.
    """

    form: Literal["csv", "json", "pattern"] = "csv"
    separator: str = ","
    decimal: Literal[".", ","] = "."
    pattern: str | None = None
    time: int | str | None = None
    time_form: TimeForm = "auto"

    def __post_init__(self) -> None:
        if len(self.separator) != 1:
            raise OptionError("separator", self.separator, "must be one character")
        if self.form == "csv" and self.decimal == self.separator:
            raise OptionError("decimal", self.decimal, "is the separator too")
        if (self.pattern is not None) != (self.form == "pattern"):
            raise OptionError("pattern", self.pattern, "belongs to `form: pattern`, and that to it")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise OptionError("pattern", self.pattern, f"is no regular expression: {error}") from None


@dataclass(frozen=True, slots=True)
class Value(Quantity):
    """One value of each line.

    Options:
        at: where it stands: in csv its column, from 1; in json its path, such as a.b[0].c; in a pattern its group.
            Without it, the column is its place in this list, and path and group are its name.
    """

    at: int | str | None = None


class Unreadable(Exception):
    """A line that is no sample, in words. `reason` is what it is counted as."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


Cells = Callable[[str], list[object]]  # of a line: what stands at each place, None where nothing does


class LineForm:
    """Reads lines: each a row with a value for each channel, NaN where there is none, and a time where it says one."""

    def __init__(self, line: Line, values: Sequence[Value], skip: Skip) -> None:
        """Raises OptionError. `skip` is told of each value that cannot be used."""
        self._values, self._skip = values, skip
        self._times = None if line.time is None else Times(line.time_form)
        self._comma = line.decimal == ","
        places: list[tuple[str, int | str]] = [] if line.time is None else [("line.time", line.time)]
        for i, value in enumerate(values):
            usual = i + 1 if line.form == "csv" else value.name
            places.append((f"channels[{i}].at", usual if value.at is None else value.at))
        makers = {"csv": _columns, "json": _documents, "pattern": _matches}
        self._cells = makers[line.form](line, places)
        what = {"csv": "column ", "json": "", "pattern": "group "}[line.form]
        self._places = [f"{what}{place}" for _, place in places[len(places) - len(values) :]]

    def read(self, text: str) -> tuple[float | None, list[float]]:
        """Its time, and its values. Raises Unreadable for a line in which there is none."""
        cells = self._cells(text)
        troubles: list[tuple[str, str]] = []
        time = None
        if self._times is not None:
            try:
                time = self._times.read(cells.pop(0))
            except ValueError as error:
                raise Unreadable("bad_times", f"{str(error)[:SHOWN]} in {shown(text)}") from None

        def skip(reason: str, words: str) -> None:
            troubles.append((reason, f"{words} in {shown(text)}"))

        numbers = [
            sample(number(self._plain(cell), where, skip), value, skip)
            for cell, value, where in zip(cells, self._values, self._places, strict=True)
        ]
        if all(math.isnan(number) for number in numbers) and all(t[0] != "out_of_range" for t in troubles):
            words = troubles[0][1] if troubles else f"there is no number in {shown(text)}"
            raise Unreadable("unreadable_lines", words)
        for reason, words in troubles:
            self._skip(reason, words)
        return time, numbers

    def _plain(self, cell: object) -> object:
        if not isinstance(cell, str):
            return cell
        return cell.strip().replace(",", ".") if self._comma else cell.strip()


class Splitter:
    """Bytes in, whole lines out. A line ends with \\n or \\r, or both; empty ones are passed over."""

    def __init__(self, skipped: Counter[str], whole: bool) -> None:
        """`whole`: what comes first begins a line; otherwise it may be the rest of one, and is dropped."""
        self._skipped = skipped
        self._rest = b""
        self._dropping = (
            "" if whole else "partial_lines"
        )  # what the line that comes in is counted as at its end

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that end in this chunk."""
        *ended, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        lines = []
        for line in ended:
            if len(line) > LONGEST:
                self._dropping = self._dropping or "too_long_lines"
            if self._dropping:
                self._drop(line)
            elif line:
                lines.append(_text(line))
        if len(rest) > LONGEST:
            self._dropping, rest = self._dropping or "too_long_lines", b""
        self._rest = rest
        return lines

    def end(self) -> None:
        """No more comes: what has begun is no line."""
        self._dropping = self._dropping or "partial_lines"
        self._drop(self._rest)
        self._rest = b""

    def _drop(self, line: bytes) -> None:
        if line or self._dropping == "too_long_lines":
            self._skipped[self._dropping] += 1
        self._dropping = ""


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")  # a degree sign of an older instrument; or noise, which no form matches


def _columns(line: Line, places: Sequence[tuple[str, int | str]]) -> Cells:
    columns = []
    for path, place in places:
        if not isinstance(place, int) or place < 1:
            raise OptionError(path, place, "must be a column, 1 or more")
        columns.append(place - 1)
    last, blank = max(columns), line.separator == " "

    def cells(text: str) -> list[object]:
        if blank:
            found = text.split()
        elif '"' in text:
            try:
                found = next(csv.reader([text], delimiter=line.separator, skipinitialspace=True), [])
            except csv.Error as error:
                raise Unreadable("unreadable_lines", f"{shown(text)} is no CSV: {error}") from None
        else:
            found = text.split(line.separator)
        if len(found) <= last:
            raise Unreadable("missing_columns", _too_few(text, line.separator, len(found), last + 1))
        return [found[column] for column in columns]

    return cells


def _too_few(text: str, separator: str, found: int, wanted: int) -> str:
    """Why a line has too few columns, with the separator that would find enough."""
    words = f"{shown(text)} has {found} column{'s' * (found != 1)}, not {wanted}"
    for other in SEPARATORS:
        if other != separator and len(text.split(None if other == " " else other)) >= wanted:
            return f'{words}: line.separator "{other}" would find them'
    return words


def _documents(line: Line, places: Sequence[tuple[str, int | str]]) -> Cells:
    find = in_documents([(path, str(place)) for path, place in places])

    def cells(text: str) -> list[object]:
        try:
            return find(text)
        except ValueError as error:
            raise Unreadable("unreadable_lines", f"{shown(text)} is no JSON: {error}") from None

    return cells


def _matches(line: Line, places: Sequence[tuple[str, int | str]]) -> Cells:
    pattern = re.compile(line.pattern or "")
    for path, place in places:
        if place not in pattern.groupindex:
            groups = ", ".join(pattern.groupindex) or "none: write (?P<name>...)"
            raise OptionError(path, place, f"is no named group of the pattern; it has {groups}")
    names = [str(place) for _, place in places]

    def cells(text: str) -> list[object]:
        match = pattern.search(text)
        if match is None:
            raise Unreadable("unreadable_lines", f"{shown(text)} does not match the pattern {line.pattern}")
        return [match[name] for name in names]

    return cells
