"""The guard at the head of a stream: which samples are no measurements, and what ails the sensor that gave them.

A stuck, clipped or spiking sensor must neither teach a baseline nor look like a broken machine. What betrays it is
in the samples themselves, judged one after the other: nothing depends on how the stream was cut. Suspicion
comes before certainty: a run of equal values longer than any that health has shown is withheld at once, and only
much later is the sensor called stuck. A channel that does not move once while others are learned is called flat, and
what is usual of it is learned when it moves at last.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from models.channel_guard import RECENT, ChannelFault, ChannelGuard
from models.channel_limits import FEWEST_CHANGES, RESTING, STUCK_ROWS, Limits
from models.habits import NAMES
from models.pace import Pace
from models.study import Study
from models.window import LARGEST, MICROSECOND, SAME_TIME_S, Array

Kind = Literal[ChannelFault, "wrong_rate"]
KINDS: tuple[Kind, ...] = (*get_args(ChannelFault), "wrong_rate")
STREAM = -1  # the column of a finding that is about all of them
FLAT = "flat"  # of what is usual: 1 of a channel that is called so
GAP_ROWS, WAVE_GAP_S = 10.5, 0.02  # after a longer gap a value may have gone anywhere


class Finding(NamedTuple):
    """Something began to be wrong with a sensor, or is over."""

    kind: Kind
    column: int  # of the values; STREAM: of all of them
    begins: bool
    time: float  # Unix seconds of the sample that decided it, rounded to the microsecond
    since: float  # of the first sample that was wrong
    value: float  # where it stood; of a wrong rate, the rate in Hz; NaN where it is over, or there is none


class Guard:
    """Watches `width` channels at `rate_hz`; `waveform` when their samples are a vibration, and no slow figures.

    Until `lesson` samples have passed it learns what is usual, and knows only what needs no learning: missing
    values, the ranges given, a wrong rate, a channel that moved with nearly every sample and then stands still.
    """

    def __init__(
        self,
        width: int,
        rate_hz: float,
        *,
        lesson: int,
        waveform: bool = False,
        ranges: Sequence[tuple[float, float] | None] | None = None,
        kinds: Collection[Kind] = KINDS,
        resting: Collection[int] = (),
    ) -> None:
        """`ranges` are the ends of each scale, where they are known; `resting` are columns that may never move: what a
        machine is told to do."""
        self.width, self._rate, self._waveform = width, rate_hz, waveform
        self._kinds = frozenset(kinds)
        given = ranges or [None] * width
        self._given = [(-math.inf, math.inf) if pair is None else pair for pair in given]
        self._lesson = lesson
        self._studies = [Study(range(width), 0, lesson, waveform=waveform)]  # what is being learned
        self._usual: dict[str, Array] | None = None
        self._resting = frozenset(resting)
        self._still = np.zeros(0, np.intp)  # columns that have never moved, and are not studied
        # Number of the sample before which each of them is called flat, unless it was or that passed.
        self._flat_at = np.zeros(width, np.int64)
        self._row = 0  # number of the sample to come
        self._anchor, self._number = math.nan, 0  # time of a sample, and how many came since
        self._newest = math.nan  # time of the newest sample
        self._gap_s = max(GAP_ROWS / rate_hz, WAVE_GAP_S if waveform else 0.0)
        self._last = np.full((1, width), np.nan, np.float32)  # the newest sound sample of each channel
        self._run = np.zeros(width, np.int64)  # how often it has come in a row
        self._flank = self._last  # the value before that run
        self._recent = np.full((RECENT if waveform else 0, width), np.nan, np.float32)
        self._channels = [ChannelGuard(rate_hz, waveform, self._kinds) for _ in range(width)]
        self._pace = Pace(rate_hz, waveform) if "wrong_rate" in self._kinds else None
        self._busy = True  # a quick look would not do
        self._quick = False  # nor would less than that, row by row
        self._steps, self._all = np.empty((1, width), np.float32), b"\1" * width
        self._all_moved = False  # since the beginning, of those of which it matters
        self._single = False  # every newest value has come once
        self._limit()

    # Learning.

    @property
    def learned(self) -> dict[str, Array] | None:
        """What is usual, in single precision; None while that is not known."""
        return self._usual

    def arm(self, usual: Mapping[str, Array]) -> None:
        """Know from now on what is usual. Raises KeyError and ValueError when it is not of these channels."""
        names = (*NAMES, "pace", *((FLAT,) if FLAT in usual else ()))
        found = {name: np.asarray(usual[name], np.float32) for name in names}
        for name, array in found.items():
            if array.shape != ((1,) if name == "pace" else (self.width,)):
                raise ValueError(f"{name} of {array.shape}, not of {self.width} channels")
        self._usual, self._studies = found, []
        if self._pace is not None:
            self._pace.usual = float(found["pace"][0])
        called = found.get(FLAT, np.zeros(self.width)) > 0
        self._flat_at = self._row + np.where(called, STUCK_ROWS, max(STUCK_ROWS, self._lesson))
        self._limit()

    def _limit(self) -> None:
        """Set every limit by what is known."""
        self._quick = False
        usual = {} if self._usual is None else {name: self._usual[name].copy() for name in NAMES}
        known = np.ones(self.width, bool)
        for study in self._studies:
            for name, array in study.habits.arrays().items():
                usual.setdefault(name, np.empty(self.width, np.float32))[study.columns] = array
            known[study.columns] = False
        self._moving = (usual["changes"] >= FEWEST_CHANGES) & (usual["repeats"] <= RESTING)
        for j, channel in enumerate(self._channels):
            channel.limit(
                Limits.of(
                    {name: float(usual[name][j]) for name in NAMES},
                    given=self._given[j],
                    known=bool(known[j]),
                    waveform=self._waveform,
                    rate_hz=self._rate,
                    kinds=self._kinds,
                )
            )
            channel.moved = channel.moved or (not known[j] and usual["changes"][j] > 0)
        self._all_moved = all(channel.moved or not channel.limits.judges_runs for channel in self._channels)
        quick: Array = np.array([channel.limits.quick for channel in self._channels], np.float32)
        self._low, self._high, self._shortest = quick.T
        self._jump = np.array([min(channel.limits.jump, LARGEST) for channel in self._channels], np.float32)
        self._ranged = bool(np.isfinite(quick[:, :2]).any())
        never = known & (usual["changes"] == 0)
        self._still = np.flatnonzero(never) if not self._waveform else self._still

    # Watching.

    def check(self, time: float, rate_hz: float, values: Array) -> tuple[Array, list[Finding]]:
        """The samples, with NaN for those that are no measurements, and what was found, in the order of time.

        `values` (samples, channels); sample i is of time + i / rate_hz. The very same array comes back when all
        is well.
        """
        rows = len(values)
        if rows == 1 and self._quick and self._pass_by(time, rate_hz, values):
            return values, []
        if not rows:
            return values, []
        if (rows > 1 or self._waveform) and not math.isfinite(
            np.vdot(values, values)
        ):  # the quickest look at all of them
            values = np.where(np.abs(values) < LARGEST, values, np.float32(np.nan))
        if not abs(time - self._anchor - self._number / rate_hz) < SAME_TIME_S:
            self._anchor, self._number = time, 0
        findings: list[Finding] = []
        if self._pace is not None:
            lesson = self._lesson - self._row if self._usual is None else 0
            for turn in self._pace.step(self._anchor, self._number, rate_hz, rows, self._newest, lesson):
                since = round(turn.since * MICROSECOND) / MICROSECOND
                value = turn.rate_hz if turn.begins else math.nan
                at = self._time(turn.at, rate_hz)
                findings.append(Finding("wrong_rate", STREAM, turn.begins, at, since, value))
        if not 0.0 < time - self._newest < self._gap_s:
            for channel in self._channels:
                channel.forget_neighbours()
            self._recent = np.full_like(self._recent, np.nan)
            self._busy, self._quick = True, False
        held = self._pace.held if self._pace is not None else ()
        if self._studies or len(self._still):
            checked = self._study(values, rate_hz, findings, held)
        else:
            checked, _ = self._check(values, rate_hz, findings)
            if held:
                checked = _held(checked, values, held)
        self._number += rows
        self._newest = self._anchor + (self._number - 1) / rate_hz
        if len(findings) > 1:
            findings.sort(key=lambda finding: (finding.time, finding.column))
        return checked, findings

    def _pass_by(self, time: float, rate_hz: float, values: Array) -> bool:
        """Whether one row of figures, live, is as usual in every way; then it has been taken."""
        pace, steps = self._pace, self._steps
        if rate_hz != self._rate or not abs(time - self._anchor - self._number / rate_hz) < SAME_TIME_S:
            return False
        if pace is not None and not pace.even:
            return False
        np.abs(np.subtract(values, self._last, steps), steps)
        if (steps <= self._jump).tobytes() != self._all:  # three times as fast as all()
            return False
        moved = steps > 0
        if len(self._still) and moved[0, self._still].any():
            return False
        if moved.tobytes() == self._all:
            if not self._single:
                self._run, self._single = np.ones(self.width, np.int64), True
        else:
            run = self._run * ~moved[0] + 1
            if not (run < self._shortest).all():
                return False
            self._run, self._single = run, False
        if pace is not None:
            pace.tick(self._anchor + self._number / rate_hz)
        np.copyto(self._last, values)
        self._row += 1
        self._number += 1
        self._newest = self._anchor + (self._number - 1) / rate_hz
        return True

    def _study(
        self, values: Array, rate_hz: float, findings: list[Finding], held: Sequence[tuple[int, int]]
    ) -> Array:
        """Learn, too: in pieces that end at the same samples however the stream was cut."""
        pieces: list[Array] = []
        first, number = 0, self._number
        while first < len(values):
            self._number = number + first
            take = len(values) - first
            if len(self._still):
                take = self._stir(values[first:], rate_hz, findings)
            take = min([take, *(study.left(self._row) for study in self._studies), *self._until_flat()])
            piece = values[first : first + take]
            inside = [(max(0, a - first), b - first) for a, b in held if b > first and a < first + take]
            checked, studied = self._check(piece, rate_hz, findings)
            pieces.append(_held(checked, piece, inside))
            for study in self._studies:
                study.add(_held(studied, piece, inside))
            first += take
            if any(study.due(self._row) for study in self._studies):
                self._look_up()
            self._call_flat(take - 1, rate_hz, findings)
        self._number = number
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _look_up(self) -> None:
        """What is known by now, of what is being learned; what is complete stays."""
        self._limit()  # notes which channels have moved
        for study in [study for study in self._studies if study.over(self._row)]:
            found = study.habits.arrays()
            if self._usual is None:
                pace = 0.0 if self._pace is None else self._pace.usual
                self.arm({**found, "pace": np.array([pace], np.float32)})
            else:
                self._usual = {name: array.copy() for name, array in self._usual.items()}
                for name in NAMES:
                    self._usual[name][study.columns] = found[name]
                self._studies.remove(study)
                self._limit()
            self._flat_at[self._still] = self._row  # others have moved

    def _stir(self, values: Array, rate_hz: float, findings: list[Finding]) -> int:
        """How many samples it takes until a channel that has never moved does; one that moves now begins its lesson,
        and is flat no more."""
        here = values[:, self._still]
        sound = (
            (here >= self._low[self._still]) & (here <= self._high[self._still]) & (np.abs(here) < LARGEST)
        )
        first = here[np.argmax(sound, axis=0), np.arange(len(self._still))]
        stood = np.where(np.isnan(self._last[0, self._still]), first, self._last[0, self._still])
        stirs = sound & (here != stood)
        row = int(np.argmax(stirs.any(axis=1))) if stirs.any() else len(values)
        if row:
            return row
        columns = self._still[stirs[0]]
        time = self._time(0, rate_hz)
        for j in columns[self._flat[columns] > 0].tolist():
            findings.append(Finding("flat", j, False, time, time, math.nan))
        self._note_flat(columns, 0.0)
        self._studies.append(Study(columns.tolist(), self._row, self._lesson, waveform=self._waveform))
        self._studies[-1].habits.add(stood[None, stirs[0]])  # from where it moved
        self._limit()
        return self._stir(values, rate_hz, findings)

    def _until_flat(self) -> list[int]:
        """Samples until something may be called flat, if anything may."""
        left = self._flat_at[self._still] - self._row
        return [int(rows) for rows in left[left > 0]]

    def _call_flat(self, index: int, rate_hz: float, findings: list[Finding]) -> None:
        """Say with sample `index` what has never moved, of channels that are measured. At 0 there may be nothing to
        measure; and where nothing at all moves, the machine may be off."""
        due = self._still[self._flat_at[self._still] == self._row]
        if "flat" not in self._kinds or len(self._still) == self.width > 1:
            return
        for j in due.tolist():
            value = float(self._last[0, j])
            if j in self._resting or not value or math.isnan(value):
                continue
            self._note_flat(np.array([j]), 1.0)
            since = self._time(index + 1 - int(self._run[j]), rate_hz)
            findings.append(Finding("flat", j, True, self._time(index, rate_hz), since, value))

    @property
    def _flat(self) -> Array:
        """`(width,)`: 1 of channels that are called flat."""
        assert self._usual is not None
        return self._usual.get(FLAT, np.zeros(self.width, np.float32))

    def _note_flat(self, columns: NDArray[np.intp], value: float) -> None:
        assert self._usual is not None
        flat = self._flat.copy()
        flat[columns] = value
        self._usual = {**self._usual, FLAT: flat}

    def _check(self, values: Array, rate_hz: float, findings: list[Finding]) -> tuple[Array, Array]:
        """A quick look, which is enough for most samples, and a closer one at the channels where it is not: the samples
        to be judged, and those to be learned from, among which may be leaps that are usual."""
        rows = len(values)
        before = self._last if rows == 1 else np.concatenate((self._last, values[:-1]))
        steps = np.abs(values - before)
        well = steps <= self._jump
        if self._ranged:
            well &= (values >= self._low) & (values <= self._high)
        same = steps == 0
        if self._busy or not well.all() or not self._all_moved:
            return self._look(values, before, same, well, rate_hz, findings)
        if same.any() and not (self._waveform and _only_pairs(same)):
            return self._look(values, before, same, well, rate_hz, findings)
        if not self._single:
            self._run, self._single = np.ones(self.width, np.int64), True
        self._end(values, values[-1:].copy(), before[-1:])
        return values, values

    def _look(
        self,
        values: Array,
        before: Array,
        same: NDArray[np.bool_],
        well: NDArray[np.bool_],
        rate_hz: float,
        findings: list[Finding],
    ) -> tuple[Array, Array]:
        """Channel by channel, each with the closer look if it needs one."""
        checked = studied = values
        last, flank = values[-1:].copy(), before[-1:].copy()
        off: NDArray[np.bool_] | None = None

        def switched_off() -> NDArray[np.bool_]:
            nonlocal off
            if off is None:
                moving = values[:, self._moving]
                off = ((moving == 0).sum(axis=1) >= 2) | (moving.shape[1] < 2)
            return off

        sound: NDArray[np.bool_] = np.logical_and.reduce(well, 0)
        repeats: NDArray[np.bool_] = np.logical_or.reduce(same, 0)
        self._busy = False
        for j, channel in enumerate(self._channels):
            channel.last, channel.run = float(self._last[0, j]), int(self._run[j])
            if sound[j] and not repeats[j] and not channel.busy:
                self._run[j], channel.moved = 1, True
                continue
            channel.flank = float(self._flank[0, j])
            withheld, leapt, faults = channel.look(values[:, j], self._recent[:, j], switched_off)
            self._run[j], last[0, j], flank[0, j] = channel.run, channel.last, channel.flank
            self._busy = self._busy or channel.busy
            if withheld.any():
                checked = values.copy() if checked is values else checked
                checked[withheld, j] = np.nan
                if self._studies:
                    studied = values.copy() if studied is values else studied
                    studied[withheld & ~leapt, j] = np.nan
            for fault in faults:
                time = self._time(fault.at, rate_hz)
                since = self._time(fault.first, rate_hz)
                findings.append(Finding(fault.kind, j, fault.begins, time, since, fault.value))
        self._all_moved = all(channel.moved or not channel.limits.judges_runs for channel in self._channels)
        self._single = False
        self._end(values, last, flank)
        return checked, studied

    def _end(self, values: Array, last: Array, flank: Array) -> None:
        self._row += len(values)
        self._last, self._flank = last, flank
        if not self._waveform:
            known = not (self._studies or (len(self._still) and self._until_flat()))
            self._quick = self._all_moved and known and not (self._busy or self._ranged)
            return
        if len(values) >= RECENT:
            self._recent = values[-RECENT:].copy()
        else:
            self._recent = np.concatenate((self._recent, values))[-RECENT:]

    def _time(self, index: int, rate_hz: float) -> float:
        """Of a sample of this piece, or of one before it were they evenly spaced."""
        return round((self._anchor + (self._number + index) / rate_hz) * MICROSECOND) / MICROSECOND


def _only_pairs(same: NDArray[np.bool_]) -> bool:
    """Whether no value came more than twice in a row, nor may yet: as happens in any waveform now and then."""
    return not (same[0].any() or same[-1].any() or (same[1:] & same[:-1]).any())


def _held(checked: Array, values: Array, held: Sequence[tuple[int, int]]) -> Array:
    for start, stop in held:
        checked = checked.copy() if checked is values else checked
        checked[start:stop] = np.nan
    return checked
