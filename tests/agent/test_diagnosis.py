"""What a vibration monitor says beside its level: the hurt part, and the zone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agent import messages
from agent.alerts import Event
from agent.assemble import make_monitor
from agent.config import ConfigError, load_text
from agent.diagnosis import KEPT, Diagnosis
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from models.severity import Scale
from models.vibration import Vibration
from models.window import Windower
from sensors.base import Channel, Kind, Reading
from sensors.machine import Fault
from sensors.synthetic import Synthetic
from tests.models.streams import Array, noise

START, RATE_HZ = 1_700_000_000.0, 3200.0
BEARING = "bearing: {balls: 9, ball_diameter: 7.94 mm, pitch_diameter: 39.04 mm, speed: 24.7 Hz}"
ISO = "iso: {machine: group2, mounting: rigid}"


def monitor_of(settings: str, unit: str = "m/s2") -> Monitor:
    config = load_text(
        "device: shed\nsensors: {motor: {driver: synthetic, axes: 1}}\n"
        f"monitors: {{motor: {{sensor: motor, {settings}}}}}\n"
    )
    sensor = Synthetic(axes=1)
    sensor.name = "motor"
    sensor.channels = (Channel("x", unit),)
    return make_monitor(config.monitors["motor"], sensor)


def humming(seconds: float, velocity_mm_s: float, seed: int = 0, hz: float = 100.0) -> Array:
    """A machine that shakes with so much RMS velocity, in m/s2."""
    rows = round(seconds * RATE_HZ)
    clock = np.arange(rows) / RATE_HZ
    swing = velocity_mm_s / 1e3 * math.sqrt(2) * 2 * np.pi * hz * np.cos(2 * np.pi * hz * clock)
    return (swing[:, None] + 0.05 * noise(rows, 1, seed)).astype(np.float32)


def heard(one: Monitor, *pieces: Array, block: int = 1600) -> list[Event]:
    values = np.concatenate(pieces)
    pipeline = Pipeline([one])
    return [
        event
        for at in range(0, len(values), block)
        for event in pipeline.push([Reading("motor", START + at / RATE_HZ, RATE_HZ, values[at : at + block])])
    ]


def test_a_machine_that_enters_zone_d_alerts_and_says_so() -> None:
    one = monitor_of(f"{ISO}, learn: 40 s")
    events = heard(one, humming(45, 3.0), humming(15, 6.0, 1))
    assert events[0].kind == "raised"
    assert events[0].zone == "D"
    assert "zone D" in events[0].diagnosis
    sentence = messages.sentence(events[0])
    assert "velocity" in sentence
    assert "mm/s, zone D" in sentence
    assert one.diagnosis is not None
    assert one.diagnosis.zone == "D"
    assert one.diagnosis.measures["x velocity RMS"] == pytest.approx(6.0, rel=0.02)


def test_a_machine_whose_normal_lies_in_zone_d_alerts_all_the_same() -> None:
    loud = heard(monitor_of(f"{ISO}, learn: 40 s"), humming(55, 6.0))
    assert [event.kind for event in loud] == ["raised"]
    assert loud[0].level == pytest.approx(6.0 / 4.5, rel=0.05)
    assert heard(monitor_of("learn: 40 s"), humming(55, 6.0)) == []
    assert heard(monitor_of(f"{ISO}, learn: 40 s"), humming(55, 4.2)) == []


def test_measures_are_those_of_a_sine() -> None:
    one = monitor_of("learn: 40 s")
    assert one.diagnosis is not None
    assert one.diagnosis.measures == {}
    clock = np.arange(3200) / RATE_HZ
    heard(one, (3 * np.sin(2 * np.pi * 50 * clock)).astype(np.float32)[:, None])
    expected = {
        "x RMS": 3 / math.sqrt(2),
        "x peak": 3.0,
        "x crest factor": math.sqrt(2),
        "x kurtosis": 1.5,
        "x velocity RMS": 3e3 / (2 * np.pi * 50 * math.sqrt(2)),
    }
    assert one.diagnosis.measures == pytest.approx(expected, rel=2e-3)
    assert one.diagnosis.zone is None


@pytest.mark.parametrize("block", [320, 1600, 100_000])
def test_a_hurt_bearing_is_named_in_the_event_however_the_stream_was_cut(block: int) -> None:
    one = monitor_of(f"{BEARING}, learn: 60 s")
    healthy, failing = shaken(65), shaken(25, Fault("bearing_outer", severity=0.6))
    events = heard(one, healthy, failing, block=block)
    raised = events[0]
    assert (raised.kind, raised.fault) == ("raised", "outer race (BPFO)")
    assert raised.confidence is not None
    assert raised.confidence >= 0.9
    assert raised.diagnosis.startswith("outer race (BPFO) 88 Hz, confidence 0.9")
    assert messages.sentence(raised).startswith("motor: outer race (BPFO) 88 Hz, confidence 0.9")
    payload = messages.event_payload(raised, "shed")
    assert (payload.fault, payload.zone) == ("outer race (BPFO)", "")
    assert payload.confidence == pytest.approx(raised.confidence, rel=1e-5)
    assert f"confidence {payload.confidence:.2f}" in payload.sentence
    whole = heard(monitor_of(f"{BEARING}, learn: 60 s"), healthy, failing, block=777)
    assert whole == events


def shaken(seconds: float, *faults: Fault) -> Array:
    machine = Synthetic(
        rate_hz=RATE_HZ, axes=1, faults=faults, seed=1, speed=0, duration_s=seconds, start=0.0
    )
    pieces = []
    with machine:
        while not machine.finished:
            reading = machine.read(1.0)
            if reading is not None:
                pieces.append(reading.values)
    return np.concatenate(pieces)


def test_what_was_heard_does_not_pile_up() -> None:
    vibration = Vibration([("x", "m/s2")], RATE_HZ, 320)
    diagnosis = Diagnosis(vibration, Scale("group1", "rigid"))
    windower = Windower(320, 1, 1, 1.0)
    for at in range(3):
        diagnosis.begin()
        for windows in windower.push(at * 1500 / RATE_HZ, RATE_HZ, noise(1500, 1, at)):
            diagnosis.hear(windows.times, vibration.extract(windows))
    diagnosis.begin()
    assert len(diagnosis._velocities) == KEPT


def test_a_zone_needs_something_that_has_a_velocity() -> None:
    with pytest.raises(
        ConfigError, match="iso: needs a channel that is an acceleration or a velocity: in m/s2"
    ):
        monitor_of(ISO, unit="Pa")


def test_a_zone_needs_spectra() -> None:
    with pytest.raises(ConfigError, match="iso: is judged from spectra, which autoencoder does not make"):
        monitor_of(f"{ISO}, detector: autoencoder")


def mistakes(settings: str, kind: Kind = "vibration") -> str:
    with pytest.raises(ConfigError) as wrong:
        load_text(
            f"device: shed\nsensors: {{motor: {{driver: synthetic, output: {kind}}}}}\n"
            f"monitors: {{motor: {{sensor: motor, {settings}}}}}\n"
        )
    return str(wrong.value)


def test_a_speed_is_given_or_estimated_and_not_both() -> None:
    bearing = "balls: 9, ball_diameter: 7.94 mm, pitch_diameter: 39.04 mm"
    assert "bearing.speed: is missing" in mistakes(f"bearing: {{{bearing}}}")
    both = mistakes(f"bearing: {{{bearing}, speed: 24 Hz, slowest: 20 Hz, fastest: 30 Hz}}")
    assert "bearing.slowest: is not needed" in both
    assert "at most 2.5 times" in mistakes(f"bearing: {{{bearing}, slowest: 10 Hz, fastest: 60 Hz}}")
    assert "is judged in a vibration only" in mistakes(ISO, "telemetry")
    monitor_of(f"bearing: {{{bearing}, slowest: 20 Hz, fastest: 40 Hz}}")
