"""What happened to one monitor's alerts as events, with what there is to say of each. No threads, no clock, no input or
output."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agent.account import PLAIN
from agent.alerts import About, Alert, Event, Happening, Model, Moved, Plan
from agent.creeping import crept_account, crept_far, crept_scene, in_words
from agent.diagnosis import NOTHING, Diagnosis
from agent.evidence import Evidence, Scene, evidence_name
from agent.judge import Judge
from models.detector import Job, Shift
from models.drift import Crept
from models.features import Feature

MOST_MOVED = 8  # features named in an event
LEAST_SHARE, JUMP_SHARE = 0.05, 0.5  # of the score, for a feature to be named
FAULT_SIGMA = 6.0  # a fault frequency this far above normal names the fault


class Teller:
    """Makes and numbers the events of one monitor."""

    def __init__(
        self,
        monitor: str,
        sensor: str,
        plan: Plan,
        columns: Sequence[Feature],
        scene: Scene | None,
        diagnosis: Diagnosis | None,
        seq: int,
    ) -> None:
        """`scene` is what to say with evidence (None: there is none), `diagnosis` names faults of vibration, `seq` is
        the number of the last event."""
        self._monitor, self._sensor = monitor, sensor
        self.plan = plan  # by which it is judged now
        self._columns, self._scene, self._diagnosis = columns, scene, diagnosis
        self.seq = seq  # of the last event
        self.model: Model | None = None  # what scores; None while learning
        self.device = ""

    def number(self) -> int:
        """The next event's."""
        self.seq += 1
        return self.seq

    def plain(
        self, about: About, kind: Happening, alert: Alert, time: float, note: str, fault: str = ""
    ) -> Event:
        """One that no score has brought."""
        return Event(
            kind=kind,
            monitor=self._monitor,
            time=time,
            seq=self.number(),
            alert=alert,
            level=alert.level,
            moved=(),
            model=None,
            plan=self.plan,
            sensor=self._sensor,
            about=about,
            note=note,
            fault=fault,
        )

    def crept(
        self, kind: Happening, alert: Alert, level: float, crept: Crept, time: float, judge: Judge
    ) -> Event:
        """Normal has crept, or is back."""
        told = kind != "cleared"
        return Event(
            kind=kind,
            monitor=self._monitor,
            time=time,
            seq=self.number(),
            alert=alert,
            level=level,
            moved=crept_far(crept, self._columns) if told else (),
            model=self.model,
            plan=self.plan,
            sensor=self._sensor,
            about="creeping",
            note=in_words(crept, judge.drift_limit) if told else "",
            evidence=evidence_name(self.device, self._monitor, "creeping", kind, alert, time),
        )

    def scored(
        self,
        kind: Happening,
        alert: Alert,
        level: float,
        judge: Judge,
        job: Job,
        index: int,
        operating: str,
    ) -> Event:
        """About the machine: what `judge` made of row `index` of a scored job."""
        time, told = job.times[index], kind != "cleared"
        moved: tuple[Moved, ...] = ()
        if told:
            shifts = job.head.explain(job, index)
            measures = self._scene.measures if self._scene is not None else PLAIN
            moved = self._moved(shifts, judge.shares(job, index, shifts, measures))
        found = NOTHING if self._diagnosis is None or kind == "flooded" else self._diagnosis.find(time)
        return Event(
            kind=kind,
            monitor=self._monitor,
            time=time,
            seq=self.number(),
            alert=alert,
            level=level,
            moved=moved,
            model=self.model,
            plan=self.plan,
            sensor=self._sensor,
            fault=found.fault if told else "",
            confidence=found.confidence if told else None,
            zone=found.zone,
            diagnosis=found.words if told else "",
            evidence=evidence_name(self.device, self._monitor, "machine", kind, alert, time),
            operating=operating,
        )

    def evidence(self, event: Event, judge: Judge, job: Job, index: int) -> Evidence | None:
        """What to keep for an event; None for one that ends an alert."""
        if event.kind == "cleared" or self._scene is None:
            return None
        account, scene = judge.account(job, index, self._scene)
        return Evidence(event.evidence, event, account, scene)

    def crept_evidence(self, event: Event, judge: Judge, crept: Crept) -> Evidence | None:
        """What to keep for an event about a creep; None for one that ends an alert."""
        if event.kind == "cleared" or self._scene is None:
            return None
        told = crept_account(crept, self._columns, judge.drift_limit)
        return Evidence(event.evidence, event, told, crept_scene(crept, judge.scene(self._scene)))

    def _moved(self, shifts: Sequence[Shift], shares: Sequence[float]) -> tuple[Moved, ...]:
        """The columns that matter, the first the most; a fault that stands out is named before its symptoms."""
        columns = self._columns
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
