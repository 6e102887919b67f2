"""Instruments on ptys."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors import Reading, SensorError, check, create
from sensors.contract import PushedClock, SensorContract
from sensors.serial_lines import SerialLines
from tests.sensors.serial_line import Instrument

AB = [{"name": "a", "unit": "Cel"}, {"name": "b"}]
SOON_S = 10.0


@pytest.fixture
def instrument(tmp_path: Path) -> Iterator[Instrument]:
    with Instrument(tmp_path / "port") as instrument:
        yield instrument


def make(instrument: Instrument, **options: object) -> SerialLines:
    sensor = create("scale", "serial", {"port": str(instrument.port), "channels": AB, **options})
    assert isinstance(sensor, SerialLines)
    return sensor


def next_row(sensor: SerialLines) -> list[float]:
    reading = sensor.read(SOON_S)
    assert reading is not None
    return [float(value) for value in reading.values[0]]


class TestByItself(SensorContract):
    driver = "serial"

    @pytest.fixture
    def options(self, tmp_path: Path) -> Iterator[Mapping[str, object]]:
        self.instrument = Instrument(tmp_path / "port")
        self.mend(plug=False)
        yield {"port": str(self.instrument.port), "channels": AB, "rate_hz": 100}
        self.instrument.pull()

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"port": str(tmp_path / "no"), "channels": AB}

    def lose(self) -> None:
        self.instrument.pull()

    def mend(self, plug: bool = True) -> None:
        if plug:
            self.instrument.plug()
        self.instrument.repeat(lambda n: b"%d,2\n" % n, 0.01)


class TestAligned(TestByItself):
    @pytest.fixture
    def options(self, tmp_path: Path) -> Iterator[Mapping[str, object]]:
        self.instrument = Instrument(tmp_path / "port")
        self.mend(plug=False)
        yield {"port": str(self.instrument.port), "channels": AB, "rate_hz": 20, "align": True}
        self.instrument.pull()


class TestAsked(SensorContract):
    driver = "serial"
    clock = PushedClock

    @pytest.fixture
    def options(self, tmp_path: Path) -> Iterator[Mapping[str, object]]:
        self.instrument = Instrument(tmp_path / "port", lambda asked: b"1,2\r\n" * asked.count(b"\n"))
        yield {"port": str(self.instrument.port), "channels": AB, "ask": "MEAS?\n"}
        self.instrument.pull()

    def lose(self) -> None:
        self.instrument.pull()

    def mend(self) -> None:
        self.instrument.plug()


# Each line a sample.


def test_each_line_is_a_sample_and_the_rest_is_counted(instrument: Instrument) -> None:
    with make(instrument, rate_hz=10) as sensor:
        instrument.say(b"9,9\n1,2\r\n# warming up\r\n3,x\r\n\xff\xfe\x00\r\n5,6")
        assert next_row(sensor) == [1, 2]
        assert next_row(sensor) == pytest.approx([3, math.nan], nan_ok=True)
        assert sensor.read(0.05) is None
        instrument.say(b"\r\n")
        assert next_row(sensor) == [5, 6]
        assert sensor.skipped == {
            "partial_lines": 1,  # what was coming when the port was opened
            "missing_columns": 2,
            "not_a_number": 1,
        }


def test_lines_that_come_at_once_are_a_period_apart(instrument: Instrument) -> None:
    clock = PushedClock()
    with make(instrument, rate_hz=10) as sensor:
        sensor.clock = clock
        instrument.say(b"\n1,2\n")
        readings = [sensor.read(SOON_S)]
        clock.push(0.35)
        instrument.say(b"1,2\n3,4\n")
        readings += [sensor.read(SOON_S), sensor.read(SOON_S)]
        clock.push(0.1)
        instrument.say(b"1,2\n3,4\n")  # faster than was said: never before the sample before
        readings += [sensor.read(SOON_S), sensor.read(SOON_S)]
    times = [reading.time - 1_700_000_000.0 for reading in readings if reading is not None]
    assert times == pytest.approx([0.0, 0.25, 0.35, 0.40, 0.45])


def test_a_line_may_say_its_time_and_says_it_once(instrument: Instrument) -> None:
    channels = [{"name": "level", "unit": "m", "at": "lvl"}]
    line = {"form": "pattern", "pattern": r"^(?P<at>\S+) LVL=(?P<lvl>[\d.]+)m$", "time": "at"}
    with make(instrument, channels=channels, line=line) as sensor:
        said = b"2023-11-14T22:13:20Z LVL=1.5m\n"
        instrument.say(b"\n" + said + said + said.replace(b":20Z", b":21Z"))
        readings = [sensor.read(SOON_S), sensor.read(SOON_S)]
        assert [r.time for r in readings if r is not None] == [1_700_000_000.0, 1_700_000_001.0]
        assert sensor.skipped == {"duplicates": 1}


# At ticks.


def test_at_each_tick_the_newest_values_are_a_sample_until_they_are_stale(instrument: Instrument) -> None:
    line = {"form": "pattern", "pattern": "A(?P<a>.+)|B(?P<b>.+)"}
    clock = PushedClock()
    sensor = make(instrument, line=line, align=True, rate_hz=1, stale_s=2.5)
    sensor.clock = clock
    with sensor:
        instrument.say(b"\nA1\nB2\nA3\n")
        instrument.settle()
        rows: list[list[float] | None] = []
        for _ in range(6):
            if len(rows) == 2:
                instrument.say(b"B4\n")
                instrument.settle()
            reading = sensor.read(0.0)
            rows.append(None if reading is None else reading.values[0].tolist())
            clock.push(1.0)
        nan = math.nan
        expected: list[list[float] | None] = [[3, 2], [3, 2], [3, 4], [nan, 4], [nan, 4], None]
        for row, wanted in zip(rows, expected, strict=True):
            assert (row is None) == (wanted is None)
            if row is not None:
                np.testing.assert_array_equal(row, wanted)
        assert sensor.skipped == {"missing_values": 4, "stale": 3}


def test_what_comes_between_ticks_is_heard(instrument: Instrument) -> None:
    """More than the kernel's buffer of a tty holds."""
    with make(instrument, align=True, rate_hz=2) as sensor:
        next_row_or_none = sensor.read(SOON_S)
        assert next_row_or_none is None  # nothing came yet
        instrument.repeat(lambda n: b"%d,%s\n" % (n, b"7" * 10 + b" " * 500), 0.002)
        first = next_row(sensor)
        second = next_row(sensor)
        assert second[0] - first[0] > 20
        assert sensor.skipped.keys() <= {"partial_lines", "stale"}


