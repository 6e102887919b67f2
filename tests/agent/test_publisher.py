"""The publisher with real brokers, one that speaks MQTT 5 and one that speaks 3.1.1."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Message, Topics, schemas
from agent.outbox import Outbox, OutboxError
from agent.publisher import Answer, Backoff, BrokerOptions, Publisher, RequestError
from agent.session import Received
from tests.agent.brokers import HOST, Broker, Iotcore, Mosquitto, Subscriber, until
from tests.agent.test_outbox import break_while_open

TOPICS = Topics("tocsin", "pi-7")
QUICK = Backoff(first_s=0.1, most_s=0.5)


def event(seq: int, monitor: str = "pump") -> Message:
    return Message(TOPICS.event, f"{monitor} {seq}".encode(), 1, False, "event", monitor, seq)


def state(text: str, monitor: str = "pump") -> Message:
    return Message(TOPICS.monitor_state(monitor), text.encode(), 0, True, "state", monitor)


class Agent:
    """An outbox and a publisher."""

    def __init__(
        self,
        folder: Path,
        options: BrokerOptions,
        answer: Answer | None = None,
        backoff: Backoff = QUICK,
    ) -> None:
        self.outbox = Outbox(folder / "outbox.db")
        self.publisher = Publisher(options, self.outbox, TOPICS, answer=answer, backoff=backoff)

    def __enter__(self) -> Agent:
        self.outbox.open()
        self.publisher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.publisher.stop()
        self.outbox.close()
        assert not self.publisher.alive

    def connected(self) -> bool:
        return self.publisher.status.connected


@pytest.fixture(params=[Mosquitto, Iotcore])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with request.param(tmp_path) as running:
        yield running


def options(broker: Broker) -> BrokerOptions:
    return BrokerOptions(HOST, broker.port, protocol=broker.speaks)


def test_events_arrive_in_order_and_leave_the_outbox_only_on_puback(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port) as ears, Agent(tmp_path, options(broker)) as agent:
        agent.outbox.put_all([event(seq) for seq in range(1, 301)])
        until(lambda: not agent.outbox.waiting, "the outbox is empty")
        until(lambda: len(ears.on(TOPICS.event)) >= 300, "all have arrived")
        assert ears.on(TOPICS.event) == [event(seq).payload for seq in range(1, 301)]
        assert agent.publisher.status.delivered == 300


def test_what_was_put_before_the_broker_was_there_arrives_when_it_comes(
    broker: Broker, tmp_path: Path
) -> None:
    broker.kill()
    with Agent(tmp_path, options(broker)) as agent:
        agent.outbox.put(event(1))
        agent.publisher.retain(state("first"))
        agent.publisher.retain(state("last"))
        until(lambda: agent.publisher.status.last_error, "it says what is wrong")
        assert "connection refused" in agent.publisher.status.last_error
        broker.start()
        until(agent.connected, "connected")
        until(lambda: not agent.outbox.waiting, "delivered")
        assert agent.publisher.status.last_error == ""
        with Subscriber(broker.port) as ears:
            until(lambda: ears.on(TOPICS.monitor_state("pump")), "the state is retained")
            assert ears.on(TOPICS.monitor_state("pump")) == [b"last"]


def test_an_alert_is_on_its_way_as_soon_as_it_is_put(broker: Broker, tmp_path: Path) -> None:
    with Agent(tmp_path, options(broker)) as agent:
        until(agent.connected, "connected")
        delays = []
        for seq in range(1, 51):
            began = time.perf_counter()
            agent.outbox.put(event(seq))
            until(lambda: not agent.outbox.waiting, "delivered")
            delays.append(time.perf_counter() - began)
        assert sorted(delays)[25] < 0.1  # measured 6 ms with the wait of this test; the loop's turn is 500 ms


def test_availability_is_retained_said_at_connect_and_taken_back_at_the_end(
    broker: Broker, tmp_path: Path
) -> None:
    with Subscriber(broker.port) as ears:
        with Agent(tmp_path, options(broker)):
            until(lambda: ears.on(TOPICS.availability) == [b"online"], "online")
            with Subscriber(broker.port, client_id="later") as later:
                until(lambda: later.on(TOPICS.availability) == [b"online"], "online is retained")
        until(lambda: ears.on(TOPICS.availability) == [b"online", b"offline"], "offline")
    with Subscriber(broker.port, client_id="latest") as latest:
        until(lambda: latest.on(TOPICS.availability) == [b"offline"], "offline is retained")


def test_retained_topics_are_all_sent_again_at_every_connect(broker: Broker, tmp_path: Path) -> None:
    topics = [TOPICS.monitor_state(f"m{number}") for number in range(50)]
    with Agent(tmp_path, options(broker)) as agent:
        for number, topic in enumerate(topics):
            agent.publisher.retain(Message(topic, b"%d" % number, number % 2, True, "state", ""))
        for _ in range(2):
            until(agent.connected, "connected")
            with Subscriber(broker.port) as ears:
                until(lambda ears=ears: len(ears.heard) >= 51, "all are retained")  # type: ignore[misc]
                assert {topic: payload for topic, payload, _ in ears.heard} == {
                    TOPICS.availability: b"online",
                    **{topic: b"%d" % number for number, topic in enumerate(topics)},
                }
            broker.kill()  # and with it all that was retained
            until(lambda: not agent.connected(), "the loss is noticed")
            broker.start()


def test_an_emptied_topic_takes_away_what_an_earlier_run_left(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port) as before:
        before.publish(TOPICS.alert("pump"), b"old", retain=True)
        with Agent(tmp_path, options(broker)) as agent:
            agent.publisher.retain(Message(TOPICS.alert("pump"), b"", 1, True, "state", "pump"))
            until(lambda: before.on(TOPICS.alert("pump")) == [b"old", b""], "emptied")
    with Subscriber(broker.port, client_id="later") as later:
        later.publish("end", b"")
        until(lambda: later.on("end"), "all retained messages have come before this")
        assert later.on(TOPICS.alert("pump")) == []


def test_what_a_renamed_or_removed_monitor_left_on_the_broker_is_taken_away(
    broker: Broker, tmp_path: Path
) -> None:
    def run(topics: Topics, *monitors: str) -> None:
        with Outbox(tmp_path / "outbox.db") as outbox:
            publisher = Publisher(options(broker), outbox, topics, backoff=QUICK, monitors=monitors)
            publisher.start()
            for name in monitors:
                publisher.retain(Message(topics.monitor_state(name), b"well", 0, True, "state", name))
                publisher.retain(Message(topics.alert(name), b"raised", 1, True, "state", name))
            publisher.retain(Message(topics.agent_state, b"ok", 0, True, "state", ""))
            until(lambda: publisher.status.connected, "connected")
            until(lambda: outbox.remembered() == topics.retained(monitors), "emptied, and forgotten")
            publisher.stop()

    def left() -> set[str]:
        with Subscriber(broker.port) as ears:
            ears.publish("end", b"")
            until(lambda: ears.on("end"), "all retained messages have come before this")
            return {topic for topic, payload, retained in ears.heard if retained and payload}

    renamed = Topics("tocsin", "pi-8")
    run(TOPICS, "pump", "fan")
    before = left()
    assert {TOPICS.alert("fan"), TOPICS.monitor_state("fan")} < before
    run(TOPICS, "pump")
    assert left() == {topic for topic in before if "/fan/" not in topic}
    run(renamed, "pump")
    assert left() == {topic.replace("pi-7", "pi-8") for topic in before if "/fan/" not in topic}


def test_the_topics_of_a_removed_monitor_are_emptied_however_late_the_broker_comes(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.remember([TOPICS.alert("fan")])
    with Mosquitto(tmp_path) as broker:
        broker.kill()
        with Outbox(tmp_path / "outbox.db") as outbox:  # a run that never met the broker
            publisher = Publisher(options(broker), outbox, TOPICS, monitors=["pump"])
            publisher.start()
            publisher.stop()
            assert TOPICS.alert("fan") in outbox.remembered()
        broker.start()
        with Outbox(tmp_path / "outbox.db") as outbox:
            publisher = Publisher(options(broker), outbox, TOPICS, monitors=["pump"])
            publisher.start()
            until(lambda: outbox.remembered() == TOPICS.retained(["pump"]), "emptied")
            publisher.stop()


def test_the_wire_has_no_more_under_way_than_allowed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, "max_inflight_messages 3") as broker, Subscriber(broker.port) as ears:
        with Agent(tmp_path, BrokerOptions(HOST, broker.port, max_inflight=50)) as agent:
            # Mosquitto ends the connection of an MQTT 5 client that has more under way than it allows.
            agent.outbox.put_all([event(seq) for seq in range(1, 201)])
            for number in range(20):
                agent.publisher.retain(Message(f"r/{number}", b"x", 1, True, "state", ""))
            until(lambda: not agent.outbox.waiting, "delivered")
            until(lambda: len(ears.on(TOPICS.event)) >= 200, "arrived")
            assert ears.on(TOPICS.availability) == [b"online"]


def test_a_request_is_answered_with_its_transaction(broker: Broker, tmp_path: Path) -> None:
    def answer(verb: str, request: dict[str, object]) -> object:
        if verb != "echo":
            raise RequestError(f"no such verb: {verb}")
        return request.get("what")

    with Subscriber(broker.port) as ears, Agent(tmp_path, options(broker), answer) as agent:
        until(agent.connected, "connected")
        for verb, payload in (
            ("echo", b'{"transaction": 7, "what": [1]}'),
            ("echo", b""),
            ("sing", b'{"transaction": "a"}'),
            ("echo", b"no json"),
            ("echo", b"[1]"),
            ("echo", b"\xff\xfe"),
            *(("echo", payload) for payload in NO_REQUESTS),
        ):
            ears.publish(TOPICS.request(verb), payload)
        said = [TOPICS.response("echo"), TOPICS.response("sing")]
        until(lambda: sum(len(ears.on(topic)) for topic in said) >= 6 + len(NO_REQUESTS), "answered")
        echoes = [json.loads(payload) for payload in ears.on(said[0])]
        assert echoes[0]["answer"] == [1]
        assert echoes[0]["transaction"] == 7
        assert "transaction" not in echoes[1]
        assert [echo["status"] for echo in echoes[:5]] == ["ok", "ok", "error", "error", "error"]
        assert {echo["status"] for echo in echoes[5:]} == {"error"}
        assert json.loads(ears.on(said[1])[0])["error"] == "no such verb: sing"


NO_REQUESTS = (
    b'{"transaction": "\\ud800"}',
    b'{"transaction": "\\udfff\\ud800"}',
    b'{"what": "\\ud800x"}',
    b'{"\\ud800": 1}',
    b'{"transaction": "\xed\xa0\x80"}',
    b'{"transaction": true}',
    b'{"transaction": 1.5}',
    b'{"transaction": null}',
    b'{"transaction": [1]}',
    b'{"what": 1e999}',
    b'{"what": NaN}',
    b'{"what": ' + b"9" * 5000 + b"}",
    b'{"what": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b"[" * 65_536,
    b'"status"',
    b"null",
    b"{" * 70_000,
)


def respond(payload: bytes, verb: str = "echo") -> dict[str, Any]:
    """What an agent that echoes makes of a request, without a broker between."""
    publisher = Publisher(
        BrokerOptions(), Outbox(Path("unused")), TOPICS, answer=lambda _, request: request.get("what")
    )
    publisher._respond(Received(TOPICS.request(verb), payload, False))
    said: dict[str, Any] = json.loads(publisher._responses.pop().payload)
    jsonschema.Draft202012Validator(schemas()["response"]).validate(said)
    return said


@pytest.mark.parametrize("payload", NO_REQUESTS, ids=range(len(NO_REQUESTS)))
def test_what_is_no_request_or_could_not_go_back_is_refused_in_words(payload: bytes) -> None:
    said = respond(payload)
    assert (said["status"], "transaction" in said) == ("error", False)
    assert said["error"].startswith("not a request, ") or "at most" in said["error"]


TEXTS = st.text(st.characters() | st.sampled_from(["\ud800", "\udbff", "\udc00", "\udfff"]), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
REQUESTS = (
    st.binary(max_size=200)
    | st.builds(lambda value: json.dumps(value).encode(), JSON)  # ASCII, lone surrogates and NaN among it
    | st.builds(lambda value: json.dumps({"transaction": value, "what": value}).encode(), JSON)
)


@given(REQUESTS, st.integers(0, 200), st.binary(max_size=3))
def test_any_bytes_are_answered_and_never_more_than_refused(payload: bytes, at: int, more: bytes) -> None:
    for given_ in (payload, payload[:at] + more + payload[at + len(more) :]):
        said = respond(given_)
        if said["status"] == "ok" and given_:
            request = json.loads(given_)
            assert said.get("transaction") == request.get("transaction")
            assert not isinstance(said.get("transaction"), bool)


def test_a_retained_request_is_not_obeyed(broker: Broker, tmp_path: Path) -> None:
    asked: list[str] = []
    with Subscriber(broker.port) as ears:
        ears.publish(TOPICS.request("old"), b"{}", retain=True)
        with Agent(tmp_path, options(broker), lambda verb, _: asked.append(verb)) as agent:
            until(agent.connected, "connected")
            ears.publish(TOPICS.request("new"), b"{}")
            until(lambda: ears.on(TOPICS.response("new")), "answered")
        assert asked == ["new"]


def test_a_clean_stop_first_sends_what_waits(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port) as ears:
        with Agent(tmp_path, options(broker)) as agent:
            until(agent.connected, "connected")
            agent.outbox.put_all([event(seq) for seq in range(1, 201)])
        until(lambda: ears.on(TOPICS.availability)[-1:] == [b"offline"], "offline")
        assert len(ears.on(TOPICS.event)) == 200


def test_stopping_twice_and_stopping_what_never_started_is_fine(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        publisher = Publisher(BrokerOptions(HOST, 9), outbox, TOPICS)
        publisher.stop()
        publisher = Publisher(BrokerOptions(HOST, 9), outbox, TOPICS)
        publisher.start()
        publisher.stop()
        publisher.stop()


def test_a_message_that_no_broker_could_take_does_not_hold_up_the_others(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Subscriber(broker.port) as ears, Agent(tmp_path, options(broker)) as agent:
        agent.outbox.put_all([event(1), Message("a/#", b"", 1, False, "event", "pump", 2), event(3)])
        until(lambda: not agent.outbox.waiting, "delivered or given up")
        until(lambda: len(ears.on(TOPICS.event)) == 2, "the others have arrived")
        assert agent.outbox.lost == 1
    assert "can never be delivered" in caplog.text


def test_a_message_larger_than_the_broker_takes_is_given_up_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path, "max_packet_size 2000") as broker, Agent(tmp_path, options(broker)) as agent:
        large = Message(TOPICS.event, bytes(3000), 1, False, "event", "pump", 1)
        agent.outbox.put_all([large, event(2)])
        until(lambda: not agent.outbox.waiting, "delivered or given up")
        assert (agent.outbox.lost, agent.publisher.status.delivered) == (1, 1)
    assert "at most 2000 bytes" in caplog.text


class FullDisk(Outbox):
    """An outbox that cannot delete: on a full disk that needs room, too."""

    full = True

    def ack(self, ids: Iterable[int]) -> None:
        if self.full:
            raise OutboxError("the disk is full")
        super().ack(ids)


def test_what_has_arrived_but_cannot_be_deleted_is_not_sent_again(broker: Broker, tmp_path: Path) -> None:
    with FullDisk(tmp_path / "outbox.db") as outbox, Subscriber(broker.port) as ears:
        publisher = Publisher(options(broker), outbox, TOPICS, backoff=QUICK)
        publisher.start()
        outbox.put_all([event(seq) for seq in range(1, 51)])
        until(lambda: "disk is full" in publisher.status.last_error, "it says so")
        broker.kill()
        until(lambda: not publisher.status.connected, "lost")
        broker.start()
        outbox.put(event(51))
        outbox.full = False
        until(lambda: not outbox.waiting, "all are deleted at last")
        assert publisher.status.delivered == 51
        publisher.stop()
        assert len(ears.on(TOPICS.event)) <= 51 + options(broker).max_inflight


def test_alerts_go_on_after_the_outbox_broke_while_connected(broker: Broker, tmp_path: Path) -> None:
    with Subscriber(broker.port) as ears, Agent(tmp_path, options(broker)) as agent:
        agent.outbox.put_all([event(seq) for seq in range(1, 31)])
        until(lambda: not agent.outbox.waiting, "delivered")
        break_while_open(agent.outbox)
        agent.outbox.put(event(31))
        until(lambda: len(ears.on(TOPICS.event)) == 31, "the next one has arrived")
        until(lambda: not agent.outbox.waiting, "and is off the disk")


def test_the_publisher_opens_no_socket_but_the_brokers(broker: Broker, tmp_path: Path) -> None:
    me = psutil.Process()
    before = {(found.laddr, found.raddr) for found in me.net_connections("inet")}
    with Agent(tmp_path, options(broker)) as agent:
        until(agent.connected, "connected")
        agent.outbox.put(event(1))
        until(lambda: not agent.outbox.waiting, "delivered")
        opened = [found for found in me.net_connections("inet") if (found.laddr, found.raddr) not in before]
        assert [(found.raddr.ip, found.raddr.port) for found in opened] == [(HOST, broker.port)]


def test_no_descriptor_is_left_open_after_many_connections(broker: Broker, tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = descriptors()
    with Agent(tmp_path, options(broker)) as agent:
        until(agent.connected, "connected")
        up = descriptors()
        for _ in range(5):
            broker.kill()
            until(lambda: not agent.connected(), "lost")
            broker.start()
            until(agent.connected, "connected again")
        assert descriptors() <= up + 1  # the pipe to the broker's process among them
    assert descriptors() <= before + 1


def test_the_heartbeat_goes_on_with_and_without_a_broker(broker: Broker, tmp_path: Path) -> None:
    with Agent(tmp_path, options(broker)) as agent:
        for _ in range(2):
            last = agent.publisher.heartbeat
            until(lambda last=last: agent.publisher.heartbeat > last, "it beats", 2.0)  # type: ignore[misc]
            broker.kill()


def test_the_password_is_in_no_representation() -> None:
    options = BrokerOptions(username="horst", password="geheim")
    assert "geheim" not in repr(options)
    assert "horst" not in repr(options)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_wait_doubles_up_to_a_bound_and_is_never_nothing(attempt: int, chance: float) -> None:
    backoff = Backoff(0.5, 60.0)
    delay = backoff.delay_s(attempt, chance)
    assert 0.25 <= delay <= 60.0
    assert delay <= 0.5 * 2.0 ** min(attempt - 1, 20)


def test_only_the_thread_publish_remains_while_connected(broker: Broker, tmp_path: Path) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    with Agent(tmp_path, options(broker)) as agent:
        until(agent.connected, "connected")
        until(
            lambda: (
                [thread.name for thread in threading.enumerate() if thread.ident not in before] == ["publish"]
            ),
            "the thread that connected has gone",
        )


def test_a_name_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with Agent(tmp_path, BrokerOptions("no-such-host.invalid", 1883)) as agent:
        until(lambda: agent.publisher.status.last_error, "said")
        words = agent.publisher.status.last_error
        assert "host name no-such-host.invalid is not known" in words or "takes long" in words


def test_an_address_that_is_not_one_does_not_kill_the_thread(tmp_path: Path) -> None:
    with Agent(tmp_path, BrokerOptions("a" * 300 + ".invalid", 1883)) as agent:
        until(lambda: agent.publisher.status.last_error, "said")
        assert agent.publisher.alive
