"""The Mosquitto example, started for real: encrypted, with passwords, each agent under its own name."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from tests.agent.brokers import free_port, listens, until
from tests.real import need

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"


class Secured:
    """A Mosquitto run with the example's files, put elsewhere."""

    def __init__(self, folder: Path) -> None:
        mosquitto, passwords = need("mosquitto"), need("mosquitto_passwd")
        need("openssl")
        self.port, self.ca = free_port(), folder / "certs" / "ca.crt"
        for _ in range(2):  # the second time renews the broker's certificate and keeps the authority
            subprocess.run(
                ["sh", str(EXAMPLE / "certificates.sh"), "broker.test", str(self.ca.parent)],
                check=True, capture_output=True,
            )  # fmt: skip
        shutil.copy(EXAMPLE / "tocsin.acl", folder)
        (folder / "tocsin.passwords").touch(0o600)
        for name in ("pump", "fan", "listener"):
            subprocess.run([passwords, "-b", str(folder / "tocsin.passwords"), name, f"{name}'s"], check=True)
        text = (EXAMPLE / "tocsin.conf").read_text().replace("/etc/mosquitto/", f"{folder}/")
        (folder / "tocsin.conf").write_text(text.replace("listener 8883", f"listener {self.port} 127.0.0.1"))
        if os.geteuid() == 0:
            with (folder / "tocsin.conf").open("a") as config:
                config.write("user root\n")
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [mosquitto, "-c", str(folder / "tocsin.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: listens(self.port), "mosquitto listens")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class Caller:
    """A client, and what it was told."""

    def __init__(self, broker: Secured, name: str, password: str) -> None:
        self.heard: list[str] = []
        self.answer = ""
        self.lost: Exception | None = None
        self._subscribed, self._answered = threading.Event(), threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self.client.tls_set(str(broker.ca), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.username_pw_set(name, password)
        self.client.on_connect = lambda _c, _u, _f, code, _p: self._told(str(code))
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._answered.wait(10)

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, 1)
        assert self._subscribed.wait(10)

    def publish(self, topic: str) -> None:
        self.client.publish(topic, "x", 1).wait_for_publish(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _told(self, code: str) -> None:
        self.answer = code
        self._answered.set()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.heard.append(message.topic)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    broker = Secured(tmp_path_factory.mktemp("mosquitto"))
    yield broker
    broker.close()


def test_an_agent_is_heard_under_its_own_name_and_under_no_other(broker: Secured) -> None:
    listener, pump = Caller(broker, "listener", "listener's"), Caller(broker, "pump", "pump's")
    try:
        listener.subscribe("tocsin/#")
        pump.publish("tocsin/fan/event")
        pump.publish("tocsin/pump/event")
        until(lambda: listener.heard, "the pump's event")
        assert listener.heard == ["tocsin/pump/event"]
    finally:
        listener.close()
        pump.close()


def test_an_agent_hears_requests_to_itself_and_to_no_other(broker: Secured) -> None:
    listener, pump = Caller(broker, "listener", "listener's"), Caller(broker, "pump", "pump's")
    try:
        pump.subscribe("tocsin/+/request/#")
        listener.publish("tocsin/fan/request/status")
        listener.publish("tocsin/pump/request/status")
        until(lambda: pump.heard, "the request to the pump")
        assert pump.heard == ["tocsin/pump/request/status"]
    finally:
        listener.close()
        pump.close()


def test_a_wrong_password_is_refused(broker: Secured) -> None:
    caller = Caller(broker, "pump", "fan's")
    caller.close()
    assert caller.answer == "Not authorized"


def test_a_broker_that_our_authority_did_not_sign_is_refused(broker: Secured) -> None:
    stranger = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", broker.port)) as plain:
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.wrap_socket(plain, server_hostname="localhost")
