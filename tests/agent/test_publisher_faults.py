"""Brokers that refuse, hang, babble or are not there: the agent says so, runs on, and delivers later."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from agent.messages import Message
from agent.publisher import Backoff, BrokerOptions, Tls
from sensors import refusals
from tests.agent.brokers import (
    HOST,
    Mosquitto,
    Picky,
    Server,
    Subscriber,
    babbling,
    free_port,
    only_311,
    raving,
    silent,
    until,
)
from tests.agent.test_publisher import TOPICS, Agent, event
from tests.real import need

QUICKLY = BrokerOptions(HOST, connect_timeout_s=0.3)


def says(agent: Agent, words: str) -> None:
    until(lambda: words in agent.publisher.status.last_error, f"it says {words!r}")
    assert agent.publisher.alive


def test_nothing_there_is_said_and_the_alert_waits(tmp_path: Path) -> None:
    port = free_port()
    with Agent(tmp_path, replace(QUICKLY, port=port)) as agent:
        agent.outbox.put(event(1))
        says(agent, f"nothing listens at {HOST}:{port} (connection refused)")
        until(lambda: agent.publisher.status.attempts >= 3, "it goes on trying")
        assert agent.outbox.waiting == 1


def test_a_server_that_says_nothing_is_left_and_tried_again(tmp_path: Path) -> None:
    with Server(silent) as server, Agent(tmp_path, replace(QUICKLY, port=server.port)) as agent:
        agent.outbox.put(event(1))
        says(agent, "accepts the connection but does not answer as an MQTT broker")
        until(lambda: server.accepted >= 2, "it goes on trying")
        assert agent.outbox.waiting == 1


def test_a_stop_does_not_wait_for_a_server_that_says_nothing(tmp_path: Path) -> None:
    with Server(silent) as server, Agent(tmp_path, BrokerOptions(HOST, server.port)) as agent:
        until(lambda: server.accepted, "connected")
        agent.publisher.stop(0.1)
        assert not agent.publisher.alive


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    "greet", [b"", b"\x20", b"\x20\x03\x00\x00\x00", b"\x20\x02\x00\x00", b"\x30", b"\x40\x02"]
)
def test_babble_neither_kills_the_thread_nor_loses_an_alert(
    tmp_path: Path, protocol: str, greet: bytes
) -> None:
    options = BrokerOptions(HOST, protocol=protocol, connect_timeout_s=0.1)  # type: ignore[arg-type]
    with Server(babbling(len(greet), greet)) as server:
        with Agent(tmp_path, replace(options, port=server.port)) as agent:
            agent.outbox.put(event(1))
            until(lambda: server.accepted >= 6, "it goes on trying", 30.0)
            until(lambda: agent.publisher.status.last_error, "it says what is wrong")
            assert agent.publisher.alive
            assert agent.outbox.waiting == 1


GREETINGS = {"5": b"\x20\x03\x00\x00\x00", "3.1.1": b"\x20\x02\x00\x00"}


@pytest.mark.parametrize("protocol", GREETINGS)
@pytest.mark.parametrize("seed", range(3))
def test_a_broker_that_raves_once_it_has_accepted_us_does_not_kill_the_thread(
    tmp_path: Path, protocol: str, seed: int
) -> None:
    options = BrokerOptions(HOST, protocol=protocol, connect_timeout_s=0.1)  # type: ignore[arg-type]
    with Server(raving(seed, GREETINGS[protocol])) as server:
        with Agent(
            tmp_path, replace(options, port=server.port), lambda *_: None, Backoff(0.001, 0.002)
        ) as agent:
            until(lambda: server.accepted >= 60 or not agent.publisher.alive, "it goes on trying", 60.0)
            assert agent.publisher.alive


@pytest.mark.parametrize("protocol", GREETINGS)
def test_a_topic_that_is_no_text_ends_the_connection_and_not_the_agent(tmp_path: Path, protocol: str) -> None:
    def treat(connection: socket.socket) -> None:
        connection.recv(4096)
        publish = b"\x30" + (
            b"\x06\x00\x03\xff\xfe\xfd\x00" if protocol == "5" else b"\x05\x00\x03\xff\xfe\xfd"
        )
        connection.sendall(GREETINGS[protocol] + publish)
        silent(connection)

    options = BrokerOptions(HOST, protocol=protocol)  # type: ignore[arg-type]
    with Server(treat) as server:
        options = replace(options, port=server.port)
        with Agent(tmp_path, options, lambda *_: None) as agent:
            says(agent, refusals.NO_BROKER)
            until(lambda: server.accepted >= 2, "it goes on trying")
            assert agent.publisher.alive


def test_a_web_server_is_not_taken_for_a_broker(tmp_path: Path) -> None:
    def http(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        silent(connection)

    with Server(http) as server, Agent(tmp_path, replace(QUICKLY, port=server.port)) as agent:
        says(agent, "MQTT broker")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that knows the user horst, who may not write to /event."""
    passwords = tmp_path / "passwords"
    subprocess.run([need("mosquitto_passwd"), "-c", "-b", str(passwords), "horst", "geheim"], check=True)
    access = tmp_path / "access"
    access.write_text("user horst\ntopic readwrite tocsin/pi-7/availability\n")
    lines = (f"password_file {passwords}", f"acl_file {access}")
    with Mosquitto(tmp_path, *lines, anonymous=False) as broker:
        yield broker


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("username", "password", "words"),
    [("horst", "falsch", "refuses user horst: "), ("", "", "refuses a client without a user name: ")],
)
def test_a_refused_user_is_said_without_the_password(
    guarded: Mosquitto,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
    username: str,
    password: str,
    words: str,
) -> None:
    options = BrokerOptions(HOST, guarded.port, username, password, protocol=protocol)  # type: ignore[arg-type]
    with caplog.at_level(0), Agent(tmp_path, options) as agent:
        agent.outbox.put(event(1))
        says(agent, words)
        assert agent.outbox.waiting == 1
        until(lambda: agent.publisher.status.attempts >= 3, "it goes on trying")
    assert words in caplog.text
    assert len(caplog.records) == 1, "said once, not at every try"
    assert password == "" or password not in caplog.text


