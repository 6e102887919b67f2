"""The drivers of the kernel's devices on recordings of real ones, through umockdev."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sensors.iio_world import frames_of
from tests.sensors.recorded import script_of, told_by

OPENED = """
import json, os
from pathlib import Path
from sensors import SensorError, create

SYS = Path(os.environ["UMOCKDEV_DIR"], "sys")  # where its files lie, to take some away

def opened(driver, **options):
    sensor = create("it", driver, options)
    sensor.open()
    return sensor

def row(sensor):
    names = [f"{channel.name} [{channel.unit}]" for channel in sensor.channels]
    return dict(zip(names, map(float, sensor.read(5.0).values[0])))
"""


def test_a_barometer_is_read_as_the_kernel_shows_it() -> None:
    program = (
        OPENED
        + """
sensor = opened("iio", device="bmp280", rate_hz=100)
before = row(sensor)
folder = Path("/sys/bus/iio/devices/iio:device2")
(folder / "in_temp_input").write_text("25500.000000000\\n")
(folder / "in_pressure_input").write_text("100.858000000\\n")
print(json.dumps([before, row(sensor)]))
"""
    )
    before, after = told_by(program, "bmp280")
    assert before == {"pressure [Pa]": 0.0, "temp [Cel]": 0.0}
    assert after == pytest.approx({"pressure [Pa]": 100858.0, "temp [Cel]": 25.5})


def test_a_converter_that_is_unplugged_and_plugged_in_again_comes_back() -> None:
    program = (
        OPENED
        + """
sensor = opened("iio", device="ads1015", rate_hz=100)
folder = SYS / "devices/i2c-1/1-0048/iio:device1"
before, files = row(sensor), {path: path.read_text() for path in folder.glob("in_*_raw")}
for path in files:
    path.unlink()
try:
    sensor.read(5.0)
    gone = ""
except SensorError as error:
    gone = str(error)
for path, text in files.items():
    path.write_text(text)
sensor.close()
sensor.open()
print(json.dumps([before, gone, row(sensor)]))
"""
    )
    before, gone, after = told_by(program, "ads1015")
    assert len(before) == 8
    assert before["voltage0-voltage1 [V]"] == pytest.approx(0.2880625)
    assert "No such file" in gone
    assert after == before


def test_an_accelerometers_buffer_is_set_up_and_read_to_the_last_frame(tmp_path: Path) -> None:
    stamps = [1_700_000_000_000_000_000 + i * 2_500_000 for i in range(128)]  # 400 Hz
    rows = [(i + 1, -i, 1000 + i) for i in range(128)]
    frames = frames_of(rows, stamps)
    script = script_of([frames[i : i + 256] for i in range(0, len(frames), 256)], tmp_path / "frames")
    program = (
        OPENED
        + """
sensor = opened("iio", device="lis2dh12_accel", capture="buffered", rate_hz=400, trigger="none", block_s=0.05)
folder = Path("/sys/bus/iio/devices/iio:device0")
said = {name: (folder / name).read_text().strip() for name in (
    "sampling_frequency", "buffer/enable", "buffer/length", "buffer/watermark", "scan_elements/in_timestamp_en")}
with open("/dev/iio:device0", "wb", buffering=0) as node:
    node.write(b"go")
readings = []
while sum(len(reading.values) for reading in readings) < 128:
    reading = sensor.read(5.0)
    assert reading is not None, readings
    readings.append(reading)
sensor.close()
print(json.dumps({
    "said": said,
    "enable": (folder / "buffer/enable").read_text().strip(),
    "channels": [f"{channel.name} [{channel.unit}]" for channel in sensor.channels],
    "times": [reading.time for reading in readings],
    "rows": [len(reading.values) for reading in readings],
    "values": [row for reading in readings for row in reading.values.tolist()],
    "skipped": sensor.skipped,
}))
"""
    )
    told = told_by(program, "lis2dh12_accel", extra=[f"--script=/dev/iio:device0={script}"])
    assert told["said"] == {
        "sampling_frequency": "400",
        "buffer/enable": "1",
        "buffer/length": "1024",
        "buffer/watermark": "20",
        "scan_elements/in_timestamp_en": "1",
    }
    assert told["enable"] == "0"
    assert told["channels"] == ["accel_x [m/s2]", "accel_y [m/s2]", "accel_z [m/s2]"]
    assert told["values"] == [pytest.approx([axis * 0.009806 for axis in row], rel=1e-6) for row in rows]
    firsts = [sum(told["rows"][:i]) for i in range(len(told["rows"]))]
    assert told["times"] == pytest.approx([stamps[first] / 1e9 for first in firsts], abs=1e-6)
    assert told["skipped"] == {}


def test_a_thermometer_of_hwmon_is_found_by_its_name_and_again_under_another_number() -> None:
    program = (
        OPENED
        + """
sensor = opened("sysfs", channels=[{"hwmon": "lm75", "item": "temp1"}], rate_hz=100)
before = row(sensor)
folder = SYS / "devices/i2c-1/1-004f/hwmon/hwmon0"
(folder / "temp1_input").write_text("61234\\n")
warm = row(sensor)
other = folder.with_name("hwmon7")
folder.rename(other)
(SYS / "class/hwmon/hwmon0").unlink()
gone = []
for _ in range(2):
    try:
        sensor.read(5.0)
    except SensorError as error:
        gone.append(str(error))
(SYS / "class/hwmon/hwmon7").symlink_to(other)
print(json.dumps([before, warm, gone, row(sensor)]))
"""
    )
    before, warm, gone, after = told_by(program, "lm75")
    assert before == {"lm75 temp1 [Cel]": 0.0}
    assert warm == after == pytest.approx({"lm75 temp1 [Cel]": 61.234})
    assert "No such file" in gone[0]
    assert "hwmon has no lm75: there are none" in gone[1]


def test_an_spi_transfer_is_what_spidev_takes(tmp_path: Path) -> None:
    """umockdev plays the transfers of a recorded dialogue, and knows no modes: those are left out here."""
    device, dialogue = tmp_path / "spidev.umockdev", tmp_path / "spidev.ioctl"
    device.write_text(
        "P: /devices/spi0.0/spidev/spidev0.0\nN: spidev0.0\nE: DEVNAME=/dev/spidev0.0\nE: SUBSYSTEM=spidev\n\n"
    )
    sample = "f2" + "00" * 6
    dialogue.write_text(
        "@DEV /dev/spidev0.0 (SPI)\nTW 8000\n R 00e5\n"
        + "".join(f"TW {sample}\n R 00{i:02x}0000ff0001\n" for i in range(33))
    )
    program = """
import fcntl, json
from sensors import spi
ioctl, modes = fcntl.ioctl, []
def transfers_only(file, request, argument):
    if request in (spi.SET_MODE, spi.SET_SPEED):
        return modes.append(argument.hex())
    return ioctl(file, request, argument)
fcntl.ioctl = transfers_only
chip = spi.Spi("/dev/spidev0.0", spi.MODE_3, 2e6)
answers = chip.transfer([bytes([0x80, 0])]) + chip.transfer([bytes([0xF2, 0, 0, 0, 0, 0, 0])] * 33, 5)
chip.close()
print(json.dumps([modes, [answer.hex() for answer in answers]]))
"""
    modes, answers = told_by(program, extra=[f"--device={device}", f"--ioctl=/dev/spidev0.0={dialogue}"])
    assert modes == ["03", (2_000_000).to_bytes(4, "little").hex()]
    assert answers == ["00e5", *(f"00{i:02x}0000ff0001" for i in range(33))]
