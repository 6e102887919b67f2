"""The whole agent while sensors, threads, disks and systemd give it trouble."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import _may_pass
from agent.outbox import OutboxError
from tests.agent.brokers import Broker, Subscriber, until
from tests.agent.recordings import step, write_csv
from tests.agent.running import Agent, events, states
from tests.agent.test_daemon import LIVE, NERVOUS, RECORDED, any_broker, without_clock
from tests.agent.troubled import DRIVER
from tests.real import need, need_root

# Limits made small, so that what takes minutes on a machine takes a second here.
EAGER = f"""{DRIVER}
import agent.daemon, agent.reader
agent.reader.LONGEST_PAUSE_S = 0.5
agent.daemon.STILL_S = agent.daemon.READERS_STOP_S = agent.daemon.ROAD_STOP_S = 1.0
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with any_broker(tmp_path) as found:
        yield found


def troubled(gate: Path, trouble: str, silent_after: str = "400 ms") -> dict[str, Any]:
    """One sensor with a trouble and one without, each with a monitor."""
    sensor = {"driver": "troubled", "gate": str(gate), "trouble": trouble, "silent_after": silent_after}
    monitor = {"learn": "120 rows", "publish_state": "0.2 s", "max_gap": "0.2 s"}
    return {
        "sensors": {"ill": sensor, "well": {"driver": "troubled"}},
        "monitors": {"ill": monitor | {"sensor": "ill"}, "well": monitor | {"sensor": "well"}},
    }


# Sensors.


def test_a_sensor_that_falls_silent_is_an_alert_until_it_returns(tmp_path: Path, broker: Broker) -> None:
    gate = tmp_path / "gate"
    retained = "tocsin/pi-7/ill/sensor_alert"
    with (
        Subscriber(broker.port, topic="tocsin/pi-7/#") as ears,
        Agent(tmp_path, troubled(gate, "raises"), port=broker.port, before=EAGER) as agent,
    ):
        until(lambda: states(ears, "ill") and states(ears, "ill")[-1]["health"] == "armed", "armed")
        gate.touch()
        until(lambda: events(ears), "an alert")
        (event,) = events(ears)
        assert (event["kind"], event["about"], event["monitor"]) == ("raised", "sensor", "ill")
        assert event["note"].startswith("no data for ")
        assert event["note"].endswith("the wire came off")
        assert event["since"] == event["time"]
        until(lambda: states(ears, "ill")[-1]["health"] == "blind", "the monitor is blind")
        assert "the wire came off" in states(ears, "ill")[-1]["needs"]
        assert json.loads(ears.on(retained)[-1])["id"] == event["id"]
        until(
            lambda: any("the wire came off" in p for p in states(ears)[-1]["problems"]), "the agent says so"
        )
        failures = agent.ask()["agent"]["counters"]["sensor_failures"]
        until(lambda: agent.ask()["agent"]["counters"]["sensor_failures"] > failures, "it is tried again")
        gate.unlink()
        until(lambda: len(events(ears)) == 2, "cleared")
        assert (events(ears)[1]["kind"], events(ears)[1]["about"]) == ("cleared", "sensor")
        assert [event["seq"] for event in events(ears)] == [1, 2]
        until(lambda: ears.on(retained)[-1] == b"", "the retained alert is emptied")
        until(lambda: states(ears, "ill")[-1]["health"] == "armed", "armed again")
        until(lambda: states(ears, "ill")[-1]["counters"]["restarts"] > 0, "the window starts afresh")
        assert states(ears, "well")[-1]["counters"]["restarts"] == 0
        assert agent.stop() == 0
        assert agent.log.count("the wire came off (next try") == 1


