"""`tocsin doctor` sees what is wrong, says it with what mends it, and claims nothing that it cannot know."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import doctor, doctor_board, doctor_broker
from agent.config import Config, load, load_text
from agent.doctor_board import buses, clock, disk, power, synchronised
from agent.doctor_peers import peers
from agent.doctor_rights import RULES, UNIT, Person, devices, runs_as, service_user, state_folder
from agent.finding import Finding
from tests.agent.brokers import HOST, Mosquitto, Subscriber, free_port, until
from tests.agent.running import REPOSITORY, Agent
from tests.real import need, need_root
from tests.sensors.http_peer import Pages
from tests.sensors.packages import install
from tests.sensors.world import make_board

TOCSIN = Person("tocsin", 4242, frozenset({4242, 4343}))
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def config(folder: Path, sensors: str = "{board: {driver: host}}", **broker: Any) -> Config:
    first = sensors.strip("{").partition(":")[0]
    text = f"""
device: pi-7
state_dir: {folder / "state"}
broker: {json.dumps(broker or {"host": HOST, "port": 1})}
sensors: {sensors}
monitors: {{{first}: {{sensor: {first}}}}}
"""
    return load_text(text, folder / "tocsin.yaml")


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


# The program.


def test_every_graph_runs_on_this_processor() -> None:
    found = doctor.processor()
    assert found.well
    assert re.search(r"ran \d+ graphs", found.says)


ILLEGAL = """
import ctypes, mmap, platform
print("graph graphs/level.onnx", flush=True)
code = b"\\x00\\x00\\x00\\x00" if platform.machine() == "aarch64" else b"\\x0f\\x0b"  # udf, ud2
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


def test_an_illegal_instruction_ends_the_child_and_is_told() -> None:
    found = doctor.processor((sys.executable, "-c", ILLEGAL))
    assert found.well is False
    assert found.says == (
        "onnxruntime at graph graphs/level.onnx was ended by an instruction that this processor does not have (SIGILL)"
    )
    assert "install 'onnxruntime!=" in found.mend


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import time; time.sleep(60)", "onnxruntime has not run the graphs within 0.5 s"),
        ("raise ImportError('libgomp.so.1: no such file')", "does not run here: ImportError: libgomp.so.1"),
        ("import os; os._exit(3)", "does not run here: it said nothing"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by the kernel, which perhaps had no memory left"),
    ],
)
def test_whatever_ends_the_child_is_told(code: str, says: str) -> None:
    found = doctor.processor((sys.executable, "-c", code), timeout_s=0.5)
    assert found.well is False
    assert says in found.says


def test_python_and_libraries_are_those_that_were_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.python().well
    assert doctor.libraries().well
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy>=1", "no-such-thing>=2; python_version>'3'"])
    found = doctor.libraries()
    assert (found.well, found.says) == (False, "no-such-thing not installed")
    assert found.mend.endswith("pip install no-such-thing")


def test_a_configured_driver_that_lacks_its_extra_is_told(
    site: Path,
    tmp_path: Path,
) -> None:
    about = site / "tocsin-9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tocsin\nVersion: 9\nRequires-Dist: no-such-thing; extra == 'parquet'\n"
    )
    install(site, "acme_thirteen", "", "flow = acme_thirteen:Flow")
    for file, well in (("a.csv", True), ("a.parquet", False)):
        found = only(doctor.of_drivers(config(tmp_path, f"{{a: {{driver: recording, file: {file}}}}}")))
        assert found.well is well
    assert found.mend.endswith("install 'tocsin[parquet]'")


# The board.


def test_the_clock_is_as_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert synchronised() in (True, False, None)
    monkeypatch.setattr(doctor_board, "synchronised", lambda: True)
    assert clock().well
    monkeypatch.setattr(doctor_board, "synchronised", lambda: False)
    assert clock().mend == "sudo timedatectl set-ntp true"
    monkeypatch.setattr("time.time", lambda: 12 * 86_400.0)
    assert clock().says == "says 1970-01-13, which is over"


