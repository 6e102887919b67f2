"""Drivers by name: every mistake in their options told at once."""

from __future__ import annotations

import inspect

import pytest
import yaml

from sensors import OptionError, Problem, check, create, describe, options
from sensors.synthetic import Synthetic


def test_every_mistake_is_told_at_once() -> None:
    problems = check(
        "recording", {"fil": "x.csv", "speed": -1, "chunk": "a", "on_error": "skp", "channels": "a"}
    )
    assert problems == [
        Problem("fil", "fil", "unknown option: did you mean file?"),
        Problem("file", None, "is missing: a text"),
        Problem("channels", "a", "is not a list of texts: write [a]"),
        Problem("speed", -1, "must be of at least 0"),
        Problem("chunk", "a", "is not a whole number"),
        Problem("on_error", "skp", "did you mean skip?"),
    ]


def test_an_unknown_driver_is_told_with_the_nearest() -> None:
    assert check("syntetic", {}) == [
        Problem("syntetic", "syntetic", "unknown driver: did you mean synthetic?")
    ]


def test_mistakes_inside_lists_and_structures_have_their_path() -> None:
    problems = check(
        "synthetic",
        {
            "faults": [
                {"kind": "stuck"},
                {"kind": "bearing_outr"},
                {"at_s": "soon"},
                {"kind": "imbalance", "channel": "x"},
                7,
            ],
            "bearing": {"balls": 1, "ball": 3},
        },
    )
    assert [(p.path, p.message) for p in problems] == [
        ("bearing.ball", "unknown option: did you mean balls or ball_m?"),
        ("faults[1].kind", "did you mean bearing_outer?"),
        ("faults[2].kind", problems[2].message),
        ("faults[2].at_s", 'is not a duration, e.g. "5 min" or 300 (seconds)'),
        ("faults[3].channel", "imbalance concerns the machine, not one channel"),
        ("faults[4]", problems[5].message),
    ]
    assert problems[2].message.startswith("is missing: imbalance or ")


def test_options_that_do_not_fit_together_are_told_without_opening_anything() -> None:
    assert check("synthetic", {"faults": [{"kind": "stuck", "channel": "z"}]}) == [
        Problem("faults[0].channel", "z", "must be one of x, y")
    ]
    assert [p.path for p in check("synthetic", {"bearing": {"ball_m": "4 mm", "pitch_m": "3 mm"}})] == [
        "bearing.balls"
    ]
    assert [p.path for p in check("recording", {"file": "x", "start": "soon"})] == ["start"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("5 min", 300.0), ("1.5s", 1.5), ("250 ms", 0.25), (3, 3.0), ("7", 7.0), ("1 h", 3600.0)],
)
def test_durations_may_carry_their_unit(given: object, meant: float) -> None:
    sensor = create("m", "synthetic", {"faults": [{"kind": "imbalance", "at_s": given}]})
    assert isinstance(sensor, Synthetic)
    assert sensor.faults[0].at_s == pytest.approx(meant)


@pytest.mark.parametrize(
    ("given", "meant"), [("100 Hz", 100.0), ("1.6kHz", 1600.0), ("6000 rpm", 100.0), (50, 50.0)]
)
def test_rates_may_carry_their_unit(given: object, meant: float) -> None:
    assert create("m", "synthetic", {"output": "telemetry", "rate_hz": given}).rate_hz == pytest.approx(meant)


@pytest.mark.parametrize("given", ["5 parsecs", "min 5", True, None, float("nan"), [3], -1, 0])
def test_a_rate_that_is_none_is_refused(given: object) -> None:
    assert [p.path for p in check("host", {"rate_hz": given})] == ["rate_hz"]


def test_a_time_without_quotes_in_yaml_is_still_a_time() -> None:
    options = yaml.safe_load("start: 2024-03-01T12:00:00Z\nspeed: 0")
    with create("m", "synthetic", options) as sensor:
        reading = sensor.read(0)
    assert reading is not None
    assert reading.time == 1_709_294_400.0


def test_a_wrong_option_cannot_be_created() -> None:
    with pytest.raises(OptionError, match="speed: must be of at least 0"):
        create("x", "recording", {"file": "x", "speed": -1})


def test_the_signature_is_the_declaration() -> None:
    found = options("recording")
    assert found["file"].default is inspect.Parameter.empty
    assert found["speed"].default == 1.0
    assert [option.name for option in describe("recording")] == list(found)
    faults = next(option for option in describe("synthetic") if option.name == "faults")
    assert [field.name for field in faults.fields] == [
        "kind",
        "at_s",
        "for_s",
        "severity",
        "ramp_s",
        "channel",
    ]
    assert faults.fields[1].type == "a duration of at least 0"
    assert faults.fields[0].required


LINES = {"channels": [{"name": "a"}]}


@pytest.mark.parametrize(
    ("driver", "given", "path", "told"),
    [
        ("serial", {"port": "/dev/ttyUSB0", "line": ";", **LINES}, "line", ': write {separator: ";"}'),
        ("serial", {"port": "/dev/ttyUSB0", "line": "json", **LINES}, "line", ": write {form: json}"),
        ("serial", {"port": "/dev/ttyUSB0", "channels": ["a"]}, "channels[0]", ": write {name: a}"),
        ("modbus", {"host": "plc", "registers": ["a"]}, "registers[0]", ": write {name: a, address: ...}"),
        ("exec", {"command": "python3 counter.py", **LINES}, "command", ": write [python3, counter.py]"),
        ("exec", {"command": "count --at 5", **LINES}, "command", ': write [count, --at, "5"]'),
        ("exec", {"command": "python3 counter.py | head", **LINES}, "command", "no shell reads it"),
        ("modbus", {"host": "plc", "port": 5020}, "port", "the TCP port of host is host_port"),
        ("modbus", {"host": "plc", "port": "5020"}, "port", "the TCP port of host is host_port"),
        (
            "modbus",
            {"host": "plc", "registers": [{"name": "a", "address": 40001, "type": "float"}]},
            "registers[0].type",
            "did you mean float32 or float64?",
        ),
        (
            "modbus",
            {"host": "plc", "registers": [{"name": "a", "address": 40001, "type": "int"}]},
            "registers[0].type",
            "did you mean int16, int32 or int64?",
        ),
        ("mqtt", {"host": "broker", **LINES}, "channels", "unknown option: it is called values here"),
        ("opcua", {"registers": []}, "registers", "unknown option: it is called nodes here"),
        ("http", {"values": []}, "values", "unknown option: it is called channels here"),
        (
            "exec",
            {"command": ["count"], "channels": [{"name": "a", "min": 0}]},
            "channels[0].min",
            "unknown option: it is called lowest here",
        ),
        (
            "exec",
            {"command": ["count"], "channels": [{"name": "a", "max": 0}]},
            "channels[0].max",
            "unknown option: it is called highest here",
        ),
    ],
)
def test_what_is_suggested_can_be_written(
    driver: str, given: dict[str, object], path: str, told: str
) -> None:
    (problem,) = [problem for problem in check(driver, given) if problem.path == path]
    assert problem.message.endswith(told) or told == "no shell reads it" in problem.message


def test_nothing_is_suggested_that_would_not_be_taken() -> None:
    (problem,) = check("serial", {"port": "/dev/ttyUSB0", "line": "semicolon", **LINES})
    assert problem.message.startswith("is not a structure with form, ")
    assert "write" not in problem.message
