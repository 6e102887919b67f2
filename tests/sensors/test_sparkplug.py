"""Sparkplug B, read without protobuf's library and held to it."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.sparkplug import REBIRTH, Metric, Node, Sample, decode, rebirth
from tests.sensors.sparkplug_reference import message, payload

FLOW: Metric = ("", "flow")
PUMP: Metric = ("pump", "speed")


class Ears:
    """A node, what it made known, and what was counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.node = Node({FLOW, PUMP}, lambda reason, words: self.counts.update([reason]))

    def hear(self, kind: str, data: bytes, device: str = "") -> list[tuple[Metric, float]]:
        return [(metric, value) for metric, value, _ in self.node.hear(kind, device, decode(data))]


def birth(session: int = 0, seq: int = 0) -> bytes:
    return payload(
        seq,
        {"name": "bdSeq", "datatype": 8, "long_value": session},
        {"name": "flow", "alias": 7, "datatype": 10, "double_value": 1.5},
        {"name": "other", "alias": 8, "datatype": 12, "string_value": "x"},
    )


def pump(seq: int) -> bytes:
    return payload(seq, {"name": "speed", "alias": 9, "datatype": 3, "int_value": 5})


@pytest.mark.parametrize(
    ("datatype", "field", "sent", "meant"),
    [
        (1, "int_value", 0xFF, -1),
        (1, "int_value", 0xFFFFFFFF, -1),  # some extend the sign to 32 bits
        (2, "int_value", 0x8000, -32768),
        (3, "int_value", 0xFFFFFFFE, -2),
        (4, "long_value", 2**64 - 3, -3),
        (5, "int_value", 255, 255),
        (6, "int_value", 65535, 65535),
        (7, "int_value", 2**32 - 1, 2**32 - 1),
        (7, "long_value", 2**32 - 1, 2**32 - 1),
        (8, "long_value", 2**64 - 1, 2.0**64),
        (9, "float_value", 1.25, 1.25),
        (10, "double_value", -2.5, -2.5),
        (11, "boolean_value", True, 1),
        (11, "boolean_value", False, 0),
        (12, "string_value", "21.5", 21.5),
        (14, "string_value", "-3", -3),
    ],
)
def test_every_type_that_is_a_number_is_read(datatype: int, field: str, sent: object, meant: float) -> None:
    (sample,) = decode(payload(0, {"name": "flow", "datatype": datatype, field: sent})).samples
    assert sample.value(0) == meant


@pytest.mark.parametrize(
    "fields",
    [
        {"datatype": 3},
        {"datatype": 11},
        {"datatype": 10},
        {"datatype": 3, "double_value": 1.0},
        {"datatype": 11, "string_value": "true"},
        {"datatype": 10, "double_value": math.nan},
        {"datatype": 9, "float_value": math.inf},
        {"datatype": 10, "double_value": 1e300},
        {"datatype": 12, "string_value": "running"},
        {"datatype": 17, "bytes_value": b"12"},
    ],
)
def test_what_is_no_number_is_counted_and_ends_the_value_before(fields: dict[str, object]) -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth())
    ((metric, value),) = ears.hear("NDATA", payload(1, {"name": "flow", **fields}))
    assert metric == FLOW
    assert math.isnan(value)
    assert ears.counts == {"not_a_number": 1}


def test_data_comes_by_the_alias_and_type_of_the_birth() -> None:
    ears = Ears()
    assert ears.hear("NBIRTH", birth()) == [(FLOW, 1.5)]
    assert ears.hear("DBIRTH", pump(1), "pump") == [(PUMP, 5)]
    assert ears.hear(
        "NDATA", payload(2, {"alias": 7, "double_value": 2.5}, {"alias": 8, "string_value": "y"})
    ) == [(FLOW, 2.5)]
    assert ears.hear("DDATA", payload(3, {"alias": 9, "int_value": 2**32 - 1}), "pump") == [(PUMP, -1)]
    assert not ears.counts
    assert not ears.node.unsure


def test_times_are_the_metrics_own_or_the_payloads() -> None:
    node = Node({FLOW, ("", "other")}, lambda *_: None)
    metrics = (
        {"name": "flow", "timestamp": 1_700_000_000_250, "double_value": 1.0},
        {"name": "other", "int_value": 1},
    )
    times = [
        time
        for *_, time in node.hear("NBIRTH", "", decode(payload(0, *metrics, timestamp=1_700_000_001_000)))
    ]
    assert times == [1_700_000_000.25, 1_700_000_001.0]


