"""The whole agent as a process, between a recording and a real broker."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agent.health import holder
from tests.agent.brokers import (
    Broker,
    Iotcore,
    Mosquitto,
    Server,
    Subscriber,
    babbling,
    free_port,
    silent,
    until,
)
from tests.agent.recordings import step, write_csv
from tests.agent.running import REPOSITORY, Agent, events, states, tocsin
from tests.agent.troubled import DRIVER
from tests.real import find

RECORDED: dict[str, Any] = {
    "sensors": {"pump": {"driver": "recording", "file": "pump.csv", "speed": 0}},
    "monitors": {"pump": {"sensor": "pump", "learn": "300 rows"}},
}
NERVOUS: dict[str, Any] = {
    "sensor": "pump",
    "learn": "300 rows",
    "window": "5 rows",
    "alert": {"on_delay": "0 s", "off_delay": "2 s", "flood": "3600 per hour"},
}
LIVE: dict[str, Any] = {
    "sensors": {"pump": {"driver": "troubled"}},
    "monitors": {"pump": {"sensor": "pump", "learn": "40000 rows", "publish_state": "0.8 s"}},
}


@pytest.fixture(params=["mosquitto", "iotcore"])
def each_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    broker = Mosquitto(tmp_path) if request.param == "mosquitto" else Iotcore(tmp_path)
    with broker:
        yield broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with any_broker(tmp_path) as found:
        yield found


def any_broker(folder: Path) -> Broker:
    return Mosquitto(folder) if find("mosquitto") else Iotcore(folder)


def without_clock(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each event once, by monitor and number."""
    once = {event["id"]: {key: event[key] for key in event if key != "clock"} for event in found}
    return sorted(once.values(), key=lambda event: (event["monitor"], event["seq"]))


def replayed(agent: Agent, *more: str) -> list[dict[str, Any]]:
    done = tocsin("replay", "-c", str(agent.config), *more)
    assert done.returncode == 0, done.stderr
    return without_clock([json.loads(line) for line in done.stdout.splitlines()])


def bursts(rows: int, every: int = 50, long: int = 10) -> tuple[Any, Any]:
    """Three channels at 1 Hz: 300 quiet rows, then a fault of `long` rows each `every` rows."""
    times, values = step(rows)
    values = values.copy()
    values[600:700, 0] -= 8  # the fault that `step` brings
    index = np.arange(rows)
    values[(index >= 350) & (index % every < long), 1] += 6
    return times, values


# The same as a replay.


def test_run_says_of_a_recording_what_replay_says(tmp_path: Path, each_broker: Broker) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    with Subscriber(each_broker.port) as ears, Agent(tmp_path, RECORDED, port=each_broker.port) as agent:
        assert agent.wait() == 0
        expected = replayed(agent)
        assert [event["kind"] for event in expected] == ["raised", "cleared"]
        until(lambda: len(events(ears)) >= len(expected), "all events")
        assert without_clock(events(ears)) == expected
        assert all(event["clock"]["boot_id"] for event in events(ears))
        assert len(events(ears)) == len(expected), "none came twice"


def test_run_says_of_the_demos_machine_what_replay_says(tmp_path: Path, broker: Broker) -> None:
    demo = yaml.safe_load((REPOSITORY / "agent/demo/demo.yaml").read_text())
    furnace = demo["sensors"]["furnace"] | {"speed": 0}
    furnace["file"] = str(REPOSITORY / "agent/demo" / furnace["file"])
    config = {"sensors": {"furnace": furnace}, "monitors": {"furnace": demo["monitors"]["furnace"]}}
    with Subscriber(broker.port) as ears, Agent(tmp_path, config, port=broker.port) as agent:
        assert agent.wait() == 0
        expected = replayed(agent)
        assert len(expected) > 5
        until(lambda: len(events(ears)) >= len(expected), "all events")
        assert without_clock(events(ears)) == expected


# Stopping and asking.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(tmp_path: Path, broker: Broker, number: signal.Signals) -> None:
    config = LIVE | {"monitors": {"pump": {"sensor": "pump", "learn": "120 rows"}}}
    with Subscriber(broker.port) as ears, Agent(tmp_path, config, port=broker.port, before=DRIVER) as agent:
        saved = agent.state_dir / "baselines" / "pump.npz"
        until(saved.exists, "it has learned")
        agent.until("connected to")
        before = saved.stat().st_mtime_ns
        began = time.monotonic()
        assert agent.stop(number) == 0
        assert time.monotonic() - began < 5.0
        assert saved.stat().st_mtime_ns > before, "its state was saved"
        until(lambda: ears.on("tocsin/pi-7/availability")[-1:] == [b"offline"], "offline")
        assert "Traceback" not in agent.log


