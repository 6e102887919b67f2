"""The demo's broker: a process that ends with whoever started it, and keeps what a broker must keep."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.agent.brokers import HOST, Iotcore, Subscriber, listens, until


def _start(broker: Iotcore) -> subprocess.Popen[bytes]:
    return subprocess.Popen(broker.command(), stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def test_it_ends_when_its_parent_goes(tmp_path: Path) -> None:
    broker = Iotcore(tmp_path)
    with _start(broker) as process:
        until(lambda: listens(broker.port), "the broker answers")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_it_ends_on_sigterm(tmp_path: Path) -> None:
    broker = Iotcore(tmp_path)
    with _start(broker) as process:
        until(lambda: listens(broker.port), "the broker answers")
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with Iotcore(tmp_path) as broker, _start(broker) as second:
        assert second.wait(10) == 2
        assert second.stderr is not None
        assert str(broker.port).encode() in second.stderr.read()


def test_a_retained_message_and_a_last_will_reach_who_comes_later(tmp_path: Path) -> None:
    with Iotcore(tmp_path) as broker:
        dying = Client(CallbackAPIVersion.VERSION2, client_id="dying")
        dying.will_set("a/availability", b"offline", 1, retain=True)
        dying.connect(HOST, broker.port)
        dying.loop_start()
        dying.publish("a/availability", b"online", 1, retain=True).wait_for_publish(10)
        with Subscriber(broker.port, client_id="first") as first:
            until(lambda: ("a/availability", b"online", True) in first.heard, "online, retained")
            dying.loop_stop()
            connection = dying.socket()
            assert connection is not None
            connection.close()  # without DISCONNECT
            until(lambda: ("a/availability", b"offline", False) in first.heard, "the last will")
        with Subscriber(broker.port, client_id="second") as second:
            until(lambda: ("a/availability", b"offline", True) in second.heard, "offline, retained")


def test_a_burst_arrives_whole_and_in_order(tmp_path: Path) -> None:
    sent = [b"%d" % i for i in range(1000)]
    with Iotcore(tmp_path) as broker, Subscriber(broker.port) as ear:
        mouth = Client(CallbackAPIVersion.VERSION2, client_id="mouth")
        mouth.connect(HOST, broker.port)
        mouth.loop_start()
        for payload in sent:
            mouth.publish("a/event", payload, 1)
        until(lambda: len(ear.on("a/event")) == len(sent), "all of them")
        assert ear.on("a/event") == sent
        mouth.disconnect()
        mouth.loop_stop()


def test_a_payload_larger_than_an_event_ever_is_passes(tmp_path: Path) -> None:
    with Iotcore(tmp_path) as broker, Subscriber(broker.port) as ear:
        ear.publish("a/event", bytes(200_000))
        until(lambda: ear.on("a/event") == [bytes(200_000)], "the large payload")
