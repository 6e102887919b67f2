"""An asked rate of false alarms puts the edge where normal operation comes that often, and no looser where little is
known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tail import HOUR_S, LOOSEST_HZ, WEEK_S, Peaks, Tail, fit, kept_up

tails = st.builds(
    Tail, st.floats(0.5, 2), st.floats(0, 1e4), st.floats(0, 1e3), st.floats(10, 1e8), st.floats(0.05, 1)
)
rates = st.floats(1 / (1000 * WEEK_S), LOOSEST_HZ)


@given(tails, rates, rates)
def test_a_stricter_budget_never_has_a_nearer_edge(tail: Tail, one: float, other: float) -> None:
    loose, strict = max(one, other), min(one, other)
    assert tail.edge(strict) >= tail.edge(loose) >= tail.threshold


@given(tails, rates)
def test_the_rate_expected_at_an_edge_is_the_one_that_was_asked_for(tail: Tail, rate: float) -> None:
    edge = tail.edge(rate)
    expected = tail.expected(edge)
    assert expected.low <= expected.rate <= expected.high
    often = max(tail.events, 0.7) / tail.seconds
    assert expected.rate == pytest.approx(min(rate, often), rel=1e-6)


def test_the_less_was_seen_the_wider_the_berth_and_the_interval() -> None:
    little, much = Tail(1.0, 10, 2.0, 3600.0, 0.2), Tail(1.0, 1000, 200.0, 360_000.0, 0.2)
    assert little.edge(1 / WEEK_S) > much.edge(1 / WEEK_S)
    wide, narrow = (tail.expected(tail.edge(1 / WEEK_S)) for tail in (little, much))
    assert wide.high / wide.low > 10 * narrow.high / narrow.low


def exponential(seed: int, rows: int) -> np.ndarray:
    """Independent events ten rows apart, of which the truth is known."""
    scores = np.zeros(rows)
    scores[::10] = np.random.default_rng(seed).exponential(0.2, rows // 10)
    return scores


def truly(edge: float) -> float:
    return math.exp(-edge / 0.2) / 10


def test_events_of_an_exponential_tail_come_as_often_as_was_asked() -> None:
    tail = fit([exponential(1, 2_000_000)], 1.0, 1, 1)
    for rate in (1 / 600, 1 / HOUR_S, 1 / 86_400):
        assert truly(tail.edge(rate)) == pytest.approx(rate, rel=0.25)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered, lessons = 0, 300
    for seed in range(lessons):
        tail = fit([exponential(seed, 20_000)], 1.0, 1, 1)
        expected = tail.expected(tail.edge(1 / 86_400))
        covered += expected.low <= truly(tail.edge(1 / 86_400)) <= expected.high
    assert 0.85 * lessons <= covered


@given(st.lists(st.floats(0, 3), max_size=80), st.integers(1, 6))
def test_a_score_counts_for_as_long_as_it_was_kept_up(scores: list[float], run: int) -> None:
    expected = [min(scores[i : i + run]) for i in range(len(scores) - run + 1)]
    assert kept_up(np.array(scores), run).tolist() == expected


def passed(
    scores: list[float], threshold: float, run: int, gap: int, cap: float, longest: int
) -> tuple[int, list[float]]:
    """The definition, row by row: what is known for normal with these scores, and the peaks of its events."""
    rows, peaks, event = 0, list[float](), list[float]()  # what was kept up since the event under way began
    for i in range(len(scores)):
        kept = min(scores[i - run + 1 : i + 1]) if i >= run - 1 else 0.0
        if not event and kept <= threshold:
            rows += 1
            continue
        event.append(kept)
        above = [j for j, each in enumerate(event) if each > threshold]
        if len(event) - 1 - above[-1] > gap:
            if max(event) <= cap and above[-1] + 1 <= longest:
                rows += len(event)
                peaks.append(max(event))
            event = []
    return rows, peaks


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.5, 2.0, 2.5]), max_size=60),
    st.integers(1, 4),
    st.integers(1, 5),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from([2.0, 9.0]),
    st.sampled_from([3, 10, 99]),
)
def test_events_are_those_of_the_definition_however_the_stream_is_cut(
    scores: list[float], run: int, gap: int, cuts: list[int], cap: float, longest: int
) -> None:
    rows, peaks, stream = 0, list[float](), Peaks(1.0, run, gap)
    stream.cap, stream.longest = cap, longest
    for piece in np.split(np.array(scores), sorted(min(cut, len(scores)) for cut in cuts)):
        if not len(piece):
            continue
        if piece.max() <= 1.0:
            more = stream.quiet(len(piece))
        elif len(piece) == 1:
            more = stream.push_one(piece.item())
        else:
            more = stream.push(piece)
        rows, peaks = rows + more.rows, peaks + more.peaks
    assert (rows, peaks) == passed(scores, 1.0, run, gap, cap, longest)


def test_what_was_under_way_when_a_stream_broke_counts_as_far_as_it_went() -> None:
    stream = Peaks(1.0, 1, 3)
    assert stream.push(np.array([0.5, 2.0, 1.5, 0.5])) == (1, [])
    assert stream.interrupted() == (3, [2.0])
    assert stream.interrupted() == (0, [])


def test_what_is_far_beyond_normal_is_not_learned_as_normal() -> None:
    tail = Tail(1.0, 50, 10.0, 3600.0, 0.2)
    assert tail.seen([100.0], 60.0).events == 50
    assert tail.seen([1.1], 60.0).events == 51


def test_with_nothing_asked_the_rate_is_what_the_normal_seen_supports() -> None:
    assert Tail(1.0, 5, 1.0, 60.0, 0.2).supported_hz() == 1 / HOUR_S
    assert Tail(1.0, 5, 1.0, 2 * HOUR_S, 0.2).supported_hz() == pytest.approx(1 / (60 * HOUR_S))
    assert Tail(1.0, 5, 1.0, 30 * WEEK_S, 0.2).supported_hz() == 1 / WEEK_S
