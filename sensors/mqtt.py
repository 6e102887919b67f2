"""Values that others publish over MQTT: plain numbers, JSON, Sparkplug B."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from sensors.base import AtLeast, NotNegative, OptionError, Positive
from sensors.broker import MOST_BYTES, BrokerOptions
from sensors.cells import shown
from sensors.json_path import compile_path, parse
from sensors.password import Password
from sensors.peers import Peer, Server
from sensors.published import Value, is_gone, matches, number_of, time_of
from sensors.pushed import TURN_S, Line, PushedSensor
from sensors.sparkplug import KINDS, NAMESPACE, Metric, Node, decode, rebirth
from sensors.tls import Tls
from sensors.values import check_names, host_trouble

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

logger = logging.getLogger(__name__)

MOST_TOPICS = 1024  # whose receivers are remembered: under a wildcard there may be any number
REBIRTH_S = 60.0  # between two requests to a node that does not answer

# three times Tasmota's TelePeriod of 300 s, the rarest of the usual reports (tasmota.github.io/docs/Commands)
STALE_S = 900.0


class Mqtt(PushedSensor):
    """Values that other devices publish over MQTT, aligned to a rate.

    Options:
        values: the channels, and where each is published.
        rate_hz: samples per second; each has the newest value of every channel.
        delay_s: how much later a sample is given than its time, for values that come late with a time of their own.
        host: name or address of the broker.
        port: port of the broker; 1883, with tls 8883.
        username: name to log in with.
        password_file: file whose first line is the password.
        password_env: environment variable that holds the password.
        tls: encrypt, and verify the broker's certificate.
        ca_file: certificates to trust (PEM); without it, those the system trusts.
        cert_file: our certificate (PEM), where the broker asks for one.
        key_file: the key of cert_file (PEM).
        client_id: name of this client at the broker; no other may have it. Without it tocsin, the host, the sensor and
            the process.
        keepalive_s: the broker forgets us after 1.5 times as long without a word.
        protocol: version of MQTT; auto tries 5, then 3.1.1.
        ask_rebirth: ask Sparkplug B's nodes for their births when one was missed, and when the agent connects.
    """

    def __init__(
        self,
        *,
        values: Sequence[Value],
        rate_hz: Positive = 1.0,
        delay_s: NotNegative = 0.0,
        host: str = "localhost",
        port: Annotated[int, AtLeast(1)] | None = None,
        username: str = "",
        password_file: Path | None = None,
        password_env: str = "",
        tls: bool = False,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        client_id: str = "",
        keepalive_s: Positive = 30.0,
        protocol: Literal["auto", "5", "3.1.1"] = "auto",
        ask_rebirth: bool = True,
    ) -> None:
        port = port or (8883 if tls else 1883)
        super().__init__(f"{host}:{port}", rate_hz, delay_s)
        if trouble := host_trouble(host):
            raise OptionError("host", host, trouble)
        check_names("values[{}].name", [value.name for value in values])
        for name, given in {"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file}.items():
            if given is not None and not tls:
                raise OptionError(name, str(given), "needs tls: true beside it")
        if (cert_file is None) != (key_file is None):
            raise OptionError("cert_file", None, "and key_file belong together")
        self.channels = tuple(value.channel for value in values)
        self.values = tuple(values)
        self._password = Password(username, password_file, password_env)
        self._ask_rebirth = ask_rebirth
        self._broker = partial(
            BrokerOptions,
            host=host,
            port=port,
            username=username,
            tls=Tls(ca_file, cert_file, key_file) if tls else None,
            keepalive_s=max(1, round(keepalive_s)),
            protocol=protocol,
        )
        self._client_id = client_id
        self._server = Server(host, port)
        self._gone: set[str] = set()  # availability topics that say so; a new connection hears them again

    def peers(self) -> Sequence[Peer]:
        return (self._server,)

    def limits_s(self) -> list[float]:
        return [v.stale_after_s or (math.inf if v.sparkplug else STALE_S) for v in self.values]

    def source(self, channel: int) -> str:
        value = self.values[channel]
        return value.topic or f"{value.sparkplug} {value.metric}"

    def tell_of_device(self, topic: str, payload: bytes, gone: bool, channels: Sequence[int]) -> None:
        """Say once that the device of these channels has gone, and once that it is back."""
        if gone == (topic in self._gone):
            return
        names = ", ".join(self.values[i].name for i in channels)
        said = f"{topic} says {shown(payload.decode('utf-8', 'replace').strip())}"
        if gone and len(self._gone) < MOST_TOPICS:
            logger.warning("sensor %s: %s: its device is offline (%s)", self.name, names, said)
            self.skipped["offline"] += 1
            self._gone.add(topic)
        elif not gone:
            logger.info("sensor %s: %s: its device is back (%s)", self.name, names, said)
            self._gone.remove(topic)

    def attend(self, line: Line) -> None:
        from sensors.subscription import Subscription

        ears = Ears(self, line, self.values)
        client_id = self._client_id or f"tocsin-{socket.gethostname()}-{self.name}-{os.getpid()}"
        broker = self._broker(password=self._password.read(), client_id=client_id)
        with Subscription(broker, ears.topics) as subscription:
            line.up()
            while not line.leaving:
                for message in subscription.turn(TURN_S):
                    ears.hear(message)
                if self._ask_rebirth:
                    for node in ears.unsure(self.clock.monotonic()):
                        subscription.publish(node, rebirth(self.clock.now()))


class Ears:
    """What each message means to the channels of one connection."""

    def __init__(self, sensor: Mqtt, line: Line, values: Sequence[Value]) -> None:
        self._sensor, self._line, self.values = sensor, line, values
        self._find = [compile_path(value.path) if value.path else None for value in values]
        self._find_time = [compile_path(value.time) if value.time else None for value in values]
        self._nodes: dict[str, Node] = {}  # by group/node
        self._metrics: dict[str, dict[Metric, list[int]]] = {}  # the channels of each node's metrics
        self._asked: dict[str, float] = {}  # when a node was asked for its birth last
        for i, value in enumerate(values):
            if value.sparkplug:
                group, node, *device = value.sparkplug.split("/")
                channels = self._metrics.setdefault(f"{group}/{node}", {})
                channels.setdefault(("".join(device), value.metric), []).append(i)
        for name, channels in self._metrics.items():
            self._nodes[name] = Node(set(channels), sensor.skip)
        self._receivers = lru_cache(MOST_TOPICS)(self._find_receivers)

    @property
    def topics(self) -> set[str]:
        """What to subscribe to."""
        nodes = (name.split("/") for name in self._nodes)
        plain = {topic for value in self.values for topic in (value.topic, value.availability) if topic}
        return plain | {f"{NAMESPACE}/{group}/+/{node}/#" for group, node in nodes}

    def hear(self, message: MQTTMessage) -> None:
        """Push what the message says; what it cannot mean is counted."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._sensor.skip("bad_topics", "a topic is no text")
            return
        payload = bytes(message.payload)
        if len(payload) > MOST_BYTES:
            self._sensor.skip("oversized", f"{topic}: {len(payload)} bytes")
            return
        levels = topic.split("/")
        if levels[0] == NAMESPACE and len(levels) >= 4:
            self._hear_node(levels, payload, message.retain)
        channels, watchers = self._receivers(topic)
        document = cache(partial(parse, payload))  # at most once, and only if somebody asks
        for i in channels:
            value = self.values[i]
            if message.retain and not (value.retained or value.time):
                self._sensor.skip("retained", f"{topic}: kept by the broker, nobody knows since when")
            else:
                self._take(i, topic, payload, document)
        if watchers:
            gone = is_gone(payload)
            self._sensor.tell_of_device(topic, payload, gone, watchers)
            for i in watchers if gone else ():
                self._line.push(i, math.nan)

    def unsure(self, now: float) -> list[str]:
        """The command topics of nodes that should be asked for their births now."""
        due = [
            name
            for name, node in self._nodes.items()
            if node.unsure and now - self._asked.get(name, -math.inf) >= REBIRTH_S
        ]
        self._asked |= dict.fromkeys(due, now)
        return [f"{NAMESPACE}/{group}/NCMD/{node}" for group, node in (name.split("/") for name in due)]

    def _find_receivers(self, topic: str) -> tuple[list[int], list[int]]:
        """The channels that a topic has values for, and those whose devices it tells about."""
        values = list(enumerate(self.values))
        return (
            [i for i, value in values if value.topic and matches(value.topic, topic)],
            [i for i, value in values if value.availability and matches(value.availability, topic)],
        )

    def _take(self, i: int, topic: str, payload: bytes, document: Callable[[], object]) -> None:
        """One channel's value of a message in words or JSON."""
        value, find, find_time = self.values[i], self._find[i], self._find_time[i]
        try:
            given = document() if find or find_time else None
            raw = find(given) if find else payload.decode("utf-8", "replace")
            time = time_of(find_time(given)) if find_time else None
        except LookupError:
            wanted = " and ".join(filter(None, (value.path, value.time)))
            self._sensor.skip("missing_values", f"{topic}: there is no {wanted} in it")
        except ValueError as error:
            self._sensor.skip("bad_payloads", f"{topic}: {error}")
        else:
            where = f"{topic} {value.path}".strip()
            self._push(i, self._number(raw, where), time, where)

    def _hear_node(self, levels: list[str], payload: bytes, retained: bool) -> None:
        """A message of a Sparkplug B node, where it is one that channels come from."""
        _, group, kind, name, *device = levels
        node = self._nodes.get(f"{group}/{name}")
        if node is None or kind not in KINDS:
            return
        topic = "/".join(levels)
        if retained:  # chapter 6.4: none of these may be
            self._sensor.skip("retained", f"{topic}: kept by the broker, nobody knows since when")
            return
        try:
            heard = list(node.hear(kind, "/".join(device), decode(payload)))
        except ValueError as error:
            self._sensor.skip("bad_payloads", f"{topic}: {error}")
            return
        for metric, number, time in heard:
            for i in self._metrics[f"{group}/{name}"][metric]:
                self._push(i, number, time, f"{topic} {metric[1]}")

    def _number(self, raw: object, where: str) -> float:
        """A value as it was sent; NaN where it is none, which ends the one before."""
        try:
            if raw is not None:
                return number_of(raw)
            self._sensor.skip("missing_values", f"{where} is null")
        except ValueError as error:
            self._sensor.skip("not_a_number", f"{where}: {error}")
        return math.nan

    def _push(self, i: int, number: float, time: float | None, where: str) -> None:
        value = self.values[i]
        try:
            number = value.of(number)
        except ValueError as error:
            self._sensor.skip("out_of_range", f"{where}: {error}")
            number = math.nan
        self._line.push(i, number, time)
