"""One connection to a broker that hears some topics."""

from __future__ import annotations

import select
import ssl
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal

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
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sensors import refusals
from sensors.base import SensorError
from sensors.broker import MOST_BYTES, BrokerOptions
from sensors.exchange import exchange
from sensors.tls import Context

SHORT_S = 10.0  # a connection that ends sooner was perhaps taken over; Mosquitto 2.0.11 does not say so
Version = Literal["5", "3.1.1"]
VERSIONS: dict[str, tuple[Version, ...]] = {"auto": ("5", "3.1.1"), "5": ("5",), "3.1.1": ("3.1.1",)}


class Subscription:
    """A paho client driven by the thread that made it: no thread of paho's, no socket but the broker's."""

    def __init__(self, broker: BrokerOptions, topics: Iterable[str]) -> None:
        """Connects and subscribes. Raises SensorError."""
        self._broker, self._topics = broker, sorted(topics)
        self._began = time.monotonic()
        versions = VERSIONS[broker.protocol]
        for version in versions:
            self._heard: list[MQTTMessage] = []
            self._log = self._why = ""
            self._reached = self._greeted = self._refused = self._subscribed = False
            self._client = self._made(version)
            try:
                self._greet()
                return
            except SensorError:
                self.close()
                early = self._reached and not self._greeted and not self._refused
                if version == versions[-1] or not early:
                    raise

    def turn(self, timeout_s: float) -> list[MQTTMessage]:
        """What comes within so long, or sooner. Raises SensorError when the connection has gone."""
        connection = self._client.socket()
        if connection is None:
            raise SensorError(self._ended(refusals.GONE))
        held = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
        waiting = select.poll()
        waiting.register(connection, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        events = waiting.poll(0.0 if held else timeout_s * 1000.0)
        code = exchange(self._client, held or any(event & ~select.POLLOUT for _, event in events))
        if code or self._why:
            garbage = code == MQTTErrorCode.MQTT_ERR_PROTOCOL or not self._greeted
            raise SensorError(self._ended(refusals.NO_BROKER if garbage else refusals.GONE))
        heard, self._heard = self._heard, []
        return heard

    def publish(self, topic: str, payload: bytes) -> None:
        """A message of QoS 0: who does not hear it, does not."""
        self._client.publish(topic, payload)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; may be called twice."""
        if self._subscribed:
            self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _ended(self, otherwise: str) -> str:
        why = self._why or otherwise
        if why == refusals.GONE and time.monotonic() - self._began < SHORT_S:
            why += f" soon; does another client use the client id {self._broker.client_id}?"
        return why

    def _greet(self) -> None:
        """Name, connection, TLS, the broker's answer, and its word for each subscription."""
        broker = self._broker
        context: Context | None = None
        try:
            if broker.tls is not None:
                context = broker.tls.context()
                self._client.tls_set_context(context)
            properties = None
            if self._client.protocol == MQTTv5:
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.MaximumPacketSize = MOST_BYTES
            self._client.connect(broker.host, broker.port, broker.keepalive_s, properties=properties)
        except (OSError, ValueError) as error:
            if context is not None:
                context.abandon()
            raise SensorError(self._unreachable(error)) from error
        end = time.monotonic() + broker.connect_timeout_s
        self._reached = True
        while not self._subscribed:
            self._heard += self.turn(max(0.0, end - time.monotonic()))
            if time.monotonic() > end:
                where = f"{broker.host}:{broker.port}"
                raise SensorError(f"{where} accepts the connection but does not answer as an MQTT broker")

    def _unreachable(self, error: OSError | ValueError) -> str:
        broker = self._broker
        if isinstance(error, OSError) and error.filename is not None:
            return f"TLS: {error.filename}: {error.strerror}"
        timeout_s = broker.connect_timeout_s
        return refusals.unreachable(error, broker.host, broker.port, timeout_s, tls=broker.tls is not None)

    def _made(self, version: Version) -> Client:
        broker = self._broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTv5 if version == "5" else MQTTv311,
            clean_session=None if version == "5" else True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = broker.connect_timeout_s
        if broker.username:
            client.username_pw_set(broker.username, broker.password or None)
        client.on_log = self._on_log
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _client, _data, message: self._heard.append(message)
        return client

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        if code.is_failure:
            self._refused = code.value != refusals.BAD_VERSION
            self._why = refusals.refused(code, self._broker.username, self._broker.client_id)
            return
        self._greeted = True
        client.on_log = None
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _more: Properties | None
    ) -> None:
        refused = [topic for topic, code in zip(self._topics, codes, strict=False) if code.is_failure]
        if refused:
            self._why = f"the broker does not let us hear {', '.join(refused)}"
        self._subscribed = True

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        self._why = self._why or refusals.dropped(
            code,
            self._broker.client_id,
            by_broker=flags.is_disconnect_packet_from_server,
            greeted=self._greeted,
            log=self._log,
        )

    def _on_log(self, _client: Client, _data: Any, level: int, text: str) -> None:
        """With TLS 1.3 a broker refuses our certificate after the handshake; paho says why only to its log."""
        if level == MQTT_LOG_ERR:
            self._log = text
