"""Quantities are written with their unit, and what is wrong with one is said."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.quantities import (
    ANGLE,
    DURATION,
    FREQUENCY,
    LENGTH,
    PER_HOUR,
    RATE,
    SIZE,
    SPAN,
    Quantity,
    RateForm,
    Span,
    SpanForm,
)

KINDS = (DURATION, SIZE, PER_HOUR, LENGTH, FREQUENCY, ANGLE)
NEVER = 'is never, which nothing that can alarm keeps: write how seldom, e.g. "1 per year"'


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (DURATION, "20 s", 20.0),
        (DURATION, "5 min", 300.0),
        (DURATION, "1.5h", 5400.0),
        (DURATION, "250 ms", 0.25),
        (DURATION, "1e3 s", 1000.0),
        (DURATION, 0, 0.0),
        (SIZE, "16 MB", 16_000_000),
        (SIZE, "2 KiB", 2048),
        (PER_HOUR, "12 per hour", 12),
        (PER_HOUR, "6/h", 6),
        (LENGTH, "7.94 mm", 0.00794),
        (LENGTH, "1 in", 0.0254),
        (FREQUENCY, "1800 rpm", 30.0),
        (FREQUENCY, "50 Hz", 50.0),
        (ANGLE, "15 deg", 15.0),
        (ANGLE, "15°", 15.0),
    ],
)
def test_a_quantity_is_a_number_in_si_units(kind: Quantity, text: object, value: float) -> None:
    assert kind.parse(text) == pytest.approx(value)


def test_a_size_and_a_count_are_whole_numbers() -> None:
    assert isinstance(SIZE.parse("0.5 MB"), int)
    with pytest.raises(ValueError, match="not a whole number"):
        SIZE.parse("0.3 B")


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (DURATION, "20 parsec", 'is not a duration: write e.g. "20 s", "5 min" or "2 h"'),
        (DURATION, 30, 'has no unit: write e.g. "20 s", "5 min" or "2 h"'),
        (DURATION, "30", 'has no unit: write e.g. "20 s", "5 min" or "2 h"'),
        (DURATION, "-3 s", "is negative"),
        (DURATION, "nan", "is not a finite number"),
        (DURATION, math.inf, "is not a finite number"),
        (DURATION, "1e999 s", "is not a finite number"),
        (DURATION, "1,5 s", 'has a decimal comma: write a point, as in "1.5"'),
        (DURATION, "20 S", "is not a duration: did you mean the unit s?"),
        (DURATION, True, 'is not a duration: write e.g. "20 s", "5 min" or "2 h"'),
        (DURATION, [20], 'is not a duration: write e.g. "20 s", "5 min" or "2 h"'),
        (SIZE, "16 mb", "is not a size: did you mean the unit MB?"),
        (PER_HOUR, 12, 'has no unit: write e.g. "12 per hour"'),
        (LENGTH, "8 s", 'is not a length: write e.g. "7.94 mm"'),
        (SPAN, "20 parsec", 'is not a duration: write e.g. "20 s", "5 min" or "20 rows"'),
        (SPAN, "1.5 rows", "is not a whole number of rows"),
        (SPAN, 20, 'has no unit: write e.g. "20 s", "5 min" or "20 rows"'),
        (SPAN, 0, "is zero: it must be longer than nothing"),
        (SPAN, "0 rows", "is zero: it must be longer than nothing"),
        (SPAN, "-1 s", "is negative"),
        (RATE, "0 per week", NEVER),
        (RATE, 0, NEVER),
        (RATE, "-1 per week", "is negative"),
        (RATE, "1 week", 'is not a rate: write e.g. "1 per week" or "2 per month"'),
        (RATE, 3, 'has no unit: write e.g. "1 per week" or "2 per month"'),
    ],
)
def test_a_wrong_quantity_says_what_to_write(
    kind: Quantity | SpanForm | RateForm, value: object, said: str
) -> None:
    with pytest.raises(ValueError) as caught:
        kind.parse(value)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "text", ["1 per week", "2 per month", "6 per hour", "1.5 per day", "0.01 per year", "0.0002 per year"]
)
def test_a_rate_is_shown_as_it_was_written(text: str) -> None:
    assert RATE.show(RATE.parse(text)) == text


def test_a_span_is_a_duration_or_a_number_of_rows() -> None:
    assert SPAN.parse("20 rows") == Span(20, "rows")
    assert SPAN.parse("1 row") == Span(1, "rows")
    assert SPAN.parse("2 min") == Span(120.0, "s")


def test_a_span_becomes_rows_at_a_rate() -> None:
    assert Span(2.0, "s").rows(100.0) == 200
    assert Span(1.0, "s").rows(0.01) == 1
    assert Span(20, "rows").rows(0.0) == 20
    assert Span(20, "rows").seconds(10.0) == 2.0
    with pytest.raises(ValueError, match="20 s cannot be counted in rows: the rate is not known"):
        Span(20.0, "s").rows(0.0)
    with pytest.raises(ValueError, match="20 rows cannot be measured in seconds: the rate is not known"):
        Span(20, "rows").seconds(0.0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
@given(value=st.integers(0, 10_000), unit=st.integers(0, 20))
def test_what_is_shown_can_be_read_again(kind: Quantity, value: int, unit: int) -> None:
    units = list(kind.units)
    read = (
        kind.parse(f"{value} {units[unit % len(units)]}")
        if not kind.whole
        else kind.parse(f"{value} {units[0]}")
    )
    assert kind.parse(kind.show(read)) == pytest.approx(read, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(300.0, "5 min"), (0.02, "20 ms"), (90.0, "1.5 min"), (7.0, "7 s")]
)
def test_a_duration_is_shown_in_its_largest_neat_unit(seconds: float, shown: str) -> None:
    assert DURATION.show(seconds) == shown


@given(st.text() | st.floats() | st.integers() | st.none() | st.booleans() | st.lists(st.integers()))
def test_nothing_but_a_value_error_comes_of_nonsense(value: object) -> None:
    for kind in (*KINDS, SPAN):
        with contextlib.suppress(ValueError):
            kind.parse(value)
