"""The way out: drains the outbox to the broker, in order, and keeps what is retained alive there."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from agent import messages
from agent.broker import Backoff, BrokerOptions
from agent.messages import Message, Topics
from agent.outbox import Outbox, OutboxError
from agent.requests import RequestError, Transaction, parsed
from agent.session import Bell, Received, Session, wait
from sensors.named_thread import NamedThread
from sensors.tls import Tls

__all__ = ["Answer", "Backoff", "BrokerOptions", "Publisher", "RequestError", "Status", "Tls"]

logger = logging.getLogger(__name__)

TURN_S = 0.5  # how long one turn of the loop may wait, and so how old a heartbeat of a healthy one gets
STABLE_S = 10.0  # a connection that stood this long ends a row of failures
ACK_S = 60.0  # a broker that answers pings but acknowledges nothing for this long is left
PATIENT = Backoff()
RESPONSES = 100  # answers that wait for room; older ones are forgotten

Answer = Callable[[str, dict[str, object]], object]


@dataclass(frozen=True, slots=True)
class Status:
    """How the connection stands."""

    connected: bool
    protocol: Literal["", "5", "3.1.1"]  # spoken now, or last
    since: float  # Unix seconds, when `connected` last changed
    last_error: str  # in words for a person; "" when all is well
    attempts: int  # failed ones in a row
    delivered: int  # events the broker has acknowledged since the start


class Publisher:
    """Owns the thread "publish", which owns the connection.

    An event leaves the outbox when the broker has acknowledged it, never before; after every interruption
    all that was not acknowledged is sent again, oldest first. Retained messages live in memory, the latest
    of each topic, and all are sent again at every connect.
    """

    def __init__(
        self,
        broker: BrokerOptions,
        outbox: Outbox,
        topics: Topics,
        *,
        answer: Answer | None = None,
        backoff: Backoff = PATIENT,
        monitors: Iterable[str] | None = None,
    ) -> None:
        """`answer(verb, request)` is called in the thread "publish" and must be quick. What it returns goes
        into the response; RequestError says no. Without it no requests are subscribed to. `monitors` are all
        there are: what an earlier run retained of others is emptied. Without it nothing is."""
        self.broker = broker
        self.outbox = outbox
        self.topics = topics
        self.heartbeat = time.monotonic()  # of the loop's last turn
        self.client_id = broker.client_id or f"tocsin-{topics.device}"
        self._answer = answer
        self._topics_of_ours = None if monitors is None else topics.retained(monitors)
        self._backoff = backoff
        self._bell = Bell()
        self._thread: threading.Thread | None = None
        self._stop_by: float | None = None  # monotonic; set by stop()
        self._status = Status(False, "", time.time(), "", 0, 0)

        self._lock = threading.Lock()  # over the next two
        self._retained: dict[str, Message] = {}
        self._unsent: dict[str, None] = {}  # topics of retained messages to be sent, oldest change first

        self._session: Session | None = None
        self._speaks: Literal["5", "3.1.1"] = "3.1.1" if broker.protocol == "3.1.1" else "5"
        self._early = 0  # sessions in a row that ended before the broker had said a word
        self._short = 0  # sessions in a row that the broker closed soon after it had accepted them
        self._attempts = 0
        self._retry_at = 0.0
        self._up_since = 0.0
        self._said = ""

        self._responses: deque[Message] = deque(maxlen=RESPONSES)
        self._flying: dict[int, int] = {}  # packet id -> outbox id, 0 for what is not from the outbox
        self._flying_since = 0.0  # monotonic, of the last progress
        self._sent_to = 0  # outbox id up to which all was sent in this session
        self._arrived: set[int] = set()  # outbox ids acknowledged, but still on disk: it refuses
        self._disk_at = 0.0  # when to try the disk again
        self._events_at = 0.0  # when to try events again, after the broker rejected one
        # None: as many events under way as there is room for. After a rejection one alone, the oldest, until
        # it went through, so that later ones do not overtake it: 0 before it is sent, then its outbox id.
        self._head: int | None = None
        self._rejections = 0  # of events, in a row
        self._leaving: set[str] = set()  # retained topics of earlier runs, to be emptied
        self._emptying: dict[int, str] = {}  # those under way, by packet id
        self._farewell: int | None = None  # packet id of "offline"

    @property
    def status(self) -> Status:
        return self._status

    @property
    def alive(self) -> bool:
        """False before start and after the end, also an unexpected one."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        self._take_leave()
        self.outbox.listen(self._bell.ring)
        self._thread = NamedThread(target=self._run, name="publish", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Send what can be sent in the time given, say "offline", and end. May be called twice.

        What has not arrived by then stays in the outbox.
        """
        self.outbox.listen(None)
        self._stop_by = time.monotonic() + timeout_s
        self._bell.ring()
        if self._thread is not None:
            self._thread.join(timeout_s + TURN_S)
        if self.alive:
            logger.warning("the publisher did not stop within %g s", timeout_s)
        else:
            self._bell.close()

    def retain(self, message: Message) -> None:
        """Keep a topic at this message: now if connected, and again at every connect. From any thread.

        An empty payload takes away what an earlier run may have left on the broker.
        """
        with self._lock:
            self._retained[message.topic] = message
            self._unsent.pop(message.topic, None)
            self._unsent[message.topic] = None
        self._bell.ring()

    def _take_leave(self) -> None:
        """Have the retained topics emptied that a changed configuration no longer has."""
        if self._topics_of_ours is None:
            return
        self._leaving = self.outbox.remembered() - self._topics_of_ours
        for topic in sorted(self._leaving):
            self.retain(Message(topic, b"", 1, True, "state", ""))
        try:
            self.outbox.remember(self._topics_of_ours)
        except OutboxError as error:
            self._disk(error)

    def _run(self) -> None:
        while True:
            self.heartbeat = time.monotonic()
            session = self._session
            if self._stop_by is not None and self._leave(session, self._stop_by):
                return
            if session is None:
                self._attempt()
            elif session.stage == "ended":
                self._settle(session)
                self._ended(session)
            elif session.stage == "up":
                self._serve(session)
            else:
                session.turn(self._bell, TURN_S)
                if session.slow:
                    self._complain(f"{self.broker.host}: finding or reaching it takes long")
                if session.up:
                    self._welcome(session)

    def _attempt(self) -> None:
        now = time.monotonic()
        if now < self._retry_at:
            wait(self._bell, min(TURN_S, self._retry_at - now))
            return
        will = Message(self.topics.availability, messages.OFFLINE, 1, True, "state", "")
        self._session = Session(self.broker, self.client_id, self._speaks, will)
        self._session.begin(self._bell)

    def _welcome(self, session: Session) -> None:
        self._up_since = self._flying_since = time.monotonic()
        self._flying.clear()
        self._sent_to = 0
        self._emptying.clear()
        self._events_at = 0.0
        self._head = None if self._head is None else 0
        self._early = 0
        self._set(connected=True, error="")
        if not self._short:  # in a row of short connections the log has had its lines
            logger.info("connected to %s:%d, MQTT %s", self.broker.host, self.broker.port, session.protocol)
        online = Message(self.topics.availability, messages.ONLINE, 1, True, "state", "")
        with self._lock:
            self._unsent = {online.topic: None, **dict.fromkeys(self._retained)}
            self._retained = {online.topic: online, **self._retained}
        if self._answer is not None:
            session.subscribe(self.topics.requests)

    def _serve(self, session: Session) -> None:
        """One turn of a connection that stands: send what fits, wait, take what came."""
        self._send_retained(session)
        self._send_responses(session)
        self._send_events(session)
        session.turn(self._bell, TURN_S)
        self._settle(session)
        for received in session.received:
            self._respond(received)
        session.received.clear()
        now = time.monotonic()
        if self._flying and now - self._flying_since > ACK_S:
            session.close()
            session.ending, session.why = "dropped", f"the broker acknowledged nothing for {ACK_S:g} s"

    def _room(self, session: Session) -> int:
        return 0 if session.clogged else session.window - len(self._flying)

    def _send(self, session: Session, message: Message, stored: int) -> bool:
        """False when the connection has gone. A message no broker could take is dropped and said."""
        if not session.fits(message):
            self._discard(message, stored, f"the broker takes at most {session.max_packet_bytes} bytes")
            return True
        try:
            mid = session.publish(message)
        except ValueError as error:
            self._discard(message, stored, str(error))
            return True
        if mid is None:
            return False
        if message.qos:
            if not self._flying:
                self._flying_since = time.monotonic()
            self._flying[mid] = stored
            if message.topic in self._leaving and not message.payload:
                self._emptying[mid] = message.topic
        return True

    def _discard(self, message: Message, stored: int, why: str) -> None:
        logger.error("a message on %s can never be delivered and is given up: %s", message.topic, why)
        if stored:
            try:
                self.outbox.drop((stored,))
            except OutboxError as error:
                self._disk(error)

    def _send_retained(self, session: Session) -> None:
        while self._room(session) > 0:
            with self._lock:
                topic = next(iter(self._unsent), None)
                if topic is None:
                    return
                del self._unsent[topic]
                message = self._retained[topic]
            if not self._send(session, message, 0):
                return

    def _send_responses(self, session: Session) -> None:
        while self._responses and self._room(session) > 0:
            if not self._send(session, self._responses.popleft(), 0):
                return

    def _send_events(self, session: Session) -> None:
        room = self._room(session)
        now = time.monotonic()
        if room <= 0 or now < self._disk_at or now < self._events_at or not self.outbox.waiting:
            return
        alone = self._head is not None
        if alone and any(self._flying.values()):
            return
        try:
            waiting = self.outbox.pending(1 if alone else room, self._sent_to)
        except OutboxError as error:
            self._disk(error)
            return
        known = self._arrived.union(self._flying.values())
        for stored in waiting:
            if stored.id not in known and not self._send(session, stored.message, stored.id):
                return
            self._sent_to = stored.id
            if alone and stored.id in self._flying.values():
                self._head = stored.id

    def _settle(self, session: Session) -> None:
        """Take acknowledged messages off the disk."""
        emptied = set()
        for mid in session.acked:
            stored = self._flying.pop(mid, 0)
            self._flying_since = time.monotonic()
            if stored:
                self._arrived.add(stored)
                self._set(delivered=self._status.delivered + 1)
                if self._head is None or stored == self._head:
                    self._head, self._rejections = None, 0
            elif mid in self._emptying:
                emptied.add(self._emptying.pop(mid))
        session.acked.clear()
        for mid, word in session.rejected:
            self._reject(self._flying.pop(mid, 0), word)
        session.rejected.clear()
        try:
            if emptied:
                self.outbox.forget(emptied)  # if the disk refuses they are emptied once more by the next run
            if self._arrived and time.monotonic() >= self._disk_at:
                self.outbox.ack(self._arrived)
                self._arrived.clear()
                if self._status.last_error and self._head is None and session.up:  # all is well again
                    self._said = ""
                    self._set(error="")
        except OutboxError as error:
            self._disk(error)

    def _reject(self, stored: int, word: str) -> None:
        """The broker took the packet but not the message (MQTT 5 only). An event stays, and is tried again."""
        self._complain(f"the broker does not take our messages: {word}")
        if not stored:  # what is retained is sent again at the next connection
            return
        if self._head is None or stored == self._head:  # the first of many that were under way counts
            self._rejections += 1
            self._events_at = time.monotonic() + self._backoff.delay_s(self._rejections, random.random())
        self._head = self._sent_to = 0

    def _disk(self, error: OutboxError) -> None:
        self._complain(f"outbox: {error}")
        self._disk_at = time.monotonic() + 1.0

    def _respond(self, received: Received) -> None:
        if received.retained or self._answer is None:  # an order left lying on the broker is not one for now
            return
        verb = received.topic.rpartition("/")[2]
        transaction: Transaction = msgspec.UNSET
        try:
            request, transaction = parsed(received.payload)
            answer = self._answer(verb, request)
        except RequestError as error:
            said = messages.response(verb, self.topics, transaction, error=str(error) or "refused")
        else:
            said = messages.response(verb, self.topics, transaction, answer=answer)
        self._responses.append(said)

    def _ended(self, session: Session) -> None:
        """Decide when to try again, and how."""
        now = time.monotonic()
        self._session = None
        self._flying.clear()
        stood = self._status.connected and now - self._up_since >= STABLE_S
        was_up = self._status.connected
        self._attempts = 1 if stood else self._attempts + 1
        delay_s = self._backoff.delay_s(self._attempts, random.random())
        why = session.why
        if stood:
            self._said = ""
        self._short = self._short + 1 if was_up and not stood else 0
        if session.ending == "taken over":  # who comes back at once only takes it over in turn
            delay_s = self._backoff.delay_s(99, random.random())
        elif self._short >= 3:
            why = f"{why}, again and again; does another client use the client id {self.client_id}?"
        if self._other_version(session):
            self._speaks = "5" if self._speaks == "3.1.1" else "3.1.1"
            self._early = 0
            if session.ending == "version" and self._attempts == 1:
                delay_s = 0.0
        self._retry_at = now + delay_s
        self._set(connected=False, error=why)
        self._complain(why)

    def _other_version(self, session: Session) -> bool:
        """Is the other version of MQTT worth a try?"""
        if session.ending == "early":
            self._early += 1
        if self.broker.protocol != "auto":
            return False
        # Once is an accident, as when a broker dies; some of 3.1.1 hang up on a version they do not know.
        return session.ending == "version" or self._early >= 2

    def _leave(self, session: Session | None, stop_by: float) -> bool:
        """True once there is nothing more to do, or no more time for it."""
        now = time.monotonic()
        if session is None or session.stage != "up":
            if session is not None:
                session.close()
            return True
        if self._farewell is None and (
            now >= stop_by - 1.0 or not (self._flying or self._unsent or self.outbox.waiting)
        ):
            offline = Message(self.topics.availability, messages.OFFLINE, 1, True, "state", "")
            self._farewell = session.publish(offline)
            if self._farewell is not None:
                self._flying[self._farewell] = 0
        if now < stop_by and (self._farewell is None or self._farewell in self._flying):
            return False
        session.close(politely=True)
        self._set(connected=False, error="")
        return True

    def _set(
        self, *, connected: bool | None = None, error: str | None = None, delivered: int | None = None
    ) -> None:
        old = self._status
        changed = connected is not None and connected != old.connected
        self._status = Status(
            connected=old.connected if connected is None else connected,
            protocol=self._session.protocol if self._session is not None else old.protocol,
            since=time.time() if changed else old.since,
            last_error=old.last_error if error is None else error,
            attempts=0 if connected else self._attempts,
            delivered=old.delivered if delivered is None else delivered,
        )

    def _complain(self, words: str) -> None:
        """Say what is wrong: in the log once, in the status as long as it lasts."""
        if words != self._said:
            self._said = words
            logger.warning("%s", words)
        self._set(error=words)
