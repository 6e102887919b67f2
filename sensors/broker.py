"""Where a broker is, and how to speak to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sensors.tls import Tls

MOST_BYTES = 1_000_000  # of one message heard; a broker that speaks MQTT 5 is told not to send larger ones


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
