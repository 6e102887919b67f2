"""The budget of false alarms: where it puts the edge of normal, and what a person should know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent import payloads
from agent.quantities import DURATION, RATE
from models.tail import LOOSEST_HZ, Expected, Tail

Sensitivity = Literal["quiet", "normal", "sensitive"]
# Times the reference edge, the 0.99 quantile of normal.
MARGIN: dict[Sensitivity, float] = {"sensitive": 1.3, "normal": 1.5, "quiet": 2.0}
CLEAR = 0.9  # of the edge of the loosest budget: below, the machine is where it usually is
SUFFICIENT = 3.0  # an extrapolation by less is not worth a word
NEAREST = 0.8  # of the rate asked for: where less is expected, there is no nearer edge
NEXT_TO_NOTHING = 0.01  # in the unit of what was asked for: said as 0


@dataclass(frozen=True, slots=True)
class Budget:
    """What was asked for: a rate of false alarms, a sensitivity, or neither."""

    rate_hz: float | None = None
    sensitivity: Sensitivity | None = None

    def aim(self, tail: Tail | None) -> Aim:
        """Where the edge lies with what is known of normal. Of two rates the smaller one gives the farther edge."""
        if self.sensitivity is not None or tail is None:
            edge = MARGIN[self.sensitivity or "normal"]
            return Aim(edge, edge * CLEAR, None, None if tail is None else tail.expected(edge), tail)
        rate = self.rate_hz if self.rate_hz is not None else tail.supported_hz()
        edge = tail.edge(rate)
        return Aim(edge, CLEAR * tail.edge(LOOSEST_HZ), rate, tail.expected(edge), tail)


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a budget puts the edge, in units of the reference edge."""

    edge: float
    clear: float  # an alert clears below: the same for every budget, so that a stricter one never counts more of them
    rate_hz: float | None  # of false alarms that is aimed at; None where a sensitivity was asked for
    expected: Expected | None
    tail: Tail | None

    @property
    def extrapolation(self) -> float:
        """How many times longer than what was seen it takes to one false alarm; 0 where no rate is aimed at."""
        if self.rate_hz is None or self.tail is None:
            return 0.0
        return 1 / (self.rate_hz * self.tail.seconds)

    @property
    def nearest(self) -> bool:
        """Whether more was asked for than comes even at the edge that lies nearest to normal."""
        known = self.expected
        return self.rate_hz is not None and known is not None and known.rate < NEAREST * self.rate_hz

    def words(self) -> str:
        """ "seen 6 h of normal; 1 per week is an extrapolation by 28x; expect 0.4 to 3 per week"."""
        if self.tail is None or self.expected is None:
            return "how often it will alarm falsely is not known: nothing was learned of the tail of normal"
        said = [f"seen {_roughly(self.tail.seconds)} of normal"]
        thought_of = self.expected.rate if self.rate_hz is None or self.nearest else self.rate_hz
        expected = f"expect {_between(self.expected, RATE.unit(thought_of))}"
        if self.rate_hz is not None:
            asked = RATE.show(self.rate_hz)
            far = self.extrapolation
            if self.nearest:
                said.append(f"{asked} is more than comes at the nearest edge there is")
            elif far >= SUFFICIENT:
                said.append(f"{asked} is an extrapolation by {far:.0f}x")
            else:
                said.append(f"{asked} is what they support")
        return "; ".join([*said, expected])

    def figures(self) -> payloads.Budget:
        """For the state topic."""
        hours = 3600.0
        known = self.expected
        return payloads.Budget(
            asked_per_hour=None if self.rate_hz is None else float(f"{self.rate_hz * hours:.6g}"),
            expected_per_hour=None
            if known is None
            else [float(f"{rate * hours:.3g}") for rate in (known.low, known.rate, known.high)],
            normal_seen_hours=0.0 if self.tail is None else round(self.tail.seconds / hours, 3),
            words=self.words(),
        )


def together(aim: Aim, aims: Sequence[Aim]) -> Aim:
    """An aim that expects what several do together, each in its share of the normal seen: of a machine with operating
    states, `aim` being that of the state it is in."""
    known = [(each, each.tail, each.expected) for each in aims]
    seconds = sum(tail.seconds for _, tail, expected in known if tail is not None and expected is not None)
    if len(aims) < 2 or not seconds:
        return aim
    low = rate = high = asked = 0.0
    for each, tail, expected in known:
        if tail is not None and expected is not None:
            share = tail.seconds / seconds
            low, rate, high = (
                low + share * expected.low,
                rate + share * expected.rate,
                high + share * expected.high,
            )
            asked += share * (each.rate_hz or 0.0)
    tail = None if aim.tail is None else replace(aim.tail, seconds=seconds)
    rate_hz = None if aim.rate_hz is None else asked
    return replace(aim, rate_hz=rate_hz, expected=Expected(low, rate, high), tail=tail)


def _between(expected: Expected, unit: str) -> str:
    """0.4 to 3 per week."""
    low, high = (RATE.amount(rate, unit) for rate in (expected.low, expected.high))
    return f"{_figure(low)} to {_figure(high)} {unit}"


def _figure(value: float) -> str:
    if value < NEXT_TO_NOTHING:
        return "0"
    return f"{value:.2g}" if value < 10 else f"{float(f'{value:.2g}'):,.0f}"


def _roughly(seconds: float) -> str:
    for unit in ("d", "h", "min"):
        amount = seconds / DURATION.units[unit]
        if amount >= 1:
            return f"{amount:.3g} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds:.0f} s"
