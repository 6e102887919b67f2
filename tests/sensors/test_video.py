"""Video: files that ffmpeg made, a real RTSP server, and what is no video."""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors import Reading, SensorError, create
from sensors.camera import Camera
from sensors.contract import PushedClock, SensorContract
from sensors.picture import MOST_PIXELS, Picture
from sensors.video import NoVideo, Y4m
from tests.real import need
from tests.sensors.camera_world import NetworkCamera, video
from tests.sensors.http_peer import Hostile
from tests.sensors.world import read_all, times_of, values_of

SOON_S = 30.0
RED_TO_BLUE = "color=red:size=64x48:rate=10:duration=5[a];color=blue:size=64x48:rate=10[b];[a][b]concat"


def make(**options: object) -> Camera:
    sensor = create("eye", "camera", options)
    assert isinstance(sensor, Camera)
    return sensor


def next_of(sensor: Camera) -> Reading:
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        reading = sensor.read(0.5)
        if reading is not None:
            return reading
    raise AssertionError("no reading")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 10 pictures per second: a red half, and a blue one."""
    return video(tmp_path_factory.mktemp("film") / "film.mp4", RED_TO_BLUE, seconds=10)


class TestFile(SensorContract):
    driver = "camera"
    clock = PushedClock

    @pytest.fixture
    def options(self, film: Path) -> Mapping[str, object]:
        return {"file": str(film), "rate_hz": 2}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        need("ffmpeg")
        return {"file": str(tmp_path / "no.mp4")}


class TestStream(SensorContract):
    driver = "camera"

    @pytest.fixture
    def options(self) -> Iterator[Mapping[str, object]]:
        need("ffmpeg")
        self.camera = NetworkCamera()
        self.mend()
        yield {"url": self.camera.url, "rate_hz": 5, "timeout_s": 2}
        self.camera.end()

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        need("ffmpeg")
        return {"url": "rtsp://127.0.0.1:1/eye"}

    def lose(self) -> None:
        self.camera.end()

    def mend(self) -> None:
        self.camera.begin()


# Files.


def test_a_file_is_read_like_a_recording(film: Path) -> None:
    sensor = make(
        file=str(film), speed=0, start="2024-03-01T12:00:00Z", figures=["red", "green", "blue", "change"]
    )
    readings = read_all(sensor)
    found = values_of(readings)
    np.testing.assert_array_equal(times_of(readings), 1_709_294_400.0 + np.arange(10))
    np.testing.assert_allclose(found[:5, :3], [[100, 0, 0]] * 5, atol=1.5)
    np.testing.assert_allclose(found[5:, :3], [[0, 0, 100]] * 5, atol=1.5)
    assert math.isnan(found[0, 3])
    assert np.flatnonzero(found[:, 3] > 5).tolist() == [5]
    assert sensor.skipped == {}


def test_a_file_is_read_twice_with_the_same_figures(film: Path) -> None:
    sensor = make(file=str(film), speed=0)
    np.testing.assert_array_equal(values_of(read_all(sensor)), values_of(read_all(sensor)))


def test_a_file_is_played_at_its_own_pace(film: Path) -> None:
    sensor = make(file=str(film), speed=2)
    sensor.clock = clock = PushedClock()
    readings = read_all(sensor)
    assert len(readings) == 10
    assert clock.monotonic() - 1000.0 == pytest.approx(5.0, abs=0.5)


def test_the_newest_picture_at_each_tick_is_taken(tmp_path: Path) -> None:
    ramp = "nullsrc=size=64x48:rate=10,geq=lum='N*2':cb=128:cr=128"
    lossless = ["-c:v", "ffv1", "-color_range", "pc"]
    file = video(tmp_path / "ramp.mkv", ramp, seconds=10, options=lossless)
    found = values_of(read_all(make(file=str(file), speed=0, figures=["luminance"])))
    numbers = np.rint(found[:, 0] * 255 / 100 / 2)
    np.testing.assert_allclose(numbers[:10], np.arange(0, 100, 10), atol=1)  # 10 pictures further each second


def test_key_frames_alone_are_pictures_too(tmp_path: Path) -> None:
    options = ["-c:v", "mpeg4", "-g", "20"]
    file = video(tmp_path / "film.mp4", "testsrc2=size=64x48:rate=10", seconds=10, options=options)
    found = values_of(read_all(make(file=str(file), speed=0, rate_hz=0.5, key_frames=True)))
    every = values_of(read_all(make(file=str(file), speed=0, rate_hz=0.5)))
    assert len(found) >= 5
    np.testing.assert_allclose(found[1:5], every[1:5], rtol=0.02)


def test_a_file_that_is_no_video_is_an_error_that_says_so(tmp_path: Path) -> None:
    need("ffmpeg")
    file = tmp_path / "film.mp4"
    file.write_bytes(b"no film\n" * 100)
    with (
        make(file=str(file)) as sensor,
        pytest.raises(SensorError, match=r"film.mp4: ffmpeg ended .* Invalid data"),
    ):
        sensor.read(SOON_S)


def test_a_file_cannot_make_anything_else_be_read(tmp_path: Path, film: Path) -> None:
    playlist = tmp_path / "film.ffconcat"
    playlist.write_text("ffconcat version 1.0\nfile 'http://127.0.0.1:1/film.mp4'\n")
    with make(file=str(playlist)) as sensor, pytest.raises(SensorError, match="ffmpeg ended"):
        sensor.read(SOON_S)
    strange = tmp_path / "concat:a|b.mp4"
    strange.write_bytes(film.read_bytes())
    with make(file=str(strange)) as sensor:
        assert sensor.read(SOON_S) is not None


def test_a_missing_ffmpeg_says_what_to_install(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SensorError, match="ffmpeg is not installed: apt install ffmpeg"):
        make(file=str(film)).open()


# Streams.


@pytest.mark.parametrize("how", ["basic", "digest"])
def test_a_camera_that_wants_a_password_gets_it_and_nobody_else_does(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    need("ffmpeg")
    caplog.set_level(logging.DEBUG)
    with NetworkCamera("red", ("viewer", "s3cr@t:/'x", how)) as camera:
        login = {"url": camera.url, "username": "viewer", "password_env": "EYE"}
        monkeypatch.setenv("EYE", "s3cr@t:/'x")
        with make(**login, figures=["red", "blue"], rate_hz=5) as sensor:
            red, blue = next_of(sensor).values[0]
            assert red > 90 > 10 > blue
            assert all("s3cr" not in command for command in commands_of("ffmpeg"))
        monkeypatch.setenv("EYE", "wr0ng-w0rd")
        with make(**login) as sensor, pytest.raises(SensorError, match="401 Unauthorized") as raised:
            next_of(sensor)
    assert "wr0ng" not in str(raised.value) + caplog.text


def test_pictures_of_a_stream_come_at_the_rate_that_was_asked_for() -> None:
    need("ffmpeg")
    with NetworkCamera("ball") as camera:
        with make(url=camera.url, rate_hz=5, figures=["change", "luminance"]) as sensor:
            readings = [next_of(sensor) for _ in range(15)]
    steps = np.diff([reading.time for reading in readings])
    assert steps.min() > 0
    assert steps.sum() == pytest.approx(14 / 5, abs=1.0)
    assert min(float(reading.values[0, 0]) for reading in readings[1:]) > 0, "no picture comes twice"


def test_pictures_that_waited_are_passed_over_and_counted() -> None:
    need("ffmpeg")
    with NetworkCamera() as camera, make(url=camera.url, rate_hz=10) as sensor:
        next_of(sensor)
        assert sensor._video is not None
        sensor._video._pictures.extend([Picture(np.zeros((48, 64), np.uint8))] * 3)
        next_of(sensor)
        assert sensor.skipped["older_frames"] >= 2


def test_a_camera_that_falls_silent_is_an_error() -> None:
    need("ffmpeg")
    with NetworkCamera() as camera, make(url=camera.url, rate_hz=10, timeout_s=0.5) as sensor:
        next_of(sensor)
        camera.hold()
        with pytest.raises(SensorError, match=r"it gives no picture within 0.5 s"):  # noqa: PT012
            for _ in range(100):
                sensor.read(0.5)


MOVED = b"RTSP/1.0 302 Moved\r\nLocation: ELSEWHERE\r\n\r\n"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([MOVED], r"answers 302 Moved to 'rtsp://\.\.\.@127.0.0.1:\d+/\?\.\.\.': give the URL that is meant"),
        ([b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", MOVED], "answers 302 Moved to"),
        ([b"RTSP/1.0 301 Moved\r\n\r\n"], "answers 301 Moved: give the URL that is meant"),
        ([b"HTTP/1.1 400 What\r\n\r\n"], "answers what is no RTSP"),
        ([b"\0" * 2**20], "answers what is no RTSP"),
        ([b""], "answers what is no RTSP"),
    ],
)
def test_a_camera_that_sends_on_elsewhere_is_not_followed(
    answers: list[bytes], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("ffmpeg")
    monkeypatch.setenv("EYE", "s3cret")
    followed: list[socket.socket] = []
    with Hostile() as camera, Hostile() as other:
        other.answer = followed.append
        place = other.url.replace("http://", "rtsp://a:b@") + "?token=c"

        def answer(connection: socket.socket) -> None:
            for number, octets in enumerate(answers):
                if number:
                    connection.recv(65_536)
                connection.sendall(octets.replace(b"ELSEWHERE", place.encode()))

        camera.answer = answer
        sensor = make(url=camera.url.replace("http", "rtsp"), username="admin", password_env="EYE")
        with pytest.raises(SensorError, match=words), sensor:
            next_of(sensor)
    assert followed == []


def test_a_camera_that_never_answers_is_an_error_in_time() -> None:
    need("ffmpeg")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        sensor = make(url=f"rtsp://127.0.0.1:{mute.getsockname()[1]}/?token=s3cret", timeout_s=0.2)
        with pytest.raises(SensorError, match=r"/\?\.\.\.: no answer within 0\.2 s"):
            sensor.open()


def test_the_query_of_a_stream_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    need("ffmpeg")
    caplog.set_level(logging.DEBUG)
    with NetworkCamera() as camera:
        with (
            make(url=f"{camera.url}2?token=s3cret") as sensor,
            pytest.raises(SensorError, match="404") as raised,
        ):
            next_of(sensor)
    assert "s3cret" not in str(raised.value) + caplog.text
    assert "/eye2" in caplog.text


def commands_of(program: str) -> list[str]:
    """The command lines of all that run it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode("utf-8", "replace"))
    ours = [command for command in found if command.split("\0")[0].endswith(program)]
    assert ours
    return ours


