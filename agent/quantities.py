"""Quantities as people write them ("20 s", "16 MB", "6 per hour"), turned into plain numbers in SI units."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import msgspec

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


class Span(msgspec.Struct, frozen=True):
    """A length of a stream: in seconds, or in rows (samples)."""

    value: float
    unit: Literal["s", "rows"]

    def rows(self, rate_hz: float) -> int:
        """The length in rows at `rate_hz`, at least 1. Raises ValueError for seconds without a rate."""
        if self.unit == "rows":
            return max(1, round(self.value))
        if not rate_hz > 0:
            raise ValueError(f"{self} cannot be counted in rows: the rate is not known")
        return max(1, round(self.value * rate_hz))

    def seconds(self, rate_hz: float) -> float:
        """The length in seconds at `rate_hz`. Raises ValueError for rows without a rate."""
        if self.unit == "s":
            return self.value
        if not rate_hz > 0:
            raise ValueError(f"{self} cannot be measured in seconds: the rate is not known")
        return self.value / rate_hz

    def __str__(self) -> str:
        return f"{self.value:g} rows" if self.unit == "rows" else DURATION.show(self.value)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One kind of quantity: the units it is written in, each with its factor to the SI unit.

    The first unit is the SI unit itself. `show` writes a value back in the largest unit that keeps it neat.
    """

    noun: str  # "a duration"
    units: dict[str, float]
    form: str  # what to write, for error messages and the reference: '"20 s", "5 min" or "2 h"'
    shown: tuple[str, ...]  # the units `show` chooses from, largest first
    whole: bool = False

    def parse(self, value: object) -> float:
        """The value in the SI unit. Zero needs no unit. Raises ValueError saying what to write instead."""
        number, unit = split(value, self)
        if unit not in self.units:
            raise ValueError(self._unit_is_wrong(unit))
        return self._checked(_times(number, self.units[unit]))

    def show(self, value: float) -> str:
        """A value in the SI unit as one would write it: 300.0 -> "5 min"."""
        for unit in self.shown:
            amount = value / self.units[unit]
            if abs(amount) >= 1 and abs(amount - round(amount, 2)) < 1e-9 * abs(amount):
                return f"{round(amount, 2):g} {unit}"
        return f"{value / self.units[self.shown[-1]]:g} {self.shown[-1]}"

    def _checked(self, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError("is not a finite number")
        if value < 0:
            raise ValueError("is negative")
        if not self.whole:
            return value
        if abs(value - round(value)) > 1e-6:
            raise ValueError("is not a whole number")
        return round(value)

    def _unit_is_wrong(self, unit: str) -> str:
        if not unit:
            return f"has no unit: write e.g. {self.form}"
        meant = next((known for known in self.units if known.lower() == unit.lower()), None)
        if meant is not None:
            return f"is not {self.noun}: did you mean the unit {meant}?"
        return f"is not {self.noun}: write e.g. {self.form}"


@dataclass(frozen=True, slots=True)
class SpanForm:
    """The form of a Span: a duration, or a whole number of rows."""

    noun: str = "a duration"
    form: str = '"20 s", "5 min" or "20 rows"'

    def parse(self, value: object) -> Span:
        """Raises ValueError saying what to write instead; zero is refused."""
        number, unit = split(value, self)
        if unit in ("row", "rows"):
            if number != number // 1:
                raise ValueError("is not a whole number of rows")
            return Span(value=_positive(number), unit="rows")
        if unit in DURATION.units:
            return Span(value=_positive(_times(number, DURATION.units[unit])), unit="s")
        raise ValueError(f"{f'is not {self.noun}' if unit else 'has no unit'}: write e.g. {self.form}")

    def show(self, value: Span) -> str:
        return str(value)


def split(value: object, form: Quantity | SpanForm | RateForm) -> tuple[float, str]:
    """The number and the unit of "20 s". A bare zero gets the SI unit. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"is not {form.noun}: write e.g. {form.form}")
    text = str(value).strip()
    match = _NUMBER.match(text)
    if match is None:
        if text.lower() in ("nan", "inf", "-inf", "+inf"):
            raise ValueError("is not a finite number")
        raise ValueError(f"is not {form.noun}: write e.g. {form.form}")
    number = float(match.group())
    unit = " ".join(text[match.end() :].split())
    if unit.startswith(",") and unit[1:2].isdecimal():
        raise ValueError('has a decimal comma: write a point, as in "1.5"')
    if not math.isfinite(number):
        raise ValueError("is not a finite number")
    if not unit and number == 0:
        return 0.0, next(iter(form.units if isinstance(form, Quantity) else DURATION.units))
    return number, unit


def _times(number: float, factor: float) -> float:
    """The product without the last bit's noise: 7.94 mm are 0.00794 m, not 0.007940000000000001."""
    return float(f"{number * factor:.15g}")


def _positive(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("is not a finite number")
    if number < 0:
        raise ValueError("is negative")
    if number == 0:
        raise ValueError("is zero: it must be longer than nothing")
    return number


DURATION = Quantity(
    "a duration",
    {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "us": 1e-6, "ms": 1e-3}
    | {"min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0}
    | {"d": 86400.0, "day": 86400.0, "days": 86400.0},
    '"20 s", "5 min" or "2 h"',
    ("d", "h", "min", "s", "ms"),
)
SIZE = Quantity(
    "a size",
    {"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
    '"16 MB" or "512 KiB"',
    ("GB", "MB", "kB", "B"),
    whole=True,
)
PER_HOUR = Quantity(
    "a number per hour",
    {"per hour": 1.0, "per h": 1.0, "/h": 1.0, "per minute": 60.0, "per min": 60.0, "/min": 60.0},
    '"12 per hour"',
    ("per hour",),
    whole=True,
)


@dataclass(frozen=True, slots=True)
class RateForm:
    """How often something may happen: "1 per week", "2 per month", "never more than ..." is not a rate."""

    noun: str = "a rate"
    form: str = '"1 per week" or "2 per month"'

    def parse(self, value: object) -> float:
        """In Hz. Raises ValueError saying what to write instead; zero is refused."""
        number, unit = split(value, self)
        if number == 0:
            raise ValueError(
                'is never, which nothing that can alarm keeps: write how seldom, e.g. "1 per year"'
            )
        word = unit.removeprefix("per ").removeprefix("/").removeprefix("a ").strip()
        period = PERIODS.get(word)
        if period is None or word == unit:
            raise ValueError(f"{f'is not {self.noun}' if unit else 'has no unit'}: write e.g. {self.form}")
        return _positive(number) / period

    def show(self, value: float) -> str:
        unit = self.unit(value)
        return f"{float(f'{self.amount(value, unit):.3g}'):g} {unit}"

    def unit(self, rate_hz: float) -> str:
        """The unit in which a rate in Hz is at least 1, the longest if there is none."""
        for name in SHOWN_PERIODS:
            if rate_hz * PERIODS[name] > 0.999:
                return f"per {name}"
        return f"per {SHOWN_PERIODS[-1]}"

    def amount(self, rate_hz: float, unit: str) -> float:
        """A rate in Hz in one of the units."""
        return rate_hz * PERIODS[unit.removeprefix("per ")]


SHOWN_PERIODS = ("hour", "day", "week", "month", "year")
PERIODS = {"hour": 3600.0, "h": 3600.0, "day": 86400.0, "d": 86400.0, "week": 604_800.0} | {
    "month": 2_629_746.0,  # a twelfth of the Gregorian year
    "year": 31_556_952.0,
}
RATE = RateForm()
LENGTH = Quantity(
    "a length", {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "in": 0.0254}, '"7.94 mm"', ("m", "mm")
)  # 1 in = 25.4 mm exactly (international yard and pound agreement, 1959)
FREQUENCY = Quantity(
    "a speed of rotation",
    {"Hz": 1.0, "kHz": 1e3, "rpm": 1 / 60, "1/min": 1 / 60},
    '"1797 rpm" or "29.95 Hz"',
    ("Hz",),
)
CORES = Quantity(
    "a share of the processor",
    {"cores": 1.0, "core": 1.0, "%": 0.01, "% of a core": 0.01},
    '"10%" (of one core) or "1.5 cores"',
    ("%",),
)
POWER = Quantity("a power", {"W": 1.0, "mW": 1e-3}, '"500 mW" or "2 W"', ("W", "mW"))
TEMPERATURE = Quantity("a temperature", {"°C": 1.0, "Cel": 1.0, "C": 1.0, "degC": 1.0}, '"75 °C"', ("°C",))
ANGLE = Quantity("an angle", {"deg": 1.0, "°": 1.0, "rad": 180 / math.pi}, '"15 deg"', ("deg",))
SPAN = SpanForm()