@pytest.mark.parametrize(
    ("bits", "well", "says"),
    [
        ("0", True, "no under-voltage, no throttling"),
        ("50005", False, "now: under-voltage, throttled"),
        ("2", False, "now: frequency capped"),
        ("80000", None, "well now, but not long ago: soft temperature limit"),
        ("rubbish", None, "this board does not say whether it is throttled"),
    ],
)
def test_throttling_is_read_from_the_firmware(
    tmp_path: Path, bits: str, well: bool | None, says: str
) -> None:
    found = power(make_board(tmp_path, {THROTTLED: f"{bits}\n"}))
    assert (found.well, found.says) == (well, says)
    assert bool(found.mend) == (well is False)


def test_under_voltage_is_also_read_where_only_hwmon_says_it(tmp_path: Path) -> None:
    hwmon = "sys/class/hwmon/hwmon1"
    root = make_board(tmp_path, {f"{hwmon}/name": "rpi_volt\n", f"{hwmon}/in0_lcrit_alarm": "1\n"})
    assert power(root).says == "now: under-voltage"


@pytest.mark.parametrize(
    ("line", "there", "well", "mend"),
    [
        ("#dtparam=i2c_arm=on", False, False, "sudo raspi-config nonint do_i2c 0"),
        ("dtparam=i2c_arm=off", False, False, "sudo raspi-config nonint do_i2c 0"),
        ("dtparam=audio=on,i2c_arm=on", False, False, "sudo reboot"),
        ("dtparam=i2c_arm=on", True, True, ""),
    ],
)
def test_a_bus_that_a_sensor_needs_is_looked_for_in_the_firmwares_settings(
    tmp_path: Path, line: str, there: bool, well: bool, mend: str
) -> None:
    make_board(
        tmp_path, {"boot/firmware/config.txt": f"[all]\n{line}\n"} | ({"dev/i2c-1": ""} if there else {})
    )
    assert list(buses([], tmp_path)) == [], "what nobody needs may be off"
    found = only(buses(["i2c"], tmp_path))
    assert (found.well, found.mend) == (well, mend)


def test_elsewhere_than_on_a_pi_a_missing_bus_is_only_told(tmp_path: Path) -> None:
    assert only(buses(["spi"], tmp_path)).well is None


def test_the_buses_that_are_needed_are_those_of_the_configured_sensors(tmp_path: Path) -> None:
    found = config(tmp_path, "{a: {driver: recording, file: /sys/bus/w1/devices/28-1/temperature}}")
    assert doctor.needed_buses(found, tmp_path) == {"1-wire"}
    assert doctor.needed_buses(config(tmp_path), tmp_path) == set()


def mmc(folder: Path, **files: str) -> Path:
    """A tree in which the folder lies on a partition of an SD card or an eMMC."""
    number = folder.stat().st_dev
    disk = "sys/devices/mmc0/block/mmcblk0"
    make_board(folder, {f"{disk}/mmcblk0p2/partition": "2\n", "proc/uptime": "86400.0 1.0\n"})
    make_board(folder, {f"{disk}/stat": "1 2 3 4 5 6 4000000 8 9 10 11\n"})
    make_board(folder, {f"{disk}/device/{name}": text for name, text in files.items()})
    place = folder / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    place.parent.mkdir(parents=True)
    place.symlink_to(folder / disk / "mmcblk0p2")
    return folder


@pytest.mark.parametrize(
    ("files", "well", "says"),
    [
        ({"type": "SD\n"}, None, "all of this machine wrote 2 GB a day to it since the start"),
        ({"life_time": "0x02 0x01\n", "pre_eol_info": "0x01\n"}, True, "is worn to at most 20 %"),
        (
            {"life_time": "0x0b 0x01\n", "pre_eol_info": "0x01\n"},
            False,
            "near the end of its life (110 % worn)",
        ),
        ({"life_time": "0x00 0x00\n", "pre_eol_info": "0x03\n"}, False, "near the end of its life"),
        ({"ioerr_cnt": "0x1f\n"}, None, "has failed 31 commands"),
    ],
)
def test_the_health_of_a_card_is_what_it_tells(
    tmp_path: Path, files: dict[str, str], well: bool | None, says: str
) -> None:
    free, found = disk(tmp_path / "state", 1, mmc(tmp_path, **files))
    assert ("dd if" in found.mend) == found.mend.startswith(
        "mountpoint -q /media/usb && sudo dd if=/dev/mmcblk0 "
    )
    assert free.well
    assert found.well is well
    assert says in found.says


