"""Frames from a video device of the kernel (V4L2), without a library: the newest when it is asked for."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import struct
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensors.picture import Picture

# include/uapi/linux/videodev2.h, as 64-bit kernels lay it out
CAPABILITY = struct.Struct("=16s32s32sIII12x")
FORMAT = struct.Struct("=I4x12I152x")  # type; struct v4l2_pix_format, of 200 bytes
FORMAT_DESCRIPTION = struct.Struct("=III32sI16x")
PARAMETERS = struct.Struct("=IIIII184x")  # type; capability, mode, time of a frame
REQUEST = struct.Struct("=IIIIB3x")
BUFFER = struct.Struct(
    "=5I4xqq16xIIQIIi4x"
)  # index, type, used, flags, field, s, us, sequence, memory, offset, length


def _number(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number  # asm-generic/ioctl.h


QUERYCAP = _number(2, 0, CAPABILITY.size)
ENUM_FMT = _number(3, 2, FORMAT_DESCRIPTION.size)
S_FMT = _number(3, 5, FORMAT.size)
REQBUFS = _number(3, 8, REQUEST.size)
QUERYBUF, QBUF, DQBUF = (_number(3, number, BUFFER.size) for number in (9, 15, 17))
STREAMON, STREAMOFF = _number(1, 18, 4), _number(1, 19, 4)
S_PARM = _number(3, 22, PARAMETERS.size)
CAPTURE, MMAP, ANY_FIELD = 1, 1, 0  # v4l2_buf_type, v4l2_memory, v4l2_field
CAN_CAPTURE, CAN_STREAM = 0x1, 0x04000000  # of the capabilities of a node
BROKEN = 0x40  # V4L2_BUF_FLAG_ERROR
CLOCK_KIND, CLOCK_MONOTONIC = 0xE000, 0x2000  # V4L2_BUF_FLAG_TIMESTAMP_*
FULL_RANGE, LIMITED_RANGE, JPEG_SPACE = 1, 2, 7  # v4l2_quantization, v4l2_colorspace
BT_709, BT_2020 = (2, 4), (6, 7)  # v4l2_ycbcr_encoding, of both ranges
SPACE_709, SPACE_2020 = 3, 10  # v4l2_colorspace, that bring those where none is told
BUFFERS = 3
FRAMES_A_TICK = 5.0  # so that the next is never far
SLOWEST_HZ = 5.0  # frames that a camera is asked for: at fewer, it would expose for too long, or cannot
MOST_TOLD = 16  # of a device's formats
RAW = ("YUYV", "UYVY", "NV12", "YU12", "GREY")  # in the order in which they are wanted: no work to decode
PACKED = ("MJPG", "JPEG")


@dataclass(frozen=True, slots=True)
class Shape:
    """What frames look like, as the driver has said."""

    form: str
    width: int
    height: int
    row_bytes: int
    full: bool
    red_share: float
    blue_share: float

    def picture(self, octets: bytes) -> Picture:
        """Of a raw frame. Raises ValueError where it is too short."""
        rows = self._plane(octets, 0, self.height, self.row_bytes)
        wide, half = self.width, self.width // 2
        if self.form == "GREY":
            return self._told(rows[:, :wide])
        if self.form in ("YUYV", "UYVY"):
            y, u = (0, 1) if self.form == "YUYV" else (1, 0)
            pairs = rows[:, : 4 * half]
            return self._told(rows[:, y : 2 * wide : 2], pairs[:, u::4], pairs[:, u + 2 :: 4])
        after, low = self.height * self.row_bytes, self.height // 2
        if self.form == "NV12":
            both = self._plane(octets, after, low, self.row_bytes)[:, : 2 * half]
            return self._told(rows[:, :wide], both[:, 0::2], both[:, 1::2])
        blue = self._plane(octets, after, low, self.row_bytes // 2)[:, :half]
        red = self._plane(octets, after + low * (self.row_bytes // 2), low, self.row_bytes // 2)[:, :half]
        return self._told(rows[:, :wide], blue, red)

    def _told(
        self,
        luma: NDArray[np.uint8],
        blue: NDArray[np.uint8] | None = None,
        red: NDArray[np.uint8] | None = None,
    ) -> Picture:
        return Picture(luma, blue, red, self.full, self.red_share, self.blue_share)

    @staticmethod
    def _plane(octets: bytes, first: int, high: int, row_bytes: int) -> NDArray[np.uint8]:
        if len(octets) < first + high * row_bytes:
            raise ValueError(f"a frame has {len(octets)} bytes, fewer than it should")
        plane: NDArray[np.uint8] = np.frombuffer(octets, np.uint8, high * row_bytes, first)
        return plane.reshape(high, row_bytes)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `monotonic` is when it was taken, on that clock, None where the driver does not say."""

    octets: bytes
    monotonic: float | None
    number: int


