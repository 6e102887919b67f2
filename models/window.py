"""Windows of a stream: the same however it was cut, afresh after a gap, never with a hole in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float32]
MICROSECOND = 1e6
BACKWARDS = 1.75  # half periods early: a sample on time after a late one is no step back, a repeated one is
SAME_TIME_S = (
    1e-6  # a sample this near to where it was expected is there: double precision keeps 0.2 us today
)
LARGEST = 2.0**64  # of a measurement; its square no longer fits float32


class Tail:
    """The newest `keep` rows of a stream in one contiguous buffer."""

    def __init__(self, keep: int, width: int) -> None:
        self._keep = keep
        self._buffer = np.empty((keep + max(keep, 64), width), np.float32)
        self._start = self._stop = 0

    def extend(self, rows: Array) -> Array:
        """The rows kept so far followed by `rows`; a view, good until the next call."""
        stop = self._stop + len(rows)
        if stop > len(self._buffer):
            kept = self._buffer[self._start : self._stop]
            if len(kept) + len(rows) > len(self._buffer):
                self._buffer = np.empty((2 * (len(kept) + len(rows)), rows.shape[1]), np.float32)
            self._buffer[: len(kept)] = kept  # numpy copes with the overlap
            self._start, self._stop = 0, len(kept)
            stop = len(kept) + len(rows)
        self._buffer[self._stop : stop] = rows
        view = self._buffer[self._start : stop]
        self._stop = stop
        self._start = max(self._start, stop - self._keep)
        return view

    def clear(self) -> None:
        """Forget every row."""
        self._start = self._stop = 0


class Windows(NamedTuple):
    """Consecutive windows of one unbroken stretch: n of them, `hop` rows apart."""

    times: list[float]  # (n,) Unix seconds of each window's last sample, rounded to the microsecond
    rows: Array  # ((n - 1) * hop + length, channels): the samples under all of them; good until the next push
    length: int
    hop: int
    fresh: bool  # these are the first since a restart: nothing before them counts

    def stacked(self) -> Array:
        """`(n, length, channels)`, a view."""
        view: Array = sliding_window_view(self.rows, self.length, axis=0)[:: self.hop].transpose(0, 2, 1)
        return view


@dataclass(slots=True)
class Windower:
    """Cuts windows of `length` rows every `hop` rows out of whatever pieces arrive.

    A sample that is NaN, infinite or absurd (LARGEST) in any channel did not arrive: counted in `missing`.
    Where more than `max_gap_s` is missing, time runs backwards or the rate changes, windows start afresh:
    counted in `restarts`. Shorter holes are closed up. Of a sensor that gives bursts with pauses between, `pause_s`
    says how long they are: windows then begin anew with each burst, but what is made of them goes on.

    Samples are numbered from an anchor, and their times reckoned from it: were they reckoned from each piece,
    they would differ in their last bits from one way of cutting to another, and so would the microseconds.
    """

    length: int
    hop: int
    width: int
    max_gap_s: float
    pause_s: float = 0.0
    missing: int = 0
    restarts: int = 0
    absent: tuple[int, ...] = ()  # channels that were no numbers in the newest row; () when it was whole
    _tail: Tail | None = field(init=False, repr=False)
    _due: int = field(init=False)  # rows until the next window is complete
    _anchor: float = field(init=False, default=math.nan)  # time of sample 0
    _next: int = field(init=False, default=0)  # number of the sample to come
    _last: float = field(init=False, default=math.nan)  # time of the newest sample that arrived
    _rate: float = field(init=False, default=0.0)
    _fresh: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        if self.length < 1 or self.hop < 1 or self.width < 1:
            asked = f"{self.length} rows every {self.hop} of {self.width} channels"
            raise ValueError(f"a window needs at least one row, hop and channel, not {asked}")
        self._tail = Tail(self.length - 1, self.width) if self.length > 1 else None
        self._due = self.length

    def push(self, time: float, rate_hz: float, values: Array) -> list[Windows]:
        """The windows that `values` (samples, channels) complete; sample i is of time + i / rate_hz."""
        rows = len(values)
        if rate_hz != self._rate:
            if self._rate:
                self.restarts += 1
                self.restart()
            self._rate, self._anchor, self._last = rate_hz, math.nan, math.nan
        if not abs(time - self._anchor - self._next / rate_hz) < SAME_TIME_S:
            self._anchor, self._next = time, 0
        number = self._next
        self._next += rows
        if math.isfinite(np.vdot(values, values)):  # the quickest look at all of them; absurd ones overflow
            if self.absent:
                self.absent = ()
            return self._push(number, rate_hz, values) if rows else []
        sound = np.abs(values) < LARGEST
        self.absent = tuple(np.flatnonzero(~sound[-1]).tolist())
        whole: NDArray[np.bool_] = np.logical_and.reduce(sound, 1)
        self.missing += rows - int(np.count_nonzero(whole))
        pieces: list[Windows] = []
        edges = np.flatnonzero(np.diff(np.concatenate(([False], whole, [False]))))
        for start, stop in edges.reshape(-1, 2).tolist():
            for piece in self._push(number + start, rate_hz, values[start:stop]):
                pieces.append(piece._replace(rows=piece.rows.copy()))  # the next one reuses the buffer
        return pieces

    def restart(self) -> None:
        """Start afresh, as after a gap."""
        if self._tail is not None:
            self._tail.clear()
        self._due, self._fresh = self.length, True

    def _push(self, number: int, rate_hz: float, values: Array) -> list[Windows]:
        rows, anchor = len(values), self._anchor
        half = 0.5 / rate_hz  # so that rounding never decides
        gap = anchor + number / rate_hz - self._last - 2 * half  # NaN before the first sample: no gap then
        if gap > self.max_gap_s + half or gap < -BACKWARDS * half:
            fresh = self._fresh or not 0 < gap < self.pause_s
            self.restarts += fresh
            self.restart()
            self._fresh = fresh
        self._last = anchor + (number + rows - 1) / rate_hz
        if rows == 1 and self._tail is None and self.hop == 1:  # live telemetry, and nothing to reckon
            fresh, self._fresh = self._fresh, False
            return [Windows([round(self._last * MICROSECOND) / MICROSECOND], values, 1, 1, fresh)]
        view = values if self._tail is None else self._tail.extend(values)
        if rows < self._due:
            self._due -= rows
            return []
        first = self._due - 1  # index in `values` of the first window's last row
        more = (rows - self._due) // self.hop
        last = first + more * self.hop
        self._due = self.hop - (rows - 1 - last)
        older = len(view) - rows
        ends = range(first, last + 1, self.hop)
        windows = Windows(
            [round((anchor + (number + i) / rate_hz) * MICROSECOND) / MICROSECOND for i in ends],
            view[older + first - self.length + 1 : older + last + 1],
            self.length,
            self.hop,
            self._fresh,
        )
        self._fresh = False
        return [windows]


def sliding_sum(rows: Array, length: int) -> NDArray[np.float64]:
    """Sums of `length` consecutive rows, `(n - length + 1, width)`, always added in the order of time: a
    sum does not depend on how many others are made with it."""
    outputs = len(rows) - length + 1
    if outputs == 1 and rows.shape[1] == 1:  # a plain sum would be made pairwise
        running: NDArray[np.float64] = np.add.accumulate(rows, 0, np.float64)
        return running[-1:]
    if outputs == 1:
        only: NDArray[np.float64] = np.add.reduce(rows, 0, np.float64, keepdims=True)
        return only
    total = rows[:outputs].astype(np.float64)
    for first in range(1, length):
        total += rows[first : first + outputs]
    return total
