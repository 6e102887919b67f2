"""Payloads keep to their published schemas, ids repeat, and sentences can be read aloud."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import payloads
from agent.alerts import Alert, Event, Model, Moved, Plan
from agent.forms import settings
from agent.messages import (
    AgentState,
    Clock,
    Message,
    MonitorState,
    Topics,
    agent_state,
    alert_cleared,
    alert_retained,
    encode,
    monitor_state,
    response,
    rfc3339,
    schemas,
    sentence,
)
from agent.monitor_config import AlertConfig
from agent.sentences import duration, quantity

DOCS = Path(__file__).parents[2] / "docs"
TOPICS = Topics("tocsin", "pi-7")
MODEL = Model("mahalanobis", "levels.onnx", "ab" * 32)
RAISED = Event(
    kind="raised",
    monitor="pump",
    time=1_700_000_000.123456,
    seq=7,
    alert=Alert("active", 1_700_000_000.123456, 1_700_000_000.123456, 2.4, 2.4, 2.4, "critical"),
    level=2.4,
    moved=(Moved("temperature", "temperature", -7.34, 43.1, 86.0, "Cel", 0.9125),),
    model=MODEL,
    plan=Plan(1.0),
    sensor="thermometer",
    evidence="pump-20231114T221320.123Z-12e035d3.npz",
)
CLEARED = replace(
    RAISED,
    kind="cleared",
    time=1_700_007_500.0,
    alert=replace(RAISED.alert, state="inactive", since=RAISED.time + 7500, peak=3.1),
    level=0.2,
    moved=(),
)
CLOCK = Clock(12345.678901, "0b7c6a2e-0000-4000-8000-000000000000", True)
BPFO = Moved("outer race (BPFO) 88 Hz", "x", 12.3, 0.51, 0.1, "m/s2")


def valid(message: Message, name: str) -> dict[str, Any]:
    """The payload, which its schema accepts, and which knows no field that the schema does not."""
    payload = json.loads(message.payload)
    jsonschema.Draft202012Validator(schemas()[name]).validate(payload)
    again = msgspec.json.decode(message.payload, type=payloads.PUBLISHED[name])
    assert msgspec.json.encode(again) == message.payload
    assert isinstance(payload, dict)
    return payload


@pytest.mark.parametrize("name", sorted(payloads.PUBLISHED))
def test_the_published_schema_is_the_one_in_the_code(name: str) -> None:
    schema = schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    written = json.loads((DOCS / "schemas" / f"{name}.json").read_text())
    assert written == schema, "write them anew: python -m agent.payloads docs/schemas"


def test_no_schema_is_published_that_the_code_does_not_know() -> None:
    assert {path.stem for path in (DOCS / "schemas").glob("*.json")} == set(schemas())


def test_an_event_says_all_the_design_promises() -> None:
    message = encode(RAISED, "pi-7", "tocsin", CLOCK)
    assert (message.topic, message.qos, message.retain) == ("tocsin/pi-7/event", 1, False)
    assert (message.kind, message.monitor, message.seq) == ("event", "pump", 7)
    payload = valid(message, "event")
    assert payload["schema"] == "tocsin.event/1"
    assert payload["time"] == "2023-11-14T22:13:20.123Z"
    assert payload["moved"][0] == {
        "feature": "temperature",
        "channel": "temperature",
        "sigma": -7.34,
        "direction": "down",
        "value": 43.1,
        "normal": 86.0,
        "unit": "Cel",
        "share": 0.9125,
    }
    assert payload["rest"] == 0.0875
    assert payload["clock"] == {"monotonic": 12345.678901, "boot_id": CLOCK.boot_id, "synced": True}
    assert payload["sentence"] == sentence(RAISED)


def test_a_replay_says_the_same_but_for_the_clock() -> None:
    live = json.loads(encode(RAISED, "pi-7", "tocsin", CLOCK).payload)
    replayed = json.loads(encode(RAISED, "pi-7", "tocsin").payload)
    del live["clock"]
    assert live == replayed
    assert encode(RAISED, "pi-7", "tocsin").payload == encode(RAISED, "pi-7", "tocsin").payload


def test_an_id_is_made_of_device_monitor_kind_subject_and_time() -> None:
    def id_of(event: Event, device: str = "pi-7") -> str:
        return str(json.loads(encode(event, device, "tocsin").payload)["id"])

    others = {
        id_of(RAISED, "pi-8"),
        id_of(replace(RAISED, monitor="fan")),
        id_of(replace(RAISED, kind="updated")),
        id_of(replace(RAISED, about="sensor")),
        id_of(replace(RAISED, time=RAISED.time + 1e-6)),
    }
    assert len(others | {id_of(RAISED)}) == 6
    assert id_of(replace(RAISED, level=3.0, seq=99)) == id_of(RAISED)
    assert (
        id_of(RAISED) == "12e035d3-3399-5446-a41f-6f45c7dc7378"
    )  # a change here makes doubles of all that was ever sent


def test_the_retained_alert_is_emptied_when_it_clears() -> None:
    raised = alert_retained(RAISED, TOPICS)
    assert raised is not None
    assert raised.topic == "tocsin/pi-7/pump/alert"
    assert raised.retain
    valid(raised, "event")
    cleared = alert_retained(CLEARED, TOPICS)
    assert cleared == alert_cleared("pump", TOPICS)
    assert cleared.payload == b""
    assert cleared.retain
    assert alert_retained(replace(RAISED, kind="flooded"), TOPICS) is None


def test_a_machine_and_its_sensor_have_two_alert_topics() -> None:
    about_sensor = alert_retained(replace(RAISED, about="sensor", note="no data for 30 s"), TOPICS)
    assert about_sensor is not None
    assert about_sensor.topic == "tocsin/pi-7/pump/sensor_alert"


def test_states_are_retained_and_keep_to_their_schemas() -> None:
    state = MonitorState(
        time=rfc3339(RAISED.time),
        device="pi-7",
        monitor="pump",
        sensor="thermometer",
        health="learning",
        needs="needs 240 more rows",
    )
    message = monitor_state(state, TOPICS)
    assert (message.topic, message.retain, message.kind) == ("tocsin/pi-7/pump/state", True, "state")
    assert valid(message, "monitor-state")["needs"] == "needs 240 more rows"
    whole = AgentState(
        time=rfc3339(RAISED.time), device="pi-7", version="0.1.0", started=rfc3339(0.0), health="ok"
    )
    message = agent_state(whole, TOPICS)
    assert (message.topic, message.retain) == ("tocsin/pi-7/state", True)
    valid(message, "agent-state")


@pytest.mark.parametrize("transaction", ["a1", 7, msgspec.UNSET])
def test_a_response_brings_the_transaction_back(transaction: str | int | msgspec.UnsetType) -> None:
    done = valid(response("status", TOPICS, transaction, answer={"ok": 1}), "response")
    assert done.get("transaction", msgspec.UNSET) == transaction
    assert (done["status"], done["answer"]) == ("ok", {"ok": 1})
    failed = valid(response("status", TOPICS, transaction, error="no such verb"), "response")
    assert failed.get("transaction", msgspec.UNSET) == transaction
    assert (failed["status"], failed["error"]) == ("error", "no such verb")
    assert "answer" not in failed


FIGURES = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1e-9, 999.96, 1e300]))
TIMES = st.floats(-1e9, 4e9)
ALERTS = st.builds(
    Alert,
    state=st.sampled_from(["inactive", "pending", "active", "clearing"]),
    since=TIMES,
    raised_at=TIMES,
    raised_level=FIGURES,
    level=FIGURES,
    peak=FIGURES,
    severity=st.sampled_from(["warning", "critical"]),
    suppressed=st.integers(0, 10**6),
)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(["raised", "updated", "cleared", "flooded"]),
    monitor=st.text(min_size=1, max_size=20),
    time=TIMES,
    seq=st.integers(1, 2**53),
    alert=ALERTS,
    level=FIGURES,
    moved=st.lists(
        st.builds(
            Moved,
            feature=st.text(max_size=20),
            channel=st.text(max_size=20),
            sigma=FIGURES,
            value=st.none() | FIGURES,
            normal=st.none() | FIGURES,
            unit=st.sampled_from(["Cel", "1", "", "m/s2"]),
        ),
        max_size=4,
    ).map(tuple),
    model=st.none() | st.just(MODEL),
    plan=st.none() | st.just(Plan(0.5, "int8")),
    sensor=st.text(max_size=20),
    about=st.sampled_from(["machine", "sensor"]),
    note=st.text(max_size=40),
)


@given(EVENTS, st.none() | st.just(CLOCK))
def test_every_event_there_could_be_keeps_to_the_schema(event: Event, clock: Clock | None) -> None:
    payload = valid(encode(event, "pi-7", "tocsin", clock), "event")
    said = payload["sentence"]
    assert said.startswith(f"{event.monitor}: ")
    assert said.endswith(".")
    for word in re.findall(r"[a-z]+", said.replace(event.monitor, "").lower()):
        assert word != "nan" or any("nan" in text.lower() for text in _given_texts(event))


def _given_texts(event: Event) -> list[str]:
    return [event.note, event.sensor, event.monitor, *(moved.feature for moved in event.moved)]


SENTENCES = {
    "pump: temperature fell 7.3 sigma below normal (43.1 Cel, normal 86.0 Cel); level 2.4, critical.": RAISED,
    "pump: outer race (BPFO) 88 Hz rose 12 sigma above normal (0.51 m/s2, normal 0.1 m/s2), 3 more moved;"
    " level 2.4, critical.": replace(RAISED, moved=(BPFO, *(RAISED.moved * 3))),
    "pump: left normal; level 2.4, critical.": replace(RAISED, moved=()),
    "pump: back to normal after 2 h 5 min (peak level 3.1).": CLEARED,
    "pump: now critical: temperature fell 7.3 sigma below normal (43.1 Cel, normal 86.0 Cel);"
    " level 2.4.": replace(RAISED, kind="updated"),
    "pump: alerts come too often, so further ones are only counted until it calms down; level 2.4.": replace(
        RAISED, kind="flooded"
    ),
    "pump: left normal; level 2.4, critical (1 earlier alert was kept back as too many).": replace(
        RAISED, moved=(), alert=replace(RAISED.alert, suppressed=1)
    ),
    "pump: sensor thermometer: no data for 30 s: device gone.": replace(
        RAISED, about="sensor", moved=(), note="no data for 30 s: device gone"
    ),
    "pump: sensor thermometer is well again after 2 h 5 min.": replace(CLEARED, about="sensor"),
    "pump: sensor thermometer: temperature is stuck at 41.3 Cel for 9 s.": replace(
        RAISED, about="signal", moved=(), note="temperature is stuck at 41.3 Cel for 9 s"
    ),
    "pump: sensor thermometer now: temperature is stuck at 41.3 Cel for 27 s, current drops out.": replace(
        RAISED,
        about="signal",
        kind="updated",
        moved=(),
        note="temperature is stuck at 41.3 Cel for 27 s, current drops out",
    ),
    "pump: crest factor rose 3.2 sigma above normal (5.1, normal 3); level 2.4, critical.": replace(
        RAISED, moved=(Moved("crest factor", "x", 3.2, 5.1, 3.0, "1"),)
    ),
    "pump: crest factor rose over 1000 sigma above normal; level 2.4, critical.": replace(
        RAISED, moved=(Moved("crest factor", "x", 1e9, None, None, "1"),)
    ),
}


@pytest.mark.parametrize("said", SENTENCES)
def test_a_sentence_says_it_for_a_person(said: str) -> None:
    assert sentence(SENTENCES[said]) == said


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (43.1, "Cel", "43.1 Cel"),
        (86.04, "Cel", "86.0 Cel"),
        (1480.2, "Hz", "1480 Hz"),
        (3.0, "1", "3"),
        (0.0123, "m/s2", "0.0123 m/s2"),
        (-0.0001, "A", "-0.0001 A"),
        (0.0, "A", "0 A"),
        (2.5e7, "Pa", "2.5e+07 Pa"),
    ],
)
def test_a_quantity_has_three_figures_and_its_unit(value: float, unit: str, said: str) -> None:
    assert quantity(value, unit) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (45, "45 s"),
        (119, "119 s"),
        (720, "12 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (100_000, "27 h 47 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
        (2 * 86400, "2 d"),
    ],
)
def test_a_duration_is_said_in_the_units_that_matter(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_time_is_cut_to_milliseconds() -> None:
    assert rfc3339(0.0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1.9999999) == "1970-01-01T00:00:02.000Z"
    assert rfc3339(1.9996) == "1970-01-01T00:00:01.999Z"
    assert rfc3339(-0.5) == "1969-12-31T23:59:59.500Z"


EXAMPLE = re.compile(r"<!-- example: ([a-z-]+) -->\n```json\n(.*?)```", re.DOTALL)
EXAMPLES = {name: json.loads(text) for name, text in EXAMPLE.findall((DOCS / "alerts.md").read_text())}


def test_every_example_in_the_manual_keeps_to_its_schema() -> None:
    assert set(EXAMPLES) == set(schemas())
    for name, payload in EXAMPLES.items():
        jsonschema.Draft202012Validator(schemas()[name]).validate(payload)
        known = msgspec.to_builtins(msgspec.convert(payload, type=payloads.PUBLISHED[name]))
        assert name == "request" or payload == known, "a field that the schema does not know"


def test_the_event_in_the_manual_is_what_the_code_makes() -> None:
    assert EXAMPLES["event"] == json.loads(encode(RAISED, "pi-7", "tocsin", CLOCK).payload)


def test_the_sentences_in_the_manual_are_what_the_code_says() -> None:
    text = (DOCS / "alerts.md").read_text().partition("Sentences for other happenings:")[2].partition("##")[0]
    said = re.findall(r"^- `(.*)`$", text, re.MULTILINE)
    assert len(said) == 7
    assert set(said) <= set(SENTENCES)


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The first table after a heading: each row by its first cell, bare."""
    lines = text.partition(heading)[2].partition("|---")[2].split("\n")[1:]
    found = {}
    for line in lines[: next(index for index, line in enumerate(lines) if not line.startswith("|"))]:
        first, *more = (cell.strip() for cell in line.strip("|").split("|"))
        found[first.strip("`")] = more
    return found


def test_the_settings_of_an_alert_in_the_manual_are_those_of_the_configuration() -> None:
    told = rows((DOCS / "alerts.md").read_text(), "under `alert:`")
    known = rows((DOCS / "configuration.md").read_text(), "## `monitors.<name>.alert`")
    assert set(told) == {setting.key for setting in settings(AlertConfig)} == set(known)
    assert {key: cells[0] for key, cells in told.items()} == {key: cells[1] for key, cells in known.items()}


def test_the_manual_names_every_topic() -> None:
    text = (DOCS / "alerts.md").read_text()
    root = "<prefix>/<device>"
    topics = Topics("<prefix>", "<device>")
    for topic in (
        topics.availability,
        topics.agent_state,
        topics.event,
        topics.monitor_state("<monitor>"),
        topics.alert("<monitor>"),
        topics.alert("<monitor>", "sensor"),
        topics.request("<verb>"),
        topics.response("<verb>"),
    ):
        assert f"`{topic}`" in text
        assert topic.startswith(root)


def test_a_level_that_is_not_finite_is_null_on_the_wire() -> None:
    payload = valid(encode(replace(RAISED, level=math.inf), "pi-7", "tocsin"), "event")
    assert payload["level"] is None