class VideoDevice:
    """A device that streams from when it is made until `close`."""

    def __init__(self, path: str, form: str | None, width: int, height: int, rate_hz: float) -> None:
        """`form` None: the first of RAW and PACKED that it has. Raises OSError, some in words."""
        self.broken = 0  # frames that the driver itself called so
        self._maps: list[mmap.mmap] = []
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._be_a_camera()
            self.shape = self._set_up(form, width, height, rate_hz)
            self._begin()
        except OSError:
            self.close()
            raise

    def newest(self, timeout_s: float) -> Frame | None:
        """The next frame that is taken from now on; None where none comes in time. Raises OSError."""
        while self._take() is not None:  # these waited since the last time
            pass
        self.broken = 0
        end = time.monotonic() + timeout_s
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        while (left := end - time.monotonic()) > 0.0:
            events = ready.poll(1000.0 * left)
            if events:
                frame = self._take(copy=True)
                if frame is not None and frame.octets:
                    return frame
                if frame is None and events[0][1] & select.POLLERR:
                    raise OSError("streams no more")
        return None

    def close(self) -> None:
        if self._fd >= 0:
            for each in self._maps:
                each.close()
            os.close(self._fd)  # which ends the stream, too
            self._maps, self._fd = [], -1

    def _call(self, request: int, octets: bytes) -> bytes:
        answer = bytearray(octets)
        fcntl.ioctl(self._fd, request, answer)
        return bytes(answer)

    def _be_a_camera(self) -> None:
        try:
            *_, all_nodes, here = CAPABILITY.unpack(self._call(QUERYCAP, bytes(CAPABILITY.size)))
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                raise OSError("is no video device") from None
            raise
        able = here if all_nodes & 0x80000000 else all_nodes  # V4L2_CAP_DEVICE_CAPS
        if able & (CAN_CAPTURE | CAN_STREAM) != CAN_CAPTURE | CAN_STREAM:
            raise OSError("gives no pictures of its own: a camera often has a second node that does not")

    def _offered(self) -> list[str]:
        found: list[str] = []
        while True:
            asked = FORMAT_DESCRIPTION.pack(len(found), CAPTURE, 0, b"", 0)
            try:
                answer = FORMAT_DESCRIPTION.unpack(self._call(ENUM_FMT, asked))
            except OSError:
                return found
            found.append(struct.pack("=I", answer[4]).decode("latin-1"))

    def _set_up(self, form: str | None, width: int, height: int, rate_hz: float) -> Shape:
        offered = self._offered()
        wanted = [form] if form is not None else [*RAW, *PACKED]
        chosen = next((each for each in wanted if each in offered), None)
        if chosen is None:
            known = ", ".join(each for each in offered[:MOST_TOLD] if each.isprintable())
            raise OSError(f"has none of the formats {', '.join(wanted)}, but {known or 'none at all'}")
        fourcc = struct.unpack("=I", chosen.encode("latin-1"))[0]
        asked = FORMAT.pack(CAPTURE, width, height, fourcc, ANY_FIELD, *[0] * 8)
        answer = FORMAT.unpack(self._call(S_FMT, asked))
        _, wide, high, got, _, row_bytes, _, space, _, _, encoding, quantization, _ = answer
        if got != fourcc:
            raise OSError(f"does not keep the format {chosen}")
        self._slow_down(rate_hz)
        usually_full = space == JPEG_SPACE or chosen == "GREY"
        full = quantization == FULL_RANGE or (quantization != LIMITED_RANGE and usually_full)
        shares = (0.299, 0.114)  # BT.601
        if encoding in BT_709 or (encoding == 0 and space == SPACE_709):
            shares = (0.2126, 0.0722)
        elif encoding in BT_2020 or (encoding == 0 and space == SPACE_2020):
            shares = (0.2627, 0.0593)
        return Shape(chosen, wide, high, row_bytes, full, *shares)

    def _slow_down(self, rate_hz: float) -> None:
        """Ask for few frames: each costs the bus and the kernel something. A camera may not know how."""
        frames_hz = max(SLOWEST_HZ, FRAMES_A_TICK * rate_hz)
        try:
            self._call(S_PARM, PARAMETERS.pack(CAPTURE, 0, 0, 1000, round(1000 * frames_hz)))
        except OSError:
            pass

    def _begin(self) -> None:
        request = self._call(REQBUFS, REQUEST.pack(BUFFERS, CAPTURE, MMAP, 0, 0))
        for index in range(REQUEST.unpack(request)[0]):
            answer = BUFFER.unpack(self._call(QUERYBUF, self._buffer(index)))
            offset, length = answer[9], answer[10]
            self._maps.append(mmap.mmap(self._fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset))
            self._call(QBUF, self._buffer(index))
        self._call(STREAMON, struct.pack("=i", CAPTURE))

    @staticmethod
    def _buffer(index: int) -> bytes:
        return BUFFER.pack(index, CAPTURE, 0, 0, 0, 0, 0, 0, MMAP, 0, 0, 0, 0)

    def _take(self, copy: bool = False) -> Frame | None:
        """The oldest frame that waits, and its buffer goes back; empty where it is broken."""
        try:
            answer = BUFFER.unpack(self._call(DQBUF, self._buffer(0)))
        except BlockingIOError:
            return None
        index, _, used, flags, _, seconds, microseconds, number = answer[:8]
        octets = b""
        if flags & BROKEN:
            self.broken += 1
        elif copy:
            octets = self._maps[index][:used]
        self._call(QBUF, self._buffer(index))
        told = seconds + microseconds / 1e6 if flags & CLOCK_KIND == CLOCK_MONOTONIC else None
        return Frame(octets, told, number)
