"""The states and the response that the manual shows are those of a running agent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.messages import Topics
from tests.agent.brokers import Iotcore, Mosquitto, Subscriber, until
from tests.agent.running import Agent, states
from tests.agent.test_messages import EXAMPLES
from tests.agent.troubled import DRIVER
from tests.real import find

LIVE: dict[str, Any] = {
    "sensors": {"thermometer": {"driver": "troubled"}},
    "monitors": {"pump": {"sensor": "thermometer", "learn": "40000 rows", "publish_state": "0.2 s"}},
}
TOPICS = Topics("tocsin", "pi-7")


def shape(value: Any) -> Any:
    """The names of the fields at every depth; of the rest only whether it is there."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return None


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a running agent says, by the name of its schema."""
    folder = tmp_path_factory.mktemp("running")
    broker = Mosquitto(folder) if find("mosquitto") else Iotcore(folder)
    response = TOPICS.response(EXAMPLES["response"]["verb"])
    with (
        broker,
        Subscriber(broker.port) as ears,
        Agent(folder, LIVE, port=broker.port, before=DRIVER) as agent,
    ):
        until(
            lambda: any(
                state["level"] is None and "rows" in state["counters"] for state in states(ears, "pump")
            ),
            "its state",
        )
        until(lambda: any(state["broker"]["connected"] for state in states(ears)), "the agent's state")
        ears.publish(TOPICS.request(EXAMPLES["response"]["verb"]), json.dumps(EXAMPLES["request"]).encode())
        until(lambda: ears.on(response), "an answer")
        agent.stop()
        return {
            "monitor-state": [state for state in states(ears, "pump") if "rows" in state["counters"]][-1],
            "agent-state": [state for state in states(ears) if state["broker"]["connected"]][-1],
            "response": json.loads(ears.on(response)[0]),
        }


def test_the_response_is_word_for_word(heard: dict[str, dict[str, Any]]) -> None:
    assert heard["response"] == EXAMPLES["response"]


def test_a_monitors_state_has_the_fields_shown(heard: dict[str, dict[str, Any]]) -> None:
    assert shape(heard["monitor-state"]) == shape(EXAMPLES["monitor-state"])
    words = [state["needs"].split() for state in (heard["monitor-state"], EXAMPLES["monitor-state"])]
    assert [word for word in words[0] if not word.isdigit()] == [
        word for word in words[1] if not word.isdigit()
    ]


def test_the_agents_state_has_the_fields_shown(heard: dict[str, dict[str, Any]]) -> None:
    found, shown = heard["agent-state"], EXAMPLES["agent-state"]
    by_name: dict[str, None] = {"monitors": None, "delivered_hz": None}
    assert set(found["delivered_hz"]) == {"thermometer"}
    assert shape(found | by_name) == shape(shown | by_name)