# What is no video.


def y4m(wide: int, high: int, kind: str, frames: int) -> tuple[bytes, int]:
    size = wide * high + (2 * ((wide + 1) // 2) * ((high + 1) // 2) if kind != "mono" else 0)
    head = f"YUV4MPEG2 W{wide} H{high} F1:1 Ip A1:1 C{kind} XCOLORRANGE=FULL\n".encode()
    return head + b"".join(b"FRAME\n" + bytes([i]) * size for i in range(frames)), size


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["mono", "420jpeg", "420mpeg2", "420"]),
    st.lists(st.integers(1, 400), max_size=30),
)
def test_pictures_are_the_same_however_the_stream_was_cut(
    wide: int, high: int, kind: str, sizes: list[int]
) -> None:
    octets, _ = y4m(wide, high, kind, 5)
    parser, found, at = Y4m(), [], 0
    for size in [*sizes, len(octets)]:
        found += parser.feed(octets[at : at + size])
        at += size
    assert [int(picture.luma.max()) for picture in found] == list(range(5))
    assert all(picture.luma.shape == (high, wide) and picture.full for picture in found)
    assert all((picture.blue is None) == (kind == "mono") for picture in found)


@given(st.binary(max_size=300), st.booleans())
def test_what_is_no_stream_is_no_picture(noise: bytes, begun: bool) -> None:
    octets = (b"YUV4MPEG2 W4 H4 Cmono\n" if begun else b"") + noise
    try:
        found = Y4m().feed(octets)
    except NoVideo:
        return
    assert all(picture.luma.shape == (4, 4) for picture in found) or octets.startswith(b"YUV4MPEG2 ")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"YUV4MPEG2 W99999 H99999 C420\n", "pixels, too many"),
        (b"YUV4MPEG2 W-4 H4\n", "has no size"),
        (b"YUV4MPEG2 W4 H4 C444\n", "has colours of the kind 444"),
        (b"YUV4MPEG2 W4" + b" " * 2000, "is no YUV4MPEG2"),
    ],
)
def test_a_head_that_cannot_be_is_refused(head: bytes, words: str) -> None:
    with pytest.raises(NoVideo, match=words):
        Y4m().feed(head)
    assert MOST_PIXELS < 99_999**2
