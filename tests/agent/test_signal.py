"""A sensor that fails is an alert about the sensor: never one about the machine, and never a lesson."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts import Alert, Event
from agent.assemble import make_monitor
from agent.config import ConfigError, load_text
from agent.demo import show
from agent.messages import event_payload
from agent.monitor import Monitor
from agent.monitor_config import AlertConfig, MonitorConfig, SensorFaultsConfig
from agent.pipeline import Pipeline
from agent.quantities import Span
from agent.sentences import sentence
from agent.signal import SOUND_ROWS, WORDS, Signal
from models.baseline import GUARD
from models.guard import KINDS, Guard, Kind
from sensors.base import Channel, Reading, Sensor
from sensors.duty import Stage
from sensors.machine import Fault
from sensors.spoiler import CHANNEL_FAULTS
from sensors.synthetic import Synthetic
from tests.agent.machines import Array, healthy, pieces, reading

SENSOR_FAULTS: tuple[Kind, ...] = ("dropout", "stuck", "saturated", "spikes", "wrong_rate")
EAGER = AlertConfig(on_delay_s=0.0, off_delay_s=5.0)


class Rig(Sensor):
    """Three channels that a test makes up."""

    name, rate_hz = "rig", 1.0
    channels: tuple[Channel, ...] = (
        Channel("pressure", "Pa"),
        Channel("temperature", "Cel"),
        Channel("current", "A"),
    )

    def open(self) -> None: ...

    def read(self, timeout: float) -> Reading | None:
        return None

    def close(self) -> None: ...


class Furnace(Rig):
    """One channel, a row in five minutes."""

    name, rate_hz = "furnace", 1 / 300
    channels = (Channel("temperature", "Cel"),)


def watching(**options: object) -> Monitor:
    """A monitor on the rig that learns from 200 rows."""
    config = MonitorConfig(name="pump", sensor="rig", learn=Span(200, "rows"), **options)  # type: ignore[arg-type]
    return make_monitor(config, Rig())


def run(sensor: Synthetic, **options: object) -> tuple[Monitor, list[Event]]:
    """What a monitor says to all that the machine gives."""
    sensor.name = "machine"
    sensor.open()
    monitor = make_monitor(MonitorConfig(name="motor", sensor="machine", **options), sensor)  # type: ignore[arg-type]
    pipeline, events = Pipeline([monitor]), list[Event]()
    while not sensor.finished:
        given_ = sensor.read(1.0)
        assert given_ is not None
        events += pipeline.push([given_])
    return monitor, events


def telemetry(*faults: Fault) -> Synthetic:
    return Synthetic(
        output="telemetry", speed=0, start=1.7e9, duration_s=2400.0, block_s=1.0, seed=2, faults=faults
    )


def vibration(*faults: Fault) -> Synthetic:
    return Synthetic(output="vibration", speed=0, start=1.7e9, duration_s=70.0, seed=2, faults=faults)


def about(events: list[Event], what: str) -> list[str]:
    return [event.kind for event in events if event.about == what]


# On the machine that does not exist.


@pytest.mark.parametrize("channel", ["speed", "temperature", "vibration", None])
@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_fault_of_an_instrument_is_said_and_no_machine_is_blamed(kind: Kind, channel: str | None) -> None:
    if kind not in CHANNEL_FAULTS and channel is not None:
        pytest.skip("concerns the whole sensor")
    fault = Fault(kind, at_s=1200.0, for_s=600.0, channel=channel, severity=0.6 if kind == "dropout" else 1.0)  # type: ignore[arg-type]
    sensor = telemetry(fault)
    monitor, events = run(sensor, alert=EAGER)
    assert about(events, "machine") == []
    told = [event for event in events if event.about == "signal"]
    assert told[0].kind == "raised"
    assert told[-1].kind == "cleared"
    assert kind in told[0].fault
    assert 1.7e9 + 1200 < told[0].time < 1.7e9 + 1400
    assert monitor.armed


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_fault_of_an_accelerometer_is_said_and_no_machine_is_blamed(kind: Kind) -> None:
    fault = Fault(
        kind,  # type: ignore[arg-type]
        at_s=50.0,
        for_s=10.0,
        channel=None if kind == "wrong_rate" else "x",
        severity=0.2 if kind in ("dropout", "wrong_rate") else 1.0,
    )
    _, events = run(vibration(fault), learn=Span(30.0, "s"))
    assert about(events, "machine") == []
    told = [event for event in events if event.about == "signal"]
    assert told[0].kind == "raised"
    assert told[0].fault == kind
    assert 1.7e9 + 50 < told[0].time < 1.7e9 + 56


@pytest.mark.parametrize("kind", SENSOR_FAULTS)
def test_a_fault_while_learning_is_not_learned(kind: Kind) -> None:
    fault = Fault(kind, at_s=300.0, for_s=120.0, channel=None if kind == "wrong_rate" else "temperature")  # type: ignore[arg-type]
    monitor, events = run(telemetry(fault))
    clean, _ = run(telemetry())
    assert about(events, "machine") == []
    assert monitor.baseline is not None
    assert clean.baseline is not None
    for name in ("mean", "inverse_scale"):
        learned, normal = monitor.baseline.learned.arrays[name], clean.baseline.learned.arrays[name]
        assert learned == pytest.approx(normal, rel=0.35)


def test_a_machine_that_fails_is_blamed_and_its_sensor_is_not() -> None:
    for sensor, settings_ in (
        (telemetry(Fault("imbalance", at_s=1200.0)), {}),
        (telemetry(Fault("bearing_outer", at_s=1200.0, ramp_s=300.0)), {}),
        (vibration(Fault("bearing_inner", at_s=50.0)), {"learn": Span(30.0, "s")}),
        (vibration(Fault("imbalance", at_s=50.0, severity=5.0)), {"learn": Span(30.0, "s")}),
    ):
        _, events = run(sensor, **settings_)
        assert about(events, "signal") == []
        assert about(events, "machine")[:1] == ["raised"]


def test_a_machine_that_starts_and_stops_has_a_sound_sensor() -> None:
    for sensor in (
        Synthetic(
            output="telemetry",
            speed=0,
            start=1.7e9,
            duration_s=7200.0,
            block_s=60.0,
            schedule=[Stage(0.0), Stage(3000.0, speed_hz=0.0), Stage(4500.0)],
        ),
    ):
        _, events = run(sensor)
        assert about(events, "signal") == []


def test_an_instrument_dead_from_the_start_is_said_when_the_rest_is_learned_and_watched_once_it_lives() -> (
    None
):
    dead = (Fault("stuck", at_s=0.0, for_s=900.0, channel="temperature"),)
    again = Fault("stuck", at_s=1800.0, for_s=120.0, channel="temperature")
    monitor, events = run(telemetry(*dead, again))
    told = [(event.kind, event.fault) for event in events]
    assert told == [(kind, fault) for fault in ("flat", "stuck") for kind in ("raised", "cleared")]
    assert sentence(events[0]).startswith(
        "motor: sensor machine: temperature has not moved for 10 min, from the start, at "
    )
    assert events[0].time == 1.7e9 + 599
    assert events[2].time < 1.7e9 + 1830
    assert monitor.armed


@pytest.mark.parametrize("off", [True, False])
def test_a_channel_alone_and_dead_is_said_while_its_monitor_waits(off: bool) -> None:
    faults = SensorFaultsConfig(flat=not off)
    monitor, events = run(
        telemetry(Fault("stuck", at_s=0.0, for_s=2400.0, channel="temperature")),
        channels=("temperature",),
        sensor_faults=faults,
    )
    assert [(event.kind, event.fault) for event in events] == ([] if off else [("raised", "flat")])
    assert not monitor.armed


def test_a_speed_that_a_drive_keeps_is_no_flat_sensor() -> None:
    _, events = run(telemetry(Fault("stuck", at_s=0.0, for_s=2400.0, channel="speed")))
    assert events == []


# On rows made up.


def rows_with_a_stuck_channel() -> Array:
    rows = healthy(600)
    rows[300:345, 1] = rows[300, 1]
    rows[320:330, 2] = np.nan
    rows[400:, 0] += 5000
    return rows


def test_one_alert_tells_of_all_that_is_wrong_with_a_signal() -> None:
    rows = rows_with_a_stuck_channel()
    monitor = watching()
    events = [event for event in Pipeline([monitor]).push([reading(rows)]) if event.about == "signal"]
    said = [sentence(event) for event in events]
    value = float(rows[300, 1])
    assert said[0] == f"pump: sensor rig: temperature is stuck at {value:.1f} Cel for 9 s."
    assert said[1] == (
        f"pump: sensor rig now: temperature is stuck at {value:.1f} Cel for 27 s, current drops out."
    )
    assert [event.kind for event in events] == ["raised", "updated", "updated", "cleared"]
    assert [event.fault for event in events] == ["stuck", "stuck, dropout", "dropout", "dropout"]
    assert said[-1].startswith("pump: sensor rig is well again after ")
    payload = event_payload(events[0], "pi")
    assert (payload.about, payload.fault, payload.level, payload.moved) == ("signal", "stuck", 1.0, [])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 599), max_size=20))
def test_what_is_said_does_not_depend_on_how_the_stream_was_cut(cuts: list[int]) -> None:
    rows = rows_with_a_stuck_channel()
    whole = Pipeline([watching(alert=EAGER)]).push([reading(rows)])
    pipeline = Pipeline([watching(alert=EAGER)])
    again = [event for piece in pieces(rows, cuts) for event in pipeline.push([piece])]
    assert again == whole
    assert [event.seq for event in whole] == list(range(1, len(whole) + 1))
    assert {event.about for event in whole} == {"machine", "signal"}


def test_a_guard_is_saved_with_the_baseline_and_watches_on() -> None:
    monitor = watching()
    Pipeline([monitor]).push([reading(healthy(400))])
    baseline = monitor.current_baseline()
    assert baseline is not None
    assert GUARD in baseline.parts
    again = watching()
    again.arm(baseline)
    rows = healthy(100, seed=3)
    rows[:, 2] = 4.01
    events = Pipeline([again]).push([reading(rows, 1000)])
    assert [(event.kind, event.fault) for event in events] == [("raised", "flat")]


def test_an_alert_of_an_earlier_run_ends_when_enough_has_been_sound() -> None:
    monitor = watching()
    assert monitor.signal is not None
    monitor.signal.resume(Alert(state="active", since=1.0, raised_at=1.0, peak=1.0))
    pipeline = Pipeline([monitor])
    assert pipeline.push([reading(healthy(SOUND_ROWS - 1))]) == []
    events = pipeline.push([reading(healthy(1), SOUND_ROWS - 1)])
    assert [(event.kind, event.about) for event in events] == [("cleared", "signal")]


def test_an_alert_of_an_earlier_run_goes_on_when_the_fault_is_still_there() -> None:
    monitor = watching()
    assert monitor.signal is not None
    monitor.signal.resume(Alert(state="active", since=1.0, raised_at=1.0, peak=1.0))
    rows = healthy(100)
    rows[:, 0] = np.nan
    events = Pipeline([monitor]).push([reading(rows)])
    assert [(event.kind, event.fault) for event in events] == [("updated", "dropout")]


# Settings.


def test_every_kind_has_words_and_a_setting() -> None:
    assert set(WORDS) == set(KINDS) == set(SensorFaultsConfig.off)
    assert set(msgspec.structs.asdict(SensorFaultsConfig())) == set(KINDS)
    assert set(get_args(Kind)) >= {"wrong_rate"}


def test_ranges_and_kinds_come_from_the_configuration() -> None:
    text = """
