"""Windows are the same however a stream is cut, and never have a hole in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.window import LARGEST, Windower, Windows, sliding_sum
from tests.models.streams import Array, Stretch, cut, cuts, every, noise

RATES = (
    1.0,
    0.1,
    1 / 3,
    3.0,
    7.0,
    50.0,
    60.0,
    3200.0,
    12800.0,
    44100.0,
)  # some periods are no whole microseconds
BAD = (np.nan, np.inf, -np.inf, 3e38, LARGEST)

Flat = tuple[list[float], list[list[list[float]]], list[bool]]


@st.composite
def streams(draw: st.DrawFn) -> list[Stretch]:
    """A few stretches of one rate, with holes between and in them."""
    width, rate = draw(st.integers(1, 3)), draw(st.sampled_from(RATES))
    time, count, stretches = draw(st.floats(1.6e9, 1.9e9)), 0, []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(0, 60))
        values = np.arange(count, count + rows * width, dtype=np.float32).reshape(rows, width)
        count += rows * width
        for row in draw(st.lists(st.integers(0, max(rows - 1, 0)), max_size=8)) if rows else ():
            values[row, draw(st.integers(0, width - 1))] = draw(st.sampled_from(BAD))
        stretches.append(Stretch(time, rate, values))
        time += (rows + draw(st.integers(-3, 12))) / rate
    return stretches


def windows_of(windower: Windower, pieces: list[Stretch]) -> Flat:
    """What comes out, flattened: times, values, and which were marked fresh."""
    times: list[float] = []
    values: list[list[list[float]]] = []
    fresh: list[bool] = []
    for piece in pieces:
        for windows in windower.push(piece.start, piece.rate_hz, piece.values):
            stacked = windows.stacked()
            assert stacked.shape == (len(windows.times), windower.length, windower.width)
            times += windows.times
            values += stacked.tolist()
            fresh += [windows.fresh] + [False] * (len(windows.times) - 1)
    return times, values, fresh


def plainly(length: int, hop: int, max_gap_s: float, stretches: list[Stretch]) -> tuple[Flat, int, int]:
    """The same row by row, with what is missing and how often it started afresh."""
    times: list[float] = []
    values: list[list[list[float]]] = []
    fresh: list[bool] = []
    kept: list[list[float]] = []
    seen = missing = restarts = 0
    last = None
    for stretch in stretches:
        period = 1 / stretch.rate_hz
        for i, row in enumerate(stretch.values.tolist()):
            time = stretch.start + i / stretch.rate_hz
            if not all(abs(value) < LARGEST for value in row):
                missing += 1
                continue
            if last is not None and not -0.5 * period <= time - last - period <= max_gap_s + 0.5 * period:
                restarts += 1
                kept, seen = [], 0
            last = time
            kept.append(row)
            seen += 1
            if seen >= length and (seen - length) % hop == 0:
                times.append(time)
                values.append(kept[-length:])
                fresh.append(seen == length)
    return (times, values, fresh), missing, restarts


@given(streams(), st.integers(1, 9), st.integers(1, 14), st.integers(0, 6), st.data())
def test_any_way_of_cutting_a_stream_gives_the_windows_of_a_plain_walk_through_it(
    stretches: list[Stretch], length: int, hop: int, gap_rows: int, data: st.DataObject
) -> None:
    width, max_gap_s = stretches[0].values.shape[1], gap_rows / stretches[0].rate_hz
    whole = Windower(length, hop, width, max_gap_s)
    expected = windows_of(whole, stretches)
    (times, values, fresh), missing, restarts = plainly(length, hop, max_gap_s, stretches)
    assert expected[0] == pytest.approx(times, abs=1e-6, rel=0)
    assert expected[1] == values
    assert expected[2] == fresh
    assert (whole.missing, whole.restarts) == (missing, restarts)

    pieces = [piece for stretch in stretches for piece in cut(stretch, data.draw(cuts(60)))]
    again = Windower(length, hop, width, max_gap_s)
    assert windows_of(again, pieces) == expected  # to the last bit, times too
    assert (again.missing, again.restarts) == (missing, restarts)


@pytest.mark.parametrize("rate_hz", RATES)
def test_times_are_the_same_microseconds_for_every_size_of_piece(rate_hz: float) -> None:
    stretch = Stretch(1700000000.123456, rate_hz, noise(4000, 1))
    expected = windows_of(Windower(5, 3, 1, 1.0), [stretch])
    for size in (1, 7, 100, 1333):
        pieces = list(cut(stretch, every(size, 4000)))
        assert windows_of(Windower(5, 3, 1, 1.0), pieces)[0] == expected[0]
    assert all(time == round(time, 6) for time in expected[0])


def test_a_long_gap_starts_afresh_and_a_short_one_is_closed_up() -> None:
    rows = np.arange(10, dtype=np.float32)[:, None]
    for missing, fresh in ((3, False), (4, True)):
        windower = Windower(4, 1, 1, max_gap_s=3.0)
        windower.push(0.0, 1.0, rows[:5])
        (windows,) = windower.push(5.0 + missing, 1.0, rows[5:])
        assert windows.fresh is fresh
        assert windower.restarts == fresh
        first = [5.0, 6.0, 7.0, 8.0] if fresh else [2.0, 3.0, 4.0, 5.0]
        assert windows.stacked()[0, :, 0].tolist() == first


def test_bursts_have_windows_of_their_own_and_go_on_after_a_pause() -> None:
    windower = Windower(3, 3, 1, max_gap_s=0.1, pause_s=30.0)
    freshness, values = [], []
    for burst, time in enumerate((0.0, 10.0, 20.0, 49.0, 200.0)):
        for windows in windower.push(time, 10.0, np.full((4, 1), burst, np.float32)):
            freshness.append(windows.fresh)
            values.append(windows.stacked().ravel().tolist())
    assert freshness == [True, False, False, False, True]
    assert values == [[float(burst)] * 3 for burst in range(5)]
    assert windower.restarts == 1


def test_a_pause_before_the_first_window_leaves_it_the_first() -> None:
    windower = Windower(3, 3, 1, max_gap_s=0.1, pause_s=30.0)
    assert windower.push(0.0, 10.0, noise(2, 1)) == []
    (windows,) = windower.push(10.0, 10.0, noise(3, 1))
    assert windows.fresh


def test_time_running_backwards_starts_afresh() -> None:
    windower = Windower(3, 1, 1, max_gap_s=5.0)
    windower.push(100.0, 1.0, noise(10, 1))
    assert windower.push(105.0, 1.0, noise(2, 1)) == []
    assert windower.restarts == 1
    (windows,) = windower.push(107.0, 1.0, noise(1, 1))
    assert windows.fresh
    assert windows.times == [107.0]


def test_the_same_rows_sent_twice_start_afresh_and_never_lie_in_one_window() -> None:
    windower = Windower(3, 1, 1, max_gap_s=5.0)
    for _ in range(3):
        (windows,) = windower.push(100.0, 1.0, noise(4, 1))
        assert windows.times == [102.0, 103.0]
    assert windower.restarts == 2


def test_another_rate_starts_afresh_once() -> None:
    windower = Windower(3, 1, 1, max_gap_s=0.1)
    windower.push(0.0, 1.0, noise(3, 1))
    (windows,) = windower.push(3.0, 2.0, noise(3, 1))
    assert windows.fresh
    assert windower.restarts == 1


def test_rows_that_are_not_numbers_are_counted_and_never_inside_a_window() -> None:
    values = noise(100, 2)
    values[10, 0], values[11, 1], values[50, 0] = np.nan, np.inf, -np.inf
    values[70] = (3e38, -3e38)
    windower = Windower(4, 1, 2, max_gap_s=60.0)
    with np.errstate(all="raise"):
        batches = windower.push(0.0, 1.0, values)
    assert windower.missing == 4
    assert windower.restarts == 0
    seen = np.concatenate([windows.stacked() for windows in batches])
    assert np.isfinite(seen).all()
    assert len(seen) == 96 - 3


def test_windows_of_one_push_stay_good_though_it_had_holes() -> None:
    values = np.arange(400, dtype=np.float32)[:, None]
    values[::7] = np.nan
    windower = Windower(6, 1, 1, max_gap_s=1e9)
    kept = np.delete(values, np.s_[::7], axis=0)
    batches = windower.push(0.0, 1.0, values)
    seen = np.concatenate([windows.stacked() for windows in batches])[:, -1, 0]
    assert seen.tolist() == kept[5:, 0].tolist()


def test_nothing_but_missing_rows_gives_nothing() -> None:
    windower = Windower(1, 1, 1, max_gap_s=1.0)
    assert windower.push(0.0, 1.0, np.full((5, 1), np.nan, np.float32)) == []
    assert windower.push(5.0, 1.0, np.empty((0, 1), np.float32)) == []
    assert (windower.missing, windower.restarts) == (5, 0)


def test_one_row_windows_are_the_rows_themselves() -> None:
    values = noise(9, 3)
    (windows,) = Windower(1, 1, 3, 1.0).push(50.0, 10.0, values)
    assert windows.times == pytest.approx([50 + i / 10 for i in range(9)], abs=1e-6)
    assert (windows.stacked()[:, 0] == values).all()


def test_a_hop_longer_than_the_window_skips_rows() -> None:
    (windows,) = Windower(2, 5, 1, 1.0).push(0.0, 1.0, np.arange(14, dtype=np.float32)[:, None])
    assert windows.stacked()[:, :, 0].tolist() == [[0, 1], [5, 6], [10, 11]]
    assert windows.times == [1, 6, 11]


@pytest.mark.parametrize(("length", "hop", "width"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_window_of_nothing_is_refused(length: int, hop: int, width: int) -> None:
    with pytest.raises(ValueError, match="at least one row, hop and channel"):
        Windower(length, hop, width, 1.0)


def test_stacked_windows_share_the_memory_of_their_rows() -> None:
    windows = Windows([0.0] * 91, noise(100, 2), 10, 1, True)
    assert np.shares_memory(windows.stacked(), windows.rows)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(0, 9))
@example(1, 700, 1, 0)
@example(1, 5000, 2, 0)
def test_sliding_sums_are_those_of_adding_one_row_after_the_other(
    outputs: int, length: int, width: int, seed: int
) -> None:
    rows = noise(outputs + length - 1, width, seed) * np.float32(1e3)
    assert sliding_sum(rows, length).tolist() == added_in_order(rows, length)


def added_in_order(rows: Array, length: int) -> list[list[float]]:
    sums = []
    for first in range(len(rows) - length + 1):
        total = [float(value) for value in rows[first]]
        for row in rows[first + 1 : first + length]:
            total = [a + float(b) for a, b in zip(total, row, strict=True)]
        sums.append(total)
    return sums
