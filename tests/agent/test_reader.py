from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from agent import reader as readers
from agent.inbox import Inbox
from agent.reader import Reader
from sensors.base import Channel, Reading, Sensor, SensorError
from sensors.plugins import guarded
from tests.agent.brokers import until

Step = Callable[[], Reading | None]


class Scripted(Sensor):
    """A device that does what the script says, and then gives nothing more."""

    channels = (Channel("a"),)
    rate_hz = 1.0

    def __init__(self, *script: object, opens: tuple[object, ...] = ()) -> None:
        self.name = "pump"
        self._script, self._opens = list(script), list(opens)
        self.log: list[str] = []
        self.hangs, self.opening = threading.Event(), threading.Event()

    def open(self) -> None:
        self.log.append("open")
        step = self._opens.pop(0) if self._opens else None
        if isinstance(step, Exception):
            raise step
        if step == "hang":
            self.opening.wait()

    def read(self, timeout: float) -> Reading | None:
        if not self._script:
            self.hangs.wait(timeout)
            return None
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        if step == "end":
            self.finished = True
            return None
        if step == "hang":
            self.hangs.wait()
            return None
        assert isinstance(step, float)
        return Reading("pump", step, 1.0, np.zeros((2, 1), np.float32))

    def close(self) -> None:
        self.log.append("close")


@contextmanager
def running(sensor: Sensor, opened: Callable[[Sensor], None] = lambda sensor: None) -> Iterator[Reader]:
    reader = Reader(sensor, Inbox(), opened)
    reader.start()
    try:
        yield reader
    finally:
        if isinstance(sensor, Scripted):
            sensor.hangs.set()
            sensor.opening.set()
        reader.stop()
        assert reader.join(5.0)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(readers, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(readers, "READ_S", 0.02)


def test_a_driver_that_raises_is_closed_counted_and_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sensor = Scripted(1.0, SensorError("the wire came off"), OSError("EIO"), 2.0)
    with running(sensor) as reader:
        until(lambda: reader.rows == 4, "it reads again")
        assert reader.phase == "reading"
        assert reader.error == ""
        assert reader.failures == 2
    assert sensor.log == ["open", "close"] * 3
    assert "the wire came off (next try in" in caplog.text
    assert "sensor pump reads again" in caplog.text


def test_whatever_a_plug_in_raises_takes_only_its_sensor_down() -> None:
    fault: list[object] = [ZeroDivisionError("division by zero")] * 1000
    sensor = guarded(Scripted, "acme-flow 1.0")(1.0, *fault)
    with running(sensor) as reader:
        until(lambda: reader.failures >= 2, "it is opened again")
        assert reader.error == ("fault of the driver from acme-flow 1.0: ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (Reading("pump", 0.0, 1.0, np.ones((1, 2), np.float32)), "(1, 2), not (samples, 1) of its channels"),
        (Reading("pump", 0.0, 1.0, np.ones(1, np.float32)), "(1,), not (samples, 1) of its channels"),
        (Reading("pump", 0.0, 1.0, np.ones((0, 1), np.float32)), "(0, 1), not (samples, 1) of its channels"),
        (
            Reading("pump", 0.0, 1.0, np.ones((1, 1))),  # type: ignore[arg-type]
            "float64, not an array of float32",
        ),
        (Reading("pump", 0.0, 1.0, [[1.0]]), "list, not an array of float32"),  # type: ignore[arg-type]
        (Reading("pump", 0.0, 0.0, np.ones((1, 1), np.float32)), "the rate 0.0, in s and Hz"),
        (Reading("pump", math.nan, 1.0, np.ones((1, 1), np.float32)), "the time nan"),
        (1.0, "read gives float, not a Reading"),
    ],
)
def test_whatever_a_plug_in_gives_takes_only_its_sensor_down(given: object, words: str) -> None:
    class Odd(Scripted):
        def read(self, timeout: float) -> Reading | None:
            if isinstance(given, BaseException):
                raise given
            return given  # type: ignore[return-value]

    sensor = guarded(Odd, "acme-flow 1.0")()
    with running(sensor) as reader:
        until(lambda: reader.failures >= 2, "it is opened again")
        assert "fault of the driver from acme-flow 1.0: " in reader.error
        assert words in reader.error


def test_while_it_fails_the_error_is_there_in_words() -> None:
    sensor = Scripted(opens=tuple(SensorError("no such device") for _ in range(1000)))
    with running(sensor) as reader:
        until(lambda: reader.failures >= 3, "some failures")
        assert reader.error == "no such device"
        assert not reader.ended


def test_how_long_it_has_failed_and_when_it_is_tried_again_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "FIRST_PAUSE_S", 0.4)
    begun = time.monotonic()
    with running(Scripted(1.0, opens=(SensorError("gone"),))) as reader:
        until(lambda: reader.next_try, "it waits")
        since, next_try = reader.failing_since or 0.0, reader.next_try or 0.0
        assert begun <= since <= time.monotonic()
        assert 0.0 < next_try - since < 0.6
        until(lambda: reader.phase == "reading", "it reads")
        assert reader.failing_since is reader.next_try is None


