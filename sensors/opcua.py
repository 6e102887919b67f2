"""Values that an OPC UA server publishes to a subscription."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from sensors.base import NotNegative, OptionError, Positive, SensorError
from sensors.extras import require
from sensors.json_path import figure
from sensors.password import Password, as_told
from sensors.peers import Peer, Server
from sensors.pushed import TURN_S, Line, PushedSensor
from sensors.quantity import Quantity
from sensors.values import check_names

PORT = 4840  # OPC UA part 6, 7.4: of opc.tcp, where the url names none
TIMEOUT_S = 4.0  # of a request; asyncua's own default
LEAVE_S = 2.0  # for saying goodbye to a server that perhaps hears nothing
SPARE = 10  # times as many changes as samples may happen between two messages; servers that sample keep to the rate
MOST_QUEUED = 1000  # values of one node that the server keeps between two messages
OVERFLOW = 0x480  # OPC UA part 4, 7.39.1: the info bits say that values were lost on the server
MOST_WAITING = 100_000  # values that have come and wait for us; a connection with more is broken off
# what asyncua lets through when it reads what is no OPC UA; none of our own code runs there
GARBAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    struct.error,
)
# what the usual refusals mean to whom they happen
HINTS = {
    "BadUserAccessDenied": "bad user name or password",
    "BadIdentityTokenRejected": "it does not accept this user, or nobody without a name",
    "BadIdentityTokenInvalid": "it does not accept this user, or nobody without a name",
    "BadCertificateUntrusted": "it does not trust our certificate yet: accept cert_file there",
    "BadSecurityChecksFailed": "it does not trust our certificate yet: accept cert_file there",
    "BadTcpEndpointUrlInvalid": "it goes by another url",
}
# OPC UA part 6, 5.3.1.10, the text of a node's id; nsu= is looked up, for servers may number their namespaces anew
NODE = re.compile(r"(?:ns=(\d{1,5});|nsu=([^;]+);)?([isgb]=.+)")


@dataclass(frozen=True, slots=True)
class Node(Quantity):
    """One channel.

    Options:
        node: the node's id, such as ns=2;s=Pump.Flow, or with its namespace spelt out, nsu=urn:plant;s=Pump.Flow.
        stale_after_s: how old its source's time may be; without it, a value stands until the server sends another.
    """

    node: str
    stale_after_s: Positive | None = None

    def __post_init__(self) -> None:
        Quantity.__post_init__(
            self
        )  # super() does not know a class with slots that is derived (python/cpython#90562)
        if NODE.fullmatch(self.node) is None:
            raise OptionError(
                "node", self.node, "is not the id of a node: write one such as ns=2;s=Pump.Flow"
            )


class Opcua(PushedSensor):
    """Nodes of an OPC UA server, heard through a subscription and aligned to a rate.

    Options:
        url: the server, such as opc.tcp://plc.local:4840.
        nodes: the channels, and the node of each.
        rate_hz: samples per second, and how often the server looks at each node.
        delay_s: how much later a sample is given than its time; a little more than publish_s puts every value where
            its source's time says.
        publish_s: how often the server sends what it saw; without it, once a sample.
        security: how messages are protected; all but None verify the server by server_cert_file.
        mode: sign messages, or encrypt them too.
        server_cert_file: the server's certificate (PEM or DER), which is trusted, and no other.
        cert_file: our certificate (PEM or DER), which the server has to trust.
        key_file: the key of cert_file (PEM or DER).
        username: name to log in with; without it, anonymous.
        password_file: file whose first line is the password.
        password_env: environment variable that holds the password.
    """

    def __init__(
        self,
        *,
        url: str,
        nodes: Sequence[Node],
        rate_hz: Positive = 1.0,
        delay_s: NotNegative = 0.0,
        publish_s: Positive | None = None,
        security: Literal["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = "None",
        mode: Literal["Sign", "SignAndEncrypt"] = "SignAndEncrypt",
        server_cert_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        username: str = "",
        password_file: Path | None = None,
        password_env: str = "",
    ) -> None:
        super().__init__(url, rate_hz, delay_s)
        if not _is_url(url):
            raise OptionError(
                "url", as_told(url), "is not the address of a server: write opc.tcp://host:4840"
            )
        check_names("nodes[{}].name", [node.name for node in nodes])
        files = {"server_cert_file": server_cert_file, "cert_file": cert_file, "key_file": key_file}
        for name, file in files.items():
            if security != "None" and file is None:
                raise OptionError(name, None, f"is missing: security {security} needs it")
            if security == "None" and file is not None:
                raise OptionError(name, str(file), "is of no use without security")
        self._password = Password(username, password_file, password_env)
        self._nodes = tuple(nodes)
        self._files = files
        self._security, self._mode = security, mode
        self._publish_s = publish_s or 1.0 / rate_hz
        self.channels = tuple(node.channel for node in nodes)

    def peers(self) -> Sequence[Peer]:
        address = urlsplit(self.where)
        return (Server(address.hostname or "", address.port or PORT),)

    def limits_s(self) -> list[float]:
        return [node.stale_after_s or math.inf for node in self._nodes]

    def source(self, channel: int) -> str:
        return self._nodes[channel].node

    def attend(self, line: Line) -> None:
        asyncua = require("asyncua", extra="opcua")
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it says at length what we say in a line
        asyncio.run(self._attend(line, asyncua))

    async def _attend(self, line: Line, asyncua: Any) -> None:
        client = asyncua.Client(self.where, timeout=TIMEOUT_S)
        try:
            with _in_words(asyncua.ua, self._security):
                subscription, channels = await self._subscribe(client, asyncua)
            line.up()
            while not line.leaving:
                event = await subscription.next_event(TURN_S)
                if isinstance(event, asyncua.common.subscription.DataChangeEvent):
                    for i in channels[event.node.nodeid]:
                        self._take(line, i, event.data.monitored_item.Value)
                elif client.state.value != "connected":
                    raise SensorError("the server is gone")
                elif event is not None:
                    raise SensorError("the server has ended the subscription")
        finally:
            protocol = client.uaclient.protocol
            with suppress(asyncio.TimeoutError, OSError, asyncua.ua.UaError):
                await asyncio.wait_for(client.disconnect(), LEAVE_S)
            if protocol is not None and protocol.transport is not None:
                protocol.transport.abort()  # asyncua 2.1 leaves it open to a server that it has found silent
            await asyncio.sleep(0)  # for what was closed to be told so

    async def _subscribe(self, client: Any, asyncua: Any) -> tuple[Any, dict[Any, list[int]]]:
        """Connect and subscribe: the subscription, and the channels of each node's id. Raises SensorError."""
        if self._password.username:
            client.set_user(self._password.username)
            client.set_password(self._password.read())
        if self._security != "None":
            await self._secure(client, asyncua)
        await client.connect()
        subscription = await client.create_subscription(
            self._publish_s * 1000.0,
            queue_maxsize=MOST_WAITING,
            overflow=asyncua.common.subscription.OverflowPolicy.DISCONNECT,
        )
        namespaces = await client.get_namespace_array()
        channels: dict[Any, list[int]] = {}
        for i, node in enumerate(self._nodes):
            channels.setdefault(_node_id(node.node, namespaces, asyncua.ua), []).append(i)
        answers = await subscription.subscribe_data_change(
            [client.get_node(node_id) for node_id in channels],
            queuesize=min(MOST_QUEUED, math.ceil(SPARE * max(1.0, self._publish_s * self.rate_hz))),
            sampling_interval=1000.0 / self.rate_hz,
        )
        refused = [
            f"{self._nodes[indexes[0]].node}: {answer.name}"
            for indexes, answer in zip(channels.values(), answers, strict=True)
            if isinstance(answer, asyncua.ua.StatusCode)
        ]
        if refused:
            raise SensorError(f"the server refuses {', '.join(refused)}")
        return subscription, channels

    async def _secure(self, client: Any, asyncua: Any) -> None:
        policies = require("asyncua.crypto.security_policies", extra="opcua")
        crypto = require("asyncua.crypto.uacrypto", extra="opcua")
        read: dict[str, Any] = {}
        for name, file in self._files.items():
            found = read[name] = crypto.CertProperties(*_content(name, file))
            load = crypto.load_private_key if name == "key_file" else crypto.load_certificate
            try:
                loaded = await load(found.path_or_content, extension=found.extension)
            except (ValueError, TypeError) as error:  # TypeError: a key that is locked with a password
                noun = "key" if name == "key_file" else "certificate"
                raise SensorError(f"{name} {file}: is no {noun} that can be read here: {error}") from error
            if name == "cert_file":
                client.application_uri = _application_uri(loaded)
        await client.set_security(
            getattr(policies, f"SecurityPolicy{self._security}"),
            read["cert_file"],
            read["key_file"],
            server_certificate=read["server_cert_file"],
            mode=getattr(asyncua.ua.MessageSecurityMode, self._mode),
        )

    def _take(self, line: Line, i: int, told: Any) -> None:
        """One value with its status and times; what is not good, or no number, ends the one before."""
        node, number = self._nodes[i], math.nan
        code = 0 if told.StatusCode is None else told.StatusCode.value
        raw = None if told.Value is None else told.Value.Value
        if code & OVERFLOW == OVERFLOW:
            self.skip("server_overflows", f"{node.node}: the server lost values before this one")
        if code >> 30:  # 0 good, 1 uncertain, 2 and 3 bad; OPC UA part 4, 7.39.1
            reason = "uncertain_quality" if code >> 30 == 1 else "bad_quality"
            self.skip(reason, f"{node.node}: {told.StatusCode.name}")
        elif raw is None:
            self.skip("missing_values", f"{node.node} is null")
        else:
            try:
                number = figure(raw)
            except ValueError as error:
                self.skip("not_a_number", f"{node.node}: {error}")
        try:
            number = node.of(number)
        except ValueError as error:
            self.skip("out_of_range", f"{node.node}: {error}")
            number = math.nan
        line.push(i, number, _unix(told.SourceTimestamp or told.ServerTimestamp))


