"""The installed service on a booted Debian: it notifies, alerts, comes back, and stops."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proof.machine import Machine, wait_for
from tests.proof.trees import ROOT, booted_tree, fresh_copy, wheels

pytestmark = pytest.mark.proof

UNIT = "tocsin.service"
STANDS_STILL_S = 18.0  # the agent says so of a thread after half the watchdog's 30 s
INSTALL = ("sh", "/root/tocsin/deploy/install.sh", "--wheels", "/root/wheels")
# A real machine's recording in a few seconds, beside the board itself, which does not come to an end.
MACHINE = """\
device: proof
broker: {host: localhost, keepalive: 5 s}
sensors:
  board: {driver: host}
  furnace:
    driver: recording
    file: /opt/furnace.csv
    speed: 2000000
monitors:
  board: {sensor: board, sensitivity: quiet}
  furnace: {sensor: furnace}
"""


@pytest.fixture(scope="module")
def tree() -> Path:
    """A Debian that has what install.sh needs, and a machine to listen to."""
    tree = fresh_copy(booted_tree(), "machine")
    shutil.copytree(ROOT / "deploy", tree / "root/tocsin/deploy")
    shutil.copy(ROOT / "constraints.txt", tree / "root/tocsin")
    shutil.copytree(wheels("3.11"), tree / "root/wheels")
    shutil.copy(Path(__file__).with_name("stop_thread.py"), tree / "root")
    shutil.copy(
        ROOT / "agent/demo/recordings/machine_temperature_system_failure.csv", tree / "opt/furnace.csv"
    )
    (tree / "etc/hostname").write_text("proof\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost proof\n")
    return tree


@pytest.fixture(scope="module")
def installed(tree: Path) -> Path:
    """The tree after install.sh, without a network and without a running systemd."""
    started = time.monotonic()
    said = Machine(tree).run_unbooted(*INSTALL)
    print(f"\ninstalled without a network in {time.monotonic() - started:.0f} s:\n{said}")
    return tree


@pytest.fixture(scope="module")
def machine(installed: Path) -> Iterator[Machine]:
    """The booted machine, with a broker and the configuration of the proof."""
    (installed / "etc/tocsin/tocsin.yaml").write_text(MACHINE)
    with Machine(installed) as machine:
        yield machine


@pytest.fixture(scope="module")
def ear(machine: Machine) -> Iterator[Path]:
    """What a subscriber inside hears, one "topic payload" a line, each QoS 1 message and each retained one."""
    heard = machine.tree.with_name("heard")
    command = ["mosquitto_sub", "-q", "1", "-i", "ear", "-c", "-t", "tocsin/#", "-F", "%r %t %p"]
    with heard.open("wb") as out:
        process = subprocess.Popen(machine.enter(*command), stdin=subprocess.DEVNULL, stdout=out)
    yield heard
    process.terminate()
    process.wait(10)


def test_installing_again_keeps_the_configuration(installed: Path) -> None:
    config = installed / "etc/tocsin/tocsin.yaml"
    config.write_text(config.read_text() + "# mine\n")
    said = Machine(installed).run_unbooted(*INSTALL)
    assert "kept /etc/tocsin/tocsin.yaml" in said
    assert config.read_text().endswith("# mine\n")
    config.write_text(config.read_text().removesuffix("# mine\n"))


def test_it_installs_the_versions_that_were_tested(installed: Path) -> None:
    tested = {line.partition(" ;")[0] for line in (ROOT / "constraints.txt").read_text().lower().splitlines()}
    has = [name for name in _freeze(installed) if not name.startswith("tocsin")]
    print(f"\ninstalled: {', '.join(has)}")
    assert len(has) >= 6
    assert set(has) <= tested


def test_where_the_tested_versions_cannot_be_had_it_takes_others_and_says_so(installed: Path) -> None:
    constraints = installed / "root/tocsin/constraints.txt"
    tested = constraints.read_text()
    constraints.write_text("psutil==5.9.0\n")
    said = Machine(installed).run_unbooted(*INSTALL)
    constraints.write_text(tested)
    assert "the tested versions cannot be had here" in said
    print(f"\n{said}")
    assert "installed tocsin" in said
    assert not Machine(installed).run_unbooted(*INSTALL).count("cannot be had")


def test_it_tells_systemd_when_it_is_ready(machine: Machine) -> None:
    wait_for("tocsin.service active", lambda: machine.show(UNIT, "ActiveState") == "active", 60.0)
    seconds = _seconds(machine, "ActiveEnterTimestampMonotonic") - _seconds(
        machine, "ExecMainStartTimestampMonotonic"
    )
    user, rss_kib = machine.run("ps", "-o", "user=,rss=", "-p", _pid(machine)).split()
    status = machine.show(UNIT, "StatusText")
    print(
        f'\nREADY {seconds:.2f} s after its start, as user {user}, {int(rss_kib) / 1024:.0f} MiB: "{status}"'
    )
    assert machine.show(UNIT, "Type") == "notify"
    assert user == "tocsin"
    assert seconds < 30.0


def test_the_machines_failure_is_heard_by_a_subscriber(machine: Machine, ear: Path) -> None:
    wait_for("an alert on MQTT", lambda: len(_events(ear)), 90.0)
    event = _events(ear)[0]
    print(f"\nheard inside: {event['time']} {event['sentence']}")
    assert event["kind"] == "raised"
    assert event["monitor"] == "furnace"
    assert _availability(ear) == "online"


def test_it_can_be_asked_how_it_is(machine: Machine) -> None:
    status = json.loads(machine.run("tocsin", "status", "--json"))
    print(f"\ntocsin status: {status['agent']['health']}, broker {status['agent']['broker']['protocol']}")
    assert set(status["monitors"]) == {"board", "furnace"}


def test_killed_it_is_started_again(machine: Machine, ear: Path) -> None:
    wait_for("online", lambda: _availability(ear) == "online", 30.0)
    before, restarts = _pid(machine), int(machine.show(UNIT, "NRestarts"))
    machine.run("kill", "-9", before)
    started = time.monotonic()
    wait_for("a new process, active", lambda: _restarted(machine, before), 60.0)
    print(
        f"\nkill -9: active again after {time.monotonic() - started:.1f} s, process {before} -> {_pid(machine)}"
    )
    assert int(machine.show(UNIT, "NRestarts")) == restarts + 1
    wait_for("its last will, then online", lambda: _availabilities(ear)[-2:] == ["offline", "online"], 30.0)


def test_standing_still_it_is_ended_by_the_watchdog_and_started_again(machine: Machine, ear: Path) -> None:
    before = _pid(machine)
    watchdog_s = int(machine.show(UNIT, "WatchdogUSec").removesuffix("s"))
    machine.run("kill", "-STOP", before)
    started = time.monotonic()
    wait_for("a new process, active", lambda: _restarted(machine, before), 120.0)
    took = time.monotonic() - started
    print(f"\nSIGSTOP: watchdog of {watchdog_s} s; another process is active after {took:.1f} s")
    assert "Watchdog timeout" in machine.journal(UNIT)
    wait_for("online", lambda: _availability(ear) == "online", 30.0)


def test_when_the_pipeline_alone_hangs_the_watchdog_ends_it_too(machine: Machine, ear: Path) -> None:
    """Its thread is stopped from outside and all others go on, also the one that feeds; nothing in the agent helps."""
    before, ended = _pid(machine), machine.journal(UNIT).count("Watchdog timeout")
    with contextlib.ExitStack() as stack:
        assert _stop_the_pipeline(machine, stack), "no thread whose stop is the pipeline's"
        started = time.monotonic()
        wait_for("a new process, active", lambda: _restarted(machine, before), 120.0)
    took = time.monotonic() - started
    print(f"\nthe pipeline hung, it said so itself, and another process is active {took:.1f} s later")
    assert machine.journal(UNIT).count("Watchdog timeout") == ended + 1
    wait_for("online", lambda: _availability(ear) == "online", 30.0)


def test_stopped_it_says_offline_within_seconds(machine: Machine, ear: Path) -> None:
    started = time.monotonic()
    machine.run("systemctl", "stop", UNIT)
    took = time.monotonic() - started
    wait_for("offline", lambda: _availability(ear) == "offline", 10.0)
    retained = machine.run(
        "mosquitto_sub", "-t", "tocsin/proof/availability", "--retained-only", "-C", "1", "-W", "5"
    ).strip()
    ids = [event["id"] for event in _events(ear)]
    print(f"\nstopped in {took:.1f} s; the broker keeps: {retained}; {len(ids)} events, {len(set(ids))} ids")
    assert retained == "offline"
    assert machine.show(UNIT, "Result") == "success"
    assert took < 15.0


def test_a_mistake_in_the_configuration_is_not_tried_again(machine: Machine) -> None:
    config = machine.tree / "etc/tocsin/tocsin.yaml"
    right = config.read_text()
    config.write_text(right.replace("sensor: furnace", "sensor: furnance"))
    machine.run("systemctl", "--no-block", "start", UNIT)
    wait_for("tocsin.service failed", lambda: machine.show(UNIT, "ActiveState") == "failed", 30.0)
    config.write_text(right)
    assert machine.show(UNIT, "ExecMainStatus") == "2"
    assert machine.show(UNIT, "NRestarts") == "0"
    assert "furnance" in machine.journal(UNIT)


def test_an_upgrade_restarts_it_and_uninstalling_leaves_only_what_is_the_users(machine: Machine) -> None:
    said = machine.run(*INSTALL, timeout_s=300.0)
    assert machine.show(UNIT, "ActiveState") == "active", said
    mine = ["etc/tocsin/tocsin.yaml", "var/lib/tocsin", "etc/systemd/system/tocsin.service.d/mine.conf"]
    (machine.tree / mine[2]).parent.mkdir()
    (machine.tree / mine[2]).write_text("[Service]\nNice=1\n")
    said = machine.run("sh", "/root/tocsin/deploy/uninstall.sh")
    assert [path for path in mine if (machine.tree / path).exists()] == mine
    assert "/etc/systemd/system/tocsin.service.d are kept" in said
    assert not (machine.tree / "opt/tocsin").exists()
    machine.run("sh", "/root/tocsin/deploy/uninstall.sh", "--purge")
    print("\nupgraded while it ran, uninstalled, purged")
    left = machine.run("find", "/", "-xdev", "-iname", "*tocsin*", "-not", "-path", "/root/*")
    assert [line for line in left.splitlines() if "/proc/" not in line and "/cgroup/" not in line] == []
    assert "tocsin" not in (machine.tree / "etc/passwd").read_text()


def _pid(machine: Machine) -> str:
    return machine.show(UNIT, "MainPID")


def _stop_the_pipeline(machine: Machine, stack: contextlib.ExitStack) -> bool:
    """Stop one thread after the other for a while, until the agent says that it is the pipeline that stands still."""
    pid = _pid(machine)
    threads = sorted(int(tid) for tid in machine.run("ls", f"/proc/{pid}/task").split())
    for tid in threads[2:] + threads[1:2]:  # the main thread feeds the watchdog, the next one publishes
        stopper = subprocess.Popen(
            machine.enter("python3", "/root/stop_thread.py", str(tid)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        ending = stack.enter_context(contextlib.ExitStack())
        ending.callback(_end, stopper)
        assert stopper.stdout is not None
        assert stopper.stdout.readline() == b"stopped\n"
        until = time.monotonic() + STANDS_STILL_S
        while time.monotonic() < until:
            problems = json.loads(machine.run("tocsin", "status", "--json", accept=(0, 1)))["agent"][
                "problems"
            ]
            if "the pipeline stands still" in problems:
                print(f"\nthread {tid} of {threads}: {problems}")
                return True
            time.sleep(1.0)
        ending.close()
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(10)
    if process.stdout is not None:
        process.stdout.close()


def _freeze(tree: Path) -> list[str]:
    """What pip says is installed, "name==version" each, in small letters."""
    said = Machine(tree).run_unbooted(
        "/opt/tocsin/bin/python", "-m", "pip", "list", "--format=freeze", "--local"
    )
    return [
        line
        for line in said.lower().split()
        if "==" in line and line.split("==")[0] not in ("pip", "setuptools")
    ]


def _restarted(machine: Machine, before: str) -> bool:
    return machine.show(UNIT, "ActiveState") == "active" and _pid(machine) not in ("0", before)


def _seconds(machine: Machine, name: str) -> float:
    return int(machine.show(UNIT, name)) / 1e6


def _heard(ear: Path) -> list[tuple[str, str]]:
    lines = ear.read_text(errors="replace").split("\n")[:-1]  # the last may be half written
    return [(line.split(" ", 2)[1], line.split(" ", 2)[2]) for line in lines]


def _events(ear: Path) -> list[dict[str, Any]]:
    return [json.loads(payload) for topic, payload in _heard(ear) if topic == "tocsin/proof/event"]


def _availabilities(ear: Path) -> list[str]:
    return [payload for topic, payload in _heard(ear) if topic == "tocsin/proof/availability"]


def _availability(ear: Path) -> str:
    return (_availabilities(ear) or [""])[-1]
