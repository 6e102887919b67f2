"""IIO devices captured by the kernel: frames, times, triggers, and what is said when they do not fit."""

from __future__ import annotations

import errno
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from sensors import Channel, SensorError
from sensors.contract import PushedClock, SensorContract
from sensors.iio import Iio
from tests.sensors import iio_pace
from tests.sensors.iio_world import (
    ACCEL,
    AXES,
    SCALE,
    Node,
    Running,
    frames_of,
    make_accelerometer,
    make_device,
    make_trigger,
)
from tests.sensors.world import make_board

PERIOD_NS = 625_000  # of 1600 Hz
START_NS = 1_700_000_000_000_000_000


class TestBuffered(SensorContract):
    driver = "iio"
    root: Path
    node: Running

    @pytest.fixture
    def options(self, tmp_path: Path) -> Iterator[Mapping[str, object]]:
        make_accelerometer(tmp_path)
        type(self).root, type(self).node = tmp_path, Running(tmp_path)
        yield {
            "device": "lis2dh12_accel",
            "capture": "buffered",
            "trigger": "none",
            "root": str(tmp_path),
        }
        self.node.close()

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        make_accelerometer(tmp_path)
        return {"device": "lis2dh12", "capture": "buffered", "root": str(tmp_path)}

    def lose(self) -> None:
        self.node.close()

    def mend(self) -> None:
        type(self).node = Running(self.root)


class Capture:
    """A buffered accelerometer and its node."""

    def __init__(self, root: Path, **options: object) -> None:
        self.folder = make_accelerometer(root)
        self.node = Node(root)
        self.sensor = Iio(device="lis2dh12_accel", capture="buffered", root=str(root), **options)  # type: ignore[arg-type]
        self.sensor.clock = PushedClock()


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    capture = Capture(tmp_path, trigger="none")
    yield capture
    capture.sensor.close()
    capture.node.close()


def test_frames_become_samples_with_the_times_the_kernel_gave_them(capture: Capture) -> None:
    capture.sensor.open()
    assert capture.sensor.channels == tuple(Channel(f"accel_{axis}", "m/s2") for axis in "xyz")
    assert (capture.sensor.rate_hz, capture.sensor.kind) == (1600.0, "vibration")
    rows = [(i - 80, -i, 2047 if i else -2048) for i in range(160)]
    capture.node.fill(frames_of(rows, [START_NS + i * PERIOD_NS for i in range(160)]))
    reading = capture.sensor.read(1.0)
    assert reading is not None
    assert reading.time == pytest.approx(START_NS / 1e9, abs=1e-6)
    np.testing.assert_allclose(reading.values, np.array(rows) * SCALE, rtol=1e-6)
    assert capture.sensor.read(0.0) is None
    assert capture.sensor.skipped == {}


def test_the_kernel_is_set_up_as_asked_and_switched_off_again(capture: Capture) -> None:
    capture.sensor.open()

    def says(name: str) -> str:
        return (capture.folder / name).read_text().strip()

    assert [says(f"scan_elements/in_{name}_en") for name in (*AXES, "timestamp")] == ["1"] * 4
    assert (says("buffer/length"), says("buffer/watermark"), says("buffer/enable")) == ("4096", "160", "1")
    capture.sensor.close()
    assert says("buffer/enable") == "0"


def test_only_the_channels_asked_for_are_captured_in_the_order_asked(tmp_path: Path) -> None:
    capture = Capture(tmp_path, trigger="none", channels=["accel_z", "accel_x"])
    (capture.folder / "scan_elements/in_accel_y_en").write_text("1\n")  # somebody else's wish
    capture.sensor.open()
    assert [channel.name for channel in capture.sensor.channels] == ["accel_z", "accel_x"]
    assert (capture.folder / "scan_elements/in_accel_y_en").read_text().strip() == "0"
    capture.node.fill(
        b"".join(x.to_bytes(2, "little") for x in (1 << 4, 2 << 4, 0, 0)) + START_NS.to_bytes(8, "little")
    )
    reading = capture.sensor.read(1.0)
    assert reading is not None
    np.testing.assert_allclose(reading.values, [[2 * SCALE, SCALE]], rtol=1e-6)
    capture.sensor.close()
    capture.node.close()


def test_frames_cut_anywhere_are_put_together(capture: Capture) -> None:
    capture.sensor.open()
    frames = frames_of([(i, 0, 0) for i in range(50)], [START_NS + i * PERIOD_NS for i in range(50)])
    got: list[float] = []
    for cut in (frames[:7], frames[7:30], frames[30:]):
        capture.node.fill(cut)
        reading = capture.sensor.read(0.0)
        got += [] if reading is None else (reading.values[:, 0] / SCALE).round().tolist()
    assert got == list(range(50))