def _node_id(text: str, namespaces: Sequence[str], ua: Any) -> Any:
    """A node's id for the server at hand. Raises SensorError."""
    match = NODE.fullmatch(text)
    assert match is not None, text
    number, uri, name = match.groups()
    if uri is not None and uri not in namespaces:
        raise SensorError(f"{text}: the server has no namespace {uri}, only {', '.join(namespaces)}")
    index = namespaces.index(uri) if uri is not None else int(number or 0)
    try:
        return ua.NodeId.from_string(f"ns={index};{name}")
    except (ua.UaError, ValueError) as error:
        raise SensorError(f"{text}: is not the id of a node: {error}") from error


def _unix(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)).timestamp()


def _content(name: str, file: Path | None) -> tuple[bytes, str]:
    """A certificate or key, and which of the two forms it has. Raises SensorError."""
    assert file is not None, name
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SensorError(f"{name} {file}: cannot be read: {error.strerror}") from None
    return content, "pem" if content.lstrip().startswith(b"-----BEGIN") else "der"


def _application_uri(certificate: Any) -> str:
    """The name that a client has to go by, for its certificate is made out to it. Raises SensorError."""
    x509 = require("cryptography.x509", extra="opcua")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found: list[str] = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        found = []
    if not found:
        raise SensorError(
            "cert_file names no application: it needs a subjectAltName such as URI:urn:host:tocsin"
        )
    return found[0]


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme == "opc.tcp" and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        return False


@contextmanager
def _in_words(ua: Any, security: str) -> Iterator[None]:
    """What asyncua raises while it connects, as a SensorError that says what to do."""
    try:
        yield
    except SensorError:
        raise
    except ua.UaStatusCodeError as error:
        name = type(error).__name__
        raise SensorError(f"the server refuses: {HINTS.get(name, name)}") from error
    except (asyncio.TimeoutError, TimeoutError) as error:
        secure = security != "None"  # then many servers say nothing to what they cannot read
        hint = f"; does it know security {security}, and are the certificates and the key the right ones?"
        raise SensorError(f"no answer within {TIMEOUT_S:g} s{hint if secure else ''}") from error
    except ConnectionRefusedError as error:
        raise SensorError("nothing listens there (connection refused)") from error
    except socket.gaierror as error:
        raise SensorError(f"the host name is not known here ({error.strerror})") from error
    except OSError as error:
        raise SensorError(str(error) or type(error).__name__) from error
    except ua.UaError as error:
        if "No matching endpoints" in str(error):
            raise SensorError(f"the server has no endpoint with security {security}") from error
        raise SensorError(str(error)) from error
    except GARBAGE as error:
        raise SensorError(f"what answers there is no OPC UA server, or a broken one ({error})") from error
