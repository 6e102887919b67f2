"""The tail of normal scores: how often a healthy machine comes by itself to an alert, and where the edge must
lie for it to come there as rarely as was asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

HOUR_S, WEEK_S = 3600.0, 7 * 86400.0
LOOSEST_HZ = 6 / HOUR_S  # more false alarms than that nobody wants, and an alert never clears above its edge
SUPPORT = 30.0  # with no rate asked for: so many times the normal seen are extrapolated, no further
SHARE = 0.9  # quantile of the lesson's scores above which the tail begins
LEAST_THRESHOLD = 0.5  # of the reference edge, where most scores are next to nothing
# What tails of machines are like before this one has shown its own, worth as many events as PRIOR_EVENTS: with it the
# false alarms of healthy stretches of pump rigs came as often as stated, after a lesson of 400 rows.
PRIOR_EVENTS, PRIOR_SHARE = 10.0, 0.2  # a mean excess of so much of the threshold
NONE_SEEN = 0.7  # events that stand for "none yet": the median of what may have been
CAP = 8.0  # mean excesses beyond which an event is no normal one
# Nor is one that lasts for so many gaps, and for so many times the longest of the lesson. Healthy machines came to 44
# gaps, in 200 hours.
LONGEST, LASTING = 50.0, 3.0
# Real tails are not exponential. How far the logarithm of the rate may be off, of the way from the threshold to the
# edge in mean excesses: where normal was seen for weeks it was 0.18 (averages of noise, whose tails are lighter).
MISFIT = 0.25
# Nor has a short lesson seen all that is normal. Of ten machines one will do something in the next so many hours that
# it did not do while it was learned for so many: bearings heard for less than an hour did.
UNSEEN = 0.1
Z90 = 1.6449  # standard normal quantile of 0.95


@dataclass(frozen=True, slots=True)
class Expected:
    """A rate of events per second, with a 90 % interval."""

    low: float
    rate: float
    high: float


@dataclass(frozen=True, slots=True)
class Tail:
    """Peaks over a threshold, one for each event and not for each sample (Pickands 1975; Davison and Smith 1990),
    with exponential excesses and a prior on their mean. In units of the reference edge.

    The predictive probability that an event exceeds x is (1 + x / (n b))^-n for n events of mean excess b: heavier
    the less was seen, so that little data makes for a wide berth.
    """

    threshold: float
    events: float  # seen
    excess: float  # the sum of their excesses over the threshold
    seconds: float  # of normal operation in which they were seen
    usual: float  # the mean excess it is taken to have before it has shown its own
    longest: float = (
        0.0  # rows from the first to the last that was over the threshold, of the lesson's longest event
    )

    @property
    def weight(self) -> float:
        """Events, and what the prior is worth."""
        return self.events + PRIOR_EVENTS

    @property
    def mean_excess(self) -> float:
        return (self.excess + PRIOR_EVENTS * self.usual) / self.weight

    @property
    def cap(self) -> float:
        """A peak above is no normal one."""
        return self.threshold + CAP * self.mean_excess

    def edge(self, rate_hz: float) -> float:
        """The score that normal operation exceeds `rate_hz` times a second; falls strictly with the rate, until it
        reaches the threshold."""
        often = max(self.events, NONE_SEEN) / (self.seconds * rate_hz)
        weight = self.weight
        return self.threshold + weight * self.mean_excess * math.expm1(math.log(max(1.0, often)) / weight)

    def expected(self, edge: float) -> Expected:
        """How often normal operation exceeds `edge`: the predictive rate, and from where to where it may lie, by
        what is not known of how many events there are and how large they are, of the shape of
        their tail, and of what a short lesson has not seen."""
        over, weight, mean = max(0.0, edge - self.threshold), self.weight, self.mean_excess
        often = max(self.events, NONE_SEEN) / self.seconds
        rate = often * math.exp(-weight * math.log1p(over / (weight * mean)))
        count = math.log(often)
        few, many = (_gamma_quantile(self.events + 0.5, z) / self.seconds for z in (-Z90, Z90))
        flat, steep = (_gamma_quantile(weight, z) / (weight * mean) for z in (-Z90, Z90))
        middle = count - over / mean
        misfit = MISFIT * over / mean
        down = math.hypot(count - math.log(few), over * (steep - 1 / mean), misfit)
        up = math.hypot(math.log(many) - count, over * (1 / mean - flat), misfit)
        low, high = middle - down, middle + up
        return Expected(min(math.exp(low), rate), rate, max(math.exp(high), rate) + UNSEEN / self.seconds)

    def supported_hz(self) -> float:
        """The rate to keep when none was asked for: one a week, or as near as the normal seen supports."""
        return min(max(1 / WEEK_S, 1 / (SUPPORT * self.seconds)), 1 / HOUR_S)

    def seen(self, peaks: Sequence[float], seconds: float) -> Tail:
        """With the peaks of further events in `seconds` of normal operation; those above the cap are no such."""
        normal = [peak for peak in peaks if peak <= self.cap]
        return replace(
            self,
            events=self.events + len(normal),
            excess=self.excess + sum(peak - self.threshold for peak in normal),
            seconds=self.seconds + seconds,
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """What was seen since the edge was put where it is: it counts when the edge is moved next."""

    rows: int = 0  # of normal operation
    peaks: tuple[float, ...] = ()
    wait: int = 0  # rows until the edge is moved


class Passed(NamedTuple):
    """Rows that are known for normal operation by now, and the peaks of the events in them."""

    rows: int
    peaks: list[float]


class Peaks:
    """Events of a stream of scores: the highest score that was kept up for `run` rows, between two quiet stretches of
    `gap` rows. That is what an alert is raised by, with its delays in rows.

    Whether an event is one of normal operation is known only once it is over: until then its rows are held back. One
    that rose above `cap`, or lasted for more than `longest` rows, is none, and neither are they: a fault that stays.
    """

    def __init__(self, threshold: float, run: int, gap: int) -> None:
        self.threshold, self.run, self.gap = threshold, run, gap
        self.cap = self.longest = math.inf
        self.lasted = 0  # rows, of the longest event by now
        self._carry: Doubles = np.empty(0)  # the newest run - 1 scores
        self._highest = 0.0  # of the event under way; 0 without one
        self._held = self._length = 0  # rows since it began; up to the last above the threshold
        self._quiet = 0  # rows since it was last above the threshold

    def push(self, scores: Doubles) -> Passed:
        """What is known with these consecutive scores `(n,)`."""
        whole = np.concatenate([self._carry, scores]) if len(self._carry) else scores
        self._carry = whole[max(0, len(whole) - self.run + 1) :] if self.run > 1 else whole[:0]
        kept = kept_up(whole, self.run)  # the newest of them belong to `scores`, perhaps not to all of them
        above = np.flatnonzero(kept > self.threshold)
        if not len(above):
            return self._pass(len(scores))
        at = above + (len(scores) - len(kept))  # row in `scores` of each
        rows, peaks, done = 0, list[float](), 0
        for part in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at) > self.gap + 1) + 1):
            first, last = int(at[part[0]]), int(at[part[-1]])
            passed = self._pass(first - done)
            rows, peaks = rows + passed.rows, peaks + passed.peaks
            self._rise(float(kept[above[part]].max()), last - first + 1)
            done = last + 1
        passed = self._pass(len(scores) - done)
        return Passed(rows + passed.rows, peaks + passed.peaks)

    def push_one(self, score: float) -> Passed:
        """The same for one score, as it comes live."""
        whole = np.append(self._carry, score)
        self._carry = whole[max(0, len(whole) - self.run + 1) :] if self.run > 1 else whole[:0]
        kept = float(whole.min()) if len(whole) == self.run else 0.0
        if not kept > self.threshold:
            return self._pass(1)
        self._rise(kept, 1)
        return Passed(0, [])

    def quiet(self, rows: int) -> Passed:
        """The same as pushing so many scores none of which exceeds the threshold, but for what is carried on."""
        self._carry = self._carry[:0]
        return self._pass(rows)

    def interrupted(self) -> Passed:
        """The stream broke: what was under way has ended."""
        self._carry = self._carry[:0]
        return self._end() if self._highest else Passed(0, [])

    def _rise(self, highest: float, rows: int) -> None:
        """So many rows of an event, the first and the last of them above the threshold."""
        self._highest, self._quiet = max(self._highest, highest), 0
        self._held += rows
        self._length = self._held

    def _pass(self, rows: int) -> Passed:
        """So many rows, none of them above the threshold."""
        if not self._highest:
            return Passed(rows, [])
        self._quiet += rows
        self._held += rows
        after = self._quiet - self.gap - 1  # rows since the event was over
        if after < 0:
            return Passed(0, [])
        self._held -= after
        ended = self._end()
        return Passed(ended.rows + after, ended.peaks)

    def _end(self) -> Passed:
        highest, rows, length = self._highest, self._held, self._length
        self._highest, self._held, self._quiet = 0.0, 0, 0
        self.lasted = max(self.lasted, length)
        return Passed(rows, [highest]) if highest <= self.cap and length <= self.longest else Passed(0, [])


def kept_up(scores: Doubles, run: int) -> Doubles:
    """`(n - run + 1,)`: the least of each `run` consecutive scores; empty when there are fewer."""
    if len(scores) < run:
        return scores[:0]
    least, span = scores, 1
    while span < run:
        step = min(span, run - span)
        least = np.minimum(least[:-step], least[step:])
        span += step
    return least


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of a detector's scores before it has seen a machine, in units of its reference edge: scores that
    are measured against the machine's own have much the same tail everywhere."""

    threshold: float
    excess: float  # mean