def test_a_channel_that_is_no_number_is_an_alert_until_it_is_one_again(
    tmp_path: Path, broker: Broker
) -> None:
    gate = tmp_path / "gate"
    config = troubled(gate, "void", "1 s")
    vibration = {"sensor": "ill", "features": "vibration", "window": "64 rows", "max_gap": "0.5 s"}
    config["monitors"] |= {"shaft": vibration, "other": config["monitors"]["ill"] | {"channels": ["b"]}}
    with (
        Subscriber(broker.port) as ears,
        Agent(tmp_path, config, port=broker.port, before=EAGER) as agent,
    ):
        agent.until("monitor ill has learned")
        gate.touch()
        until(lambda: len(events(ears)) == 2, "both")
        for event in events(ears):
            assert (event["kind"], event["about"], event["fault"]) == ("raised", "signal", "dropout")
            assert event["note"] == "a drops out"
        assert {event["monitor"] for event in events(ears)} == {"ill", "shaft"}
        problem = "monitor ill: a: dropout"
        until(lambda: problem in states(ears)[-1]["problems"], "the agent says so")
        answer = agent.ask()
        assert answer["agent"]["health"] == "degraded"
        healths = {name: state["health"] for name, state in answer["monitors"].items()}
        assert healths == {
            "ill": "blind",
            "shaft": "blind",
            "well": healths["well"],
            "other": healths["well"],
        }
        gate.unlink()
        until(lambda: len(events(ears)) == 4, "cleared")
        until(lambda: states(ears)[-1]["health"] == "ok", "well")
        assert agent.stop() == 0


def test_a_sensor_that_never_opened_is_an_alert_with_numbers_of_its_own(
    tmp_path: Path, broker: Broker
) -> None:
    sensor = {"driver": "recording", "file": "late.csv", "speed": 100, "silent_after": "400 ms"}
    config: dict[str, Any] = {"sensors": {"pump": sensor}, "monitors": {"pump": {"sensor": "pump"}}}
    config["broker"] = {"protocol": broker.speaks}  # known, it is connected before the alert
    with (
        Subscriber(broker.port, topic="tocsin/pi-7/#") as ears,
        Agent(tmp_path, config, port=broker.port, before=EAGER) as agent,
    ):
        until(lambda: len(events(ears)) == 1, "silent")
        assert "late.csv" in events(ears)[0]["note"]
        write_csv(tmp_path / "late.csv", *step())
        until(lambda: len(events(ears)) == 2, "it is there")
        assert [(event["kind"], event["seq"]) for event in events(ears)] == [("raised", 1), ("cleared", 2)]
        topic = "tocsin/pi-7/pump/sensor_alert"  # a message of its own, which may come after the event's
        until(lambda: [bool(payload) for payload in ears.on(topic)] == [False, True, False], "retained")
        assert agent.stop() == 0


def test_a_stop_is_no_news_about_a_silent_sensor(tmp_path: Path, broker: Broker) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    with (
        Subscriber(broker.port) as ears,
        Agent(tmp_path, troubled(gate, "raises"), port=broker.port, before=EAGER) as agent,
    ):
        until(lambda: events(ears), "silent")
        assert agent.stop() == 0
        until(lambda: b"offline" in ears.on("tocsin/pi-7/availability"), "offline")
        assert [event["kind"] for event in events(ears)] == ["raised"]


@pytest.mark.parametrize("trouble", ["hangs", "hangs_in_open"])
def test_a_driver_that_hangs_stops_neither_the_others_nor_the_stop(
    tmp_path: Path, broker: Broker, trouble: str
) -> None:
    gate = tmp_path / "gate"
    if trouble == "hangs_in_open":
        gate.touch()
    with (
        Subscriber(broker.port) as ears,
        Agent(tmp_path, troubled(gate, trouble), port=broker.port, before=EAGER) as agent,
    ):
        until(lambda: states(ears, "well") and states(ears, "well")[-1]["health"] == "armed", "armed")
        gate.touch()
        until(lambda: events(ears), "silent")
        assert events(ears)[0]["monitor"] == "ill"
        rows = agent.ask()["sensors"]["well"]["rows"]
        until(lambda: agent.ask()["sensors"]["well"]["rows"] > rows + 10, "the other goes on")
        began = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - began < 5.0
        assert "sensor ill does not let go of its driver" in agent.log
        assert (agent.state_dir / "baselines" / "well.npz").exists()