def test_a_death_withdraws_everything_of_the_node_at_once() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth(session=4))
    ears.hear("DBIRTH", pump(1), "pump")
    dead = ears.hear("NDEATH", payload(None, {"name": "bdSeq", "datatype": 8, "long_value": 4}))
    assert [metric for metric, _ in dead] == [FLOW, PUMP]
    assert all(math.isnan(value) for _, value in dead)
    assert ears.hear("NDATA", payload(2, {"alias": 7, "double_value": 2.5})) == []
    assert ears.counts == {"unborn": 1}
    assert ears.node.unsure


def test_the_will_of_an_earlier_session_changes_nothing() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth(session=4))
    assert ears.hear("NDEATH", payload(None, {"name": "bdSeq", "datatype": 8, "long_value": 3})) == []
    assert ears.counts == {"old_deaths": 1}
    assert ears.hear("NDATA", payload(1, {"alias": 7, "double_value": 2.5})) == [(FLOW, 2.5)]


def test_a_devices_death_withdraws_what_is_the_devices() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth())
    ears.hear("DBIRTH", pump(1), "pump")
    ((metric, value),) = ears.hear("DDEATH", payload(2), "pump")
    assert metric == PUMP
    assert math.isnan(value)
    assert ears.hear("DDATA", payload(3, {"alias": 9, "int_value": 1}), "pump") == []
    assert ears.hear("NDATA", payload(4, {"alias": 7, "double_value": 2.5})) == [(FLOW, 2.5)]
    assert ears.counts == {"unborn": 1}


def test_a_lost_message_is_counted_and_asks_for_a_birth() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth(seq=254))
    ears.hear("NDATA", payload(255, {"alias": 7, "double_value": 1.0}))
    ears.hear("NDATA", payload(0, {"alias": 7, "double_value": 1.0}))  # after 255 comes 0
    assert not ears.counts
    assert ears.hear("NDATA", payload(2, {"alias": 7, "double_value": 2.5})) == [(FLOW, 2.5)]
    assert ears.counts == {"sequence_gaps": 1}
    assert ears.node.unsure
    ears.hear("NBIRTH", birth())
    assert not ears.node.unsure


def test_before_the_birth_only_what_names_itself_is_believed_and_an_unknown_alias_asks_for_one() -> None:
    ears = Ears()
    assert ears.node.unsure
    assert ears.hear("NDATA", payload(3, {"alias": 7, "double_value": 1.0})) == []
    assert ears.hear("NDATA", payload(4, {"name": "flow", "datatype": 10, "double_value": 1.0})) == [
        (FLOW, 1.0)
    ]
    assert ears.hear("DBIRTH", pump(5), "pump") == [(PUMP, 5)]
    assert ears.hear("DDATA", payload(6, {"alias": 9, "int_value": 6}), "pump") == [(PUMP, 6)]
    assert ears.node.unsure
    ears.hear("NBIRTH", birth())
    assert ears.hear("NDATA", payload(1, {"alias": 99, "double_value": 1.0})) == []
    assert ears.counts == {"unborn": 1, "unknown_aliases": 1}
    assert ears.node.unsure


def test_values_of_the_past_null_and_of_bad_quality_are_no_samples() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth())
    assert ears.hear("NDATA", payload(1, {"alias": 7, "double_value": 9.0, "is_historical": True})) == []
    spoiled: tuple[dict[str, object], ...] = ({"is_null": True}, {"double_value": 9.0, "quality": 500})
    for seq, fields in enumerate(spoiled, start=2):
        ((_, value),) = ears.hear("NDATA", payload(seq, {"alias": 7, **fields}))
        assert math.isnan(value)
    assert ears.hear("NDATA", payload(4, {"alias": 7, "double_value": 9.0, "quality": 192})) == [(FLOW, 9.0)]
    assert ears.counts == {"historical": 1, "missing_values": 1, "bad_quality": 1}


def test_a_new_birth_gives_aliases_a_new_meaning() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth())
    ears.hear("NBIRTH", payload(0, {"name": "flow", "alias": 8, "datatype": 10, "double_value": 1.0}))
    assert ears.hear("NDATA", payload(1, {"alias": 8, "double_value": 2.0})) == [(FLOW, 2.0)]
    assert ears.hear("NDATA", payload(2, {"alias": 7, "double_value": 3.0})) == []


