"""One head with its edge: what it learned, where the budget puts the edge of normal, and what goes on being learned of
normal while it judges. No threads, no clock, no input or output."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.account import account, learned_scene, scores, shares
from agent.alerts import Rule
from agent.budget import Budget
from agent.evidence import Account, Measure, Scene
from models.baseline import SPREAD, Origin
from models.calibration import Calibration
from models.detector import Bank, Follower, Glancer, Head, Job, Learned, LearningError, Shift, Watched
from models.drift import Crept, Drift, DriftPlan
from models.features import Feature
from models.learning import Learner, Lesson
from models.tail import LASTING, LONGEST, Growth, Passed, Peaks, Tail, fit
from models.window import Array

GROWTH = 0.25  # by so much more normal operation must have been seen before the edge is moved anew
LEAST_GROWTH = 100  # rows


class Judge:
    """What a monitor judges by: of all it sees, or of one operating state."""

    def __init__(
        self,
        head: Head,
        *,
        columns: Sequence[Feature],
        learn_rows: int,
        budget: Budget,
        rule: Rule,
        hop_s: float,
        bridge: int = 0,
        drift: DriftPlan = DriftPlan(),  # noqa: B008  (frozen)
    ) -> None:
        """`learn_rows` rows of features `columns` to learn from, `hop_s` between two scores; `rule` as it was asked
        for, to which the budget adds where an alert clears unless it says so; `drift` is how far normal may creep."""
        self.head, self.budget, self._rule, self._hop_s = head, budget, rule, hop_s
        self.rule = rule  # as the budget has it
        self._columns = columns
        self.learner: Learner | None = Learner(learn_rows, len(columns), head.choosy, bridge)
        self.origin: Origin | None = None  # of what was learned; None while learning
        self.refusal = ""  # why the latest lesson could not be learned from
        self.aim = budget.aim(None)
        self.rows_to_aim = LEAST_GROWTH  # rows to the next look at where the edge should be
        self.divide: Callable[[Learner], bool] | None = (
            None  # told of a lesson first; True: it has dealt with it
        )
        self._broken = True  # no row has been scored since the stream broke
        self._reference = Calibration(())
        self._peaks = Peaks(math.inf, 1, 1)
        self._seen_peaks: list[float] = []  # of normal operation, since the edge was put where it is
        self._seen_rows = 0
        self._drift = _drift_of(head, hop_s, drift)
        # Looked at once: to ask a head what it is costs more than to score a row.
        self._watched: Watched | None = head if isinstance(head, Watched) else None
        self._follower: Follower | None = (
            head if self._drift is not None and isinstance(head, Follower) else None
        )
        self._glancer: Glancer | None = head if isinstance(head, Glancer) else None
        self._skipped = 0  # rows that nobody looked at, before those that come next
        self._uncut = 0  # rows to the next at which the head may be moved, of those not scored yet
        self.crept = 0.0  # how far normal has crept; 1.0 is the limit

    # Learning.

    @property
    def armed(self) -> bool:
        return self.origin is not None

    def study(self, times: list[float], rows: Array, fresh: bool) -> int:
        """Feed the learner; how many rows it took, all unless that completed what it needs. Cut at the very row that
        does, so that what is learned does not depend on how the stream was cut."""
        used = 0
        while self.learner is not None and used < len(times):
            few = slice(used, used + max(1, self.learner.missing))
            self.learner.add(times[few], rows[few], fresh)
            fresh = False
            used += len(times[few])
            if not self.learner.missing:
                self._finish(self.learner)
        return used

    def teach(self, pieces: Sequence[tuple[list[float], Array, bool]]) -> None:
        """All of these times and rows, fresh or not, and learn from them if they are enough."""
        if self.learner is not None:
            for times, rows, fresh in pieces:
                self.learner.add(times, rows, fresh)
            if pieces and not self.learner.missing:
                self._finish(self.learner)

    @property
    def visits(self) -> bool:
        """Whether what it learns from are visits to an operating state."""
        return self.learner is not None and self.learner.visits

    @visits.setter
    def visits(self, visits: bool) -> None:
        if self.learner is not None:
            self.learner.visits = visits

    def _finish(self, learner: Learner) -> None:
        if self.divide is not None and self.divide(learner):
            self.learner = None
            return
        lesson = learner.lesson()
        if lesson is None:
            return
        try:
            learned = self.head.learn(lesson.times, lesson.rows, lesson.starts)
        except LearningError as error:
            self.refusal = str(error)
            self.learner = Learner(
                learner.needed, learner.width, learner.choosy, learner.bridge, learner.visits
            )
            return
        spread = np.quantile(lesson.rows, (0.05, 0.5, 0.95), axis=0).astype(np.float32)
        learned = replace(learned, arrays={**learned.arrays, SPREAD: spread})
        if learned.normal is not None:
            tail = fit(learned.normal.stretches(), self._hop_s, *self._delays, learned.normal.prior)
            learned = replace(learned, tail=tail, normal=None)
        names = [self._columns[i].name for i in lesson.still]
        notes = learned.notes
        if names:
            notes += (f"{', '.join(names)} never moved while learning: {self.head.still}",)
        origin = Origin(
            rows=len(lesson.rows),
            first=float(lesson.times[0]),
            last=float(lesson.times[-1]),
            stuck=lesson.stuck,
            strays=lesson.strays,
            notes=notes,
        )
        self.arm(learned, origin, lesson)

    def arm(self, learned: Learned, origin: Origin, lesson: Lesson | None = None) -> None:
        """Judge by this from now on; `lesson` where it was just learned. Raises LearningError when it does not fit."""
        self.head.arm(learned)
        self._commission(learned, lesson)
        if self.head.bank is not None:
            self.head.seat = self.head.bank.seat(self.head)
        self._reference = learned.calibration
        self._peaks = Peaks(math.inf if learned.tail is None else learned.tail.threshold, *self._delays)
        self._point(learned.tail, learned.growth)
        self.origin, self.learner, self.refusal = origin, None, ""

    def join(self, bank: Bank) -> None:
        """Be scored by this bank from now on."""
        self.head.bank = bank
        if self.armed:
            self.head.seat = bank.seat(self.head)

    def hand(self, times: list[float], rows: Array, fresh: bool, skipped: int = 0) -> list[Job]:
        """What these rows give its bank to score, in pieces between which the head may be moved; nothing while too few
        have come since the stream broke. Before them `skipped` were not looked at: averages begin anew, while an alert
        goes on."""
        self._broken |= fresh
        self._skipped += skipped
        job = self.head.take(times, rows, fresh or skipped > 0)
        if job is None:
            return []
        job.fresh, self._broken = self._broken, False
        if self._skipped:  # and the rows of which the first new average was made give no level of their own
            job.skipped, self._skipped = self._skipped + len(rows) - len(job.times), 0
        if job.skipped and self._drift is not None:
            self._uncut -= min(job.skipped, self._uncut - 1)
        return self._cut(job)

    def skip(self, job: Job) -> None:
        """What was not looked at before this job's rows."""
        if job.skipped and self._drift is not None:
            self._drift.skip(job.skipped)

    @property
    def seen_s(self) -> float:
        """Of normal operation, by which it knows how the machine scores."""
        tail = self.aim.tail
        return math.inf if tail is None else tail.seconds + self._seen_rows * self._hop_s

    def glance(self, level: Array) -> float | None:
        """What it makes of a mean of rows `(columns,)`, about; None where it cannot say."""
        return self._glancer.glance(level) if self._glancer is not None and self.armed else None

    def learned(self) -> Learned:
        """What it judges by, with what streams on as it stands now."""
        growth = Growth(self._seen_rows, tuple(self._seen_peaks), self.rows_to_aim)
        learned = self.head.learned()
        if self._drift is not None:
            learned = replace(learned, arrays={**learned.arrays, **self._drift.arrays()})
        return replace(learned, tail=self.aim.tail, growth=growth)

    # Drift.

    def _commission(self, learned: Learned, lesson: Lesson | None) -> None:
        """Follow the machine from a lesson, or go on from where a baseline has it."""
        drift, head = self._drift, self._watched
        if drift is None or head is None:
            return
        mean, deviation = head.usual()
        self.crept = 0.0
        if lesson is None:
            drift.restore(mean, deviation, learned.arrays)
        else:
            periods = np.diff(lesson.times)
            every = max(1, round(self._hop_s / float(np.median(periods)))) if len(periods) else 1
            drift.begin(mean, deviation, lesson.rows[::every], float(lesson.times[-1]))
        self._uncut = drift.left
        self._follow(drift)

    def _follow(self, drift: Drift) -> None:
        if self._follower is not None:
            self._follower.follow(drift.offset())

    @property
    def commissioned(self) -> bool:
        """Whether it is known from where normal would have crept."""
        return self._drift is not None and self._drift.commissioned

    @property
    def drift_limit(self) -> float:
        """Deviations of normal movement; 0 where none is set."""
        return 0.0 if self._drift is None else self._drift.limit

    def _cut(self, job: Job) -> list[Job]:
        """A job that is to be scored, in pieces that end where the head may be moved: at counted rows."""
        count, first = len(job.times), 0
        if self._follower is None or self._drift is None or count < self._uncut:
            self._uncut -= count
            return [job]
        pieces = []
        while first < count:
            last = min(count, first + self._uncut)
            pieces.append(job.part(first, last))
            self._uncut -= last - first
            if not self._uncut:
                self._uncut = self._drift.block
            first = last
        return pieces

    @property
    def rows_to_turn(self) -> int:
        """Rows to the next at which the edge, or the normal that is followed, may be moved."""
        return self.rows_to_aim if self._drift is None else min(self.rows_to_aim, self._drift.left)

    def passed(self, job: Job, first: int, last: int, normal: NDArray[np.bool_] | None) -> Crept | None:
        """Rows `first` to `last` of a job are judged, at most `rows_to_turn`; `normal` says which of them were, None
        that all. How far normal has crept, where there is news of that."""
        self.rows_to_aim -= last - first
        if not self.rows_to_aim:
            self.take_aim()
        drift, head = self._drift, self._watched
        if drift is None or head is None:
            return None
        drift.push(head.seen(job)[first:last], normal)
        if drift.left:
            return None
        crept = drift.turn(job.times[last - 1])
        self._follow(drift)
        if crept is None:
            return None
        if self._follower is not None:
            level, shares = self._follower.reach(crept.value - crept.normal)
            if level > crept.level:  # the day's mean would have been so strange at commissioning
                crept = replace(crept, level=level, together=crept.level < 1, shares=shares)
        self.crept = crept.level
        return crept

    # What to say of a level.

    def shares(
        self, job: Job, index: int, shifts: Sequence[Shift], measures: Sequence[Measure]
    ) -> list[float]:
        """What the columns of `shifts` make of the score that made the level at row `index`; together 1."""
        return shares(shifts, scores(job, index, self._reference.edges, measures)[0])

    def account(self, job: Job, index: int, scene: Scene) -> tuple[Account, Scene]:
        """How the level at row `index` came about, and the scene with what was learned."""
        told = account(
            scores(job, index, self._reference.edges, scene.measures),
            self.head.explain(job, index),
            self._columns,
            edge=self.aim.edge,
            words=self.aim.words(),
        )
        return told, self.scene(scene)

    def scene(self, scene: Scene) -> Scene:
        """The scene with what was learned."""
        assert self.origin is not None
        return learned_scene(scene, self.origin, self.head.learned())

    # The budget of false alarms.

    def watch(self, levels: Sequence[float], top: float, thinned: bool = False) -> None:
        """Go on learning how normal operation scores: its events, in units of the reference edge. `top` is the highest
        of the levels. Nothing here asks for the alert, which one budget raises and another does not. From what is
        `thinned` nothing is learned: it was looked at because it was strange, or so seldom that events are cut."""
        if thinned:
            self._peaks.interrupted()
            return
        peaks, edge = self._peaks, self.aim.edge
        if top * edge <= peaks.threshold:
            self._grow(peaks.quiet(len(levels)))
        elif len(levels) == 1:
            self._grow(peaks.push_one(top * edge))
        else:
            self._grow(peaks.push(np.asarray(levels) * edge))

    def interrupted(self) -> None:
        """The stream broke: what was under way has ended."""
        self._grow(self._peaks.interrupted())

    def _grow(self, passed: Passed) -> None:
        if self.crept < 1.0:  # where it has crept to is no normal
            self._seen_rows += passed.rows
            self._seen_peaks += passed.peaks

    def take_aim(self) -> None:
        """Put the edge where the budget wants it, with all that was seen of normal operation by now."""
        self._point(self.tail())

    def _point(self, tail: Tail | None, growth: Growth | None = None) -> None:
        """Put the edge where the budget wants it with this tail."""
        self.aim = self.budget.aim(tail)
        self.head.calibration = self._reference.at(self.aim.edge)
        if not self._rule.clear_level:  # nobody has said where an alert clears
            clear = min(self._rule.off_level, self.aim.clear / self.aim.edge)
            self.rule = replace(self._rule, clear_level=clear)
        if growth is None:
            seen = 0.0 if tail is None else tail.seconds / self._hop_s
            growth = Growth(wait=max(LEAST_GROWTH, int(GROWTH * seen)))
        if tail is not None:
            self._peaks.cap = tail.cap
            self._peaks.longest = max(LONGEST * self._peaks.gap, LASTING * tail.longest)
        self._seen_rows, self._seen_peaks, self.rows_to_aim = growth.rows, list(growth.peaks), growth.wait

    def tail(self) -> Tail | None:
        """With all that was seen by now."""
        tail = self.aim.tail
        return None if tail is None else tail.seen(self._seen_peaks, self._seen_rows * self._hop_s)

    @property
    def _delays(self) -> tuple[int, int]:
        """Rows above the edge that raise an alert, and rows below that clear it."""
        hop_s, rule = self._hop_s, self._rule
        return int(rule.on_delay_s / hop_s + 1e-9) + 1, max(1, math.ceil(rule.off_delay_s / hop_s - 1e-9))


def _drift_of(head: Head, hop_s: float, plan: DriftPlan) -> Drift | None:
    return Drift(head.width, hop_s, plan) if plan.limit > 0 and isinstance(head, Watched) else None
