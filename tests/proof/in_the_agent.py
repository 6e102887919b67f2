"""What runs in the agent's process before the agent does: its Readings are written down, and a chip is on a bus."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sensors import adxl345
from sensors.base import Clock
from tests.proof.ledger import write_down
from tests.sensors.adxl345_chip import Chip, EmulatedSmbus2


def prepare(readings: str, wired: str) -> None:
    """Write Readings into the folder `readings`; the chip answers while there is a file `wired`."""
    write_down(readings)
    bus = Bus(Path(wired))
    setattr(adxl345, "require", lambda module, extra: bus)  # noqa: B010  # it asks for smbus2 alone


class Bus(EmulatedSmbus2):
    """It has a wire that can be pulled."""

    def __init__(self, wired: Path) -> None:
        super().__init__(Chip(Clock()))
        self._wired = wired

    def _answer(self, address: int) -> None:
        if not self._wired.exists():
            raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
        super()._answer(address)
