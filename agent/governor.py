"""The governor: from what is known of board and agent, and the budgets it was given, to how hard all monitors work. No
threads, no clock, no input or output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from agent.alerts import Plan
from agent.ladders import Menu

DECIDE_S = 5.0  # between two decisions
SMOOTH_S = 40.0  # what was used is averaged over about this long
LEARN_S = 60.0  # ... and what a plan costs, measured against reckoned, over this
WIDEST = 5.0  # times as dear or as cheap as reckoned a plan may turn out to be: more is no property of it
SETTLED_S = 20.0  # after a change nothing is learned of costs for so long, nor is it judged by what was used
FILL = 0.9  # of a budget is planned for: what was measured wavers
RISE_FILL = 0.8  # ... and a step up must fit into this much, so that it is not taken back
RISE_S = 600.0  # after a change, and after trouble, so long until the next step up
RISE_MOST = 2.0  # times the CPU in use, at most, in one step up
CUT_S = 30.0  # from one step back from heat to the next: how soon a board's temperature answers
CUT = 0.6  # of what the monitors take is left after a step back
NEAR_C, CLEAR_C = 1.5, 4.0  # below the limit: from here on steps back, and up to here no step up
# No step up where so many changes lie in the last hour: what takes them back again and again may be machines that fail.
MOST_MOVES, HOUR_S = 3, 3600.0
# A step up that heat took back is not tried again before RISE_S, doubled each time up to this.
LONGEST_S = 4 * 3600.0
LATE_S, LATE_LOOKS = 2.0, 2  # the pipeline was behind by so much at so many looks: the hardware cannot do it
HARDWARE = 0.8  # cores that the pipeline may use at all: it is one thread, and must catch up after a pause
CROWDED = 40.0  # % of the last 10 s in which somebody waited for a processor (PSI): others need it more
IDLE = 1e-9
MOST_SAID = 3  # monitors in a sentence


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is known at a moment. None is unknown: neither fine nor zero."""

    time: float  # monotonic seconds
    agent_cores: float | None = None  # that the agent used since the last look, as CPU seconds per second
    monitor_cores: float | None = None  # its monitors' share of that
    overdue_s: float = 0.0  # the pipeline is behind by so much
    temperature_c: float | None = None  # the hottest zone of the processor
    throttled: bool | None = None  # the board runs slower than it could, by its own decision
    under_voltage: bool | None = None
    pressure: float | None = None  # % of the time somebody waited for a processor
    on_battery: bool | None = None
    board_w: float | None = None  # all that the board takes
    battery_wh: float | None = None  # left
    battery_full_wh: float | None = None
    memory_bytes: float | None = None  # the agent's, resident


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of the whole agent; None: none was set."""

    cores: float | None = None  # of CPU, 0.1 is 10 % of one core
    power_w: float | None = None  # of the agent, above the idle board
    temperature_c: float | None = None  # of the board
    battery_s: float | None = None  # that a full battery shall last
    memory_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """From CPU to power and heat, of this board."""

    core_w: float  # watts that one busy core adds
    rise_c: float = 0.0  # kelvin that one more watt makes in the end; 0: unknown


class Trouble(NamedTuple):
    """Why to step back."""

    why: str  # "temperature: 74.6 Cel, 75 Cel at most"
    at_once: bool  # to what is least, rather than a part of the way
    hard: bool = False  # below what keeps every greatest delay, if need be

    @property
    def name(self) -> str:
        return self.why.partition(":")[0]


NO_TROUBLE = Trouble("", at_once=False)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What heat, a weak supply or others on the board leave, in cores as reckoned by the menu; found by trying."""

    cores: float = math.inf
    cut_at: float = -math.inf  # the latest step back
    seen_at: float = -math.inf  # the latest moment of trouble
    raised_at: float = -math.inf  # the latest step up
    wait_s: float = RISE_S  # without trouble, until the next
    trouble: Trouble = NO_TROUBLE  # that brought it


