"""Cameras: a video device at the kernel's calls, JPEGs from a real server, and what is told of options."""

from __future__ import annotations

import errno
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors import SensorError, check, create
from sensors.camera import Camera
from sensors.contract import PushedClock, SensorContract
from sensors.jpeg import Decoder
from sensors.v4l2 import Shape
from tests.sensors.camera_world import SIZE, EmulatedNode, jpeg, raw
from tests.sensors.http_peer import Hostile, Pages
from tests.sensors.world import make_board

ALL = ["luminance", "contrast", "sharpness", "change", "saturated", "red", "green", "blue"]
SOON_S = 20.0


def make(**options: object) -> Camera:
    sensor = create("eye", "camera", options)
    assert isinstance(sensor, Camera)
    sensor.clock = PushedClock()
    return sensor


def row(sensor: Camera) -> list[float]:
    reading = sensor.read(SOON_S)
    assert reading is not None
    return [float(value) for value in reading.values[0]]


def grey(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((SIZE[1], SIZE[0]), value, np.uint8)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmulatedNode:
    node = EmulatedNode(tmp_path / "video0")
    node.frame = raw("YUYV", grey(126))
    monkeypatch.setattr("sensors.v4l2.fcntl.ioctl", node.ioctl)
    return node


class TestDevice(SensorContract):
    driver = "camera"

    @pytest.fixture
    def options(self, node: EmulatedNode) -> Mapping[str, object]:
        self.node = node
        return {"device": str(node.path), "rate_hz": 50}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"device": str(tmp_path / "video9")}

    def lose(self) -> None:
        self.node.pull_out()

    def mend(self) -> None:
        self.node.put_in()


class TestSnapshots(SensorContract):
    driver = "camera"
    clock = PushedClock

    @pytest.fixture
    def options(self) -> Iterator[Mapping[str, object]]:
        self.pages = Pages(jpeg(grey(9)))
        yield {"url": self.pages.url}
        self.pages.stop()

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        return {"url": "http://127.0.0.1:1/"}

    def lose(self) -> None:
        self.pages.stop()

    def mend(self) -> None:
        self.pages = Pages(jpeg(grey(9)), port=self.pages.port)


# A video device.


@pytest.mark.parametrize("form", ["YUYV", "UYVY", "NV12", "YU12"])
@pytest.mark.parametrize(
    ("y", "u", "v", "rgb"),
    [
        (81, 90, 240, (100, 0, 0)),
        (145, 54, 34, (0, 100, 0)),
        (41, 240, 110, (0, 0, 100)),
        (235, 128, 128, (100,) * 3),
    ],
)
def test_the_colours_of_each_format_are_told(
    node: EmulatedNode, form: str, y: int, u: int, v: int, rgb: tuple[float, ...]
) -> None:
    node.frame = raw(form, grey(y), u, v)  # BT.601, as table 3 of its annex has 100 % bars
    with make(device=str(node.path), format=form, figures=["red", "green", "blue"]) as sensor:
        np.testing.assert_allclose(row(sensor), rgb, atol=1.0)


def test_a_device_is_asked_for_the_lightest_format_it_has(node: EmulatedNode) -> None:
    node._offered = ["MJPG", "GREY", "NV12"]
    node.frame = raw("NV12", grey(235))
    with make(device=str(node.path)) as sensor:
        assert row(sensor)[0] == pytest.approx(100.0)


def test_a_grey_device_counts_from_0_to_255(node: EmulatedNode) -> None:
    node.frame = grey(255).tobytes()
    with make(device=str(node.path), format="GREY", figures=ALL) as sensor:
        found = row(sensor)
    assert found[0] == pytest.approx(100.0)
    assert all(math.isnan(value) for value in found[5:])


@pytest.mark.parametrize("broken", [False, True])
def test_packed_frames_are_decoded_or_counted(node: EmulatedNode, broken: bool) -> None:
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[:, :, 0] = 255
    node.frame = jpeg(pixels)[: 200 if broken else None]
    with make(device=str(node.path), format="MJPG", figures=["red", "green", "blue"]) as sensor:
        reading = sensor.read(1.0)
        assert sensor.skipped == ({"broken_frames": 1} if broken else {})
    assert (reading is None) == broken
    assert broken or reading is not None
    if reading is not None:
        np.testing.assert_allclose(reading.values[0], [100, 0, 0], atol=1.5)


def test_the_newest_frame_is_taken_and_those_before_it_are_counted(node: EmulatedNode) -> None:
    with make(device=str(node.path)) as sensor:
        row(sensor)
        node.frame = raw("YUYV", grey(16))
        node.waiting = 2
        assert row(sensor)[0] == 0.0
        assert sensor.skipped == {"older_frames": 2}