def test_the_sensors_name_is_not_said_twice(caplog: pytest.LogCaptureFixture) -> None:
    sensor = Scripted(opens=(Scripted().error("no such device"),))
    with running(sensor) as reader:
        until(lambda: reader.failures == 1, "a failure")
    assert "sensor pump: no such device (next try in" in caplog.text


def test_the_same_failure_again_and_again_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    sensor = Scripted(opens=tuple(SensorError("no such device") for _ in range(1000)))
    with running(sensor) as reader:
        until(lambda: reader.failures >= 5, "some failures")
    assert caplog.text.count("no such device") == 1


def test_a_loose_plug_is_waited_for_longer_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(Reader, "_pause", lambda self, seconds: pauses.append(seconds))
    script = [step for i in range(5) for step in (float(i), SensorError(f"gone {i}"))]
    with running(Scripted(*script)) as reader:
        until(lambda: reader.failures == 5, "all failures")
    assert pauses == [0.01, 0.02, 0.04, 0.05, 0.05], "one reading in between does not make it sound"
    pauses.clear()
    monkeypatch.setattr(readers, "STABLE_S", 0.0)
    script = [step for i in range(3) for step in (float(i), SensorError(f"gone {i}"))]
    with running(Scripted(*script)) as reader:
        until(lambda: reader.failures == 3, "all failures")
    assert pauses == [0.01, 0.01, 0.01]


def test_it_is_let_go_before_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = Scripted(SensorError("gone"))
    monkeypatch.setattr(Reader, "_pause", lambda self, seconds: sensor.log.append("pause"))
    with running(sensor):
        until(lambda: sensor.log.count("open") == 2, "opened again")
    assert sensor.log[:4] == ["open", "close", "pause", "open"]


def test_a_finite_sensor_ends_and_says_what_was_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sensor = Scripted(1.0, "end")
    vars(sensor)["skipped"] = {"not_a_number": 3}
    with running(sensor) as reader:
        until(lambda: reader.ended, "the end")
        assert reader.phase == "finished"
    assert "has come to its end; left out: 3 x not a number" in caplog.text


def test_a_recording_whose_last_word_is_an_error_is_not_played_again() -> None:
    sensor = Scripted(1.0, SensorError("row 7: not a number"))
    sensor.finished = True
    with running(sensor) as reader:
        until(lambda: reader.ended, "the end")
        assert reader.error == "row 7: not a number"
        assert reader.failures == 1
    assert sensor.log == ["open", "close"]


def test_a_driver_that_hangs_is_left_behind() -> None:
    sensor = Scripted(1.0, "hang")
    with running(sensor) as reader:
        until(lambda: reader.rows == 2, "the first reading")
        beat = reader.beat
        reader.stop()
        assert not reader.join(0.1)
        assert reader.beat == beat, "it does not move, and does not claim to"


def test_a_driver_may_take_longer_to_open_than_to_read() -> None:
    sensor = Scripted(1.0, "hang", opens=("hang",))
    with running(sensor) as reader:
        until(lambda: sensor.log == ["open"], "it opens")
        assert not reader.still_for(reader.beat + 100.0, 15.0)
        assert reader.still_for(reader.beat + 121.0, 15.0)
        assert not reader.still_for(reader.beat + 121.0, 150.0), "a patient watchdog is patient here too"
        sensor.opening.set()
        until(lambda: reader.rows == 2, "the first reading")
        assert reader.still_for(reader.beat + 16.0, 15.0)


def test_who_refuses_the_opened_sensor_makes_it_a_failure() -> None:
    def refuse(sensor: Sensor) -> None:
        raise SensorError("it came back as another")

    with running(Scripted(1.0), refuse) as reader:
        until(lambda: reader.failures > 0, "refused")
        assert reader.error == "it came back as another"
        assert reader.rows == 0


def test_a_plug_that_is_out_may_fail_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = Scripted(SensorError("gone"), 1.0)

    def close() -> None:
        sensor.log.append("close")
        raise OSError("EIO")

    monkeypatch.setattr(sensor, "close", close)
    with running(sensor) as reader:
        until(lambda: reader.rows == 2, "it reads again")


def test_a_sensor_that_waits_drops_nothing_when_nobody_takes() -> None:
    sensor = Scripted(*(float(i) for i in range(3000)))
    sensor.waits = True
    inbox = Inbox()
    reader = Reader(sensor, inbox, lambda sensor: None)
    reader.start()
    until(lambda: reader.rows >= 2000, "the inbox is full")
    before = reader.beat
    until(lambda: reader.beat > before, "it still moves while it waits")
    rows = 0
    while rows < 6000:
        rows += sum(len(reading.values) for reading in inbox.take(5.0))
    reader.stop()
    assert reader.join(5.0)
    assert inbox.dropped("pump") == 0
    assert rows == 6000
