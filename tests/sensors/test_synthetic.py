"""The machine that does not exist: the same samples however they are cut, and faults where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sensors import Reading
from sensors.base import OptionError
from sensors.bearing import Bearing
from sensors.duty import Stage
from sensors.machine import BEARING_FAULTS, BearingFault, Fault, FaultKind
from sensors.synthetic import Synthetic
from tests.sensors.world import PushedClock, read_all, times_of, values_of

SHAFT_HZ = 24.7
EVENTFUL = (
    Fault("bearing_inner", at_s=0.4, ramp_s=0.5),
    Fault("looseness", at_s=0.2, for_s=0.5),
    Fault("stuck", at_s=0.9, channel="y", for_s=0.3),
    Fault("dropout", at_s=1.3, severity=0.4),
)


def machine(*faults: Fault, **options: object) -> Synthetic:
    options = {"speed": 0, "start": 0.0, "duration_s": 4.0, "faults": faults} | options
    return Synthetic(**options)  # type: ignore[arg-type]


def samples(*faults: Fault, **options: object) -> NDArray[np.float32]:
    return values_of(read_all(machine(*faults, **options)))


def peak(signal: NDArray[np.float64], near_hz: float, width: float = 0.03) -> float:
    """The largest amplitude within 3 % of a frequency."""
    window = np.hanning(len(signal))
    heights = np.abs(np.fft.rfft((signal - signal.mean()) * window)) / window.sum() * 2
    frequencies = np.fft.rfftfreq(len(signal), 1 / 3200.0)
    return float(heights[np.abs(frequencies - near_hz) <= width * near_hz].max())


def envelope(signal: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared analytic signal of the band around the resonance."""
    lines = np.fft.fft(signal)
    frequencies = np.fft.fftfreq(len(signal), 1 / 3200.0)
    lines[(frequencies < 800) | (frequencies > 1550)] = 0
    return np.asarray(np.abs(np.fft.ifft(2 * lines)) ** 2)


@settings(deadline=None, max_examples=15)
@given(block_s=st.floats(0.0004, 3.0), output=st.sampled_from(["vibration", "telemetry"]))
def test_no_block_size_changes_what_is_measured(block_s: float, output: str) -> None:
    faults = (
        EVENTFUL
        if output == "vibration"
        else (Fault("imbalance", at_s=1.0), Fault("stuck", 2.0, channel="load"))
    )
    rate = {} if output == "vibration" else {"rate_hz": 50.0}
    whole = read_all(machine(*faults, output=output, duration_s=2.0, block_s=2.0, **rate))
    pieces = read_all(machine(*faults, output=output, duration_s=2.0, block_s=block_s, **rate))
    np.testing.assert_array_equal(values_of(pieces), values_of(whole))
    np.testing.assert_allclose(times_of(pieces), times_of(whole), rtol=0, atol=1e-9)


def test_the_same_seed_is_the_same_machine_and_another_is_not() -> None:
    a, b, c = samples(seed=3), samples(seed=3), samples(seed=4)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.std() == pytest.approx(c.std(), rel=0.1)


def test_the_schedule_leaves_the_time_before_it_alone() -> None:
    np.testing.assert_array_equal(
        samples(Fault("bearing_outer", at_s=2.0), Fault("imbalance", at_s=2.0))[:6400], samples()[:6400]
    )


def test_a_bearings_frequencies_are_those_of_its_makers_table() -> None:
    # 6205-2RS JEM SKF as multiples of shaft speed: the bearing data of Case Western Reserve University
    bearing = Bearing()
    assert bearing.bpfo_hz(1.0) == pytest.approx(3.5848, abs=2e-3)
    assert bearing.bpfi_hz(1.0) == pytest.approx(5.4152, abs=2e-3)
    assert bearing.ftf_hz(1.0) == pytest.approx(0.39828, abs=2e-4)
    assert 2 * bearing.bsf_hz(1.0) == pytest.approx(4.7135, abs=3e-3)


