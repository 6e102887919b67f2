"""Several sensors as one: real ones, and recordings, whose times are known."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sensors import DRIVERS, Channel, Reading, Sensor, SensorError, check, create, options
from sensors.contract import SensorContract
from sensors.join import OURS, Join
from sensors.recorder import write
from tests.agent.brokers import HOST, Mosquitto, Subscriber, until
from tests.sensors.packages import FLOW, install
from tests.sensors.world import BOARD, make_board

START = 1_700_000_000.0
SOON_S = 10.0


class TestJoin(SensorContract):
    driver = "join"

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, object]:
        board = make_board(tmp_path / "board", BOARD)
        return {
            "rate_hz": 20,
            "of": {
                "motor": {"driver": "synthetic", "rate_hz": 1000, "block_s": 0.02},
                "board": {"driver": "host", "root": str(board), "rate_hz": 10},
            },
        }


def record(path: Path, name: str, rate_hz: float, *runs: tuple[float, NDArray[np.float32]]) -> str:
    """An NPZ of runs, each from its time on; one channel."""
    readings = [Reading("it", START + at, rate_hz, values[:, None]) for at, values in runs]
    write(path / f"{name}.npz", [Channel("v", "A")], readings)
    return str(path / f"{name}.npz")


def counting(count: int, first: float = 0.0) -> NDArray[np.float32]:
    return np.arange(first, first + count, dtype=np.float32)


def join(of: Mapping[str, Mapping[str, object]], **more: object) -> Join:
    sensor = create("cell", "join", {"of": of, **more})
    assert isinstance(sensor, Join)
    return sensor


def rows_of(sensor: Sensor) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times and values of all rows, to the end."""
    readings = []
    with sensor:
        while not sensor.finished:
            reading = sensor.read(5.0)
            if reading is not None:
                readings.append(reading)
    times = [r.time + np.arange(len(r.values)) / r.rate_hz - START for r in readings]
    return np.concatenate(times), np.concatenate([r.values for r in readings])


def played(file: str, **more: object) -> dict[str, object]:
    return {"driver": "recording", "file": file, "speed": 0, **more}


def test_rates_become_one_and_every_sample_counts_in_its_tick(tmp_path: Path) -> None:
    fast = record(tmp_path, "fast", 10.0, (0.1, counting(100)))  # 0.1 .. 10.0
    same = record(tmp_path, "same", 1.0, (1.0, counting(10)))
    sensor = join({"fast": played(fast), "same": played(same)})
    times, values = rows_of(sensor)
    assert sensor.channels == (Channel("fast v", "A"), Channel("same v", "A"))
    np.testing.assert_allclose(times, np.arange(1, 11))
    np.testing.assert_allclose(values[:, 0], [4.5 + 10 * i for i in range(10)])
    np.testing.assert_allclose(values[:, 1], np.arange(10))
    assert sensor.skipped == {}


@pytest.mark.parametrize(
    ("take", "meant"), [("mean", 4.5), ("last", 9.0), ("rms", math.sqrt(28.5)), ("peak", 9.0)]
)
def test_what_becomes_of_many_samples_is_said_for_each_part(tmp_path: Path, take: str, meant: float) -> None:
    fast = record(tmp_path, "fast", 10.0, (0.1, counting(10)))
    _, values = rows_of(join({"fast": played(fast, take=take)}))
    assert values[0, 0] == pytest.approx(meant)


def test_a_slow_part_stands_for_one_and_a_half_of_its_periods_or_as_said(tmp_path: Path) -> None:
    fast = record(tmp_path, "fast", 1.0, (1.0, counting(40)))
    slow = record(tmp_path, "slow", 0.1, (5.0, counting(2)))  # 5 and 15
    _, values = rows_of(join({"fast": played(fast), "slow": played(slow)}))
    there = np.flatnonzero(~np.isnan(values[:, 1])) + 1
    np.testing.assert_array_equal(there, np.arange(5, 31))  # 15 s after 15
    _, values = rows_of(join({"fast": played(fast), "slow": played(slow, hold_s=2)}))
    there = np.flatnonzero(~np.isnan(values[:, 1])) + 1
    np.testing.assert_array_equal(there, [5, 6, 7, 15, 16, 17])