# Asked.


def test_an_answer_is_a_sample_and_no_answer_for_long_is_an_error(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return {1: b"MEAS?\r\n21,50\r\n", 2: b"ERR\r\n22,51\r\n"}.get(len(asked), b"")  # an echo first

    with Instrument(tmp_path / "port", answer) as instrument:
        sensor = make(instrument, ask="MEAS?\r\n", rate_hz=0.2, timeout_s=0.1)
        sensor.clock = PushedClock()
        with sensor:
            assert [next_row(sensor), next_row(sensor)] == [[21, 50], [22, 51]]
            assert [sensor.read(SOON_S), sensor.read(SOON_S)] == [None, None]
            with pytest.raises(
                SensorError, match=r"scale: no answer to 'MEAS\?\\r\\n' on .*port for 10 s: check baud"
            ):
                sensor.read(SOON_S)
            assert asked == [b"MEAS?\r\n"] * 5
            assert sensor.skipped == {"missing_columns": 2, "time_outs": 3}


def test_a_board_that_starts_when_its_port_is_opened_is_given_time(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(request: bytes) -> bytes:
        asked.append(request)
        return b"" if len(asked) % 3 else b"1,2\n"  # the boot loader hears the first two

    with Instrument(tmp_path / "port", answer) as instrument:
        sensor = make(instrument, ask="?", rate_hz=0.2, timeout_s=0.1)
        sensor.clock = PushedClock()
        with sensor:
            rows = [sensor.read(SOON_S) for _ in range(6)]
        assert [row is not None for row in rows] == [False, False, True] * 2
        assert sensor.skipped == {"time_outs": 4}


def test_what_came_unasked_is_no_answer(tmp_path: Path) -> None:
    with Instrument(tmp_path / "port", lambda _: b"2,2\n") as instrument:
        with make(instrument, ask="?") as sensor:
            instrument.say(b"1,1\n")
            instrument.settle()
            assert next_row(sensor) == [2, 2]


# Hostile.


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instrument]:
    with Instrument(tmp_path_factory.mktemp("hostile") / "port") as instrument:
        yield instrument


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_of_an_instrument_do_worse_than_being_counted(hostile: Instrument, noise: bytes) -> None:
    with make(hostile, rate_hz=1000) as sensor:
        hostile.say(b"\n" + noise + b"\n77,88\n")
        readings: list[Reading] = []
        while not readings or readings[-1].values[0].tolist() != [77.0, 88.0]:
            reading = sensor.read(SOON_S)
            assert reading is not None
            readings.append(reading)
        assert all(not np.isinf(reading.values).any() for reading in readings)


# The page.


@pytest.mark.parametrize(
    ("name", "said", "values"),
    [
        ("weather", b"21.4;1013.2;48\r\n", [21.4, 101_320, 48]),
        ("multimeter", b"+1.20034567E+01\n", [12.0034567]),
        ("scale", b"ST,GS,+  12.345kg\r\n", [12.345]),
    ],
)
def test_the_examples_of_the_page_read_what_they_say(name: str, said: bytes, values: list[float]) -> None:
    page = (Path(__file__).parents[2] / "docs/drivers.md").read_text("utf-8")
    example = re.search(r"## serial\n.*?```yaml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    options = yaml.safe_load(example[1])["sensors"][name]
    sensor = create(name, options.pop("driver"), options)
    assert isinstance(sensor, SerialLines)
    assert [row for _, row in sensor.rows(said)] == [pytest.approx(values)]


# Options.


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"channels": []}, "channels", "is empty"),
        ({"channels": [*AB, {"name": "a"}]}, "channels[2].name", "is the name of two channels"),
        ({"ask": "?", "align": True}, "align", "of no use"),
        ({"ask": ""}, "ask", "is empty"),
        ({"ask": "?", "line": {"time": 1}}, "line.time", "of no use"),
        ({"align": True, "line": {"time": 1}}, "line.time", "of no use"),
        ({"stale_s": 3}, "stale_s", "goes with align"),
        ({"line": {"form": "pattern", "pattern": "("}}, "line.pattern", "no regular expression"),
        ({"parity": "mark"}, "parity", "must be one of"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, object], path: str, words: str) -> None:
    problems = check("serial", {"port": "/dev/x", "channels": AB, **options})
    assert [problem.path for problem in problems] == [path]
    assert words in problems[0].message
