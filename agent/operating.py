"""A monitor's operating states: which one the machine is in, and a judge for each. No threads, no clock, no input or
output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from agent.judge import Judge
from models.baseline import Origin
from models.calibration import Calibration
from models.detector import Bank, Job, Learned, LearningError
from models.learning import Learner
from models.state_finding import find, settling
from models.state_tracker import Segment, Tracker
from models.states import Bounds, Candidate, States, declared, restored
from models.window import Array

PART, STATE = (
    "states",
    "state:",
)  # names of a baseline's parts: where the states lie, and what each has learned

Standing = Literal["judged", "learning", "between", "unknown"]


@dataclass(frozen=True, slots=True)
class StatePlan:
    """How operating states are told; lengths in rows of features."""

    candidates: tuple[Candidate, ...]  # columns that may tell them
    conditions: tuple[Bounds, ...] = ()  # the states themselves, where they were given
    names: tuple[str, ...] = ()
    most: int = 6
    chosen: bool = False  # a person named the candidates
    dwell: int = 60  # a state lasts so long on average
    settle: int | None = None  # after a change nothing is judged; None: learned
    bound: int = 60  # a change takes no longer
    patience: int = 600  # without a state for so long, that is said
    persist: int = 120  # in one place for so long, it is a state
    least: int = 200  # it takes to learn a state from a lesson
    later: int = (
        600  # ... and to learn one that the lesson has hardly seen: its first visit does not show it all
    )

    def find(self, rows: Array, starts: Sequence[int]) -> States | None:
        """The states in a lesson, None where there is only one and nobody said what tells it."""
        if self.conditions:
            usual = min(self.bound, self.dwell // 3)
            return declared(self.conditions, self.names, usual if self.settle is None else self.settle)
        found = find(rows, starts, self.candidates, dwell=self.dwell, most=self.most, chosen=self.chosen)
        if found is None:
            return None
        waits = (self.settle or 0,) * found.count
        if self.settle is None:
            waits = settling(found, rows, found.entered(found.of(rows)), most=self.bound)
        return replace(found, settle=waits, names=self.names)

    def tracker(self, states: States) -> Tracker:
        most = states.count if self.conditions else self.most
        return Tracker(states, self.bound, self.patience, self.persist, most)

    def restored(self, arrays: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]) -> States:
        """The states of a baseline. Raises LearningError."""
        try:
            found = restored(arrays, self.candidates, self.names)
        except ValueError as error:
            raise LearningError(str(error)) from None
        return found


class Told(NamedTuple):
    """The machine is in no known state any more, or in one again."""

    time: float
    lost: bool
    words: str


@dataclass(frozen=True, slots=True)
class StateStatus:
    """What a monitor knows of one state."""

    name: str
    learned_rows: int
    needs_rows: int  # until it has a baseline; 0: it has one

    @property
    def words(self) -> str:
        """For a person."""
        if self.needs_rows:
            return f"{self.name}: seen too rarely, it takes {self.needs_rows} more rows"
        return f"{self.name}: learned from {self.learned_rows} rows"


class Operating:
    """The states that were found, with their judges; before that nothing."""

    def __init__(self, plan: StatePlan, judge: Callable[[int], Judge]) -> None:
        """`judge` makes one for a state, that learns from so many rows."""
        self.plan, self._judge = plan, judge
        self.tracker: Tracker | None = None
        self.judges: dict[int, Judge] = {}
        self.told: list[Told] = []  # what nobody has been told yet
        self.grown = False  # a judge has learned, or a state was added, since this was last set to False
        self._bank: Bank | None = None
        self._latest: Array = np.empty(0, np.float32)  # the newest row

    # Learning.

    def divide(self, learner: Learner) -> bool:
        """Find states in what was collected, and let the judge of each learn from its rows; False where there is one
        state only, for which nobody asked."""
        times, rows, starts = learner.collected
        states = self.plan.find(rows, starts)
        if states is None:
            return False
        self.tracker = self.plan.tracker(states)
        pieces: dict[int, list[tuple[list[float], Array, bool]]] = {}
        for first, last in zip(starts, (*starts[1:], len(rows)), strict=True):
            segments, _ = self.tracker.push(rows[first:last], True)
            for segment in segments:
                own = slice(first + segment.start, first + segment.stop)
                pieces.setdefault(segment.state, []).append((times[own].tolist(), rows[own], segment.fresh))
        for state in range(self.tracker.states.count):
            own_pieces = pieces.get(state, [])
            seen = sum(len(times) for times, _, _ in own_pieces)
            needed = self.plan.least if seen >= self.plan.least else self.plan.later
            self._seat(state, needed).teach(own_pieces)
        self.grown = True
        return True

    def _seat(self, state: int, rows: int) -> Judge:
        judge = self.judges[state] = self._judge(rows)
        judge.visits = True
        if self._bank is not None:
            judge.join(self._bank)
        return judge

    def join(self, bank: Bank) -> None:
        """Be scored by this bank from now on."""
        self._bank = bank
        for judge in self.judges.values():
            judge.join(bank)

    # Judging.

    def hand_out(self, times: list[float], rows: Array, fresh: bool) -> list[Job]:
        """Each row to the judge of its state: what is to be scored."""
        assert self.tracker is not None
        segments, marks = self.tracker.push(rows, fresh)
        self._latest = rows[-1]
        for mark in marks:
            if mark.kind == "grown":
                self.grown = True
            else:
                lost = mark.kind == "lost"
                self.told.append(Told(times[mark.row], lost, self._where(rows[mark.row]) if lost else ""))
        jobs = []
        for segment in segments:
            whole = segment.stop - segment.start == len(rows)
            own = slice(segment.start, segment.stop)
            job = self._hand(segment, times if whole else times[own], rows if whole else rows[own])
            if job is not None:
                jobs.append(job)
        return jobs

    def _hand(self, segment: Segment, times: list[float], rows: Array) -> Job | None:
        judge = self.judges.get(segment.state) or self._seat(segment.state, self.plan.later)
        fresh = segment.fresh
        if not judge.armed:
            used = judge.study(times, rows, fresh)
            self.grown |= judge.armed
            times, rows, fresh = times[used:], rows[used:], True
        return judge.take(times, rows, fresh) if times else None

    def _where(self, row: Array) -> str:
        """ "speed 12 Hz, load 40 %"."""
        assert self.tracker is not None
        states = self.tracker.states
        here = states.of(row[None])[0].tolist()
        return ", ".join(states.value(i, value) for i, value in enumerate(here))

    # What others see.

    @property
    def armed(self) -> bool:
        """Whether any state has a baseline."""
        return any(judge.armed for judge in self.judges.values())

    @property
    def standing(self) -> Standing:
        """Whether what the machine does now is judged."""
        assert self.tracker is not None
        judge = self.judges.get(self.tracker.current)
        if self.tracker.current >= 0:
            return "judged" if judge is not None and judge.armed else "learning"
        return "unknown" if self.tracker.unknown else "between"

    @property
    def name(self) -> str:
        """Of the state the machine is in; "" between states."""
        assert self.tracker is not None
        return self.tracker.states.name(self.tracker.current) if self.tracker.current >= 0 else ""

    def name_of(self, judge: Judge) -> str:
        """Of the state that it judges."""
        assert self.tracker is not None
        state = next(state for state, known in self.judges.items() if known is judge)
        return self.tracker.states.name(state)

    @property
    def current(self) -> Judge:
        """Of the state the machine is in, or of the first that has a baseline."""
        assert self.tracker is not None
        armed = [judge for judge in self.judges.values() if judge.armed]
        judge = self.judges.get(self.tracker.current)
        return (
            judge
            if judge is not None and (judge.armed or not armed)
            else (armed or [*self.judges.values()])[0]
        )

    def states(self) -> tuple[StateStatus, ...]:
        """All that are known."""
        if self.tracker is None:
            return ()
        found = []
        for state in range(self.tracker.states.count):
            judge = self.judges.get(state)
            missing = (
                self.plan.least if judge is None else 0 if judge.learner is None else judge.learner.missing
            )
            rows = 0 if judge is None or judge.origin is None else judge.origin.rows
            needs = 0 if judge is not None and judge.armed else max(1, missing)
            found.append(StateStatus(self.tracker.states.name(state), rows, needs))
        return tuple(found)

    def needs(self, unit: str) -> str:
        """Why what the machine does now is not judged; "" where it is."""
        if self.tracker is None:
            return ""
        standing = self.standing
        if standing == "learning":
            known = self.states()[self.tracker.current]
            return f"no baseline for {known.name} yet: needs {known.needs_rows} more {unit}"
        if standing == "unknown":
            return f"in no known state for {self.tracker.lost} {unit}: {self._where(self._latest)}"
        return "between states" if standing == "between" else ""

    # On disk.

    def parts(self) -> dict[str, Learned]:
        """For a baseline."""
        assert self.tracker is not None
        found = {
            f"{STATE}{state + 1}": judge.learned() for state, judge in self.judges.items() if judge.armed
        }
        arrays = self.tracker.states.arrays()
        arrays["rows"] = np.array([known.learned_rows for known in self.states()], np.float32)
        found[PART] = Learned(arrays, Calibration(()))
        return dict(sorted(found.items(), key=lambda item: item[0] == PART))

    def origin(self) -> Origin:
        """What all judges have learned from."""
        assert self.tracker is not None
        known = [judge.origin for judge in self.judges.values() if judge.origin is not None]
        notes = list(dict.fromkeys(note for origin in known for note in origin.notes))
        return Origin(
            rows=sum(origin.rows for origin in known),
            first=min(origin.first for origin in known),
            last=max(origin.last for origin in known),
            stuck=sum(origin.stuck for origin in known),
            strays=sum(origin.strays for origin in known),
            notes=tuple(notes),
        )

    def arm(self, parts: Mapping[str, Learned], origin: Origin) -> None:
        """Judge by what a baseline holds. Raises LearningError when it does not fit."""
        states = self.plan.restored(parts[PART].arrays)
        rows = parts[PART].arrays.get("rows", np.zeros(states.count, np.float32))
        self.tracker, self.judges = self.plan.tracker(states), {}
        for state in range(states.count):
            learned = parts.get(f"{STATE}{state + 1}")
            judge = self._seat(state, self.plan.later)
            if learned is not None:
                judge.arm(learned, msgspec.structs.replace(origin, rows=int(rows[state]), notes=()))
        if not self.armed:
            raise LearningError("it holds no state's baseline")
