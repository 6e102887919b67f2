"""Faults of a sensor are told from those of a machine, the same however the stream was cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.guard import KINDS, STREAM, Finding, Guard
from tests.models.streams import Array, Stretch, cut, every, noise

START = 1.7e9
ILLS = ("none", "stuck", "absent", "spikes", "step", "zero", "rail", "coarse", "clipped", "huge", "still")


def ailing(values: Array, ill: str, random: np.random.Generator) -> None:
    """Do something to some rows of one channel."""
    rows = len(values)
    column = values[:, random.integers(values.shape[1])]
    first = int(random.integers(rows))
    some = slice(first, first + int(random.integers(1, 80)))
    if ill == "stuck":
        column[some] = column[first]
    elif ill == "absent":
        column[some][random.random(len(column[some])) < random.random()] = np.nan
    elif ill == "spikes":
        column[some][random.random(len(column[some])) < 0.15] += 300
    elif ill == "step":
        column[first:] += 40
    elif ill == "zero":
        values[some] = 0
    elif ill == "rail":
        column[some] = 1000
    elif ill == "coarse":
        column[some] = np.round(column[some])
    elif ill == "clipped":
        np.clip(column[some], -0.4, 0.4, out=column[some])
    elif ill == "still":
        column[:first] = random.choice([0, 5])
    elif ill == "huge":
        column[first] = random.choice([np.inf, -np.inf, 3e38])


@st.composite
def streams(draw: st.DrawFn) -> list[Stretch]:
    """Stretches of a stream with ill channels, and gaps."""
    width, rate = draw(st.integers(1, 3)), draw(st.sampled_from([1.0, 1 / 300, 7.0, 200.0]))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    time, stretches = START, []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(1, 400))
        values = noise(rows, width, seed=int(random.integers(1000)))
        for ill in draw(st.lists(st.sampled_from(ILLS), max_size=4)):
            ailing(values, ill, random)
        stretches.append(Stretch(time, rate, values))
        time += (rows + draw(st.integers(0, 40))) / rate
    return stretches


def walk(guard: Guard, stretches: list[Stretch]) -> tuple[Array, list[Finding]]:
    pieces, findings = [], []
    for stretch in stretches:
        checked, found = guard.check(stretch.start, stretch.rate_hz, stretch.values)
        pieces.append(checked)
        findings += found
    return np.concatenate(pieces), findings


def watched(
    values: Array, *, rate_hz: float = 1.0, lesson: int = 600, **settings: object
) -> tuple[Array, list[Finding]]:
    guard = Guard(values.shape[1], rate_hz, lesson=lesson, **settings)  # type: ignore[arg-type]
    return walk(guard, [Stretch(START, rate_hz, values)])


def begun(findings: list[Finding]) -> list[tuple[str, int]]:
    return [(finding.kind, finding.column) for finding in findings if finding.begins]


def shaking(seconds: float, seed: int = 0) -> Array:
    """Two axes of a vibration at 3200 Hz: noise and a turning shaft."""
    t = np.arange(round(seconds * 3200)) / 3200
    wave = 0.4 * np.sin(2 * np.pi * 24.7 * t)[:, None] + 0.15 * noise(len(t), 2, seed)
    return wave.astype(np.float32)


# The same however it was cut.


@settings(max_examples=150, deadline=None)
@given(
    streams(),
    st.booleans(),
    st.integers(0, 500),
    st.lists(st.integers(1, 399), max_size=10),
    st.sampled_from([0, 1, 7, 64]),
)
def test_what_is_found_and_withheld_does_not_depend_on_how_the_stream_was_cut(
    stretches: list[Stretch], waveform: bool, lesson: int, cuts: list[int], size: int
) -> None:
    rate, width = stretches[0].rate_hz, stretches[0].values.shape[1]

    def guard() -> Guard:
        ranges = [(-500.0, 500.0), *[None] * (width - 1)]
        return Guard(width, rate, lesson=lesson, waveform=waveform, ranges=ranges)

    whole, found = walk(guard(), stretches)
    where = [every(size, len(stretch.values)) if size else cuts for stretch in stretches]
    pieces = [piece for stretch, at in zip(stretches, where, strict=True) for piece in cut(stretch, at)]
    again, found_again = walk(guard(), pieces)
    assert again.tobytes() == whole.tobytes()
    assert repr(found_again) == repr(found)


@settings(max_examples=50, deadline=None)
@given(streams(), st.booleans())
def test_what_it_lets_through_is_what_came(stretches: list[Stretch], waveform: bool) -> None:
    guard = Guard(stretches[0].values.shape[1], stretches[0].rate_hz, lesson=50, waveform=waveform)
    checked, _ = walk(guard, stretches)
    came = np.concatenate([stretch.values for stretch in stretches])
    through = ~np.isnan(checked)
    assert (checked[through] == came[through]).all()


# Figures.


def test_a_channel_that_stands_still_is_withheld_at_once_and_called_stuck_later() -> None:
    values = noise(1000, 3)
    values[700:800, 1] = values[700, 1]
    checked, findings = watched(values)
    assert begun(findings) == [("stuck", 1)]
    begins, ends = findings
    assert begins.since == START + 700
    assert begins.time == START + 709
    assert begins.value == pytest.approx(float(values[700, 1]))
    assert not ends.begins
    assert ends.time == START + 809
    assert np.isnan(checked[703:810, 1]).all()
    assert not np.isnan(checked[:703]).any()
    assert not np.isnan(checked[:, [0, 2]]).any()
    assert not np.isnan(checked[810:]).any()


def test_a_coarse_channel_may_repeat_itself_as_it_did_while_learning() -> None:
    coarse = np.round(noise(5000, 1, seed=3)) * 0.5
    _, findings = watched(coarse)
    assert findings == []
    coarse[3000:3200] = coarse[3000]
    _, findings = watched(coarse)
    assert begun(findings) == [("stuck", 0)]


def test_a_switch_is_never_stuck() -> None:
    values = noise(3000, 2)
    values[:, 1] = 0
    values[900:1500, 1] = 1
    checked, findings = watched(values)
    assert findings == []
    assert not np.isnan(checked).any()


def test_a_machine_that_stops_leaves_noise_and_is_not_stuck() -> None:
    values = 20 + noise(2000, 4)
    values[1000:] = 0.01 * noise(1000, 4, seed=5)
    checked, findings = watched(values)
    assert findings == []
    assert np.isnan(checked).sum() <= 3 * 4  # the step itself, until it is known for one


def test_a_machine_switched_off_is_at_nothing_and_not_stuck() -> None:
    values = 20 + noise(2000, 4)
    values[1000:, :2] = 0  # speed and current, from a drive
    _, findings = watched(values)
    assert findings == []


def test_one_channel_at_nothing_while_others_go_on_is_stuck() -> None:
    values = 20 + noise(2000, 4)
    values[1000:, 2] = 0
    _, findings = watched(values)
    assert [(finding.kind, finding.column, finding.value) for finding in findings] == [("stuck", 2, 0.0)]


def test_a_channel_that_stands_at_its_rail_is_saturated() -> None:
    values = 20 + noise(1000, 2)
    values[700:720, 0] = 120
    checked, findings = watched(values)
    assert begun(findings) == [("saturated", 0)]
    assert findings[0].value == 120
    assert np.nanmax(checked) < 120


def test_a_channel_still_from_the_first_sample_on_is_flat_if_it_used_to_move() -> None:
    guard = Guard(2, 1.0, lesson=600)
    walk(guard, [Stretch(START, 1.0, noise(600, 2))])
    again = Guard(2, 1.0, lesson=600)
    assert guard.learned is not None
    again.arm(guard.learned)
    values = noise(100, 2, seed=1)
    values[:, 0] = 0.25
    _, findings = walk(again, [Stretch(START, 1.0, values)])
    assert begun(findings) == [("flat", 0)]


def test_a_channel_that_does_not_move_while_others_are_learned_is_flat_until_it_does() -> None:
    values = noise(2000, 2)
    values[:1400, 0] = 5
    checked, findings = watched(values)
    begins, ends = findings
    assert (begins.kind, begins.column, begins.value) == ("flat", 0, 5.0)
    assert (begins.since, begins.time) == (START, START + 599)
    assert (ends.kind, ends.begins, ends.time) == ("flat", False, START + 1400)
    assert not np.isnan(checked).any()  # it is known for what it is, and others are judged


def test_what_was_flat_is_watched_like_the_others_once_it_has_moved_for_a_lesson() -> None:
    values = noise(3000, 2)
    values[:700, 0] = 5
    values[1500:1600, 0] = values[1500, 0]
    values[[2000, 2010, 2020, 2030], 0] += 300
    _, findings = watched(values)
    assert begun(findings) == [("flat", 0), ("stuck", 0), ("spikes", 0)]


@pytest.mark.parametrize("value", [5.0, 0.0])
def test_a_channel_alone_that_never_moves_is_flat_but_at_nothing(value: float) -> None:
    _, findings = watched(np.full((2000, 1), value, np.float32))
    assert begun(findings) == ([("flat", 0)] if value else [])


def test_what_a_machine_is_told_to_do_and_what_reads_nothing_may_stand_still() -> None:
    values = noise(2000, 4)
    values[:, 0], values[:, 1], values[:, 2] = 50, 0, np.nan
    _, findings = watched(values, resting=[0])
    assert begun(findings) == [("dropout", 2)]


def test_a_machine_that_is_off_has_no_flat_sensors_until_something_moves() -> None:
    values = noise(3000, 3)
    values[:, 0] = 5
    values[:1000] = (5, 20, 7)
    _, findings = watched(values)
    assert begun(findings) == [("flat", 0)]
    assert findings[0].time == START + 1599


def test_after_a_restart_a_flat_channel_is_said_at_once_and_one_that_moved_is_not() -> None:
    values = noise(1000, 2)
    values[:, 0] = 5
    guard = Guard(2, 1.0, lesson=600)
    walk(guard, [Stretch(START, 1.0, values)])
    assert guard.learned is not None
    again = Guard(2, 1.0, lesson=600)
    again.arm(guard.learned)
    _, findings = walk(again, [Stretch(START + 1000, 1.0, values)])
    assert [(finding.kind, finding.time) for finding in findings] == [("flat", START + 1009)]
    values[20:, 0] = 6
    walk(again, [Stretch(START + 2000, 1.0, values[:40])])
    once_more = Guard(2, 1.0, lesson=600)
    assert again.learned is not None
    once_more.arm(again.learned)
    _, findings = walk(once_more, [Stretch(START + 2040, 1.0, values[40:240])])
    assert findings == []


def test_spikes_are_withheld_and_a_step_is_let_through() -> None:
    values = noise(1000, 2)
    values[[700, 710, 720, 731], 0] += 300
    values[650:, 1] += 300
    checked, findings = watched(values)
    assert begun(findings) == [("spikes", 0)]
    assert findings[0].value == pytest.approx(300, abs=5)
    assert np.nanmax(checked[:, 0]) < 10
    assert np.isnan(checked[650:653, 1]).all()
    assert not np.isnan(checked[653:, 1]).any()


def test_one_spike_is_withheld_and_no_fault() -> None:
    values = noise(1000, 1)
    values[700:702] -= 300
    checked, findings = watched(values)
    assert findings == []
    assert np.flatnonzero(np.isnan(checked[:, 0])).tolist() == [700, 701]


def test_a_channel_that_drops_out_is_said_after_eight_samples_and_goes_on_when_it_is_back() -> None:
    values = noise(1000, 2)
    values[700:750, 1] = np.nan
    checked, findings = watched(values)
    assert begun(findings) == [("dropout", 1)]
    assert (findings[0].since, findings[0].time) == (START + 700, START + 707)
    assert not np.isnan(checked[750:]).any()


def test_a_channel_that_lost_samples_while_learning_may_lose_as_many() -> None:
    random = np.random.default_rng(1)
    values = noise(6000, 1)
    values[random.random(6000) < 0.12] = np.nan
    _, findings = watched(values)
    assert findings == []
    values[4000:][random.random(2000) < 0.6] = np.nan
    _, findings = watched(values)
    assert begun(findings) == [("dropout", 0)]


def test_what_lies_outside_of_the_range_given_is_no_measurement() -> None:
    values = noise(300, 2)
    values[100, 0] = 200
    values[200:204, 0] = -200
    checked, findings = watched(values, ranges=[(-100.0, 100.0), None])
    assert begun(findings) == [("out_of_range", 0)]
    assert findings[0].time == START + 202
    assert np.nanmax(np.abs(checked)) < 100


@pytest.mark.parametrize("told", [1.0, 100.0])
def test_a_rate_that_is_not_as_told_is_found(told: float) -> None:
    guard, findings, time = Guard(1, told, lesson=100), [], START
    for row in noise(4000, 1):
        findings += guard.check(time, told, row[None])[1]
        time += 1.6 / told
    assert begun(findings) == [("wrong_rate", STREAM)]
    assert findings[0].value == pytest.approx(told / 1.6, rel=1e-5)


def test_rows_that_did_not_come_are_no_wrong_rate() -> None:
    random = np.random.default_rng(2)
    guard, findings, time = Guard(1, 1.0, lesson=100), [], START
    for row in noise(4000, 1):
        findings += guard.check(time, 1.0, row[None])[1]
        time += random.choice([1.0, 2.0, 60.0], p=[0.92, 0.06, 0.02])
    assert findings == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_is_switched_off_is_not_found(kind: str) -> None:
    values = noise(2000, 5)
    values[700:800, 0] = values[700, 0]
    values[900:1000, 1] = 1000
    values[1100:1200, 2] = np.nan
    values[1300:1400:10, 3] += 300
    values[1500:1600, 4] = 3000 + noise(100, 1)[:, 0]
    ranges = [None, None, None, None, (-2000.0, 2000.0)]
    _, findings = watched(values, ranges=ranges, kinds=[other for other in KINDS if other != kind])
    kinds = {found for found, _ in begun(findings)}
    assert kind not in kinds
    assert len(kinds) >= (2 if kind == "stuck" else 4 - (kind in kinds))


# Waveforms.


def test_a_waveform_that_stands_still_breaks_its_windows_at_once() -> None:
    values = shaking(20)
    values[32000:48000, 1] = values[32000, 1]
    checked, findings = watched(values, rate_hz=3200.0, lesson=16000, waveform=True)
    assert begun(findings) == [("stuck", 1)]
    assert np.isnan(checked[32015:51199, 1]).all()
    assert np.isnan(checked[:32015]).sum() == 0
    assert not np.isnan(checked[51200:]).any()


@pytest.mark.parametrize("rail", [0.35, 0.5])
def test_a_clipped_waveform_is_saturated(rail: float) -> None:
    values = shaking(20)
    values[32000:] = np.clip(values[32000:], -rail, rail)
    checked, findings = watched(values, rate_hz=3200.0, lesson=16000, waveform=True)
    assert set(begun(findings)) == {("saturated", 0), ("saturated", 1)}
    assert max(finding.time for finding in findings) < START + 12
    assert np.isnan(checked[12 * 3200 :]).all()


def test_an_impact_rings_and_is_no_spike_but_a_leap_of_one_sample_is() -> None:
    values = shaking(40)
    ring = 30 * np.exp(-np.arange(40) / 8) * np.cos(np.arange(40) * 2.4)
    for at in range(32000, 64000, 500):
        values[at : at + 40, 0] += ring
    _, findings = watched(values, rate_hz=3200.0, lesson=16000, waveform=True)
    assert findings == []
    values[70000:100000:700, 1] += 20
    checked, findings = watched(values, rate_hz=3200.0, lesson=16000, waveform=True)
    assert begun(findings) == [("spikes", 1)]
    assert np.isnan(checked[70005:100000, 1]).mean() > 0.95


def test_a_waveform_that_loses_samples_is_withheld_whole() -> None:
    random = np.random.default_rng(4)
    values = shaking(20)
    values[32000:48000][np.repeat(random.random(1000) < 0.1, 16)] = np.nan
    checked, findings = watched(values, rate_hz=3200.0, lesson=16000, waveform=True)
    assert set(begun(findings)) == {("dropout", 0), ("dropout", 1)}
    assert np.isnan(checked[34000:48000]).all()
    assert math.isclose(max(finding.time for finding in findings), START + 16.35, abs_tol=0.3)


def test_a_waveform_whose_clock_is_slow_is_withheld_after_a_second() -> None:
    guard, findings, time = Guard(2, 3200.0, lesson=16000, waveform=True), [], START
    pieces = []
    for i, start in enumerate(range(0, 96000, 320)):
        checked, found = guard.check(time, 3200.0, shaking(30)[start : start + 320])
        findings += found
        pieces.append(checked)
        time += 0.1 if i < 100 else 0.11
    assert begun(findings) == [("wrong_rate", STREAM)]
    assert findings[0].value == pytest.approx(3200 / 1.1, rel=0.01)
    held = np.logical_and.reduce(np.isnan(np.concatenate(pieces)), 1)
    assert held[32000 + 3200 :].all()
    assert not held[:32000].any()


# Learning.


@pytest.mark.parametrize("spikes", [(300, 420), tuple(range(30, 600, 90)), (100, 101, 102, 400)])
def test_some_spikes_while_learning_are_no_habit(spikes: tuple[int, ...]) -> None:
    values = noise(1500, 2)
    values[list(spikes), 0] += 300
    clean = noise(1500, 2)
    for each in (values, clean):
        each[[1000, 1010, 1020, 1031], 0] += 300
    checked, findings = watched(values)
    _, expected = watched(clean)
    assert findings == expected
    assert begun(findings) == [("spikes", 0)]
    assert np.nanmax(checked[600:, 0]) < 10


def test_a_sensor_that_spikes_while_learning_is_said_to_and_is_not_learned_from() -> None:
    values = noise(1500, 2)
    for each in (slice(200, 400, 17), slice(1000, 1200, 17)):
        values[each, 0] += 300
    checked, findings = watched(values)
    assert begun(findings) == [("spikes", 0)] * 2
    assert START + 200 < findings[0].time < START + 250
    assert np.nanmax(checked[:, 0]) < 10
    guard = Guard(2, 1.0, lesson=600)
    walk(guard, [Stretch(START, 1.0, values[:600])])
    assert guard.learned is not None
    assert guard.learned["high"][0] < 10


def test_a_channel_that_leaps_all_the_time_is_like_that() -> None:
    """A dosing pump: a stroke of one sample each half a minute, from the first on."""
    values = noise(3000, 1)
    values[::30] += 300
    checked, findings = watched(values)
    assert findings == []
    assert not np.isnan(checked).any()


def test_a_load_that_changes_while_learning_is_no_spike() -> None:
    values = noise(3000, 2)
    values[:, 0] += 40 * (np.arange(3000) // 50 % 2)
    checked, findings = watched(values)
    assert findings == []
    assert np.isnan(checked).sum() < 10  # the first changes, until they are known for such


def test_a_guard_armed_with_what_another_learned_finds_the_same() -> None:
    values = noise(1500, 2)
    values[800:900, 1] = values[800, 1]
    guard = Guard(2, 1.0, lesson=600)
    first = Stretch(START, 1.0, values[:600])
    walk(guard, [first])
    assert guard.learned is not None
    rest = Stretch(START + 600, 1.0, values[600:])
    again = Guard(2, 1.0, lesson=600)
    again.arm({name: array.copy() for name, array in guard.learned.items()})
    assert begun(walk(again, [rest])[1]) == begun(walk(guard, [rest])[1]) == [("stuck", 1)]


def test_a_sensor_stuck_while_learning_is_found_and_its_run_is_no_habit() -> None:
    values = noise(2000, 2)
    values[300:400, 0] = values[300, 0]
    values[1500:1600, 0] = values[1500, 0]
    checked, findings = watched(values, lesson=1000)
    assert begun(findings) == [("stuck", 0), ("stuck", 0)]
    assert np.isnan(checked[315:400, 0]).all()


def test_a_sensor_saturated_while_learning_is_called_that_then_and_ever_after() -> None:
    values = 20 + noise(2000, 2)
    values[300:400, 0] = values[1500:1600, 0] = 120
    checked, findings = watched(values)
    assert begun(findings) == [("saturated", 0)] * 2
    assert findings[0].time < START + 330
    assert findings[2].time < START + 1520
    assert np.nanmax(checked[600:]) < 120
    values[300:400, 0] = values[1500:1600, 0] = 20.5
    assert begun(watched(values)[1]) == [("stuck", 0)] * 2


def test_what_was_learned_of_other_channels_is_refused() -> None:
    guard = Guard(2, 1.0, lesson=100)
    walk(guard, [Stretch(START, 1.0, noise(100, 2))])
    assert guard.learned is not None
    with pytest.raises(ValueError, match="not of 3 channels"):
        Guard(3, 1.0, lesson=100).arm(guard.learned)
