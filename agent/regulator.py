"""The governor at work: looks at board and agent every few seconds, decides, and has monitors and inbox obey. Lives in
the pipeline's thread; others may look at `figures` and `problems`, which are never changed, only replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.governor import DECIDE_S, Change, Conversion, Limits, Plans, Telemetry, decide, served
from agent.ladders import GROWN_S, Costs, Ladder, Menu, Point, Work, changed, ladder
from agent.monitor import Monitor
from agent.payloads import Governor

HOUR_S, MINUTE_S = 3600.0, 60.0
MOST_NAMED = 3


class Sense(Protocol):
    """Where figures come from: `senses.Senses`, or a board that does not exist."""

    def look(self, monitors_s: float, overdue_s: float) -> Telemetry: ...


class Source(Protocol):
    """Where samples wait: the inbox."""

    def gather(self, sensor: str, span_s: float) -> None: ...
    def overdue_s(self) -> float: ...
    def waited_s(self, sensor: str) -> float: ...


@dataclass(slots=True)
class Charge:
    """A monitor in the governor's care."""

    monitor: Monitor
    work: Work
    costs: Costs
    ladder: Ladder
    able: tuple[bool, bool, bool] = (
        False,
        False,
        False,
    )  # to wait for what is gathered, to skip windows; it is grown
    delays: deque[tuple[float, float]] = field(default_factory=deque)  # of each minute, with its time
    windows: int = 0  # at the latest look

    @property
    def delay_s(self) -> float:
        """The longest that a sample waited for the whole model in the last hour."""
        return max((delay_s for _, delay_s in self.delays), default=0.0)

    def grow(self) -> bool:
        """Whether it is able to other things than before: nothing but look at everything at once while it learns. A
        machine with several operating states is followed without a break."""
        monitor, cascade = self.monitor, self.monitor.cascade
        skips = cascade is not None and cascade.taught and monitor.sole
        able = monitor.armed, monitor.armed and skips, monitor.seen_s >= GROWN_S
        if able == self.able:
            return False
        self.able = able
        self.ladder = climb(monitor.name, self.work, self.costs, *able)
        return True

    def note(self, now: float, waited_s: float) -> None:
        """How long its samples have waited since the latest look."""
        monitor = self.monitor
        while self.delays and self.delays[0][0] < now - HOUR_S:
            self.delays.popleft()
        if monitor.windows == self.windows:
            return
        self.windows = monitor.windows
        gap_s = self.work.plan.hop_s
        if monitor.cascade is not None:
            gap_s, monitor.cascade.longest_s = max(gap_s, monitor.cascade.longest_s), 0.0
        delay_s = gap_s + waited_s
        if self.delays and now - self.delays[-1][0] < MINUTE_S:
            at, longest_s = self.delays.pop()
            self.delays.append((at, max(longest_s, delay_s)))
        else:
            self.delays.append((now, delay_s))


def climb(monitor: str, work: Work, costs: Costs, gathers: bool, skips: bool, grown: bool) -> Ladder:
    """The ladder of a monitor that is able to so much."""
    most_s = work.most_gathered_s if gathers else 0.0
    return ladder(monitor, replace(work, cascaded=skips, most_gathered_s=most_s, grown=grown), costs)