@dataclass(frozen=True, slots=True)
class Plans:
    """How hard the monitors work, and all that the next decision needs to know."""

    menu: Menu
    dial: int = 0  # steps up that are taken; below 0: monitors shed
    reason: str = ""  # of the latest change
    binding: str = ""  # the budget that is tightest now
    allowed: float = math.inf  # cores it leaves for the agent
    broken: tuple[str, ...] = ()  # budgets that cannot be kept, in words
    moved_at: float = -math.inf  # when the menu or the dial changed last
    moves: tuple[float, ...] = ()  # when the dial moved, the latest MOST_MOVES
    time: float = -math.inf  # of the latest decision
    late: int = 0  # looks in a row at which the pipeline was behind
    used: float | None = None  # cores of the agent, smoothed
    working: float = 0.0  # of them those of its monitors
    others_w: float | None = None  # that the board takes without the agent, smoothed
    base: float | None = None  # of them those that no plan changes; None while that was not measured
    scale: float = 1.0  # what a plan takes, over what was reckoned
    ceiling: Ceiling = field(default_factory=Ceiling)
    empty_at: float | None = None  # until then the battery must last; None on mains

    def cores(self, dial: int) -> float:
        """That the whole agent will use at a setting, as measured so far."""
        return (self.base or 0.0) + self.scale * self.menu.cost(dial)

    def fitting(self, cores: float) -> int:
        """The highest setting with which the agent stays within so many cores."""
        return self.menu.fitting((cores - (self.base or 0.0)) / max(self.scale, IDLE))

    @property
    def everything(self) -> float:
        """Cores that the agent would use if all looked at everything at once."""
        return (self.base or 0.0) + self.scale * self.menu.everything

    @property
    def lid(self) -> int:
        """The highest setting under the ceiling."""
        if math.isinf(self.ceiling.cores):
            return self.menu.highest
        return self.menu.fitting(self.ceiling.cores, self.ceiling.trouble.hard)


@dataclass(frozen=True, slots=True)
class Change:
    """The monitors that are to work in another way, and why."""

    reason: str
    changed: Mapping[str, Plan]
    plans: Plans

    @property
    def sentence(self) -> str:
        """For a person."""
        plans = self.plans
        share = plans.menu.cost(plans.dial) / max(plans.menu.everything, IDLE)
        named = [f"{name} {in_words(plan)}" for name, plan in list(self.changed.items())[:MOST_SAID]]
        if len(self.changed) > MOST_SAID:
            named.append(f"{len(self.changed) - MOST_SAID} more")
        return (
            f"another plan: {self.reason}; about {_percent(plans.cores(plans.dial))}, its monitors at "
            f"{100 * share:.0f} % of looking at everything; {'; '.join(named)}."
        )


def in_words(plan: Plan) -> str:
    """How a monitor looks."""
    gathered = f", samples gathered for {plan.gather_s:.3g} s" if plan.gather_s else ""
    if plan.look == "none":
        return "rests"
    if plan.look == "full":
        return f"looks at everything{gathered}"
    lite = f", at one window every {plan.lite_s:.3g} s" if plan.look == "lite" else ""
    return f"looks every {plan.full_s:.3g} s{lite}, at once when the sentinel stirs{gathered}"


def decide(now: Telemetry, plans: Plans, limits: Limits, board: Conversion) -> Plans:
    """The plans from now on. Down at once, as far as it takes; up only after a while, and only where there is room to
    spare. What keeps every greatest delay is kept whatever the budgets say, until the hardware itself cannot; then the
    least important monitors are shed."""
    plans = _corrected(_known(_measured(now, plans, board), now, limits), now)
    trouble = _trouble(now, plans, limits)
    ceiling = _ceiling(now, plans, trouble, limits, board)
    plans = replace(plans, ceiling=ceiling, time=now.time)
    allowances = dict(_allowances(now, plans, limits, board))
    binding = min(allowances, key=lambda name: allowances[name])
    allowed = allowances[binding]
    if plans.lid < plans.fitting(allowed):
        binding = ceiling.trouble.name
    plans = replace(
        plans, binding=binding, allowed=allowed, broken=tuple(_broken(now, plans, limits, allowances))
    )
    dial, reason = _dial(now, plans, trouble)
    if dial == plans.dial:
        return plans
    moves = (*plans.moves, now.time)[-MOST_MOVES:]
    return replace(plans, dial=dial, reason=reason, moved_at=now.time, moves=moves, used=None)


def served(plans: Plans, menu: Menu, limits: Limits, board: Conversion, time: float) -> Plans:
    """The plans with another menu: a monitor came, or has learned. As much as fits, at once; what was used before says
    nothing of it."""
    plans = replace(plans, menu=menu, moved_at=time, used=None)
    allowed = min([plans.allowed, *(cores for _, cores in _fixed(limits, board))])
    return replace(plans, dial=min(plans.fitting(RISE_FILL * allowed), plans.lid))


