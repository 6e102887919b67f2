"""Polled sensors: ticks that do not drift."""

from __future__ import annotations

import pytest

from sensors import Channel, PolledSensor, SensorError
from tests.sensors.world import PushedClock


class Thermometer(PolledSensor):
    """Counts its samples."""

    channels = (Channel("temperature", "Cel"),)
    rate_hz = 10.0
    broken = False
    taken = 0

    def sample(self) -> tuple[float, ...]:
        if self.broken:
            raise OSError(5, "Input/output error")
        self.taken += 1
        return (float(self.taken),)


@pytest.fixture
def thermometer() -> Thermometer:
    sensor = Thermometer()
    sensor.name = "oven"
    sensor.clock = PushedClock()
    sensor.open()
    return sensor


def clock_of(sensor: PolledSensor) -> PushedClock:
    assert isinstance(sensor.clock, PushedClock)
    return sensor.clock


def test_ticks_do_not_drift_with_the_time_a_sample_takes(thermometer: Thermometer) -> None:
    clock, times = clock_of(thermometer), []
    for _ in range(5):
        reading = thermometer.read(1.0)
        assert reading is not None
        times.append(reading.time - 1_700_000_000.0)
        clock.push(0.03)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_a_tick_nobody_read_is_counted_and_not_made_up_for(thermometer: Thermometer) -> None:
    thermometer.read(1.0)
    clock_of(thermometer).push(0.35)
    late = thermometer.read(1.0)
    then = thermometer.read(1.0)
    assert late is not None
    assert then is not None
    assert late.time - 1_700_000_000.0 == pytest.approx(0.35)
    assert then.time - 1_700_000_000.0 == pytest.approx(0.4)
    assert (thermometer.missed, thermometer.taken) == (2, 3)


def test_a_failing_bus_is_a_sensor_error_with_the_sensors_name(thermometer: Thermometer) -> None:
    thermometer.broken = True
    with pytest.raises(SensorError, match=r"^oven: .*Input/output error"):
        thermometer.read(1.0)
    thermometer.broken = False
    assert thermometer.read(1.0) is not None


def test_a_sample_has_the_time_of_its_tick_unless_it_came_late(thermometer: Thermometer) -> None:
    clock, times = clock_of(thermometer), list[float]()
    for late_s in (0.0, 0.004, 0.002, 0.02, 0.0):
        due = 1000.0 + len(times) * 0.1
        clock.push(due + late_s - clock.monotonic())
        reading = thermometer.read(1.0)
        assert reading is not None
        times.append(reading.time - 1_700_000_000.0)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.32, 0.4])


def test_when_the_clock_is_set_times_follow_it(thermometer: Thermometer) -> None:
    clock = clock_of(thermometer)
    thermometer.read(1.0)
    clock.unix -= 3600
    reading = thermometer.read(1.0)
    assert reading is not None
    assert reading.time == pytest.approx(1_700_000_000.1 - 3600)
