"""A machine that stops, idles and works: each state judged by its own normal, and none of it an alarm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from agent.alerts import Event
from agent.assemble import make_monitor
from agent.config import Config, ConfigError, load_text
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from agent.quantities import SPAN
from agent.sentences import sentence
from models import baseline as baselines
from models.detector import LearningError
from sensors.base import Reading
from sensors.duty import Stage
from sensors.machine import Fault
from sensors.synthetic import Synthetic

CYCLE = ((0.0, 0.0, 600.0), (24.7, 0.7, 1200.0), (12.0, 0.3, 600.0), (24.7, 0.7, 1200.0))  # Hz, load, seconds
CYCLE_S = sum(leg[2] for leg in CYCLE)
LESSON_S = 3 * CYCLE_S
STRANGE = (18.0, 0.5, 1800.0)
PLAIN = MonitorConfig(name="pump", sensor="rig", learn=SPAN.parse(f"{LESSON_S:g} s"))


def schedule(cycles: int, *more: tuple[float, float, float]) -> tuple[Stage, ...]:
    stages, at = [], 0.0
    for speed, load, seconds in (*CYCLE * cycles, *more, *CYCLE):
        stages.append(Stage(at, speed, load))
        at += seconds
    return tuple(stages)


@cache
def rows(
    *faults: Fault, more: tuple[tuple[float, float, float], ...] = (), cycles: int = 5, block_s: float = 600.0
) -> tuple[Reading, ...]:
    """What the instruments of that machine give."""
    seconds = (cycles + 1) * CYCLE_S + sum(leg[2] for leg in more)
    sensor = rig(schedule=schedule(cycles, *more), faults=faults, duration_s=seconds, block_s=block_s)
    found = []
    with sensor:
        while (reading := sensor.read(0)) is not None:
            found.append(reading)
    return tuple(found)


def rig(**options: object) -> Synthetic:
    sensor = Synthetic(output="telemetry", speed=0, start=0.0, **options)  # type: ignore[arg-type]
    sensor.name = "rig"
    return sensor


def monitor(config: MonitorConfig = PLAIN) -> Monitor:
    return make_monitor(config, rig())


def configured(text: str) -> MonitorConfig:
    """With these settings of operating states."""
    return loaded(text).monitors["pump"]


def loaded(text: str) -> Config:
    return load_text(
        f"sensors: {{rig: {{driver: synthetic, output: telemetry}}}}\n"
        f"monitors: {{pump: {{sensor: rig, learn: {LESSON_S:g} s, states: {text}}}}}"
    )


def heard(one: Monitor, readings: Sequence[Reading]) -> list[Event]:
    pipeline = Pipeline([one])
    return [event for reading in readings for event in pipeline.push([reading])]


def names(one: Monitor) -> list[str]:
    return [state.name for state in one.status().states]


def test_a_machine_that_starts_stops_and_changes_its_load_raises_nothing() -> None:
    one = monitor()
    assert heard(one, rows()) == []
    assert names(one) == [
        "state 1 (speed 0 Hz)",
        "state 2 (speed 12.1 Hz)",
        "state 3 (speed 24.7 Hz)",
    ]
    assert all(not state.needs_rows for state in one.status().states)
    assert one.status().health == "armed"


def test_without_states_it_would() -> None:
    one = monitor(configured("none"))
    heard(one, rows())
    assert names(one) == []
    one = monitor(MonitorConfig(name="pump", sensor="rig", learn=SPAN.parse("1000 rows"), states=None))
    assert heard(one, rows())  # its lesson knows two of the three


@pytest.mark.parametrize(("leg", "state"), [(1, "state 3 (speed 24.7 Hz)"), (2, "state 2 (speed 12.1 Hz)")])
def test_a_fault_is_found_in_each_state_and_named_with_it(leg: int, state: str) -> None:
    at = LESSON_S + sum(each[2] for each in CYCLE[:leg]) + 200.0
    events = heard(monitor(), rows(Fault("looseness", at, 300.0, severity=0.4)))
    assert [event.kind for event in events] == ["raised", "cleared"]
    assert events[0].operating == state
    assert events[0].moved[0].channel == "vibration"
    assert at < events[0].time < at + 60


def test_a_machine_that_stands_shows_no_fault_of_its_shaft() -> None:
    assert heard(monitor(), rows(Fault("looseness", LESSON_S, 590.0))) == []


def test_a_state_never_seen_asks_for_rows_instead_of_alarming_and_is_judged_once_it_has_them() -> None:
    readings = rows(more=(STRANGE,), block_s=60.0)
    one = monitor()
    pipeline = Pipeline([one])
    strange_at = 5 * CYCLE_S
    needs = []
    for reading in readings:
        assert pipeline.push([reading]) == []
        if strange_at + 300 <= reading.time < strange_at + STRANGE[2] - 60:
            needs.append(one.status().needs)
    assert needs[0].startswith("no baseline for state 4 (speed 18")
    assert "yet: needs" in needs[0]
    assert needs[-1] == ""
    assert names(one)[3].startswith("state 4 (speed 18")


def test_a_lesson_of_one_state_asks_for_rows_in_the_next_instead_of_alarming() -> None:
    """With nothing said of states, and a lesson that saw the machine stand."""
    one = monitor(MonitorConfig(name="pump", sensor="rig", learn=SPAN.parse("500 rows")))
    pipeline, needs = Pipeline([one]), list[str]()
    for reading in rows(block_s=10.0):
        if reading.time < 1700:
            assert pipeline.push([reading]) == []
            needs.append(one.status().needs)
    assert names(one)[0].startswith("state 1 (speed 0 Hz")
    assert any(each.startswith("no baseline for state 2 (speed 24.7 Hz") for each in needs)
    assert needs[-1] == ""
    assert one.status().operating.startswith("state 2")


def test_a_level_is_of_now_and_unknown_where_nothing_is_judged() -> None:
    one = monitor()
    pipeline, known = Pipeline([one]), dict.fromkeys(("", "no", "between", "in"), 0)
    for reading in rows(more=(STRANGE,), block_s=10.0):
        pipeline.push([reading])
        if one.armed:
            why = one.status().needs.partition(" ")[0]
            known[why] += 1
            assert math.isnan(one.status().level) or not why
    assert min(known.values()) > 5


def test_after_a_gap_a_level_is_unknown_until_averages_are_full() -> None:
    one = monitor()
    pipeline = Pipeline([one])
    readings = [each for each in rows(block_s=10.0) if each.time < LESSON_S + 500]
    heard_, gap, late = readings[:-20], readings[-20:-10], readings[-10:]
    for reading in heard_:
        pipeline.push([reading])
    assert one.level > 0
    pipeline.push([late[0]])
    assert gap
    assert math.isnan(one.level)
    for reading in late[1:]:
        pipeline.push([reading])
    assert one.level > 0


def test_a_machine_that_hangs_between_its_states_is_said_and_so_is_its_end() -> None:
    one = monitor(configured("{channels: [speed, load], most: 3}"))
    events = heard(one, rows(more=(STRANGE,)))
    at = 5 * CYCLE_S
    assert [(event.kind, event.about) for event in events] == [("raised", "state"), ("cleared", "state")]
    assert at + 600 <= events[0].time <= at + 620
    assert at + STRANGE[2] <= events[1].time <= at + STRANGE[2] + 120
    assert events[0].note.startswith("speed 18")
    assert "in no known operating state for too long (speed 18" in sentence(events[0])
    assert "in a known operating state again after" in sentence(events[1])


@pytest.mark.parametrize("block_s", [7.0, 61.0, 5000.0])
def test_no_cut_changes_what_is_learned_or_said(block_s: float) -> None:
    faults = (
        Fault("looseness", LESSON_S + 900.0, 600.0, severity=0.4),
        Fault("dropout", 5000.0, 100.0, severity=0.5),
    )
    config = configured("{most: 3}")
    whole, one = monitor(config), monitor(config)
    expected = heard(whole, rows(*faults, more=(STRANGE,)))
    assert {event.about for event in expected} == {"machine", "state", "signal"}
    assert heard(one, rows(*faults, more=(STRANGE,), block_s=block_s)) == expected
    assert one.model == whole.model
    assert one.status() == whole.status()


def test_a_baseline_from_disk_judges_as_the_one_that_learned_it(tmp_path: Path) -> None:
    fault = Fault("looseness", LESSON_S + 900.0, 600.0, severity=0.4)
    readings = rows(fault, more=(STRANGE,))
    split = next(i for i, reading in enumerate(readings) if reading.time > LESSON_S)
    first = monitor()
    heard(first, readings[:split])
    baseline = first.current_baseline()
    assert baseline is not None
    baselines.save(tmp_path / "pump.npz", baseline, first.belongs_to)
    again = monitor()
    again.arm(baselines.load(tmp_path / "pump.npz", again.belongs_to))
    assert again.status().states == first.status().states
    fresh = monitor()
    fresh.arm(baseline)
    assert heard(again, readings[split:]) == heard(fresh, readings[split:])
    assert names(again) == names(fresh)


def test_a_state_learned_later_is_in_the_baseline_too() -> None:
    one = monitor()
    heard(one, rows(more=(STRANGE,)))
    baseline = one.current_baseline()
    assert baseline is not None
    assert [*baseline.parts] == ["state:1", "state:2", "state:3", "state:4", "states", "guard"]
    again = monitor()
    again.arm(baseline)
    assert again.status().states == one.status().states


def test_a_baseline_with_states_is_refused_where_there_are_none() -> None:
    one = monitor()
    heard(one, rows())
    assert one.baseline is not None
    with pytest.raises(LearningError, match="tells operating states apart"):
        monitor(configured("none")).arm(one.baseline)


def test_states_can_be_given_by_conditions_and_named() -> None:
    one = monitor(
        configured(
            '{where: ["speed < 2 Hz", "speed > 300 rpm and load < 50 %", "load >= 50"], names: [idle, part]}'
        )
    )
    assert heard(one, rows()) == []
    assert names(one) == ["idle", "part", "load >= 50"]


def test_the_names_of_found_states_can_be_given() -> None:
    one = monitor(configured("{names: [standing, slow, full]}"))
    fault = Fault("looseness", LESSON_S + 900.0, 600.0, severity=0.4)
    events = heard(one, rows(fault))
    assert names(one) == ["standing", "slow", "full"]
    assert events[0].operating == "full"


@pytest.mark.parametrize(
    ("settings", "path", "said"),
    [
        ("{channels: [sped]}", "states.channels[0]", "'sped' is not a channel of this monitor"),
        ('{where: ["speed fast"]}', "states.where[0]", "is not a condition"),
        ('{where: ["sped > 3"]}', "states.where[0]", "did you mean speed?"),
        ('{where: ["speed > 3 A"]}', "states.where[0]", "the unit of speed is Hz, not A"),
        ('{where: ["speed > 3 and speed < 2"]}', "states.where[0]", "is never so"),
        ('{where: ["speed > 3"], channels: [speed]}', "states.channels", "is not needed"),
        ('{where: ["speed > 3", "speed < 2"], most: 1}', "", ""),
    ],
)
def test_what_is_wrong_with_settings_of_states_is_told_by_its_path(
    settings: str, path: str, said: str
) -> None:
    config = configured(settings)
    if not path:
        assert names(monitor(config)) == []
        return
    with pytest.raises(ConfigError) as caught:
        monitor(config)
    assert path in str(caught.value)
    assert said in str(caught.value)


def test_a_detector_that_follows_single_channels_has_no_states() -> None:
    entry = "sensor: rig, detector: level, states: {most: 3}"
    text = f"sensors: {{rig: {{driver: synthetic, output: telemetry}}}}\nmonitors: {{pump: {{{entry}}}}}"
    with pytest.raises(ConfigError, match="follows each channel"):
        monitor(load_text(text).monitors["pump"])
