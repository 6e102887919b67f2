"""Arrays through the real Monitor: levels stand at their rows, and a block of rows gives what single rows give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.monitor_config import MonitorConfig
from agent.quantities import Span
from benchmarks.road import Doubles, Walk, cuts, walk
from sensors.base import Channel

CHANNELS = [Channel("pressure"), Channel("flow"), Channel("current")]
CONFIG = MonitorConfig(name="pump", sensor="recording", learn=Span(200, "rows"))


def _broken_pump(rows: int = 500, breaks: int = 400) -> NDArray[np.float32]:
    values = np.random.default_rng(1).standard_normal((rows, 3))
    values[breaks:] += 6
    return values.astype(np.float32)


def _walked(values: NDArray[np.float32], times: Doubles | None = None, block: int = 1) -> Walk:
    times = 1.7e9 + np.arange(float(len(values))) if times is None else times
    return walk(values, times, channels=CHANNELS, rate_hz=1.0, config=CONFIG, block=block)


def test_levels_stand_at_the_rows_that_gave_them() -> None:
    walked = _walked(_broken_pump())
    assert np.isnan(walked.levels[:200]).all()
    assert np.isfinite(walked.levels[walked.armed :]).all()
    assert walked.armed == 200 + 20 - 1  # learned from 200 rows, and the first mean of 20 after them
    above = np.flatnonzero(walked.levels >= 1)
    assert 400 <= above[0] < 420


def test_an_alert_stands_from_the_row_that_raised_it() -> None:
    walked = _walked(_broken_pump())
    (raised,) = walked.rows("raised")
    assert 410 <= raised < 430
    assert not walked.raised[:raised].any()
    assert walked.raised[raised:].all()


@pytest.mark.parametrize("block", [7, 64])
def test_blocks_of_rows_give_what_single_rows_give(block: int) -> None:
    times = 1.7e9 + np.arange(500.0)
    times[300:] += 1  # as one row of twenty is late on the pump rigs
    one, many = _walked(_broken_pump(), times), _walked(_broken_pump(), times, block)
    np.testing.assert_array_equal(one.levels, many.levels)
    np.testing.assert_array_equal(one.raw, many.raw)
    assert [(e.kind, e.time) for e in one.events] == [(e.kind, e.time) for e in many.events]
    assert one.events_at == many.events_at


def test_readings_end_where_rows_are_unevenly_spaced() -> None:
    times = np.array([0.0, 1, 2, 4, 5, 6, 7])
    assert list(cuts(times, 1.0, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(cuts(times, 1.0, 1)) == [(i, i + 1) for i in range(7)]
