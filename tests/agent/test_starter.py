"""What `tocsin init` writes loads as it is, fits the machine it was written on, and its examples load too."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import starter
from agent.cli import main
from agent.config import ConfigError, load, load_text
from agent.scan import Look, look_at
from agent.starter import starter_yaml
from sensors import Found, registry
from sensors.base import Channel
from tests.agent.brokers import HOST, Mosquitto, free_port
from tests.agent.running import REPOSITORY, Agent
from tests.real import need
from tests.sensors.packages import FINDS, install
from tests.sensors.recorded import DEVICES


def put(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def board_of(root: Path) -> Path:
    board(root)
    return root


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


def looks(root: Path = Path("/")) -> list[Look]:
    """What is on a machine, looked at so often that no test has to wait."""
    found, problems = registry.find(root)
    assert problems == []
    quick = [dataclasses.replace(one, options={**one.options, "rate_hz": 50}) for one in found]
    return list(look_at(quick))


def written(root: Path = Path("/")) -> str:
    return starter_yaml(looks(root), root=root)


def test_it_loads_on_this_machine_and_names_channels_that_are_here() -> None:
    config = load_text(written())
    with registry.create("board", "host", config.sensors["board"].options) as sensor:
        assert set(config.monitors["board"].channels) <= {channel.name for channel in sensor.channels}


def test_it_listens_to_what_the_board_shows(tmp_path: Path) -> None:
    board(tmp_path)
    text = written(tmp_path)
    assert text.startswith("# Tocsin on Raspberry Pi 5 Model B Rev 1.0. ")
    assert load_text(text).monitors["board"].channels == ("load", "temperature cpu-thermal")


def test_what_it_shows_now_stands_beside_it(tmp_path: Path) -> None:
    board(tmp_path)
    assert "# at 50 Hz; now load 0.5, temperature cpu-thermal 51.0 Cel" in written(tmp_path)


def test_a_name_that_yaml_would_misread_is_quoted(tmp_path: Path) -> None:
    board(tmp_path)
    put(tmp_path, {"sys/class/thermal/thermal_zone1/temp": "40000"})
    channels = load_text(written(tmp_path)).monitors["board"].channels
    assert channels[-1] == "temperature cpu: {thermal}"


@pytest.mark.parametrize(
    ("zones", "chosen"),
    [
        (("iwlwifi_1", "x86_pkg_temp"), ["temperature x86_pkg_temp"]),
        (("CPU-therm", "GPU-therm", "tj-therm"), ["temperature CPU-therm", "temperature tj-therm"]),
        (("acpitz", "iwlwifi_1"), ["temperature acpitz"]),
    ],
)
def test_it_judges_temperatures_that_do_not_come_and_go(zones: tuple[str, ...], chosen: list[str]) -> None:
    look = Look(
        Found("board", "this computer itself", {}, driver="host"),
        tuple(Channel(f"temperature {zone}", "Cel") for zone in zones),
        tuple(40.0 for _ in zones),
        rate_hz=1.0,
    )
    channels = load_text(starter_yaml([look])).monitors["board"].channels
    assert list(channels) == chosen


def test_a_machine_that_shows_nothing_still_gets_a_file_that_loads(tmp_path: Path) -> None:
    assert looks(tmp_path) == []
    assert load_text(written(tmp_path)).sensors["board"].driver == "host"


def test_what_a_driver_must_be_told_more_of_is_a_comment(tmp_path: Path) -> None:
    put(board_of(tmp_path), {"sys/class/net/can0/type": "280\n", "dev/ttyUSB0": "", "dev/i2c-1": ""})
    text = starter_yaml([], root=tmp_path)
    assert "# serial port /dev/ttyUSB0: driver serial or modbus\n# I2C bus /dev/i2c-1, for chips" in text
    assert load_text(text)


def test_devices_of_a_real_kernel_are_found_written_checked_and_listened_to(tmp_path: Path) -> None:
    """As its own drivers show them, on a recording: tests/sensors/devices."""
    target = tmp_path / "tocsin.yaml"
    names = ("bmp280", "lm75", "ads1015", "lis2dh12_accel")
    mock = [need("umockdev-run"), *(f"--device={DEVICES / name}.umockdev" for name in names), "--"]
    tocsin = [*mock, sys.executable, "-W", "error", "-m", "agent"]

    def run(*words: str) -> str:
        done = subprocess.run(
            [*tocsin, *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    with Mosquitto(tmp_path) as broker:
        said = run("init", "-o", str(target), "--broker", f"{HOST}:{broker.port}")
        assert "lis2dh12_accel (iio): accel_x" in said
        target.write_text(
            target.read_text().replace("#state_dir: /var/lib/tocsin", f"state_dir: {tmp_path}/state")
        )
        config = load(target)
        assert {"board", *names} <= set(config.sensors) == set(config.monitors)
        assert config.sensors["lm75"].options == {"channels": [{"hwmon": "lm75", "item": "temp1"}]}
        run("check", "-c", str(target))
        with subprocess.Popen(
            [*tocsin, "run", "-v", "-c", str(target)], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            heard = ""
            while not all(f"monitor {name} on sensor {name}: learning" in heard for name in names):
                line = process.stderr.readline()
                assert line, heard
                heard += line
            process.terminate()
            process.communicate(timeout=20)
            assert process.returncode == 0


def test_every_example_in_it_loads_when_its_mark_is_taken_away() -> None:
    broken = Look(
        Found("oven", "a meter: nowhere", {"rate_hz": 2}, "sudo plug it in", "host"), error="no: such device"
    )
    whole = starter_yaml([*looks(), broken], port=1884)
    assert load_text(whole).broker.port == 1884
    assert (
        "# oven, a meter: nowhere: cannot be read: no: such device; first: sudo plug it in\n#  oven:" in whole
    )
    config = load_text(re.sub(r"^#(?! \S)", "", whole, flags=re.MULTILINE))
    assert {"board", "pump", "motor", "oven"} <= set(config.sensors)
    assert {"board", "pump", "motor"} <= set(config.monitors)
    assert {sensor.driver for sensor in config.sensors.values()} >= {"host", "recording", "synthetic"}
    assert config.broker.tls is not None


@pytest.mark.parametrize(
    "called", ["1080", "2e5", "2026-01-01", "on", "null", "state", "event", "x" * 80, "Gerät"]
)
def test_whatever_the_world_calls_a_thing_the_configuration_loads(tmp_path: Path, called: str) -> None:
    device = "sys/bus/iio/devices/iio:device0"
    board(tmp_path, **{f"{device}/name": f"{called}\n", f"{device}/in_temp_input": "21000\n"})
    config = load_text(written(tmp_path))
    (name,) = set(config.sensors) - {"board"}
    assert config.sensors[name].options["device"] == called
    assert config.monitors[name].sensor == name


@pytest.mark.parametrize("rate_hz", [0.01, 1.0, 50.0, 3200.0])
def test_a_sensor_of_any_rate_gets_a_monitor_that_loads(rate_hz: float) -> None:
    found = Found("motor", "a motor", {"rate_hz": rate_hz, "output": "telemetry"}, driver="synthetic")
    (look,) = look_at([dataclasses.replace(found, options={**found.options, "speed": 0})])
    assert not look.error
    (monitor,) = load_text(starter_yaml([look])).monitors.values()
    assert (monitor.learn is None) == (rate_hz != 1.0)
    assert monitor.channels == ()


def test_a_look_that_hangs_or_fails_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Found(
        "slow", "a machine", {"rate_hz": 1, "output": "telemetry", "block_s": 100}, driver="synthetic"
    )
    gone = Found("gone", "a board", {"root": "/nowhere"}, driver="host")
    wrong = Found("wrong", "a board", {"rate": 1}, driver="host")
    first, second, third = look_at([slow, gone, wrong], patience_s=0.1)
    assert first.sentence() == "no values yet"
    assert second.sentence().startswith("cannot be read: /nowhere: shows none of")
    assert third.sentence() == "cannot be read: rate: unknown option: did you mean rate_hz?"


def test_a_plug_in_that_fails_is_told_and_becomes_an_example(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = FINDS.replace("return (1.0,)", "return (1.0 / 0.0,)")
    install(site, "acme_twelve", code, "flow = acme_twelve:Flow")
    assert main(["init", "--broker", f"{HOST}:{free_port()}"]) == 0
    said = capsys.readouterr()
    words = (
        "cannot be read: fault of the driver from acme_twelve 1.2: ZeroDivisionError: float division by zero"
    )
    assert f"  flow (flow): {words}" in said.err
    assert f"# flow-2, a meter: {words}; first: sudo usermod -aG dialout tocsin\n#  flow-2:" in said.out
    assert set(load_text(said.out).sensors) == {"board"}


def test_the_broker_is_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(tmp_path) as broker:
        assert starter.command(None, force=False, broker=f"{HOST}:{broker.port}") == 0
    said = capsys.readouterr()
    assert f"broker {HOST}:{broker.port}: a broker answers here, MQTT 5" in said.err
    assert load_text(said.out).broker.port == broker.port
    with Mosquitto(tmp_path, anonymous=False) as broker:
        assert starter.command(None, force=False, broker=f"{HOST}:{broker.port}") == 0
    assert "refuses a client without a user name: not authorized; give a username" in capsys.readouterr().out
    assert starter.command(None, force=False, broker=f"{HOST}:{free_port()}") == 0
    assert "nothing listens at 127.0.0.1:" in capsys.readouterr().out


@pytest.mark.parametrize("broker", ["", "a b", "broker/x", "tcp://broker"])
def test_a_broker_that_is_none_is_refused(broker: str) -> None:
    with pytest.raises(ConfigError, match="--broker"):
        starter.command(None, force=False, broker=broker)


def test_the_command_writes_a_file_and_replaces_it_only_when_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, broker = tmp_path / "tocsin.yaml", f"{HOST}:{free_port()}"
    assert starter.command(str(target), force=False, broker=broker) == 0
    assert f"tocsin check -c {target}" in capsys.readouterr().out
    assert load(target).sensors["board"].driver == "host"
    with pytest.raises(ConfigError, match="is there already: --force replaces it"):
        starter.command(str(target), force=False, broker=broker)
    assert capsys.readouterr().err == "", "it is refused before anything is looked at"
    assert starter.command(str(target), force=True, broker=broker) == 0
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        starter.command(str(tmp_path / "none" / "tocsin.yaml"), force=False, broker=broker)


def test_what_it_writes_passes_check_and_runs(tmp_path: Path) -> None:
    target = tmp_path / "tocsin.yaml"
    command = [sys.executable, "-W", "error", "-m", "agent"]
    with Mosquitto(tmp_path) as broker:
        for words in (
            ["init", "-o", str(target), "--broker", f"{HOST}:{broker.port}"],
            ["check", "-c", str(target)],
        ):
            done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        whole = target.read_text().replace("#state_dir: /var/lib/tocsin", f"state_dir: {tmp_path}/state")
        with Agent(tmp_path, {}, port=broker.port) as agent:
            agent.kill()
            target.write_text(whole)
            agent.start()
            agent.until("listens on board")
            agent.until("connected to 127.0.0.1")
            assert agent.stop() == 0


def test_where_the_default_folder_cannot_be_written_the_state_lies_beside_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lib").write_text("a file, below which not even root makes a folder")
    monkeypatch.setattr("agent.starter.DEFAULT_STATE", tmp_path / "lib" / "tocsin")
    broker = f"{HOST}:{free_port()}"
    assert starter.command(str(tmp_path / "tocsin.yaml"), force=False, broker=broker) == 0
    assert load(tmp_path / "tocsin.yaml").state_dir == tmp_path / "state"


def test_a_broker_that_is_installed_is_to_be_started_and_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agent.hints.BROKER_LIES_IN", str(tmp_path))
    broker = f"{HOST}:{free_port()}"
    assert starter.command(None, force=False, broker=broker) == 0
    assert "; install one (sudo apt install mosquitto), or name yours" in capsys.readouterr().out
    (tmp_path / "mosquitto").write_text("")
    (tmp_path / "mosquitto").chmod(0o755)
    assert starter.command(None, force=False, broker=broker) == 0
    assert "; start it (sudo systemctl enable --now mosquitto), or name yours" in capsys.readouterr().out