@pytest.mark.parametrize("kind", BEARING_FAULTS)
def test_a_bearing_fault_stands_in_the_envelope_at_its_own_frequency(kind: BearingFault) -> None:
    bearing = Bearing()
    lines = {
        "bearing_outer": bearing.bpfo_hz(SHAFT_HZ),
        "bearing_inner": bearing.bpfi_hz(SHAFT_HZ),
        "bearing_ball": 2 * bearing.bsf_hz(SHAFT_HZ),
    }
    signal = envelope(samples(Fault(kind, severity=0.5), duration_s=8.0)[:, 0])
    found = {name: peak(signal, hz, 0.01) for name, hz in lines.items()}
    assert max(found, key=lambda name: found[name]) == kind
    healthy = envelope(samples(duration_s=8.0)[:, 0])
    assert found[kind] > 10 * peak(healthy, lines[kind], 0.01)


def test_an_inner_race_fault_has_sidebands_at_shaft_speed() -> None:
    bpfi = Bearing().bpfi_hz(SHAFT_HZ)
    outer = envelope(samples(Fault("bearing_outer"), duration_s=8.0)[:, 0])
    inner = envelope(samples(Fault("bearing_inner"), duration_s=8.0)[:, 0])
    assert peak(inner, bpfi - SHAFT_HZ, 0.01) > 0.3 * peak(inner, bpfi, 0.01)
    assert peak(outer, SHAFT_HZ) < 0.3 * peak(outer, Bearing().bpfo_hz(SHAFT_HZ), 0.01)


@pytest.mark.parametrize(
    ("kind", "column", "order", "times"),
    [
        ("imbalance", 0, 1.0, 5),
        ("misalignment", 2, 2.0, 10),
        ("looseness", 0, 0.5, 10),
        ("looseness", 0, 5.0, 10),
    ],
)
def test_shaft_faults_stand_at_their_orders(kind: FaultKind, column: int, order: float, times: float) -> None:
    healthy = samples(axes=3)[:, column].astype(np.float64)
    faulty = samples(Fault(kind), axes=3)[:, column].astype(np.float64)
    assert peak(faulty, order * SHAFT_HZ) > times * peak(healthy, order * SHAFT_HZ)


def test_misalignment_is_strongest_along_the_shaft_and_imbalance_across_it() -> None:
    misaligned, imbalanced = samples(Fault("misalignment"), axes=3), samples(Fault("imbalance"), axes=3)
    assert misaligned[:, 2].std() > misaligned[:, 0].std()
    assert imbalanced[:, 0].std() > 5 * imbalanced[:, 2].std()


def test_severity_grows_along_its_ramp() -> None:
    signal = samples(Fault("bearing_outer", ramp_s=4.0))[:, 0]
    quarters = [float(q.std()) for q in np.split(signal, 4)]
    assert quarters == sorted(quarters)
    assert quarters[3] > 3 * quarters[0]


def test_a_dropout_loses_its_share_of_one_channel_and_ends() -> None:
    lost = np.isnan(samples(Fault("dropout", at_s=1.0, for_s=2.0, severity=0.3, channel="x")))
    assert lost[:3200].sum() == lost[9600:].sum() == 0
    assert not lost[:, 1].any()
    assert lost[3200:9600, 0].mean() == pytest.approx(0.3, abs=0.08)
    assert np.isnan(samples(Fault("dropout"))).all()


def test_a_stuck_channel_holds_its_last_value_until_the_fault_ends() -> None:
    x = samples(Fault("stuck", at_s=1.0, for_s=2.0, channel="x"))[:, 0]
    assert len(set(x[3200:9600].tolist())) == 1
    assert len(set(x[:3200].tolist())) > 3000
    assert len(set(x[9600:].tolist())) > 3000


def test_temperature_follows_a_bearing_fault_slowly() -> None:
    options: dict[str, object] = {"output": "telemetry", "duration_s": 1800.0, "block_s": 60.0}
    fault = Fault("bearing_outer", at_s=600.0)
    healthy, faulty = samples(**options)[:, 2], samples(fault, **options)[:, 2]
    rise = faulty - healthy
    assert abs(rise[:600]).max() < 1e-3
    assert rise[660] < 4.0 < 13.0 < rise[1700]