def test_frames_that_the_driver_calls_broken_are_counted_and_the_next_is_taken(node: EmulatedNode) -> None:
    with make(device=str(node.path)) as sensor:
        row(sensor)
        node.broken = 1
        assert row(sensor)[3] == 0.0
        assert sensor.skipped == {"broken_frames": 1}


def test_a_frame_that_is_cut_off_is_no_sample(node: EmulatedNode) -> None:
    node.frame = raw("YUYV", grey(16))[:-1]
    with make(device=str(node.path)) as sensor:
        assert sensor.read(1.0) is None
        assert sensor.skipped == {"broken_frames": 1}


def test_a_sample_has_the_time_at_which_its_frame_was_taken(node: EmulatedNode) -> None:
    sensor = create("eye", "camera", {"device": str(node.path), "rate_hz": 20})
    with sensor:
        before = time.time()
        reading = sensor.read(SOON_S)
        assert reading is not None
        assert before - 0.01 < reading.time < time.time() + 0.01


def test_a_device_is_asked_for_no_more_frames_than_are_of_use(node: EmulatedNode) -> None:
    for rate_hz, frames_hz in ((0.1, 5), (4, 20)):
        with make(device=str(node.path), rate_hz=rate_hz):
            assert node.rate_hz == frames_hz


def test_a_device_that_gives_nothing_is_an_error_that_says_so(node: EmulatedNode) -> None:
    node.dark = True
    with make(device=str(node.path), timeout_s=0.05) as sensor:
        with pytest.raises(SensorError, match=r"eye: .*video0: it gives no picture within 0.05 s"):
            sensor.read(1.0)


