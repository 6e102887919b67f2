"""Values that others publish, heard from a real Mosquitto."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage

from sensors import SensorError, create
from sensors.contract import SensorContract
from sensors.mqtt import Ears, Mqtt
from tests.agent.brokers import HOST, Mosquitto, Subscriber, free_port, until
from tests.sensors.rows import Written, becomes, row, until_error
from tests.sensors.sparkplug_reference import message, payload

QUICK_HZ = 50.0  # so that a test need not wait for a tick


class TestMqtt(SensorContract):
    driver = "mqtt"
    broker: Mosquitto

    @pytest.fixture
    def options(self, tmp_path: Path) -> Iterator[Mapping[str, object]]:
        with Mosquitto(tmp_path) as broker:
            type(self).broker = broker
            yield {
                "host": HOST,
                "port": broker.port,
                "rate_hz": QUICK_HZ,
                "values": [{"name": "oven", "topic": "oven", "unit": "Cel"}],
            }

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        return {"host": HOST, "port": free_port(), "values": [{"name": "oven", "topic": "oven"}]}

    def lose(self) -> None:
        self.broker.kill()

    def mend(self) -> None:
        self.broker.start()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def voice(broker: Mosquitto) -> Iterator[Subscriber]:
    """Another client, which publishes."""
    with Subscriber(broker.port, topic="spBv1.0/#", client_id="voice") as voice:
        yield voice


def sensor_of(broker: Mosquitto, *values: dict[str, object], **options: object) -> Mqtt:
    given = {"host": HOST, "port": broker.port, "rate_hz": QUICK_HZ, "values": list(values), **options}
    sensor = create("shop", "mqtt", given)
    assert isinstance(sensor, Mqtt)
    return sensor


DEVICES: dict[str, tuple[dict[str, object], str, bytes, float]] = {
    "zigbee2mqtt": (
        {"topic": "zigbee2mqtt/oven", "path": "temperature"},
        "zigbee2mqtt/oven",
        b'{"battery":100,"humidity":41.2,"linkquality":120,"temperature":21.43,"voltage":3000}',
        21.43,
    ),
    "Tasmota": (
        {"topic": "tele/plug/SENSOR", "path": "ENERGY.Power"},
        "tele/plug/SENSOR",
        b'{"Time":"2024-03-31T12:00:00","ENERGY":{"Total":3.185,"Power":87,"Voltage":231,"Current":0.412}}',
        87.0,
    ),
    "Tasmota with a sensor's name": (
        {"topic": "tele/+/SENSOR", "path": "DS18B20-1.Temperature"},
        "tele/cellar/SENSOR",
        b'{"Time":"2024-03-31T12:00:00","DS18B20-1":{"Id":"01","Temperature":19.8},"TempUnit":"C"}',
        19.8,
    ),
    "ESPHome": ({"topic": "esp/sensor/+/state"}, "esp/sensor/pressure/state", b"1013.2", 1013.2),
    "Shelly, second generation": (
        {"topic": "shelly/events/rpc", "path": "params['switch:0'].apower"},
        "shelly/events/rpc",
        b'{"src":"shelly","method":"NotifyStatus","params":{"ts":1700000000.1,"switch:0":{"apower":12.5}}}',
        12.5,
    ),
    "Shelly, first generation": ({"topic": "shellies/+/relay/0"}, "shellies/pump/relay/0", b"on", 1.0),
    "a list": ({"topic": "plc", "path": "v[1]"}, "plc", b'{"v":[1,"2.5"]}', 2.5),
    "another unit": ({"topic": "bar", "scale": 1e5, "offset": 10}, "bar", b"2", 200010.0),
}


@pytest.mark.parametrize("make", DEVICES)
def test_devices_of_every_make_are_heard(broker: Mosquitto, voice: Subscriber, make: str) -> None:
    options, topic, said, meant = DEVICES[make]
    with sensor_of(broker, {"name": "it", **options}) as sensor:
        assert math.isnan(row(sensor)[0])
        voice.publish(topic, said)
        becomes(sensor, meant)
        assert "not_a_number" not in sensor.skipped


def test_what_a_channel_waits_for_is_named_as_it_is_written() -> None:
    values = [
        {"name": "oven", "topic": "zigbee2mqtt/ovn", "path": "temperature"},
        {"name": "flow", "sparkplug": "plant/edge", "metric": "pump/flow"},
    ]
    sensor = create("shop", "mqtt", {"values": values})
    assert isinstance(sensor, Mqtt)
    assert [sensor.source(0), sensor.source(1)] == ["zigbee2mqtt/ovn", "plant/edge pump/flow"]


def test_every_value_published_is_a_sample_or_counted(broker: Mosquitto, voice: Subscriber) -> None:
    sent, heard = 400, set[float]()
    with sensor_of(broker, {"name": "a", "topic": "a"}) as sensor:
        for i in range(sent):
            voice.publish("a", str(i).encode())
            if i % 10 == 0:
                heard |= set(row(sensor))
        while sent - 1 not in heard:
            heard |= set(row(sensor))
    assert len({value for value in heard if value == value}) + sensor.skipped["superseded"] == sent


def test_a_broker_killed_is_an_error_and_its_restart_brings_values_again(broker: Mosquitto) -> None:
    with sensor_of(broker, {"name": "a", "topic": "a"}) as sensor:
        with Subscriber(broker.port, client_id="voice") as voice:
            voice.publish("a", b"1")
            becomes(sensor, 1.0)
        broker.kill()
        with pytest.raises(SensorError, match=rf"shop: 127.0.0.1:{broker.port}: the broker closed"):
            until_error(sensor)
        sensor.close()
        with pytest.raises(SensorError, match="nothing listens at"):
            sensor.open()
        sensor.close()
        broker.start()
        sensor.open()
        assert math.isnan(row(sensor)[0])  # what was said in between nobody knows
        with Subscriber(broker.port, client_id="voice") as voice:
            voice.publish("a", b"2")
            becomes(sensor, 2.0)


def test_a_value_goes_stale_is_told_and_counted_and_comes_back(
    broker: Mosquitto, voice: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with sensor_of(broker, {"name": "a", "topic": "a", "stale_after_s": 0.1}) as sensor:
        voice.publish("a", b"1")
        becomes(sensor, 1.0)
        becomes(sensor, math.nan)
        row(sensor)
        assert sensor.skipped["stale"] >= 2
        voice.publish("a", b"1")
        becomes(sensor, 1.0)
    assert [record.message for record in caplog.records] == [
        "sensor shop: a is stale: nothing for 0.1 s",
        "sensor shop: a is heard again",
    ]


def test_a_last_will_withdraws_the_values_of_its_device_at_once_and_is_told_once(
    broker: Mosquitto, voice: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    values: tuple[dict[str, object], ...] = (
        {"name": "a", "topic": "tele/a/SENSOR", "path": "v", "availability": "tele/a/LWT"},
        {"name": "b", "topic": "b"},
    )
    with sensor_of(broker, *values) as sensor:
        voice.publish("tele/a/SENSOR", b'{"v": 1}')
        voice.publish("b", b"2")
        becomes(sensor, 1.0, 2.0)
        voice.publish("tele/a/LWT", b"Offline", retain=True)
        becomes(sensor, math.nan, 2.0)
        sensor.close()
        sensor.open()  # the broker kept it, and says it again
        voice.publish("b", b"2")
        becomes(sensor, math.nan, 2.0)
        voice.publish("tele/a/LWT", b"Online", retain=True)
        voice.publish("tele/a/SENSOR", b'{"v": 3}')
        becomes(sensor, 3.0, 2.0)
    assert "stale" not in sensor.skipped
    assert sensor.skipped["offline"] == 1
    assert [record.getMessage() for record in caplog.records if "device is" in record.getMessage()] == [
        "sensor shop: a: its device is offline (tele/a/LWT says 'Offline')",
        "sensor shop: a: its device is back (tele/a/LWT says 'Online')",
    ]


def test_what_the_broker_kept_counts_only_where_that_was_asked_for_or_its_age_is_known(
    broker: Mosquitto, voice: Subscriber
) -> None:
    now = time.time()
    voice.publish("old", b"1", retain=True)
    voice.publish("asked", b"2", retain=True)
    voice.publish("young", json.dumps({"v": 3, "at": round(now * 1000) - 5000}).encode(), retain=True)
    voice.publish("past", json.dumps({"v": 4, "at": now - 5000}).encode(), retain=True)
    values: list[dict[str, object]] = [
        {"name": name, "topic": name} for name in ("old", "asked", "young", "past")
    ]
    values[1]["retained"] = True
    values[2] |= {"path": "v", "time": "at"}
    values[3] |= {"path": "v", "time": "at"}
    with sensor_of(broker, *values) as sensor:
        becomes(sensor, math.nan, 2.0, 3.0, math.nan)
        assert sensor.skipped["retained"] == 1
        assert sensor.skipped["stale"] > 0


BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "bad_payloads"),
    "NaN": (b'{"v": NaN}', "bad_payloads"),
    "not UTF-8": (b'{"v": "\xff"}', "bad_payloads"),
    "nested without end": (b"[" * 100_000, "bad_payloads"),
    "digits without end": (b'{"v": ' + b"9" * 5000 + b"}", "bad_payloads"),
    "nothing there": (b'{"w": 1}', "missing_values"),
    "another document": (b"[1, 2]", "missing_values"),
    "null": (b'{"v": null}', "missing_values"),
    "a word": (b'{"v": "unavailable"}', "not_a_number"),
    "a list": (b'{"v": [1]}', "not_a_number"),
    "more than float32 holds": (b'{"v": 1e300}', "not_a_number"),
    "below": (b'{"v": -41}', "out_of_range"),
    "above": (b'{"v": 126}', "out_of_range"),
    "more than a megabyte": (b'{"v": 1, "x": "' + b"x" * 1_000_001 + b'"}', "oversized"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_answer_is_counted_and_never_a_sample(
    broker: Mosquitto, voice: Subscriber, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    said, reason = BAD[what]
    value: dict[str, object] = {"name": "v", "topic": "t", "path": "v", "lowest": -40, "highest": 125}
    with sensor_of(broker, value, protocol="3.1.1") as sensor:
        voice.publish("t", b'{"v": 20}')
        becomes(sensor, 20.0)
        voice.publish("t", said)
        while not sensor.skipped.get(reason):
            assert row(sensor)[0] == 20 or math.isnan(row(sensor)[0])
        assert sensor.skipped == {reason: 1} | (
            {"superseded": sensor.skipped["superseded"]} if "superseded" in sensor.skipped else {}
        )
        voice.publish("t", said)
        until(lambda: sensor.skipped[reason] == 2, "counted again")
        voice.publish("t", b'{"v": 21}')
        becomes(sensor, 21.0)
    (told,) = (record.message for record in caplog.records)  # only the first
    assert told.startswith("sensor shop: t")
    assert told.endswith(f"counted as {reason} from now on")


@pytest.mark.parametrize("said", ["unavailable", "", "nan", "inf", "12 W", "0x10", "1_000"])
def test_text_that_is_no_number_ends_the_value_before(
    broker: Mosquitto, voice: Subscriber, said: str
) -> None:
    with sensor_of(broker, {"name": "v", "topic": "t"}) as sensor:
        voice.publish("t", b"20")
        becomes(sensor, 20.0)
        voice.publish("t", said.encode())
        becomes(sensor, math.nan)
        assert sensor.skipped["not_a_number"] == 1


class TestSparkplug:
    VALUES: tuple[dict[str, object], ...] = (
        {"name": "flow", "sparkplug": "plant/edge", "metric": "flow"},
        {"name": "speed", "sparkplug": "plant/edge/pump", "metric": "motor/speed", "scale": 0.5},
    )

    def birth(self, voice: Subscriber, session: int) -> None:
        metrics = (
            {"name": "bdSeq", "datatype": 8, "long_value": session},
            {
                "name": "flow",
                "alias": 1,
                "datatype": 10,
                "double_value": 1.5,
            },
        )
        voice.publish("spBv1.0/plant/NBIRTH/edge", payload(0, *metrics))
        speed: dict[str, object] = {"name": "motor/speed", "alias": 2, "datatype": 3, "int_value": 100}
        voice.publish("spBv1.0/plant/DBIRTH/edge/pump", payload(1, speed))

    def test_a_node_is_followed_from_its_birth_to_its_death(
        self, broker: Mosquitto, voice: Subscriber
    ) -> None:
        with sensor_of(broker, *self.VALUES) as sensor:
            self.birth(voice, 0)
            becomes(sensor, 1.5, 50.0)
            voice.publish("spBv1.0/plant/NDATA/edge", payload(2, {"alias": 1, "double_value": 2.5}))
            voice.publish("spBv1.0/plant/DDATA/edge/pump", payload(3, {"alias": 2, "int_value": 2**32 - 4}))
            becomes(sensor, 2.5, -2.0)
            voice.publish("spBv1.0/plant/DDEATH/edge/pump", payload(4))
            becomes(sensor, 2.5, math.nan)
            voice.publish("spBv1.0/plant/NDEATH/edge", payload(None, {"name": "bdSeq", "long_value": 0}))
            becomes(sensor, math.nan, math.nan)
        assert set(sensor.skipped) <= {"superseded"}

    def test_a_node_that_was_born_before_is_asked_once_for_another_birth(
        self, broker: Mosquitto, voice: Subscriber
    ) -> None:
        with sensor_of(broker, *self.VALUES) as sensor:
            until(lambda: voice.on("spBv1.0/plant/NCMD/edge"), "the node is asked")
            (asked,) = voice.on("spBv1.0/plant/NCMD/edge")
            assert message("Payload").FromString(asked).metrics[0].name == "Node Control/Rebirth"
            voice.publish("spBv1.0/plant/NDATA/edge", payload(7, {"alias": 1, "double_value": 9.0}))
            self.birth(voice, 0)
            becomes(sensor, 1.5, 50.0)
            assert sensor.skipped["unborn"] == 1
            assert len(voice.on("spBv1.0/plant/NCMD/edge")) == 1

    def test_who_may_only_listen_asks_nobody(self, broker: Mosquitto, voice: Subscriber) -> None:
        with sensor_of(broker, *self.VALUES, ask_rebirth=False) as sensor:
            self.birth(voice, 0)
            becomes(sensor, 1.5, 50.0)
            voice.publish("spBv1.0/plant/NDATA/edge", payload(7, {"alias": 1, "double_value": 9.0}))
            becomes(sensor, 9.0, 50.0)
            assert sensor.skipped["sequence_gaps"] == 1
        assert voice.on("spBv1.0/plant/NCMD/edge") == []

    def test_a_malformed_payload_is_counted(self, broker: Mosquitto, voice: Subscriber) -> None:
        with sensor_of(broker, *self.VALUES) as sensor:
            voice.publish("spBv1.0/plant/NBIRTH/edge", b"\xff" * 20)
            voice.publish(
                "spBv1.0/plant/NBIRTH/edge", payload(0), retain=True
            )  # heard as new: we are connected
            until(lambda: sensor.skipped.get("bad_payloads"), "counted")
        with sensor_of(broker, *self.VALUES) as sensor:
            until(lambda: sensor.skipped.get("retained"), "a birth that the broker kept is none")


@given(
    topic=st.sampled_from(["t", "u", "spBv1.0/plant/NBIRTH/edge", "spBv1.0/plant/NDATA/edge"]),
    said=st.binary(),
)
def test_no_payload_does_worse_than_being_counted(topic: str, said: bytes) -> None:
    _hear(topic, said)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["v", "at", "state"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_no_json_does_worse_than_being_counted(document: object) -> None:
    _hear("t", json.dumps(document).encode())


def _hear(topic: str, said: bytes) -> None:
    values = [
        {"name": "a", "topic": "t", "path": "v", "time": "at", "availability": "#"},
        {"name": "b", "topic": "t", "path": "v[0]"},
        {"name": "c", "topic": "+"},
        {"name": "d", "sparkplug": "plant/edge", "metric": "flow"},
    ]
    sensor = create("shop", "mqtt", {"values": values})
    assert isinstance(sensor, Mqtt)
    line = Written()
    ears = Ears(sensor, line, sensor.values)  # type: ignore[arg-type]  # as much of a line as is spoken to
    heard = MQTTMessage(topic=topic.encode())
    heard.payload = said
    ears.hear(heard)
    assert all(math.isnan(value) or np.isfinite(np.float32(value)) for value in line.values)