sensors: {rig: {driver: synthetic, output: telemetry}}
monitors:
  pump:
    sensor: rig
    range: {temperature: {low: 0, high: 120}}
    sensor_faults: {stuck: false}
  quiet: {sensor: rig, sensor_faults: false}
"""
    config = load_text(text)
    assert config.monitors["pump"].range["temperature"].limits == (0.0, 120.0)
    assert config.monitors["pump"].sensor_faults == SensorFaultsConfig(stuck=False)
    sensor = telemetry()
    assert make_monitor(config.monitors["quiet"], sensor).signal is None
    rows = np.tile(np.array([[24.7, 70, 43, 0.2, 8]], np.float32), (30, 1))
    rows[10:20, 2] = -40
    watched = make_monitor(config.monitors["pump"], sensor).signal
    assert watched is not None
    watched.check(0.0, 1.0, rows)
    assert [(turn.kind, turn.fault) for turn in watched.turns()] == [("raised", "out_of_range")]


def test_a_range_of_a_channel_that_is_not_there_is_refused() -> None:
    config = MonitorConfig(name="pump", sensor="rig", range={"presure": object()})  # type: ignore[dict-item]
    with pytest.raises(
        ConfigError, match="is not a channel that it listens to: pressure, temperature, current"
    ):
        make_monitor(config, Rig())


def test_more_faults_than_fit_a_sentence_are_counted() -> None:
    guard = Guard(5, 1.0, lesson=10)
    signal = Signal(guard, [(f"c{i}", "A") for i in range(5)], 1.0)
    signal.check(0.0, 1.0, np.full((20, 5), np.nan, np.float32))
    (turn,) = signal.turns()
    assert turn.note == "c0 drops out, c1 drops out, c2 drops out, and 2 more"
    assert signal.withheld is False
    assert signal.ailing


# On a real recording: a furnace's temperature, a row in five minutes.


@pytest.mark.parametrize("kind", ["none", "stuck", "dropout", "rail"])
def test_a_real_thermometer_that_fails_is_said_and_no_furnace_is_blamed(kind: str) -> None:
    path = Path(show.__file__).parent / "recordings" / "machine_temperature_system_failure.csv"
    with path.open() as file:
        values = [float(row["temperature"]) for row in csv.DictReader(file)]
    rows = np.array(values[1500:3500], np.float32)[:, None]  # before its first failure
    failing = slice(1400, 1460)
    if kind == "stuck":
        rows[failing] = rows[1400]
    elif kind == "dropout":
        rows[failing][::2] = np.nan
    elif kind == "rail":
        rows[failing] = 300
    sensor = Furnace()
    monitor = make_monitor(MonitorConfig(name="furnace", sensor="furnace"), sensor)
    events = Pipeline([monitor]).push([Reading("furnace", 1.4e9, sensor.rate_hz, rows)])
    assert monitor.armed
    assert [event.fault for event in events if event.kind == "raised" and event.about == "signal"] == (
        [] if kind == "none" else ["saturated" if kind == "rail" else kind]
    )
    period = 1 / sensor.rate_hz
    near = [
        event for event in events if 1400 <= (event.time - 1.4e9) / period < 1460 and event.about == "machine"
    ]
    if kind != "rail":  # the level bank raises with the first strange row
        assert near == []
