"""All drivers in one agent against real peers: every sample accounted for, what each costs, and each gone and back.

TOCSIN_PROOF_S is for how long they are listened to; the table in docs/drivers.md is of 600 s.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sensors import DRIVERS
from tests.agent.brokers import Mosquitto, Subscriber
from tests.agent.running import Agent, events
from tests.proof.ledger import Account, cpu_s, read_back
from tests.proof.peers import Files, Peer, Stage
from tests.proof.plant import every_peer
from tests.real import need
from tests.sensors.recorded import DEVICES

pytestmark = pytest.mark.proof

SECONDS = float(os.environ.get("TOCSIN_PROOF_S") or 40)
SILENT_S = 5.0  # silent_after of each sensor
SLACK_S = 2.0  # for noticing that, and saying it, on two busy cores
SETTLE_S = 2.0  # until what was sent last is in a row: the longest period is 1 s
BACK_S = (
    40.0  # pauses between tries double: the one after 2 * SILENT_S is of 16 s at most, and a try takes time
)
# Of each monitor: longer than this takes, for what is sent are numbers that rise
LESSONS = dict.fromkeys(("capture", "chip", "motor", "sound"), "1 h")


@dataclass
class Proof:
    """What was seen, step by step."""

    peers: dict[str, Peer]
    accounts: dict[str, Account] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)  # CPU seconds of each thread and child
    seconds: float = 0.0
    silent: dict[str, float] = field(default_factory=dict)  # seconds from the end of each peer to the alert
    why: dict[str, str] = field(default_factory=dict)  # what the alert says
    back: dict[str, float] = field(default_factory=dict)  # seconds from its return to a row
    exit_code: int | None = None
    log: str = ""

    @property
    def mortal(self) -> set[str]:
        """The names of those that can be taken away."""
        return {name for name, peer in self.peers.items() if peer.mortal}


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """All of it, in its order; the tests look at what was seen."""
    folder = tmp_path_factory.mktemp("all")
    proof = Proof({peer.name: peer for peer in every_peer(folder, SECONDS / 2)})
    (readings := folder / "readings").mkdir()
    (wired := folder / "wired").touch()
    stage = proof.peers["sound"]
    assert isinstance(stage, Stage)
    devices = [f"--device={DEVICES / name}.umockdev" for name in ("lm75", "bmp280")]
    config = {
        "sensors": {
            name: {**peer.sensor, "silent_after": f"{SILENT_S:g} s"} for name, peer in proof.peers.items()
        },
        "monitors": {
            name: {"sensor": name, "learn": LESSONS.get(name, "40000 rows")} for name in proof.peers
        },
    }
    before = f"from tests.proof.in_the_agent import prepare\nprepare({str(readings)!r}, {str(wired)!r})"
    try:
        for peer in proof.peers.values():
            peer.start()
        with Mosquitto(folder) as broker, Subscriber(broker.port) as ears:
            agent = Agent(folder, config, port=broker.port, before=before)
            with agent.start([need("umockdev-run"), *devices, "--"], {"ALSA_CONFIG_PATH": str(stage.alsa)}):
                for name in proof.peers:
                    agent.until(f"on sensor {name}:", 60.0)
                find_files(proof, process_of(agent), wired)
                listen(proof, agent, readings)
                take_away(proof, ears)
                bring_back(proof, agent)
                proof.exit_code, proof.log = agent.stop(), agent.log
        print(report(proof))
        yield proof
    finally:
        for peer in proof.peers.values():
            peer.kill()


def test_every_driver_is_there(proof: Proof) -> None:
    assert {peer.sensor["driver"] for peer in proof.peers.values()} == set(DRIVERS)


def test_every_sample_is_accounted_for(proof: Proof) -> None:
    for account in proof.accounts.values():
        assert account.sent > 0, account
        assert account.sent == account.received + sum(account.counted.values()), account


def test_a_peer_that_is_gone_is_an_alert_within_the_bound_of_silence(proof: Proof) -> None:
    told = {name for name, seconds in proof.silent.items() if seconds < SILENT_S + SLACK_S}
    assert told == proof.mortal, f"{proof.silent}\n{proof.log}"


def test_a_peer_that_is_back_is_heard_again_by_the_same_process(proof: Proof) -> None:
    assert set(proof.back) == proof.mortal, f"{proof.back}\n{proof.log}"


def test_the_agent_ends_as_it_should(proof: Proof) -> None:
    assert proof.exit_code == 0
    assert "Traceback" not in proof.log


def process_of(agent: Agent) -> int:
    """The agent itself, which umockdev-run has for a child."""
    (child,) = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    return int(child)


def find_files(proof: Proof, pid: int, wired: Path) -> None:
    """Those that are taken away: umockdev keeps its own in a folder that only the agent knows."""
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (mock,) = (Path(os.fsdecode(entry[13:])) for entry in environment if entry.startswith(b"UMOCKDEV_DIR="))
    there = {
        "sysfs": list(mock.glob("sys/devices/**/temp1_input")),
        "iio": list(mock.glob("sys/devices/**/iio:device2/in_*")),
        "chip": [wired],
    }
    for name, paths in there.items():
        peer = proof.peers[name]
        assert isinstance(peer, Files)
        assert paths, name
        peer.paths = paths


def listen(proof: Proof, agent: Agent, readings: Path) -> None:
    """For the time that was asked for; then account for all that was sent."""
    before, pid = agent.ask()["sensors"], process_of(agent)
    began, spent = time.monotonic(), cpu_s(pid)
    for peer in proof.peers.values():
        peer.go()
    while time.monotonic() < began + SECONDS:
        time.sleep(1.0)
        # of a thread that has ended since, what it took until then
        proof.spent |= {thread: seconds - spent.get(thread, 0.0) for thread, seconds in cpu_s(pid).items()}
    proof.seconds = time.monotonic() - began
    for peer in proof.peers.values():
        peer.pause()
    time.sleep(SETTLE_S)
    after = agent.ask()["sensors"]
    for name, peer in proof.peers.items():
        counts = Counter(after[name]["left_out"])
        if peer.silent_at_first:
            counts.subtract(before[name]["left_out"])
        counts["dropped"] = after[name]["dropped"]
        left_out = {reason: count for reason, count in counts.items() if count}
        proof.accounts[name] = peer.account(read_back(readings, name), left_out)


def take_away(proof: Proof, ears: Subscriber) -> None:
    """All at once, in mid-flow; when an alert about each sensor was heard."""
    for peer in proof.peers.values():
        peer.go()
    time.sleep(SILENT_S)  # alerts about the pause are over
    heard, gone = len(events(ears)), dict[str, float]()
    for name in proof.mortal:
        proof.peers[name].kill()
        gone[name] = time.monotonic()
    end = time.monotonic() + 2 * SILENT_S
    while len(proof.silent) < len(gone) and time.monotonic() < end:
        for event in events(ears)[heard:]:
            name = event["monitor"]
            if event["kind"] == "raised" and event["about"] != "machine" and name in gone:
                proof.silent.setdefault(name, time.monotonic() - gone[name])
                proof.why[name] = event["note"]
        time.sleep(0.05)


def bring_back(proof: Proof, agent: Agent) -> None:
    """All at once; when each sensor gave a row again."""
    rows = {name: sensor["rows"] for name, sensor in agent.ask()["sensors"].items()}
    came: dict[str, float] = {}
    for name in proof.mortal:
        proof.peers[name].start()
        proof.peers[name].go()
        came[name] = time.monotonic()
    end = time.monotonic() + BACK_S
    while len(proof.back) < len(came) and time.monotonic() < end:
        for name, sensor in agent.ask()["sensors"].items():
            if name in came and not sensor["error"] and sensor["rows"] > rows[name]:
                proof.back.setdefault(name, time.monotonic() - came[name])
        time.sleep(0.2)


def report(proof: Proof) -> str:
    """Tables for docs/drivers.md, and when each peer was missed and heard again."""
    lines = ["", "| driver | its peer | sent | came | counted | core |", "|---|---|---|---|---|---|"]
    for name, peer in proof.peers.items():
        account = proof.accounts[name]
        counted = ", ".join(f"{count:,} `{reason}`" for reason, count in account.counted.items()) or "-"
        mine = [
            f"read:{name}",
            f"listen:{name}",
            *(f"read:{name}.{part}" for part in peer.sensor.get("of", ())),
        ]
        share = 100 * sum(proof.spent.get(thread[:15], 0.0) for thread in mine) / proof.seconds
        child = 100 * proof.spent.get(f"child of read:{name}", 0.0) / proof.seconds
        lines.append(
            f"| `{peer.sensor['driver']}` | {peer.what} | {account.sent:,} {account.what} |"
            f" {account.received:,} | {counted} |"
            f" {share:.2f} %{f', its program {child:.2f} %' if child else ''} |"
        )
    lines += ["", f"of a core in {proof.seconds:.0f} s:"]
    lines += [
        f"{100 * spent / proof.seconds:6.2f} % {thread}"
        for thread, spent in sorted(proof.spent.items(), key=lambda item: -item[1])
        if spent
    ]
    for name in sorted(proof.mortal):
        silent, back = proof.silent.get(name, float("nan")), proof.back.get(name, float("nan"))
        lines.append(
            f"{name:8} alert after {silent:4.1f} s, row after {back:4.1f} s of its return: {proof.why.get(name)}"
        )
    return "\n".join(lines)
