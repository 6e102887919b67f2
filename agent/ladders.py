"""What each monitor can do for how much: its operating points from the cheapest that keeps its greatest delay up to
looking at everything, and the order in which all monitors' steps up are worth taking. No threads, no clock, no input or
output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.alerts import Plan

Priority = Literal["low", "normal", "high"]
WEIGHTS: dict[Priority, float] = {"low": 0.25, "normal": 1.0, "high": 4.0}  # of a step's value
ORDER: tuple[Priority, ...] = ("low", "normal", "high")  # who is shed first where the hardware cannot

# Shares of what the whole model hears that is heard at once between its looks, by the sentinel and by single windows:
# `python -m benchmarks governor` measures them (docs/governor.md).
SENTINEL_HEARS, LITE_HEARS = 0.5, 0.8
# A step that costs a tenth of looking at everything must be worth a twentieth of the delay allowed.
WORTH = 0.5
LEARNS = 0.5  # so much more is it worth to look at all of a machine whose normal is not known well yet
# ... seconds of normal after which it is: an edge learned from minutes went on moving for an hour or two.
GROWN_S = 3600.0
NEGLIGIBLE = 2e-5  # cores: a monitor that costs less than this at its dearest has one point
STIRRED = 0.02  # share of windows that a healthy machine makes the model look at besides
GATHERED_S = 5.0  # of a vibration, at most: how late the sentinel may be
GATHER_SHARE = 1 / 12  # of the greatest delay
MARGIN = 0.05  # of the greatest delay: left for the time that it takes to look, and for rounding to windows


@dataclass(frozen=True, slots=True)
class Costs:
    """What the parts of a monitor's work take on this very board, in seconds of CPU."""

    call: float  # to deal with one reading, whatever is in it
    hop: float  # more for each hop of stream in it: guard, windows
    window: float  # features of one window
    score: float  # a level of them, and all that follows
    sentinel: float = 0.0  # for one window


@dataclass(frozen=True, slots=True)
class Work:
    """What a monitor has to do, as far as its plan can change it."""

    plan: Plan  # looking at everything, at once
    reading_s: float  # of stream in one reading, as the sensor gives them
    span: int  # windows averaged into one level
    cascaded: bool  # it may look at some windows only
    max_delay_s: float
    priority: Priority = "normal"
    most_gathered_s: float = float("inf")  # of stream that fits where it is gathered
    weights_bytes: int = 0  # that a window moves through the processor
    grown: bool = True  # it has seen enough of normal to know how that scores


class Point(NamedTuple):
    """One way to work."""

    plan: Plan
    cores: float  # CPU seconds per second
    value: float  # how much of the delay allowed is not used on average, by how surely it is heard
    moved: float = 0.0  # bytes of weights per second


class Ladder(NamedTuple):
    """A monitor's points, the cheapest first; each keeps its greatest delay."""

    monitor: str
    points: tuple[Point, ...]
    everything: float  # cores that looking at every window at once would take
    priority: Priority = "normal"


def default_delay_s(plan: Plan, span: int) -> float:
    """The greatest delay of a monitor for which nobody set one: a minute, or ten looks of the whole model."""
    return max(60.0, 10 * span * plan.hop_s)


def ladder(monitor: str, work: Work, costs: Costs) -> Ladder:
    """Its points. Those that are dearer and no better, or not worth the step to them, are left out."""
    everything = _point(work.plan, work, costs)
    if everything.cores < NEGLIGIBLE:
        return Ladder(monitor, (everything,), everything.cores, work.priority)
    all_points = [_point(plan, work, costs) for plan in _plans(work)]
    points = _worthwhile(sorted({everything, *all_points}, key=lambda point: (point.cores, -point.value)))
    return Ladder(monitor, points, everything.cores, work.priority)