def test_a_gap_of_one_part_is_nan_and_a_gap_of_all_has_no_rows(tmp_path: Path) -> None:
    one = record(tmp_path, "one", 1.0, (1.0, counting(5)), (10_001.0, counting(5)))
    other = record(tmp_path, "other", 1.0, (1.0, counting(20)), (10_001.0, counting(5)))
    times, values = rows_of(join({"one": played(one), "other": played(other)}))
    np.testing.assert_allclose(times, [*range(1, 22), *range(10_001, 10_006)])  # the last stands for a tick
    np.testing.assert_array_equal(np.isnan(values[:, 0]), [False] * 6 + [True] * 15 + [False] * 5)


def test_recordings_of_any_length_join_to_the_same_rows_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    files = {
        f"p{i}": played(record(tmp_path, f"p{i}", rate_hz, (i * 3.3, rng.normal(size=n).astype(np.float32))))
        for i, (rate_hz, n) in enumerate([(0.3, 3000), (7.0, 60_000), (50.0, 400_000)])
    }
    first_times, first = rows_of(join(files, rate_hz=2))
    times, values = rows_of(join(files, rate_hz=2))
    np.testing.assert_array_equal(times, first_times)
    np.testing.assert_array_equal(values, first)
    assert len(values) > 15_000
    assert not np.isnan(values[100:15_000]).any()


def test_a_part_that_ends_leaves_the_others_and_all_that_end_are_the_end(tmp_path: Path) -> None:
    short = record(tmp_path, "short", 1.0, (1.0, counting(3)))
    long = record(tmp_path, "long", 1.0, (1.0, counting(30)))
    times, values = rows_of(join({"short": played(short), "long": played(long)}))
    assert len(times) == 30
    assert np.isnan(values[10:, 0]).all()


def test_a_clock_set_back_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "back.csv"
    minutes = (30, 31, 10, 11)
    lines = [
        f"2024-03-01T12:{minute:02d}:{second:02d}Z,{minute}" for minute in minutes for second in range(60)
    ]
    file.write_text("time,a\n" + "\n".join(lines) + "\n")
    times, values = rows_of(join({"a": played(str(file))}))
    np.testing.assert_array_equal(values[:, 0], np.repeat(minutes, 60))
    assert np.flatnonzero(np.diff(times) < 0).tolist() == [119]


def test_live_parts_of_different_rates_give_whole_rows_at_their_own_times(tmp_path: Path) -> None:
    board = make_board(tmp_path / "board", BOARD)
    sensor = join(
        {
            "motor": {"driver": "synthetic", "rate_hz": 2000, "block_s": 0.05, "axes": 1},
            "slow": {"driver": "synthetic", "output": "telemetry", "rate_hz": 5, "block_s": 0.2},
            "board": {"driver": "host", "root": str(board), "include": ["load"], "rate_hz": 20},
        },
        rate_hz=10,
    )
    assert sensor.kind == "telemetry"
    readings: list[Reading] = []
    began = time.time()
    with sensor:
        while sum(len(reading.values) for reading in readings) < 20:
            reading = sensor.read(1.0)
            if reading is not None:
                readings.append(reading)
                assert (
                    reading.time + (len(reading.values) - 1) / 10 <= time.time() + 0.01
                )  # none of the future
    values = np.concatenate([reading.values for reading in readings])
    times = np.concatenate([r.time + np.arange(len(r.values)) / 10 for r in readings])
    np.testing.assert_allclose(np.diff(times), 0.1, atol=1e-6)
    assert abs(times[0] - began) < 1.0
    assert not np.isnan(values[4:]).any()
    assert values[4:, 0].min() > 0.0  # the rms of a vibration, whose mean is nothing
    assert sensor.skipped == {}