def test_status_is_answered_from_the_running_agent(tmp_path: Path, broker: Broker) -> None:
    asked = ("status", "-c", str(tmp_path / "tocsin.yaml"))
    with Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as agent:
        agent.until("connected to")
        until(lambda: agent.ask()["sensors"]["pump"]["rows"] > 10, "it reads")
        # The driver is the test's own, which the command does not know; ask as it does.
        answer = agent.ask()
        assert answer["agent"]["health"] == "ok"
        assert answer["agent"]["broker"]["connected"]
        assert answer["monitors"]["pump"]["health"] == "learning"
        assert answer["monitors"]["pump"]["needs"].startswith("needs ")
        assert answer["sensors"]["pump"]["phase"] == "reading"
        recorded = yaml.safe_load(agent.config.read_text()) | RECORDED
        agent.config.write_text(yaml.safe_dump(recorded))
        write_csv(tmp_path / "pump.csv", *step())
        told = tocsin(*asked)
        assert told.returncode == 0, told.stderr
        assert "pi-7: ok, tocsin" in told.stdout
        assert "monitor pump: learning" in told.stdout
        told = tocsin(*asked, "--json")
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["agent"]["device"] == "pi-7"
        assert agent.stop() == 0
    told = tocsin(*asked)
    assert told.returncode == 1
    assert f"no agent is running on {agent.state_dir}" in told.stderr
    assert told.stdout == ""


