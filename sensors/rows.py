"""Timed rows of a recording: what was skipped, how they are spaced, and the runs of even spacing in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, SensorError
from sensors.times import Times

BLOCK_ROWS = 8192  # rows in memory at once: 8 channels of CSV take 11 MB to parse; more is no faster
TOLERANCE = 0.1  # of a period: a row further from its place starts a new run
SNAP = 1e-4  # a rate this near to a whole one is the whole one: crystals are not better than 100 ppm

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a recording, in the order of the file."""

    times: Times  # (n,) Unix seconds
    values: Values  # (n, channels); NaN = missing
    numbers: NDArray[np.int64]  # (n,) row numbers as an editor counts lines


class RowSource:
    """A file of rows; knows its channels once open."""

    channels: tuple[Channel, ...] = ()
    rate_hz: float | None = None  # where the file itself states it
    rows_total: int | None = None  # where the file itself states it

    def blocks(self) -> Iterator[Rows]:
        """The file in blocks of at most BLOCK_ROWS. Raises SensorError."""
        raise NotImplementedError

    def progress(self) -> float:
        """The share of the file that was read, 0 to 1."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file; may be called twice."""
        raise NotImplementedError


@dataclass(slots=True)
class Tally:
    """What a recording held that could not be used: counts by reason, and the first case of each."""

    file: str
    strict: bool = False  # raise instead of counting
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, row: int, text: str, count: int = 1, forgivable: bool = False) -> None:
        """Count a case first met at `row`; in strict files raise SensorError unless it is forgivable."""
        message = f"{self.file}, row {row}: {text}"
        if self.strict and not forgivable:
            raise SensorError(message)
        self.counts[reason] = self.counts.get(reason, 0) + count
        self.examples.setdefault(reason, message)


@dataclass(slots=True)
class Forward:
    """Keeps the rows whose time goes forward, and counts the others."""

    tally: Tally
    last: float = -np.inf

    def keep(self, rows: Rows) -> Rows:
        """The rows later than every row before them; a lone leap ahead of its neighbours goes too."""
        times = rows.times
        if times.size and times[0] > self.last and bool((times[1:] > times[:-1]).all()):
            self.last = float(times[-1])
            return rows
        usable = np.ones(len(times), np.bool_)
        # a row later than the next one, which itself is later than the one before: this row is the wrong one
        usable[1:-1] = ~((times[1:-1] > times[2:]) & (times[2:] > times[:-2]))
        self._count("ahead", rows, ~usable, "its time leaps ahead of the rows around it")
        rows = _select(rows, usable)
        before = np.maximum.accumulate(np.concatenate(([self.last], rows.times)))
        duplicate, backwards = rows.times == before[:-1], rows.times < before[:-1]
        self._count("duplicates", rows, duplicate, "has the same time as a row before it")
        self._count("backwards", rows, backwards, "its time goes backwards")
        self.last = float(before[-1])
        return _select(rows, ~(duplicate | backwards))

    def _count(self, reason: str, rows: Rows, wrong: NDArray[np.bool_], text: str) -> None:
        if wrong.any():
            first = int(np.argmax(wrong))
            self.tally.add(
                reason, int(rows.numbers[first]), f"{text} ({show_time(rows.times[first])})", int(wrong.sum())
            )


def find_rate(times: Times) -> float | None:
    """The usual rate in Hz of increasing times; None for fewer than two."""
    if len(times) < 2:
        return None
    steps = np.diff(times)
    middle = float(np.quantile(steps, 0.5, method="lower"))  # a step that exists, not a mean of two
    usual = steps[np.abs(steps - middle) <= TOLERANCE * middle]
    period = float(usual.mean())  # better than the median where times were rounded (333, 333, 334 ms)
    for rate in (float(round(1.0 / period)), 1.0 / max(1, round(period))):
        if rate > 0.0 and abs(rate * period - 1.0) < SNAP:
            return rate
    return 1.0 / period


@dataclass(slots=True)
class Runs:
    """Cuts rows into stretches of even spacing: sample i of a run lies at `start + i / rate_hz`.

    The spacing is counted from the run's first row, so it does not matter how the rows were handed in.
    """

    rate_hz: float
    _start: float = np.nan
    _count: int = 0

    def cut(self, rows: Rows) -> Iterator[tuple[float, int, Values]]:
        """(start of the run, index in the run of the first row, values) for each stretch."""
        position, n = 0, len(rows.times)
        while position < n:
            stop = self._reach(rows.times, position)
            if stop > position:
                yield self._start, self._count, rows.values[position:stop]
                self._count += stop - position
                position = stop
            if position < n:
                self._start, self._count = float(rows.times[position]), 0

    def _reach(self, times: Times, position: int) -> int:
        """The index of the first row that is out of place."""
        size = 64  # looked at in growing pieces, so that many short runs cost no more than one long one
        count = self._count
        while position < len(times):
            piece = times[position : position + size]
            expected = self._start + np.arange(count, count + len(piece)) / self.rate_hz
            wrong = ~(np.abs(piece - expected) * self.rate_hz <= TOLERANCE)
            if wrong.any():
                return position + int(np.argmax(wrong))
            position += len(piece)
            count += len(piece)
            size *= 4
        return position


def show_time(time: float) -> str:
    """A time as messages show it: ISO in UTC, or plain seconds where it is no date."""
    if not 0 <= time < 253402300800:  # year 10000
        return f"{time:g} s"
    return str(np.datetime64(round(time * 1e3), "ms")).removesuffix(".000")


def _select(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    return rows if keep.all() else Rows(rows.times[keep], rows.values[keep], rows.numbers[keep])