def test_a_sensor_that_comes_back_as_another_is_refused_and_said(tmp_path: Path, broker: Broker) -> None:
    gate = tmp_path / "gate"
    with (
        Subscriber(broker.port) as ears,
        Agent(tmp_path, troubled(gate, "other"), port=broker.port, before=EAGER) as agent,
    ):
        until(lambda: states(ears, "ill") and states(ears, "ill")[-1]["health"] == "armed", "armed")
        gate.touch()
        until(lambda: agent.ask()["sensors"]["ill"]["error"], "it fails")
        gate.unlink()
        until(lambda: "came back as another" in agent.ask()["sensors"]["ill"]["error"], "it is refused")
        rows = agent.ask()["sensors"]["ill"]["rows"]
        until(lambda: any("came back as another" in p for p in states(ears)[-1]["problems"]), "it is said")
        assert agent.ask()["sensors"]["ill"]["rows"] == rows
        assert agent.ask()["monitors"]["ill"]["health"] == "blind"
        assert agent.stop() == 0


def test_a_pipeline_that_cannot_keep_up_loses_the_oldest_and_counts_it(
    tmp_path: Path, broker: Broker
) -> None:
    gate = tmp_path / "gate"
    slow = f"""{EAGER}
import pathlib, time, agent.inbox
from agent.pipeline import Pipeline
agent.inbox.MOST_READINGS = 20
push = Pipeline.push
def slow(self, readings):
    if pathlib.Path({str(gate)!r}).exists():
        time.sleep(1.0)
    return push(self, readings)
Pipeline.push = slow
"""
    with (
        Subscriber(broker.port) as ears,
        Agent(
            tmp_path, troubled(tmp_path / "never", "raises", "30 s"), port=broker.port, before=slow
        ) as agent,
    ):
        until(lambda: states(ears, "ill") and states(ears, "ill")[-1]["health"] == "armed", "armed")
        gate.touch()
        until(lambda: states(ears, "ill")[-1]["counters"]["dropped"] > 0, "rows are dropped")
        gate.unlink()
        until(lambda: states(ears, "ill")[-1]["counters"]["restarts"] > 0, "the window starts afresh")
        counters = agent.ask()["sensors"]["ill"]
        assert counters["dropped"] > 0
        assert agent.stop() == 0


def test_a_recording_waits_for_a_pipeline_that_cannot_keep_up(tmp_path: Path, broker: Broker) -> None:
    slow = """
import time, agent.inbox
from agent.pipeline import Pipeline
agent.inbox.MOST_READINGS = 2
push = Pipeline.push
Pipeline.push = lambda self, readings: (time.sleep(0.01), push(self, readings))[1]
"""
    write_csv(tmp_path / "pump.csv", *step())
    sensors = {"pump": RECORDED["sensors"]["pump"] | {"chunk": 10}}
    with (
        Subscriber(broker.port) as ears,
        Agent(tmp_path, RECORDED | {"sensors": sensors}, port=broker.port, before=slow) as agent,
    ):
        assert agent.wait() == 0
        assert [event["kind"] for event in events(ears)] == ["raised", "cleared"]
        until(lambda: states(ears, "pump"), "its state")
        assert states(ears, "pump")[-1]["counters"]["dropped"] == 0
        assert states(ears, "pump")[-1]["counters"]["rows"] == 900


