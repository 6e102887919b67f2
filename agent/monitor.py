"""One monitor: Reading -> Window -> level -> Alert. No threads, no clock, no input or output."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.account import PLAIN
from agent.alerts import (
    ABOUT,
    About,
    Alert,
    Event,
    Happening,
    Model,
    Moved,
    Plan,
    Rule,
    advance,
    happened,
    interrupted,
)
from agent.budget import Aim, Budget, together
from agent.creeping import CREEPING, crept_far, in_words
from agent.diagnosis import NOTHING, Diagnosis
from agent.evidence import Evidence, Scene, evidence_name
from agent.judge import Judge
from agent.operating import PART, Operating, StatePlan, StateStatus
from agent.signal import Signal
from agent.witness import Witness, witness_of
from models.baseline import GUARD, Baseline
from models.calibration import Calibration
from models.detector import Bank, Head, Job, Learned, LearningError, Shift
from models.drift import Crept, DriftPlan
from models.features import Features
from models.session import digest
from models.window import Array, Windower
from sensors.base import Reading

MOST_MOVED = 8  # features named in an event
LEAST_SHARE, JUMP_SHARE = 0.05, 0.5  # of the score, for a feature to be named
LOST = Rule(on_delay_s=0.0, off_delay_s=0.0)  # the tracker waits for long enough
FAULT_SIGMA = 6.0  # a fault frequency this far above normal names the fault


@dataclass(frozen=True, slots=True)
class Status:
    """What a monitor knows of itself."""

    health: str  # "learning", "armed"
    level: float  # the latest; NaN before there is one
    alert: Alert
    needs: str  # what is still missing while learning: "needs 240 more rows"
    rows: int
    windows: int
    missing: int  # samples that did not arrive or were not numbers
    restarts: int
    notes: tuple[str, ...]
    operating: str  # the operating state the machine is in; "" between two, and where it has only one
    states: tuple[StateStatus, ...]  # the operating states that are known; () where there is only one
    faults: tuple[
        tuple[str, str, float], ...
    ]  # of the signal: kind, channel or "" for all, Unix seconds it began


class Monitor:
    """Listens to one sensor with one detector; owns all its state, and is told the time by its samples."""

    def __init__(
        self,
        name: str,
        sensor: str,
        *,
        columns: Sequence[int] | None,
        windower: Windower,
        features: Features,
        head: Head,
        rule: Rule,
        learn_rows: int,
        plan: Plan,
        budget: Budget = Budget(),  # noqa: B008  (frozen)
        drift: DriftPlan = DriftPlan(),  # noqa: B008  (frozen)
        scene: Scene | None = None,
        signal: Signal | None = None,
        unit: str = "rows",
        bridge: int = 0,
        diagnosis: Diagnosis | None = None,
        states: StatePlan | None = None,
        another: Callable[[], Head] | None = None,
        belongs_to: Mapping[str, str] | None = None,
        baseline: Baseline | None = None,
        seq: int = 0,
    ) -> None:
        """`columns` of the sensor's channels (None: all), `learn_rows` rows of features to learn from, called `unit` in
        messages, of which `bridge` in a row may be left out of the lesson without breaking it; `budget` says how many
        false alarms it may give, `drift` how far its normal may creep; `scene` what to say with evidence (None: it
        keeps none); `signal` watches the sensor itself (None: nobody does); `states` how the machine's operating
        states are told, and `another` makes a head for each (None: it has one state); `belongs_to` is the
        configuration that a baseline belongs to, in words; `seq` the number of the last event sent. Raises
        LearningError when the baseline does not fit."""
        self.name, self.sensor, self.plan = name, sensor, plan
        self.belongs_to = dict(belongs_to or {})
        self._columns = None if columns is None else np.asarray(columns)
        self._windower, self._features, self._unit = windower, features, unit

        def judge(head: Head, rows: int) -> Judge:
            return Judge(
                head,
                columns=features.columns,
                learn_rows=rows,
                budget=budget,
                rule=rule,
                hop_s=plan.hop_s,
                bridge=bridge,
                drift=drift,
            )

        self._judge = judge(head, learn_rows)  # of all it sees, while no states are told apart
        self._states: Operating | None = None
        if states is not None and another is not None:
            self._states = Operating(states, lambda rows: judge(another(), rows))
            self._judge.divide = self._states.divide
        self.baseline: Baseline | None = None
        self.unsaved = False  # a baseline was learned and nobody has saved it yet
        self.budget = budget
        self.alerts: dict[About, Alert] = {about: Alert() for about in ABOUT}
        self.witness: Witness | None = None
        self._scene, self._device = scene, ""
        self.diagnosis = diagnosis
        self.signal = signal
        self.listener: Callable[[Job, Sequence[float]], None] | None = None  # hears of all that is scored
        self.level = math.nan
        self.seq = seq
        self.rows = self.windows = 0
        self._fresh = True
        self._model: Model | None = None
        if baseline is not None:
            self.arm(baseline)

    # The two halves of the road: up to the session, and after it.

    def take(self, reading: Reading) -> list[Job]:
        """What this reading gives the bank to score; learning happens here."""
        values = reading.values if self._columns is None else reading.values[:, self._columns]
        self.rows += len(values)
        checked = values
        if self.signal is not None:
            checked = self.signal.check(reading.time, reading.rate_hz, values)
        jobs, pieces = [], []
        if self.diagnosis is not None:
            self.diagnosis.begin()
        for windows in self._windower.push(reading.time, reading.rate_hz, checked):
            self.windows += len(windows.times)
            times, rows = windows.times, self._features.extract(windows)
            if self.witness is not None:
                pieces.append((times, rows))
            if self.diagnosis is not None:
                self.diagnosis.hear(times, rows)
            self._fresh |= windows.fresh
            if self._divided is None and not self._judge.armed:
                used = self._study(times, rows)
                if used == len(times):  # as always while it goes on learning
                    continue
                times, rows = times[used:], rows[used:]
            fresh, self._fresh = self._fresh, False
            if self._divided is not None:
                jobs += self._by_state(self._divided, times, rows, fresh)
                continue
            job = self._judge.take(times, rows, fresh)
            if job is not None:
                jobs += self._judge.cut(job)
        if self.witness is not None:
            self.witness.hear(reading.time, reading.rate_hz, values, pieces, len(jobs))
        return jobs

    def _by_state(self, states: Operating, times: list[float], rows: Array, fresh: bool) -> list[Job]:
        jobs = states.hand_out(times, rows, fresh)
        if states.grown:
            self._set_out_by_state(states)
        return [piece for job in jobs for piece in self._judge_of(job).cut(job)]

    def settle(self, job: Job) -> list[Event]:
        """The events that a scored job brings, in the order of time, and what else there is to tell by then."""
        judge, events = self._judge_of(job), list[Event]()
        if job.fresh:
            self.alert = interrupted(self.alert)
            judge.interrupted()
        count, first = len(job.times), 0
        while first < count:  # usually once: the edge moves at counted rows of the stream, and seldom
            last = min(count, first + judge.rows_to_turn)
            if self.tells_from <= job.times[last - 1]:
                events += self.tell(job.times[first])
                last = min(last, bisect_left(job.times, self.tells_from))
            told, normal = self._pronounce(judge, job, first, last)
            events += told
            crept = judge.passed(job, first, last, normal)
            if crept is not None:
                events += self._creep(judge, crept, job.times[last - 1])
            first = last
        return events

    def _pronounce(
        self, judge: Judge, job: Job, first: int, last: int
    ) -> tuple[list[Event], NDArray[np.bool_] | None]:
        """Rows `first` to `last` of a job, between which the edge stands still; and which of them were normal, with
        no alert in sight, None for all."""
        whole = last - first == len(job.times)
        levels = judge.head.calibration.apply(job.raw if whole else job.raw[:, first:last])
        top = max(levels)
        judge.watch(levels, top)
        if self.diagnosis is not None:
            levels = self.diagnosis.lift(job.times if whole else job.times[first:last], levels)
            top = max(levels)
        if self.listener is not None:
            self.listener(job if whole else job.part(first, last), levels)
        alert, rule = self.alerts["machine"], judge.rule
        self.level = levels[-1]
        if alert.state == "inactive" and top < rule.on_level:  # the road usually ends here
            if self.witness is not None:
                times = job.times if whole else job.times[first:last]
                self.witness.judge(times, levels, done=last == len(job.times))
            return [], None
        events, marks = [], list[tuple[int, Evidence | None]]()
        normal = np.zeros(last - first, np.bool_)
        for i, level in enumerate(levels, first):
            after = advance(alert, rule, level, job.times[i])
            normal[i - first] = after.state == "inactive" and level < rule.on_level
            kind = happened(alert, after)
            alert = after
            if kind is not None:
                events.append(self._event(kind, alert, level, judge, job, i))
                if self.witness is not None and kind != "flooded":
                    marks.append((i - first, self._evidence(events[-1], judge, job, i)))
        self.alert = alert
        if self.witness is not None:
            self.witness.judge(job.times[first:last], levels, marks, done=last == len(job.times))
        return events, normal

    def _creep(self, judge: Judge, crept: Crept, time: float) -> list[Event]:
        """How far normal has crept in one operating state; the alert is of all of them."""
        before, level = self.alerts["creeping"], max(each.crept for each in self._judges)
        after = self.alerts["creeping"] = advance(before, CREEPING, level, time)
        kind = happened(before, after)
        if kind is None:
            return []
        self.seq += 1
        told = kind != "cleared"
        event = Event(
            kind=kind,
            monitor=self.name,
            time=time,
            seq=self.seq,
            alert=after,
            level=level,
            moved=crept_far(crept, self._features.columns) if told else (),
            model=self._model,
            plan=self.plan,
            sensor=self.sensor,
            about="creeping",
            note=in_words(crept, judge.drift_limit) if told else "",
        )
        return [event]

    @property
    def _judges(self) -> Iterable[Judge]:
        return [self._judge] if self._divided is None else self._divided.judges.values()

    # Operating states.

    @property
    def _divided(self) -> Operating | None:
        """The operating states, once they are told apart."""
        return self._states if self._states is not None and self._states.tracker is not None else None

    def _judge_of(self, job: Job) -> Judge:
        if self._divided is None:
            return self._judge
        return next(judge for judge in self._divided.judges.values() if judge.head is job.head)

    @property
    def tells_from(self) -> float:
        """Time of the first that `tell` has to say; infinity while there is nothing."""
        lost = self._states.told[0].time if self._states is not None and self._states.told else math.inf
        return lost if self.signal is None else min(lost, self.signal.waits_from)

    def tell(self, until: float = math.inf) -> list[Event]:
        """Events of the machine's being in no known state and of its sensor's signal, up to a time; call after
        `settle`, for what is left."""
        events: list[Event] = []
        while (time := self.tells_from) <= until and time < math.inf:
            if self.signal is not None and self.signal.waits_from == time:
                for turn in self.signal.turns(time):
                    self.alerts["signal"] = turn.alert
                    events.append(
                        self._plain("signal", turn.kind, turn.alert, turn.time, turn.note, turn.fault)
                    )
                continue
            assert self._states is not None
            _, lost, words = self._states.told.pop(0)
            before = self.alerts["state"]
            self.alerts["state"] = after = advance(before, LOST, 1.0 if lost else 0.0, time)
            kind = happened(before, after)
            if kind is not None:
                events.append(self._plain("state", kind, after, time, words))
        return events

    def _plain(
        self, about: About, kind: Happening, alert: Alert, time: float, note: str, fault: str = ""
    ) -> Event:
        """One that no score has brought."""
        self.seq += 1
        return Event(
            kind=kind,
            monitor=self.name,
            time=time,
            seq=self.seq,
            alert=alert,
            level=alert.level,
            moved=(),
            model=None,
            plan=self.plan,
            sensor=self.sensor,
            about=about,
            note=note,
            fault=fault,
        )

    def resume(self, alert: Alert) -> bool:
        """Go on with an alert about the machine's state that an earlier run has raised; False where nothing can end
        it."""
        if self._divided is None or self._divided.tracker is None:
            return False
        self.alerts["state"] = alert
        self._divided.tracker.told = True
        return True

    @property
    def alert(self) -> Alert:
        """The machine's."""
        return self.alerts["machine"]

    @alert.setter
    def alert(self, alert: Alert) -> None:
        self.alerts["machine"] = alert

    # Learning.

    def _study(self, times: list[float], rows: Array) -> int:
        """Learn; how many rows that took."""
        judge, fresh = self._judge, self._fresh
        self._fresh = False
        used = judge.study(times, rows, fresh)
        if self._divided is not None:
            self._set_out_by_state(self._divided)
        elif judge.armed:
            assert judge.origin is not None
            self._set_out(
                Baseline(
                    parts={"": judge.learned(), **self._usual()},
                    origin=judge.origin,
                    detector=self.head.detector,
                )
            )
            self.unsaved = self._fresh = True
        return used

    def arm(self, baseline: Baseline) -> None:
        """Judge by this baseline from now on. Raises LearningError when it does not fit."""
        if self.signal is not None and GUARD in baseline.parts:
            try:
                self.signal.guard.arm(baseline.parts[GUARD].arrays)
            except (KeyError, ValueError) as error:
                raise LearningError(f"what is usual of its channels cannot be read ({error})") from None
        if PART in baseline.parts:
            if self._states is None:
                raise LearningError("it tells operating states apart, and this monitor does not")
            self._states.arm(baseline.parts, baseline.origin)
            self._judge.learner = None
        else:
            self._judge.arm(baseline.learned, baseline.origin)
        self._set_out(baseline)
        self._fresh = True

    def _usual(self) -> dict[str, Learned]:
        """The guard's part of a baseline, once it has learned what is usual."""
        usual = None if self.signal is None else self.signal.guard.learned
        return {} if usual is None else {GUARD: Learned(dict(usual), Calibration(()))}

    def _set_out(self, baseline: Baseline) -> None:
        graph = self.head.graph
        self.baseline = baseline
        self._model = Model(
            self.head.detector,
            graph,
            baseline.digest(digest(graph) + self.belongs_to.get("model", "")),
            self.plan.variant,
        )

    def _set_out_by_state(self, states: Operating) -> None:
        """With what the states' judges have learned by now."""
        states.grown = False
        if states.armed:
            parts = {**states.parts(), **self._usual()}
            self._set_out(Baseline(parts=parts, origin=states.origin(), detector=self.head.detector))
            self.unsaved = True

    def join(self, bank: Bank) -> None:
        """Be scored by this bank from now on."""
        self._judge.join(bank)
        if self._states is not None:
            self._states.join(bank)

    @property
    def model(self) -> Model | None:
        """What scores; None while learning."""
        return self._model

    @property
    def head(self) -> Head:
        """The detector's part of this monitor."""
        return (self._judge if self._divided is None else self._divided.current).head

    @property
    def aim(self) -> Aim:
        """Where the budget puts the edge of normal; with several operating states, in the one the machine is in, and
        what to expect of all of them."""
        if self._divided is None:
            return self._judge.aim
        judges = [judge.aim for judge in self._divided.judges.values() if judge.armed]
        return together(self._divided.current.aim, judges)

    def aim_of(self, job: Job) -> Aim:
        """Where the budget puts the edge for these rows."""
        return self._judge_of(job).aim

    @property
    def rule(self) -> Rule:
        """Of its alert, as the budget has it."""
        return (self._judge if self._divided is None else self._divided.current).rule

    # What others see.

    @property
    def absent(self) -> tuple[str, ...]:
        """Channels that were no numbers in the newest row: why it could not be judged."""
        names = list(dict.fromkeys(column.channel for column in self._features.columns))
        return tuple(names[i] for i in self._windower.absent)

    @property
    def ailing(self) -> bool:
        """The signal is faulty, or the newest sample is withheld because it may be."""
        return self.signal is not None and (self.signal.ailing or self.signal.withheld)

    @property
    def armed(self) -> bool:
        return self._judge.armed if self._divided is None else self._divided.armed

    @property
    def commissioned(self) -> bool:
        """Whether it knows how far normal has crept."""
        return any(judge.commissioned for judge in self._judges)

    @property
    def learning(self) -> tuple[int, int]:
        """Rows still missing, rows needed; (0, n) once armed."""
        if self.armed:
            return 0, 0
        judges = [self._judge] if self._divided is None else self._divided.judges.values()
        learners = [judge.learner for judge in judges if judge.learner is not None]
        return min(((learner.missing, learner.needed) for learner in learners), default=(0, 0))

    def current_baseline(self) -> Baseline | None:
        """The baseline with the streaming state as it stands now; None while learning."""
        if self.baseline is None:
            return None
        states = self._divided
        parts = {"": self._judge.learned()} if states is None else states.parts()
        parts = {**parts, **self._usual()}
        return Baseline(parts=parts, origin=self.baseline.origin, detector=self.baseline.detector)

    def status(self) -> Status:
        """A snapshot for the state topic."""
        needs = "" if self._divided is None else self._divided.needs(self._unit)
        if self._judge.learner is not None:
            needs = f"needs {self._judge.learner.missing} more {self._unit}"
            if self._judge.refusal:
                needs += f" (last try: {self._judge.refusal})"
        return Status(
            health="armed" if self.armed else "learning",
            level=self.level,
            alert=self.alert,
            needs=needs,
            rows=self.rows,
            windows=self.windows,
            missing=self._windower.missing,
            restarts=self._windower.restarts,
            notes=self.baseline.origin.notes if self.baseline is not None else (),
            operating="" if self._divided is None else self._divided.name,
            states=() if self._divided is None else self._divided.states(),
            faults=() if self.signal is None else tuple(self.signal.faults),
        )

    def _event(
        self, kind: Happening, alert: Alert, level: float, judge: Judge, job: Job, index: int
    ) -> Event:
        self.seq += 1
        moved: tuple[Moved, ...] = ()
        if kind != "cleared":
            shifts = job.head.explain(job, index)
            measures = self._scene.measures if self._scene is not None else PLAIN
            moved = self._moved(shifts, judge.shares(job, index, shifts, measures))
        found = (
            NOTHING if self.diagnosis is None or kind == "flooded" else self.diagnosis.find(job.times[index])
        )
        return Event(
            kind=kind,
            monitor=self.name,
            time=job.times[index],
            seq=self.seq,
            alert=alert,
            level=level,
            moved=moved,
            model=self._model,
            plan=self.plan,
            sensor=self.sensor,
            fault=found.fault if kind != "cleared" else "",
            confidence=found.confidence if kind != "cleared" else None,
            zone=found.zone,
            diagnosis=found.words if kind != "cleared" else "",
            evidence=evidence_name(self._device, self.name, "machine", kind, alert, job.times[index]),
            operating="" if self._divided is None else self._divided.name_of(judge),
        )

    def remember(self, device: str, memory_bytes: int | None = None) -> None:
        """Name the evidence in events, as of this device; keep it too, where there is memory for it."""
        self._device = device
        if self._scene is not None and memory_bytes is not None:
            self.witness = witness_of(self._scene, memory_bytes)

    def _evidence(self, event: Event, judge: Judge, job: Job, index: int) -> Evidence | None:
        """What to keep for an event; None for one that ends an alert."""
        if event.kind == "cleared" or self._scene is None:
            return None
        told, scene = judge.account(job, index, self._scene)
        return Evidence(event.evidence, event, told, scene)

    def _moved(self, shifts: Sequence[Shift], shares: Sequence[float]) -> tuple[Moved, ...]:
        """The columns that matter, the first the most; a fault that stands out is named before its symptoms."""
        columns = self._features.columns
        kept = [shift for shift in shifts if shift.share >= (JUMP_SHARE if shift.jump else LEAST_SHARE)]
        faults = [shift for shift in shifts if columns[shift.column].fault and shift.sigma >= FAULT_SIGMA]
        if faults:
            named = max(faults, key=lambda shift: shift.sigma)
            kept = [named, *(shift for shift in kept if shift is not named)]
        moved, share_of = [], {shift.column: share for shift, share in zip(shifts, shares, strict=True)}
        for shift in kept[:MOST_MOVED]:
            share = share_of[shift.column]
            column, value, normal = columns[shift.column], shift.value, shift.normal
            if column.logarithm:
                value, normal = math.exp(value), math.exp(normal)
            moved.append(Moved(column.name, column.channel, shift.sigma, value, normal, column.unit, share))
        return tuple(moved)