def test_a_part_that_lags_is_waited_for_only_so_long(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        slow = {
            "driver": "mqtt",
            "host": HOST,
            "port": broker.port,
            "rate_hz": 20,
            "delay_s": 30,
            "values": [{"name": "a", "topic": "a"}],
        }
        sensor = join(
            {"motor": {"driver": "synthetic", "rate_hz": 100, "axes": 1}, "slow": slow},
            rate_hz=20,
            wait_s=0.3,
        )
        with sensor:
            while (reading := sensor.read(5.0)) is None or np.isnan(reading.values[-1, 0]):
                pass
            until(lambda: sensor.read(0.1) is not None and sensor.skipped.get("slow late"), "counted")


def test_what_a_plug_in_raises_is_the_joins_error_and_no_fault_of_ours(site: Path) -> None:
    broken = FLOW.replace("return (1.0,)", 'raise ValueError("of a plug-in")')
    install(site, "flow_broken", broken, "flow = flow_broken:Flow")
    sensor = join({"pump": {"driver": "flow", "port": 1}, "motor": {"driver": "synthetic"}})
    told = pytest.raises(
        SensorError, match=r"^cell\.pump: fault of the driver from flow_broken 1.2: ValueError: of a"
    )
    with told, sensor:  # it may be broken before the others are open
        until(lambda: sensor.read(1.0) is None and False, "an error")


TICKING = "import time\nwhile True: print(time.time(), 5, sep=','); time.sleep(0.1)"
STRAYING = """
import time
print(time.time(), 1, sep=",")
time.sleep(0.5)
print(time.time() + {ahead_s}, 2, sep=",")
time.sleep({pause_s})
while True: print(time.time(), 3, sep=","); time.sleep(0.1)
"""


@pytest.mark.parametrize(("ahead_s", "counted"), [(3600, {"stray ahead": 1}), (3, {})])
def test_a_time_of_the_future_costs_no_rows_of_the_others(ahead_s: int, counted: dict[str, int]) -> None:
    """Neither while the part that gave it says nothing more, nor later."""
    programs = {"stray": STRAYING.format(ahead_s=ahead_s, pause_s=3), "sound": TICKING}
    of = {
        name: {
            "driver": "exec",
            "command": [sys.executable, "-uc", program],
            "line": {"time": 1},
            "channels": [{"name": "v", "at": 2}],
            "rate_hz": 10,
        }
        for name, program in programs.items()
    }
    readings: list[Reading] = []
    began = time.time()
    sensor = join(of, rate_hz=5, wait_s=0.5)
    with sensor:
        while not readings or readings[-1].values[-1, 0] != 3.0:  # the stray part is heard again
            reading = sensor.read(SOON_S)
            assert reading is not None, "no rows any more"
            readings.append(reading)
        ended = time.time()
    times = np.concatenate([r.time + np.arange(len(r.values)) / 5 for r in readings])
    sound = np.concatenate([r.values[:, 1] for r in readings])
    assert times[-1] <= ended
    assert np.isfinite(sound).sum() >= 0.8 * 5 * (ended - began - 1.0)
    assert {reason: count for reason, count in sensor.skipped.items() if reason == "stray ahead"} == counted


def test_a_part_that_fails_is_the_joins_error_and_comes_back_with_it(tmp_path: Path) -> None:
    before = threading.active_count()
    with Mosquitto(tmp_path) as broker:
        part = {"driver": "mqtt", "host": HOST, "port": broker.port, "rate_hz": 20}
        part["values"] = [{"name": "a", "topic": "a"}]
        sensor = join({"motor": {"driver": "synthetic", "rate_hz": 100, "axes": 1}, "shop": part}, rate_hz=20)
        with sensor, Subscriber(broker.port, client_id="voice") as voice:
            voice.publish("a", b"7")
            until(lambda: (reading := sensor.read(1.0)) is not None and reading.values[-1, 1] == 7.0, "heard")
            broker.kill()
            with pytest.raises(SensorError, match=rf"^cell\.shop: {HOST}:{broker.port}: the broker closed"):
                until(lambda: sensor.read(1.0) is None and False, "an error")
        with pytest.raises(SensorError, match=r"^cell\.shop: .*nothing listens"):
            sensor.open()
        sensor.close()
        broker.start()
        with sensor, Subscriber(broker.port, client_id="voice") as voice:
            voice.publish("a", b"8")
            until(
                lambda: (reading := sensor.read(1.0)) is not None and reading.values[-1, 1] == 8.0,
                "heard again",
            )
    until(lambda: threading.active_count() <= before, "threads end")


def test_a_part_that_is_not_there_is_an_error_that_says_where(tmp_path: Path) -> None:
    sensor = join({"pump": played(str(tmp_path / "no.csv")), "board": {"driver": "host"}})
    with pytest.raises(SensorError, match=r"/no\.csv: no such file"):
        sensor.open()
    sensor.close()


def test_every_mistake_in_a_part_is_told_with_its_path() -> None:
    problems = check(
        "join",
        {
            "of": {
                "a": {"driver": "synthetic", "rate_hz": "soon", "nope": 1, "take": "mode"},
                "b": {"driver": "syntetic"},
                "c": {},
                "d": 7,
                "e": {"driver": "synthetic", "hold_s": "2 s", "faults": [{"kind": "stuck", "channel": "z"}]},
            },
            "rate_hz": -1,
        },
    )
    assert [(problem.path, problem.message) for problem in problems] == [
        ("of.a.take", "must be one of mean, last, rms, peak"),
        ("of.a.nope", problems[1].message),
        ("of.a.rate_hz", 'is not a frequency, e.g. "100 Hz", "1480 rpm" or 100 (Hz)'),
        ("of.b.driver", "unknown driver: did you mean synthetic?"),
        ("of.c.driver", "is missing: a text"),
        ("of.d", problems[5].message),
        ("of.e.faults[0].channel", "must be one of x, y"),
        ("rate_hz", "must be above 0"),
    ]


@pytest.mark.parametrize(
    ("of", "path"),
    [
        (["plug", "drive"], "of"),
        ({"plug": "plug"}, "of.plug"),
        ({"plug": {"sensor": "plug"}}, "of.plug.sensor"),
    ],
)
def test_a_sensor_of_the_configuration_cannot_be_a_part_and_what_can_is_said(of: object, path: str) -> None:
    (problem,) = check("join", {"of": of})
    assert problem.path == path
    assert "written out with its driver and options, as in {plug: {driver: http, ...}}" in problem.message
    assert "a sensor of the configuration cannot be named" in problem.message


def test_its_channels_are_known_before_it_opens_where_those_of_all_parts_are() -> None:
    asked = {"driver": "http", "url": "http://127.0.0.1/", "channels": [{"name": "power", "unit": "W"}]}
    drive = {"driver": "synthetic", "axes": 1}
    assert join({"plug": asked, "drive": drive}).channels == (
        Channel("plug power", "W"),
        Channel("drive x", "m/s2"),
    )
    assert join({"plug": asked, "past": played("not-opened-yet.csv")}).channels == ()


@pytest.mark.parametrize("of", [{}, [], "a", {1: {"driver": "host"}}, {"": {"driver": "host"}}, None])
def test_parts_that_are_none_are_refused(of: object) -> None:
    assert [problem.path for problem in check("join", {"of": of})] == ["of"]


@pytest.mark.parametrize("driver", sorted(set(DRIVERS) - {"join"}))
def test_no_driver_has_an_option_that_a_join_takes_for_its_own(driver: str) -> None:
    assert not set(OURS) & set(options(driver))