def test_a_hole_between_stamps_is_counted_and_begins_another_reading(capture: Capture) -> None:
    capture.sensor.open()
    ticks = [0, 1, 2, 3, 10, 11, 12, 13]
    capture.node.fill(frames_of([(i, 0, 0) for i in ticks], [START_NS + i * PERIOD_NS for i in ticks]))
    first, second = capture.sensor.read(1.0), capture.sensor.read(1.0)
    assert first is not None
    assert second is not None
    assert (len(first.values), len(second.values)) == (4, 4)
    assert second.time - first.time == pytest.approx(10 / 1600, abs=1e-6)
    assert capture.sensor.skipped == {"lost_samples": 6}
    capture.node.fill(frames_of([(0, 0, 0)], [START_NS + 20 * PERIOD_NS]))  # and between blocks
    capture.sensor.read(1.0)
    assert capture.sensor.skipped == {"lost_samples": 12}


def test_stamps_of_another_clock_become_unix_time_and_follow_it_when_it_is_set(capture: Capture) -> None:
    (capture.folder / "current_timestamp_clock").write_text("monotonic\n")
    clock = capture.sensor.clock
    assert isinstance(clock, PushedClock)
    capture.sensor.open()
    for unix in (1_700_000_000.0, 1_700_003_600.0):
        clock.unix = unix
        capture.node.fill(frames_of([(0, 0, 0)], [round((clock.seconds - 0.25) * 1e9)]))
        clock.push(1 / 1600)
        reading = capture.sensor.read(1.0)
        assert reading is not None
        assert reading.time == pytest.approx(unix - 0.25, abs=1e-6)


def test_a_clock_nobody_knows_is_refused(capture: Capture) -> None:
    (capture.folder / "current_timestamp_clock").write_text("lunar\n")
    with pytest.raises(SensorError, match="a clock lunar is not known"):
        capture.sensor.open()


def test_stamps_of_zero_are_no_times_and_arrival_counts(capture: Capture) -> None:
    capture.sensor.open()
    capture.node.fill(frames_of([(0, 0, 0)] * 4, [0] * 4))
    reading = capture.sensor.read(1.0)
    assert reading is not None
    assert reading.time == pytest.approx(1_700_000_000.0 - 3.5 / 1600, abs=1e-6)
    assert capture.sensor.skipped == {"bad_times": 4}


def test_a_device_without_stamps_is_dated_by_arrival(tmp_path: Path) -> None:
    make_device(
        tmp_path,
        {"name": "adc\n", "sampling_frequency": "200\n", "in_voltage0_scale": "1\n"},
        {"voltage0": "be:u12/16>>0"},
    )
    node = Node(tmp_path)
    sensor = Iio(device="adc", capture="buffered", root=str(tmp_path))
    clock = sensor.clock = PushedClock()
    with sensor:
        for block in range(3):
            node.fill(b"\x0f\xff" * 20)
            clock.push(0.1)
            reading = sensor.read(1.0)
            assert reading is not None
            np.testing.assert_allclose(reading.values, np.full((20, 1), 4.095), rtol=1e-6)
            assert reading.time == pytest.approx(1_700_000_000.0 + 0.1 * (block + 1) - 19.5 / 200, abs=1e-6)
    node.close()


def test_a_chip_of_floating_point_may_say_anything(tmp_path: Path) -> None:
    files = {"name": "dsp\n", "sampling_frequency": "200\n", "in_accel_x_scale": "2\n"}
    make_device(tmp_path, files, {"accel_x": "be:f64/64>>0"})
    node = Node(tmp_path)
    with Iio(device="dsp", capture="buffered", root=str(tmp_path)) as sensor:
        node.fill(struct.pack(">4d", 1.5, math.nan, 1e300, -math.inf))
        reading = sensor.read(1.0)
    assert reading is not None
    np.testing.assert_array_equal(reading.values[:, 0], np.array([3.0, np.nan, np.nan, np.nan], np.float32))
    assert sensor.skipped == {"out_of_range": 2}
    node.close()


@pytest.mark.parametrize(
    ("scale", "said", "meant"), [("1000", 101.3, 101_300.0), ("0.000000001", 35.0, 35e-9)]
)
def test_a_half_is_scaled_as_the_number_it_is(tmp_path: Path, scale: str, said: float, meant: float) -> None:
    files = {"name": "dsp\n", "sampling_frequency": "200\n", "in_voltage0_scale": scale + "\n"}
    make_device(tmp_path, files, {"voltage0": "le:f16/16>>0"})
    node = Node(tmp_path)
    with Iio(device="dsp", capture="buffered", root=str(tmp_path)) as sensor:
        node.fill(struct.pack("<e", said))
        reading = sensor.read(1.0)
    node.close()
    assert reading is not None
    assert reading.values[0, 0] == pytest.approx(meant / 1000, rel=1e-3)


