"""What the drivers find on a machine, by the kernel's files alone, can be opened as it was found."""

from __future__ import annotations

from pathlib import Path

from agent.names import RESERVED
from sensors import Found, create, registry
from sensors.base import sensor_name
from tests.sensors.iio_world import make_accelerometer, make_device
from tests.sensors.recorded import told_by
from tests.sensors.test_sysfs import OVEN, WARM
from tests.sensors.world import BOARD, make_board

FIND = """
import json
from sensors import registry
found, problems = registry.find()
print(json.dumps({one.name: [one.driver, one.options] for one in found}))
"""


def found_in(root: Path, driver: str) -> list[Found]:
    """What is found opens: each is tried here."""
    found = [one for one in registry.find(root)[0] if one.driver == driver]
    for one in found:
        with create(one.name, one.driver, one.options) as sensor:
            assert sensor.channels
    return found


def test_iio_devices_are_found_by_a_name_that_means_one_alone(tmp_path: Path) -> None:
    make_accelerometer(tmp_path)
    for number in (1, 2):
        files = {"name": "ads1015\n", "in_voltage0_raw": "1\n", "in_voltage_scale": "2\n"}
        make_device(tmp_path, files, number=number)
    make_device(tmp_path, {"name": "dac\n", "out_voltage0_raw": "1\n"}, number=3)
    accelerometer, *converters = found_in(tmp_path, "iio")
    assert accelerometer.what == "iio:device0: accel_x, accel_y, accel_z; or capture: buffered"
    assert accelerometer.options == {"device": "lis2dh12_accel", "root": str(tmp_path)}
    assert [one.options["device"] for one in converters] == ["iio:device1", "iio:device2"]
    assert [one.name for one in converters] == ["iio-device1", "iio-device2"]


def test_thermometers_on_one_wire_are_one_sensor(tmp_path: Path) -> None:
    w1 = "sys/bus/w1/devices"
    others = {f"{w1}/w1_bus_master1/w1_master_slaves": OVEN, f"{w1}/2d-000001/id": "an EEPROM"}
    make_board(tmp_path, {f"{w1}/{OVEN}/w1_slave": WARM, f"{w1}/{OVEN}/temperature": "23187\n", **others})
    (one,) = found_in(tmp_path, "sysfs")
    assert one.options["channels"] == [{"w1": OVEN}]
    assert one.options["rate_hz"] == 0.2


def test_chips_on_a_bus_are_found_and_those_of_the_board_are_left_to_host(tmp_path: Path) -> None:
    make_board(tmp_path, BOARD)
    chips = {
        "platform/soc/fe804000.i2c/i2c-1/1-0048/hwmon/hwmon2": ("lm75", ("temp1", "temp10", "temp2")),
        "platform/soc/spi0/spi0.0/hwmon/hwmon3": ("adc128", ("in0",)),
        "virtual/thermal/thermal_zone0/hwmon0": ("cpu_thermal", ("temp1",)),
    }
    for path, (name, items) in chips.items():
        place = f"sys/devices/{path}"
        make_board(
            tmp_path, {f"{place}/name": f"{name}\n"} | {f"{place}/{item}_input": "1000\n" for item in items}
        )
        link = tmp_path / "sys/class/hwmon" / Path(path).name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / place)
    lm75, adc = found_in(tmp_path, "sysfs")
    assert (lm75.name, lm75.what) == ("lm75", "lm75 on i2c-1: temp1, temp2, temp10")
    assert (adc.name, adc.what) == ("adc128", "adc128 on spi0: in0")


def test_real_devices_are_found_as_the_kernel_shows_them() -> None:
    found = told_by(FIND, "bmp280", "lm75", "ads1015", "lis2dh12_accel")
    assert found["bmp280"] == ["iio", {"device": "bmp280"}]
    assert found["ads1015"] == ["iio", {"device": "ads1015"}]
    # at its own 1 Hz it is waited for 2 s for each axis: half of the time is left to others on its bus
    assert found["lis2dh12_accel"] == ["iio", {"device": "lis2dh12_accel", "rate_hz": 0.08}]
    assert found["lm75"] == ["sysfs", {"channels": [{"hwmon": "lm75", "item": "temp1"}]}]


def test_what_the_world_calls_a_thing_becomes_a_name() -> None:
    assert sensor_name("iio:device0", "iio") == "iio-device0"
    assert sensor_name(".. a b/c ..", "iio") == "a-b-c"
    assert sensor_name("温", "iio") == "iio"
    assert sensor_name("x#+", "y") == "x"
    assert sensor_name("x" * 59 + " and more", "y") == "x" * 59
    assert sensor_name("Null", "y") == "Null-sensor"
    assert all(sensor_name(topic, "y") == f"{topic}-sensor" for topic in RESERVED)