def test_of_devices_that_nobody_wants_nothing_is_kept_and_nothing_asked() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth())
    tracemalloc.start()
    for seq in range(1, 51):
        metrics = ({"name": f"{seq} {i}", "alias": 1000 * seq + i, "datatype": 9} for i in range(200))
        ears.hear("DBIRTH", payload(seq, *metrics), f"other {seq}")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000  # 10,000 metrics were 2 MB
    assert ears.hear("DDATA", payload(51, {"alias": 1, "float_value": 1.0}), "never born") == []
    assert ears.hear("NDATA", payload(52, {"alias": 7, "double_value": 2.5})) == [(FLOW, 2.5)]
    assert not ears.counts
    assert not ears.node.unsure
    ears.hear("DDATA", payload(54), "other 1")  # what was lost may have been of a device that is wanted
    assert ears.counts == {"sequence_gaps": 1}
    assert ears.node.unsure


def test_of_metrics_that_nobody_wants_the_aliases_of_the_latest_birth_are_known() -> None:
    ears = Ears()
    ears.hear("NBIRTH", birth())
    for seq in (1, 2):
        others = ({"name": f"{seq} {i}", "alias": 1000 * seq + i, "datatype": 9} for i in range(3))
        speed = {"name": "speed", "alias": 9, "datatype": 3, "int_value": 5}
        assert ears.hear("DBIRTH", payload(seq, speed, *others), "pump") == [(PUMP, 5)]
    assert ears.hear("DDATA", payload(3, {"alias": 2001, "float_value": 1.0}), "pump") == []
    assert not ears.counts
    assert ears.hear("DDATA", payload(4, {"alias": 1001, "float_value": 1.0}), "pump") == []
    assert ears.counts == {"unknown_aliases": 1}


def test_a_node_is_asked_in_words_it_understands() -> None:
    command = message("Payload").FromString(rebirth(1_700_000_000.5))
    (metric,) = command.metrics
    assert (metric.name, metric.datatype, metric.boolean_value) == (REBIRTH, 11, True)
    assert command.timestamp == metric.timestamp == 1_700_000_000_500


NUMBERS = st.fixed_dictionaries(
    {"name": st.text(max_size=8)},
    optional={
        "alias": st.integers(0, 2**64 - 1),
        "timestamp": st.integers(0, 2**64 - 1),
        "datatype": st.integers(0, 40),
        "is_historical": st.booleans(),
        "is_null": st.booleans(),
        "quality": st.integers(0, 2**32 - 1),
    },
)
VALUES = st.one_of(
    st.tuples(st.just("int_value"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("long_value"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("float_value"), st.floats(width=32)),
    st.tuples(st.just("double_value"), st.floats()),
    st.tuples(st.just("boolean_value"), st.booleans()),
    st.tuples(st.just("string_value"), st.text(max_size=8)),
)


@given(st.lists(st.tuples(NUMBERS, VALUES), max_size=5), st.integers(0, 255))
def test_what_protobuf_writes_is_read_as_it_was_meant(
    metrics: list[tuple[dict[str, object], tuple[str, object]]], seq: int
) -> None:
    read = decode(payload(seq, *({**fields, name: value} for fields, (name, value) in metrics)))
    assert read.seq == seq
    for sample, (fields, (name, value)) in zip(read.samples, metrics, strict=True):
        assert sample.name == fields["name"]
        assert sample.alias == fields.get("alias")
        assert sample.time == (int(str(fields["timestamp"])) / 1000 if "timestamp" in fields else None)
        assert sample.quality == fields.get("quality", 192)
        assert bool(sample.null) == fields.get("is_null", False)
        assert isinstance(sample.raw, (int, float, str))
        assert sample.raw == value or (value != value and sample.raw != sample.raw), name


@given(st.binary(max_size=200))
def test_bytes_that_mean_nothing_are_a_value_error_at_worst(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        pass


@given(st.data())
def test_a_payload_with_damage_never_becomes_a_sample_that_is_no_number(data: st.DataObject) -> None:
    whole = bytearray(birth() + pump(1))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    ears = Ears()
    ears.hear("NBIRTH", birth())
    for kind, device in (
        ("NBIRTH", ""),
        ("NDATA", ""),
        ("DBIRTH", "pump"),
        ("DDATA", "pump"),
        ("NDEATH", ""),
    ):
        try:
            heard = ears.hear(kind, cut, device)
        except ValueError:
            continue
        assert all(math.isnan(value) or np.isfinite(np.float32(value)) for _, value in heard)


def test_a_sample_without_a_value_is_no_number() -> None:
    with pytest.raises(ValueError):
        Sample(datatype=11).value(0)