def test_whoever_asks_while_it_starts_does_not_end_it(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as agent:
        until(lambda: holder(agent.state_dir), "it begins")
        assert agent.ask()["agent"]["device"] == "pi-7"
        assert agent.stop() == 0


def test_a_request_over_mqtt_gets_its_response(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker.port) as ears, Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as agent:
        until(lambda: b"online" in ears.on("tocsin/pi-7/availability"), "online")
        agent.until("monitor pump on sensor")
        ears.publish("tocsin/pi-7/request/status", b'{"transaction": "t-1"}')
        ears.publish("tocsin/pi-7/request/selfdestruct", b'{"transaction": 2}')
        until(lambda: len([topic for topic, _, _ in ears.heard if "/response/" in topic]) == 2, "both")
        said = json.loads(ears.on("tocsin/pi-7/response/status")[0])
        assert (said["status"], said["transaction"]) == ("ok", "t-1")
        assert said["answer"]["agent"]["device"] == "pi-7"
        said = json.loads(ears.on("tocsin/pi-7/response/selfdestruct")[0])
        assert (said["status"], said["transaction"]) == ("error", 2)
        assert 'there is "status"' in said["error"]


def test_a_second_agent_on_one_state_directory_is_refused(tmp_path: Path, broker: Broker) -> None:
    with Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as first:
        first.until("listens on")
        with Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as second:
            assert second.wait() == 2
            second.until(f"process {first.pid} already works in {first.state_dir}")
        assert first.ask()["agent"]["health"] in ("ok", "degraded"), "the first lives on"
        assert first.stop() == 0


# Mistakes that only show at start.


def test_a_channel_that_the_opened_sensor_does_not_have_ends_it(tmp_path: Path, broker: Broker) -> None:
    monitors = {
        "pump": {"sensor": "pump", "channels": ["c1", "c9"]},
        "other": {"sensor": "pump", "channels": ["cx"]},
    }
    write_csv(tmp_path / "pump.csv", *step())
    with Agent(tmp_path, RECORDED | {"monitors": monitors}, port=broker.port) as agent:
        assert agent.wait() == 2
        assert "monitors.pump.channels: sensor pump has no channel c9: it has c1, c2, c3" in agent.log
        assert "monitors.other.channels: sensor pump has no channel cx" in agent.log, "all at once"
        assert "Traceback" not in agent.log


def test_a_mistake_found_late_stops_its_monitor_and_not_the_others(tmp_path: Path, broker: Broker) -> None:
    config = {
        "sensors": LIVE["sensors"]
        | {"late": {"driver": "recording", "file": "late.csv", "silent_after": "1 h"}},
        "monitors": LIVE["monitors"]
        | {"late": {"sensor": "late", "channels": ["c9"], "publish_state": "0.5 s"}},
    }
    eager = f"{DRIVER}\nimport agent.reader; agent.reader.LONGEST_PAUSE_S = 0.5"
    with Subscriber(broker.port) as ears, Agent(tmp_path, config, port=broker.port, before=eager) as agent:
        agent.until("late.csv")
        until(lambda: states(ears), "it is under way")
        write_csv(tmp_path / "late.csv", *step())
        agent.until("monitors.late.channels: sensor late has no channel c9")
        until(lambda: "no channel c9" in states(ears, "late")[-1]["needs"], "the monitor says so")
        assert states(ears, "late")[-1]["health"] == "blind"
        rows = agent.ask()["sensors"]["pump"]["rows"]
        until(lambda: agent.ask()["sensors"]["pump"]["rows"] > rows, "the others go on")
        assert agent.ask()["agent"]["health"] == "degraded"
        assert agent.stop() == 0


def test_a_state_directory_that_cannot_be_used_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    write_csv(tmp_path / "pump.csv", *step())
    with Agent(tmp_path, RECORDED, port=1) as agent:
        assert agent.wait() == 2
        assert f"state_dir {agent.state_dir} cannot be used" in agent.log
        assert "Traceback" not in agent.log


def test_a_password_is_read_at_start_and_told_to_nobody(tmp_path: Path) -> None:
    secret = "correct-horse-battery"
    config = LIVE | {"broker": {"username": "pi", "password_env": "BROKER_PASSWORD"}, "log_level": "debug"}
    agent = Agent(tmp_path, config, port=free_port(), before=DRIVER)
    with agent.start(env={"BROKER_PASSWORD": ""}):
        assert agent.wait() == 2
        assert "broker.password_env" in agent.log
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    with Mosquitto(tmp_path, f"password_file {passwords}", anonymous=False) as broker:
        config["broker"] |= {"port": broker.port}
        agent = Agent(tmp_path, config, port=broker.port, before=DRIVER)
        agent.start(env={"BROKER_PASSWORD": secret})
        try:
            agent.until("refuses user pi")
            said = json.dumps(agent.ask()) + agent.log
            assert agent.stop() == 0
            assert secret not in said
        finally:
            agent.kill()


# The broker.


def test_a_broker_that_comes_later_hears_everything(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", *bursts(1500))
    broker = any_broker(tmp_path)
    config = RECORDED | {"monitors": {"pump": NERVOUS}}
    with Agent(tmp_path, config, port=broker.port) as agent:
        agent.until("every sensor has come to its end")
        assert agent.ask()["agent"]["outbox"]["waiting"] > 10
        assert f"broker: nothing listens at 127.0.0.1:{broker.port}" in agent.ask()["agent"]["problems"][0]
        with broker, Subscriber(broker.port, topic="tocsin/pi-7/event") as ears:
            assert agent.wait(40.0) == 0
            expected = replayed(agent)
            until(lambda: len(without_clock(events(ears))) >= len(expected), "all events")
            assert without_clock(events(ears)) == expected


def test_what_a_broker_never_heard_waits_for_the_next_start(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    broker = any_broker(tmp_path)
    short = "import agent.daemon; agent.daemon.FLUSH_S = 0.5"
    with Agent(tmp_path, RECORDED, port=broker.port, before=short) as agent:
        assert agent.wait() == 0
        assert "2 events wait in" in agent.log
        expected = replayed(agent)
    with broker, Subscriber(broker.port) as ears, Agent(tmp_path, LIVE, port=broker.port, before=DRIVER):
        until(lambda: len(events(ears)) == 2, "both")
        assert without_clock(events(ears)) == expected


@pytest.mark.parametrize("server", ["silent", "garbage"])
def test_a_broker_that_is_none_is_said_and_what_it_missed_is_delivered_later(
    tmp_path: Path, server: str
) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    with Server(silent if server == "silent" else babbling(3)) as impostor:
        with Agent(tmp_path, RECORDED, port=impostor.port) as agent:
            agent.until("every sensor has come to its end")
            until(lambda: impostor.accepted > 0, "it was tried")
            answer = agent.ask()
            assert answer["agent"]["health"] == "degraded"
            assert answer["agent"]["problems"][0].startswith("broker: ")
            assert answer["agent"]["outbox"]["waiting"] == 2
            assert agent.stop() == 0
    with any_broker(tmp_path) as broker, Subscriber(broker.port) as ears:
        with Agent(tmp_path, LIVE, port=broker.port, before=DRIVER):
            until(lambda: len(events(ears)) == 2, "both")


def test_kill_9_in_the_middle_of_a_burst_loses_no_alert(tmp_path: Path, broker: Broker) -> None:
    write_csv(tmp_path / "pump.csv", *bursts(6000))
    config = {
        "sensors": {"pump": RECORDED["sensors"]["pump"] | {"speed": 3000}},  # 2 s
        "monitors": dict.fromkeys(("a", "b", "c", "d"), NERVOUS),
    }
    agent = Agent(tmp_path, config, port=broker.port)
    taught = tocsin("learn", "-c", str(agent.config), "--recording", str(tmp_path / "pump.csv"))
    assert taught.returncode == 0, taught.stderr
    expected = replayed(agent, "--baseline")
    assert len(expected) > 500
    with Subscriber(broker.port, topic="tocsin/pi-7/event") as ears, agent.start():
        for share in (0.2, 0.5):
            few = share * len(expected)
            until(lambda few=few: len(without_clock(events(ears))) > few, "the burst")  # type: ignore[misc]
            agent.kill()
            agent.start()
        assert agent.wait(60.0) == 0
        wanted = {event["id"] for event in expected}
        until(lambda: {event["id"] for event in events(ears)} >= wanted, "every alert")
        heard = events(ears)
        assert {event["id"] for event in heard} == wanted
        identity = {(event["monitor"], event["kind"], event["time"]): event["id"] for event in heard}
        assert len(identity) == len(wanted), "what came twice came with the same id"
        assert len(heard) > len(wanted), "something did come twice: the kills came in the middle"


def test_what_was_on_disk_at_kill_9_is_delivered_by_the_next_agent(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", *bursts(3000))
    broker = any_broker(tmp_path)
    with Agent(tmp_path, RECORDED | {"monitors": {"pump": NERVOUS}}, port=broker.port) as agent:
        agent.until("every sensor has come to its end")
        waiting = agent.ask()["agent"]["outbox"]["waiting"]
        agent.kill()
        expected = replayed(agent)
        assert waiting == len(expected) > 10
    with broker, Subscriber(broker.port) as ears, Agent(tmp_path, LIVE, port=broker.port, before=DRIVER):
        until(lambda: len(without_clock(events(ears))) >= len(expected), "all of them")
        assert without_clock(events(ears)) == expected


# What is retained.


def test_who_comes_late_learns_how_things_stand_and_kill_9_is_seen(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker.port) as early, Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as agent:
        until(lambda: states(early, "pump") and states(early, "pump")[-1]["health"] == "learning", "learning")
        until(lambda: states(early) and states(early)[-1]["health"] == "ok", "all is well")
        with Subscriber(broker.port, client_id="late") as late:
            until(lambda: states(late) and states(late, "pump"), "the states")
            retained = {topic: payload for topic, payload, retained in late.heard if retained}
            assert retained["tocsin/pi-7/availability"] == b"online"
            assert json.loads(retained["tocsin/pi-7/state"])["health"] == "ok"
            assert json.loads(retained["tocsin/pi-7/pump/state"])["health"] == "learning"
            assert "tocsin/pi-7/pump/alert" not in retained
            agent.kill()
            until(lambda: late.on("tocsin/pi-7/availability")[-1] == b"offline", "the will")


def test_an_alert_left_by_an_earlier_agent_is_taken_away_and_so_is_one_that_clears(
    tmp_path: Path, broker: Broker
) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    alert = "tocsin/pi-7/pump/alert"
    with Subscriber(broker.port, client_id="earlier") as earlier:
        earlier.publish(alert, b"left lying", retain=True)
    slow = {"pump": RECORDED["sensors"]["pump"] | {"speed": 400}}  # 2.3 s
    with (
        Subscriber(broker.port) as ears,
        Agent(tmp_path, RECORDED | {"sensors": slow}, port=broker.port) as agent,
    ):
        until(lambda: ears.on(alert) == [b"left lying", b""], "emptied at the start")
        until(lambda: len(ears.on(alert)) == 3, "raised")
        raised = json.loads(ears.on(alert)[2])
        assert raised["kind"] == "raised"
        with Subscriber(broker.port, client_id="late") as late:
            until(lambda: late.on(alert), "the alert is retained")
            assert late.on(alert) == [ears.on(alert)[2]]
        until(lambda: len(ears.on(alert)) == 4, "cleared")
        assert ears.on(alert)[3] == b""
        assert agent.wait() == 0
    with Subscriber(broker.port, client_id="after") as after:
        until(lambda: after.on("tocsin/pi-7/availability"), "what is retained")
        assert after.on(alert) == []


def test_a_state_that_hardly_changes_is_sent_at_most_as_often_as_configured(
    tmp_path: Path, broker: Broker
) -> None:
    with Subscriber(broker.port) as ears, Agent(tmp_path, LIVE, port=broker.port, before=DRIVER) as agent:
        until(lambda: len(states(ears, "pump")) >= 2, "the first two: blind, then learning")
        first = time.monotonic()
        until(lambda: len(states(ears, "pump")) >= 5, "three more")
        assert time.monotonic() - first >= 1.6  # publish_state: 0.8 s, so three take twice as long at least
        seen = states(ears, "pump")
        assert seen[-1]["counters"]["rows"] > seen[1]["counters"]["rows"]
        assert agent.stop() == 0
