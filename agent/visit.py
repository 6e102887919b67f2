"""A visit to the broker: comes in with the agent's credentials under a name of its own, publishes nothing, leaves."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from agent.broker import BrokerOptions
from agent.session import Bell, Session

TURN_S = 0.2
LISTEN_S = 1.0  # for what a broker keeps: it sends that right after the subscription


class Visit(NamedTuple):
    """How it went."""

    protocol: str  # "5" or "3.1.1"; "" where it was not let in
    why: str  # it was not let in, in words; "" where it was
    retained: dict[str, bytes]  # what the broker keeps on the topics asked for


def visit(broker: BrokerOptions, client_id: str, topics: Sequence[str] = ()) -> Visit:
    """Connect, hear what the broker keeps on the topics, leave politely. Blocks for some seconds at worst.

    Under a client id made from the given one, so that an agent that is connected is not thrown out.
    """
    broker = dataclasses.replace(broker, connect_timeout_s=min(broker.connect_timeout_s, 5.0))
    versions: tuple[Literal["5", "3.1.1"], ...] = (
        ("5", "3.1.1") if broker.protocol == "auto" else (broker.protocol,)
    )
    went = Visit("", "", {})
    for version in versions:
        bell = Bell()
        session = Session(broker, f"{client_id}-visit-{os.getpid()}", version, None)
        try:
            went = _come_in(session, bell, topics)
        finally:
            session.close(politely=True)
            bell.close()
        if went.protocol or session.ending not in ("version", "early"):
            break
    return went


def _come_in(session: Session, bell: Bell, topics: Sequence[str]) -> Visit:
    session.begin(bell)
    while session.stage in ("connecting", "greeting"):
        session.turn(bell, TURN_S)
        if session.slow:
            return Visit("", f"no answer within {session.broker.connect_timeout_s:g} s", {})
    if not session.up:
        return Visit("", session.why, {})
    for topic in topics:
        session.subscribe(topic)
    end = time.monotonic() + LISTEN_S
    heard: dict[str, bytes] = {}
    while session.up and len(heard) < len(topics) and time.monotonic() < end:
        session.turn(bell, TURN_S)
        heard |= {message.topic: message.payload for message in session.received if message.retained}
    return Visit(session.protocol, "", heard)
