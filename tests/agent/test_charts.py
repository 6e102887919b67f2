"""Charts of characters: no peak is lost, what is printed adds up, and ASCII is enough."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charts import Pen, bar, line_chart, pen, percents, spark

BOTH = [Pen(80), Pen(80, plain=True)]


@given(parts=st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_printed_percents_add_up_to_what_the_parts_do(parts: list[float]) -> None:
    whole = round(1000 * math.fsum(parts))
    assert round(10 * math.fsum(map(float, percents(parts)))) == whole


def test_percents_round_where_the_remainder_is_largest() -> None:
    assert percents([0.33333, 0.33333, 0.33334]) == ["33.3", "33.3", "33.4"]
    assert percents([1.004, -0.004]) == ["100.4", "-0.4"]


@pytest.mark.parametrize("by", BOTH)
def test_one_sample_above_all_others_is_seen_in_the_top_line(by: Pen) -> None:
    y = np.full(100_000, 0.1)
    y[77_777] = 3.0
    lines = line_chart(by, np.arange(100_000.0), y, edge=1.0, base=0.0)
    drawn = lines[0].partition("|" if by.plain else "┤")[2]
    assert drawn.strip()
    assert 0.75 < drawn.index(drawn.strip()) / (len(drawn.rstrip()) / 0.7777) < 0.8


@pytest.mark.parametrize("by", BOTH)
@given(
    values=st.lists(st.one_of(st.floats(0, 1e9), st.just(math.nan)), max_size=50),
    edge=st.one_of(st.none(), st.just(1.0)),
)
def test_no_line_is_wider_than_the_page(by: Pen, values: list[float], edge: float | None) -> None:
    x, y = np.arange(float(len(values))), np.array(values)
    lines = line_chart(
        by, x, y, edge=edge, marks=[(0.0, "here"), (len(values) - 1.0, "there")], ends=("a", "b")
    )
    assert max(map(len, lines)) <= by.width
    if by.plain:
        assert all(line.isascii() for line in lines)


def test_the_edge_is_drawn_across_and_labelled() -> None:
    lines = line_chart(Pen(60), np.arange(50.0), np.linspace(0, 2, 50), edge=1.0)
    (edge,) = [line for line in lines if "─" in line]
    assert edge.strip().startswith("1 ┤")


def test_a_level_many_times_the_edge_is_drawn_on_a_logarithmic_axis() -> None:
    y = np.concatenate([np.full(50, 0.5), np.full(50, 500.0)])
    lines = line_chart(Pen(60), np.arange(100.0), y, edge=1.0, height=8)
    edge = next(i for i, line in enumerate(lines) if "─" in line)
    assert 4 <= edge <= 6, "a linear axis would have it on the ground, at 7"


def test_bars_are_as_long_as_their_part_and_differ_below_zero() -> None:
    assert len(bar(Pen(80), 0.5, 20)) == 10
    assert bar(Pen(80), 0.501, 20).endswith("█")
    assert bar(Pen(80), 0.525, 20).endswith("▌")
    assert set(bar(Pen(80), -0.5, 20)) == {"▒"}
    assert bar(Pen(80, plain=True), 0.5, 20) == "#" * 10
    assert bar(Pen(80), 0.0, 20) == ""


def test_a_spark_rises_where_the_values_do() -> None:
    assert spark(Pen(80), np.array([0.0, 0.0, 1.0, 1.0]), 4) == "▁▁██"
    assert spark(Pen(80), np.full(4, 7.0), 4) == "▄▄▄▄"
    assert spark(Pen(80, plain=True), np.arange(4.0), 4) == ""


def test_what_the_terminal_cannot_show_is_drawn_in_ascii() -> None:
    assert not pen(80, "utf-8").plain
    assert pen(80, "ascii").plain
    assert pen(80, "latin-1").plain
    assert pen(80, None).plain
    assert pen(3, "utf-8").width == 40
