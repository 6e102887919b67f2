"""The annotated configuration: it loads as it stands, and so does all of it that is commented out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config import ConfigError, load, load_text
from sensors.registry import create

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "tocsin.yaml"


def _with_everything() -> str:
    """Each setting that is commented out, put in force; prose begins with "# " and stays a comment."""
    return re.sub(r"^( *)#(?=\S|  )", r"\1", SHIPPED.read_text(), flags=re.MULTILINE)


def test_as_it_stands_it_listens_to_this_board_at_a_broker_on_this_board() -> None:
    config = load(SHIPPED)
    assert config.broker.host == "localhost"
    assert config.broker.port == 1883
    assert str(config.state_dir) == "/var/lib/tocsin"
    assert {name: sensor.driver for name, sensor in config.sensors.items()} == {"board": "host"}
    assert list(config.monitors) == ["board"]


def test_of_a_board_it_judges_what_the_board_shows_and_what_can_be_normal_twice(tmp_path: Path) -> None:
    """No zone that is switched off, which would leave no whole row; no counter, which never comes back."""
    files = {
        "proc/stat": "cpu 1 0 1 8 0 0 0 0\n",
        "proc/loadavg": "0.1 0.1 0.1 1/100 1\n",
        "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 500 kB\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
        "sys/class/thermal/thermal_zone1/temp": "-256000\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    board = load(SHIPPED).sensors["board"]
    with create("board", board.driver, board.options | {"root": str(tmp_path)}) as sensor:
        names = [channel.name for channel in sensor.channels]
    assert names == ["cpu", "load", "temperature cpu-thermal", "memory", "memory available"]


def test_all_of_it_that_is_commented_out_is_right_too() -> None:
    config = load_text(_with_everything(), SHIPPED)
    assert config.device == "pump-house"
    assert config.broker.tls is not None
    assert config.broker.port == 8883
    drivers = {sensor.driver for sensor in config.sensors.values()}
    assert drivers == {"host", "recording", "iio", "modbus", "sysfs", "mqtt", "synthetic"}
    assert config.monitors["trial"].bearing is not None


def test_a_slip_in_it_is_told_with_its_line() -> None:
    slipped = SHIPPED.read_text().replace("driver: host", "driver: hots", 1)
    with pytest.raises(ConfigError) as told:
        load_text(slipped, SHIPPED)
    line = 1 + slipped[: slipped.index("hots")].count("\n")
    assert f"tocsin.yaml:{line}: sensors.board.driver" in str(told.value)


def test_the_password_is_where_the_unit_puts_it() -> None:
    unit = SHIPPED.with_name("tocsin.service").read_text()
    name = re.search(r"LoadCredential=([\w-]+):", unit)
    assert name
    assert f"password_file: /run/credentials/tocsin.service/{name[1]}" in SHIPPED.read_text()
