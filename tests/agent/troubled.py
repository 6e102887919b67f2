"""A live sensor whose trouble can be switched on and off from another process, by a file."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Literal

import numpy as np

from sensors.base import Channel, Reading, Sensor

# What a process that shall have this driver runs first.
DRIVER = "from sensors import registry; registry.DRIVERS['troubled'] = 'tests.agent.troubled:Troubled'"


class Troubled(Sensor):
    """Two channels of noise at 200 Hz.

    Options:
        gate: while this file exists there is trouble.
        trouble: what kind of trouble: "bug" raises what no driver should, "other" comes back with other channels,
            "void" gives channel a as not a number, "fault" gives values that are far from normal.
    """

    rate_hz = 200.0

    def __init__(
        self,
        *,
        gate: str = "",
        trouble: Literal["raises", "hangs", "hangs_in_open", "bug", "other", "void", "fault"] = "raises",
    ) -> None:
        self._gate, self._trouble = Path(gate), trouble
        self.channels = (Channel("a"), Channel("b"))
        self._random = np.random.default_rng(0)

    @property
    def _shut(self) -> bool:
        return self._gate.is_file()

    def open(self) -> None:
        while self._shut and self._trouble == "hangs_in_open":
            time.sleep(0.02)

    def read(self, timeout: float) -> Reading | None:
        if self._shut and self._trouble not in ("void", "fault"):
            if self._trouble == "hangs":
                threading.Event().wait()
            if self._trouble == "bug":
                raise ZeroDivisionError("a bug in the driver")
            if self._trouble == "other":
                self.channels = (Channel("a", "Cel"),)
            raise self.error("the wire came off")
        time.sleep(1 / self.rate_hz)
        row = self._random.normal(0.0, 1.0, (1, len(self.channels))).astype(np.float32)
        if self._shut:
            row[:, 0] = math.nan if self._trouble == "void" else row[:, 0] + 3.0
        return Reading(self.name, time.time(), self.rate_hz, row)

    def close(self) -> None: ...
