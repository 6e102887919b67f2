"""Where the broker is, whom to trust there, and how soon to come back after a failure."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and who we are. Certificates are always verified; there is no switch to turn it off."""

    ca_file: Path | None = None  # None: the authorities this system trusts
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> Context:
        """Raises OSError or ssl.SSLError, naming the file, when one cannot be read."""
        made = Context(ssl.PROTOCOL_TLS_CLIENT)  # which verifies certificate and name
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is None:
            made.load_default_certs()
        for path in (self.ca_file, self.cert_file, self.key_file):
            if path is None:
                continue
            with open(path, "rb"):  # for an error that names the file, which OpenSSL's does not
                pass
            try:
                if path == self.ca_file:
                    made.load_verify_locations(path)
                elif path == self.cert_file:
                    # Without a password function OpenSSL would ask for one on the terminal.
                    made.load_cert_chain(path, self.key_file, password=lambda: b"")
            except ssl.SSLError as error:
                raise OSError(0, f"not what it should be ({error.reason or error})", str(path)) from error
        return made


class Context(ssl.SSLContext):
    """Remembers the last socket it secured: paho leaves it open when the handshake fails."""

    last: ssl.SSLSocket | None = None

    def wrap_socket(self, *given: Any, **named: Any) -> ssl.SSLSocket:
        self.last = super().wrap_socket(*given, **named)
        return self.last

    def abandon(self) -> None:
        if self.last is not None:
            self.last.close()


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Where the broker is, and how to speak to it."""

    host: str = "localhost"
    port: int = 1883
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)  # the password itself, already read from its file
    tls: Tls | None = None
    client_id: str = ""  # "": tocsin-<device>
    keepalive_s: int = 30
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    max_inflight: int = 20  # QoS 1 messages on their way at a time
    # For each of: the connection, the TLS handshake (paho 2.1: keepalive_s), the broker's answer.
    connect_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the n-th try in a row, n from 1: doubling, with jitter, up to most_s.

    Jitter, so that a hundred agents do not come back to a restarted broker in the same second.
    """

    first_s: float = 0.5
    most_s: float = 60.0

    def delay_s(self, attempt: int, chance: float) -> float:
        """`chance` is uniform in 0..1."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return longest * (0.5 + 0.5 * chance)
