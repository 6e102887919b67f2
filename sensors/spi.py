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
_SET_MODE, _SET_BITS, _SET_SPEED = (
    1 << 30 | size << 16 | _MAGIC | number for size, number in ((1, 1), (1, 3), (4, 4))
)
MODE_3 = 3  # clock idles high, and the second edge samples: CPOL = CPHA = 1


class Spi:
    """`/dev/spidev<bus>.<chip select>`, opened. Every call may raise OSError."""

    def __init__(self, path: str, mode: int, speed_hz: float) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._speed_hz = round(speed_hz)
        try:
            fcntl.ioctl(self._file, _SET_MODE, bytes([mode]))
            fcntl.ioctl(self._file, _SET_BITS, bytes([8]))
            fcntl.ioctl(self._file, _SET_SPEED, struct.pack("=I", self._speed_hz))
        except OSError:
            self.close()
            raise

    def transfer(self, written: Sequence[bytes], pause_us: int = 0) -> list[bytes]:
        """What comes back while each of these is written. The chip is deselected after each, and left alone for
        `pause_us`."""
        count = len(written)
        sent = [ctypes.create_string_buffer(each, len(each)) for each in written]
        got = [ctypes.create_string_buffer(len(each)) for each in written]
        transfers = b"".join(
            _TRANSFER.pack(
                ctypes.addressof(tx),
                ctypes.addressof(rx),
                len(tx),
                self._speed_hz,
                pause_us,
                8,
                i + 1 < count,
                0,
                0,
                0,
            )
            for i, (tx, rx) in enumerate(zip(sent, got, strict=True))
        )
        fcntl.ioctl(self._file, 1 << 30 | len(transfers) << 16 | _MAGIC, transfers)
        return [rx.raw for rx in got]

    def close(self) -> None:
        os.close(self._file)
