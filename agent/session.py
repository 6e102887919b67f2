"""One connection to the broker, from its first packet to its end; a new one is made for every attempt."""

from __future__ import annotations

import os
import select
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from paho.mqtt.client import (
    MQTT_LOG_ERR,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
    MQTTv311,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.messages import Message
from sensors import refusals
from sensors.broker import BrokerOptions
from sensors.exchange import exchange
from sensors.tls import Context

PACKET_HEAD = 16  # fixed header, topic length, packet id, no properties: at most this


Stage = Literal["connecting", "greeting", "up", "ended"]
Ending = Literal["unreachable", "version", "early", "refused", "taken over", "dropped", "closed"]


class Received(NamedTuple):
    """A message from the broker."""

    topic: str
    payload: bytes
    retained: bool


class Bell:
    """A pipe that wakes the thread which waits on it together with a socket."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._out

    def ring(self) -> None:
        """From any thread, also after `close`. A full pipe wakes as well."""
        with self._lock, suppress(BlockingIOError):
            if self._in >= 0:
                os.write(self._in, b"!")

    def hush(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._out, 4096)

    def close(self) -> None:
        with self._lock:
            if self._in >= 0:
                os.close(self._in)
                os.close(self._out)
                self._in = self._out = -1


def wait(bell: Bell, timeout_s: float, connection: Any = None, sending: bool = False) -> int:
    """Until the bell rings, the connection can be read (or written, when sending), or the time is over.

    Returns the connection's poll events, 0 for none.
    """
    waiting = select.poll()
    waiting.register(bell, select.POLLIN)
    if connection is not None:
        waiting.register(connection, select.POLLIN | (select.POLLOUT if sending else 0))
    ready = dict(waiting.poll(max(0.0, timeout_s) * 1000.0))
    if ready.get(bell.fileno(), 0):
        bell.hush()
    return ready.get(connection.fileno(), 0) if connection is not None else 0


class Session:
    """A paho client driven by the thread that owns it: no thread of paho's, no socket but the broker's.

    Only the way to the first packet (name, TCP, TLS), which blocks, is gone in a thread of its own.
    """

    def __init__(
        self, broker: BrokerOptions, client_id: str, protocol: Literal["5", "3.1.1"], will: Message | None
    ) -> None:
        self.broker = broker
        self.client_id = client_id
        self.protocol = protocol
        self.stage: Stage = "connecting"
        self.why = ""  # it ended, in words
        self.ending: Ending = "closed"
        self.window = broker.max_inflight  # the smaller of ours and the broker's
        self.max_packet_bytes = 0  # 0: the broker named no limit
        self.acked: list[int] = []  # packet ids; taken out by the owner
        self.rejected: list[tuple[int, str]] = []  # packet id, and the broker's word for it
        self.received: list[Received] = []
        self._log = ""  # paho's last error before the broker's answer
        self._began = time.monotonic()
        self._reached = threading.Event()
        self._error: OSError | ValueError | None = None
        self._client = client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if protocol == "5" else MQTTv311,
            clean_session=None if protocol == "5" else True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = broker.connect_timeout_s
        client.max_inflight_messages_set(0)  # the owner counts, because the broker has a say in MQTT 5
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        if broker.username:
            client.username_pw_set(broker.username, broker.password or None)
        client.on_log = self._on_log
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def begin(self, bell: Bell) -> None:
        """Set out. The bell tells that the first stage is over."""
        threading.Thread(target=self._reach, args=(bell,), name="connect", daemon=True).start()

    def _reach(self, bell: Bell) -> None:
        context: Context | None = None
        try:
            if self.broker.tls is not None:
                context = self.broker.tls.context()
                self._client.tls_set_context(context)
            self._client.connect(self.broker.host, self.broker.port, self.broker.keepalive_s)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; a bad host name a ValueError
            self._error = error
            if context is not None:
                context.abandon()
        self._reached.set()
        if self.stage == "ended":  # closed while it was on its way: nobody waits any more
            self._hang_up()
        bell.ring()

    def turn(self, bell: Bell, timeout_s: float) -> None:
        """Wait for something to happen, at most so long, and let it happen."""
        connection = self._client.socket() if self.stage in ("greeting", "up") else None
        if connection is None:
            wait(bell, timeout_s)
            if self.stage == "connecting":
                self._arrive()
            elif self.stage != "ended":
                self._end("dropped", refusals.GONE)
            return
        held = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0  # read, but not by us
        events = wait(bell, 0.0 if held else timeout_s, connection, self._client.want_write())
        self._exchange(held or bool(events & ~select.POLLOUT))
        if self.stage == "ended":
            self._hang_up()

    def _arrive(self) -> None:
        if not self._reached.is_set():
            return
        broker = self.broker
        if self._error is not None:
            if isinstance(self._error, OSError) and self._error.filename is not None:
                words = f"TLS: {self._error.filename}: {self._error.strerror}"
            else:
                words = refusals.unreachable(
                    self._error,
                    broker.host,
                    broker.port,
                    broker.connect_timeout_s,
                    tls=broker.tls is not None,
                )
            self._end("unreachable", words)
            return
        self.stage = "greeting"
        self._began = time.monotonic()

    def _exchange(self, readable: bool) -> None:
        code = exchange(self._client, readable)
        if code:
            early = self.stage == "greeting"
            garbage = early or code == MQTTErrorCode.MQTT_ERR_PROTOCOL
            self._end("early" if early else "dropped", refusals.NO_BROKER if garbage else refusals.GONE)
        elif self.stage == "greeting" and time.monotonic() - self._began > self.broker.connect_timeout_s:
            where = f"{self.broker.host}:{self.broker.port}"
            self._end("early", f"{where} accepts the connection but does not answer as an MQTT broker")

    @property
    def up(self) -> bool:
        return self.stage == "up"

    @property
    def slow(self) -> bool:
        """The name or the connection takes longer than it may; it cannot be hurried."""
        waited = time.monotonic() - self._began
        return self.stage == "connecting" and waited > self.broker.connect_timeout_s

    @property
    def clogged(self) -> bool:
        """The network does not take what was given to it already."""
        return self._client.want_write()

    def fits(self, message: Message) -> bool:
        """May a message of this size be sent at all."""
        size = len(message.payload) + len(message.topic.encode()) + PACKET_HEAD
        return not self.max_packet_bytes or size <= self.max_packet_bytes

    def publish(self, message: Message) -> int | None:
        """Hand a message over; its packet id, or None when the connection has gone.

        Raises ValueError when it is no MQTT message: a topic with a wildcard.
        """
        if self.stage != "up":
            return None
        sent = self._client.publish(message.topic, message.payload, message.qos, message.retain)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end("dropped", refusals.GONE)
            return None
        return sent.mid

    def subscribe(self, topic: str) -> None:
        if self.stage == "up":
            self._client.subscribe(topic, qos=1)

    def close(self, *, politely: bool = False) -> None:
        """Leave: politely, and the broker forgets the will; else as if the line were cut."""
        if self.stage == "connecting":
            self.stage = "ended"
            return  # the thread that connects still owns the client; the daemon thread goes with the process
        if politely and self.stage == "up":
            self.stage = "ended"
            self._client.disconnect()
        self._end("closed", "")

    def _end(self, ending: Ending, why: str) -> None:
        if self.stage != "ended":
            self.stage, self.ending, self.why = "ended", ending, why
        self._hang_up()

    def _hang_up(self) -> None:
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            ending: Ending = "version" if code.value == refusals.BAD_VERSION else "refused"
            self.stage, self.ending = "ended", ending
            self.why = refusals.refused(code, self.broker.username, self.client_id)
            return
        self.stage = "up"
        client.on_log = None
        self.window = min(self.window, getattr(properties, "ReceiveMaximum", 65535)) or 1  # 0 is not allowed
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", 0)

    def _on_disconnect(
        self, client: Client, _data: Any, flags: DisconnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        if self.stage == "ended":
            return
        self.why = refusals.dropped(
            code,
            self.client_id,
            by_broker=flags.is_disconnect_packet_from_server,
            greeted=self.stage == "up",
            log=self._log,
        )
        if code.value == refusals.TAKEN_OVER:
            self.ending = "taken over"
        else:
            self.ending = "early" if self.stage == "greeting" else "dropped"
        self.stage = "ended"

    def _on_log(self, client: Client, _data: Any, level: int, text: str) -> None:
        """With TLS 1.3 a broker refuses our certificate after the handshake; paho says why only to its log."""
        if level == MQTT_LOG_ERR:
            self._log = text

    def _on_publish(
        self, client: Client, _data: Any, mid: int, code: ReasonCode, _more: Properties | None
    ) -> None:
        if code.is_failure:
            self.rejected.append((mid, code.getName().lower()))
        else:
            self.acked.append(mid)

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        # paho decodes the topic only here, and a broker may have sent any bytes.
        self.received.append(Received(message.topic, bytes(message.payload), message.retain))