def test_an_acl_that_forbids_events_is_said_and_the_alert_waits(guarded: Mosquitto, tmp_path: Path) -> None:
    options = BrokerOptions(HOST, guarded.port, "horst", "geheim")
    with Agent(tmp_path, options) as agent:
        agent.outbox.put(event(1))
        says(agent, "the broker does not take our messages: not authorized")
        assert agent.outbox.waiting == 1
        assert agent.connected()
        access = tmp_path / "access"
        access.write_text("user horst\ntopic readwrite tocsin/#\n")
        guarded.kill()
        guarded.start()
        until(lambda: not agent.outbox.waiting, "delivered once it is allowed")


QUOTA = 0x97


def test_a_rejected_retained_message_does_not_delay_events(tmp_path: Path) -> None:
    broker = Picky(lambda topic, _: 0 if topic == TOPICS.event else QUOTA)
    with Server(broker.treat) as server:
        with Agent(tmp_path, BrokerOptions(HOST, server.port, protocol="5"), backoff=Backoff(60.0)) as agent:
            agent.publisher.retain(Message(TOPICS.alert("pump"), b"raised", 1, True, "state", "pump"))
            says(agent, "the broker does not take our messages: quota exceeded")
            agent.outbox.put_all([event(1), event(2)])
            until(lambda: not agent.outbox.waiting, "delivered", 5.0)


