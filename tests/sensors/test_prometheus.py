"""Prometheus' text of metrics."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.prometheus import Selection, Series, parse_series

TEXT = """\
# HELP temp Temperature.
# TYPE temp gauge
temp{sensor="1",chip="a \\"b\\" \\\\ {c}"} 21.5
temp { sensor = "2" , } +Inf 1700000000250
temp_total 7 1700000000.5 # {trace="x"} 1
tempest 99
broken{sensor="1" 5
broken{sensor="2"} 1 2 3
broken{sensor="3"} 8
"""
NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=8), max_size=3
)


@pytest.mark.parametrize(
    ("selector", "value", "time"),
    [
        ('temp{sensor="1"}', "21.5", None),
        ('temp{chip="a \\"b\\" \\\\ {c}"}', "21.5", None),
        ('temp{sensor="2"}', "+Inf", 1_700_000_000.25),
        ("temp_total", "7", 1_700_000_000.5),
        ("tempest{}", "99", None),
        ("tem", None, None),
        ('temp{sensor="3"}', None, None),
    ],
)
def test_a_selector_finds_its_series(selector: str, value: str | None, time: float | None) -> None:
    assert Selection([selector]).read(TEXT) == ([value], [time], 0)


def test_several_are_found_at_once_and_lines_that_cannot_be_read_are_counted() -> None:
    selection = Selection(["tempest", 'broken{sensor="3"}', 'temp{sensor="1"}', 'temp{sensor="1"}'])
    assert selection.read(TEXT) == (["99", "8", "21.5", "21.5"], [None] * 4, 2)


def test_a_selector_that_fits_several_names_two() -> None:
    with pytest.raises(
        LookupError, match=r'temp\{\} fits temp\{sensor="1", .*\} and temp\{sensor="2"\}: say which'
    ):
        Selection(["temp"]).read(TEXT)


@given(NAMES, LABELS)
def test_series_are_read_as_they_are_written(name: str, labels: dict[str, str]) -> None:
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for key, value in labels.items()
    }
    text = name + "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
    series, rest = parse_series(text)
    assert (series.name, dict(series.labels), rest) == (name, labels, "")


def test_a_hostile_line_takes_no_longer_than_its_length() -> None:
    line = "up{" + 'a="",' * 400_000 + "} 1"  # 2 MB, which copied anew for each label took 20 s
    began = time.process_time()
    assert parse_series(line) == (Series("up", {"a": ""}), " 1")
    assert time.process_time() - began < 5.0


@given(st.text(alphabet='ab{}="\\, 019.e+-\n#', max_size=80))
def test_no_text_does_worse_than_a_line_that_is_counted(text: str) -> None:
    try:
        values, times, unreadable = Selection(["a", 'b{a="a"}']).read("a 1\n" + text)
    except LookupError:  # it has an `a` too
        return
    assert values[0] == "1"
    assert unreadable >= 0
    assert all(time is None or abs(time) < float("inf") for time in times)
