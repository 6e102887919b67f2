"""One channel's samples, one after the other: which are no measurements, and what fault that shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.channel_limits import Limits
from models.leak import Leak, Turn
from models.leaps import SPIKE_ROWS
from models.window import LARGEST

ChannelFault = Literal["dropout", "out_of_range", "spikes", "stuck", "flat", "saturated"]
Bools = NDArray[np.bool_]
Stretches = list[tuple[int, int, int]]

# A waveform leaps in health as well, when a bearing strikes; but what was struck rings. None of 460 leaps in PRONOSTIA
# was of one sample alone, with so many to both of its sides inside of all that was seen while learning.
CALM = 4
FLANK = 4.0  # steps of resolution that a clipped peak falls off to both of its sides
HELD_S = 0.25  # after a spike or a clipped peak a waveform is withheld so long
LOSS = 3.0  # times the share of samples missing in health is a dropout
MOST_BEHIND = 2**31
RECENT = 2 * CALM + 1  # samples of a waveform that are kept


class Fault(NamedTuple):
    """A fault begins or is over with sample `at` of the piece."""

    at: int
    kind: ChannelFault
    begins: bool
    first: int  # the first sample that was wrong, in the same piece; negative when it lies before
    value: float


class ChannelGuard:
    """Follows one channel. Its newest sound value, how often that has come in a row and the value before that run
    are the caller's while a quick look is enough: they are put here before `look`, and taken after it."""

    def __init__(self, rate_hz: float, waveform: bool, kinds: Collection[str]) -> None:
        self._waveform = waveform
        self._hold = math.ceil(HELD_S * rate_hz)
        self.limits = Limits()
        self.last, self.run, self.flank = math.nan, 0, math.nan
        self.moved = False  # since the beginning
        self._behind = 0  # samples since the newest that was sound
        self._away, self._from = 0, math.nan  # samples of what may be a spike, and the value before it
        self._rails = [math.nan, math.nan]  # where peaks were clipped: above, below
        self._held = 0  # samples still to be withheld
        self._leaks = {kind: leak for kind, leak in _leaks(rate_hz, waveform).items() if kind in kinds}

    def limit(self, limits: Limits) -> None:
        """Judge by these from now on."""
        self.limits = limits
        if "dropout" in self._leaks and limits.loss > 0:
            leak = self._leaks["dropout"]
            leak.gain = min(leak.gain, max(1, int(1 / (LOSS * limits.loss))))

    @property
    def busy(self) -> bool:
        """A quick look at what comes next would not do."""
        return bool(
            self._away
            or (self._waveform and self.run > 1)  # which may prove to be a clipped peak
            or self._held
            or self._behind
            or self.last != self.last
            or any(leak.level for leak in self._leaks.values())
        )

    def forget_neighbours(self) -> None:
        """What comes next does not follow: it may be anywhere."""
        self._behind = max(self._behind, SPIKE_ROWS + 1)

    def look(
        self, values: NDArray[np.float32], recent: NDArray[np.float32], off: Callable[[], Bools]
    ) -> tuple[Bools, Bools, list[Fault]]:
        """Which of these samples `(n,)`, NaN where missing, are to be withheld, which of them for a leap alone that no
        fault came of, and what turned.

        `recent` are the RECENT samples of a waveform before them, NaN where they are not to be compared with. `off()`
        are those at which no channel that usually moves does: what stands at exactly 0 there belongs to a machine
        that is off."""
        limits, rows = self.limits, len(values)
        absent = ~(np.abs(values) < LARGEST)  # a single sample may be infinite
        outside = ~absent & ((values < limits.low) | (values > limits.high))
        withheld = absent | outside
        leapt = np.zeros(rows, bool)
        wrong: dict[str, Stretches] = {}
        since: dict[
            int, int
        ] = {}  # first sample of a run that is too long, by each sample of it that is too many
        values_at: dict[int, float] = {}  # of spikes and clipped peaks, by the sample that gave them away
        at = np.flatnonzero(~withheld)
        if len(at) < rows:
            wrong["dropout"], wrong["out_of_range"] = _stretches(absent), _stretches(outside)
        held, self._held = self._held, max(0, self._held - rows)
        if len(at):
            sound = values[at]
            before = np.concatenate((np.array([self.last], np.float32), sound[:-1]))
            apart = (
                np.diff(at, prepend=-1 - self._behind) - 1
            )  # samples missing between it and the one before
            self._behind = rows - 1 - int(at[-1])
            if not self._waveform and (limits.jump < math.inf or self._away):
                leapt[at[self._find_spikes(sound, before, apart, at, wrong, values_at)]] = True
            self._find_runs(sound, before, at, off, withheld, wrong, values_at, since)
        else:
            self._behind = min(self._behind + rows, MOST_BEHIND)
        if self._waveform and (limits.jump < math.inf or self._away):
            self._find_glitches(np.concatenate((recent, values)), withheld, wrong, values_at)
        withheld[:held] = True
        faults: list[Fault] = []
        for kind, leak in self._leaks.items():
            stretches = sorted(wrong.get(kind, ()))
            if not (stretches or leak.level) or leak.gain < 2:
                continue
            active, turns = leak.active, leak.pour(stretches, rows)
            for turn in turns:
                value = values_at.get(turn.at, float(values[turn.at])) if turn.begins else math.nan
                faults.append(Fault(turn.at, kind, turn.begins, since.get(turn.at, turn.first), value))
            if (active or turns) and (self._waveform or kind != "dropout"):
                _withhold(withheld, active, turns)
        return withheld | leapt, leapt & ~withheld, faults

    def _find_spikes(
        self,
        sound: NDArray[np.float32],
        before: NDArray[np.float32],
        apart: NDArray[np.int64],
        at: NDArray[np.int64],
        wrong: dict[str, Stretches],
        values_at: dict[int, float],
    ) -> list[int]:
        """Which of the sound samples lie far away: withheld until it is clear whether the value comes back at once.
        If it does, it was a spike; if it stays, a step, which is the machine's."""
        limit = self.limits.jump
        jumps = np.flatnonzero((np.abs(sound - before) > limit) & (apart <= SPIKE_ROWS))
        away: list[int] = []
        spikes: Stretches = []
        i, count = 0, len(sound)
        while True:
            if not self._away:
                later = jumps[np.searchsorted(jumps, i) :]
                if not len(later):
                    break
                i = int(later[0])
                self._from = float(before[i])
            elif i >= count:
                break
            elif apart[i] > SPIKE_ROWS or (
                self._away >= SPIKE_ROWS and abs(float(sound[i]) - self._from) > limit
            ):
                self._away = 0
                i += 1
                continue
            elif abs(float(sound[i]) - self._from) <= limit:
                spikes.append((int(at[i]), int(at[i]) + 1, 1))
                values_at[int(at[i])] = float(before[i])
                self._away = 0
                i += 1
                continue
            self._away += 1
            away.append(i)
            i += 1
        wrong["spikes"] = spikes
        return away

    def _find_glitches(
        self,
        values: NDArray[np.float32],
        withheld: Bools,
        wrong: dict[str, Stretches],
        values_at: dict[int, float],
    ) -> None:
        """Single samples of a waveform far out of calm. They are judged, and all withheld for a while, when they have
        been calm for CALM samples again: no window is whole by then."""
        limits, older = self.limits, len(values) - len(withheld)
        steps = np.diff(values)
        up, down = steps[:-1], -steps[1:]
        leaps = np.flatnonzero((np.minimum(np.abs(up), np.abs(down)) > limits.jump) & (up * down > 0)) + 1
        found: Stretches = []
        for i in leaps.tolist():
            row = i + CALM - older  # the sample that completes what is needed
            if not 0 <= row < len(withheld):
                continue
            near = np.concatenate((values[i - CALM : i], values[i + 1 : i + 1 + CALM]))
            if near.min() >= limits.usual_low and near.max() <= limits.usual_high:
                found.append((row, row + 1, 1))
                values_at[row] = float(values[i])
                withheld[row : row + self._hold] = True
                self._held = max(self._held, row + self._hold - len(withheld))
        wrong["spikes"] = found
        self._away = int((np.abs(steps[-CALM - 1 :]) > limits.jump).any())

    def _find_runs(
        self,
        sound: NDArray[np.float32],
        before: NDArray[np.float32],
        at: NDArray[np.int64],
        off: Callable[[], Bools],
        withheld: Bools,
        wrong: dict[str, Stretches],
        values_at: dict[int, float],
        since: dict[int, int],
    ) -> None:
        """Values that come again and again: first withheld, then called stuck; and the clipped peaks of a waveform."""
        limits = self.limits
        changed = sound != before
        order = np.arange(len(sound))
        runs = order - np.maximum.accumulate(np.where(changed, order, -self.run)) + 1
        changes = np.flatnonzero(changed)
        moves = changes if self.last == self.last else changes[1:]  # the very first value is no move
        if limits.plateau < math.inf and len(changes):
            self._find_plateaus(sound, before, at, changes, runs, withheld, wrong, values_at)
        suspect = runs >= limits.suspect
        too_long = runs >= limits.stuck
        if limits.far < math.inf:
            far = (sound > limits.usual_high + limits.far) | (sound < limits.usual_low - limits.far)
            suspect |= far & (runs >= limits.suspect_beyond)
            too_long |= far & (runs >= limits.stuck_beyond)
        if suspect.any():
            if not self._waveform and (resting := suspect & (sound == 0)).any():
                suspect &= ~(resting & off()[at])
            withheld[at[suspect]] = True
            stuck = np.zeros(len(withheld), bool)
            stuck[at[suspect & too_long]] = True
            for stretch in _stretches(stuck):
                first = int(np.searchsorted(at, stretch[0]))
                moved = self.moved or (bool(len(moves)) and int(moves[0]) <= first)
                kind = self._name(float(sound[first]), moved)
                if kind in self._leaks:
                    wrong.setdefault(kind, []).append(stretch)
                    since |= dict.fromkeys(range(stretch[0], stretch[1]), stretch[0] - int(runs[first]) + 1)
        self.moved = self.moved or bool(len(moves))
        if len(changes):
            self.flank = float(before[changes[-1]])
        self.last, self.run = float(sound[-1]), int(runs[-1])

    def _name(self, value: float, moved: bool) -> ChannelFault:
        """A run too long to be true: at an extreme, from the very beginning, or in between."""
        limits = self.limits
        far = 0.0 if self._waveform else limits.far
        if (
            (value >= limits.usual_high + far or value <= limits.usual_low - far)
            and value
            and "saturated" in self._leaks
        ):
            return "saturated"
        return "stuck" if moved or "flat" not in self._leaks else "flat"

    def _find_plateaus(
        self,
        sound: NDArray[np.float32],
        before: NDArray[np.float32],
        at: NDArray[np.int64],
        changes: NDArray[np.int64],
        runs: NDArray[np.int64],
        withheld: Bools,
        wrong: dict[str, Stretches],
        values_at: dict[int, float],
    ) -> None:
        """Peaks cut off at one and the same value: some samples of it, and steep flanks on one side of it."""
        limits = self.limits
        lengths = np.where(changes > 0, runs[changes - 1], self.run)
        tops = before[changes]
        up = tops - np.concatenate((np.array([self.flank], np.float32), before[changes[:-1]]))
        down = tops - sound[changes]
        steep = np.minimum(np.abs(up), np.abs(down)) >= FLANK * limits.resolution
        flat = (lengths >= limits.plateau) & (lengths < limits.stuck) & steep & (up * down > 0)
        found: Stretches = []
        for i in np.flatnonzero(flat).tolist():
            side, top = int(up[i] < 0), float(tops[i])
            if top != self._rails[side]:
                self._rails[side] = top
                continue
            row = int(at[changes[i]])
            found.append((row, row + 1, int(lengths[i])))
            values_at[row] = top
            withheld[row : row + self._hold] = True
            self._held = max(self._held, row + self._hold - len(withheld))
        if found:
            wrong["saturated"] = found