def test_errors_that_the_file_system_has_met_are_told(tmp_path: Path) -> None:
    root = make_board(mmc(tmp_path), {"sys/fs/ext4/mmcblk0p2/errors_count": "3\n"})
    _, found = disk(tmp_path, 1, root)
    assert (found.well, found.says) == (False, "ext4 has met 3 errors on mmcblk0p2")
    assert found.mend.startswith("sudo e2fsck -f /dev/mmcblk0p2")


def test_a_disk_that_is_full_or_read_only_is_told(tmp_path: Path) -> None:
    assert next(disk(tmp_path, 1)).well
    assert "are needed" in next(disk(tmp_path, 10**18)).says
    need_root()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(tmp_path)], check=True)
    try:
        found = only(disk(tmp_path / "state", 1))
        assert "is mounted read-only" in found.says
        assert found.mend.startswith("sudo mount -o remount,rw")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# What it may do.


def users(
    root: Path, groups: str = "i2c:x:998:tocsin\ndialout:x:20:root,tocsin\n", user: str = "tocsin"
) -> Path:
    return make_board(
        root,
        {
            UNIT: "[Service]\nUser=tocsin\n",
            "etc/passwd": f"root:x:0:0:root:/root:/bin/sh\n{user}:x:999:997::/var/lib/tocsin:/bin/false\n",
            "etc/group": f"root:x:0:\n{user}:x:997:\n{groups}",
        },
    )


def test_the_service_runs_as_the_user_of_its_unit(tmp_path: Path) -> None:
    assert runs_as(tmp_path).uid == os.geteuid()
    assert runs_as(users(tmp_path)) == Person("tocsin", 999, frozenset({997, 998, 20}))


def test_the_services_user_its_groups_and_rules_are_looked_for(tmp_path: Path) -> None:
    assert list(service_user(tmp_path)) == [], "not installed"
    user, rules = service_user(users(tmp_path))
    assert user.well
    assert (rules.about, rules.well) == ("udev rules", False)
    make_board(tmp_path, {RULES: ""})
    users(tmp_path, groups="i2c:x:998:\nspi:x:996:other\nvideo:x:44:tocsin\n")
    user, rules = service_user(tmp_path)
    assert user.says == "tocsin is not in i2c, spi, which may open devices"
    assert user.mend.startswith("sudo usermod --append --groups i2c,spi tocsin")
    assert rules.well
    assert (
        only(service_user(users(tmp_path, user="other"))).says
        == "the unit runs as tocsin, who does not exist"
    )


@pytest.mark.parametrize(
    ("name", "mode", "well", "mend"),
    [
        ("ttyUSB0", 0o660, True, ""),
        ("ttyUSB0", 0o600, False, "sudo setfacl -m u:tocsin:rw "),
        ("i2c-1", 0o600, False, "sudo udevadm control --reload && sudo udevadm trigger"),
        ("ttyUSB0", None, False, "ls "),
    ],
)
def test_a_device_that_a_sensor_opens_must_be_there_and_the_agents_to_open(
    tmp_path: Path, name: str, mode: int | None, well: bool, mend: str
) -> None:
    need_root()
    if mode is not None:
        make_board(tmp_path, {f"dev/{name}": ""})
        os.chown(tmp_path / "dev" / name, 0, 4343)
        (tmp_path / "dev" / name).chmod(mode)
    told = config(tmp_path, f"{{a: {{driver: recording, file: /dev/{name}}}}}")
    found = only(devices(told, TOCSIN, tmp_path))
    assert found.well is well
    assert found.mend.startswith(mend)


def test_an_iio_device_is_opened_only_to_be_captured_and_by_its_own_number(tmp_path: Path) -> None:
    folders = {
        f"sys/bus/iio/devices/iio:device{i}/name": name for i, name in enumerate(("adc\n", "bmp280\n"))
    }
    make_board(tmp_path, {**folders, "dev/iio:device0": "", "dev/iio:device1": ""})
    told = config(tmp_path, "{a: {driver: iio, device: bmp280}}")
    assert list(devices(told, TOCSIN, tmp_path)) == []
    told = config(tmp_path, "{a: {driver: iio, device: bmp280, capture: buffered}}")
    assert "/dev/iio:device1" in only(devices(told, TOCSIN, tmp_path)).says