def _plans(work: Work) -> Iterator[Plan]:
    """Ways to work within the greatest delay."""
    plan, most_s = work.plan, (1 - MARGIN) * work.max_delay_s
    if not work.cascaded:
        for gather_s in _doubling(2 * work.reading_s, min(most_s - plan.hop_s, work.most_gathered_s)):
            yield replace(plan, gather_s=gather_s)
        return
    gather_s = min(GATHERED_S, GATHER_SHARE * work.max_delay_s, work.most_gathered_s, most_s - plan.hop_s)
    gather_s = gather_s if gather_s >= 2 * work.reading_s else 0.0
    yield replace(plan, gather_s=gather_s)
    most = int((most_s - gather_s) / plan.hop_s)  # windows from one look to the next
    for full in _doubling(2 * work.span, most):
        yield replace(plan, full_s=full * plan.hop_s, gather_s=gather_s)
    for lite in _doubling(2, most // 2):
        if most > work.span:
            yield replace(plan, full_s=most * plan.hop_s, lite_s=int(lite) * plan.hop_s, gather_s=gather_s)


def _doubling(first: float, last: float) -> Iterator[float]:
    """From the first on, each twice the one before, and the last."""
    span = first
    while span < 0.75 * last:
        yield span
        span *= 2
    if last >= first > 0:
        yield last


def _point(plan: Plan, work: Work, costs: Costs) -> Point:
    every = looked = 1 / plan.hop_s  # windows a second
    cores = costs.call / max(work.reading_s, plan.gather_s) + costs.hop * every
    unheard_s = 0.0
    if plan.look == "full":
        cores += (costs.window + costs.score) * every
    else:
        looked = STIRRED * every + work.span / plan.full_s
        cores += costs.sentinel * every + costs.score / plan.full_s
        heard = SENTINEL_HEARS
        if plan.lite_s:
            looked += 1 / plan.lite_s
            heard = LITE_HEARS
            unheard_s += (LITE_HEARS - SENTINEL_HEARS) * plan.lite_s / 2
        unheard_s += (1 - heard) * plan.full_s / 2
        cores += looked * costs.window
    value = 1 - (plan.gather_s / 2 + unheard_s) / work.max_delay_s
    if plan.look == "full" and work.cascaded and not work.grown:
        value += LEARNS
    return Point(plan, cores, value, looked * work.weights_bytes)


def _worthwhile(points: Sequence[Point]) -> tuple[Point, ...]:
    """Of points in the order of their cost those on the upper hull, on which each step up is worth less for its cost
    than the one before, as far as steps are worth it."""
    hull: list[Point] = []
    for point in points:
        if hull and point.value <= hull[-1].value:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-1], point):
            hull.pop()
        hull.append(point)
    dearest = max(point.cores for point in points)
    kept = hull[:1]
    for lower, upper in pairwise(hull):
        if _slope(lower, upper) * dearest < WORTH:
            break
        kept.append(upper)
    return tuple(kept)


def _slope(lower: Point, upper: Point) -> float:
    return (upper.value - lower.value) / max(upper.cores - lower.cores, 1e-12)


class Menu:
    """All monitors' steps up in the order of what they are worth for their cost, so that a plan for all of them is one
    number: how many steps are taken. Below 0, monitors rest: the least important first, of these the dearest."""

    def __init__(self, ladders: Sequence[Ladder]) -> None:
        self.ladders = tuple(ladders)
        found = [
            (WEIGHTS[each.priority] * _slope(lower, upper), i, step, upper.cores - lower.cores)
            for i, each in enumerate(self.ladders)
            for step, (lower, upper) in enumerate(pairwise(each.points), 1)
        ]
        found.sort(key=lambda step: (-step[0], step[1], step[2]))
        self._whose = np.array([step[1] for step in found], np.intp)
        self._to = np.array([step[2] for step in found], np.intp)
        shed = sorted(
            (ORDER.index(each.priority), -each.points[0].cores, i) for i, each in enumerate(self.ladders)
        )
        self._resting = [i for _, _, i in shed]
        floor = sum(each.points[0].cores for each in self.ladders)
        up = np.cumsum([floor, *(step[3] for step in found)])
        down = np.maximum(np.cumsum([floor, *(saved for _, saved, _ in shed)])[1:], 0.0)
        self.cores: NDArray[np.float64] = np.concatenate(
            [down[::-1], up]
        )  # of each setting, the lowest first
        self.lowest, self.highest = -len(shed), len(found)

    def cost(self, dial: int) -> float:
        """Cores that all monitors take together, as reckoned."""
        return float(self.cores[dial - self.lowest])

    def fitting(self, cores: float, shed: bool = False) -> int:
        """The highest setting that takes no more than this; the lowest one, below 0 only where monitors may be shed,
        if none does."""
        found = int(np.searchsorted(self.cores, cores, side="right")) - 1 + self.lowest
        return max(self.lowest if shed else 0, found)

    def points(self, dial: int) -> dict[str, Point]:
        """How each monitor works at this setting."""
        steps = np.zeros(len(self.ladders), np.intp)
        taken = max(0, dial)
        steps[self._whose[:taken]] = self._to[:taken]  # of a monitor's steps the last one counts
        points = {
            each.monitor: each.points[step] for each, step in zip(self.ladders, steps.tolist(), strict=True)
        }
        for i in self._resting[: max(0, -dial)]:
            first = self.ladders[i].points[0]
            points[self.ladders[i].monitor] = Point(replace(first.plan, rests=True), 0.0, 0.0)
        return points

    @property
    def everything(self) -> float:
        """Cores that looking at everything at once would take, as reckoned."""
        return sum(each.everything for each in self.ladders)


def changed(before: Mapping[str, Point], after: Mapping[str, Point]) -> dict[str, Plan]:
    """The monitors that are to work in another way."""
    return {
        name: point.plan
        for name, point in after.items()
        if name not in before or before[name].plan != point.plan
    }
