"""What every driver promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sensors import DRIVERS, Sensor, SensorError, check, create, describe
from tests.sensors.world import PushedClock, make, make_options

pytestmark = pytest.mark.parametrize("driver", sorted(DRIVERS))


@pytest.fixture
def sensor(driver: str, tmp_path: Path) -> Sensor:
    return make(driver, make_options(driver, tmp_path))


def test_readings_have_the_promised_shape_type_and_name(driver: str, sensor: Sensor) -> None:
    with sensor:
        assert sensor.rate_hz > 0
        assert len({channel.name for channel in sensor.channels}) == len(sensor.channels) > 0
        for _ in range(3):
            reading = sensor.read(1e9)
            assert reading is not None
            assert reading.values.dtype == np.float32
            assert reading.values.ndim == 2
            assert len(reading.values) > 0
            assert reading.values.shape[1] == len(sensor.channels)
            assert reading.rate_hz == sensor.rate_hz
            assert reading.sensor == "it"


def test_time_goes_forward_without_overlap(driver: str, sensor: Sensor) -> None:
    with sensor:
        end = -np.inf
        for _ in range(5):
            reading = sensor.read(1e9)
            assert reading is not None
            assert reading.time >= end - 1e-6
            end = reading.time + len(reading.values) / reading.rate_hz - 1e-6 / reading.rate_hz


def test_a_reading_that_is_not_due_gives_none_after_the_timeout(driver: str, sensor: Sensor) -> None:
    clock = sensor.clock
    assert isinstance(clock, PushedClock)
    with sensor:
        sensor.read(1e9)
        before = clock.monotonic()
        assert sensor.read(0.001) is None
        assert clock.monotonic() == pytest.approx(before + 0.001, abs=1e-9)
        assert sensor.read(1e9) is not None


def test_a_reading_belongs_to_who_got_it(driver: str, sensor: Sensor) -> None:
    with sensor:
        first = sensor.read(1e9)
        assert first is not None
        kept = first.values.copy()
        sensor.read(1e9)
        np.testing.assert_array_equal(first.values, kept)


def test_closing_twice_is_fine_and_opening_again_too(driver: str, sensor: Sensor) -> None:
    sensor.close()
    sensor.open()
    assert sensor.read(1e9) is not None
    sensor.close()
    sensor.close()
    sensor.open()
    assert sensor.read(1e9) is not None
    sensor.close()


def test_reading_before_open_or_after_close_is_an_error(driver: str, sensor: Sensor) -> None:
    with pytest.raises(SensorError, match="it: read before open"):
        sensor.read(1.0)
    sensor.open()
    sensor.close()
    with pytest.raises(SensorError, match="it: read before open"):
        sensor.read(1.0)


def test_a_missing_source_is_a_sensor_error_that_says_where(driver: str, tmp_path: Path) -> None:
    missing = {"recording": {"file": str(tmp_path / "no.csv")}, "host": {"root": str(tmp_path / "no")}}
    if driver not in missing:
        return  # has no source that could be missing
    with pytest.raises(SensorError, match=str(tmp_path / "no")):
        make(driver, missing[driver]).open()


def test_the_constructor_touches_nothing(driver: str, tmp_path: Path) -> None:
    nowhere = {"recording": {"file": "/nowhere/no.csv"}, "host": {"root": "/nowhere"}}.get(driver, {})
    assert check(driver, nowhere) == []
    assert create("it", driver, nowhere).name == "it"


def test_every_option_is_explained(driver: str) -> None:
    for option in describe(driver):
        assert option.doc, f"{driver}: {option.name}"
        for field in option.fields:
            assert field.doc, f"{driver}: {option.name}.{field.name}"


def test_importing_a_driver_loads_neither_models_nor_agent_nor_their_libraries(driver: str) -> None:
    module = DRIVERS[driver].partition(":")[0]
    heavy = "{'onnxruntime', 'psutil', 'paho', 'msgspec', 'yaml', 'agent', 'models'}"
    code = f"import sys, sensors, {module}; print(sorted({heavy} & {{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
