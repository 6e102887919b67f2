"""Real brokers for tests, a subscriber that writes down what it hears, and servers that are no brokers."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.real import need, require

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def until(claim: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Wait for the world, which has no clock to push."""
    end = time.monotonic() + timeout_s
    while not claim():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(0.005)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


B = TypeVar("B", bound="Broker")


class Broker:
    """A broker in a process of its own, on a port that it keeps over restarts."""

    speaks: Literal["5", "3.1.1"] = "5"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: listens(self.port), "the broker listens")

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()

    def __enter__(self: B) -> B:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Mosquitto(Broker):
    """Debian's mosquitto. `lines` are added to its configuration."""

    def __init__(self, folder: Path, *lines: str, anonymous: bool = True) -> None:
        super().__init__(folder)
        self._binary = need("mosquitto")
        user = ["user root"] if os.geteuid() == 0 else []  # else it changes to a user who may not read here
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._config.write_text(
            "\n".join(
                [
                    f"listener {self.port} {HOST}",
                    f"allow_anonymous {'true' if anonymous else 'false'}",
                    *user,
                    *lines,
                    "",
                ]
            )
        )

    def command(self) -> list[str]:
        return [self._binary, "-c", str(self._config)]


class Iotcore(Broker):
    """The broker of the demo, in Rust, from PyPI. MQTT 3.1.1 as it is used here."""

    speaks = "3.1.1"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        require(importlib.util.find_spec("iotcore") is not None, "iotcore is not installed")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "agent.demo.broker", "--port", str(self.port)]


class Subscriber:
    """Hears everything under a topic, and comes back at once when the broker does."""

    def __init__(
        self,
        port: int,
        *,
        topic: str = "#",
        client_id: str = "ears",
        durable: bool = False,
        mqtt5: bool = False,
    ) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []  # topic, payload, retained
        self._ready = threading.Event()
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if mqtt5 else MQTTv311,
            clean_session=None if mqtt5 else not durable,
        )
        client.reconnect_delay_set(0.02, 0.05)  # type: ignore[arg-type]  # paho says int, and takes fractions
        client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = self._hear
        properties = None
        if mqtt5 and durable:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 3600
        client.connect(HOST, port, properties=properties)
        client.loop_start()
        assert self._ready.wait(10.0)

    def _hear(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload), message.retain))

    def on(self, topic: str) -> list[bytes]:
        """The payloads heard on one topic, so far."""
        return [payload for heard, payload, _ in self.heard if heard == topic]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10.0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Server:
    """Listens, and does to each connection what `treat` does. One thread for each."""

    def __init__(self, treat: Callable[[socket.socket], None]) -> None:
        self.accepted = 0
        self._treat = treat
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        try:
            self._treat(connection)
        except OSError:
            pass

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5.0)
        for connection in self._open:
            connection.close()


def silent(connection: socket.socket) -> None:
    """Takes everything and says nothing, until it is closed."""
    while connection.recv(4096):
        pass


def babbling(seed: int, greet: bytes = b"") -> Callable[[socket.socket], None]:
    """Answers the first packet with bytes that mean nothing, the same for the same seed and connection."""
    chance = random.Random(seed)

    def treat(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(greet + chance.randbytes(chance.choice((1, 2, 5, 40, 400))))
        connection.shutdown(socket.SHUT_WR)
        silent(connection)
        connection.close()

    return treat


def raving(seed: int, greet: bytes) -> Callable[[socket.socket], None]:
    """Accepts the connection, then sends whole packets of every kind whose bodies mean nothing."""
    chance = random.Random(seed)

    def packet() -> bytes:
        body = chance.randbytes(chance.choice((0, 1, 2, 3, 4, 6, 40)))
        if chance.random() < 0.5:  # as if it began with a topic, or with a packet id
            body = bytes((0, chance.choice((0, 1, 3)))) + body
        return bytes((chance.randrange(256), len(body))) + body

    def treat(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(greet + b"".join(packet() for _ in range(chance.choice((1, 2, 10)))))
        connection.shutdown(socket.SHUT_WR)
        silent(connection)
        connection.close()

    return treat


class Picky:
    """As much of an MQTT 5 broker as is needed to refuse messages: `code(topic, payload)` answers each of QoS 1."""

    def __init__(self, code: Callable[[str, bytes], int]) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self._code = code

    def treat(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while head := stream.read(1):
            length = shift = 0
            while True:
                byte = stream.read(1)[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            body = stream.read(length)
            kind = head[0] >> 4
            if kind == 1:  # CONNECT
                connection.sendall(b"\x20\x03\x00\x00\x00")
            elif kind == 3 and head[0] & 0x06:  # PUBLISH: topic, packet id, no properties, payload
                end = 2 + int.from_bytes(body[:2], "big")
                topic, payload = body[2:end].decode(), body[end + 3 :]
                code = self._code(topic, payload)
                if code < 0x80:
                    self.taken.append((topic, payload))
                connection.sendall(b"\x40\x03" + body[end : end + 2] + bytes((code,)))
            elif kind == 12:  # PINGREQ
                connection.sendall(b"\xd0\x00")
        stream.close()


def only_311(port: int, *, politely: bool) -> Callable[[socket.socket], None]:
    """Before a real broker: lets MQTT 3.1.1 through; 5 gets "unacceptable version", or is hung up on."""

    def treat(connection: socket.socket) -> None:
        first = connection.recv(4096)
        # Fixed header (2 bytes for a short packet), length and name "MQTT" (6), level; MQTT 3.1.1, 3.1
        at = first.index(b"\x00\x04MQTT") + 6
        if first[at] != 4:
            if politely:
                connection.sendall(b"\x20\x02\x00\x01")
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            return
        with socket.create_connection((HOST, port)) as beyond:
            beyond.sendall(first)
            back = threading.Thread(target=_pump, args=(beyond, connection), daemon=True)
            back.start()
            _pump(connection, beyond)
            back.join(5.0)

    return treat


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


SAVE = signal.SIGUSR1  # mosquitto writes its persistence file on it
