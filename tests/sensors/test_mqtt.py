"""Values that others publish, heard from a real Mosquitto."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage

from sensors import OptionError, Reading, SensorError, check, create
from sensors.contract import PATIENCE_S, SensorContract
from sensors.mqtt import Ears, Mqtt
from sensors.published import GONE, is_gone, matches, time_of
from tests.agent.brokers import HOST, Mosquitto, Server, Subscriber, babbling, free_port, silent, until
from tests.agent.test_publisher_faults import Papers, secure
from tests.real import need
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


def row(sensor: Mqtt) -> list[float]:
    reading = sensor.read(5.0)
    assert isinstance(reading, Reading)
    values: list[float] = reading.values[0].tolist()
    return values


def rows(sensor: Mqtt) -> None:
    """Read for ever."""
    while True:
        row(sensor)


def becomes(sensor: Mqtt, *wanted: float) -> None:
    """Read until a row is this; NaN is NaN."""
    end = time.monotonic() + PATIENCE_S
    while not np.array_equal(found := row(sensor), np.array(wanted, np.float32), equal_nan=True):
        assert time.monotonic() < end, f"{found}, not {wanted}: {sensor.skipped}"


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
            rows(sensor)
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


def test_a_last_will_withdraws_the_values_of_its_device_at_once(broker: Mosquitto, voice: Subscriber) -> None:
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
        voice.publish("tele/a/LWT", b"Online", retain=True)
        voice.publish("tele/a/SENSOR", b'{"v": 3}')
        becomes(sensor, 3.0, 2.0)
    assert "stale" not in sensor.skipped


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


class Written:
    """A line that writes down what is pushed."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def push(self, channel: int, value: float, time: float | None = None) -> None:
        assert time is None or math.isfinite(time)
        self.values.append(value)


# The connection.


def test_a_password_is_read_from_its_file_or_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    subprocess.run([need("mosquitto_passwd"), "-c", "-b", str(users), "anna", "secret"], check=True)
    word = tmp_path / "word"
    word.write_text("secret\n")
    value: dict[str, object] = {"name": "a", "topic": "a"}
    with Mosquitto(tmp_path, f"password_file {users}", anonymous=False) as broker:
        with sensor_of(broker, value, username="anna", password_file=str(word)) as sensor:
            row(sensor)
        monkeypatch.setenv("WORD", "secret")
        with sensor_of(broker, value, username="anna", password_env="WORD") as sensor:
            row(sensor)
        monkeypatch.setenv("WORD", "wrong")
        for options in ({"username": "anna", "password_env": "WORD"}, {}):
            with pytest.raises(SensorError, match="the broker refuses"):
                sensor_of(broker, value, **options).open()
        word.write_text("\n")
        for name, said in {word: "is empty", tmp_path / "none": "cannot be read: No such file"}.items():
            with pytest.raises(SensorError, match=f"{name.name}: {said}"):
                sensor_of(broker, value, username="anna", password_file=str(name)).open()
        monkeypatch.delenv("WORD")
        with pytest.raises(SensorError, match="WORD is not set, or empty"):
            sensor_of(broker, value, username="anna", password_env="WORD").open()


def test_the_brokers_certificate_is_verified_and_ours_is_shown(tmp_path: Path) -> None:
    papers, others = Papers(tmp_path), Papers(tmp_path, name="others")
    value: dict[str, object] = {"name": "a", "topic": "a"}
    cert, key = papers.issue("us")
    with secure(tmp_path, papers, papers.issue("broker"), "require_certificate true") as broker:
        ours = {"tls": True, "cert_file": str(cert), "key_file": str(key)}
        with sensor_of(broker, value, **ours, ca_file=str(papers.ca)) as sensor:
            row(sensor)
        with pytest.raises(SensorError, match="not signed by the authority given"):
            sensor_of(broker, value, **ours, ca_file=str(others.ca)).open()
        with pytest.raises(SensorError, match="closed before the broker said a word"):
            sensor_of(broker, value, tls=True, ca_file=str(papers.ca)).open()
        with pytest.raises(SensorError, match="is it an MQTT broker"):
            sensor_of(broker, value).open()
        with pytest.raises(SensorError, match=r"no\.pem: No such file"):
            sensor_of(broker, value, tls=True, ca_file=str(tmp_path / "no.pem")).open()


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_every_version_of_mqtt_is_spoken(broker: Mosquitto, voice: Subscriber, protocol: str) -> None:
    with sensor_of(broker, {"name": "a", "topic": "a"}, protocol=protocol) as sensor:
        voice.publish("a", b"1")
        becomes(sensor, 1.0)


def test_two_sensors_at_one_broker_have_ids_of_their_own(broker: Mosquitto, voice: Subscriber) -> None:
    value: dict[str, object] = {"name": "a", "topic": "a"}
    with sensor_of(broker, value) as one, sensor_of(broker, value) as same:
        same.name = "other"
        with pytest.raises(SensorError, match="does another client use the client id tocsin-"):
            rows(one)
    one, other = sensor_of(broker, value), sensor_of(broker, value)
    other.name = "other"
    with one, other:
        voice.publish("a", b"1")
        becomes(one, 1.0)
        becomes(other, 1.0)


