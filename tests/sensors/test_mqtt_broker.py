"""The broker that mqtt hears: verified, logged in to, or said to be none."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sensors import SensorError, create
from tests.agent.brokers import HOST, Mosquitto, Server, Subscriber, babbling, silent
from tests.agent.test_publisher_faults import Papers, secure
from tests.real import need
from tests.sensors.rows import becomes, row, until_error
from tests.sensors.test_mqtt import sensor_of

ROOT = Path(__file__).parents[2]
VALUES = [{"name": "a", "topic": "a"}]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def voice(broker: Mosquitto) -> Iterator[Subscriber]:
    with Subscriber(broker.port, client_id="voice") as voice:
        yield voice


def test_a_password_is_read_from_its_file_or_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    subprocess.run([need("mosquitto_passwd"), "-c", "-b", str(users), "anna", "secret"], check=True)
    word = tmp_path / "word"
    word.write_text("secret\n")
    value: dict[str, object] = {"name": "a", "topic": "a"}
    with Mosquitto(tmp_path, f"password_file {users}", anonymous=False) as broker:
        with sensor_of(broker, value, username="anna", password_file=str(word)) as sensor:
            row(sensor)
        monkeypatch.setenv("WORD", "secret")
        with sensor_of(broker, value, username="anna", password_env="WORD") as sensor:
            row(sensor)
        monkeypatch.setenv("WORD", "wrong")
        for options in ({"username": "anna", "password_env": "WORD"}, {}):
            with pytest.raises(SensorError, match="the broker refuses"):
                sensor_of(broker, value, **options).open()
        word.write_text("\n")
        for name, said in {word: "is empty", tmp_path / "none": "cannot be read: No such file"}.items():
            with pytest.raises(SensorError, match=f"{name.name}: {said}"):
                sensor_of(broker, value, username="anna", password_file=str(name)).open()
        monkeypatch.delenv("WORD")
        with pytest.raises(SensorError, match="WORD is not set, or empty"):
            sensor_of(broker, value, username="anna", password_env="WORD").open()


def test_the_brokers_certificate_is_verified_and_ours_is_shown(tmp_path: Path) -> None:
    papers, others = Papers(tmp_path), Papers(tmp_path, name="others")
    value: dict[str, object] = {"name": "a", "topic": "a"}
    cert, key = papers.issue("us")
    with secure(tmp_path, papers, papers.issue("broker"), "require_certificate true") as broker:
        ours = {"tls": True, "cert_file": str(cert), "key_file": str(key)}
        with sensor_of(broker, value, **ours, ca_file=str(papers.ca)) as sensor:
            row(sensor)
        with pytest.raises(SensorError, match="not signed by the authority given"):
            sensor_of(broker, value, **ours, ca_file=str(others.ca)).open()
        with pytest.raises(SensorError, match=r"wants a client certificate|before the broker said a word"):
            sensor_of(broker, value, tls=True, ca_file=str(papers.ca)).open()
        with pytest.raises(SensorError, match="is it an MQTT broker"):
            sensor_of(broker, value).open()
        with pytest.raises(SensorError, match=r"no\.pem: No such file"):
            sensor_of(broker, value, tls=True, ca_file=str(tmp_path / "no.pem")).open()


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_every_version_of_mqtt_is_spoken(broker: Mosquitto, voice: Subscriber, protocol: str) -> None:
    with sensor_of(broker, {"name": "a", "topic": "a"}, protocol=protocol) as sensor:
        voice.publish("a", b"1")
        becomes(sensor, 1.0)


def test_two_sensors_at_one_broker_have_ids_of_their_own(broker: Mosquitto, voice: Subscriber) -> None:
    value: dict[str, object] = {"name": "a", "topic": "a"}
    with sensor_of(broker, value, client_id="ear") as one, sensor_of(broker, value, client_id="ear"):
        with pytest.raises(SensorError, match="does another client use the client id ear"):
            until_error(one)
    one, other = sensor_of(broker, value), sensor_of(broker, value)
    other.name = "other"
    with one, other:
        voice.publish("a", b"1")
        becomes(one, 1.0)
        becomes(other, 1.0)


def test_who_watches_beside_the_agent_does_not_push_it_off_the_broker(
    broker: Mosquitto, voice: Subscriber, tmp_path: Path
) -> None:
    sensor = sensor_of(broker, {"name": "a", "topic": "a"})
    config = {
        "sensors": {
            sensor.name: {"driver": "mqtt", "port": broker.port, "values": [{"name": "a", "topic": "a"}]}
        }
    }
    (tmp_path / "tocsin.yaml").write_text(yaml.safe_dump(config))
    watch = [sys.executable, "-m", "agent", "watch", "-c", str(tmp_path / "tocsin.yaml"), "--for", "2 s"]
    with sensor, subprocess.Popen(watch, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            voice.publish("a", b"1")
            becomes(sensor, 1.0)


def test_a_broker_that_forbids_a_topic_is_an_error() -> None:
    def forbidding(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x20\x02\x00\x00")  # CONNACK, MQTT 3.1.1
        mid = connection.recv(4096)[2:4]
        connection.sendall(b"\x90\x03" + mid + b"\x80")  # SUBACK, failure
        silent(connection)

    with Server(forbidding) as server:
        options = {"host": HOST, "port": server.port, "values": VALUES, "protocol": "3.1.1"}
        sensor = create("shop", "mqtt", options)
        with pytest.raises(SensorError, match=r"the broker does not let us hear a$"):
            sensor.open()
        sensor.close()


@pytest.mark.parametrize("seed", range(20))
def test_what_is_no_broker_is_said_to_be_none(seed: int) -> None:
    with Server(babbling(seed)) as server:
        sensor = create("shop", "mqtt", {"host": HOST, "port": server.port, "values": VALUES})
        with pytest.raises(SensorError, match=f"shop: {HOST}:{server.port}: "):
            sensor.open()
        sensor.close()