def _measured(now: Telemetry, plans: Plans, board: Conversion) -> Plans:
    """With what was used since the last decision: what plans cost beside what was reckoned, and what else there is."""
    if now.agent_cores is None:
        return plans
    passed_s = min(now.time - plans.time, LEARN_S)
    share = 1 - math.exp(-passed_s / SMOOTH_S)
    used = _towards(plans.used, now.agent_cores, share)
    monitors = 0.0 if now.monitor_cores is None else now.monitor_cores
    working = _towards(None if plans.used is None else plans.working, monitors, share)
    late = plans.late + 1 if now.overdue_s > LATE_S else 0
    others_w = plans.others_w
    if now.board_w is not None:
        slowly = 1 - math.exp(-passed_s / LEARN_S)
        others_w = _towards(others_w, max(0.0, now.board_w - now.agent_cores * board.core_w), slowly)
    plans = replace(plans, used=used, working=working, late=late, others_w=others_w)
    if now.monitor_cores is None or now.time - plans.moved_at < SETTLED_S:
        return plans
    share = 1 - math.exp(-passed_s / LEARN_S)
    base = _towards(plans.base, max(0.0, now.agent_cores - now.monitor_cores), share)
    reckoned, scale = plans.menu.cost(plans.dial), plans.scale
    if reckoned > IDLE:
        scale += share * (now.monitor_cores / reckoned - scale)
    return replace(plans, base=base, scale=min(max(scale, 1 / WIDEST), WIDEST))


def _corrected(plans: Plans, now: Telemetry) -> Plans:
    """Where more is used than was given, costs are at once what they turned out to be."""
    settled = now.time - plans.moved_at >= SETTLED_S
    reckoned = plans.menu.cost(plans.dial)
    if not settled or plans.used is None or plans.used <= plans.allowed or reckoned <= IDLE:
        return plans
    return replace(plans, scale=min(WIDEST, max(plans.scale, plans.working / reckoned)))


def _towards(before: float | None, now: float, share: float) -> float:
    """A running mean."""
    return now if before is None else before + share * (now - before)


def _known(plans: Plans, now: Telemetry, limits: Limits) -> Plans:
    """With the time until which a battery must last: set when it begins to be used."""
    if limits.battery_s is None or now.on_battery is False:
        return replace(plans, empty_at=None)
    if plans.empty_at is None and now.on_battery and now.battery_wh is not None and now.battery_full_wh:
        left_s = limits.battery_s * min(1.0, now.battery_wh / now.battery_full_wh)
        return replace(plans, empty_at=now.time + left_s)
    return plans


# What may be used.


def _allowances(
    now: Telemetry, plans: Plans, limits: Limits, board: Conversion
) -> Iterator[tuple[str, float]]:
    """Cores that each budget leaves for the whole agent, as far as it is known."""
    yield from _fixed(limits, board)
    if plans.empty_at is not None and plans.others_w is not None and now.battery_wh is not None:
        left_s = max(plans.empty_at - now.time, 60.0)
        yield "battery", max(0.0, now.battery_wh * 3600.0 / left_s - plans.others_w) / board.core_w


def _fixed(limits: Limits, board: Conversion) -> Iterator[tuple[str, float]]:
    """Those that do not depend on what happens."""
    yield "hardware", HARDWARE
    if limits.cores is not None:
        yield "cpu", limits.cores
    if limits.power_w is not None:
        yield "power", limits.power_w / board.core_w


def _trouble(now: Telemetry, plans: Plans, limits: Limits) -> Trouble | None:
    """What calls for a step back now."""
    if plans.late >= LATE_LOOKS:
        why = f"hardware: the pipeline is {now.overdue_s:.1f} s behind"
        return Trouble(why, at_once=plans.dial > 0, hard=True)
    if now.under_voltage:
        return Trouble("supply: under-voltage", at_once=True)
    hot, limit_c = now.temperature_c, limits.temperature_c
    if limit_c is not None and hot is not None and hot >= limit_c - NEAR_C:
        return Trouble(f"temperature: {hot:.1f} Cel, {limit_c:g} Cel at most", at_once=hot >= limit_c)
    if now.throttled:
        return Trouble("throttled: the board slows itself down", at_once=False)
    if now.pressure is not None and now.pressure >= CROWDED:
        return Trouble(f"others: waited for a processor {now.pressure:.0f} % of the time", at_once=False)
    return None


