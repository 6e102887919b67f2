"""A document fetched over HTTP: from this network and no other, within a time and a size, and following nothing."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sensors.base import OptionError
from sensors.password import as_told

MOST_BYTES = 4 * 2**20  # of a document: a node_exporter's metrics are 57 KB
# What is of this network: the same as IPAddressAllow in deploy/tocsin.service
PREMISES = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "::1/128",
        "169.254.0.0/16",
        "fe80::/10",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    )
)
PORTS = {"http": 80, "https": 443, "rtsp": 554}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoDocument(Exception):
    """Instead of a document, in words. `reason` is what it is counted as."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host, as a socket wants it."""

    family: int
    where: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL in its parts."""

    url: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def told(self) -> str:
        """The URL as it may be told."""
        return as_told(self.url)

    def literal(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The address, where the host is one."""
        try:
            return ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return None

    def find(self, allowed: Sequence[Network]) -> Address:
        """The host's first address that may be asked. Raises OSError in words, when the resolver is done."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise OSError(f"there is no host {self.host}: {error}") from None
        for family, _, _, _, where in found:
            if is_of(str(where[0]), allowed):
                return Address(family, where)
        raise OSError(outside(self.host, str(found[0][4][0])))

    def get(self, address: Address, timeout_s: float, accept: str, context: ssl.SSLContext | None) -> bytes:
        """The document. Raises NoDocument, and OSError when there is no connection, or one that is not believed."""
        deadline = time.monotonic() + timeout_s
        connection = http.client.HTTPConnection(self.host, self.port)
        try:
            connection.sock = connect(address, deadline, context, self.host)
            headers = {"Host": self._named(), "Accept": accept, "Accept-Encoding": "identity"}
            headers |= {"User-Agent": "tocsin", "Connection": "close"}
            connection.request("GET", self.target, headers=headers)
            with connection.getresponse() as response:
                if response.status != 200:
                    raise NoDocument(f"status_{response.status}", _status(response))
                document = response.read(MOST_BYTES + 1)
                cut_off = bool(response.length)  # that much more was promised
        except TimeoutError:
            raise NoDocument("time_outs", f"no answer within {timeout_s:g} s") from None
        except ssl.SSLError as error:  # some are a ValueError too
            raise OSError(f"no connection that can be believed: {error}") from None
        except (http.client.HTTPException, ValueError) as error:
            raise NoDocument("broken_answers", f"answers what is no HTTP: {type(error).__name__}") from None
        finally:
            connection.close()
        if len(document) > MOST_BYTES:
            raise NoDocument("too_large_answers", f"answers more than {MOST_BYTES:,} bytes")
        if cut_off:
            raise NoDocument("broken_answers", "answers what is cut off")
        return document

    def at(self, address: Address, user: str = "") -> str:
        """The URL with the address that was found instead of the name, for one who would ask for it again."""
        where = str(address.where[0])
        return f"{self.scheme}://{user}{f'[{where}]' if ':' in where else where}:{self.port}{self.target}"

    def _named(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str, schemes: Sequence[str]) -> Endpoint:
    """Raises ValueError that says what is wrong."""
    example = f"write one such as {schemes[0]}://192.168.1.20/path"
    if re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise ValueError(f"holds a blank or a character that no URL may hold: {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is no URL ({error}): {example}") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"is no {' or '.join(schemes)} URL: {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "holds a user or a password, which would be told in logs: no endpoint with one can be read"
        )
    if not url.isascii():
        raise ValueError("holds letters that are not ASCII: write them as %..")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(url, parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port, target)


def networks(allow: Sequence[str]) -> list[Network]:
    """Of an option `allow`. Raises OptionError."""
    found: list[Network] = []
    for i, text in enumerate(allow):
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise OptionError(f"allow[{i}]", text, "is no address or network, e.g. 203.0.113.7") from None
    return found


def on_premises(url: str, allowed: Sequence[Network], schemes: Sequence[str] = ("http", "https")) -> Endpoint:
    """Of an option `url`. Raises OptionError, also for an address that may not be asked; a name is not resolved."""
    try:
        endpoint = parse_url(url, schemes)
    except ValueError as error:
        raise OptionError("url", as_told(url), str(error)) from None
    if endpoint.literal() is not None and not is_of(endpoint.host, allowed):
        raise OptionError("url", as_told(url), outside(endpoint.host, endpoint.host))
    return endpoint


def is_of(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address is of the premises, or of what is allowed besides."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in (*PREMISES, *allowed))


def outside(host: str, address: str) -> str:
    """Why an address is not asked."""
    which = host if host == address else f"{host} ({address})"
    return f"{which} is not of a private network, and nothing leaves the premises unless `allow` names its address"


def trust(scheme: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """Whose certificates are believed; None for http. Raises OSError in words."""
    if scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise OSError(f"{ca_file} holds no certificates that can be read: {error}") from None
    context.sslsocket_class = _HurriedTls
    return context


class _Hurried(socket.socket):
    """A socket with one deadline for all that is received: a timeout alone begins anew with each byte."""

    deadline = 0.0

    def recv_into(self, *args: Any) -> int:
        self.settimeout(_left(self.deadline))
        return super().recv_into(*args)


class _HurriedTls(ssl.SSLSocket):
    """The same, encrypted."""

    deadline = 0.0

    def recv_into(self, *args: Any) -> int:
        self.settimeout(_left(self.deadline))
        return super().recv_into(*args)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left


def connect(address: Address, deadline: float, context: ssl.SSLContext | None, host: str) -> socket.socket:
    """A connection that is over at the deadline, by the monotonic clock. Raises OSError."""
    sock = _Hurried(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(_left(deadline))
        sock.connect(address.where)
        sock.deadline = deadline
        if context is None:
            return sock
        sock.settimeout(_left(deadline))
        tls = context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise
    assert isinstance(tls, _HurriedTls)
    tls.deadline = deadline
    return tls


def _status(response: http.client.HTTPResponse) -> str:
    status = f"answers {response.status} {http.client.responses.get(response.status, '')}".rstrip()
    place = response.getheader("Location")
    return (
        status
        if place is None
        else f"{status} to {as_told(place)[:100]!r}: give the URL that is meant, none is followed"
    )
