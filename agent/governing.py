"""The governor at work: looks at board and agent every few seconds, decides, and has monitors and inbox obey. Lives in
the pipeline's thread."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.governor import DECIDE_S, Change, Conversion, Limits, Plans, Telemetry, decide, served
from agent.ladders import Costs, Ladder, Menu, Point, Work, changed, ladder
from agent.monitor import Monitor

HOUR_S, MINUTE_S = 3600.0, 60.0


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
    able: tuple[bool, bool] = (False, False)  # to wait for what is gathered, to look at some windows only
    delays: deque[tuple[float, float]] = field(default_factory=deque)  # of each minute, with its time
    windows: int = 0  # at the latest look

    @property
    def delay_s(self) -> float:
        """The longest that a sample waited for the whole model in the last hour."""
        return max((delay_s for _, delay_s in self.delays), default=0.0)

    @property
    def ladder(self) -> Ladder:
        """What it can do by now: nothing but look at everything at once while it learns."""
        gathers, skips = self.able
        work = replace(self.work, cascaded=skips)
        if not gathers:
            work = replace(work, most_gathered_s=0.0)
        return ladder(self.monitor.name, work, self.costs)

    def look(self) -> tuple[bool, bool]:
        """What it is able to now. A machine with several operating states is followed without a break."""
        monitor = self.monitor
        cascade = monitor.cascade
        return monitor.armed, cascade is not None and cascade.taught and monitor.sole and monitor.armed

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


class Governor:
    """Keeps what it was given; says what it does and what it costs."""

    def __init__(self, limits: Limits, board: Conversion, sense: Sense, source: Source) -> None:
        self.limits, self.board = limits, board
        self._sense, self._source = sense, source
        self.charges: dict[str, Charge] = {}
        self.plans = Plans(Menu([]))
        self.points: dict[str, Point] = {}
        self.latest: Telemetry | None = None
        self.monitors_s = 0.0  # CPU time of all monitors so far
        self._decide_at = -1e300
        self._joules = 0.0
        self.changes = 0

    def add(self, monitor: Monitor, work: Work, costs: Costs, now: float) -> None:
        """Take a monitor into care; until it has learned it looks at everything."""
        self.charges[monitor.name] = Charge(monitor, work, costs)
        self._serve(now)

    def spend(self, cpu_s: float) -> None:
        """CPU time that the monitors have just used."""
        self.monitors_s += cpu_s

    def tick(self, now: float) -> Change | None:
        """Decide, if it is time to; what there is to tell."""
        if now < self._decide_at:
            return None
        self._decide_at = now + DECIDE_S
        before = self.points
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
        told = changed(before, self.points)
        if not told:
            return None
        self.changes += 1
        return Change(reason or "costs were measured", told, plans)

    def _look_around(self, now: float) -> str:
        """Whether monitors are able to more than before; the reason, where any is."""
        grown = []
        for each in self.charges.values():
            able = each.look()
            if able != each.able:
                each.able = able
                grown.append(each.monitor.name)
        if not grown:
            return ""
        self._serve(now)
        return f"learned: {', '.join(grown[:3])}{', ...' if len(grown) > 3 else ''}"

    def _serve(self, now: float) -> None:
        """A menu of what all of them can do now."""
        ladders = [each.ladder for each in self.charges.values()]
        self.plans = served(self.plans, Menu(ladders), self.limits, self.board, now)
        self._obey()

    def _obey(self) -> None:
        points = self.plans.menu.points(self.plans.dial)
        for name, plan in changed(self.points, points).items():
            self.charges[name].monitor.obey(plan)
        if points != self.points:
            gathers: dict[str, float] = {}
            for name, point in points.items():
                sensor = self.charges[name].monitor.sensor
                gathers[sensor] = min(gathers.get(sensor, point.plan.gather_s), point.plan.gather_s)
            for sensor, gather_s in gathers.items():
                self._source.gather(sensor, gather_s)
        self.points = points

    # What others see.

    @property
    def figures(self) -> dict[str, object]:
        """For the agent's state."""
        plans, now = self.plans, self.latest
        looks = [each.monitor.cascade.looks for each in self.charges.values() if each.monitor.cascade]
        windows = sum(each.monitor.windows for each in self.charges.values())
        looked = windows - sum(each.windows - each.extracted for each in looks)
        used = plans.used or 0.0
        power_w = used * self.board.core_w
        found: dict[str, object] = {
            "budgets": {
                name: value for name in Limits.__slots__ if (value := getattr(self.limits, name)) is not None
            },
            "cores": round(used, 5),
            "allowed_cores": round(plans.allowed, 5) if plans.allowed < 1e9 else None,
            "power_w": round(power_w, 4),
            "power": "reckoned from processor time",
            "temperature_c": None if now is None else now.temperature_c,
            "battery_left_s": None if plans.empty_at is None else round(plans.empty_at - plans.time),
            "binding": plans.binding,
            "reason": plans.reason,
            "dial": plans.dial,
            "least": plans.menu.lowest,
            "most": plans.menu.highest,
            "windows": windows,
            "inferences": looked,
            "saved": windows - looked,
            "joules_per_inference": round(self._joules / looked, 6) if looked else None,
            "weights_bytes_per_s": round(sum(point.moved for point in self.points.values())),
            "changes": self.changes,
            "delay_s": {name: round(each.delay_s, 2) for name, each in self.charges.items()},
            "max_delay_s": {name: each.work.max_delay_s for name, each in self.charges.items()},
        }
        return found

    @property
    def short_of_memory(self) -> bool:
        """Whether the agent takes more than its budget of it."""
        limit, now = self.limits.memory_bytes, self.latest
        return limit is not None and now is not None and (now.memory_bytes or 0.0) > limit

    @property
    def problems(self) -> tuple[str, ...]:
        """Budgets that cannot be kept."""
        return self.plans.broken
