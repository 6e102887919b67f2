"""A machine's operating states with a judge for each, or one judge of all where they are not told apart. No threads, no
clock, no input or output."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from agent.budget import Aim, together
from agent.judge import Judge
from models.baseline import Origin
from models.calibration import Calibration
from models.detector import Bank, Job, Learned, LearningError
from models.learning import Learner
from models.state_finding import find, settling
from models.state_tracker import Segment, Tracker
from models.states import Bounds, Candidate, States, declared, restored
from models.window import Array

# Names of a baseline's parts: where the states lie, what each has learned, and the only one where there are none.
PART, STATE, ALL = "states", "state:", ""

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
    """Hands each row to the judge of the state that the machine is in. Until states are told apart, and where the
    machine has only one, that is one judge of all."""

    def __init__(self, all_: Judge, plan: StatePlan | None, another: Callable[[int], Judge]) -> None:
        """`all_` judges all, and its lesson is looked through for states as `plan` says (None: there are none);
        `another` makes a judge for a state, that learns from so many rows."""
        self._all, self._plan, self._another = all_, plan, another
        if plan is not None:
            all_.divide = self._divide
        self.tracker: Tracker | None = None  # once states are told apart
        self._judges: dict[int, Judge] = {}
        self.told: list[Told] = []  # what nobody has been told yet
        self.grown = False  # a judge has learned, or a state was added, since this was last set to False
        self._fresh = True  # what comes next follows nothing that was judged
        self._bank: Bank | None = None
        self._latest: Array = np.empty(0, np.float32)  # the newest row

    @property
    def plan(self) -> StatePlan:
        """Of the states that are told apart."""
        assert self._plan is not None
        return self._plan

    @property
    def judges(self) -> Collection[Judge]:
        return (self._all,) if self.tracker is None else self._judges.values()

    # Learning.

    def _divide(self, learner: Learner) -> bool:
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
        judge = self._judges[state] = self._another(rows)
        judge.visits = True
        if self._bank is not None:
            judge.join(self._bank)
        return judge

    def join(self, bank: Bank) -> None:
        """Be scored by this bank from now on."""
        self._bank = bank
        for judge in self.judges:
            judge.join(bank)

    @property
    def learning(self) -> tuple[int, int]:
        """Rows still missing until it can judge anything, and rows needed; (0, n) once armed."""
        if self.armed:
            return 0, 0
        learners = [judge.learner for judge in self.judges if judge.learner is not None]
        return min(((learner.missing, learner.needed) for learner in learners), default=(0, 0))

    # Judging.

    def hand_out(self, times: list[float], rows: Array, fresh: bool, skipped: int = 0) -> list[Job]:
        """Each row to the judge of its state: what is to be scored, in pieces between which a head may be moved. Where
        states are told apart, none may be `skipped`."""
        fresh |= self._fresh
        self._fresh = False
        if self.tracker is None and not self._all.armed:
            used = self._all.study(times, rows, fresh)
            times, rows, fresh = times[used:], rows[used:], self._all.armed
            self.grown |= self._all.armed
            if not times:
                self._fresh = fresh
                return []
        if self.tracker is None:
            return self._all.hand(times, rows, fresh, skipped)
        return self._by_state(self.tracker, times, rows, fresh)

    def _by_state(self, tracker: Tracker, times: list[float], rows: Array, fresh: bool) -> list[Job]:
        segments, marks = tracker.push(rows, fresh)
        self._latest = rows[-1]
        for mark in marks:
            if mark.kind == "grown":
                self.grown = True
            else:
                lost = mark.kind == "lost"
                self.told.append(Told(times[mark.row], lost, self._where(rows[mark.row]) if lost else ""))
        jobs: list[Job] = []
        for segment in segments:
            whole = segment.stop - segment.start == len(rows)
            own = slice(segment.start, segment.stop)
            jobs += self._hand(segment, times if whole else times[own], rows if whole else rows[own])
        return jobs

    def _hand(self, segment: Segment, times: list[float], rows: Array) -> list[Job]:
        judge = self._judges.get(segment.state) or self._seat(segment.state, self.plan.later)
        fresh = segment.fresh
        if not judge.armed:
            used = judge.study(times, rows, fresh)
            self.grown |= judge.armed
            times, rows, fresh = times[used:], rows[used:], True
        return judge.hand(times, rows, fresh) if times else []

    def judge_of(self, job: Job) -> Judge:
        """Who is to judge what was scored."""
        if self.tracker is None:
            return self._all
        return next(judge for judge in self._judges.values() if judge.head is job.head)

    def _where(self, row: Array) -> str:
        """ "speed 12 Hz, load 40 %"."""
        assert self.tracker is not None
        states = self.tracker.states
        here = states.of(row[None])[0].tolist()
        return ", ".join(states.value(i, value) for i, value in enumerate(here))

    def glance(self, level: Array) -> float | None:
        """What is made of a mean of rows `(columns,)`; None where that is not known without more ado: while learning,
        and where states are told apart, each with a normal of its own."""
        return self._all.glance(level) if self.tracker is None else None

    # What others see.

    @property
    def armed(self) -> bool:
        """Whether any state has a baseline."""
        return any(judge.armed for judge in self.judges)

    @property
    def standing(self) -> Standing:
        """Whether what the machine does now is judged."""
        assert self.tracker is not None
        judge = self._judges.get(self.tracker.current)
        if self.tracker.current >= 0:
            return "judged" if judge is not None and judge.armed else "learning"
        return "unknown" if self.tracker.unknown else "between"

    @property
    def name(self) -> str:
        """Of the state the machine is in; "" between states, and where it has only one."""
        if self.tracker is None or self.tracker.current < 0:
            return ""
        return self.tracker.states.name(self.tracker.current)

    def name_of(self, judge: Judge) -> str:
        """Of the state that it judges; "" where that is all."""
        if self.tracker is None:
            return ""
        state = next(state for state, known in self._judges.items() if known is judge)
        return self.tracker.states.name(state)

    @property
    def current(self) -> Judge:
        """Of the state the machine is in, or of the first that has a baseline."""
        if self.tracker is None:
            return self._all
        here = self._judges.get(self.tracker.current)
        armed = [judge for judge in self.judges if judge.armed]
        if here is not None and (here.armed or not armed):
            return here
        return (armed or list(self.judges))[0]

    @property
    def aim(self) -> Aim:
        """Where the budget puts the edge of normal in the state the machine is in, and what to expect of all."""
        if self.tracker is None:
            return self._all.aim
        return together(self.current.aim, [judge.aim for judge in self.judges if judge.armed])

    def states(self) -> tuple[StateStatus, ...]:
        """All that are known."""
        if self.tracker is None:
            return ()
        found = []
        for state in range(self.tracker.states.count):
            judge = self._judges.get(state)
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
            learner = self._all.learner
            if learner is None:
                return ""
            refused = f" (last try: {self._all.refusal})" if self._all.refusal else ""
            return f"needs {learner.missing} more {unit}{refused}"
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
        if self.tracker is None:
            return {ALL: self._all.learned()}
        found = {
            f"{STATE}{state + 1}": judge.learned() for state, judge in self._judges.items() if judge.armed
        }
        arrays = self.tracker.states.arrays()
        arrays["rows"] = np.array([known.learned_rows for known in self.states()], np.float32)
        found[PART] = Learned(arrays, Calibration(()))
        return dict(sorted(found.items(), key=lambda item: item[0] == PART))

    def origin(self) -> Origin:
        """What all judges have learned from."""
        known = [judge.origin for judge in self.judges if judge.origin is not None]
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
        self._fresh = True
        if PART not in parts:
            self._all.arm(next(iter(parts.values())), origin)
            return
        if self._plan is None:
            raise LearningError("it tells operating states apart, and this monitor does not")
        states = self.plan.restored(parts[PART].arrays)
        rows = parts[PART].arrays.get("rows", np.zeros(states.count, np.float32))
        self.tracker, self._judges, self._all.learner = self.plan.tracker(states), {}, None
        for state in range(states.count):
            learned = parts.get(f"{STATE}{state + 1}")
            judge = self._seat(state, self.plan.later)
            if learned is not None:
                judge.arm(learned, msgspec.structs.replace(origin, rows=int(rows[state]), notes=()))
        if not self.armed:
            raise LearningError("it holds no state's baseline")
