"""Which state a machine is in, row by row: what is judged, what is on its way, and what was never seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.states import Doubles, States
from models.window import Array

GLITCH_ROWS = 3  # so many rows outside of the state's box are skipped, and the machine has not left it
NEAR = 1.0  # margins, beside the width of the widest state, within which a machine must stay for a place to be one

MarkKind = Literal["lost", "found", "grown"]


class Segment(NamedTuple):
    """Consecutive rows of one state that may be judged."""

    state: int
    start: int
    stop: int
    fresh: bool  # they do not follow what was judged before


class Mark(NamedTuple):
    """What happened at a row: no state for too long, a state again, or a new one."""

    kind: MarkKind
    row: int


@dataclass(slots=True)
class Tracker:
    """Told rows in their order, it gives the same segments however they are cut.

    A state begins once its box has been stayed in for the rows that it takes to settle. Who leaves a box is on the
    way: nothing is judged. After `bound` rows on the way, a machine with closed states belongs to the nearest of
    them, so that a fault is judged; one with open states is in a place never seen, which becomes a state once it
    has stayed there for `persist` rows, as long as there are fewer than `most`. Without a state for `patience` rows
    it is lost, and that is said.
    """

    states: States
    bound: int
    patience: int
    persist: int
    most: int
    current: int = -1
    lost: int = 0  # rows since there was a state
    told: bool = False  # that it is lost
    _outside: int = field(default=0, repr=False)  # rows since the box of the current state was left
    _next: int = field(default=-1, repr=False)  # the state whose box is stayed in
    _stayed: int = field(default=0, repr=False)  # rows in it
    _forced: bool = field(default=False, repr=False)  # in it for lack of a nearer one
    _fresh: bool = field(default=True, repr=False)
    _place: list[Doubles] = field(
        default_factory=list, repr=False
    )  # the newest rows that lie near to each other, in no box
    _columns: NDArray[np.intp] = field(init=False, repr=False)
    _near: Doubles = field(init=False, repr=False)  # how wide a place may be
    _floor: Doubles = field(init=False, repr=False)  # of the current state's box
    _ceiling: Doubles = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._columns = np.array([channel.column for channel in self.states.channels])
        self._floor = self._ceiling = np.empty(0)
        widths = self.states.high - self.states.low - 2.0 * self.states.margin
        self._near = widths.max(axis=0) + NEAR * self.states.margin

    def push(self, rows: Array, fresh: bool) -> tuple[list[Segment], list[Mark]]:
        """What may be judged of consecutive rows `(n, columns)`; `fresh` when they do not follow those before."""
        if fresh:
            self._leave()
        elif len(rows) == 1 and self.current >= 0 and not self._forced:  # as usual, live
            here = rows[0, self._columns]
            if (here >= self._floor).all() and (here <= self._ceiling).all():
                segment = Segment(self.current, 0, 1, self._fresh)
                self._fresh, self._outside = False, 0
                return [segment], []
        values = self.states.of(rows)
        segments: list[Segment] = []
        marks: list[Mark] = []
        row = 0
        while row < len(values):
            if self.current >= 0:
                row = self._stay(values, row, segments)
            else:
                row = self._seek(values, row, marks)
        return segments, marks

    @property
    def unknown(self) -> bool:
        """Whether it has been without a state for longer than a change of states takes."""
        return self.current < 0 and self.lost > self.bound

    def _stay(self, values: Doubles, row: int, segments: list[Segment]) -> int:
        """Rows of the current state, up to the first that is not."""
        outside = ~self._within(values[row:], self.current)
        count = int(np.argmax(outside)) if outside.any() else len(outside)
        if count:
            segments.append(Segment(self.current, row, row + count, self._fresh))
            self._fresh, self._outside = False, 0
        row += count
        if row < len(values):
            self._outside += 1
            row += 1
            if self._outside > GLITCH_ROWS:
                self._leave()
        return row

    def _within(self, values: Doubles, state: int) -> NDArray[np.bool_]:
        inside = self.states.inside(values, state, lingering=True)
        if self._forced:
            inside |= (self.states.entered(values) < 0) & (self.states.nearest(values) == state)
        return inside

    def _leave(self) -> None:
        self.current, self._outside, self._next, self._stayed = -1, 0, -1, 0
        self._forced, self._fresh = False, True
        self._place = []

    def _seek(self, values: Doubles, row: int, marks: list[Mark]) -> int:
        """One row on the way; or as many as lie in one box."""
        here = values[row : row + 1]
        if self._next < 0 or not self._within(here, self._next)[0]:
            self._next, self._stayed, self._forced = int(self.states.entered(here)[0]), 0, False
            if self._next < 0 and not self.states.open and self.lost >= self.bound:
                self._next, self._forced = int(self.states.nearest(here)[0]), True
        self.lost += 1
        if self._next >= 0:
            self._place = []
            self._stayed += 1
            if self._stayed > self.states.settle[self._next]:
                self._settle(self._next, row, marks)
                return row  # this row is the first of the state
        elif self.states.open and self.states.count < self.most:
            self._look_around(here[0], row, marks)
        if self.lost == self.patience and not self.told:
            self.told = True
            marks.append(Mark("lost", row))
        return row + 1

    def _look_around(self, here: Doubles, row: int, marks: list[Mark]) -> None:
        self._place.append(here)
        place = np.stack(self._place)
        wide = np.maximum(self._near, 2.0 * self.states.reach(place))
        while (place.max(axis=0) - place.min(axis=0) > wide).any():
            self._place.pop(0)
            place = place[1:]
        if len(self._place) >= self.persist:
            usual = int(np.median(self.states.settle))
            self.states = self.states.grown(place, usual)
            marks.append(Mark("grown", row))
            self._settle(self.states.count - 1, row, marks)

    def _settle(self, state: int, row: int, marks: list[Mark]) -> None:
        self.current, self._outside, self._fresh, self._place = state, 0, True, []
        self._next, self._stayed, self.lost = -1, 0, 0
        self._floor = self.states.low[state] - self.states.linger
        self._ceiling = self.states.high[state] + self.states.linger
        if self.told:
            self.told = False
            marks.append(Mark("found", row))
