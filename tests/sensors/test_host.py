"""This board's figures, from files as the kernel writes them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sensors import Channel, SensorError
from sensors.host import GET_THROTTLED, Figure, Host
from tests.sensors.world import BOARD, PushedClock, make_board


class Board:
    """A host on a file system of its own."""

    def __init__(self, root: Path, files: dict[str, str], *include: Figure) -> None:
        self.root = make_board(root, files)
        self.host = Host(root=str(root), include=include or None)
        self.host.clock = PushedClock()
        self.host.open()

    def read(self, **files: str) -> dict[str, float]:
        reading = self.host.read(2.0)
        assert reading is not None
        names = [channel.name for channel in self.host.channels]
        return dict(zip(names, reading.values[0].tolist(), strict=True))

    def write(self, name: str, text: str) -> None:
        make_board(self.root, {name: text})


def test_a_raspberry_pi_shows_all_it_has(tmp_path: Path) -> None:
    board = Board(tmp_path, BOARD)
    board.write("proc/stat", "cpu  150 0 120 720 110 0 0 0 0 0\n")
    assert board.read() == pytest.approx(
        {
            "cpu": 70.0,
            "load": 0.2,
            "frequency": 1.05e9,
            "temperature cpu-thermal": 48.312,
            "memory": 25.0,
            "memory available": 3.072e9,
            "pressure cpu": 1.5,
            "pressure io": 0.25,
            "pressure memory": 0.0,
            "under-voltage": 0.0,
            "frequency capped": 0.0,
            "throttled": 0.0,
            "soft temperature limit": 0.0,
            "throttle events": 0.0,
        },
        rel=1e-6,
    )
    assert board.host.absent == ("power", "power mode", "battery", "agent")
    assert board.host.channels[0] == Channel("cpu", "%")


def test_what_cannot_be_read_any_more_is_unknown_and_never_zero(tmp_path: Path) -> None:
    board = Board(tmp_path, BOARD)
    for name in BOARD:
        (tmp_path / name).unlink()
    figures = board.read()
    assert figures.pop("throttle events") == 0.0
    assert all(math.isnan(value) for value in figures.values())


def test_only_what_is_included_becomes_a_channel(tmp_path: Path) -> None:
    board = Board(tmp_path, BOARD, "temperature", "load", "battery")
    assert list(board.read()) == ["load", "temperature cpu-thermal"]
    assert board.host.absent == ("battery",)


def test_a_root_that_shows_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match="shows none of power, battery"):
        Board(tmp_path, BOARD, "power", "battery")


def test_throttling_is_what_is_true_now_and_new_troubles_are_counted(tmp_path: Path) -> None:
    board = Board(tmp_path, BOARD, "throttled")
    board.read()
    for text, under_voltage, throttled, events in [
        ("50005", 1.0, 1.0, 2.0),  # the sticky bits above are not "now"
        ("50005", 1.0, 1.0, 2.0),
        ("50000", 0.0, 0.0, 2.0),
        ("50004", 0.0, 1.0, 3.0),
    ]:
        board.write(GET_THROTTLED, text + "\n")
        figures = board.read()
        assert figures["under-voltage"] == under_voltage
        assert figures["throttled"] == throttled
        assert figures["throttle events"] == events


def test_the_voltage_alarm_stands_in_where_the_firmware_is_not_asked(tmp_path: Path) -> None:
    hwmon = "sys/class/hwmon/hwmon1/"
    board = Board(tmp_path, {hwmon + "name": "rpi_volt\n", hwmon + "in0_lcrit_alarm": "1\n"})
    assert board.read() == {"under-voltage": 1.0}


def jetson(*labels: str) -> dict[str, str]:
    hwmon = "sys/class/hwmon/hwmon3/"
    files = {
        hwmon + "name": "ina3221\n",
        hwmon + "in7_label": "sum of shunt voltages\n",
        hwmon + "in7_input": "2\n",
    }
    for n, label in enumerate(labels, 1):
        files |= {hwmon + f"in{n}_label": label + "\n", hwmon + f"in{n}_input": "5000\n"}
        files |= {hwmon + f"curr{n}_input": f"{n}000\n"}
    return files


def test_rails_are_volts_times_amperes_and_the_input_is_the_total(tmp_path: Path) -> None:
    assert Board(tmp_path, jetson("VDD_IN", "VDD_CPU_GPU_CV", "NC")).read() == {
        "power VDD_IN": 5.0,
        "power VDD_CPU_GPU_CV": 10.0,
        "power total": 5.0,
    }


def test_an_agx_without_an_input_rail_sums_its_three(tmp_path: Path) -> None:
    files = jetson("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
    assert Board(tmp_path, files).read()["power total"] == 30.0


def test_power_in_microwatts_is_read_and_sockets_are_left_out(tmp_path: Path) -> None:
    hwmon = "sys/class/hwmon/"
    board = Board(
        tmp_path,
        {
            hwmon + "hwmon0/name": "ucsi_source_psy_USBC000:001\n",
            hwmon + "hwmon0/power1_input": "9\n",
            hwmon + "hwmon1/name": "ina238\n",
            hwmon + "hwmon1/power1_label": "VIN\n",
            hwmon + "hwmon1/power1_input": "12500000\n",
        },
    )
    assert board.read() == {"power VIN": 12.5, "power total": 12.5}


def test_a_zone_that_is_switched_off_is_left_out_and_twins_keep_their_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    zones = "sys/class/thermal/thermal_zone"
    files = {f"{zones}{i}/type": "GPU-therm\n" for i in (0, 2, 10)}
    files |= {zones + "0/temp": "-256000\n", zones + "2/temp": "41000\n", zones + "10/temp": "42000\n"}
    with caplog.at_level("INFO"):
        board = Board(tmp_path, files, "temperature")
    assert board.read() == {"temperature GPU-therm 2": 41.0, "temperature GPU-therm 3": 42.0}
    assert board.host.absent == ("temperature GPU-therm",)
    assert "does not show temperature GPU-therm" in caplog.text


@pytest.mark.parametrize(
    ("file", "text", "absent"),
    [
        ("proc/stat", "", "cpu"),
        ("proc/loadavg", "", "load"),
        ("proc/meminfo", "MemTotal: 4000000 kB\n", "memory available"),
        ("sys/class/thermal/thermal_zone0/temp", "N/A", "temperature cpu-thermal"),
        (GET_THROTTLED, "", "throttled"),
        ("sys/class/power_supply/BAT0/capacity", "", "battery BAT0"),
        ("sys/class/power_supply/BAT0/power_now", "", "battery power BAT0"),
    ],
)
def test_what_cannot_be_read_at_the_start_is_no_channel_so_the_others_make_whole_rows(
    tmp_path: Path, file: str, text: str, absent: str
) -> None:
    supply = "sys/class/power_supply/BAT0/"
    battery = {supply + "type": "Battery\n", supply + "capacity": "83\n", supply + "power_now": "1000000\n"}
    board = Board(tmp_path, BOARD | battery | {file: text})
    board.write("proc/stat", "cpu  150 0 120 720 110 0 0 0 0 0\n")
    figures = board.read()
    assert absent in board.host.absent
    assert absent not in figures
    assert not any(map(math.isnan, figures.values()))
    assert len(figures) > 9
    assert "throttle events" not in figures or absent != "throttled"


def test_a_board_that_is_opened_again_has_the_channels_it_had(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone0/temp"
    board = Board(tmp_path, BOARD | {zone: "-256000\n"}, "cpu", "load", "temperature")
    board.host.close()
    board.write(zone, "50000\n")
    (tmp_path / "proc/loadavg").unlink()
    board.host.open()
    board.write("proc/stat", "cpu  150 0 120 720 110 0 0 0 0 0\n")
    figures = board.read()
    assert figures.pop("cpu") == 70.0
    assert list(figures) == ["load"]
    assert math.isnan(figures["load"])


@pytest.mark.parametrize(
    "power", [{"power_now": "8000000\n"}, {"current_now": "800000\n", "voltage_now": "10000000\n"}]
)
def test_a_battery_tells_its_charge_and_power(tmp_path: Path, power: dict[str, str]) -> None:
    supply = "sys/class/power_supply/BAT0/"
    files = {supply + "type": "Battery\n", supply + "capacity": "83\n"}
    files |= {"sys/class/power_supply/AC/type": "Mains\n"} | {
        supply + name: text for name, text in power.items()
    }
    assert Board(tmp_path, files).read() == pytest.approx({"battery BAT0": 83.0, "battery power BAT0": 8.0})


def test_pressure_that_is_switched_off_is_no_channel(tmp_path: Path) -> None:
    files = BOARD | {"proc/pressure/cpu": "", "proc/pressure/io": "", "proc/pressure/memory": ""}
    assert "pressure" in Board(tmp_path, files).host.absent


def test_this_very_computer_can_be_watched() -> None:
    host = Host()
    host.clock = PushedClock()
    with host:
        assert host.read(2.0) is not None
        assert {"cpu", "memory"} <= {channel.name for channel in host.channels}
