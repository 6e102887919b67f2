"""A device on an SPI bus, through the kernel's spidev: many transfers in one call."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Sequence

# include/uapi/linux/spi/spidev.h, and _IOW of include/uapi/asm-generic/ioctl.h
_TRANSFER = struct.Struct("=QQIIHBBBBBx")  # struct spi_ioc_transfer
_MAGIC = ord("k") << 8
SET_MODE, SET_SPEED = 1 << 30 | 1 << 16 | _MAGIC | 1, 1 << 30 | 4 << 16 | _MAGIC | 4
MODE_3 = 3  # clock idles high, and the second edge samples: CPOL = CPHA = 1


class Spi:
    """`/dev/spidev<bus>.<chip select>`, opened. Every call may raise OSError."""

    def __init__(self, path: str, mode: int, speed_hz: float) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._speed_hz = round(speed_hz)
        try:
            fcntl.ioctl(self._file, SET_MODE, bytes([mode]))
            fcntl.ioctl(self._file, SET_SPEED, struct.pack("=I", self._speed_hz))
        except OSError:
            self.close()
            raise

    def transfer(self, written: Sequence[bytes], pause_us: int = 0) -> list[bytes]:
        """What comes back while each of these is written. The chip is deselected after each, and left alone for
        `pause_us`."""
        sent = [ctypes.create_string_buffer(each, len(each)) for each in written]
        got = [ctypes.create_string_buffer(len(each)) for each in written]
        transfers = bytearray()  # and not bytes, of which Python's ioctl takes 1024 at most
        for i, (tx, rx) in enumerate(zip(sent, got, strict=True), 1):
            deselect = i < len(
                sent
            )  # after the last one it is anyway, and there this would mean the opposite
            places = ctypes.addressof(tx), ctypes.addressof(rx), len(tx)
            transfers += _TRANSFER.pack(*places, self._speed_hz, pause_us, 0, deselect, 0, 0, 0)
        fcntl.ioctl(self._file, 1 << 30 | len(transfers) << 16 | _MAGIC, transfers)
        return [rx.raw for rx in got]

    def close(self) -> None:
        os.close(self._file)