def test_telemetry_moves_with_what_is_wrong() -> None:
    options: dict[str, object] = {"output": "telemetry", "duration_s": 60.0}
    healthy = samples(**options).mean(axis=0)
    assert samples(Fault("imbalance"), **options).mean(axis=0)[3] > 5 * healthy[3]
    assert samples(load=1.0, **options).mean(axis=0)[4] > healthy[4] + 2.0
    assert healthy[0] == pytest.approx(SHAFT_HZ, abs=0.1)


def test_telemetry_and_vibration_tell_of_the_same_severity() -> None:
    kinds: tuple[FaultKind, ...] = ("imbalance", "misalignment", "looseness", *BEARING_FAULTS)
    for kind in kinds:
        shaken = samples(Fault(kind), axes=3, load_swing=0.0).std(axis=0).max()
        told = samples(Fault(kind), output="telemetry", load_swing=0.0, duration_s=20.0)[:, 3].mean()
        assert 0.4 < told / shaken < 2.5, kind


def test_a_fault_can_be_injected_and_cleared_while_running() -> None:
    sensor = machine(duration_s=3.0, block_s=0.5)
    with sensor:
        stds = []
        for block in range(6):
            if block == 2:
                sensor.inject(Fault("imbalance"))
            if block == 4:
                sensor.clear("imbalance")
            reading = sensor.read(0)
            assert isinstance(reading, Reading)
            stds.append(float(reading.values[400:].std()))  # a page may have been made already
    assert max(stds[:2]) < 0.5 < min(stds[2:4])
    assert max(stds[4:]) < 0.5
    assert [fault.kind for fault in sensor.faults] == ["imbalance"]


def test_real_time_is_kept_and_a_reader_that_slept_sees_a_gap() -> None:
    sensor = machine(speed=1.0, start=None, duration_s=None, block_s=0.1)
    sensor.clock = clock = PushedClock()
    with sensor:
        first, second = sensor.read(1.0), sensor.read(1.0)
        assert first is not None
        assert second is not None
        assert second.time - first.time == pytest.approx(0.1)
        clock.push(60.0)
        third, fourth = sensor.read(1.0), sensor.read(1.0)
        assert third is not None
        assert fourth is not None
        assert third.time - second.time == pytest.approx(60.1, abs=0.2)
        assert fourth.time - third.time == pytest.approx(0.1)
    assert sensor.overruns == 1


def test_only_real_time_drops_what_nobody_takes() -> None:
    assert not machine(speed=1.0).waits
    assert machine(speed=0).waits
    assert machine(speed=60.0).waits


def test_it_ends_after_its_duration() -> None:
    sensor = machine(duration_s=0.25, block_s=0.1)
    readings = read_all(sensor)
    assert [len(r.values) for r in readings] == [320, 320, 160]
    assert sensor.finished


SHIFT = (
    Stage(at_s=100.0),
    Stage(at_s=700.0, load=1.0),
    Stage(at_s=1300.0, speed_hz=12.0, load=0.2),
    Stage(at_s=1900.0, speed_hz=0.0),
)
SCHEDULED: dict[str, object] = {
    "output": "telemetry",
    "schedule": SHIFT,
    "duration_s": 2500.0,
    "block_s": 500.0,
}


@settings(deadline=None, max_examples=10)
@given(block_s=st.floats(20.0, 5000.0), rate_hz=st.sampled_from([1.0, 50.0]))
def test_no_block_size_changes_a_day_of_shifts(block_s: float, rate_hz: float) -> None:
    faults = (
        Fault("looseness", at_s=30.0),
        Fault("stuck", 40.0, 30.0, channel="load"),
        Fault("dropout", 44.0, severity=0.4),
    )
    options: dict[str, object] = {"output": "telemetry", "duty": "shifts", "rate_hz": rate_hz}
    options["duration_s"] = 5000 / rate_hz
    whole = samples(*faults, **options, block_s=5000.0)
    np.testing.assert_array_equal(samples(*faults, **options, block_s=block_s), whole)