def test_what_there_is_no_time_to_judge_at_the_stop_is_counted_and_said(
    tmp_path: Path, broker: Broker
) -> None:
    slow = f"""{EAGER}
import time, agent.inbox
from agent.pipeline import Pipeline
agent.inbox.TAKE_BYTES = 1
push = Pipeline.push
Pipeline.push = lambda self, readings: (time.sleep(0.1), push(self, readings))[1]
"""
    with (
        Subscriber(broker.port) as ears,
        Agent(tmp_path, troubled(tmp_path / "never", "raises"), port=broker.port, before=slow) as agent,
    ):
        agent.until("listens on")
        until(lambda: agent.ask()["sensors"]["ill"]["rows"] > 200, "many wait")
        assert agent.stop() == 0
        (rows,) = re.findall(r"no time to judge the last (\d+) rows", agent.log)
        dropped = [states(ears, name)[-1]["counters"]["dropped"] for name in ("ill", "well")]
        assert sum(dropped) == int(rows) > 100


# Our own bugs.


@pytest.mark.parametrize("where", ["pipeline", "driver"])
def test_a_bug_of_our_own_ends_the_process_and_is_logged_once(
    tmp_path: Path, broker: Broker, where: str
) -> None:
    gate = tmp_path / "gate"
    bug = f"""{EAGER}
import pathlib
from agent.pipeline import Pipeline
push = Pipeline.push
Pipeline.push = lambda self, readings: 1 / (not pathlib.Path({str(gate)!r}).exists()) and push(self, readings)
"""
    config = troubled(gate, "bug")
    before = EAGER if where == "driver" else bug
    if where == "pipeline":
        config["sensors"]["ill"]["gate"] = ""
    with Subscriber(broker.port) as ears, Agent(tmp_path, config, port=broker.port, before=before) as agent:
        until(lambda: agent.log.count("is armed") == 2, "both are armed")
        agent.until("connected to")
        gate.touch()
        began = time.monotonic()
        assert agent.wait() == 1
        assert time.monotonic() - began < 6.0
        assert agent.log.count("died of our own fault") == 1
        assert agent.log.count("Traceback") == 1
        assert "ZeroDivisionError" in agent.log
        until(lambda: ears.on("tocsin/pi-7/availability")[-1] == b"offline", "offline")
        assert any("own fault" in problem for problem in states(ears)[-1]["problems"])


# systemd.


class Systemd:
    """Its end of the notify socket."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.said: list[tuple[float, str]] = []

    def hear(self, timeout_s: float = 0.0) -> None:
        """Take in what has come, and wait at most so long for the first of it."""
        self._socket.settimeout(timeout_s or 1e-6)
        try:
            while True:
                self.said.append((time.monotonic(), self._socket.recv(4096).decode()))
                self._socket.settimeout(1e-6)
        except (TimeoutError, BlockingIOError):
            pass

    def count(self, word: str) -> int:
        self.hear()
        return sum(word in line for _, line in self.said)

    def environment(self, watchdog_s: float) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(int(watchdog_s * 1e6))}

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    found = Systemd(tmp_path)
    yield found
    found.close()


def test_systemd_hears_ready_the_watchdog_and_stopping(
    tmp_path: Path, broker: Broker, systemd: Systemd
) -> None:
    agent = Agent(tmp_path, LIVE, port=broker.port, before=DRIVER)
    with agent.start(env=systemd.environment(2.0)):
        until(lambda: systemd.count("WATCHDOG=1") >= 3, "the watchdog is fed")
        assert agent.stop() == 0
    systemd.hear()
    said = [line for _, line in systemd.said]
    assert said[0] == "READY=1"
    assert said[1].startswith("WATCHDOG=1\nSTATUS=0 of 1 monitors armed, broker ")
    assert said[-1] == "STOPPING=1"
    fed = [at for at, line in systemd.said if "WATCHDOG=1" in line]
    assert max(b - a for a, b in itertools.pairwise(fed)) < 2.0, "in time"


def test_a_wrong_configuration_is_never_ready(tmp_path: Path, broker: Broker, systemd: Systemd) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    config = RECORDED | {"monitors": {"pump": {"sensor": "pump", "channels": ["c9"]}}}
    agent = Agent(tmp_path, config, port=broker.port)
    with agent.start(env=systemd.environment(30.0)):
        assert agent.wait() == 2
    assert systemd.count("READY=1") == 0


@pytest.mark.parametrize("what", ["every sensor", "the pipeline"])
def test_what_stands_still_is_said_and_the_watchdog_is_no_longer_fed(
    tmp_path: Path, broker: Broker, systemd: Systemd, what: str
) -> None:
    gate = tmp_path / "gate"
    config = troubled(gate, "hangs", "30 s")
    before = EAGER
    if what == "every sensor":
        config["sensors"]["well"] = config["sensors"]["ill"]
    else:
        config["sensors"]["ill"]["gate"] = ""
        before += f"""
