"""Times as recordings write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors.times import find_form, is_clock, is_date, is_number, is_time, parse_iso, parse_one

zones = st.sampled_from(
    [timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3))]
)
moments = st.datetimes(datetime(1970, 1, 3), datetime(9998, 12, 31), timezones=zones)


@given(st.lists(moments, min_size=1, max_size=20))
def test_iso_times_mean_what_the_standard_library_says(moments: list[datetime]) -> None:
    texts = [moment.isoformat() for moment in moments]
    seconds, good = parse_iso(np.array(texts, "S40"))
    slow = [parse_one(text, "iso") for text in texts]
    np.testing.assert_array_equal(seconds[good], np.array(slow)[good])
    np.testing.assert_allclose(slow, [moment.timestamp() for moment in moments], rtol=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00",
        "2024-00-01T00:00:00",
        "2024-01-32T00:00:00",
        "2024-01-01T24:00:00",
        "2024-01-01T00:60:00",
        "2024-01-01T00:00:61",
        "2024-01-01Q00:00:00",
        "2024-01-01T00:00:00X",
    ],
)
def test_a_date_that_does_not_exist_is_refused_by_both_parsers(text: str) -> None:
    assert not parse_iso(np.array([text], "S40"))[1][0]
    with pytest.raises(ValueError, match="is not a time"):
        parse_one(text, "iso")


def test_leap_days_and_leap_seconds_exist() -> None:
    seconds, good = parse_iso(np.array(["2024-02-29T00:00:00", "2016-12-31T23:59:60"], "S40"))
    assert good.all()
    assert seconds.tolist() == [1709164800.0, 1483228800.0]


def test_one_glance_tells_seconds_from_their_fractions() -> None:
    assert [find_form([t]) for t in ("0", "1700000000", "1700000000000", "1.7e15", "1.7e18")] == [
        "s",
        "s",
        "ms",
        "us",
        "ns",
    ]
    with pytest.raises(ValueError, match="has no times"):
        find_form(["", " "])


@settings(deadline=None)
@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from(["%Y%m%dT%H%M%S", "%Y%m%d%H%M%S"]))
def test_compact_times_mean_what_the_others_mean(moments: list[datetime], form: str) -> None:
    moments = [moment.astimezone(timezone.utc).replace(microsecond=0) for moment in moments]
    texts = [moment.strftime(form).rjust(15 if "T" in form else 14, "0") for moment in moments]
    seconds, good = parse_iso(np.array(texts, "S40"))
    assert good.all()
    assert seconds.tolist() == [moment.timestamp() for moment in moments]
    assert [parse_one(text, "iso") for text in texts] == seconds.tolist()


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("20240201T101433.25Z", "2024-02-01T10:14:33.25Z"),
        ("20240201101433,25", "2024-02-01T10:14:33.25Z"),
        ("20240201T101433+0200", "2024-02-01T08:14:33Z"),
        ("20240201 10:14:33", "2024-02-01T10:14:33Z"),
        ("20240201T1014", "2024-02-01T10:14:00Z"),
        ("20240201", "2024-02-01"),
    ],
)
def test_every_compact_form_is_read(text: str, iso: str) -> None:
    assert parse_one(text, "iso") == parse_one(iso, "iso")
    assert find_form([text]) == "iso"


def test_a_compact_time_among_others_of_its_length_is_left_to_the_careful_parser() -> None:
    seconds, good = parse_iso(np.array(["20240201T101433", "20240201x101433", "2024-02-01 1014"], "S40"))
    assert good.tolist() == [True, False, False]
    assert seconds[0] == 1706782473.0


def test_fourteen_digits_are_a_date_or_a_question() -> None:
    assert find_form(["20240201000000", "20240201000001"]) == "iso"
    assert find_form(["20240201000000", "20240231000000", "20240201000002"]) == "iso"
    with pytest.raises(ValueError, match=r"neither a date like 20240331120000 nor .*`time_form`"):
        find_form(["20249901000000"])


def test_a_time_of_day_alone_is_said_to_lack_its_date() -> None:
    with pytest.raises(ValueError, match="'10:14:33' is a time of day without its date"):
        find_form(["10:14:33", "10:14:34"])


@pytest.mark.parametrize("ask", [is_number, is_time, is_date, is_clock])
@pytest.mark.parametrize(
    "begin",
    ["", "2024-03-31 10:00", "2024-03-31 10:00:00 PM", "10:00:00"],
    ids=["number", "day", "half", "clock"],
)
def test_what_somebody_sends_costs_no_more_than_its_length(ask: Callable[[str], bool], begin: str) -> None:
    """A megabyte; a pattern that tries each way to cut it would take a day."""
    assert not ask(begin + ("1" if not begin else " ") * 1_000_000 + "x")