def test_later_events_do_not_pass_one_that_the_broker_rejects(tmp_path: Path) -> None:
    refused: list[bytes] = []
    said: list[bytes] = []

    def code(topic: str, payload: bytes) -> int:
        if topic != TOPICS.event:
            return 0
        said.append(payload)
        if len(refused) < 4 and payload in (b"pump 1", *refused):
            refused.append(payload)
            return QUOTA
        return 0

    broker = Picky(code)
    with Server(broker.treat) as server:
        options = BrokerOptions(HOST, server.port, protocol="5", max_inflight=3)
        with Agent(tmp_path, options, backoff=Backoff(0.01, 0.02)) as agent:
            agent.outbox.put_all([event(seq) for seq in range(1, 21)])
            until(lambda: not agent.outbox.waiting, "delivered")
            until(lambda: agent.publisher.status.last_error == "", "all is well again")
    taken = [payload for topic, payload in broker.taken if topic == TOPICS.event]
    # What was under way with it at the first rejection has passed it; nothing has after that.
    passed = said[1 : said.index(b"pump 1", 1)]
    assert passed in ([], [b"pump 2"], [b"pump 2", b"pump 3"])
    rest = [event(seq).payload for seq in range(2 + len(passed), 21)]
    assert said == [b"pump 1", *passed, *[b"pump 1"] * 4, *rest]
    assert taken == [*passed, b"pump 1", *rest]


def test_a_rejected_event_is_still_alone_after_a_new_connection(tmp_path: Path) -> None:
    first = Picky(lambda topic, _: QUOTA if topic == TOPICS.event else 0)
    with Server(first.treat) as server:
        options = BrokerOptions(HOST, server.port, protocol="5", max_inflight=3)
        with Agent(tmp_path, options, backoff=Backoff(0.01, 0.02)) as agent:
            agent.outbox.put_all([event(seq) for seq in range(1, 6)])
            until(lambda: agent.publisher._rejections >= 3, "rejected again and again")
            first._code = lambda topic, payload: QUOTA if payload == b"pump 1" else 0
            for connection in server._open:
                connection.shutdown(socket.SHUT_RDWR)
            until(lambda: server.accepted >= 2, "back")
            until(lambda: agent.publisher._rejections >= 8, "rejected again and again")
            assert [payload for topic, payload in first.taken if topic == TOPICS.event] == []
            first._code = lambda *_: 0
            until(lambda: not agent.outbox.waiting, "delivered")
    taken = [payload for topic, payload in first.taken if topic == TOPICS.event]
    assert taken == [event(seq).payload for seq in range(1, 6)]


@pytest.mark.parametrize("politely", [True, False])
def test_a_broker_without_mqtt_5_is_spoken_to_in_311_from_then_on(tmp_path: Path, politely: bool) -> None:
    with Mosquitto(tmp_path) as broker, Server(only_311(broker.port, politely=politely)) as front:
        with Subscriber(broker.port) as ears, Agent(tmp_path, BrokerOptions(HOST, front.port)) as agent:
            agent.outbox.put(event(1))
            until(lambda: ears.on(TOPICS.event), "arrived")
            assert agent.publisher.status.protocol == "3.1.1"
            needed = front.accepted
            assert needed == (2 if politely else 3)
            broker.kill()
            until(lambda: not agent.connected(), "lost")
            agent.outbox.put(event(2))
            broker.start()
            until(lambda: not agent.outbox.waiting, "delivered")
            assert agent.publisher.status.protocol == "3.1.1"


