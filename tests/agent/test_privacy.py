"""Nothing leaves the premises: the running agent talks to its broker and to nobody else."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.health import holder
from tests.agent.brokers import Broker, Subscriber, free_port, until
from tests.agent.recordings import write_csv
from tests.agent.running import REPOSITORY, Agent, events
from tests.agent.test_daemon import any_broker, bursts
from tests.real import need

# All that a road may have: a recording, the board itself and a machine that does not exist; both detectors.
CONFIG: dict[str, Any] = {
    "sensors": {
        "pump": {"driver": "recording", "file": "pump.csv", "speed": 500},
        "board": {"driver": "host", "rate_hz": 5},
        "motor": {"driver": "synthetic", "speed": 15},
    },
    "monitors": {
        "pump": {"sensor": "pump", "learn": "300 rows", "sensitivity": "normal"},
        "one": {"sensor": "pump", "channels": ["c1"], "detector": "level", "learn": "300 rows"},
        "board": {"sensor": "board"},
        "motor": {"sensor": "motor", "learn": "25 s"},
    },
}
LISTEN, HEX_LOOPBACK = "0A", "0100007F"  # /proc/net/tcp: state TCP_LISTEN, and 127.0.0.1 little-endian


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with any_broker(tmp_path) as found:
        yield found


def sockets(pid: int) -> dict[str, str]:
    """What the open sockets of a process are: inode -> "tcp REMOTE-ADDRESS:PORT STATE", "udp ...", "unix", "other"."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(fd.readlink())
        except FileNotFoundError:  # closed since
            continue
        if found := re.fullmatch(r"socket:\[(\d+)\]", target):
            inodes.add(found[1])
    named = dict.fromkeys(inodes, "other")
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in named:
                named[fields[9]] = f"{table} {fields[2]} {fields[3]}"
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        inode = line.split()[6]
        if inode in named:
            named[inode] = "unix"
    return named


class Watch:
    """Looks at a process's sockets all the time."""

    def __init__(self, agent: Agent) -> None:
        self.seen: set[str] = set()
        self.looks = 0
        self._stop = threading.Event()
        self._agent = agent
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.005):
            if self._agent.process is None or self._agent.process.poll() is not None:
                return
            found = {}
            try:
                found = sockets(self._agent.pid)
            except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has just ended
                return
            self.seen.update(found.values())
            self.looks += 1

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


def live(agent: Agent, broker: Broker, ears: Subscriber, pid: int) -> None:
    """A whole life: learn, alert, lose the broker, find it again, alert, answer, stop."""
    until(lambda: len(events(ears)) >= 2, "alerts")
    broker.kill()
    agent.until("the broker closed the connection")
    broker.start()
    until(lambda: agent.ask()["agent"]["broker"]["connected"], "it is back")
    count = len(events(ears))
    until(lambda: len(events(ears)) > count, "more alerts")
    until(lambda: agent.ask()["monitors"]["motor"]["health"] == "armed", "the motor is known")
    os.kill(pid, signal.SIGTERM)
    assert agent.wait() == 0


def test_the_only_socket_of_its_life_is_the_brokers(tmp_path: Path, broker: Broker) -> None:
    write_csv(tmp_path / "pump.csv", *bursts(20_000, every=250, long=50))
    with Subscriber(broker.port) as ears, Agent(tmp_path, CONFIG, port=broker.port) as agent:
        watch = Watch(agent)
        try:
            live(agent, broker, ears, agent.pid)
        finally:
            watch.end()
    assert watch.looks > 20
    allowed = re.compile(f"tcp {HEX_LOOPBACK}:{broker.port:04X} [0-9A-F]{{2}}|other")
    strangers = [seen for seen in watch.seen if not allowed.fullmatch(seen) or seen.endswith(f" {LISTEN}")]
    assert strangers == []
    assert any(seen.startswith("tcp ") for seen in watch.seen), "the watch does see sockets"


def test_its_system_calls_name_nobody_but_the_broker(tmp_path: Path, broker: Broker) -> None:
    write_csv(tmp_path / "pump.csv", *bursts(20_000, every=250, long=50))
    trace = tmp_path / "trace"
    agent = Agent(tmp_path, CONFIG, port=broker.port)
    strace = (need("strace"), "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", str(trace))
    with Subscriber(broker.port) as ears, agent.start(strace):
        live(agent, broker, ears, agent_pid(agent))
    calls = trace.read_text().splitlines()
    made = [call for call in calls if " socket(" in call]
    assert len(made) >= 2, "one before and one after the broker's restart"
    assert all("socket(AF_INET, SOCK_STREAM" in call for call in made), made
    ends = [call for call in calls if " connect(" in call]
    to_broker = f'sin_port=htons({broker.port}), sin_addr=inet_addr("127.0.0.1")'
    assert all(to_broker in call for call in ends), ends
    for forbidden in (" listen(", " accept", " socketpair(", " sendmmsg("):
        assert not [call for call in calls if forbidden in call], forbidden
    named = [call for call in calls if " sendto(" in call and ("sa_family" in call)]
    assert named == [], "a datagram to somebody"


def agent_pid(agent: Agent) -> int:
    """Of the agent under strace, which has other children for a moment."""
    agent.until("listens on")
    found = holder(agent.state_dir)
    assert found is not None
    assert found.process is not None
    return found.process


def test_systemds_socket_is_the_one_exception_and_only_where_systemd_asks(
    tmp_path: Path, broker: Broker
) -> None:
    write_csv(tmp_path / "pump.csv", *bursts(3000))
    trace = tmp_path / "trace"
    agent = Agent(tmp_path, CONFIG, port=broker.port)
    strace = (need("strace"), "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", str(trace))
    with agent.start(strace, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}):
        pid = agent_pid(agent)
        until(lambda: trace.exists() and "READY=1" in trace.read_text(), "it would be ready")
        os.kill(pid, signal.SIGTERM)
        assert agent.wait() == 0
    families = set(re.findall(r"socket\((AF_\w+), (\w+)", trace.read_text()))
    assert families == {("AF_INET", "SOCK_STREAM"), ("AF_UNIX", "SOCK_DGRAM")}
    told = set(re.findall(r'sun_path="([^"]+)"', trace.read_text()))
    assert told == {str(tmp_path / "notify")}


def test_onnxruntimes_telemetry_is_off_before_it_is_imported() -> None:
    """In the agent's own process, whatever the environment said."""
    code = """
import builtins, os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "0"
real, seen = builtins.__import__, []
def watched(name, *given, **named):
    if name == "onnxruntime" and "onnxruntime" not in sys.modules:
        seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
    return real(name, *given, **named)
builtins.__import__ = watched
import agent.daemon, agent.offline, agent.road, agent.bench, agent.teaching
print(seen)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "['1']", done.stderr


def test_no_broker_no_connection_to_anybody_else(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", *bursts(3000))
    port = free_port()
    with Agent(tmp_path, CONFIG, port=port) as agent:
        watch = Watch(agent)
        agent.until("nothing listens at")
        until(lambda: agent.ask()["agent"]["outbox"]["waiting"] > 0, "an alert waits")
        assert agent.stop() == 0
        watch.end()
    assert all(
        seen == "other" or seen.startswith(f"tcp {HEX_LOOPBACK}:{port:04X} ") for seen in watch.seen
    ), watch.seen