def test_what_is_no_camera_is_refused_by_name(node: EmulatedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node.capabilities = 0x04A00000  # a node for metadata
    with pytest.raises(SensorError, match="gives no pictures of its own: a camera often has a second node"):
        make(device=str(node.path)).open()
    node.capabilities, node._offered = 0x85200001, ["RG10", "pRAA"]
    with pytest.raises(SensorError, match=r"has none of the formats YUYV, .*, but RG10, pRAA"):
        make(device=str(node.path)).open()
    monkeypatch.undo()
    with pytest.raises(SensorError, match="/dev/null: is no video device"):
        make(device="/dev/null").open()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EBUSY, "another program has it"),
        (errno.EACCES, "into the group video"),
        (errno.ENODEV, "is gone"),
    ],
)
def test_a_device_that_refuses_says_what_is_right(
    node: EmulatedNode, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(fd: int, request: int, argument: bytearray) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("sensors.v4l2.fcntl.ioctl", refuse)
    with pytest.raises(SensorError, match=words):
        make(device=str(node.path)).open()


@given(
    st.binary(max_size=200),
    st.sampled_from(["YUYV", "UYVY", "NV12", "YU12", "GREY"]),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_no_frame_is_more_than_a_picture_or_too_short(octets: bytes, form: str, wide: int, high: int) -> None:
    row_bytes = wide * (2 if form in ("YUYV", "UYVY") else 1)
    shape = Shape(form, wide, high, row_bytes, True, 0.299, 0.114)
    try:
        picture = shape.picture(octets)
    except ValueError:
        return
    assert picture.luma.shape == (high, wide)


# JPEGs over HTTP.


def test_a_picture_is_fetched_at_each_tick() -> None:
    with Pages(jpeg(grey(51))) as pages, make(url=pages.url, rate_hz=0.5) as sensor:
        assert row(sensor)[0] == pytest.approx(20.0, abs=0.3)
        pages.page = (200, {}, jpeg(grey(102)))
        assert row(sensor)[3] == pytest.approx(20.0, abs=0.3)
        assert pages.asked[0][1]["Accept"] == "image/jpeg"
        assert sensor.skipped == {}


def test_an_answer_that_is_no_picture_is_an_error_and_counted() -> None:
    with Pages(b"<html>log in</html>") as pages, make(url=pages.url) as sensor:
        with pytest.raises(SensorError, match="it answers what is no picture"):
            sensor.read(1.0)
        assert sensor.skipped == {"broken_frames": 1}
        pages.page = (401, {}, b"")
        with pytest.raises(SensorError, match="answers 401 Unauthorized"):
            sensor.read(2.0)
        assert sensor.skipped == {"broken_frames": 1, "status_401": 1}


def test_a_picture_without_end_is_cut_off() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(8):
            connection.sendall(bytes(2**20))

    with Hostile() as peer:
        peer.answer = flood
        with make(url=peer.url) as sensor, pytest.raises(SensorError, match="more than"):
            sensor.read(1.0)


@pytest.mark.parametrize("coloured", [False, True])
def test_a_picture_in_jpeg_comes_out_as_it_went_in(coloured: bool) -> None:
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[:] = (200, 100, 50)
    picture = Decoder(coloured).picture(jpeg(pixels))
    assert picture.luma.shape == (SIZE[1], SIZE[0])
    assert picture.luma.mean() == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1.0)
    assert (picture.blue is None) != coloured


def test_a_frame_of_a_webcam_that_leaves_the_usual_tables_out_is_decoded() -> None:
    octets = jpeg(grey(77))
    parts, at = [octets[:2]], 2
    while octets[at + 1] != 0xDA:
        size = 2 + int.from_bytes(octets[at + 2 : at + 4], "big")
        if octets[at + 1] != 0xC4:  # DHT; UVC 1.5 payload for Motion-JPEG
            parts.append(octets[at : at + size])
        at += size
    bare = b"".join(parts) + octets[at:]
    assert len(bare) < len(octets)
    assert Decoder(False).picture(bare).luma.mean() == pytest.approx(77, abs=1)


@given(st.data())
def test_no_damage_to_a_jpeg_does_worse_than_a_value_error(data: st.DataObject) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    octets = bytearray(jpeg(noise))
    for _ in range(data.draw(st.integers(1, 8))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = Decoder(data.draw(st.booleans())).picture(
            bytes(octets[: data.draw(st.integers(0, len(octets)))])
        )
    except ValueError:
        return
    assert picture.luma.ndim == 2


def test_a_picture_that_claims_to_be_huge_is_refused() -> None:
    octets = bytearray(jpeg(grey(0)))
    frame = octets.index(b"\xff\xc0")
    octets[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(ValueError, match=r"65535 x 65535 pixels|exceeds"):
        Decoder(False).picture(bytes(octets))


# What is there.


def test_usb_cameras_are_found_by_the_name_that_stays(tmp_path: Path) -> None:
    usb = "sys/devices/platform/xhci/usb1/1-1/1-1:1.0/video4linux"
    names = {f"{usb}/video0": "HD Webcam: HD Webcam", f"{usb}/video1": "HD Webcam: HD Webcam"}
    names["sys/devices/platform/codec/video4linux/video10"] = "bcm2835-codec-decode"
    names["sys/devices/platform/xhci/usb2/2-1/video4linux/video2"] = "Microscope"
    classes = tmp_path / "sys/class/video4linux"
    classes.mkdir(parents=True)
    for folder, name in names.items():
        index = "1\n" if folder.endswith("video1") else "0\n"
        make_board(tmp_path, {f"{folder}/name": f"{name}\n", f"{folder}/index": index})
        (classes / Path(folder).name).symlink_to(tmp_path / folder)
    make_board(tmp_path, {"dev/video0": ""})
    by_id = tmp_path / "dev/v4l/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-046d_HD_Webcam-video-index0").symlink_to("../../video0")
    assert [(found.name, found.what, found.options) for found in Camera.find(tmp_path)] == [
        (
            "HD-Webcam",
            "camera HD Webcam: HD Webcam",
            {"device": "/dev/v4l/by-id/usb-046d_HD_Webcam-video-index0"},
        ),
        ("Microscope", "camera Microscope", {"device": "/dev/video2"}),
    ]


# Options.


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({}, "device", "give one of device, url and file"),
        ({"device": "/dev/video0", "file": "a.mp4"}, "file", "give one of"),
        ({"url": "ftp://192.168.1.5/"}, "url", "is no http or https or rtsp URL"),
        ({"url": "rtsp://203.0.113.7/eye"}, "url", "nothing leaves the premises"),
        ({"url": "http://8.8.8.8/"}, "url", "nothing leaves the premises"),
        ({"url": "rtsp://admin:pass@192.168.1.5/"}, "url", "holds a user or a password"),
        ({"url": "http://192.168.1.5/", "username": "a"}, "username", "goes with a url of rtsp"),
        ({"url": "rtsp://192.168.1.5/", "password_env": "P"}, "username", "is missing"),
        ({"device": "/dev/video0", "key_frames": True}, "key_frames", "goes with rtsp"),
        ({"device": "/dev/video0", "speed": 2}, "speed", "goes with file"),
        ({"file": "a.mp4", "start": "yesterday"}, "start", ""),
        ({"device": "/dev/video0", "regions": []}, "regions", "is empty"),
        ({"device": "/dev/video0", "figures": ["hue"]}, "figures[0]", "must be one of"),
        (
            {"device": "/dev/video0", "regions": [{"name": "a", "left": 0.9}]},
            "regions[0].width",
            "goes beyond",
        ),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, object], path: str, words: str) -> None:
    (problem,) = check("camera", options)
    assert problem.path == path
    assert words in problem.message
