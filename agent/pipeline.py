"""The Monitor: Reading -> Window -> level -> Alert. No threads, no clock, no input or output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge

import numpy as np

from agent.alerts import Alert, Event, Happening, Model, Moved, Plan, Rule, advance, happened, interrupted
from models.baseline import Baseline, Origin
from models.detector import Bank, Head, Job, LearningError, Shift
from models.features import Features
from models.learning import Learner
from models.level import LevelBank
from models.mahalanobis import Mahalanobis, MahalanobisBank
from models.session import digest
from models.window import Array, Windower
from sensors.base import Reading

MOST_MOVED = 8  # features named in an event
LEAST_SHARE, JUMP_SHARE = 0.05, 0.5  # of the score, for a feature to be named
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
        unit: str = "rows",
        belongs_to: Mapping[str, str] | None = None,
        baseline: Baseline | None = None,
        seq: int = 0,
    ) -> None:
        """`columns` of the sensor's channels (None: all), `learn_rows` rows of features to learn from,
        called `unit` in messages; `belongs_to` is the configuration that a baseline belongs to, in words;
        `seq` the number of the last event sent. Raises LearningError when the baseline does not fit."""
        self.name, self.sensor, self.rule, self.plan = name, sensor, rule, plan
        self.belongs_to = dict(belongs_to or {})
        self._columns = None if columns is None else np.asarray(columns)
        self._windower, self._features, self._head = windower, features, head
        self._learner: Learner | None = Learner(learn_rows, len(features.columns))
        self._unit = unit
        self.baseline: Baseline | None = None
        self.unsaved = False  # a baseline was learned and nobody has saved it yet
        self.alert = Alert()
        self.level = math.nan
        self.seq = seq
        self.rows = self.windows = 0
        self._refusal = ""
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
        levels = self._head.calibration.apply(job.raw)
        alert, rule = self.alert, self.rule
        if job.fresh:
            self.alert = alert = interrupted(alert)
        if alert.state == "inactive" and max(levels) < rule.on_level:  # the road usually ends here
            self.level = levels[-1]
            return []
        events = []
        for i, level in enumerate(levels):
            after = advance(alert, rule, level, job.times[i])
            kind = happened(alert, after)
            alert = after
            if kind is not None:
                events.append(self._event(kind, alert, level, job, i))
        self.alert, self.level = alert, level
        return events

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
        self.arm(Baseline(learned=learned, origin=origin, detector=self._head.detector))
        self.unsaved = True

    def arm(self, baseline: Baseline) -> None:
        """Judge by this baseline from now on. Raises LearningError when it does not fit."""
        self._head.arm(baseline.learned)
        if self._head.bank is not None:
            self._head.seat = self._head.bank.seat(self._head)
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
        return Baseline(
            learned=self._head.learned(), origin=self.baseline.origin, detector=self.baseline.detector
        )

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


class Pipeline:
    """All monitors; what is due is scored in one call per graph."""

    def __init__(self, monitors: Iterable[Monitor]) -> None:
        self.monitors: list[Monitor] = []
        self._of_sensor: dict[str, list[Monitor]] = {}
        self._banks: dict[tuple[str, int], Bank] = {}
        for monitor in monitors:
            self.add(monitor)

    def add(self, monitor: Monitor) -> None:
        """Take a monitor in; those with one graph and width share a bank."""
        head = monitor.head
        key = (head.detector, head.width if isinstance(head, Mahalanobis) else 0)
        if key not in self._banks:
            self._banks[key] = MahalanobisBank(head.width) if isinstance(head, Mahalanobis) else LevelBank()
        monitor.join(self._banks[key])
        self.monitors.append(monitor)
        self._of_sensor.setdefault(monitor.sensor, []).append(monitor)

    def push(self, readings: Sequence[Reading]) -> list[Event]:
        """The events these readings bring. Several at a time let monitors of several sensors share a call."""
        taken = [
            (monitor, job)
            for reading in readings
            for monitor in self._of_sensor.get(reading.sensor, ())
            for job in monitor.take(reading)
        ]
        if len(taken) == 1:  # as usual, live
            monitor, job = taken[0]
            self._score([job])
            return monitor.settle(job)
        events: list[Event] = []
        while taken:
            now, later = list[tuple[Monitor, Job]](), list[tuple[Monitor, Job]]()
            seen: set[Monitor] = set()  # a bank has one seat for each
            for monitor, job in taken:
                (later if monitor in seen else now).append((monitor, job))
                seen.add(monitor)
            self._score([job for _, job in now])
            for monitor, job in now:
                events += monitor.settle(job)
            taken = later
        return self._in_order(events) if len(events) > 1 else events

    def _in_order(self, events: Sequence[Event]) -> list[Event]:
        """By time, at one time by the monitors' order, of one monitor as they happened: however the stream was cut."""
        of: dict[str, list[Event]] = {monitor.name: [] for monitor in self.monitors}
        for event in events:
            of[event.monitor].append(event)
        return list(merge(*of.values(), key=lambda event: event.time))

    def _score(self, jobs: Sequence[Job]) -> None:
        if len(jobs) == 1:
            bank = jobs[0].head.bank
            assert bank is not None
            bank.score(jobs)
            return
        groups: dict[int, list[Job]] = {}
        for job in jobs:
            groups.setdefault(id(job.head.bank), []).append(job)
        for group in groups.values():
            bank = group[0].head.bank
            assert bank is not None
            bank.score(group)
