"""Where the broker is, and how soon to come back after a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sensors.tls import Tls


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
