"""Times of samples that came in blocks: no sample unaccounted for, and no jitter taken for a loss."""

from __future__ import annotations

import itertools
import math
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.window import Windower
from sensors import Clock
from sensors.contract import PushedClock
from sensors.sample_times import Arrivals, Epoch, Run, Stamped, Timeline

START_NS = 1_700_000_000_000_000_000


def runs_of(stamps: list[int], sizes: list[int], rate_hz: float) -> list[Run]:
    """All runs of a stream that is cut into blocks of these sizes, again and again; numbered through."""
    stamped, at = Stamped(rate_hz), 0
    runs: list[Run] = []
    for size in itertools.cycle(sizes):
        block = np.array(stamps[at : at + size], np.int64)
        if not len(block):
            return runs
        runs += [Run(at + r.first, at + r.stop, r.time, r.lost) for r in stamped.runs(block, 0.0)]
        at += size
    raise AssertionError


@given(
    st.lists(st.integers(2, 200), min_size=1, max_size=5),
    st.sampled_from([-0.03, -0.001, 0.0, 0.0005, 0.03]),
    st.floats(0.0, 0.1),
    st.integers(0, 2**32),
)
def test_what_arrives_and_what_is_lost_is_what_was_sent(
    sizes: list[int], faster: float, jitter: float, seed: int
) -> None:
    dice = random.Random(seed)
    rate_hz, period_ns = 1600.0, 1e9 / 1600 / (1 + faster)
    there = [i for i in range(1500) if i < 2 or dice.random() > 0.01]
    stamps = [START_NS + round((i + dice.uniform(-jitter, jitter)) * period_ns) for i in there]
    runs = runs_of(stamps, sizes, rate_hz)
    assert [run.first for run in runs[1:]] == [run.stop for run in runs[:-1]]
    assert sum(run.stop - run.first for run in runs) == len(there)
    assert sum(run.lost for run in runs) == there[-1] + 1 - len(there)
    off = [run.time - (START_NS + there[run.first] * period_ns) / 1e9 for run in runs]
    assert max(map(abs, off)) < 0.9 / rate_hz


def test_a_late_stamp_before_one_on_time_is_no_loss() -> None:
    stamps = [START_NS + round(625_000 * (i + 0.9 * (i % 50 == 7))) for i in range(500)]
    assert sum(run.lost for run in runs_of(stamps, [100], 1600.0)) == 0


def test_even_stamps_make_one_run_with_the_first_ones_time() -> None:
    (run,) = Stamped(1600.0).runs(np.arange(160) * 625_000 + START_NS, 0.0)
    assert (run.first, run.stop, run.lost) == (0, 160, 0)
    assert run.time == pytest.approx(START_NS / 1e9, abs=1e-6)


def test_a_clock_that_was_set_back_begins_another_run_and_loses_nothing() -> None:
    stamps = np.arange(100) * 625_000 + START_NS
    stamps[60:] -= 3600 * 10**9
    runs = Stamped(1600.0).runs(stamps, 0.0)
    assert [(run.first, run.lost) for run in runs] == [(0, 0), (60, 0)]
    assert runs[1].time == pytest.approx(stamps[60] / 1e9, abs=1e-6)


@pytest.mark.parametrize("name", ["monotonic", "boottime", "tai", "monotonic_raw", "realtime"])
def test_the_kernels_clocks_lead_to_unix_time(name: str) -> None:
    ids = {"monotonic": time.CLOCK_MONOTONIC, "boottime": time.CLOCK_BOOTTIME, "tai": time.CLOCK_TAI}
    ids |= {"monotonic_raw": time.CLOCK_MONOTONIC_RAW, "realtime": time.CLOCK_REALTIME}
    epoch = Epoch(name, Clock())
    assert time.clock_gettime(ids[name]) + epoch.offset_s() == pytest.approx(time.time(), abs=0.1)


def test_the_epoch_does_not_shake_but_follows_a_clock_that_was_set() -> None:
    clock = PushedClock()
    epoch = Epoch("monotonic", clock)
    first = epoch.offset_s()
    clock.unix += 0.0009
    assert epoch.offset_s() == first
    clock.unix += 100.0
    assert epoch.offset_s() == pytest.approx(first + 100.0009)


@given(st.floats(-0.03, 0.03), st.integers(0, 2**32))
def test_arrivals_follow_a_source_with_a_clock_of_its_own(faster: float, seed: int) -> None:
    dice = random.Random(seed)
    rate_hz = 800.0
    arrivals, taken, off = Arrivals(rate_hz), 0, []
    now = 0.0
    for _ in range(600):
        now += dice.uniform(0.01, 0.03)
        rows = int(now * rate_hz * (1 + faster)) - taken
        run = arrivals.run(rows, now)
        off.append((run.time - (taken + 1) / (rate_hz * (1 + faster))) * rate_hz)
        taken += rows
        assert not run.lost
    assert np.std(off[200:]) < 0.25  # in periods
    assert abs(np.mean(off[200:])) < 0.1


def test_samples_that_never_arrived_are_counted_by_the_time_that_passed() -> None:
    arrivals = Arrivals(1000.0)
    for i in range(50):
        arrivals.run(20, (i + 1) * 0.02)
    run = arrivals.run(20, 51 * 0.02 + 0.5)
    assert run.lost == pytest.approx(500, abs=2)
    assert run.time == pytest.approx(50 * 0.02 + 0.5, abs=0.002)
    assert arrivals.run(20, 52 * 0.02 + 0.5).lost == 0


def test_a_clock_that_was_set_back_loses_no_sample_by_arrival() -> None:
    arrivals = Arrivals(1000.0)
    for i in range(50):
        arrivals.run(20, (i + 1) * 0.02)
    run = arrivals.run(20, 51 * 0.02 - 100.0)
    assert run.lost == 0
    assert run.time == pytest.approx(50 * 0.02 - 100.0, abs=0.001)


@pytest.mark.parametrize("faster", [-0.03, 0.0, 0.001, 0.03])
def test_readings_of_a_source_that_is_fast_do_not_overlap_and_are_set_right_seldom(faster: float) -> None:
    timeline, rate_hz, rows = Timeline(1600.0), 1600.0, 160
    due, ahead, jumps = -math.inf, [], 0
    for block in range(3000):
        true = block * rows / (rate_hz * (1 + faster))
        told = timeline.place(true, rows)
        jumps += told < due - 0.875 / rate_hz  # what windows take for a step back
        due = told + rows / rate_hz
        ahead.append(told - true)
    assert min(ahead) >= 0.0
    assert max(ahead) <= 2.0
    assert jumps == (3 if faster == 0.03 else 0)
    if faster <= 0.001:
        assert max(ahead) == 0.0


def test_a_fast_source_keeps_its_windows_but_for_one_fresh_start_each_time() -> None:
    timeline, windower, windows = Timeline(1600.0), Windower(1600, 800, 1, 0.02), 0
    for block in range(3000):
        time = timeline.place(block * 160 / 1648.0, 160)
        windows += sum(len(w.times) for w in windower.push(time, 1600.0, np.zeros((160, 1), np.float32)))
    assert windower.restarts == 3
    assert windows > 0.98 * 3000 * 160 / 800