def test_a_device_of_a_group_is_given_by_joining_the_group(tmp_path: Path) -> None:
    need_root()
    make_board(tmp_path, {"dev/ttyS7": "", "etc/group": "dialout:x:20:\n"})
    os.chown(tmp_path / "dev/ttyS7", 0, 20)
    (tmp_path / "dev/ttyS7").chmod(0o660)
    told = config(tmp_path, "{a: {driver: recording, file: /dev/ttyS7}}")
    assert only(devices(told, TOCSIN, tmp_path)).mend == (
        "sudo usermod --append --groups dialout tocsin && sudo systemctl restart tocsin"
    )


def test_the_state_folder_must_be_the_agents_with_all_that_is_in_it(tmp_path: Path) -> None:
    need_root()
    told = config(tmp_path)
    tmp_path.chmod(0o755)
    missing = state_folder(told, TOCSIN)
    assert missing.mend == f"sudo install -d -o tocsin -m 750 {told.state_dir}"
    (told.state_dir / "baselines").mkdir(parents=True)
    for path in (told.state_dir, told.state_dir / "baselines"):
        os.chown(path, TOCSIN.uid, -1)
    assert state_folder(told, TOCSIN).well
    (told.state_dir / "baselines" / "pump.npz").write_bytes(b"")  # as root, by `sudo tocsin learn`
    found = state_folder(told, TOCSIN)
    assert found.says == f"tocsin may not write {told.state_dir}/baselines/pump.npz"
    assert found.mend == f"sudo chown -R tocsin: {told.state_dir}"
    assert state_folder(told, Person("root", 0, frozenset())).well
    (told.state_dir / "somebody's").write_bytes(b"")
    own = f"sudo install -d -o tocsin -m 750 {told.state_dir}/tocsin  # and name it: state_dir"
    assert state_folder(told, TOCSIN).mend == own
    (told.state_dir / "baselines" / "pump.npz").unlink()
    assert state_folder(told, TOCSIN).well, "what others have there is theirs"


def test_a_path_in_a_command_is_one_word_of_it(tmp_path: Path) -> None:
    need_root()
    tmp_path.chmod(0o755)
    odd = tmp_path / "a b;$(c)"
    word = str(odd / "state")
    told = config(
        odd,
        f"{{a: {{driver: recording, file: {word}}}}}",
        host=HOST,
        password_file=f"{odd}/p q",
        username="u",
    )
    assert shlex.split(state_folder(told, TOCSIN).mend)[-1] == word
    (odd / "state").mkdir(parents=True)
    assert shlex.split(state_folder(told, TOCSIN).mend) == ["sudo", "chown", "-R", "tocsin:", word]
    (met,) = broker(told)
    assert shlex.split(met.mend)[-1] == f"{odd}/p q"
    _, found = doctor.configuration(f"{odd}/t.yaml", asked=False)
    assert shlex.split(found.mend)[-1] == f"{odd}/t.yaml"


# What sensors listen to.


def test_the_peers_of_sensors_are_looked_for_and_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "read.sh"
    script.write_text("echo 1")
    fields = "channels: [{name: a}]"
    with socket.create_server((HOST, 0)) as server:
        port, closed = server.getsockname()[1], free_port()

        def look(sensor: str) -> tuple[bool | None, str, str]:
            found = only(peers(config(tmp_path, f"{{a: {{{sensor}}}}}")))
            assert found.about == "sensor a"
            assert bool(found.mend) is not found.well
            return found.well, found.says, found.mend

        def of_program(*command: str, more: str = "") -> tuple[bool | None, str, str]:
            return look(f"driver: exec, command: {json.dumps(command)}, {fields}{more}")

        assert of_program("sh", "-c", "no/such")[0]
        assert of_program("sh", str(script)) == (True, "sh is there", "")
        assert of_program("sh", "-x", "read.sh", more=f", folder: {tmp_path}")[0]
        assert of_program("sh", "raed.sh", more=f", folder: {tmp_path}")[:2] == (
            False,
            "there is no raed.sh for sh to run",
        )
        no_program = (False, "there is no program no-such-thing", "give its whole path")
        assert of_program("no-such-thing") == no_program
        assert "may not be executed" in of_program(str(script))[1]
        assert of_program("sh", more=", folder: /no/such")[1] == "there is no folder /no/such"

        gone = tmp_path / "tty"
        assert look(f"driver: serial, port: {gone}, {fields}")[1] == f"{gone} is not there"
        registers = "registers: [{name: a, address: 40001}]"
        assert look(f"driver: modbus, port: {gone}, {registers}")[1] == f"{gone} is not there"
        gone.touch()
        assert look(f"driver: serial, port: {gone}, {fields}")[0]
        with_host = f"driver: modbus, host: {HOST}, {registers}"
        for driver in (
            with_host + ", host_port: PORT",
            f"driver: http, url: 'http://{HOST}:PORT/x', {fields}",
            f"driver: camera, url: 'rtsp://{HOST}:PORT/x'",
            f"driver: mqtt, host: {HOST}, port: PORT, values: [{{name: a, topic: t}}]",
            f"driver: opcua, url: 'opc.tcp://{HOST}:PORT', nodes: [{{name: a, node: ns=2;s=a}}]",
            f"driver: join, of: {{b: {{{with_host}, host_port: PORT}}}}",
        ):
            assert look(driver.replace("PORT", str(port))) == (True, f"{HOST}:{port} takes connections", "")
            assert look(driver.replace("PORT", str(closed)))[1:] == (
                f"nothing listens at {HOST}:{closed} (connection refused)",
                f"start what should listen at {HOST}:{closed}, or write the port that it listens at",
            )


