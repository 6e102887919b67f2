"""A source that pushes values whenever it likes, read at ticks."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sensors import Channel, SensorError
from sensors.contract import PushedClock
from sensors.pushed import Line, PushedSensor
from tests.agent.brokers import until

ROOT = Path(__file__).parents[2]


class Source(PushedSensor):
    """Pushes what the test says, in a thread of its own."""

    channels = (Channel("a"), Channel("b"))

    def __init__(self, attend: Callable[[Line], None] | None = None, delay_s: float = 0.0) -> None:
        super().__init__("nowhere:1", 1.0, delay_s)
        self.name = "it"
        self.clock = PushedClock()
        self._script = attend
        self.line: Line | None = None

    def limits_s(self) -> list[float]:
        return [2.0, math.inf]

    def attend(self, line: Line) -> None:
        self.line = line
        if self._script is not None:
            self._script(line)
            return
        line.up()
        until(lambda: line.leaving, "it is closed")

    def push(self, channel: int, value: float, time: float | None = None) -> None:
        assert self.line is not None
        self.line.push(channel, value, time)

    def wait(self, seconds: float) -> None:
        assert isinstance(self.clock, PushedClock)
        self.clock.push(seconds)


def row(source: Source) -> tuple[float, list[float]]:
    """The next one: when, after the start, and its values."""
    reading = source.read(10.0)
    assert reading is not None
    return reading.time - 1_700_000_000.0, reading.values[0].tolist()


def test_the_first_row_comes_a_period_after_opening_with_what_came_by_then() -> None:
    with Source() as source:
        source.push(0, 7.0)
        time, values = row(source)
        assert time == 1.0
        assert values == pytest.approx([7.0, math.nan], nan_ok=True)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    words = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return words


def test_a_channel_that_never_comes_is_told_once_and_again_when_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    with Source() as source:
        source.push(1, 7.0)
        for _ in range(9):
            row(source)
        assert not told(caplog)
        for _ in range(3):
            row(source)
        words = "no value of a has come on nowhere:1 yet: is that written right, and does its device send?"
        assert told(caplog) == [f"sensor it: {words}"]
        assert source.left_out() == {"nothing_yet": 3}
        source.close()
        source.open()  # a connection later nobody needs to hear it again
        for _ in range(20):
            row(source)
        assert not told(caplog)
        source.push(0, 1.0)
        row(source)
        assert told(caplog) == ["sensor it: a is heard now"]
        counted = source.left_out()["nothing_yet"]
        row(source)
        assert source.left_out()["nothing_yet"] == counted


def test_a_row_has_what_had_come_by_its_tick_and_later_ones_the_rest() -> None:
    with Source() as source:
        source.wait(0.9)
        source.push(0, 1.0)
        source.wait(0.2)  # the tick has passed, and nobody has read it
        source.push(0, 2.0)
        assert row(source)[1][0] == 1.0
        assert row(source)[1][0] == 2.0


def test_with_a_delay_values_stand_in_the_row_of_their_sources_time() -> None:
    with Source(delay_s=3.0) as source:
        begin = source.clock.now()
        row(source)
        row(source)
        source.wait(0.9)  # the source sends late what it measured in time
        for i in range(1, 4):
            source.push(0, float(i), begin + i - 0.5)
        rows = [row(source) for _ in range(4)]
    assert [time for time, _ in rows] == [0.0, 1.0, 2.0, 3.0]  # ticks 3 to 6
    assert [values[0] for _, values in rows] == pytest.approx([math.nan, 1.0, 2.0, 3.0], nan_ok=True)


def test_a_source_whose_clock_is_ahead_is_counted_and_its_values_count_from_now() -> None:
    with Source() as source:
        source.push(0, 1.0, source.clock.now() + 3600)
        assert row(source)[1][0] == 1.0
        assert source.skipped == {"ahead": 1}


def test_our_clock_may_be_set_and_ages_stay_what_they_are() -> None:
    with Source() as source:
        source.push(0, 1.0)
        assert isinstance(source.clock, PushedClock)
        source.clock.unix += 1e9
        assert row(source)[1][0] == 1.0
        row(source)
        assert math.isnan(row(source)[1][0])
        assert source.skipped == {"stale": 1}


def test_what_ends_the_source_is_raised_when_it_is_read_and_it_can_be_opened_again() -> None:
    broken = threading.Event()

    def attend(line: Line) -> None:
        line.up()
        until(lambda: line.leaving or broken.is_set(), "closed or broken")
        if broken.is_set():
            raise OSError(5, "Input/output error")

    source = Source(attend)
    source.open()
    row(source)
    broken.set()
    with pytest.raises(SensorError, match=r"^it: nowhere:1: \[Errno 5\] Input/output error$"):
        until(lambda: source.read(0.0), "an error")
    source.close()
    broken.clear()
    with source:
        row(source)


def test_a_source_that_only_ends_is_an_error_too() -> None:
    with pytest.raises(SensorError, match=r"^it: nowhere:1: the connection has ended$"):
        Source(lambda line: None).open()


def test_the_query_of_a_source_is_not_told() -> None:
    source = Source(lambda line: None)
    source.where = "opc.tcp://nowhere:1/?token=s3cret"
    with pytest.raises(SensorError, match=r"^it: opc\.tcp://nowhere:1/\?\.\.\.: the connection has ended$"):
        source.open()


def test_a_fault_of_our_own_in_the_thread_ends_the_reader_and_not_only_the_thread() -> None:
    def attend(line: Line) -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        Source(attend).open()


def test_who_is_left_behind_disturbs_nobody() -> None:
    with Source() as source:
        old = source.line
        assert old is not None
    with source:
        old.push(0, 1.0)
        assert math.isnan(row(source)[1][0])


@pytest.mark.parametrize("driver", ["mqtt", "opcua", "can"])
def test_every_count_is_explained(driver: str) -> None:
    section = (
        (ROOT / "docs/drivers.md").read_text("utf-8").partition(f"\n## {driver}\n")[2].partition("\n## ")[0]
    )
    files = [f"sensors/{driver}.py", "sensors/pushed.py", "sensors/latest.py"]
    files += ["sensors/sparkplug.py"] if driver == "mqtt" else []
    source = "".join((ROOT / file).read_text("utf-8") for file in files)
    reasons = set(
        re.findall(r"(?:skip|_count)\(\s*\"(\w+)\"|reason = \"(\w+)\" if .* else \"(\w+)\"", source)
    )
    for reason in {reason for found in reasons for reason in found if reason}:
        assert f"`{reason}`" in section, reason
