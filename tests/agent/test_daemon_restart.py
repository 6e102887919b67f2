"""What the agent finds of its earlier self: baselines, streaming state and outbox, whole or broken."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.agent.brokers import Broker, Subscriber, until
from tests.agent.recordings import START, step, write_csv
from tests.agent.running import Agent, events, news, states
from tests.agent.test_daemon import LIVE, RECORDED, any_broker, replayed, without_clock
from tests.agent.troubled import DRIVER


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with any_broker(tmp_path) as found:
        yield found


def test_what_was_learned_is_used_after_a_restart(tmp_path: Path, broker: Broker) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    with Agent(tmp_path, RECORDED, port=broker.port) as agent:
        assert agent.wait() == 0
        agent.until("monitor pump has learned from 300 rows and is armed")
        agent.log_file.unlink()
        expected = replayed(agent, "--baseline")
        with Subscriber(broker.port) as ears:
            assert agent.start().wait() == 0
            assert "monitor pump on sensor pump: armed" in agent.log
            until(lambda: len(events(ears)) == len(expected), "the same as from the saved baseline")
            assert [e["id"] for e in events(ears)] == [e["id"] for e in expected]
            assert [e["seq"] for e in events(ears)] == [3, 4], "numbers go on"


def test_a_broken_or_foreign_baseline_is_set_aside_and_said(tmp_path: Path, broker: Broker) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    pump = RECORDED["monitors"]["pump"]
    baselines = tmp_path / "state" / "baselines"
    names = ("broken", "foreign", "unlearned")
    config = RECORDED | {"monitors": dict.fromkeys(names, pump)}
    with Agent(tmp_path, config, port=broker.port) as agent:
        assert agent.wait() == 0
    (baselines / "broken.npz").write_bytes((baselines / "broken.npz").read_bytes()[:-100])
    with np.load(baselines / "unlearned.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    del arrays[next(name for name in arrays if name != "meta")]
    np.savez(baselines / "unlearned.npz", **arrays)
    config = config | {"sensors": {"pump": {"driver": "recording", "file": "pump.csv", "speed": 50}}}
    config["monitors"] = dict.fromkeys(names, pump) | {"foreign": pump | {"channels": ["c1", "c2"]}}
    with Subscriber(broker.port) as ears, Agent(tmp_path, config, port=broker.port) as agent:
        until(lambda: states(ears) and len(states(ears)[-1]["problems"]) == 3, "all three are said")
        problems = "\n".join(states(ears)[-1]["problems"])
        assert "broken.npz: not a whole baseline" in problems
        assert "set aside as broken.npz.broken" in problems
        assert "channels was c1 [1], c2 [1], c3 [1], is now c1 [1], c2 [1]" in problems
        assert "set aside as foreign.npz.foreign-1" in problems
        assert "set aside as unlearned.npz.broken" in problems
        assert {monitor["health"] for monitor in agent.ask()["monitors"].values()} == {"learning"}
        assert agent.stop() == 0
        assert (baselines / "broken.npz.broken").exists()


def test_a_broken_outbox_is_set_aside_and_said(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "outbox.db").write_bytes(b"this is no database" * 100)
    with Subscriber(broker.port) as ears, Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as agent:
        until(lambda: states(ears), "a state")
        until(lambda: any("outbox set aside" in problem for problem in states(ears)[-1]["problems"]), "said")
        assert list(agent.state_dir.glob("outbox.db.corrupt-*"))
        assert agent.stop() == 0


def test_the_state_of_a_stream_goes_on_after_a_restart(tmp_path: Path, broker: Broker) -> None:
    random = np.random.default_rng(8)
    rows = 6000
    times = START + 300.0 * np.arange(rows)
    values = random.normal(60.0, 1.0, (rows, 1)).astype(np.float32)
    values[4000:4100] += 8.0
    values[5000:5100] -= 8.0
    write_csv(tmp_path / "whole.csv", times, values)
    write_csv(tmp_path / "first.csv", times[:3000], values[:3000])
    write_csv(tmp_path / "second.csv", times[3000:], values[3000:])

    def config(file: str) -> dict[str, Any]:
        sensor = {"driver": "recording", "file": file, "speed": 0}
        return {"sensors": {"oven": sensor}, "monitors": {"oven": {"sensor": "oven"}}}

    expected = replayed(Agent(tmp_path, config("whole.csv"), port=broker.port))
    late = [event for event in expected if event["time"] > "2023-11-25"]
    assert len(late) >= 2
    with Subscriber(broker.port) as ears:
        for file in ("first.csv", "second.csv"):
            with Agent(tmp_path, config(file), port=broker.port) as agent:
                assert agent.wait() == 0
        until(lambda: len(events(ears)) >= len(expected), "all events")
        assert without_clock(events(ears)) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_alert_outlives_a_restart_and_is_cleared_when_the_machine_is_well(
    tmp_path: Path, broker: Broker, number: signal.Signals
) -> None:
    gate = tmp_path / "gate"
    config = {
        "sensors": {"pump": {"driver": "troubled", "gate": str(gate), "trouble": "fault"}},
        "monitors": {
            "pump": {
                "sensor": "pump",
                "learn": "120 rows",
                "max_gap": "0.5 s",
                "alert": {"on_delay": "0.1 s", "off_delay": "0.3 s", "critical": 1000},
            }
        },
    }
    topic = "tocsin/pi-7/pump/alert"
    with Subscriber(broker.port) as ears, Agent(tmp_path, config, port=broker.port, before=DRIVER) as agent:
        agent.until("monitor pump has learned")
        gate.touch()
        until(lambda: len(events(ears)) == 1 and ears.on(topic)[-1:] != [b""], "raised")
        (raised,) = events(ears)
        if number == signal.SIGTERM:
            assert agent.stop() == 0
        else:
            agent.kill()
        agent.start()
        until(lambda: agent.log.count("listens on") == 2, "it is back")
        until(lambda: agent.ask()["sensors"]["pump"]["rows"] > 50, "it listens")
        assert agent.ask()["monitors"]["pump"]["state"] == "active"
        assert news(ears) == [raised], "nothing new has happened"
        assert (
            b""
            not in ears.on(topic)[ears.on(topic).index(json.dumps(raised, separators=(",", ":")).encode()) :]
        )
        gate.unlink()
        until(lambda: len(news(ears)) == 2, "cleared")
        cleared = news(ears)[1]
        assert (cleared["kind"], cleared["seq"], cleared["since"]) == ("cleared", 2, raised["since"])
        until(lambda: ears.on(topic)[-1] == b"", "the retained alert is emptied")
        assert agent.stop() == 0
        agent.start()
        until(lambda: agent.log.count("listens on") == 3, "it is back again")
        until(lambda: agent.ask()["sensors"]["pump"]["rows"] > 50, "it listens")
        assert len(news(ears)) == 2, "what has cleared is over"
        assert agent.stop() == 0
