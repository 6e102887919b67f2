"""One monitor: Reading -> Window -> level -> Alert. No threads, no clock, no input or output."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

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
from agent.budget import Budget
from models.baseline import Baseline, Origin
from models.calibration import Calibration
from models.detector import Bank, Head, Job, LearningError, Shift
from models.features import Features
from models.learning import Learner
from models.session import digest
from models.tail import Peaks, Tail, fit
from models.window import Array, Windower
from sensors.base import Reading

MOST_MOVED = 8  # features named in an event
LEAST_SHARE, JUMP_SHARE = 0.05, 0.5  # of the score, for a feature to be named
FAULT_SIGMA = 6.0  # a fault frequency this far above normal names the fault
GROWTH = 0.25  # by so much more normal operation must have been seen before the edge is moved anew
LEAST_GROWTH = 100  # rows


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
        unit: str = "rows",
        belongs_to: Mapping[str, str] | None = None,
        baseline: Baseline | None = None,
        seq: int = 0,
    ) -> None:
        """`columns` of the sensor's channels (None: all), `learn_rows` rows of features to learn from,
        called `unit` in messages; `budget` says how many false alarms it may give; `belongs_to` is the
        configuration that a baseline belongs to, in words; `seq` the number of the last event sent. Raises
        LearningError when the baseline does not fit."""
        self.name, self.sensor, self._rule, self.plan = name, sensor, rule, plan
        self.rule = rule  # as the budget has it
        self.belongs_to = dict(belongs_to or {})
        self._columns = None if columns is None else np.asarray(columns)
        self._windower, self._features, self._head = windower, features, head
        self._learner: Learner | None = Learner(learn_rows, len(features.columns))
        self._unit = unit
        self.baseline: Baseline | None = None
        self.unsaved = False  # a baseline was learned and nobody has saved it yet
        self.budget = budget
        self.aim = budget.aim(None)
        self.alerts: dict[About, Alert] = {about: Alert() for about in ABOUT}
        self.listener: Callable[[Job, Sequence[float]], None] | None = None  # hears of all that is scored
        self.level = math.nan
        self.seq = seq
        self.rows = self.windows = 0
        self._refusal = ""
        self._reference = Calibration(())
        self._peaks = Peaks(math.inf, 1, 1)
        self._seen_peaks: list[float] = []  # of normal operation, since the edge was put where it is
        self._seen_rows = 0
        self._aim_in = LEAST_GROWTH  # rows to the next look at where the edge should be
        self._fresh = self._broken = True
        self._model: Model | None = None
        if baseline is not None:
            self.arm(baseline)

    # The two halves of the road: up to the session, and after it.

    def take(self, reading: Reading) -> list[Job]:
        """What this reading gives the bank to score; learning happens here."""
        values = reading.values if self._columns is None else reading.values[:, self._columns]
        self.rows += len(values)
        jobs = []
        for windows in self._windower.push(reading.time, reading.rate_hz, values):
            self.windows += len(windows.times)
            times, rows = windows.times, self._features.extract(windows)
            if windows.fresh:
                self._fresh = self._broken = True
            if self._learner is not None:
                used = self._study(times, rows)
                if used == len(times):  # as always while it goes on learning
                    continue
                times, rows = times[used:], rows[used:]
            job = self._head.take(times, rows, self._fresh)
            self._fresh = False
            if job is not None:
                job.fresh, self._broken = self._broken, False
                jobs.append(job)
        return jobs

    def settle(self, job: Job) -> list[Event]:
        """The events that a scored job brings, in the order of time."""
        if job.fresh:
            self.alert = interrupted(self.alert)
            self._grow(self._peaks.interrupted(), 0)
        count, first, events = len(job.times), 0, list[Event]()
        while first < count:  # usually once: the edge moves at counted rows of the stream, and seldom
            last = min(count, first + self._aim_in)
            events += self._judge(job, first, last)
            self._aim_in -= last - first
            first = last
            if not self._aim_in:
                self._take_aim()
        return events

    def _judge(self, job: Job, first: int, last: int) -> list[Event]:
        """Rows `first` to `last` of a job, between which the edge stands still."""
        whole = last - first == len(job.times)
        levels = self._head.calibration.apply(job.raw if whole else job.raw[:, first:last])
        top = max(levels)
        self._watch_tail(levels, top)
        if self.listener is not None:
            self.listener(job if whole else job.part(first, last), levels)
        alert, rule = self.alerts["machine"], self.rule
        self.level = levels[-1]
        if alert.state == "inactive" and top < rule.on_level:  # the road usually ends here
            return []
        events = []
        for i, level in enumerate(levels, first):
            after = advance(alert, rule, level, job.times[i])
            kind = happened(alert, after)
            alert = after
            if kind is not None:
                events.append(self._event(kind, alert, level, job, i))
        self.alert = alert
        return events

    # The budget of false alarms.

    def _watch_tail(self, levels: Sequence[float], top: float) -> None:
        """Go on learning how normal operation scores: its events, in units of the reference edge."""
        peaks, edge = self._peaks, self.aim.edge
        if top * edge <= peaks.threshold:
            self._grow(peaks.quiet(len(levels)), len(levels))
            return
        scores = np.asarray(levels) * edge
        assert self.aim.tail is not None
        self._grow(peaks.push(scores), int(np.count_nonzero(scores <= self.aim.tail.cap)))

    def _grow(self, ended: list[float], rows: int) -> None:
        self._seen_rows += rows
        self._seen_peaks += ended

    def _take_aim(self) -> None:
        """Put the edge where the budget wants it, with all that was seen of normal operation by now."""
        tail = self._tail()
        self._seen_rows, self._seen_peaks = 0, []
        self.aim = self.budget.aim(tail)
        self._head.calibration = self._reference.at(self.aim.edge)
        self.rule = replace(self._rule, clear_level=min(self._rule.off_level, self.aim.clear / self.aim.edge))
        seen = 0.0 if tail is None else tail.seconds / self.plan.hop_s
        self._aim_in = max(LEAST_GROWTH, int(GROWTH * seen))

    def _tail(self) -> Tail | None:
        """With all that was seen by now."""
        tail = self.aim.tail
        return None if tail is None else tail.seen(self._seen_peaks, self._seen_rows * self.plan.hop_s)

    @property
    def _delays(self) -> tuple[int, int]:
        """Rows above the edge that raise an alert, and rows below that clear it."""
        hop_s, rule = self.plan.hop_s, self._rule
        return int(rule.on_delay_s / hop_s + 1e-9) + 1, max(1, math.ceil(rule.off_delay_s / hop_s - 1e-9))

    @property
    def alert(self) -> Alert:
        """The machine's."""
        return self.alerts["machine"]

    @alert.setter
    def alert(self, alert: Alert) -> None:
        self.alerts["machine"] = alert

    # Learning.

    def _study(self, times: list[float], rows: Array) -> int:
        """Feed the learner; how many rows it took. Cut at the very row that completes it, so that what is
        learned does not depend on how the stream was cut."""
        used = 0
        while self._learner is not None and used < len(times):
            few = slice(used, used + max(1, self._learner.missing))
            self._learner.add(times[few], rows[few], self._fresh)
            self._fresh = False
            used += len(times[few])
            if not self._learner.missing:
                self._finish(self._learner)
        return used

    def _finish(self, learner: Learner) -> None:
        lesson = learner.lesson()
        if lesson is None:
            return
        try:
            learned = self._head.learn(lesson.times, lesson.rows, lesson.starts)
        except LearningError as error:
            self._refusal = str(error)
            self._learner = Learner(learner.needed, learner.width)
            return
        if learned.normal is not None:
            tail = fit(learned.normal.stretches(), self.plan.hop_s, *self._delays, learned.normal.prior)
            learned = replace(learned, tail=tail, normal=None)
        names = [self._features.columns[i].name for i in lesson.still]
        notes = learned.notes
        if names:
            notes += (f"{', '.join(names)} never moved while learning: {self._head.still}",)
        origin = Origin(
            rows=len(lesson.rows),
            first=float(lesson.times[0]),
            last=float(lesson.times[-1]),
            stuck=lesson.stuck,
            strays=lesson.strays,
            notes=notes,
        )
        self.arm(Baseline(parts={"": learned}, origin=origin, detector=self._head.detector))
        self.unsaved = True

    def arm(self, baseline: Baseline) -> None:
        """Judge by this baseline from now on. Raises LearningError when it does not fit."""
        self._head.arm(baseline.learned)
        if self._head.bank is not None:
            self._head.seat = self._head.bank.seat(self._head)
        tail = baseline.learned.tail
        self.aim, self._reference = self.budget.aim(tail), baseline.learned.calibration
        self._peaks = Peaks(math.inf if tail is None else tail.threshold, *self._delays)
        self._take_aim()
        graph = self._head.graph
        self.baseline, self._learner, self._refusal, self._fresh = baseline, None, "", True
        self._model = Model(self._head.detector, graph, baseline.digest(digest(graph)))

    def join(self, bank: Bank) -> None:
        """Be scored by this bank from now on."""
        self._head.bank = bank
        if self.baseline is not None:
            self._head.seat = bank.seat(self._head)

    @property
    def model(self) -> Model | None:
        """What scores; None while learning."""
        return self._model

    @property
    def head(self) -> Head:
        """The detector's part of this monitor."""
        return self._head

    # What others see.

    @property
    def absent(self) -> tuple[str, ...]:
        """Channels that were no numbers in the newest row: why it could not be judged."""
        names = list(dict.fromkeys(column.channel for column in self._features.columns))
        return tuple(names[i] for i in self._windower.absent)

    @property
    def armed(self) -> bool:
        return self._learner is None

    @property
    def learning(self) -> tuple[int, int]:
        """Rows still missing, rows needed; (0, n) once armed."""
        return (self._learner.missing, self._learner.needed) if self._learner is not None else (0, 0)

    def current_baseline(self) -> Baseline | None:
        """The baseline with the streaming state as it stands now; None while learning."""
        if self.baseline is None:
            return None
        learned = replace(self._head.learned(), tail=self._tail())
        return Baseline(parts={"": learned}, origin=self.baseline.origin, detector=self.baseline.detector)

    def status(self) -> Status:
        """A snapshot for the state topic."""
        needs = ""
        if self._learner is not None:
            needs = f"needs {self._learner.missing} more {self._unit}"
            if self._refusal:
                needs += f" (last try: {self._refusal})"
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
        )

    def _event(self, kind: Happening, alert: Alert, level: float, job: Job, index: int) -> Event:
        self.seq += 1
        moved: tuple[Moved, ...] = ()
        if kind != "cleared":
            moved = self._moved(self._head.explain(job, index))
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
        )

    def _moved(self, shifts: Sequence[Shift]) -> tuple[Moved, ...]:
        """The columns that matter, the first the most; a fault that stands out is named before its symptoms."""
        columns = self._features.columns
        kept = [shift for shift in shifts if shift.share >= (JUMP_SHARE if shift.jump else LEAST_SHARE)]
        faults = [shift for shift in shifts if columns[shift.column].fault and shift.sigma >= FAULT_SIGMA]
        if faults:
            named = max(faults, key=lambda shift: shift.sigma)
            kept = [named, *(shift for shift in kept if shift is not named)]
        moved = []
        for shift in kept[:MOST_MOVED]:
            column, value, normal = columns[shift.column], shift.value, shift.normal
            if column.logarithm:
                value, normal = math.exp(value), math.exp(normal)
            moved.append(Moved(column.name, column.channel, shift.sigma, value, normal, column.unit))
        return tuple(moved)