def test_a_timer_is_made_set_and_taken_away_again(tmp_path: Path) -> None:
    timers = tmp_path / "sys/kernel/config/iio/triggers/hrtimer"
    timers.mkdir(parents=True)
    trigger = make_trigger(
        tmp_path, "tocsin0", rate="100.000"
    )  # which the kernel makes when the folder is made
    capture = Capture(tmp_path, trigger="timer", rate_hz=400.0)
    (capture.folder / "sampling_frequency").write_text("10\n")
    capture.sensor.open()
    assert (trigger / "sampling_frequency").read_text() == "400"
    assert (capture.folder / "trigger/current_trigger").read_text() == "tocsin0"
    assert (
        capture.folder / "sampling_frequency"
    ).read_text() == "400"  # or each conversion would be read 40 times
    assert capture.sensor.rate_hz == 400.0
    assert [path.name for path in timers.iterdir()] == ["tocsin0"]
    capture.sensor.close()
    assert (capture.folder / "trigger/current_trigger").read_text() == "\n"
    assert list(timers.iterdir()) == []
    capture.node.close()


@pytest.mark.parametrize(
    ("current", "triggers", "expected"),
    [
        ("pulse", ["lis2dh12_accel-trigger", "pulse"], "pulse"),
        ("", ["lis2dh12_accel-trigger", "pulse"], "lis2dh12_accel-trigger"),
        ("", ["pulse"], "tocsin0"),
    ],
)
def test_the_trigger_is_what_is_set_or_the_devices_own_or_a_timer(
    tmp_path: Path, current: str, triggers: list[str], expected: str
) -> None:
    (tmp_path / "sys/kernel/config/iio/triggers/hrtimer").mkdir(parents=True)
    for i, name in enumerate([*triggers, "tocsin0"]):
        make_trigger(tmp_path, name, i, "100" if name == "tocsin0" else None)
    capture = Capture(tmp_path, rate_hz=100.0)
    (capture.folder / "trigger/current_trigger").write_text(f"{current}\n")
    capture.sensor.open()
    assert (capture.folder / "trigger/current_trigger").read_text().strip() == expected
    capture.sensor.close()
    capture.node.close()


@pytest.mark.parametrize(
    ("options", "files", "told"),
    [
        ({"trigger": "pulse"}, {}, "there is no trigger pulse: there are none; or say timer"),
        ({"trigger": "timer", "rate_hz": 100.0}, {}, "modprobe iio-trig-hrtimer"),
        ({"trigger": "none", "rate_hz": 123.0}, {}, "does not offer 123 Hz: it offers 1, 10, 25, 50, 100"),
        ({"trigger": "none"}, {"sampling_frequency": "0\n"}, "says 0 Hz: give rate_hz"),
        (
            {"trigger": "none"},
            {"scan_elements/in_accel_y_type": "le:s12\n"},
            r"in_accel_y_type: 'le:s12' is not",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_what_would(
    tmp_path: Path, options: dict[str, object], files: dict[str, str], told: str
) -> None:
    capture = Capture(tmp_path, **options)
    make_board(capture.folder, files)
    with pytest.raises(SensorError, match=told):
        capture.sensor.open()
    assert (capture.folder / "buffer/enable").read_text().strip() == "0"
    capture.node.close()


def test_a_device_that_has_no_buffer_says_to_poll_it(tmp_path: Path) -> None:
    make_device(tmp_path, ACCEL)
    (tmp_path / "dev").mkdir()
    with pytest.raises(SensorError, match="has no buffer: say capture: polled"):
        Iio(device="lis2dh12_accel", capture="buffered", root=str(tmp_path)).open()


def test_a_buffer_that_somebody_switched_off_is_an_error(capture: Capture) -> None:
    capture.sensor.open()
    (capture.folder / "buffer/enable").write_text("0\n")
    with pytest.raises(SensorError, match="switched off by someone else"):
        capture.sensor.read(0.0)


def test_what_a_killed_process_left_running_is_switched_off_and_read_past(capture: Capture) -> None:
    (capture.folder / "buffer/enable").write_text("1\n")
    capture.node.fill(frames_of([(9, 9, 9)] * 10, [START_NS] * 10))
    capture.sensor.open()
    capture.node.fill(frames_of([(1, 0, 0)], [START_NS + 10**9]))
    reading = capture.sensor.read(1.0)
    assert reading is not None
    np.testing.assert_allclose(reading.values, [[SCALE, 0.0, 0.0]], rtol=1e-6)


def test_files_that_say_it_already_are_not_written(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a service that sees /sys read-only, and a udev rule that has set it all."""
    capture.sensor.open()
    capture.sensor.close()
    (capture.folder / "buffer/enable").write_text("1\n")

    def refuse(path: Path, *_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    capture.sensor.open()
    monkeypatch.undo()
    (capture.folder / "scan_elements/in_accel_y_en").write_text("0\n")
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(
        SensorError, match=r"in_accel_y_en cannot be written: Read-only .*Rights for buffered capture"
    ):
        capture.sensor.open()


def test_every_sample_of_25600_a_second_is_accounted_for() -> None:
    told = iio_pace.measure(25_600, 1.0)
    assert told["received"] + told["lost"] == told["sent"]
    assert told["lost"] == told["fifo_full"]
    assert told["worst_time_s"] < 0.5 / 25_600
