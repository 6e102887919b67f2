"""Cameras that can be asked for the newest picture: devices of the kernel, and those that show a JPEG over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sensors.http_fetch import Endpoint, Network, NoDocument, trust
from sensors.jpeg import Decoder
from sensors.picture import Picture
from sensors.v4l2 import PACKED, VideoDevice


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A picture; `monotonic` is when it was taken, None where nobody says."""

    picture: Picture
    monotonic: float | None = None


class Eye(Protocol):
    """Looks from when it is made until `close`. What cannot be used is counted in the `skipped` it was given."""

    def see(self) -> Sight | None:
        """The newest picture; None for one that cannot be read. Raises OSError."""
        ...

    def close(self) -> None: ...


class Node:
    """A video device of the kernel."""

    def __init__(
        self,
        path: str,
        *,
        form: str | None,
        size: tuple[int, int],
        rate_hz: float,
        coloured: bool,
        timeout_s: float,
        skipped: Counter[str],
    ) -> None:
        """Raises OSError, and SensorError where Pillow is missing."""
        self._timeout_s, self._skipped = timeout_s, skipped
        self._device = VideoDevice(path, form, *size, rate_hz)
        self._number: int | None = None  # of the newest frame
        try:
            self._decoder = Decoder(coloured) if self._device.shape.form in PACKED else None
        except BaseException:
            self._device.close()
            raise

    def see(self) -> Sight | None:
        frame = self._device.newest(self._timeout_s)
        if self._device.broken:
            self._skipped["broken_frames"] += self._device.broken
        if frame is None:
            raise TimeoutError(f"it gives no picture within {self._timeout_s:g} s")
        if self._number is not None and (older := frame.number - self._number - 1 - self._device.broken) > 0:
            self._skipped["older_frames"] += older
        self._number = frame.number
        shape = self._device.shape
        try:
            picture = (
                shape.picture(frame.octets) if self._decoder is None else self._decoder.picture(frame.octets)
            )
        except ValueError:
            self._skipped["broken_frames"] += 1
            return None
        return Sight(picture, frame.monotonic)

    def close(self) -> None:
        self._device.close()


class Snapshots:
    """An address that answers with a JPEG each time it is asked."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        allowed: Sequence[Network],
        ca_file: Path | None,
        coloured: bool,
        timeout_s: float,
        skipped: Counter[str],
    ) -> None:
        """Raises OSError, and SensorError where Pillow is missing."""
        self._endpoint, self._timeout_s, self._skipped = endpoint, timeout_s, skipped
        self._context = trust(endpoint.scheme, ca_file)
        self._address = endpoint.find(allowed)
        self._decoder = Decoder(coloured)

    def see(self) -> Sight | None:
        try:
            octets = self._endpoint.get(self._address, self._timeout_s, "image/jpeg", self._context)
        except NoDocument as error:
            self._skipped[error.reason] += 1
            raise OSError(str(error)) from None
        try:
            return Sight(self._decoder.picture(octets))
        except ValueError as error:
            self._skipped["broken_frames"] += 1
            raise OSError(f"it answers what is no picture: {error}") from None

    def close(self) -> None:
        pass