import pathlib, time
from agent.pipeline import Pipeline
push = Pipeline.push
def wedge(self, readings):
    while pathlib.Path({str(gate)!r}).exists():
        time.sleep(0.1)
    return push(self, readings)
Pipeline.push = wedge
"""
    agent = Agent(tmp_path, config, port=broker.port, before=before)
    with Subscriber(broker.port) as ears, agent.start(env=systemd.environment(3.0)):
        until(lambda: systemd.count("WATCHDOG=1") >= 2, "the watchdog is fed")
        gate.touch()
        until(lambda: any(f"{what} stands still" in p for p in states(ears)[-1]["problems"]), "it is said")
        fed = systemd.count("WATCHDOG=1")
        answer = agent.ask()
        assert f"{what} stands still" in answer["agent"]["problems"]
        systemd.hear(1.2)  # longer than a turn
        assert systemd.count("WATCHDOG=1") == fed
        assert agent.stop() == (0 if what == "every sensor" else 1), agent.log
        if what == "the pipeline":
            assert "the pipeline does not end" in agent.log


def test_sensors_that_all_take_long_to_open_are_waited_for(
    tmp_path: Path, broker: Broker, systemd: Systemd
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    config = troubled(gate, "hangs_in_open", "30 s")
    config["sensors"]["well"] = config["sensors"]["ill"]
    before = f"{EAGER}\nagent.reader.OPENING_S = 4.0; agent.daemon.READY_S = 0.5"
    agent = Agent(tmp_path, config, port=broker.port, before=before)
    with Subscriber(broker.port) as ears, agent.start(env=systemd.environment(2.0)):
        until(
            lambda: systemd.count("WATCHDOG=1") >= 5,
            "it is fed for longer than a thread may stand still",
        )
        assert not any("every sensor" in problem for problem in states(ears)[-1]["problems"])
        until(lambda: any("every sensor" in p for p in states(ears)[-1]["problems"]), "but not for ever")
        gate.unlink()
        until(lambda: states(ears)[-1]["health"] == "ok", "opened at last")
        assert agent.stop() == 0


# The disk.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The state directory on a disk of 600 kB."""
    need_root()
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run([need("mount"), "-t", "tmpfs", "-o", "size=600k", "none", str(state)], check=True)
    yield state
    subprocess.run([need("umount"), "-l", str(state)], check=True)


@pytest.mark.parametrize(
    ("trouble", "before"), [("full", "never"), ("read-only", "never"), ("read-only", "once")]
)
def test_a_disk_that_is_full_or_read_only_at_the_start_is_worth_another_try(
    tmp_path: Path, broker: Broker, small_disk: Path, trouble: str, before: str
) -> None:
    agent = Agent(tmp_path, LIVE, port=broker.port, before=DRIVER)
    if before == "once":
        with agent.start():
            agent.until("listens on")
            assert agent.stop() == 0
    if trouble == "full":
        fill(small_disk / "filler")
    else:
        subprocess.run([need("mount"), "-o", "remount,ro", str(small_disk)], check=True)
    with agent.start():
        assert agent.wait() == 1, "systemd tries again"
        assert f"state_dir {small_disk} cannot be used" in agent.log
        assert "Traceback" not in agent.log
    if trouble == "full":
        (small_disk / "filler").unlink()
    else:
        subprocess.run([need("mount"), "-o", "remount,rw", str(small_disk)], check=True)
    with agent.start():
        until(lambda: agent.log.count("listens on") == (1 if before == "never" else 2), "it works again")
        assert agent.stop() == 0