def test_no_block_size_changes_the_vibration_of_a_schedule() -> None:
    options: dict[str, object] = {"schedule": (Stage(0.5), Stage(2.0, 0.0)), "duration_s": 3.0}
    np.testing.assert_array_equal(samples(**options, block_s=0.037), samples(**options, block_s=3.0))


def test_the_machine_stands_still_until_its_schedule_starts_it_and_after_it_is_switched_off() -> None:
    speed, load, temperature, vibration, current = samples(**SCHEDULED).T
    for rows in (slice(0, 100), slice(2000, 2500)):
        assert abs(speed[rows]).max() < 0.1
        assert abs(load[rows]).max() < 3.0
        assert vibration[rows].max() < 0.1
        assert abs(current[rows]).max() < 0.3
    assert speed[150:700].mean() == pytest.approx(SHAFT_HZ, abs=0.1)
    assert load[750:1300].mean() == pytest.approx(100.0, abs=3.0)
    assert speed[1400:1900].mean() == pytest.approx(12.0, abs=0.2)
    assert temperature[0] == pytest.approx(22.0, abs=0.3)
    assert temperature[1299] > temperature[699] > temperature[200] > 25.0
    assert temperature[2499] < temperature[1899] < temperature[1299]


def test_a_start_draws_its_current_at_once_and_shakes_on_its_way_up() -> None:
    speed, _, _, vibration, current = samples(**SCHEDULED).T
    start, running = slice(100, 115), slice(300, 700)
    assert current[start].max() > 3 * current[running].mean()
    assert int(np.argmax(current[start])) <= 1
    assert vibration[start].max() > 1.5 * vibration[105]  # faster by then, and quieter
    assert 5.0 < speed[100 + int(np.argmax(vibration[start]))] < 20.0
    assert (np.diff(speed[100:112]) > 0).all()


def test_a_stopped_machine_shows_none_of_its_faults() -> None:
    kinds: tuple[FaultKind, ...] = ("imbalance", "looseness", *BEARING_FAULTS)
    for kind in kinds:
        fault = Fault(kind, at_s=100.0)
        shaken = samples(fault, **SCHEDULED)[:, 3]
        assert shaken[2100:].max() < 0.1
        assert shaken[300:700].mean() > 2 * samples(**SCHEDULED)[300:700, 3].mean()


def test_shifts_have_starts_stops_and_several_settings_each_day_and_no_day_is_like_the_other() -> None:
    days = np.split(samples(output="telemetry", duty="shifts", duration_s=3 * 86_400.0, block_s=3600.0), 3)
    for day in days:
        standing = abs(day[:, 0]) < 1.0
        starts = int((standing[:-1] & ~standing[1:]).sum())
        assert 2 <= starts <= 10
        assert 0.2 < standing.mean() < 0.6
        running = day[~standing]
        assert np.quantile(running[:, 1], 0.95) > 60.0 > 30.0 > np.quantile(running[:, 1], 0.05)
    assert abs(days[0] - days[1]).max() > 10.0


def test_vibration_follows_the_schedule() -> None:
    signal = samples(schedule=(Stage(2.0), Stage(22.0, 0.0)), duration_s=60.0, block_s=1.0)[:, 0]
    still, running, coasted = signal[:6400], signal[-140_800:-131_200], signal[-6400:]
    assert running.std() > 4 * still.std()
    assert running.std() > 4 * coasted.std()


def test_a_machine_cannot_follow_a_schedule_and_shifts_at_once() -> None:
    with pytest.raises(OptionError, match="cannot both"):
        Synthetic(schedule=SHIFT, duty="shifts")
    with pytest.raises(OptionError, match=r"schedule\[0\]\.speed_hz"):
        Synthetic(rate_hz=100.0, resonance_hz=30.0, schedule=(Stage(speed_hz=60.0),))