def fit(
    stretches: Iterable[Doubles], period_s: float, run: int, gap: int, prior: Prior | None = None
) -> Tail:
    """The tail of the scores of normal operation, in unbroken stretches with a score each `period_s`, for alerts that
    need `run` rows above their edge and clear after `gap` rows. With a prior, a lesson's excess counts up to CAP times
    what the prior says: one that was scored before the detector had found its measure says little."""
    pieces = [piece for piece in stretches if len(piece)]
    if prior is None:
        kept = np.concatenate([np.zeros(1), *(kept_up(piece, run) for piece in pieces)])[1:]
        threshold = max(LEAST_THRESHOLD, float(np.quantile(kept, SHARE)) if len(kept) else 0.0)
        prior, largest = Prior(threshold, PRIOR_SHARE * threshold), math.inf
    else:
        largest = CAP * prior.excess
    events = Peaks(prior.threshold, run, gap)
    peaks: list[float] = []
    for piece in pieces:
        peaks += events.push(piece).peaks + events.interrupted().peaks
    excess = sum(min(peak - prior.threshold, largest) for peak in peaks)
    seconds = period_s * max(1, sum(len(piece) for piece in pieces))
    return Tail(prior.threshold, float(len(peaks)), excess, seconds, prior.excess, float(events.lasted))


def _gamma_quantile(shape: float, z: float) -> float:
    """Of a gamma distribution of scale 1, where the normal one has `z`: Wilson and Hilferty, PNAS 17 (1931) 684."""
    ninth = 1 / (9 * shape)
    return shape * max(1e-3, 1 - ninth + z * math.sqrt(ninth)) ** 3
