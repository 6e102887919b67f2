"""What `tocsin init` writes loads as it is, fits the machine it was written on, and its examples load too."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from agent import starter
from agent.config import ConfigError, load, load_text
from agent.starter import starter_yaml
from sensors import registry


def put(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def board(root: Path, **more: str) -> str:
    return put(
        root,
        {
            "proc/stat": "cpu  1 0 1 8 0 0 0 0 0 0\n",
            "proc/loadavg": "0.5 0.4 0.3 1/100 1\n",
            "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "51000\n",
            "sys/class/thermal/thermal_zone1/type": "cpu: {thermal}\n",
            "sys/class/thermal/thermal_zone1/temp": "-256000\n",
            **more,
        },
    )


def test_it_loads_on_this_machine_and_names_channels_that_are_here() -> None:
    config = load_text(starter_yaml())
    with registry.create("board", "host", config.sensors["board"].options) as sensor:
        assert set(config.monitors["board"].channels) <= {channel.name for channel in sensor.channels}


def test_it_listens_to_what_the_board_shows(tmp_path: Path) -> None:
    text = starter_yaml(root=board(tmp_path))
    assert text.startswith("# Tocsin on Raspberry Pi 5 Model B Rev 1.0. ")
    assert load_text(text).monitors["board"].channels == ("cpu", "load", "temperature cpu-thermal")


def test_a_name_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    root = board(tmp_path)
    put(tmp_path, {"sys/class/thermal/thermal_zone1/temp": "40000"})
    channels = load_text(starter_yaml(root=root)).monitors["board"].channels
    assert channels[-1] == "temperature cpu: {thermal}"


@pytest.mark.parametrize(
    ("zones", "chosen"),
    [
        (("iwlwifi_1", "x86_pkg_temp"), ["temperature x86_pkg_temp"]),
        (("CPU-therm", "GPU-therm", "tj-therm"), ["temperature CPU-therm", "temperature tj-therm"]),
        (("acpitz", "iwlwifi_1"), ["temperature acpitz"]),
    ],
)
def test_it_judges_temperatures_that_do_not_come_and_go(
    tmp_path: Path, zones: tuple[str, ...], chosen: list[str]
) -> None:
    files = {f"sys/class/thermal/thermal_zone{i}/type": zone for i, zone in enumerate(zones)}
    files |= {f"sys/class/thermal/thermal_zone{i}/temp": "40000" for i in range(len(zones))}
    channels = load_text(starter_yaml(root=put(tmp_path, files))).monitors["board"].channels
    assert list(channels) == chosen


def test_a_machine_that_shows_nothing_still_gets_a_file_that_loads(tmp_path: Path) -> None:
    assert load_text(starter_yaml(root=str(tmp_path)))


def test_devices_without_a_driver_are_told_of(tmp_path: Path) -> None:
    device = "sys/bus/iio/devices/iio:device0"
    root = board(tmp_path, **{f"{device}/name": "bme280\nx: y", f"{device}/in_temp_raw": "1"})
    text = starter_yaml(root=root)
    assert "# iio:device0: bme280\\nx: y (in_temp)\n" in text
    assert load_text(text)


def test_every_example_in_it_loads_when_its_mark_is_taken_away() -> None:
    text = re.sub(r"^#(?! \S)", "", starter_yaml(), flags=re.MULTILINE)
    config = load_text(text)
    assert set(config.sensors) == set(config.monitors) == {"board", "pump", "motor"}
    assert {sensor.driver for sensor in config.sensors.values()} <= set(registry.DRIVERS)
    assert config.broker.tls is not None


def test_it_says_whether_a_broker_answers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(address: tuple[str, int], timeout: float) -> socket.socket:
        assert address == ("127.0.0.1", 1883)
        return socket.socket()

    def refuses(address: tuple[str, int], timeout: float) -> socket.socket:
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuses)
    assert "nothing answers here: install mosquitto" in starter_yaml(probe=True)
    monkeypatch.setattr(socket, "create_connection", answers)
    assert "a broker answers here" in starter_yaml(probe=True)


def test_the_command_writes_a_file_and_replaces_it_only_when_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "tocsin.yaml"
    assert starter.command(str(target), force=False) == 0
    assert f"tocsin check -c {target}" in capsys.readouterr().out
    assert load(target).sensors["board"].driver == "host"
    with pytest.raises(ConfigError, match="is there already: --force replaces it"):
        starter.command(str(target), force=False)
    assert starter.command(str(target), force=True) == 0
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        starter.command(str(tmp_path / "none" / "tocsin.yaml"), force=False)


def test_the_command_prints_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert starter.command(None, force=False) == 0
    assert load_text(capsys.readouterr().out)


def test_a_user_without_rights_writes_below_the_own_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert starter.command(str(tmp_path / "tocsin.yaml"), force=False) == 0
    assert load(tmp_path / "tocsin.yaml").state_dir == tmp_path / "tocsin"
