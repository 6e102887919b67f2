"""IIO devices: what the kernel's files mean, and what is said when they do not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors import OptionError, SensorError, check, create
from sensors.contract import PushedClock, SensorContract
from sensors.iio import Iio
from tests.sensors.iio_world import (
    Node,
    make_accelerometer,
    make_device,
)

PERIOD_NS = 625_000  # of 1600 Hz
START_NS = 1_700_000_000_000_000_000


class TestPolled(SensorContract):
    driver = "iio"
    clock = PushedClock

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, object]:
        make_accelerometer(tmp_path)
        return {"device": "lis2dh12_accel", "root": str(tmp_path)}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"device": "iio:device7", "root": str(tmp_path / "no")}


def polled(root: Path, device: str = "iio:device0", **options: object) -> Iio:
    sensor = Iio(device=device, root=str(root), **options)  # type: ignore[arg-type]
    sensor.clock = PushedClock()
    sensor.open()
    return sensor


def read(sensor: Iio) -> dict[str, float]:
    reading = sensor.read(10.0)
    assert reading is not None
    return dict(zip([c.name for c in sensor.channels], reading.values[0].tolist(), strict=True))


def test_units_are_si_whatever_the_kernel_counts_in(tmp_path: Path) -> None:
    """As Documentation/ABI/testing/sysfs-bus-iio words them: mV, m degC, kPa, m%, lux, Gauss, nF."""
    files = {
        "name": "several\n",
        "in_voltage0_raw": "1000\n",
        "in_voltage_scale": "0.5\n",
        "in_voltage0_offset": "-200\n",
    }
    files |= {
        "in_temp_input": "21437\n",
        "in_pressure_input": "101.325000000\n",
        "in_humidityrelative_input": "45500\n",
    }
    files |= {
        "in_illuminance_input": "320.5\n",
        "in_magn_x_raw": "2\n",
        "in_magn_scale": "0.25\n",
        "in_count0_raw": "7\n",
    }
    files |= {
        "in_capacitance0_raw": "3\n",
        "in_capacitance0_scale": "2\n",
        "in_current3_raw": "40\n",
        "in_current3_scale": "0.1\n",
    }
    files |= {"in_accel_x_raw": "5\n", "in_proximity_raw": "9\n"}
    make_device(tmp_path, files)
    sensor = polled(tmp_path)
    units = {channel.name: channel.unit for channel in sensor.channels}
    values = read(sensor)
    for name, unit, value in [
        ("voltage0", "V", 0.4),
        ("temp", "Cel", 21.437),
        ("pressure", "Pa", 101325.0),
        ("humidityrelative", "%", 45.5),
        ("illuminance", "lx", 320.5),
        ("magn_x", "T", 0.5e-4),
        ("capacitance0", "F", 6e-9),
        ("current3", "A", 4e-3),
        ("accel_x", "1", 5.0),  # without a scale it is a count
        ("count0", "1", 7.0),
        ("proximity", "1", 9.0),
    ]:
        assert units.pop(name) == unit, name
        assert values[name] == pytest.approx(value, rel=1e-6), name
    assert units == {}


def test_what_the_kernel_has_reckoned_is_taken_before_what_is_raw(tmp_path: Path) -> None:
    make_device(
        tmp_path,
        {"name": "bmp280\n", "in_temp_input": "25500\n", "in_temp_raw": "1\n", "in_temp_scale": "1\n"},
    )
    assert read(polled(tmp_path)) == {"temp": 25.5}


def test_a_scale_is_the_channels_own_or_its_types_or_of_all(tmp_path: Path) -> None:
    files = {
        "name": "adc\n",
        "in_voltage0_raw": "1000\n",
        "in_voltage1_raw": "1000\n",
        "in_voltage0_scale": "2\n",
    }
    files |= {
        "in_voltage_scale": "3\n",
        "in_voltage0-voltage1_raw": "1000\n",
        "in_voltage-voltage_scale": "4\n",
    }
    files |= {"in_current0_raw": "1000\n", "in_scale": "5\n", "in_voltage2_supply_raw": "1000\n"}
    make_device(tmp_path, files)
    assert read(polled(tmp_path)) == pytest.approx(
        {"voltage0": 2.0, "voltage1": 3.0, "voltage0-voltage1": 4.0, "current0": 5.0, "voltage2_supply": 3.0}
    )


def test_channels_come_in_the_order_of_their_numbers_or_as_asked(tmp_path: Path) -> None:
    make_device(tmp_path, {"name": "adc\n", **{f"in_voltage{i}_raw": f"{i}\n" for i in (10, 2, 1)}})
    assert list(read(polled(tmp_path))) == ["voltage1", "voltage2", "voltage10"]
    assert list(read(polled(tmp_path, channels=["voltage10", "voltage1"]))) == ["voltage10", "voltage1"]


def test_a_peak_is_no_channel_and_a_quaternion_is_four(tmp_path: Path) -> None:
    make_device(
        tmp_path,
        {"name": "imu\n", "in_rot_quaternion_raw": "0.1 0.2 0.3 0.9\n", "in_accel_x_peak_raw": "7\n"},
    )
    values = read(polled(tmp_path))
    assert values == pytest.approx(
        {"rot_quaternion x": 0.1, "rot_quaternion y": 0.2, "rot_quaternion z": 0.3, "rot_quaternion w": 0.9}
    )


def test_a_device_is_found_by_name_label_or_folder_and_never_guessed(tmp_path: Path) -> None:
    one, two = (
        {"name": "ads1015\n", "in_voltage0_raw": "1\n"},
        {"name": "ads1015\n", "in_voltage0_raw": "2\n"},
    )
    make_device(tmp_path, one, number=0)
    make_device(tmp_path, two | {"label": "pump\n"}, number=10)
    assert read(polled(tmp_path, "pump")) == {"voltage0": 2.0}
    assert read(polled(tmp_path, "iio:device0")) == {"voltage0": 1.0}
    with pytest.raises(
        SensorError, match=r"2 devices are called ads1015: .*iio:device0 = ads1015, .*10 = ads1015 = pump"
    ):
        polled(tmp_path, "ads1015")
    with pytest.raises(SensorError, match="has no device adxl345: there are iio:device0 = ads1015"):
        polled(tmp_path, "adxl345")


def test_an_unknown_channel_is_told_with_those_there_are(tmp_path: Path) -> None:
    make_device(tmp_path, {"name": "adc\n", "in_voltage0_raw": "1\n"})
    with pytest.raises(SensorError, match="has no channel accel_x: it has voltage0"):
        polled(tmp_path, channels=["accel_x"])


def test_wrong_answers_are_counted_and_never_become_samples(tmp_path: Path) -> None:
    folder = make_device(tmp_path, {"name": "adc\n", **{f"in_voltage{i}_raw": "5\n" for i in range(3)}})
    sensor = polled(tmp_path)
    (folder / "in_voltage0_raw").write_text("five\n")
    (folder / "in_voltage1_raw").write_text("nan\n")
    values = read(sensor)
    assert math.isnan(values["voltage0"])
    assert math.isnan(values["voltage1"])
    assert values["voltage2"] == 5.0
    assert sensor.skipped == {"not_a_number": 2}
    (folder / "in_voltage0_raw").unlink()
    assert math.isnan(read(sensor)["voltage0"])
    assert sensor.skipped == {"not_a_number": 3, "failed_reads": 1}


def test_a_device_that_shows_nothing_any_more_is_gone(tmp_path: Path) -> None:
    folder = make_device(tmp_path, {"name": "adc\n", "in_voltage0_raw": "1\n", "in_voltage1_raw": "1\n"})
    sensor = polled(tmp_path)
    for path in folder.glob("in_*"):
        path.unlink()
    with pytest.raises(SensorError, match=r"in_voltage1_raw"):
        sensor.read(10.0)


def test_options_that_do_not_go_together_are_refused_without_hardware() -> None:
    with pytest.raises(OptionError, match="is of capture: buffered"):
        Iio(device="x", trigger="timer")
    (problem,) = check("iio", {"device": "x", "capture": "buffered", "trigger": "timer"})
    assert (problem.path, problem.message) == ("rate_hz", "is missing: a timer needs to know how often")


def test_its_kind_is_that_of_a_waveform_where_it_is_one() -> None:
    assert Iio(device="x").kind == "telemetry"
    assert Iio(device="x", capture="buffered").kind == "vibration"
    assert Iio(device="x", capture="buffered", rate_hz=10.0).kind == "telemetry"


WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["1e999", "-1e308", "nan", "0x10", "1 2 3", "le:s64/64X64>>0", "be:f16/16", "\x00", "1_0"]
    ),
    st.floats().map(str),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_the_files_say_is_a_number_or_unknown_or_an_error_of_the_world(
    tmp_path: Path, data: st.DataObject
) -> None:
    root = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    folder = make_accelerometer(root)
    node = Node(root)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    for name in data.draw(st.lists(st.sampled_from(names), max_size=4)):
        (folder / name).write_bytes(data.draw(WORDS).encode("utf-8", "surrogateescape"))
    for capture in ("polled", "buffered"):
        options = {"device": "iio:device0", "capture": capture, "root": str(root)}
        sensor = create("it", "iio", options)
        sensor.clock = PushedClock()
        try:
            with sensor:
                node.fill(data.draw(st.binary(min_size=1, max_size=100)))
                for _ in range(2):
                    reading = sensor.read(0.0)
                    assert reading is None or reading.values.shape[1] == len(sensor.channels)
        except SensorError:
            pass
    node.close()
