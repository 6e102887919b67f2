"""A camera, looked at now and then: a video device, a camera on this network, or a video file."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

import numpy as np

from sensors.base import (
    AtLeast,
    Found,
    NotNegative,
    OptionError,
    PolledSensor,
    Positive,
    Reading,
    SensorError,
    sensor_name,
)
from sensors.eyes import Eye, Node, Snapshots
from sensors.http_fetch import networks, on_premises
from sensors.kernel_files import by_number, read
from sensors.password import Password
from sensors.peers import Peer, Server
from sensors.picture import Figure, Look, Picture, Region
from sensors.program import Ended
from sensors.recording import start_time
from sensors.rtsp import refuse_redirection
from sensors.sample_times import Epoch
from sensors.v4l2 import PACKED
from sensors.video import NoVideo, Video

FIRST_S = (
    20.0  # until a stream's first picture: ffmpeg looks for 5 s what it is, key frames may be 10 s apart
)
ADVICE = {
    errno.ENOENT: "is not there: is it plugged in? `v4l2-ctl --list-devices` lists what is",
    errno.ENODEV: "is gone: was it unplugged?",
    errno.ENXIO: "is gone: was it unplugged?",
    errno.EACCES: "may not be opened: put the agent's user into the group video",
    errno.EBUSY: "is in use: another program has it",
}


class Camera(PolledSensor):
    """A camera, of which the newest picture is taken at each tick, and of that a few figures.

    Options:
        device: a video device of the kernel, such as /dev/v4l/by-id/usb-...-video-index0; or ...
        url: ... a camera at an address of a private network: http://... or https://... for one JPEG at each tick,
            rtsp://... for a stream; or ...
        file: ... a video file, which is read like a recording.
        regions: which parts of the picture; without it, all of it.
        figures: what to tell of each: luminance, contrast, sharpness, change, saturated, red, green, blue; without
            it, the first five.
        rate_hz: pictures per second.
        width: of the picture that a device is asked for, in pixels; it takes the nearest it has.
        height: the same.
        format: of a device; auto = the first it has of YUYV, UYVY, NV12, YU12, GREY, MJPG, JPEG.
        timeout_s: how long a picture may take.
        username: name to log in with, of rtsp.
        password_file: file whose first line is the password.
        password_env: environment variable that holds the password.
        key_frames: decode only what needs no other picture, for less work; they may be seconds apart.
        allow: addresses or networks, such as 203.0.113.7, that may be asked though they are not private.
        ca_file: certificates to believe for https; without it, those of the system.
        start: time of a file's first picture (Unix seconds or an ISO date); without it, when it is opened.
        speed: of a file, times real time; 0 = as fast as it goes.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        url: str | None = None,
        file: Path | None = None,
        regions: Sequence[Region] | None = None,
        figures: Sequence[Figure] | None = None,
        rate_hz: Positive = 1.0,
        width: Annotated[int, AtLeast(1)] = 640,
        height: Annotated[int, AtLeast(1)] = 480,
        format: Literal["auto", "YUYV", "UYVY", "NV12", "YU12", "GREY", "MJPG", "JPEG"] = "auto",
        timeout_s: Positive = 5.0,
        username: str = "",
        password_file: Path | None = None,
        password_env: str = "",
        key_frames: bool = False,
        allow: Sequence[str] = (),
        ca_file: Path | None = None,
        start: float | str | None = None,
        speed: NotNegative = 1.0,
    ) -> None:
        given = {"device": device, "url": url, "file": file}
        names = [name for name, value in given.items() if value is not None]
        if len(names) != 1:
            path = names[1] if names else "device"
            raise OptionError(path, given[path], "give one of device, url and file")
        self._allowed = networks(allow)
        self._endpoint = None if url is None else on_premises(url, self._allowed, ("http", "https", "rtsp"))
        live = self._endpoint is not None and self._endpoint.scheme == "rtsp"
        self._password = Password(username, password_file, password_env)
        if username and not live:
            raise OptionError("username", username, "goes with a url of rtsp://")
        if key_frames and not live and file is None:
            raise OptionError("key_frames", key_frames, "goes with rtsp:// and file")
        if (start is not None or speed != 1.0) and file is None:
            path, value = ("speed", speed) if start is None else ("start", start)
            raise OptionError(path, value, "goes with file")
        self._look = Look(regions, figures)
        self.channels, self.rate_hz = self._look.channels, rate_hz
        self.extra = "jpeg" if (url is not None and not live) or format in PACKED else ""
        self.waits = file is not None  # so nothing of it is ever dropped
        self.skipped: Counter[str] = Counter()
        self._device, self._file, self._live = device, file, live
        self._form, self._size = None if format == "auto" else format, (width, height)
        self._timeout_s, self._key_frames, self._ca_file = timeout_s, key_frames, ca_file
        self._start, self._speed = start_time(start), speed
        self._where = str(device or file) if self._endpoint is None else self._endpoint.told
        self._eye: Eye | None = None
        self._video: Video | None = None

    @classmethod
    def find(cls, root: Path) -> Sequence[Found]:
        """USB cameras. A board's other nodes are codecs, and cameras that give no pictures without more software."""
        names = {path.resolve().name: path for path in sorted(root.glob("dev/v4l/by-id/*"))}
        found = []
        for node in sorted(root.glob("sys/class/video4linux/video*"), key=by_number):
            if read(node / "index").strip() != "0" or "/usb" not in str(node.resolve()):
                continue  # the other nodes of a camera give no pictures
            path = (
                "/" + str(names[node.name].relative_to(root)) if node.name in names else f"/dev/{node.name}"
            )
            what = read(node / "name").strip()
            found.append(
                Found(sensor_name(what.partition(":")[0], "camera"), f"camera {what}", {"device": path})
            )
        return found

    def peers(self) -> Sequence[Peer]:
        where = self._endpoint
        return () if where is None else (Server(where.host, where.port, partial(where.find, self._allowed)),)

    def open(self) -> None:
        self.close()
        self.finished = False
        self._look.begin()
        self._taken: float | None = None  # when the newest picture was, where that is said
        self._epoch = Epoch("monotonic", self.clock)
        try:
            if self._file is not None or self._live:
                self._video = self._film()
            else:
                self._eye = self._camera()
        except (OSError, SensorError) as error:
            raise self._trouble(error) from None
        super().open()
        self._heard, self._patience_s = self.clock.monotonic(), max(FIRST_S, self._timeout_s)
        self._played = 0  # pictures of a file
        self._begins = self.clock.now() if self._start is None else self._start

    def read(self, timeout: float) -> Reading | None:
        if self._video is None:
            reading = super().read(timeout)
            if reading is None or self._taken is None:
                return reading
            return Reading(reading.sensor, self._taken, reading.rate_hz, reading.values)
        try:
            return self._watch(self._video, timeout) if self._live else self._play(self._video, timeout)
        except OSError as error:
            raise self._trouble(error) from None

    def sample(self) -> tuple[float, ...] | None:
        """None for a picture that cannot be read."""
        assert self._eye is not None
        try:
            sight = self._eye.see()
            if sight is None:
                return None
            self._taken = None if sight.monotonic is None else self._unix(sight.monotonic)
            return self._figures(sight.picture)
        except OSError as error:
            raise self._trouble(error) from None

    def close(self) -> None:
        eye, video = self._eye, self._video
        self._eye = self._video = None
        if eye is not None:
            eye.close()
        if video is not None:
            video.end()
        super().close()

    def _unix(self, monotonic: float) -> float:
        """Not later than now, as some drivers would have it."""
        return min(monotonic, self.clock.monotonic()) + self._epoch.offset_s()

    def _camera(self) -> Eye:
        """Raises OSError and SensorError."""
        coloured, timeout_s = self._look.coloured, self._timeout_s
        if self._endpoint is not None:
            return Snapshots(
                self._endpoint,
                allowed=self._allowed,
                ca_file=self._ca_file,
                coloured=coloured,
                timeout_s=timeout_s,
                skipped=self.skipped,
            )
        return Node(
            self._where,
            form=self._form,
            size=self._size,
            rate_hz=self.rate_hz,
            coloured=coloured,
            timeout_s=timeout_s,
            skipped=self.skipped,
        )

    def _film(self) -> Video:
        """Raises OSError and SensorError."""
        if shutil.which("ffmpeg") is None:
            raise OSError("ffmpeg is not installed: apt install ffmpeg")
        source, secret = str(self._file), ""
        if self._endpoint is not None:
            user = ""
            if self._password.username:
                secret = quote(self._password.read(), safe="")
                user = f"{quote(self._password.username, safe='')}:{secret}@"
            address = self._endpoint.find(self._allowed)
            refuse_redirection(self._endpoint, address, self._timeout_s)
            source = self._endpoint.at(address, user)
        elif self._file is not None and not self._file.is_file():
            raise OSError("there is no such file")
        return Video(
            self.name,
            source,
            rate_hz=self.rate_hz,
            coloured=self._look.coloured,
            live=self._live,
            key_frames=self._key_frames,
            secret=secret,
        )

    def _watch(self, video: Video, timeout: float) -> Reading | None:
        """The newest picture of a stream; those before it are counted."""
        picture = self._next(video, timeout)
        now = self.clock.monotonic()
        if picture is None:
            if now - self._heard > self._patience_s:
                raise OSError(f"it gives no picture within {self._patience_s:g} s")
            return None
        self._heard, self._patience_s = now, max(self._timeout_s, 3.0 / self.rate_hz)
        self._ticks += 1
        while (newer := self._next(video, 0.0)) is not None:
            picture = newer
            self._ticks += 1
            self.skipped["older_frames"] += 1
        return self._reading(self._even(self.clock.now()), picture)

    def _play(self, video: Video, timeout: float) -> Reading | None:
        """The next picture of a file, once it is due."""
        assert self._first_tick is not None
        if self.finished:
            return None
        if self._speed > 0.0:
            due = self._first_tick + self._played / (self.rate_hz * self._speed)
            wait = due - self.clock.monotonic()
            if wait > 0.0:
                self.clock.wait(max(0.0, min(wait, timeout)))
            if wait > timeout:
                return None
        try:
            picture = self._next(video, max(0.0, timeout))
        except Ended as error:
            if error.code != 0 or not self._played:
                raise
            self.finished = True
            return None
        if picture is None:
            return None
        self._played += 1
        return self._reading(self._begins + (self._played - 1) / self.rate_hz, picture)

    def _next(self, video: Video, timeout: float) -> Picture | None:
        try:
            return video.next(timeout)
        except NoVideo as error:
            raise OSError(f"it gives what {error}") from None

    def _reading(self, taken: float, picture: Picture) -> Reading:
        return Reading(self.name, taken, self.rate_hz, np.array([self._figures(picture)], np.float32))

    def _figures(self, picture: Picture) -> tuple[float, ...]:
        try:
            return self._look.figures(picture)
        except ValueError as error:
            raise OSError(str(error)) from None

    def _trouble(self, error: OSError | SensorError) -> SensorError:
        said = (
            ADVICE.get(error.errno or 0, error.strerror or str(error))
            if isinstance(error, OSError)
            else error
        )
        return self.error(f"{self._where}: {said}")
