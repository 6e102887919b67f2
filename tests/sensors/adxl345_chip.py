"""An ADXL345 at the level of its registers, as its datasheet describes it, on a pushed clock.

A chip with a FIFO is nothing that the kernel's i2c-stub could play; here it stands behind the interface of smbus2, or
behind the transfers of an SPI bus.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence

from sensors.base import Clock

DEPTH = 33  # 32 in the FIFO, one in the data registers
RATES = {15 - i: 3200 / 2**i for i in range(16)}


class Chip:
    """Sample i is (i, -i, 256) counts. `faster` is its clock's error: 0.02 is 2 % fast."""

    def __init__(self, clock: Clock, address: int = 0x53, faster: float = 0.0) -> None:
        self.clock, self.address, self.faster = clock, address, faster
        self.registers = {0x00: 0xE5, 0x2C: 0x0A, 0x2D: 0, 0x2E: 0, 0x31: 0, 0x38: 0}
        self.wired = True
        self.closed = 0
        self.made = 0
        self.taken: list[int] = []  # the samples that were read, by number
        self._fifo: deque[int] = deque()
        self._overrun = False
        self._began = 0.0

    @property
    def rate_hz(self) -> float:
        return float(RATES[self.registers[0x2C] & 0xF] * (1 + self.faster))

    def read(self, register: int, count: int) -> list[int]:
        self._measure()
        if register == 0x32:
            return self._sample()[:count]
        return [self._register(register + i) for i in range(count)]

    def write(self, register: int, value: int) -> None:
        self._measure()
        if register == 0x2D and value & 8 and not self.registers[0x2D] & 8:
            self._began, self.made = self.clock.monotonic(), 0
        if register == 0x38 and not value & 0xC0:  # bypass empties it
            self._fifo.clear()
            self._overrun = False
        self.registers[register] = value

    def lose_power(self) -> None:
        """A dip of its supply: registers as after switching on."""
        self.registers |= {0x2C: 0x0A, 0x2D: 0, 0x31: 0, 0x38: 0}
        self._fifo.clear()

    def _register(self, register: int) -> int:
        if register == 0x30:
            return 0x80 * bool(self._fifo) | self._overrun
        if register == 0x39:
            return min(len(self._fifo), DEPTH - 1)
        return self.registers.get(register, 0)

    def _measure(self) -> None:
        if not self.registers[0x2D] & 8:
            return
        due = int((self.clock.monotonic() - self._began) * self.rate_hz + 1e-6)
        for number in range(self.made, due):
            self._fifo.append(number)
            if len(self._fifo) > (DEPTH if self.registers[0x38] & 0xC0 == 0x80 else 1):
                self._fifo.popleft()
                self._overrun = True
        self.made = max(self.made, due)

    def _sample(self) -> list[int]:
        self._overrun = False
        if self._fifo:
            self.taken.append(self._fifo.popleft())
        number = self.taken[-1] if self.taken else 0
        octets = [axis.to_bytes(2, "little", signed=True) for axis in (number % 4096, -(number % 4096), 256)]
        return list(b"".join(octets))


class EmulatedSmbus2:
    """The module smbus2 with one chip on its bus."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    def SMBus(self, path: str) -> EmulatedSmbus2:
        return self

    def read_byte_data(self, address: int, register: int) -> int:
        return self.read_i2c_block_data(address, register, 1)[0]

    def read_i2c_block_data(self, address: int, register: int, count: int) -> list[int]:
        self._answer(address)
        return self.chip.read(register, count)

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self._answer(address)
        self.chip.write(register, value)

    def close(self) -> None:
        self.chip.closed += 1

    def _answer(self, address: int) -> None:
        if address != self.chip.address or not self.chip.wired:
            raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))


class EmulatedSpi:
    """The transfers of an SPI bus with one chip selected; a wire that is off reads ones."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    def transfer(self, written: Sequence[bytes], pause_us: int = 0) -> list[bytes]:
        return [self._one(each) for each in written]

    def close(self) -> None:
        self.chip.closed += 1

    def _one(self, written: bytes) -> bytes:
        register = written[0] & 0x3F
        if not self.chip.wired:
            return b"\xff" * len(written)
        if written[0] & 0x80:
            assert len(written) == 2 or written[0] & 0x40, "several bytes without the bit for several bytes"
            return bytes([0, *self.chip.read(register, len(written) - 1)])
        self.chip.write(register, written[1])
        return bytes(len(written))
