"""What a sensor needs to be there, looked for without harm: nothing is said to it, and nothing is started."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from sensors.http_fetch import Address

CONNECT_S = 2.0  # longest that a server on the same network is waited for


class Trouble(NamedTuple):
    """Why it is not there, and what would mend it."""

    says: str
    mend: str


class Peer(Protocol):
    """`well` says in words what it is when nothing is wrong with it."""

    @property
    def well(self) -> str: ...

    def trouble(self) -> Trouble | None: ...


@dataclass(frozen=True, slots=True)
class Server:
    """Listens at a TCP port: is connected to and left at once."""

    host: str
    port: int
    find: Callable[[], Address] | None = None  # the address that may be asked; raises OSError in words

    @property
    def well(self) -> str:
        return f"{self.host}:{self.port} takes connections"

    def trouble(self) -> Trouble | None:
        where = f"{self.host}:{self.port}"
        known = f"getent hosts {quote(self.host)}  # or mend the host"
        try:
            address = None if self.find is None else self.find()
        except OSError as error:
            return Trouble(str(error), known)
        try:
            self._connect(address)
        except ConnectionRefusedError as error:
            mend = f"start what should listen at {where}, or write the port that it listens at"
            return Trouble(self._words(error), mend)
        except socket.gaierror as error:
            return Trouble(self._words(error), known)
        except (OSError, ValueError) as error:
            return Trouble(self._words(error), f"ping -c 3 {quote(self.host)}  # and is it port {self.port}?")
        return None

    def _connect(self, address: Address | None) -> None:
        if address is None:
            socket.create_connection((self.host, self.port), CONNECT_S).close()
            return
        with socket.socket(address.family, socket.SOCK_STREAM) as connection:
            connection.settimeout(CONNECT_S)
            connection.connect(address.where)

    def _words(self, error: OSError | ValueError) -> str:
        from sensors import refusals

        return refusals.unreachable(error, self.host, self.port, CONNECT_S, tls=False)


@dataclass(frozen=True, slots=True)
class PortFile:
    """A serial port, by its path."""

    path: str

    @property
    def well(self) -> str:
        return f"{self.path} is there"

    def trouble(self) -> Trouble | None:
        if Path(self.path).exists():
            return None
        return Trouble(f"{self.path} is not there", "ls -l /dev/serial/by-id  # is it plugged in?")
