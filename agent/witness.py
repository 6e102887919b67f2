"""The newest of one monitor's stream in rings of memory, of which an alert keeps what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.evidence import Arrays, Evidence, Scene
from models.window import Array

ROWS = 600  # kept of each monitor: ten minutes at 1 Hz, two days at a row in five minutes
AFTER = 120  # of these rows, how many come after the alert
MEMORY_BYTES = 256_000  # of each monitor's rings
LEVEL_BYTES, TIME_BYTES, VALUE_BYTES = 12, 8, 4  # of a level with its time, of a time, of a float32
MOST_FEW = 64  # rows that come one by one and are not in their rings yet
MOST_OPEN = 4  # alerts of one monitor that wait for what comes after them; another one ends the oldest's wait
SAME_TIME = 0.5  # periods: a reading this near to the end of the last one goes on with its waveform


class Ring:
    """The newest `length` rows of a stream, with their times where they have some, in arrays that never grow."""

    def __init__(self, length: int, width: int, *, timed: bool = True) -> None:
        self.length, self.width = length, width
        self._rows = np.empty((length, width), np.float32)
        self._times = np.empty(length if timed else 0)
        self._timed = timed
        self._next = 0  # where the next row goes
        self.count = 0  # rows ever pushed since the last clear

    def push(self, times: Sequence[float] | NDArray[np.float64], rows: Array) -> None:
        """Take in `rows` `(n, width)`; `times` `(n,)`, which a ring without them does not look at."""
        new, at = len(rows), self._next
        self.count += new
        if at + new < self.length:  # as usual
            self._rows[at : at + new] = rows
            if self._timed:
                self._times[at : at + new] = times
            self._next = at + new
            return
        kept = min(new, self.length)
        at = (at + new - kept) % self.length
        first = min(kept, self.length - at)
        for ring, given in ((self._rows, rows), (self._times, times)):
            if len(ring):
                newest = np.asarray(given)[new - kept :]
                ring[at : at + first] = newest[:first]
                ring[: kept - first] = newest[first:]
        self._next = (at + kept) % self.length

    def push_one(self, time: float, row: Array | float) -> None:
        """Take in one row `(width,)` or `(1, width)`, of a ring with times."""
        at = self._next
        self._times[at] = time
        self._rows[at] = row
        self._next = at + 1 if at + 1 < self.length else 0
        self.count += 1

    def clear(self) -> None:
        """Forget every row."""
        self._next = self.count = 0

    def newest(self) -> tuple[NDArray[np.float64], Array]:
        """Copies of the times `(n,)` and rows `(n, width)` it holds, the oldest first."""
        order = np.arange(self._next - min(self.count, self.length), self._next) % self.length
        return (self._times[order] if self._timed else np.empty(0)), self._rows[order]

    @property
    def size_bytes(self) -> int:
        return self._rows.nbytes + self._times.nbytes


@dataclass(slots=True)
class _Heard:
    """A reading of which not all has been judged yet."""

    time: float
    rate_hz: float
    values: Array
    pieces: Sequence[tuple[Sequence[float], Array]]  # times and rows of features
    jobs: int  # not judged yet
    taken: int = 0  # rows of values that are in the ring
    rows_taken: int = 0  # rows of features that are in the ring, over all pieces


@dataclass(slots=True)
class _Open:
    """Evidence that waits for what comes after."""

    evidence: Evidence
    due: int  # levels judged by then


class Witness:
    """Remembers the newest of one monitor's stream, and bears witness when an alert is raised.

    What it keeps follows from the stream alone, by a count of rows, and not from how that was cut into readings.
    Memory is bounded by `memory_bytes` whatever comes.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        *,
        waveform: bool,
        rows: int = ROWS,
        after: int = AFTER,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """`features` columns that are not the channels themselves, 0 where they are; `waveform`: values come too
        fast to keep a time for each."""
        row_bytes = LEVEL_BYTES + (TIME_BYTES + VALUE_BYTES * features if features else 0)
        self._waveform = waveform
        if waveform:
            memory_bytes //= 2
            samples = memory_bytes // (VALUE_BYTES * channels)
        else:
            row_bytes += TIME_BYTES + VALUE_BYTES * channels
        length = max(1, min(rows, memory_bytes // row_bytes))
        self._values = Ring(max(1, samples) if waveform else length, channels, timed=not waveform)
        self._rows = Ring(length, features) if features else None
        self._levels = Ring(length, 1)
        self._after = max(1, min(after, length // 2))
        self._end, self._rate_hz = 0.0, 0.0  # of the waveform
        self._plain = not waveform and not features
        self._heard: list[_Heard] = []  # not all judged yet
        self._lone: Array | None = None  # so is a reading of one row, without the rest
        self._few: list[tuple[float, float, Array]] = []  # such rows that are judged, with time and level
        self._most_few = max(1, min(MOST_FEW, length // 8))  # they are in memory beside the rings
        self._judged = 0
        self._open: list[_Open] = []
        self._due = -1  # levels judged when the first of these is complete; -1: none
        self.ready: list[Evidence] = []  # for whoever writes it

    @property
    def size_bytes(self) -> int:
        """Of the rings."""
        rows = self._rows.size_bytes if self._rows is not None else 0
        return self._values.size_bytes + self._levels.size_bytes + rows

    def hear(
        self,
        time: float,
        rate_hz: float,
        values: Array,
        pieces: Sequence[tuple[Sequence[float], Array]],
        jobs: int,
    ) -> None:
        """A reading as it came, with the features made of it, of which so many jobs will be judged."""
        if self._plain and jobs == 1 == len(values) and self._lone is None and not self._heard:
            self._lone = values
            return
        heard = _Heard(time, rate_hz, values, pieces if self._rows is not None else (), jobs)
        if jobs or self._heard or self._lone is not None:
            self._heard.append(heard)
        else:
            self._take_few()
            self._take(heard)

    def judge(
        self,
        times: Sequence[float],
        levels: Sequence[float],
        marks: Sequence[tuple[int, Evidence | None]] = (),
        *,
        done: bool = True,
    ) -> None:
        """The levels of the next job, in the order they were heard, or of a part of it that is not `done` then. A mark
        is an alert at that index, as evidence still without arrays; None: the alert ended there."""
        lone, self._lone = self._lone, None
        if lone is not None:  # as usual, live; nothing of it comes after what is judged of it
            self._few.append((times[0], levels[0], lone))
            self._judged += 1
            if not marks and self._judged != self._due and len(self._few) < self._most_few:
                return
            times = ()
        self._take_few()
        heard = None if lone is not None else self._judged_now()
        start = 0
        for index, evidence in marks:
            stop = min(index + 1, len(times))
            self._advance(heard, times, levels, start, stop)
            start = stop
            if heard is not None:
                self._take_until(heard, times[index])
            if evidence is None:
                self._close(len(self._open))
            else:
                self._begin(evidence)
        self._advance(heard, times, levels, start, len(times))
        if heard is not None and done:
            heard.jobs -= 1
            if not heard.jobs:
                self._take(self._heard.pop(0))

    def skip(self, levels: int) -> None:
        """So many levels that nobody made, for nobody looked: time goes on for what waits for what comes after."""
        while self._open and self._open[0].due <= self._judged + levels:
            self._close(1)
        self._judged += levels

    def _judged_now(self) -> _Heard:
        """The reading that the next job was made of; those before it gave none."""
        while not self._heard[0].jobs:
            self._take(self._heard.pop(0))
        return self._heard[0]

    def _take_few(self) -> None:
        """Rows that came one by one go into their rings together, which costs a third."""
        if self._few:
            times, levels, values = zip(*self._few, strict=True)
            self._few.clear()
            self._levels.push(times, np.array(levels, np.float32)[:, None])
            self._values.push(times, np.concatenate(values))

    def finish(self) -> None:
        """The stream has ended: what waits for more has all there will be."""
        self._take_few()
        while self._heard:
            self._take(self._heard.pop(0))
        self._close(len(self._open))

    def _advance(
        self, heard: _Heard | None, times: Sequence[float], levels: Sequence[float], start: int, stop: int
    ) -> None:
        """Levels into their ring; evidence is complete at the very row, wherever a job ends."""
        while 0 <= self._due - self._judged <= stop - start:
            cut = start + self._due - self._judged
            self._push_levels(times, levels, start, cut)
            if cut > start and heard is not None:
                self._take_until(heard, times[cut - 1])
            start = cut
            self._close(1)
        self._push_levels(times, levels, start, stop)

    def _push_levels(self, times: Sequence[float], levels: Sequence[float], start: int, stop: int) -> None:
        self._judged += stop - start
        if stop - start == 1:
            self._levels.push_one(times[start], levels[start])
        elif stop > start:
            self._levels.push(times[start:stop], np.asarray(levels[start:stop], np.float32)[:, None])

    def _take(self, heard: _Heard) -> None:
        """The whole of a reading."""
        self._take_values(heard, len(heard.values))
        if heard.pieces:
            self._take_rows(heard, np.inf)

    def _take_until(self, heard: _Heard, time: float) -> None:
        """Of a reading what had come by `time`."""
        self._take_values(heard, round((time - heard.time) * heard.rate_hz) + 1)
        self._take_rows(heard, time)

    def _take_values(self, heard: _Heard, stop: int) -> None:
        start, stop = heard.taken, min(stop, len(heard.values))
        if stop <= start:
            return
        heard.taken = stop
        if not self._waveform:
            times = np.round(heard.time + np.arange(start, stop) / heard.rate_hz, 6)
            self._values.push(times, heard.values[start:stop])
            return
        time = heard.time + start / heard.rate_hz
        expected = self._end + 1 / heard.rate_hz
        if heard.rate_hz != self._rate_hz or abs(time - expected) * heard.rate_hz > SAME_TIME:
            self._values.clear()
        self._rate_hz, self._end = heard.rate_hz, heard.time + (stop - 1) / heard.rate_hz
        self._values.push((), heard.values[start:stop])

    def _take_rows(self, heard: _Heard, until: float) -> None:
        assert self._rows is not None or not heard.pieces
        passed = 0
        for times, rows in heard.pieces:
            first = max(0, heard.rows_taken - passed)
            passed += len(times)
            last = len(times) if times[-1] <= until else int(np.searchsorted(times, until, side="right"))
            if first < last and self._rows is not None:
                if len(times) == 1:
                    self._rows.push_one(times[0], rows)
                else:
                    self._rows.push(times[first:last], rows[first:last])
                heard.rows_taken += last - first
            if last < len(times):
                return

    def _begin(self, evidence: Evidence) -> None:
        wave: Arrays = {"waveform": self._values.newest()[1]} if self._waveform else {}
        evidence = replace(
            evidence,
            arrays={**evidence.arrays, **wave},
            rate_hz=self._rate_hz if wave else 0.0,
            waveform_end=self._end if wave else 0.0,
        )
        while len(self._open) >= MOST_OPEN:
            self._close(1)
        self._open.append(_Open(evidence, self._judged + self._after))
        self._due = self._open[0].due
        self.ready.append(self._filled(evidence, whole=False))

    def _close(self, count: int) -> None:
        """The oldest so many are complete."""
        for waiting in self._open[:count]:
            self.ready.append(self._filled(waiting.evidence, whole=True))
        del self._open[:count]
        self._due = self._open[0].due if self._open else -1

    def _filled(self, evidence: Evidence, *, whole: bool) -> Evidence:
        level_times, levels = self._levels.newest()
        arrays: Arrays = {**evidence.arrays, "level_times": level_times, "levels": levels[:, 0]}
        if not self._waveform:
            arrays["value_times"], arrays["values"] = self._values.newest()
        if self._rows is not None:
            arrays["row_times"], arrays["rows"] = self._rows.newest()
        return replace(evidence, arrays=arrays, whole=whole)


def witness_of(scene: Scene, memory_bytes: int) -> Witness:
    """A witness for a monitor's stream."""
    features = len(scene.features) if scene.features != scene.channels else 0
    return Witness(len(scene.channels), features, waveform=scene.waveform, memory_bytes=memory_bytes)
