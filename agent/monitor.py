"""One monitor: Reading -> Window -> level -> Alert. No threads, no clock, no input or output."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.alerts import (
    ABOUT,
    About,
    Alert,
    Event,
    Happening,
    Model,
    Plan,
    Rule,
    advance,
    happened,
    interrupted,
)
from agent.budget import Aim, Budget
from agent.creeping import CREEPING, Diary
from agent.diagnosis import Diagnosis
from agent.evidence import Evidence, Scene
from agent.judge import Judge
from agent.operating import Operating, StatePlan, StateStatus
from agent.signal import Signal
from agent.teller import Teller
from agent.witness import Witness, witness_of
from models.baseline import GUARD, Baseline
from models.calibration import Calibration
from models.cascade import Cascade, Gaze, Seen
from models.detector import Bank, Head, Job, Learned, LearningError
from models.drift import Crept, DriftPlan
from models.features import Features
from models.session import digest
from models.window import Windower
from sensors.base import Reading

LOST = Rule(on_delay_s=0.0, off_delay_s=0.0)  # the tracker waits for long enough


@dataclass(frozen=True, slots=True)
class Status:
    """What a monitor knows of itself."""

    health: str  # "learning", "armed"
    level: float  # of the newest window; NaN where that was not judged
    alert: Alert
    needs: str  # what is still missing while learning: "needs 240 more rows"
    rows: int
    windows: int
    missing: int  # samples that did not arrive or were not numbers
    restarts: int
    notes: tuple[str, ...]
    operating: str  # the operating state the machine is in; "" between two, and where it has only one
    states: tuple[StateStatus, ...]  # the operating states that are known; () where there is only one
    # Of the signal: kind, channel or "" for all, Unix seconds it began.
    faults: tuple[tuple[str, str, float], ...]


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
        span: int = 0,
        belongs_to: Mapping[str, str] | None = None,
        baseline: Baseline | None = None,
        seq: int = 0,
    ) -> None:
        """`columns` of the sensor's channels (None: all), `learn_rows` rows of features to learn from, called `unit` in
        messages, of which `bridge` in a row may be left out of the lesson without breaking it; `budget` says how many
        false alarms it may give, `drift` how far its normal may creep; `scene` what to say with evidence (None: it
        keeps none); `signal` watches the sensor itself (None: nobody does); `states` how the machine's operating
        states are told, and `another` makes a head for each (None: it has one state); `span` windows are averaged,
        where it may be told to look at some only (0: it looks at all); `belongs_to` is the configuration that a
        baseline belongs to, in words; `seq` the number of the last event sent. Raises
        LearningError when the baseline does not fit."""
        self.name, self.sensor, self.plan = name, sensor, plan
        self.belongs_to = dict(belongs_to or {})
        self._columns = None if columns is None else np.asarray(columns)
        self._windower, self.features, self._unit = windower, features, unit

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

        self._states = Operating(
            judge(head, learn_rows),
            states if another is not None else None,
            lambda rows: judge((another or (lambda: head))(), rows),
        )
        self.cascade = Cascade(features, windower.width, span, self._states.glance) if span else None
        self._teller = Teller(name, sensor, plan, features.columns, scene, diagnosis, seq)
        self.baseline: Baseline | None = None
        self.unsaved = False  # a baseline was learned and nobody has saved it yet
        self.budget = budget
        self.alerts: dict[About, Alert] = {about: Alert() for about in ABOUT}
        self.witness: Witness | None = None
        self._diary: Diary | None = None
        self._scene = scene
        self.diagnosis = diagnosis
        self.signal = signal
        self.listener: Callable[[Job, Sequence[float]], None] | None = None  # hears of all that is scored
        self._level, self._judged_at = math.nan, math.nan  # of the newest window that was judged
        self._heard_at = math.nan  # of the newest window
        self.rows = self.windows = 0
        self.rested = 0  # rows that came while nobody looked
        if baseline is not None:
            self.arm(baseline)

    # The two halves of the road: up to the session, and after it.

    def take(self, reading: Reading) -> list[Job]:
        """What this reading gives the bank to score; learning happens here."""
        values = reading.values if self._columns is None else reading.values[:, self._columns]
        if self.plan.rests:
            self.rested += len(values)
            return []
        self.rows += len(values)
        checked = values
        if self.signal is not None:
            checked = self.signal.check(reading.time, reading.rate_hz, values)
        jobs, pieces = list[Job](), []
        if self.diagnosis is not None:
            self.diagnosis.begin()
        for windows in self._windower.push(reading.time, reading.rate_hz, checked):
            self.windows += len(windows.times)
            if self.cascade is None or not self.sole:
                seen = [Seen(windows.times, self.features.extract(windows), windows.fresh, 0)]
            else:
                seen = self.cascade.hear(windows)
            for each in seen:
                pieces.append((each.times, each.rows))
                jobs += self._hand_out(each)
        if self._states.grown:
            self._learned()
        if self.witness is not None:
            self.witness.hear(reading.time, reading.rate_hz, values, pieces, len(jobs))
        return jobs

    def _hand_out(self, seen: Seen) -> list[Job]:
        """Windows that are looked at, to whoever judges them."""
        self._heard_at = seen.times[-1]
        if self.diagnosis is not None:
            self.diagnosis.hear(seen.times, seen.rows)
        jobs = self._states.hand_out(seen.times, seen.rows, seen.fresh, seen.skipped)
        for job in jobs if seen.thinned else ():
            job.thinned = True
        return jobs

    def flush(self) -> list[Job]:
        """What is to be scored of windows that were passed over and that nothing comes behind."""
        seen = [] if self.cascade is None else self.cascade.flush()
        jobs = [job for each in seen for job in self._hand_out(each)]
        if seen and self.witness is not None:
            nothing = np.empty((0, self._windower.width), np.float32)
            pieces = [(each.times, each.rows) for each in seen]
            self.witness.hear(seen[0].times[0], 1.0, nothing, pieces, len(jobs))
        return jobs

    def settle(self, job: Job) -> list[Event]:
        """The events that a scored job brings, in the order of time, and what else there is to tell by then."""
        judge, events = self._states.judge_of(job), list[Event]()
        if job.fresh:
            self.alert = interrupted(self.alert)
            judge.interrupted()
        judge.skip(job)
        if self.witness is not None and job.skipped:
            self.witness.skip(job.skipped)
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
        if self.cascade is not None:
            self.cascade.heed(self.alert.state)
        return events

    def _pronounce(
        self, judge: Judge, job: Job, first: int, last: int
    ) -> tuple[list[Event], NDArray[np.bool_] | None]:
        """Rows `first` to `last` of a job, between which the edge stands still; and which of them were normal, with
        no alert in sight, None for all."""
        whole = last - first == len(job.times)
        levels = judge.head.calibration.apply(job.raw if whole else job.raw[:, first:last])
        top = max(levels)
        judge.watch(levels, top, job.thinned)
        if self.diagnosis is not None:
            levels = self.diagnosis.lift(job.times if whole else job.times[first:last], levels)
            top = max(levels)
        if self.listener is not None:
            self.listener(job if whole else job.part(first, last), levels)
        alert, rule = self.alerts["machine"], judge.rule
        self._level, self._judged_at = levels[-1], job.times[last - 1]
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
                state = self._states.name_of(judge)
                events.append(self._teller.scored(kind, alert, level, judge, job, i, state))
                if self.witness is not None and kind != "flooded":
                    marks.append((i - first, self._teller.evidence(events[-1], judge, job, i)))
        self.alert = alert
        if self.witness is not None:
            self.witness.judge(job.times[first:last], levels, marks, done=last == len(job.times))
        return events, normal

    def _creep(self, judge: Judge, crept: Crept, time: float) -> list[Event]:
        """How far normal has crept in one operating state; the alert is of all of them."""
        level = max(each.crept for each in self._states.judges)
        kind, alert = self._turn("creeping", CREEPING, level, time)
        events = [] if kind is None else [self._teller.crept(kind, alert, level, crept, time, judge)]
        if self._diary is not None:
            marks = [(0, self._teller.crept_evidence(event, judge, crept)) for event in events]
            self._diary.write(judge, crept, time, marks)
        return events

    def _turn(self, about: About, rule: Rule, level: float, time: float) -> tuple[Happening | None, Alert]:
        """One of the alerts after one more level, and what others should hear of that."""
        before = self.alerts[about]
        after = self.alerts[about] = advance(before, rule, level, time)
        return happened(before, after), after

    # What no score brings.

    @property
    def tells_from(self) -> float:
        """Time of the first that `tell` has to say; infinity while there is nothing."""
        lost = self._states.told[0].time if self._states.told else math.inf
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
                        self._teller.plain("signal", turn.kind, turn.alert, turn.time, turn.note, turn.fault)
                    )
                continue
            _, lost, words = self._states.told.pop(0)
            kind, alert = self._turn("state", LOST, 1.0 if lost else 0.0, time)
            if kind is not None:
                events.append(self._teller.plain("state", kind, alert, time, words))
        return events

    def obey(self, plan: Plan) -> None:
        """Look so often from the next reading on. A monitor that may not skip windows looks at all."""
        self.plan = self._teller.plan = plan
        if self.cascade is not None:
            every, lite = (round(span_s / plan.hop_s) for span_s in (plan.full_s, plan.lite_s))
            self.cascade.gaze = Gaze(max(1, every), lite)

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return self._teller.seq

    def number(self) -> int:
        """That of the next, for one that is not made here."""
        return self._teller.number()

    def resume(self, alert: Alert) -> bool:
        """Go on with an alert about the machine's state that an earlier run has raised; False where nothing can end
        it."""
        if self._states.tracker is None:
            return False
        self.alerts["state"] = alert
        self._states.tracker.told = True
        return True

    @property
    def alert(self) -> Alert:
        """The machine's."""
        return self.alerts["machine"]

    @alert.setter
    def alert(self, alert: Alert) -> None:
        self.alerts["machine"] = alert

    # Learning.

    def _learned(self) -> None:
        """Set out with what was learned by now."""
        self._states.grown = False
        if self.armed:
            parts = {**self._states.parts(), **self._usual()}
            self._set_out(Baseline(parts=parts, origin=self._states.origin(), detector=self.head.detector))
            self.unsaved = True

    def arm(self, baseline: Baseline) -> None:
        """Judge by this baseline from now on. Raises LearningError when it does not fit."""
        if self.signal is not None and GUARD in baseline.parts:
            try:
                self.signal.guard.arm(baseline.parts[GUARD].arrays)
            except (KeyError, ValueError) as error:
                raise LearningError(f"what is usual of its channels cannot be read ({error})") from None
        self._states.arm(baseline.parts, baseline.origin)
        self._set_out(baseline)

    def _usual(self) -> dict[str, Learned]:
        """The guard's part of a baseline, once it has learned what is usual."""
        usual = None if self.signal is None else self.signal.guard.learned
        return {} if usual is None else {GUARD: Learned(dict(usual), Calibration(()))}

    def _set_out(self, baseline: Baseline) -> None:
        graph = self.head.graph
        self.baseline = baseline
        self._teller.model = Model(
            self.head.detector,
            graph,
            baseline.digest(digest(graph) + self.belongs_to.get("model", "")),
            self.plan.variant,
        )

    def join(self, bank: Bank) -> None:
        """Be scored by this bank from now on."""
        self._states.join(bank)

    @property
    def model(self) -> Model | None:
        """What scores; None while learning."""
        return self._teller.model

    @property
    def head(self) -> Head:
        """The detector's part of this monitor."""
        return self._states.current.head

    @property
    def aim(self) -> Aim:
        """Where the budget puts the edge of normal; with several operating states, in the one the machine is in, and
        what to expect of all of them."""
        return self._states.aim

    def aim_of(self, job: Job) -> Aim:
        """Where the budget puts the edge for these rows."""
        return self._states.judge_of(job).aim

    @property
    def rule(self) -> Rule:
        """Of its alert, as the budget has it."""
        return self._states.current.rule

    # What others see.

    @property
    def level(self) -> float:
        """Of the newest window; NaN where that was not judged: while learning, between two operating states, in one
        that has no baseline yet, and while averages fill after a gap."""
        return self._level if self._judged_at == self._heard_at else math.nan

    @property
    def absent(self) -> tuple[str, ...]:
        """Channels that were no numbers in the newest row: why it could not be judged."""
        names = list(dict.fromkeys(column.channel for column in self.features.columns))
        return tuple(names[i] for i in self._windower.absent)

    @property
    def ailing(self) -> bool:
        """The signal is faulty, or the newest sample is withheld because it may be."""
        return self.signal is not None and (self.signal.ailing or self.signal.withheld)

    @property
    def armed(self) -> bool:
        return self._states.armed

    @property
    def seen_s(self) -> float:
        """Of normal operation, by which it knows how the machine scores; of several states the least known counts."""
        return min((judge.seen_s for judge in self._states.judges if judge.armed), default=0.0)

    @property
    def sole(self) -> bool:
        """Whether the machine has one operating state only, as far as is known."""
        return self._states.tracker is None

    @property
    def commissioned(self) -> bool:
        """Whether it knows how far normal has crept."""
        return any(judge.commissioned for judge in self._states.judges)

    @property
    def learning(self) -> tuple[int, int]:
        """Rows still missing, rows needed; (0, n) once armed."""
        return self._states.learning

    def current_baseline(self) -> Baseline | None:
        """The baseline with the streaming state as it stands now; None while learning."""
        if self.baseline is None:
            return None
        parts = {**self._states.parts(), **self._usual()}
        return Baseline(parts=parts, origin=self.baseline.origin, detector=self.baseline.detector)

    def status(self) -> Status:
        """A snapshot for the state topic."""
        return Status(
            health="armed" if self.armed else "learning",
            level=self.level,
            alert=self.alert,
            needs=self._states.needs(self._unit),
            rows=self.rows,
            windows=self.windows,
            missing=self._windower.missing,
            restarts=self._windower.restarts,
            notes=self.baseline.origin.notes if self.baseline is not None else (),
            operating=self._states.name,
            states=self._states.states(),
            faults=() if self.signal is None else tuple(self.signal.faults),
        )

    def remember(self, device: str, memory_bytes: int | None = None) -> None:
        """Name the evidence in events, as of this device; keep it too, where there is memory for it."""
        self._teller.device = device
        if self._scene is not None and memory_bytes is not None:
            self.witness = witness_of(self._scene, memory_bytes)
            self._diary = Diary(len(self.features.columns), memory_bytes)

    def evidence(self, *, last: bool = False) -> list[Evidence]:
        """What is to be written now; given once. With `last` the stream has ended, and nothing waits for more."""
        if self.witness is None or self._diary is None:
            return []
        if last:
            self.witness.finish()
            self._diary.finish()
        ready, self.witness.ready = self.witness.ready, []
        return ready + self._diary.ready()