def test_a_fixed_protocol_is_kept_to_and_its_refusal_is_said(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Server(only_311(broker.port, politely=True)) as front:
        with Agent(tmp_path, BrokerOptions(HOST, front.port, protocol="5")) as agent:
            says(agent, "does not speak this version of MQTT")
            until(lambda: front.accepted >= 3, "it goes on trying")


def test_mqtt_5_is_spoken_where_it_can_be(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Agent(tmp_path, BrokerOptions(HOST, broker.port)) as agent:
        until(agent.connected, "connected")
        assert agent.publisher.status.protocol == "5"


def test_another_client_with_our_id_is_said_and_not_fought(tmp_path: Path) -> None:
    def taking_over(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x20\x03\x00\x00\x00")  # CONNACK, MQTT 5
        connection.recv(4096)
        # DISCONNECT, session taken over, reason string "x" (paho 2.1 overlooks the reason without one).
        # Debian's mosquitto omits it and only closes the connection.
        connection.sendall(b"\xe0\x06\x8e\x04\x1f\x00\x01x")
        silent(connection)

    with Server(taking_over) as server:
        with Agent(tmp_path, BrokerOptions(HOST, server.port), backoff=Backoff(0.01, 1000.0)) as agent:
            says(agent, "another client connected with our client id tocsin-pi-7")
            assert server.accepted == 1
            assert agent.publisher._retry_at - time.monotonic() > 400.0


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_fight_over_a_client_id_is_guessed_and_said_once(
    tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path) as broker:
        options = BrokerOptions(HOST, broker.port, protocol=protocol)  # type: ignore[arg-type]
        with Agent(tmp_path, options) as agent:
            until(agent.connected, "connected")
            with Subscriber(broker.port, client_id="tocsin-pi-7"):  # comes back at once, each time
                says(agent, "does another client use the client id tocsin-pi-7?")
                until(lambda: agent.publisher.status.attempts >= 5, "it tries ever more seldom")
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 2


def test_the_will_says_offline_when_the_agent_dies(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as ears:
        agent = Agent(tmp_path, BrokerOptions(HOST, broker.port))
        with agent:
            until(lambda: ears.on(TOPICS.availability) == [b"online"], "online")
            assert agent.publisher._session is not None
            line = agent.publisher._session._client.socket()
            assert isinstance(line, socket.socket)
            line.shutdown(socket.SHUT_RDWR)  # the line is cut
            until(lambda: ears.on(TOPICS.availability) == [b"online", b"offline", b"online"], "back")


class Papers:
    """A certificate authority and what it signed."""

    def __init__(self, folder: Path, *, name: str = "ca") -> None:
        self._folder = folder
        self._openssl = need("openssl")
        self.ca = folder / f"{name}.pem"
        self._ca_key = folder / f"{name}.key"
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._key = key
        self._run(
            ["req", "-x509", "-days", "9", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-subj"],
            f"/CN={name}",
            *key,
            "-keyout",
            self._ca_key,
            "-out",
            self.ca,
        )

    def _run(self, command: list[str], *arguments: str | Path) -> None:
        subprocess.run([self._openssl, *command, *arguments], check=True, capture_output=True)

    def issue(self, name: str, *, to: str = f"IP:{HOST}", days: int = 9) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={to}\nauthorityKeyIdentifier=keyid\n")
        self._run(
            ["req", "-new", *self._key, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}"]
        )
        self._run(
            ["x509", "-req", "-CAcreateserial", "-in"],
            request,
            "-CA",
            self.ca,
            "-CAkey",
            self._ca_key,
            "-days",
            str(days),
            "-extfile",
            extensions,
            "-out",
            certificate,
        )
        return certificate, key


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def secure(folder: Path, papers: Papers, certificate: tuple[Path, Path], *lines: str) -> Mosquitto:
    return Mosquitto(
        folder, f"cafile {papers.ca}", f"certfile {certificate[0]}", f"keyfile {certificate[1]}", *lines
    )


def test_over_tls_with_our_own_authority_alerts_arrive(papers: Papers, tmp_path: Path) -> None:
    with secure(tmp_path, papers, papers.issue("server")) as broker:
        with Agent(tmp_path, BrokerOptions(HOST, broker.port, tls=Tls(papers.ca))) as agent:
            agent.outbox.put_all([event(seq) for seq in range(1, 301)])
            until(lambda: not agent.outbox.waiting, "delivered")
            assert agent.publisher.status.delivered == 300


def test_a_client_certificate_is_shown_where_it_is_asked_for(papers: Papers, tmp_path: Path) -> None:
    with secure(tmp_path, papers, papers.issue("server"), "require_certificate true") as broker:
        mine = Tls(papers.ca, *papers.issue("client"))
        with Agent(tmp_path, BrokerOptions(HOST, broker.port, tls=mine)) as agent:
            agent.outbox.put(event(1))
            until(lambda: not agent.outbox.waiting, "delivered")


@pytest.mark.parametrize(
    ("to", "days", "words"),
    [
        ("DNS:elsewhere.example", 9, f"TLS: the certificate is made out to another name than {HOST}"),
        (f"IP:{HOST}", -1, f"TLS: the certificate of {HOST} has expired; here it is 2"),
    ],
)
def test_a_wrong_certificate_is_refused_in_words(
    papers: Papers, tmp_path: Path, to: str, days: int, words: str
) -> None:
    with secure(tmp_path, papers, papers.issue("wrong", to=to, days=days)) as broker:
        with Agent(tmp_path, BrokerOptions(HOST, broker.port, tls=Tls(papers.ca))) as agent:
            agent.outbox.put(event(1))
            says(agent, words)
            assert agent.outbox.waiting == 1


def test_a_certificate_of_another_authority_is_refused_in_words(papers: Papers, tmp_path: Path) -> None:
    other = Papers(tmp_path, name="other")
    with secure(tmp_path, papers, papers.issue("server")) as broker:
        with Agent(tmp_path, BrokerOptions(HOST, broker.port, tls=Tls(other.ca))) as agent:
            says(agent, f"TLS: the certificate of {HOST} is not signed by the authority given (ca_file)")


def test_tls_to_a_port_without_it_is_said(papers: Papers, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        options = BrokerOptions(HOST, broker.port, tls=Tls(papers.ca))
        with Agent(tmp_path, options) as agent:
            says(agent, "is it the port without TLS?")


def test_no_tls_to_a_port_with_it_is_said(papers: Papers, tmp_path: Path) -> None:
    with secure(tmp_path, papers, papers.issue("server")) as broker:
        with Agent(tmp_path, BrokerOptions(HOST, broker.port, connect_timeout_s=1.0)) as agent:
            says(agent, "MQTT broker")


def test_a_missing_client_certificate_is_said(papers: Papers, tmp_path: Path) -> None:
    with secure(tmp_path, papers, papers.issue("server"), "require_certificate true") as broker:
        with Agent(tmp_path, BrokerOptions(HOST, broker.port, tls=Tls(papers.ca))) as agent:
            says(agent, "client certificate")


def test_a_certificate_file_that_is_missing_or_empty_is_named(papers: Papers, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with Agent(tmp_path, BrokerOptions(HOST, 9, tls=Tls(missing))) as agent:
        says(agent, f"TLS: {missing}: No such file or directory")
    missing.write_text("")
    with Agent(tmp_path, BrokerOptions(HOST, 9, tls=Tls(missing))) as agent:
        says(agent, f"TLS: {missing}")
    with Agent(tmp_path, BrokerOptions(HOST, 9, tls=Tls(papers.ca, missing, missing))) as agent:
        says(agent, f"TLS: {missing}")


def test_a_tls_handshake_that_hangs_is_left(papers: Papers, tmp_path: Path) -> None:
    options = BrokerOptions(HOST, tls=Tls(papers.ca), connect_timeout_s=0.2, keepalive_s=1)
    with Server(silent) as server, Agent(tmp_path, replace(options, port=server.port)) as agent:
        says(agent, "no answer from")


@pytest.mark.parametrize("code", [0x80, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x97, 0x9C])
def test_every_refusal_has_words(code: int) -> None:
    said = refusals.refused(ReasonCode(PacketTypes.CONNACK, identifier=code), "horst", "tocsin-pi-7")
    assert said.startswith("the broker ")