def test_a_server_that_the_running_agent_reads_is_not_disturbed(tmp_path: Path) -> None:
    here = {"url": "", "channels": [{"name": "a"}], "driver": "http", "rate_hz": 2}
    with Pages(b'{"a": 1}') as page:
        live = {"sensors": {"a": {**here, "url": page.url}}, "monitors": {"a": {"sensor": "a"}}}
        with Agent(tmp_path, live, port=free_port()) as agent:
            agent.until("on sensor a:")
            until(lambda: agent.ask()["sensors"]["a"]["rows"], "the agent reads it")
            assert only(peers(load(agent.config))).says == "the running agent reads it"


def test_a_peer_of_an_unknown_name_is_told_with_what_looks_for_it(tmp_path: Path) -> None:
    for told in (
        "driver: modbus, host: no-such-host.invalid, registers: [{name: a, address: 40001}]",
        "driver: http, url: 'http://no-such-host.invalid/x', channels: [{name: a}]",
    ):
        found = only(peers(config(tmp_path, f"{{a: {{{told}}}}}")))
        assert found.well is False
        assert found.mend == "getent hosts no-such-host.invalid  # or mend the host"


# The broker.


def broker(told: Config) -> list[Finding]:
    return list(doctor_broker.broker(told, "tocsin.yaml"))


def test_the_broker_is_met_with_the_agents_credentials(tmp_path: Path) -> None:
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    subprocess.run([need("mosquitto_passwd"), "-b", "-c", str(passwords), "pump", "right"], check=True)
    with Mosquitto(tmp_path, f"password_file {passwords}", anonymous=False) as there:
        place: dict[str, Any] = {"host": HOST, "port": there.port, "username": "pump"}
        secret.write_text("right\n")
        met, name = broker(config(tmp_path, **place, password_file=str(secret)))
        assert met.says == f"{HOST}:{there.port} lets us in, MQTT 5"
        assert (name.well, name.says) == (True, "no other agent called pi-7 is online")
        secret.write_text("wrong\n")
        (met,) = broker(config(tmp_path, **place, password_file=str(secret)))
        assert met.says.endswith("the broker refuses user pump: not authorized")
        assert (
            met.mend
            == "sudo mosquitto_passwd /etc/mosquitto/passwd pump  # on the broker, or mend tocsin.yaml"
        )
        secret.unlink()
        (met,) = broker(config(tmp_path, **place, password_file=str(secret)))
        assert met.mend == f"sudo ls -l {secret}"
        (met,) = broker(config(tmp_path, **place, password_file="/run/credentials/tocsin.service/x"))
        assert met.well is None


def test_a_broker_that_is_not_there_is_told_with_what_starts_or_finds_it(tmp_path: Path) -> None:
    port = free_port()
    (met,) = broker(config(tmp_path, host=HOST, port=port))
    assert met.says == f"nothing listens at {HOST}:{port} (connection refused)"
    where = f"{HOST}:{port}"
    assert met.mend == (
        f"start the broker that should listen at {where}, or write its port into tocsin.yaml: broker.port"
    )
    usual = doctor_broker._mend(
        config(tmp_path, host=HOST, port=1883), f"nothing listens at {HOST}:1883", "tocsin.yaml"
    )
    assert usual in ("sudo systemctl enable --now mosquitto", "sudo apt install mosquitto")
    (met,) = broker(config(tmp_path, host="no-such-host.invalid", port=port))
    assert met.mend.startswith("getent hosts no-such-host.invalid")
    with Mosquitto(tmp_path) as there:
        (met,) = broker(config(tmp_path, host=HOST, port=there.port, tls=True))
        assert met.says.startswith(f"{HOST}:{there.port}: TLS: ") or "TLS" in met.says
        assert met.mend == f"openssl s_client -connect {HOST}:{there.port} -verify_return_error"