class Regulator:
    """Keeps what it was given; says what it does and what it costs."""

    def __init__(self, limits: Limits, board: Conversion, sense: Sense, source: Source) -> None:
        self.limits, self.board = limits, board
        self._sense, self._source = sense, source
        self.charges: dict[str, Charge] = {}
        self.plans = Plans(Menu([]))
        self.points: dict[str, Point] = {}
        self._told: dict[str, Point] = {}  # what others know of
        self.latest: Telemetry | None = None
        self.monitors_s = 0.0  # CPU time of all monitors so far
        self._decide_at = -1e300
        self._joules = 0.0
        self._reason = ""
        self.changes = 0
        self.figures, self.problems = self._figures(), tuple[str, ...]()

    def add(self, monitor: Monitor, work: Work, costs: Costs, now: float) -> None:
        """Take a monitor into care."""
        found = climb(monitor.name, work, costs, False, False, False)
        self.charges[monitor.name] = Charge(monitor, work, costs, found)
        self._told[monitor.name] = found.points[-1]
        self._serve(now)

    def spend(self, cpu_s: float) -> None:
        """CPU time that the monitors have just used."""
        self.monitors_s += cpu_s

    def tick(self, now: float) -> Change | None:
        """Decide, if it is time to; what there is to tell."""
        if now < self._decide_at:
            return None
        self._decide_at = now + DECIDE_S
        reason = self._look_around(now)
        self.latest = self._sense.look(self.monitors_s, self._source.overdue_s())
        if self.latest.agent_cores is not None and self.latest.time > self.plans.time > -1e299:
            self._joules += self.latest.agent_cores * (self.latest.time - self.plans.time) * self.board.core_w
        waited: dict[str, float] = {}
        for each in self.charges.values():
            sensor = each.monitor.sensor
            if sensor not in waited:
                waited[sensor] = self._source.waited_s(sensor)
            each.note(now, waited[sensor])
        plans = decide(self.latest, self.plans, self.limits, self.board)
        if plans.dial != self.plans.dial:
            reason = plans.reason
        self.plans = plans
        self._obey()
        told = changed(self._told, self.points)
        if told:
            self._told, self._reason = dict(self.points), reason or "monitors came"
            self.changes += 1
        self.problems = (*plans.broken, *self._late())
        self.figures = self._figures()
        return Change(self._reason, told, plans) if told else None

    def _look_around(self, now: float) -> str:
        """Whether monitors are able to more than before; the reason, where any is."""
        grown = [name for name, each in self.charges.items() if each.grow()]
        if not grown:
            return ""
        self._serve(now)
        return f"learned: {', '.join(grown[:MOST_NAMED])}{', ...' if len(grown) > MOST_NAMED else ''}"

    def _serve(self, now: float) -> None:
        """A menu of what all of them can do now."""
        menu = Menu([each.ladder for each in self.charges.values()])
        self.plans = served(self.plans, menu, self.limits, self.board, now)
        self._obey()

    def _obey(self) -> None:
        points = self._together(self.plans.menu.points(self.plans.dial))
        for name, plan in changed(self.points, points).items():
            monitor = self.charges[name].monitor
            monitor.obey(plan)
            self._source.gather(monitor.sensor, plan.gather_s)
        self.points = points

    def _together(self, points: Mapping[str, Point]) -> dict[str, Point]:
        """What is gathered is gathered for all monitors of a sensor: as long as the most impatient of them waits."""
        gathers: dict[str, float] = {}
        for name, point in points.items():
            sensor = self.charges[name].monitor.sensor
            gathers[sensor] = min(gathers.get(sensor, point.plan.gather_s), point.plan.gather_s)
        found = dict[str, Point]()
        for name, point in points.items():
            gather_s = gathers[self.charges[name].monitor.sensor]
            found[name] = (
                point
                if point.plan.gather_s == gather_s
                else point._replace(plan=replace(point.plan, gather_s=gather_s))
            )
        return found

    # What others see.

    def _late(self) -> list[str]:
        """Monitors whose samples have waited for too long."""
        return [
            f"monitor {name}: a sample has waited {each.delay_s:.3g} s, {each.work.max_delay_s:g} s is its max_delay"
            for name, each in self.charges.items()
            if each.delay_s > each.work.max_delay_s
        ]

    def _figures(self) -> Governor:
        plans, now = self.plans, self.latest
        looks = [each.monitor.cascade.looks for each in self.charges.values() if each.monitor.cascade]
        windows = sum(each.monitor.windows for each in self.charges.values())
        looked = windows - sum(each.windows - each.extracted for each in looks)
        given = {name: getattr(self.limits, name) for name in Limits.__slots__}
        return Governor(
            budgets={name: value for name, value in given.items() if value is not None},
            cores=None if plans.used is None else round(plans.used, 5),
            allowed_cores=round(plans.allowed, 5) if plans.allowed < 1e9 else None,
            power_w=None if plans.used is None else round(plans.used * self.board.core_w, 4),
            temperature_c=None if now is None else now.temperature_c,
            battery_left_s=None if plans.empty_at is None else round(plans.empty_at - plans.time),
            binding=plans.binding,
            reason=self._reason,
            setting=plans.dial,
            settings=plans.menu.highest,
            windows=windows,
            inferences=looked,
            saved=windows - looked,
            joules_per_inference=round(self._joules / looked, 6) if looked else None,
            weights_bytes_per_s=round(sum(point.moved for point in self.points.values())),
            changes=self.changes,
            delay_s={name: round(each.delay_s, 2) for name, each in self.charges.items()},
            max_delay_s={name: each.work.max_delay_s for name, each in self.charges.items()},
        )

    @property
    def short_of_memory(self) -> bool:
        """Whether the agent takes more than its budget of it."""
        limit, now = self.limits.memory_bytes, self.latest
        return limit is not None and now is not None and (now.memory_bytes or 0.0) > limit