def _ceiling(
    now: Telemetry, plans: Plans, trouble: Trouble | None, limits: Limits, board: Conversion
) -> Ceiling:
    """Lower in trouble, higher again after a while without."""
    ceiling, menu, floor = plans.ceiling, plans.menu, plans.menu.cost(0)
    if not menu.ladders:
        return ceiling  # there is nothing yet to take back from
    present = min(ceiling.cores, menu.cost(plans.dial))
    if trouble is not None:
        if ceiling.trouble.hard and ceiling.cores < floor:  # monitors rest, whatever else comes
            trouble = trouble._replace(hard=True, at_once=False)
        ceiling = replace(ceiling, seen_at=now.time)
        more = present > floor or trouble.hard
        if not more or (now.time - ceiling.cut_at < CUT_S and not (trouble.at_once and present > floor)):
            return ceiling if more else replace(ceiling, cores=min(ceiling.cores, floor), trouble=trouble)
        wait_s, raised_at = ceiling.wait_s, ceiling.raised_at
        if now.time - raised_at < 2 * wait_s:  # it was too early
            wait_s, raised_at = min(LONGEST_S, 2 * wait_s), -math.inf
        least = 0.0 if trouble.hard and plans.dial <= 0 else floor
        left = floor if trouble.at_once else max(least, CUT * present)
        return Ceiling(left, now.time, now.time, raised_at, wait_s, trouble)
    quiet_s = now.time - max(ceiling.seen_at, ceiling.raised_at)
    if math.isinf(ceiling.cores):
        return Ceiling() if quiet_s > 4 * ceiling.wait_s else ceiling
    if quiet_s < ceiling.wait_s or not _cool(now, limits, plans.scale * present, board):
        return ceiling
    raised = max(RISE_MOST * present, menu.cost(min(plans.lid + 1, menu.highest)))
    if raised >= menu.cost(menu.highest):
        raised = math.inf
    return replace(ceiling, cores=raised, raised_at=now.time)


def _cool(now: Telemetry, limits: Limits, present: float, board: Conversion) -> bool:
    """Whether the board would bear twice as much of the monitors' work."""
    if limits.temperature_c is None or now.temperature_c is None:
        return True
    rise_c = board.rise_c * board.core_w * present * (RISE_MOST - 1)
    return now.temperature_c + rise_c <= limits.temperature_c - CLEAR_C


def _broken(now: Telemetry, plans: Plans, limits: Limits, allowances: dict[str, float]) -> Iterator[str]:
    """Budgets that even the least work does not keep."""
    least = 0.0 if plans.base is None else plans.cores(0)
    for name in ("cpu", "power", "battery"):
        if name in allowances and least > allowances[name]:
            yield (
                f"budget cannot be kept: {name}: what keeps every greatest delay takes {_percent(least)}, "
                f"and it leaves {_percent(allowances[name])}"
            )
    if (
        limits.temperature_c is not None
        and now.temperature_c is not None
        and now.temperature_c > limits.temperature_c
        and plans.dial <= 0
    ):
        yield (
            f"budget cannot be kept: temperature: {now.temperature_c:.1f} Cel though nothing more can be saved, "
            f"{limits.temperature_c:g} Cel at most"
        )
    if limits.memory_bytes is not None and (now.memory_bytes or 0.0) > limits.memory_bytes:
        yield (
            f"budget cannot be kept: memory: {(now.memory_bytes or 0) / 1e6:.0f} MB, "
            f"{limits.memory_bytes / 1e6:.0f} MB are given"
        )
    if plans.dial < 0:
        resting = [name for name, point in plans.menu.points(plans.dial).items() if point.plan.rests]
        yield f"the hardware cannot look at all monitors: {_some(resting)} rest"
    if limits.temperature_c is not None and now.temperature_c is None:
        yield "budget cannot be watched: temperature: this board shows none"
    if limits.battery_s is not None and now.battery_wh is None and now.on_battery is not False:
        yield "budget cannot be watched: battery: this board shows none"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_SAID} more" if len(names) > MOST_SAID else ""
    return ", ".join(names[:MOST_SAID]) + more


# The dial.


def _dial(now: Telemetry, plans: Plans, trouble: Trouble | None) -> tuple[int, str]:
    """Where the dial is to stand, and why."""
    dial, lid = plans.dial, plans.lid
    if dial > lid:
        return lid, plans.ceiling.trouble.why
    used = plans.cores(dial)
    if dial > 0 and used > plans.allowed:
        lower = max(0, min(dial - 1, plans.fitting(FILL * plans.allowed)))
        return lower, f"{plans.binding}: {_percent(used)} in use, {_percent(plans.allowed)} are given"
    if trouble is not None or now.time - max(plans.moved_at, plans.ceiling.seen_at) < RISE_S:
        return dial, ""
    if len(plans.moves) == MOST_MOVES and now.time - plans.moves[0] < HOUR_S:
        return dial, ""
    room = min(lid, plans.fitting(RISE_FILL * plans.allowed))
    step = max(dial + 1, plans.fitting(RISE_MOST * plans.cores(dial)))
    if min(room, step) <= dial:
        return dial, ""
    return min(room, step), "there is room again"


def _percent(cores: float) -> str:
    return f"{100 * cores:.2g} % of a core"
