"""Samples of any rate at the ticks of another."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.resample import NEAR_S, Resampler, Take


def column(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(values, np.float32)[:, None]


@pytest.mark.parametrize(("take", "meant"), [("mean", -1.0), ("last", 1.0), ("rms", 3.0), ("peak", 5.0)])
def test_a_tick_has_what_came_after_the_one_before_up_to_itself(take: Take, meant: float) -> None:
    resampler = Resampler(1, 1.0, take, 0.0)
    resampler.push(10.0, 2.0, column(100.0))  # of tick 10
    resampler.push(10.25, 4.0, column(1.0, -5.0, math.nan, 1.0))  # up to 11.0
    resampler.push(11.25, 4.0, column(50.0))
    assert resampler.rows(10, 10)[0, 0] == 100.0
    assert resampler.rows(11, 11)[0, 0] == pytest.approx(meant)


def test_a_tick_that_nothing_fell_into_has_the_value_before_for_as_long_as_it_holds() -> None:
    resampler = Resampler(1, 1.0, "mean", 2.5)
    resampler.push(1.0, 1.0, column(7.0))
    assert resampler.rows(1, 2)[:, 0].tolist() == [7.0, 7.0]
    np.testing.assert_array_equal(resampler.rows(3, 4)[:, 0], [7.0, math.nan])


def test_each_channel_is_missing_for_itself() -> None:
    resampler = Resampler(2, 1.0, "mean", 0.0)
    resampler.push(0.5, 4.0, np.array([[1.0, math.nan], [3.0, math.nan]], np.float32))
    np.testing.assert_array_equal(resampler.rows(1, 1)[0], [2.0, math.nan])


def test_samples_whose_row_is_given_are_late_and_left_out() -> None:
    resampler = Resampler(1, 1.0, "mean", 0.0)
    assert resampler.push(4.5, 1.0, column(1.0, 2.0, 3.0), first=6) == 1
    assert resampler.rows(6, 7)[:, 0].tolist() == [2.0, 3.0]
    assert resampler.push(1.0, 1.0, column(1.0), first=8) == 1
    assert resampler.next is None


@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32) | st.just(math.nan), min_size=1, max_size=7), max_size=8
    ),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([0.7, 1.0, 10.0]),
    st.sampled_from(["mean", "last", "rms", "peak"]),
    st.floats(0.0, 3.0),
    st.lists(st.integers(0, 100), max_size=3),
)
def test_it_gives_what_one_sample_at_a_time_would(
    blocks: list[list[float]], period_s: float, rate_hz: float, take: Take, hold_s: float, cuts: list[int]
) -> None:
    resampler = Resampler(1, period_s, take, hold_s)
    samples: dict[int, list[float]] = {}
    time = 1_700_000_000.0
    for block in blocks:
        resampler.push(time, rate_hz, column(*block))
        for i, value in enumerate(np.array(block, np.float32).tolist()):
            tick = math.ceil((time + i / rate_hz - NEAR_S) / period_s)
            samples.setdefault(tick, []).append(value)
        time += len(block) / rate_hz
    held, held_at = math.nan, -math.inf
    first, last = min(samples, default=0), max(samples, default=0) + 3
    meant = []
    for tick in range(first, last + 1):
        known = [value for value in samples.get(tick, []) if not math.isnan(value)]
        if known:
            held_at = tick * period_s
            held = {
                "mean": float(np.mean(known)),
                "last": known[-1],
                "rms": math.sqrt(sum(value * value for value in known) / len(known)),
                "peak": max(abs(value) for value in known),
            }[take]
        meant.append(held if tick * period_s - held_at <= hold_s + NEAR_S else math.nan)
    edges = sorted({first, last + 1, *(first + edge for edge in cuts if edge <= last - first)})
    rows = [resampler.rows(begin, end - 1)[:, 0] for begin, end in pairwise(edges)]
    np.testing.assert_allclose(np.concatenate(rows), meant, rtol=1e-6, atol=1e-6)
