"""Things to look at: a video device at the kernel's calls, JPEGs, video files, and a real camera's server for RTSP."""

from __future__ import annotations

import errno
import io
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sensors import v4l2
from tests.real import need, require

SOON_S = 30.0
SIZE = 64, 48  # width, height
SERVER = Path(__file__).with_name("rtsp_server.py")
DEBIANS_PYTHON = "/usr/bin/python3"  # that of python3-gi


class EmulatedNode:
    """/dev/videoN at its ioctl calls, as vivid of Linux 6.12 answered them; its buffers lie in a file.

    A frame is there as soon as all that waited have been taken.
    """

    def __init__(
        self, path: Path, offered: Sequence[str] = ("YUYV", "NV12", "YU12", "UYVY", "GREY", "MJPG")
    ) -> None:
        self.path, self._offered = path, offered
        self.frame: bytes = b""  # what the next shows
        self.broken = 0  # so many of the next are
        self.waiting = 0  # so many nobody has taken yet
        self.dark = False  # no more come
        self.capabilities = 0x85200001
        self.plugged = True
        self.streams = 0
        self.quantization = self.space = self.encoding = 0
        self.rate_hz = 0.0
        self._number = 0
        self._queue: list[int] = []
        self.put_in()

    def put_in(self) -> None:
        self.path.write_bytes(bytes(3 * 2**20))
        self.plugged = True

    def pull_out(self) -> None:
        self.path.unlink()
        self.plugged = False

    def ioctl(self, fd: int, request: int, argument: bytearray) -> int:
        if not self.plugged:
            raise OSError(errno.ENODEV, "No such device")
        answer = {
            v4l2.QUERYCAP: self._querycap,
            v4l2.ENUM_FMT: self._enum_fmt,
            v4l2.S_FMT: self._s_fmt,
            v4l2.S_PARM: self._s_parm,
            v4l2.REQBUFS: self._reqbufs,
            v4l2.QUERYBUF: self._querybuf,
            v4l2.QBUF: self._qbuf,
            v4l2.DQBUF: self._dqbuf,
            v4l2.STREAMON: self._streamon,
        }[request](bytes(argument))
        argument[:] = answer
        return 0

    def _querycap(self, _: bytes) -> bytes:
        names = b"vivid", b"vivid", b"platform:vivid-000"
        return v4l2.CAPABILITY.pack(*names, 0x60C75, 0x80000000 | self.capabilities, self.capabilities)

    def _enum_fmt(self, asked: bytes) -> bytes:
        index, *_ = v4l2.FORMAT_DESCRIPTION.unpack(asked)
        if index >= len(self._offered):
            raise OSError(errno.EINVAL, "Invalid argument")
        return v4l2.FORMAT_DESCRIPTION.pack(index, 1, 0, b"any", fourcc(self._offered[index]))

    def _s_fmt(self, asked: bytes) -> bytes:
        kind, _, _, form, *_ = v4l2.FORMAT.unpack(asked)
        row_bytes = {"YUYV": 2, "UYVY": 2}.get(struct.pack("=I", form).decode(), 1) * SIZE[0]
        rest = 1, row_bytes, 2**19, self.space, 0, 0, self.encoding, self.quantization, 0
        return v4l2.FORMAT.pack(kind, *SIZE, form, *rest)

    def _s_parm(self, asked: bytes) -> bytes:
        *_, numerator, denominator = v4l2.PARAMETERS.unpack(asked)
        self.rate_hz = denominator / numerator
        return asked

    def _reqbufs(self, asked: bytes) -> bytes:
        self._queue.clear()
        return asked

    def _querybuf(self, asked: bytes) -> bytes:
        index = v4l2.BUFFER.unpack(asked)[0]
        return self._buffer(index)

    def _qbuf(self, asked: bytes) -> bytes:
        index = v4l2.BUFFER.unpack(asked)[0]
        assert index not in self._queue
        self._queue.append(index)
        return asked

    def _streamon(self, asked: bytes) -> bytes:
        self.streams += 1
        return asked

    def _dqbuf(self, asked: bytes) -> bytes:
        if self.waiting == 0:
            self.waiting = 0 if self.dark else 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        self.waiting -= 1
        index = self._queue.pop(0)
        with self.path.open("r+b") as file:
            file.seek(index * 2**20)
            file.write(self.frame)
        flags, self.broken = (0x2000 | (0x40 if self.broken else 0)), max(0, self.broken - 1)
        self._number += 1
        return self._buffer(index, used=len(self.frame), flags=flags)

    def _buffer(self, index: int, used: int = 0, flags: int = 0) -> bytes:
        seconds, rest = divmod(time.monotonic(), 1.0)
        stamp = int(seconds), int(1e6 * rest)
        lie = index * 2**20, 2**19
        return v4l2.BUFFER.pack(index, 1, used, flags, 1, *stamp, self._number, 1, *lie, 0, 0)


def fourcc(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


def raw(form: str, y: NDArray[np.uint8], u: int = 128, v: int = 128) -> bytes:
    """A frame of this brightness, and the same colour everywhere."""
    high, wide = y.shape
    if form == "GREY":
        return y.tobytes()
    if form in ("YUYV", "UYVY"):
        pixels = np.empty((high, wide, 2), np.uint8)
        first = 0 if form == "YUYV" else 1
        pixels[:, :, first] = y
        pixels[:, 0::2, 1 - first], pixels[:, 1::2, 1 - first] = u, v
        return pixels.tobytes()
    blue, red = np.full((high // 2, wide // 2), u, np.uint8), np.full((high // 2, wide // 2), v, np.uint8)
    if form == "NV12":
        return y.tobytes() + np.stack([blue, red], axis=2).tobytes()
    return y.tobytes() + blue.tobytes() + red.tobytes()


def jpeg(pixels: NDArray[np.uint8], quality: int = 95) -> bytes:
    """Of (height, width) grey, or (height, width, 3) red, green and blue."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def video(path: Path, source: str, *, seconds: float, options: Sequence[str] = ()) -> Path:
    """A file made by ffmpeg from one of its own sources (ffmpeg-filters(1), lavfi)."""
    command = [need("ffmpeg"), "-v", "error", "-y", "-f", "lavfi", "-i", source, "-t", f"{seconds:g}"]
    subprocess.run(
        [*command, "-pix_fmt", "yuv420p", *options, str(path)], check=True, stdin=subprocess.DEVNULL
    )
    return path


class NetworkCamera:
    """GStreamer's RTSP server, in a process of its own."""

    def __init__(self, pattern: str = "white", login: tuple[str, str, str] = ("", "", "basic")) -> None:
        """`login` is user, password, and basic or digest."""
        can = (
            "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
            "Gst.init(None); assert all(map(Gst.ElementFactory.find, ('videotestsrc', 'jpegenc', 'rtpjpegpay')))"
        )
        able = (
            Path(DEBIANS_PYTHON).exists()
            and not subprocess.run([DEBIANS_PYTHON, "-c", can], capture_output=True, check=False).returncode
        )
        require(able, "gir1.2-gst-rtsp-server-1.0 or gstreamer1.0-plugins-good is not installed")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/eye"
        self._arguments = [pattern, str(self.port), *login]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NetworkCamera:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        self._process = subprocess.Popen(
            [DEBIANS_PYTHON, str(SERVER), *self._arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def hold(self) -> None:
        """From now on it does nothing, and does not say so."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
