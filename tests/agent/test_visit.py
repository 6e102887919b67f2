"""A visit to a real broker: let in or not, heard what is kept, and nothing left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

from agent.broker import BrokerOptions
from agent.visit import visit
from tests.agent.brokers import HOST, Mosquitto, Server, Subscriber, free_port, only_311, silent
from tests.real import need


def test_a_visit_publishes_nothing_and_throws_nobody_out(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port, topic="#", client_id="pump") as ears:
        went = visit(BrokerOptions(HOST, broker.port), "pump")
        assert (went.protocol, went.why, went.retained) == ("5", "", {})
        ears.publish("over", b"")
        assert [topic for topic, _, _ in ears.heard] == ["over"], "nothing before, and no will either"


def test_what_the_broker_keeps_is_heard(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as ears:
        ears.publish("tocsin/pi/availability", b"online", retain=True)
        went = visit(BrokerOptions(HOST, broker.port), "pump", ("tocsin/pi/availability", "tocsin/pi/state"))
        assert went.retained == {"tocsin/pi/availability": b"online"}


def test_an_old_broker_is_spoken_to_in_its_version(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Server(only_311(broker.port, politely=True)) as server:
        assert visit(BrokerOptions(HOST, server.port), "pump").protocol == "3.1.1"


def test_why_it_was_not_let_in_is_said(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run([need("mosquitto_passwd"), "-b", "-c", str(passwords), "pump", "secret"], check=True)
    with Mosquitto(tmp_path, f"password_file {passwords}", anonymous=False) as broker:
        right = BrokerOptions(HOST, broker.port, username="pump", password="secret")
        assert visit(right, "pump").protocol == "5"
        wrong = BrokerOptions(HOST, broker.port, username="pump", password="secrte")
        assert visit(wrong, "pump").why == "the broker refuses user pump: not authorized"
    port = free_port()
    gone = visit(BrokerOptions(HOST, port), "pump")
    assert (gone.protocol, gone.why) == ("", f"nothing listens at {HOST}:{port} (connection refused)")


def test_a_server_that_says_nothing_is_left() -> None:
    with Server(silent) as server:
        went = visit(BrokerOptions(HOST, server.port, connect_timeout_s=0.2), "pump")
    assert went.why.endswith("accepts the connection but does not answer as an MQTT broker")