@pytest.mark.parametrize(
    ("error", "may_pass"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EROFS, "Read-only file system"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), False),
        (sqlite3.OperationalError("database or disk is full"), True),
        (sqlite3.OperationalError("disk I/O error"), True),
        (sqlite3.OperationalError("attempt to write a readonly database"), False),
        (sqlite3.OperationalError("unable to open database file"), False),
        (sqlite3.OperationalError("database is locked"), False),
    ],
    ids=str,
)
def test_a_disks_trouble_is_told_from_a_mistake(tmp_path: Path, error: Exception, may_pass: bool) -> None:
    wrapped = OutboxError("outbox.db: in words")
    wrapped.__cause__ = error
    assert _may_pass(wrapped, tmp_path) is may_pass
    if isinstance(error, OSError):
        assert _may_pass(error, tmp_path) is may_pass


def test_a_full_disk_delays_events_and_loses_none(tmp_path: Path, broker: Broker, small_disk: Path) -> None:
    rows, values = step()
    write_csv(tmp_path / "pump.csv", rows, values)
    monitors = dict.fromkeys((f"m{i:02}" for i in range(40)), NERVOUS)
    # 3 s: learned after 1, the fault after 2
    config = {
        "sensors": {"pump": RECORDED["sensors"]["pump"] | {"speed": 300, "repeat": True}},
        "monitors": monitors,
    }
    with Subscriber(broker.port) as ears, Agent(tmp_path, config, port=broker.port) as agent:
        until(lambda: agent.log.count("is armed") == 40, "all have learned and saved")
        fill(small_disk / "filler")
        agent.until("events wait in memory")
        until(lambda: any("wait in memory" in p for p in states(ears)[-1]["problems"]), "the agent says so")
        assert agent.process is not None
        assert agent.process.poll() is None
        (small_disk / "filler").unlink()
        agent.until("the disk takes events again")

        def raised() -> set[str]:
            return {event["monitor"] for event in events(ears) if event["kind"] == "raised"}

        until(lambda: len(raised()) == 40, "every monitor's alert")
        assert agent.stop() == 0
    for monitor in monitors:
        seqs = [event["seq"] for event in without_clock(events(ears)) if event["monitor"] == monitor]
        assert seqs == list(range(1, len(seqs) + 1)), "no number is missing"


def fill(path: Path) -> None:
    """Until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_events_that_no_disk_took_are_said_at_the_end(tmp_path: Path, broker: Broker) -> None:
    refuse = """
from agent.outbox import Outbox, OutboxError
def put_all(self, messages):
    raise OutboxError("outbox.db: the disk is full")
Outbox.put_all = put_all
"""
    write_csv(tmp_path / "pump.csv", *step())
    with Agent(tmp_path, RECORDED, port=broker.port, before=refuse) as agent:
        assert agent.wait() == 0
        assert "2 events could not be put on disk and are lost" in agent.log
        assert agent.log.count("events wait in memory") == 1, "said once, not at every try"


def test_an_answer_is_a_file_and_many_askers_do_no_harm(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as agent:
        agent.until("listens on")
        answer = agent.ask()
        found = agent.state_dir / "run" / "status.json"
        assert json.loads(found.read_bytes())["agent"]["started"] == answer["agent"]["started"]
        for _ in range(20):
            agent.signal(signal.SIGUSR1)
        assert agent.ask()["agent"]["health"] in ("ok", "degraded")
        assert agent.stop() == 0
        assert not re.search("Traceback|Error", agent.log)
