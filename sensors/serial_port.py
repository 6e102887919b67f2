"""A serial port, opened for one alone, with words for what is wrong where it cannot be."""

from __future__ import annotations

import os
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sensors.extras import require

WRITE_S = 1.0  # a command of a few bytes takes no time, unless the port is dead
Parity = Literal["none", "even", "odd"]


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port and how its bytes are framed."""

    path: str
    baud: int
    parity: Parity
    stop_bits: int
    data_bits: int = 8

    def open(self, timeout_s: float, extra: str) -> Any:
        """A `serial.Serial` that nobody else may open; a read lasts `timeout_s` at most. Raises OSError in words, and
        SensorError where pyserial is missing."""
        serial = require("serial", extra)
        try:
            return serial.Serial(
                self.path,
                baudrate=self.baud,
                bytesize=self.data_bits,
                parity=self.parity[0].upper(),
                stopbits=self.stop_bits,
                timeout=timeout_s,
                write_timeout=WRITE_S,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:  # pyserial lets the last pass: it is no OSError
            raise OSError(trouble(self.path, error)) from None


def trouble(path: str, error: Exception) -> str:
    """Why a port cannot be opened, in words."""
    if not Path(path).exists():
        return f"there is no {path}: is it plugged in? (ls /dev/serial/by-id)"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path} may not be opened: be in the group that owns it, mostly dialout"
    if "lock" in str(error):
        return f"{path} is in use by another program or sensor"
    return f"{path} cannot be opened: {error}"
