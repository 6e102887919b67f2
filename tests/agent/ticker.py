"""A live sensor without a device: gives its samples at once, and breaks when told to."""

from __future__ import annotations

import threading
from typing import Literal

import numpy as np

from sensors.base import Channel, Reading, Sensor

PIECE = 10


class Ticker(Sensor):
    """Two channels of noise at 1 Hz.

    Options:
        breaks_after: rows until it fails; 0 = never.
        level: the mean of both channels.
        mute_after: rows until it gives nothing more; None = never.
        fault: what it fails with.
    """

    channels = (Channel("a"), Channel("b"))
    rate_hz = 1.0

    def __init__(
        self,
        *,
        breaks_after: int = 0,
        level: float = 0.0,
        mute_after: int | None = None,
        fault: Literal["sensor", "os", "bug"] = "sensor",
    ) -> None:
        self._breaks_after, self._level = breaks_after, level
        self._mute_after, self._fault = mute_after, fault
        self._given = 0

    def open(self) -> None:
        self._random = np.random.default_rng(0)

    def read(self, timeout: float) -> Reading | None:
        if self._breaks_after and self._given >= self._breaks_after:
            if self._fault == "os":
                raise OSError(121, "Remote I/O error")
            if self._fault == "bug":
                raise ZeroDivisionError("of the driver's own")
            raise self.error("the wire came off")
        if self._mute_after is not None and self._given >= self._mute_after:
            threading.Event().wait(timeout)
            return None
        rows = self._random.normal(self._level, 1.0, (PIECE, 2)).astype(np.float32)
        self._given += PIECE
        return Reading(self.name, 1_700_000_000.0 + self._given - PIECE, self.rate_hz, rows)

    def close(self) -> None: ...
