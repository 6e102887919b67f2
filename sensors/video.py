"""Pictures of a video file or stream at a slow rate, decoded by ffmpeg: a program of its own, that may break."""

from __future__ import annotations

import re
from collections import deque
from urllib.parse import quote

import numpy as np

from sensors.picture import MOST_PIXELS, Octets, Picture
from sensors.program import Program

LONGEST_LINE = 1024  # bytes of a head of YUV4MPEG2; ffmpeg's have about 80
CHUNK = 2**20
SAFE = "/:@?=&%+,;~._-[]"  # what stands in a URL as it is: a quote or the end of a line would end it
RTSP = "rtsp,rtp,tcp,udp"  # it opens no stream without the last, though over TCP it sends nothing by it
TO_JPEG_COLOURS = "scale=out_color_matrix=bt601:out_range=full,format="


class NoVideo(ValueError):
    """What came is no YUV4MPEG2."""


class Y4m:
    """Takes apart YUV4MPEG2, as the page yuv4mpeg(5) of mjpegtools has it: C420 of any kind, and Cmono."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._shape: tuple[int, int] | None = None  # height, width
        self._coloured = self._full = False

    def feed(self, octets: bytes) -> list[Picture]:
        """The pictures that end in these bytes. Raises NoVideo."""
        self._rest += octets
        found: list[Picture] = []
        while (picture := self._next()) is not None:
            found.append(picture)
        return found

    def _next(self) -> Picture | None:
        if self._shape is None and not self._begin():
            return None
        assert self._shape is not None
        high, wide = self._shape
        low, narrow = ((high + 1) // 2, (wide + 1) // 2) if self._coloured else (0, 0)
        line = self._line(b"FRAME")
        if line is None or len(self._rest) < len(line) + 1 + high * wide + 2 * low * narrow:
            return None
        del self._rest[: len(line) + 1]
        luma = self._plane(high, wide)
        if not self._coloured:
            return Picture(luma, full=self._full)
        return Picture(luma, self._plane(low, narrow), self._plane(low, narrow), self._full)

    def _begin(self) -> bool:
        line = self._line(b"YUV4MPEG2")
        if line is None:
            return False
        words = {word[:1]: word[1:] for word in line.decode("ascii", "replace").split()[1:] if word[0] != "X"}
        if not re.fullmatch(r"[1-9]\d{0,4}", words.get("W", "")) or not re.fullmatch(
            r"[1-9]\d{0,4}", words.get("H", "")
        ):
            raise NoVideo(f"has no size: {line[:80]!r}")
        self._shape = high, wide = int(words["H"]), int(words["W"])
        if high * wide > MOST_PIXELS:
            raise NoVideo(f"has {wide} x {high} pixels, too many")
        colour = words.get("C", "420")
        if colour != "mono" and not re.fullmatch("420(jpeg|mpeg2|paldv)?", colour):
            raise NoVideo(f"has colours of the kind {colour[:20]}")
        self._coloured, self._full = colour != "mono", b"XCOLORRANGE=FULL" in line
        del self._rest[: len(line) + 1]
        return True

    def _line(self, begin: bytes) -> bytes | None:
        """The line at the beginning, without its end; None where it has not come yet."""
        end = self._rest.find(b"\n", 0, LONGEST_LINE)
        line = bytes(self._rest[: LONGEST_LINE if end < 0 else end])
        if not line.startswith(begin[: len(line)]) or (end < 0 and len(line) == LONGEST_LINE):
            raise NoVideo(f"is no YUV4MPEG2: {line[:20]!r}")
        return None if end < 0 else line

    def _plane(self, high: int, wide: int) -> Octets:
        plane: Octets = np.frombuffer(self._rest, np.uint8, high * wide).reshape(high, wide).copy()
        del self._rest[: high * wide]
        return plane


class Video:
    """ffmpeg, decoding one file or stream from when it is made until `end`: `rate_hz` pictures per second of it."""

    def __init__(
        self,
        listener: str,
        source: str,
        *,
        rate_hz: float,
        coloured: bool,
        live: bool,
        key_frames: bool = False,
        secret: str = "",
    ) -> None:
        """`source` is a path, or, live, a URL of rtsp://, with user and password in it where it needs them, of which
        `secret` must not be told. Raises OSError in words."""
        kind = "yuv420p" if coloured else "gray"
        told = b""
        if not live:
            opening = ["-protocol_whitelist", "file", "-i", f"file:{source}"]
        elif not secret:
            opening = ["-rtsp_transport", "tcp", "-protocol_whitelist", RTSP, "-i", source]
        else:  # by its input, for what a command says is seen by everybody: ffmpeg-formats(1), concat; ffmpeg 5
            source = quote(source, safe=SAFE)
            told = f"ffconcat version 1.0\nfile '{source}'\noption rtsp_transport tcp\n".encode()
            opening = ["-f", "concat", "-safe", "0", "-protocol_whitelist", f"pipe,{RTSP}", "-i", "pipe:0"]
        _, asked, query = source.partition("?") if live else ("", "", "")  # which may hold a password too
        self._program = Program(
            listener,
            [
                *("ffmpeg", "-v", "error", "-nostdin", "-threads", "1"),
                *(("-skip_frame", "nokey") if key_frames else ()),
                *opening,
                *("-map", "0:v:0", "-vf", f"fps={rate_hz:.6f}:round=up," + TO_JPEG_COLOURS + kind),
                *("-f", "yuv4mpegpipe", "-strict", "-1", "pipe:1"),
            ],
            told=told,
            secrets=(asked + query, secret),
            pipe_bytes=CHUNK,
        )
        self._y4m = Y4m()
        self._pictures: deque[Picture] = deque()

    def next(self, timeout: float) -> Picture | None:
        """The oldest that nobody has taken; None where none comes in time. Raises NoVideo, and Ended at the end."""
        while not self._pictures:
            chunk = self._program.receive(timeout, CHUNK)
            if not chunk:
                return None
            self._pictures += self._y4m.feed(chunk)
        return self._pictures.popleft()

    def end(self) -> None:
        self._program.end()