def test_an_agent_of_the_same_name_elsewhere_is_found_while_none_runs_here(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as there, Subscriber(there.port) as other:
        other.publish("tocsin/pi-7/availability", b"online", retain=True)
        _, name = broker(config(tmp_path, host=HOST, port=there.port))
        assert name.says == "no agent runs here, and yet one called pi-7 is online"
        assert name.mend == "give one of the two another name: device in tocsin.yaml"


def test_two_agents_under_one_name_are_found_and_one_alone_is_not(tmp_path: Path) -> None:
    live = {"sensors": {"board": {"driver": "host"}}, "monitors": {"board": {"sensor": "board"}}}
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    with Mosquitto(tmp_path) as server, Agent(here, live, port=server.port) as first:
        first.until("connected to")
        told = config(here, host=HOST, port=server.port)
        until(lambda: len(broker(told)) == 2 and broker(told)[1].well, "alone, it is well")
        with Agent(there, live, port=server.port) as second:
            second.until("connected to")
            found: list[Finding] = []

            def is_found() -> bool:
                found.append(broker(told)[-1])
                return found[-1].well is False

            until(is_found, "the other is found, while it is in", 60.0)
            assert found[-1].says.startswith("another ")


# The command.


def test_the_command_says_all_and_exits_by_what_it_found(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as there:
        (tmp_path / "tocsin.yaml").write_text(
            textwrap.dedent(f"""
            state_dir: {tmp_path / "state"}
            broker: {{host: {HOST}, port: {there.port}}}
            sensors: {{board: {{driver: host}}}}
            monitors: {{board: {{sensor: board}}}}
            """)
        )
        asked = [sys.executable, "-W", "error", "-m", "agent", "doctor", "-c", str(tmp_path / "tocsin.yaml")]
        done = subprocess.run(
            [*asked, "--json"], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
        )
        told = json.loads(done.stdout)
        assert told["schema"] == "tocsin.doctor/1"
        by_name = {finding["about"]: finding for finding in told["findings"]}
        assert {
            "python",
            "libraries",
            "configuration",
            "clock",
            "power",
            "disk",
            "processor",
            "broker",
        } <= set(by_name)
        for about in (
            "python",
            "configuration",
            "driver host",
            "disk",
            "state folder",
            "processor",
            "broker",
            "name",
        ):
            assert by_name[about]["well"] is True, by_name[about]
        wrong = [finding for finding in told["findings"] if finding["well"] is False]
        assert (done.returncode, told["well"]) == (int(bool(wrong)), not wrong)
        for finding in wrong:
            assert finding["mend"], "whatever is wrong has what mends it"
        assert not (tmp_path / "state").exists(), "nothing is written"


def test_a_mistake_in_the_configuration_is_one_of_the_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text("sensors: {board: {driver: hots}}\nmonitors: {board: {sensor: bord}}\n")
    assert doctor.command(str(path), as_json=False) == 1
    said = capsys.readouterr().out
    assert '"hots" is not a driver: did you mean host? and 1 more' in " ".join(said.split())
    assert f"tocsin check -c {path}" in said
    assert max(map(len, said.splitlines())) <= 160


def test_a_service_that_has_failed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users(tmp_path)
    assert list(doctor.service(tmp_path)) == [], "no systemd runs there"
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    for state, mend in (
        ("active", ""),
        ("failed", "journalctl -u tocsin -n 30 --no-pager"),
        ("inactive", "sudo systemctl enable --now tocsin"),
    ):
        (programs / "systemctl").write_text(f"#!/bin/sh\necho {state}\n")
        (programs / "systemctl").chmod(0o755)
        assert only(doctor.service(tmp_path)).mend == mend
    (programs / "systemctl").unlink()
    assert only(doctor.service(tmp_path)).well is None
