"""Numbers of the kernel's files: found by name, in SI units, and never a wrong one."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors import Channel, OptionError, SensorError, check, create
from sensors.contract import PushedClock, SensorContract
from sensors.sysfs import Entry, Sysfs
from tests.sensors.world import make_board

W1 = "sys/bus/w1/devices"
OVEN = "28-0316a4e2c1ff"
# as drivers/w1/slaves/w1_therm.c writes them
WARM = "73 01 4b 46 7f ff 0d 10 41 : crc=41 YES\n73 01 4b 46 7f ff 0d 10 41 t=23187\n"
BROKEN = "73 01 4b 46 7f ff 0d 10 40 : crc=41 NO\n73 01 4b 46 7f ff 0d 10 41 t=23187\n"
SHORTED = "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n"
POWER_ON = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n"
HOT = "50 05 4b 46 7f ff 10 10 b5 : crc=b5 YES\n50 05 4b 46 7f ff 10 10 b5 t=85000\n"
BOARD = {
    "sys/class/hwmon/hwmon2/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon2/temp1_input": "48312\n",
    "sys/class/hwmon/hwmon10/name": "ina260\n",
    "sys/class/hwmon/hwmon10/in1_input": "12012\n",
    "sys/class/hwmon/hwmon10/curr1_input": "-250\n",
    "sys/class/hwmon/hwmon10/power1_average": "3003000\n",
    "sys/class/hwmon/hwmon10/fan1_input": "1500\n",
    "sys/class/hwmon/hwmon10/pwm1": "128\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61234\n",
    f"{W1}/{OVEN}/w1_slave": WARM,
    f"{W1}/{OVEN}/temperature": "23187\n",
    "sys/class/power_supply/BAT0/capacity": "42\n",
    "sys/class/power_supply/BAT0/voltage_now": "11400000\n",
    "sys/class/power_supply/BAT0/energy_now": "1000000\n",
    "sys/class/power_supply/BAT0/temp": "315\n",
    "sys/class/power_supply/BAT0/cycle_count": "77\n",
    "sys/kernel/debug/level": "level: 0x1F mm\n",
    "proc/flow": "in 1.5e2 l/h out -7\n",
}


class TestSysfs(SensorContract):
    driver = "sysfs"
    clock = PushedClock
    root: Path

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, object]:
        type(self).root = make_board(tmp_path, BOARD)
        channels = [{"hwmon": "cpu_thermal", "item": "temp1"}, {"w1": OVEN, "name": "oven"}]
        return {"channels": channels, "root": str(tmp_path)}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"channels": [{"thermal": "cpu-thermal"}], "root": str(tmp_path / "no")}

    def lose(self) -> None:
        (self.root / "sys").rename(self.root / "gone")

    def mend(self) -> None:
        (self.root / "gone").rename(self.root / "sys")


class Board:
    """A sensor on files of its own."""

    def __init__(self, root: Path, *entries: Entry, files: Mapping[str, str] = BOARD) -> None:
        self.root = make_board(root, files)
        self.sensor = Sysfs(channels=entries, root=str(root))
        self.sensor.clock = PushedClock()
        self.sensor.open()

    def read(self) -> dict[str, float]:
        reading = self.sensor.read(2.0)
        assert reading is not None
        return dict(zip([c.name for c in self.sensor.channels], reading.values[0].tolist(), strict=True))

    def one(self, name: str, text: str) -> float:
        """What is read once a file says this."""
        (self.root / name).write_text(text)
        (value,) = self.read().values()
        return value


@pytest.mark.parametrize(
    ("entry", "channel", "value"),
    [
        (Entry(hwmon="cpu_thermal", item="temp1"), Channel("cpu_thermal temp1", "Cel"), 48.312),
        (Entry(hwmon="ina260", item="in1"), Channel("ina260 in1", "V"), 12.012),
        (Entry(hwmon="ina260", item="curr1"), Channel("ina260 curr1", "A"), -0.25),
        (Entry(hwmon="ina260", item="power1"), Channel("ina260 power1", "W"), 3.003),
        (Entry(hwmon="ina260", item="fan1"), Channel("ina260 fan1", "Hz"), 25.0),
        (Entry(hwmon="ina260", item="pwm1"), Channel("ina260 pwm1", "1"), 128.0),
        (Entry(thermal="cpu-thermal"), Channel("cpu-thermal", "Cel"), 61.234),
        (Entry(w1=OVEN), Channel(OVEN, "Cel"), 23.187),
        (Entry(power_supply="BAT0", item="capacity"), Channel("BAT0 capacity", "%"), 42.0),
        (Entry(power_supply="BAT0", item="voltage_now"), Channel("BAT0 voltage_now", "V"), 11.4),
        (Entry(power_supply="BAT0", item="energy_now"), Channel("BAT0 energy_now", "J"), 3600.0),
        (Entry(power_supply="BAT0", item="temp"), Channel("BAT0 temp", "Cel"), 31.5),
        (Entry(power_supply="BAT0", item="cycle_count"), Channel("BAT0 cycle_count", "1"), 77.0),
        (Entry(path="/sys/kernel/debug/level", scale=1e-3, unit="m"), Channel("level", "m"), 0.031),
        (Entry(path="/proc/flow", name="flow", scale=2.0, offset=1.0), Channel("flow", "1"), 301.0),
        (Entry(path="/proc/flow", pattern=r"out (\S+)"), Channel("flow", "1"), -7.0),
        (Entry(path="/sys/class/hwmon/hwmon*/in1_input", scale=1e-3), Channel("in1_input", "1"), 12.012),
        (
            Entry(hwmon="ina260", item="curr1", name="pump", scale=1.0, unit="mA"),
            Channel("pump", "mA"),
            -250.0,
        ),
    ],
)
def test_a_number_is_found_and_is_in_its_unit(
    tmp_path: Path, entry: Entry, channel: Channel, value: float
) -> None:
    board = Board(tmp_path, entry)
    assert board.sensor.channels == (channel,)
    assert board.read() == {channel.name: pytest.approx(value, rel=1e-6)}
    assert board.sensor.skipped == {}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (BROKEN, "bad_crc"),
        (SHORTED, "no_answer"),
        ("", "no_answer"),
        (POWER_ON, "power_on"),
        ("73 01", "not_a_number"),
    ],
)
def test_a_thermometers_wrong_answer_is_counted_and_unknown(tmp_path: Path, answer: str, reason: str) -> None:
    board = Board(tmp_path, Entry(w1=OVEN))
    assert math.isnan(board.one(f"{W1}/{OVEN}/w1_slave", answer))
    assert board.sensor.skipped == {reason: 1}
    assert board.one(f"{W1}/{OVEN}/w1_slave", HOT) == 85.0  # which it may well be


def test_a_thermometer_below_zero_and_one_that_shows_only_its_temperature(tmp_path: Path) -> None:
    board = Board(tmp_path, Entry(w1=OVEN))
    cold = "5e ff 4b 46 7f ff 02 10 65 : crc=65 YES\n5e ff 4b 46 7f ff 02 10 65 t=-10125\n"
    assert board.one(f"{W1}/{OVEN}/w1_slave", cold) == -10.125
    (tmp_path / W1 / OVEN / "w1_slave").unlink()
    assert board.one(f"{W1}/{OVEN}/temperature", "-10125\n") == -10.125
    assert math.isnan(board.one(f"{W1}/{OVEN}/temperature", ""))  # the kernel had no answer either
    assert board.sensor.skipped == {"no_answer": 1}


def test_what_is_out_of_range_or_no_number_is_counted_and_unknown(tmp_path: Path) -> None:
    board = Board(tmp_path, Entry(path="/proc/flow", lowest=0.0, highest=200.0))
    for text in ("-1", "201", "none", "1e999", ""):
        assert math.isnan(board.one("proc/flow", text))
    assert board.sensor.skipped == {"out_of_range": 2, "not_a_number": 3}


def test_a_zone_that_is_switched_off_has_no_temperature(tmp_path: Path) -> None:
    board = Board(tmp_path, Entry(thermal="cpu-thermal"))
    assert math.isnan(board.one("sys/class/thermal/thermal_zone0/temp", "-256000\n"))
    assert board.sensor.skipped == {"switched_off": 1}


def test_one_that_is_missing_does_not_take_the_others_along_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {name: text for name, text in BOARD.items() if OVEN not in name}
    with caplog.at_level(logging.WARNING):
        board = Board(tmp_path, Entry(w1=OVEN), Entry(thermal="cpu-thermal"), files=files)
    assert f"has no {OVEN}: there are none" in caplog.text
    assert math.isnan(board.read()[OVEN])
    assert board.sensor.skipped == {"failed_reads": 1}
    make_board(tmp_path, BOARD)
    assert board.read() == {OVEN: pytest.approx(23.187), "cpu-thermal": pytest.approx(61.234)}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (Entry(hwmon="cpu_termal", item="temp1"), "hwmon has no cpu_termal: there are cpu_thermal, ina260"),
        (Entry(hwmon="cpu_thermal", item="temp2"), "hwmon2 has no temp2: there are name, temp1_input"),
        (Entry(thermal="gpu"), "thermal has no gpu: there are cpu-thermal"),
        (Entry(w1="28-000"), f"devices has no 28-000: there are {OVEN}"),
        (Entry(power_supply="BAT1", item="capacity"), "power_supply has no BAT1: there are BAT0"),
        (Entry(path="/sys/class/hwmon/hwmon*/name"), "2 files are .*hwmon10/name, .*hwmon2/name"),
        (Entry(path="/proc/nothing"), "there is no .*proc/nothing"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(tmp_path: Path, entry: Entry, told: str) -> None:
    with pytest.raises(SensorError, match=told):
        Board(tmp_path, entry)


def test_two_chips_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    twice = BOARD | {"sys/class/hwmon/hwmon11/name": "ina260\n"}
    with pytest.raises(SensorError, match=r"2 are called ina260: .*hwmon10, .*hwmon11: give the path of one"):
        Board(tmp_path, Entry(hwmon="ina260", item="in1"), files=twice)


@pytest.mark.parametrize(
    ("channels", "path", "told"),
    [
        ([], "channels", "is empty: say what to read"),
        ([{}], "channels[0].path", "say one of hwmon, thermal, w1, power_supply, path"),
        ([{"w1": OVEN, "path": "/x"}], "channels[0].path", "say one of"),
        ([{"hwmon": "x"}], "channels[0].item", "is missing: which number of it: temp1"),
        ([{"path": "/x", "item": "temp1"}], "channels[0].item", "is of hwmon and power_supply"),
        ([{"path": "/x", "pattern": "("}], "channels[0].pattern", "is no regular expression"),
        ([{"path": "/x", "pattern": "x"}], "channels[0].pattern", "needs a group"),
        ([{"path": "/x", "lowest": 2, "highest": 1}], "channels[0].lowest", "must not be above highest"),
        ([{"path": "/a/x"}, {"path": "/b/x"}], "channels[1].name", "is the name of two channels"),
    ],
)
def test_entries_that_cannot_be_are_refused_without_hardware(
    channels: list[object], path: str, told: str
) -> None:
    (problem,) = check("sysfs", {"channels": channels})
    assert problem.path == path
    assert told in problem.message


def test_an_entry_is_a_structure_in_the_configuration() -> None:
    options = {"channels": [{"hwmon": "cpu_thermal", "item": "temp1", "highest": 80}], "rate_hz": "0.1 Hz"}
    sensor = create("cpu", "sysfs", options)
    assert sensor.channels == (Channel("cpu_thermal temp1", "Cel"),)
    assert sensor.rate_hz == pytest.approx(0.1)
    with pytest.raises(OptionError):
        Entry()


ODD = [b"1e300", b"0x" + b"f" * 400, b"9" * 400, b"t=1\xb2", WARM.replace("23187", "9" * 400).encode()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(ODD)), min_size=4, max_size=4))
def test_whatever_the_files_say_is_a_number_or_unknown(tmp_path: Path, texts: list[bytes]) -> None:
    entries = (
        Entry(path="/proc/flow"),
        Entry(path="/sys/kernel/debug/level", pattern=r"(.+)"),
        Entry(w1=OVEN),
        Entry(thermal="cpu-thermal"),
    )
    board = Board(tmp_path, *entries)
    names = (
        "proc/flow",
        "sys/kernel/debug/level",
        f"{W1}/{OVEN}/w1_slave",
        "sys/class/thermal/thermal_zone0/temp",
    )
    for name, text in zip(names, texts, strict=False):
        (tmp_path / name).write_bytes(text)
    values = board.read().values()
    assert sum(map(math.isnan, values)) == sum(board.sensor.skipped.values())
