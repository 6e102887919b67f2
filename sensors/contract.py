"""What every driver promises, as tests that a driver's own package can run. Needs pytest: `tocsin[test]`.

from sensors.contract import SensorContract

class TestPt100(SensorContract):
    driver = "pt100"

    @pytest.fixture
    def options(self) -> dict[str, object]:
        return {"device": "/dev/ttyUSB0"}
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sensors.base import Clock, Reading, Sensor, SensorError
from sensors.registry import check, create, describe, load

NAME = "it"  # of the sensor under test
PATIENCE_S = 20.0  # of a real clock: for a reading, a peer that goes or comes, threads and files to be let go
LATE_S = 1.0  # how much longer than asked a read may block: a thread that stops has to wait for it


class PushedClock(Clock):
    """Time passes only when somebody waits."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.unix = start
        self.seconds = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.unix

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.push(seconds)

    def push(self, seconds: float) -> None:
        self.unix += seconds
        self.seconds += seconds


class SensorContract:
    """Derive a class `Test...` for each driver: say which, and give `options` with which it reads something.

    Where a driver speaks to a peer, the fixture `options` starts it. Override `nowhere`, `lose` and `mend` where a
    source can be missing or go away.
    """

    driver: ClassVar[str]
    clock: ClassVar[type[Clock]] = (
        Clock  # PushedClock for what waits on its own clock alone: no test then takes time
    )

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, object]:
        """Options of a source that is there and gives at least five readings."""
        return {}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object] | None:
        """Options of a source that is not there; None where it cannot be missing."""
        return None

    def lose(self) -> None:
        """Take the source of the opened sensor away: pull the plug, kill the peer."""

    def mend(self) -> None:
        """Bring it back."""

    @pytest.fixture
    def sensor(self, options: Mapping[str, object]) -> Iterator[Sensor]:
        """The sensor, not yet open."""
        sensor = create(NAME, self.driver, options)
        sensor.clock = self.clock()
        yield sensor
        sensor.close()

    def test_readings_have_the_promised_shape_type_and_name(self, sensor: Sensor) -> None:
        with sensor:
            first = next_of(sensor)
            names = [channel.name for channel in sensor.channels]
            assert sensor.rate_hz > 0, "rate_hz is known once it is open"
            assert len(set(names)) == len(names) > 0, f"channels have names of their own: {names}"
            assert all(channel.unit for channel in sensor.channels), 'a channel without a unit has "1"'
            for reading in (first, next_of(sensor), next_of(sensor)):
                assert reading.values.dtype == np.float32, f"values are {reading.values.dtype}"
                assert reading.values.ndim == 2, f"values have the shape {reading.values.shape}"
                assert reading.values.shape[1] == len(names), (
                    f"{reading.values.shape} for {len(names)} channels"
                )
                assert len(reading.values) > 0, "a reading has at least one sample"
                assert reading.rate_hz == sensor.rate_hz, "a reading has its sensor's rate"
                assert reading.sensor == NAME, "a reading has its sensor's name"

    def test_time_goes_forward_without_overlap(self, sensor: Sensor) -> None:
        with sensor:
            latest = -np.inf
            for _ in range(5):
                reading = next_of(sensor)
                period = 1.0 / reading.rate_hz
                # A polled tick may be late by less than a period; the next one is on time.
                least = latest + (period - 1e-6 if isinstance(sensor.clock, PushedClock) else 0.0)
                assert reading.time > least, f"{reading.time} comes after a sample of {latest}"
                latest = reading.time + (len(reading.values) - 1) * period

    def test_a_read_comes_back_after_its_timeout(self, sensor: Sensor) -> None:
        clock = sensor.clock
        with sensor:
            next_of(sensor)
            before = clock.monotonic()
            reading = sensor.read(0.001)
            took = clock.monotonic() - before
            if isinstance(clock, PushedClock):
                assert reading is None, "nothing is due yet"
                assert abs(took - 0.001) < 1e-9, f"it waited {took} s for 0.001 s"
            assert took < 0.001 + LATE_S, f"it waited {took} s for 0.001 s"
            next_of(sensor)

    def test_a_reading_belongs_to_who_got_it(self, sensor: Sensor) -> None:
        with sensor:
            first = next_of(sensor)
            kept = first.values.copy()
            next_of(sensor)
            np.testing.assert_array_equal(first.values, kept)

    def test_closing_twice_is_fine_and_opening_again_too(self, sensor: Sensor) -> None:
        sensor.close()
        sensor.open()
        next_of(sensor)
        before = sensor.channels, sensor.rate_hz, sensor.kind
        sensor.close()
        sensor.close()
        sensor.open()
        next_of(sensor)
        assert (sensor.channels, sensor.rate_hz, sensor.kind) == before, "it came back as another"

    def test_reading_before_open_or_after_close_is_an_error(self, sensor: Sensor) -> None:
        wanted = f'read raises self.error("read before open"), which says "{NAME}: read before open"'
        with refused(f"{wanted}, of a sensor that was never opened") as said:
            sensor.read(1.0)
        assert f"{NAME}: read before open" in said[0], f"{wanted}, and not {said[0]!r}"
        sensor.open()
        sensor.close()
        with refused(f"{wanted}, after close") as said:
            sensor.read(1.0)
        assert f"{NAME}: read before open" in said[0], f"{wanted}, and not {said[0]!r}"

    def test_what_was_left_out_is_counted_by_reason(self, sensor: Sensor) -> None:
        with sensor:
            next_of(sensor)
            counts = sensor.left_out()
        assert all(isinstance(reason, str) and isinstance(count, int) for reason, count in counts.items())

    def test_a_closed_sensor_leaves_nothing_behind(self, sensor: Sensor) -> None:
        with sensor:
            next_of(sensor)  # what a library makes once and keeps is no leak
        before = held()
        for _ in range(3):
            with sensor:
                next_of(sensor)
        until(lambda: held() <= before, "threads and open files are let go in close")

    def test_a_missing_source_is_a_sensor_error_that_says_where(
        self, nowhere: Mapping[str, object] | None
    ) -> None:
        if nowhere is None:
            return
        sensor = create(NAME, self.driver, nowhere)
        sensor.clock = self.clock()
        with refused(f"open, or the first read, raises SensorError for {dict(nowhere)}") as said, sensor:
            next_of(sensor)
        sensor.close()
        named = [str(value) for value in nowhere.values() if str(value) in said[0]]
        assert named, f"an error says where: none of {dict(nowhere)} is in {said[0]!r}"

    def test_a_source_that_goes_is_an_error_and_comes_back(self, sensor: Sensor) -> None:
        if type(self).lose is SensorContract.lose:
            return
        sensor.open()
        next_of(sensor)
        before = sensor.channels, sensor.rate_hz
        self.lose()
        with refused("read raises SensorError once its source is gone"):
            until(lambda: listens_no_more(sensor), "it notices that its source is gone")
        sensor.close()
        self.mend()
        until(lambda: opens(sensor), "it opens again")
        next_of(sensor)
        assert (sensor.channels, sensor.rate_hz) == before, "it came back as another"

    def test_the_constructor_touches_nothing(
        self, options: Mapping[str, object], nowhere: Mapping[str, object] | None
    ) -> None:
        given = options if nowhere is None else nowhere
        assert check(self.driver, given) == []
        assert create(NAME, self.driver, given).name == NAME

    def test_what_it_finds_has_a_name_and_options_that_are_right(self, tmp_path: Path) -> None:
        cls = load(self.driver)
        assert list(cls.find(tmp_path / "empty")) == [], "nothing can be found where there is nothing"
        for found in cls.find(Path("/")):
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", found.name), (
                f"{found.name} is no sensor's name"
            )
            assert found.what, "it says what was found"
            assert check(self.driver, found.options) == []

    def test_every_option_is_explained(self) -> None:
        for option in describe(self.driver):
            assert option.doc, f"{self.driver}: {option.name} is missing under Options: of the docstring"
            for field in option.fields:
                assert field.doc, f"{self.driver}: {option.name}.{field.name}"

    def test_importing_a_driver_loads_no_library_but_numpy(self) -> None:
        module = load(self.driver).__module__
        code = (
            "import sys, numpy.random, sensors; before = set(sys.modules);"
            f"import {module}; print(*{{name.partition('.')[0] for name in set(sys.modules) - before}})"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        own = {"sensors", "numpy", module.partition(".")[0]}
        foreign = set(done.stdout.split()) - own - sys.stdlib_module_names
        assert not foreign, f"{module} imports {', '.join(sorted(foreign))}: do so in open()"


def next_of(sensor: Sensor) -> Reading:
    """The next Reading; fails when none comes within PATIENCE_S of the sensor's own clock."""
    end = sensor.clock.monotonic() + PATIENCE_S
    while (left := end - sensor.clock.monotonic()) > 0 and not sensor.finished:
        reading = sensor.read(left)
        if reading is not None:
            return reading
    raise AssertionError(f"{sensor.name} gave no reading within {PATIENCE_S:g} s")


@contextmanager
def refused(wanted: str) -> Iterator[list[str]]:
    """What is done in it raises a SensorError, the words of which come in the list; a failure says what is wanted."""
    said: list[str] = []
    try:
        yield said
    except SensorError as error:
        said.append(str(error))
    else:
        pytest.fail(f"it raised nothing: {wanted}")


def listens_no_more(sensor: Sensor) -> bool:
    """Never true: it raises SensorError once the source is gone."""
    sensor.read(0.5)
    return False


def opens(sensor: Sensor) -> bool:
    """Whether it opens now."""
    try:
        sensor.open()
    except SensorError:
        sensor.close()
        return False
    return True


def held() -> int:
    """Threads and open files of this process."""
    return threading.active_count() + len(list(Path("/proc/self/fd").iterdir()))


def until(claim: Callable[[], object], what: str) -> None:
    """Wait for the world, which has no clock to push."""
    end = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < end, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.01)
