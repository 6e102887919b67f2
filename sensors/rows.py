"""Timed rows of a recording: what was skipped, how they are spaced, and the runs of even spacing in them."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, SensorError
from sensors.times import LAST_S, Times

BLOCK_ROWS = 8192  # rows in memory at once: 8 channels of CSV take 11 MB to parse; more is no faster
TOLERANCE = 0.1  # of a period: a row further from its place starts a new run
AHEAD_ROWS = (
    256  # looked at past each row, to see whether it or they are out of order; above twice RESTART_ROWS
)
RESTART_ROWS = 64  # a clock that goes back for longer than this was set back; for less, its rows are wrong
SNAP = 1e-4  # a rate this near to a whole one is the whole one: crystals are not better than 100 ppm

OUT_OF_ORDER = {
    "duplicates": "has the same time as a row before it",
    "backwards": "its time goes backwards",
    "ahead": "its time lies ahead of the rows after it",
    "restarts": "its time goes back, and the rows after it go on from there",
}

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
    about: Mapping[str, object] = {}  # what the file says of itself: sensor, driver, start, ...

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
    """Keeps the rows whose time goes forward, and counts the others.

    Of all ways to read the rows forward it takes the one that loses fewest, where beginning anew at an earlier time
    counts as RESTART_ROWS lost ones. So a few rows with a wrong time are lost wherever they stand, and many that agree
    with each other are not. It looks AHEAD_ROWS past each row it hands out, over the borders of blocks.
    """

    tally: Tally
    last: float = -np.inf  # time of the last row handed out

    def keep(self, source: RowSource) -> Iterator[tuple[Rows, float]]:
        """The rows to be used, in blocks that are never empty, and the share of the file that was read with each.

        Raises what the source raises, but only after what came before it.
        """
        blocks = source.blocks()
        block, share = next(blocks, None), source.progress()
        held: Rows | None = None
        failure: SensorError | None = None
        while block is not None:
            rows = block if held is None else _joined(held, block)
            read = share
            try:
                block, share = next(blocks, None), source.progress()
            except SensorError as error:
                block, failure = None, error
            done = len(rows.times) - AHEAD_ROWS * (block is not None)
            kept = self._forward(rows, max(0, done))
            held = _select(rows, np.arange(len(rows.times)) >= done)
            if len(kept.times):
                yield kept, read
        if failure is not None:
            raise failure

    def _forward(self, rows: Rows, done: int) -> Rows:
        """Those of the first `done` rows that are kept, in view of all."""
        times = rows.times
        if times[0] > self.last and bool((times[1:] > times[:-1]).all()):
            kept = np.arange(len(times)) < done
        else:
            kept = longest_forward(times, self.last)
            self._count(rows, kept, done)
            kept[done:] = False
        forward = _select(rows, kept)
        if len(forward.times):
            self.last = float(forward.times[-1])
        return forward

    def _count(self, rows: Rows, kept: NDArray[np.bool_], done: int) -> None:
        times = rows.times
        chosen = np.concatenate(([self.last], times[kept], [np.inf]))
        place = np.cumsum(kept)  # in `chosen`: the kept row at or before each row
        before = np.where(kept, chosen[np.maximum(place - 1, 0)], chosen[place])
        after = chosen[np.minimum(place + 1, len(chosen) - 1)]
        same = ~kept & ((times == before) | (times == after))
        cases = {
            "duplicates": same,
            "backwards": ~kept & ~same & (times < before),
            "ahead": ~kept & ~same & (times > before),
            "restarts": kept & (times <= before),
        }
        found = {reason: np.flatnonzero(case[:done]) for reason, case in cases.items() if case[:done].any()}
        for reason, where in sorted(found.items(), key=lambda item: int(item[1][0])):
            first = int(where[0])
            text = f"{OUT_OF_ORDER[reason]} ({show_time(float(times[first]))})"
            self.tally.add(reason, int(rows.numbers[first]), text, len(where))


def longest_forward(times: Times, last: float) -> NDArray[np.bool_]:
    """Which rows to keep after one at `last`: a longest increasing subsequence (C. Schensted 1961, by patience
    sorting), but one that may begin anew at any row for the price of RESTART_ROWS.

    Sequences are valued by their rows less what they paid; `ends[v]` is the earliest time at which one of at
    least the value v may end, so it never falls, and `rows[v]` the row that it ends with.
    """
    ends, rows = [-np.inf], [-1]
    if last > -np.inf:  # to leave `last` behind costs as much as any other new beginning
        ends += [last] * RESTART_ROWS
        rows += [-1] * RESTART_ROWS
    before = np.empty(len(times), np.int64)
    for i, time in enumerate(times.tolist()):
        value = bisect_left(ends, time)
        anew = len(ends) - RESTART_ROWS
        if anew > value:
            before[i] = rows[-1]
            lower = bisect_right(ends, time)
            ends[lower : anew + 1] = [time] * (anew + 1 - lower)
            rows[lower : anew + 1] = [i] * (anew + 1 - lower)
            continue
        before[i] = rows[value - 1]
        if value == len(ends):
            ends.append(time)
            rows.append(i)
        elif time < ends[value]:  # of equal times the first stays
            ends[value], rows[value] = time, i
    kept = np.zeros(len(times), np.bool_)
    row = rows[-1]
    while row >= 0:
        kept[row] = True
        row = int(before[row])
    return kept


def find_rate(times: Times) -> float | None:
    """The usual rate in Hz of times that go forward; None for fewer than two."""
    if len(times) < 2:
        return None
    steps = np.diff(times)
    steps = steps[steps > 0.0]  # time may begin anew
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
    if not 0 <= time < LAST_S:
        return f"{time:g} s"
    return str(np.datetime64(round(time * 1e3), "ms")).removesuffix(".000")


def count_missing(tally: Tally, rows: Rows, channels: tuple[Channel, ...]) -> None:
    """Make infinities NaN, for they are no measurement either, and count what is missing."""
    missing = ~np.isfinite(rows.values)
    if missing.any():
        first = int(np.argmax(missing.any(axis=1)))
        name = channels[int(np.argmax(missing[first]))].name
        rows.values[missing] = np.nan
        text = f"column {name}: has no value"
        tally.add("missing_values", int(rows.numbers[first]), text, int(missing.sum()), forgivable=True)


def read_about(text: bytes | str | None) -> dict[str, object]:
    """What a recording says of itself; {} where it says nothing that can be read."""
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _joined(first: Rows, second: Rows) -> Rows:
    return Rows(
        np.concatenate((first.times, second.times)),
        np.concatenate((first.values, second.values)),
        np.concatenate((first.numbers, second.numbers)),
    )


def _select(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    return rows if keep.all() else Rows(rows.times[keep], rows.values[keep], rows.numbers[keep])