def test_a_broker_that_forbids_a_topic_is_an_error() -> None:
    def forbidding(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x20\x02\x00\x00")  # CONNACK, MQTT 3.1.1
        mid = connection.recv(4096)[2:4]
        connection.sendall(b"\x90\x03" + mid + b"\x80")  # SUBACK, failure
        silent(connection)

    with Server(forbidding) as server:
        options = {"host": HOST, "port": server.port, "values": VALUES, "protocol": "3.1.1"}
        sensor = create("shop", "mqtt", options)
        with pytest.raises(SensorError, match=r"the broker does not let us hear a$"):
            sensor.open()
        sensor.close()


VALUES = [{"name": "a", "topic": "a"}]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_no_broker_is_said_to_be_none(seed: int) -> None:
    with Server(babbling(seed)) as server:
        sensor = create("shop", "mqtt", {"host": HOST, "port": server.port, "values": VALUES})
        with pytest.raises(SensorError, match=f"shop: {HOST}:{server.port}: "):
            sensor.open()
        sensor.close()


# Options.


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([], "values"),
        ([{"name": "a"}], "values[0].topic"),
        ([{"name": "a", "topic": "a", "sparkplug": "g/n", "metric": "m"}], "values[0].topic"),
        ([{"name": "a", "topic": "a/#/b"}], "values[0].topic"),
        ([{"name": "a", "topic": "a+"}], "values[0].topic"),
        ([{"name": "a", "topic": "a", "availability": "#a"}], "values[0].availability"),
        ([{"name": "a", "topic": "a", "path": "b["}], "values[0].path"),
        ([{"name": "a", "topic": "a", "time": "b["}], "values[0].time"),
        ([{"name": "a", "topic": "a", "metric": "m"}], "values[0].metric"),
        ([{"name": "a", "sparkplug": "g/n"}], "values[0].metric"),
        ([{"name": "a", "sparkplug": "g", "metric": "m"}], "values[0].sparkplug"),
        ([{"name": "a", "sparkplug": "g/n", "metric": "m", "path": "b"}], "values[0].path"),
        ([{"name": "a", "topic": "a"}, {"name": "a", "topic": "b"}], "values[1].name"),
        ([{"name": "a", "topic": "a", "stale_after_s": 0}], "values[0].stale_after_s"),
    ],
)
def test_values_that_make_no_sense_are_told_with_their_path(
    values: list[dict[str, object]], path: str
) -> None:
    assert [problem.path for problem in check("mqtt", {"values": values})] == [path]


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"ca_file": "ca.pem"}, "ca_file", "needs tls: true"),
        ({"tls": True, "cert_file": "us.pem"}, "cert_file", "belong together"),
        ({"password_env": "A"}, "username", "is missing"),
        ({"username": "a", "password_env": "A", "password_file": "b"}, "password_env", "is not needed"),
        ({"password": "secret"}, "password", "unknown option: did you mean password_"),
        ({"port": 0}, "port", "must be of at least 1"),
    ],
)
def test_options_that_do_not_go_together_are_told(options: dict[str, object], path: str, words: str) -> None:
    (problem,) = check("mqtt", {"values": VALUES, **options})
    assert problem.path == path
    assert words in problem.message


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (1_700_000_000, 1_700_000_000.0),
        (1_700_000_000_250, 1_700_000_000.25),
        ("1700000000", 1_700_000_000.0),
        ("2024-03-31T12:00:00Z", 1_711_886_400.0),
        ("2024-03-31T12:00:00+02:00", 1_711_879_200.0),
    ],
)
def test_times_in_payloads_are_unix_or_have_their_zone(given: object, meant: float) -> None:
    assert time_of(given) == meant


@pytest.mark.parametrize("given", ["2024-03-31T12:00:00", "2024-03-31", "soon", None, [], ""])
def test_a_time_that_may_be_of_any_zone_is_none(given: object) -> None:
    with pytest.raises(ValueError):
        time_of(given)


@pytest.mark.parametrize(
    ("pattern", "topic", "heard"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/b", "a/b", True),
        ("a", "b", False),
    ],
)
def test_wildcards_stand_for_levels(pattern: str, topic: str, heard: bool) -> None:
    assert matches(pattern, topic) is heard


def test_a_device_that_is_gone_is_known_by_its_word() -> None:
    assert all(is_gone(word) and is_gone(word.upper()) for word in GONE)
    assert is_gone(b'{"state":"offline"}')
    assert not any(
        is_gone(said) for said in (b"online", b'{"state":"online"}', b"true", b"[]", b"{}", b"", b"\xff")
    )


def test_a_constructor_refuses_what_check_refuses() -> None:
    with pytest.raises(OptionError, match="values: there are none"):
        create("shop", "mqtt", {"values": []})