def _leaks(rate_hz: float, waveform: bool) -> dict[ChannelFault, Leak]:
    """How much of each is a fault, and how long must be sound afterwards: of figures in samples, for they come
    from once in a day to a hundred times a second; of a waveform in time."""
    if not waveform:
        return {
            "dropout": Leak(4, 8 * 3, 30),  # 8 in a row, or one in four
            "out_of_range": Leak(10, 21, 30),  # 3 in a row, or one in ten
            "spikes": Leak(40, 81, 120),  # 3 within 40, or one in 40
            "stuck": Leak(10, 1, 10),
            "flat": Leak(10, 1, 10),
            "saturated": Leak(10, 1, 10),
        }
    second = max(50, round(rate_hz))
    lost = 19 * max(16, second // 50)
    return {
        "dropout": Leak(20, lost, lost + second),  # 20 ms, or 5 %
        "out_of_range": Leak(second // 4, second // 2 + 1, second),  # 3 within 250 ms
        "spikes": Leak(second, 4 * second + 1, 6 * second),  # 5, not much more than a second apart
        "stuck": Leak(second, 1, second),
        "flat": Leak(second, 1, second),
        "saturated": Leak(
            second // 8, 11 * (second // 8), 3 * second
        ),  # about 12 clipped samples within a second
    }


def _stretches(mask: Bools) -> Stretches:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    return [(start, stop, 1) for start, stop in edges.reshape(-1, 2).tolist()]


def _withhold(withheld: Bools, active: bool, turns: list[Turn]) -> None:
    """From the beginning of a fault until it is over."""
    start = 0
    for turn in turns:
        if turn.begins:
            start = turn.at
        else:
            withheld[start : turn.at + 1] = True
        active = turn.begins
    if active:
        withheld[start:] = True
