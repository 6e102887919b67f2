"""The accelerometer ADXL345 by its own FIFO, over I2C or SPI: a chip without a driver of the kernel."""

from __future__ import annotations

import contextlib
import errno
import re
from collections import Counter, deque
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sensors.base import VIBRATION_FROM_HZ, Channel, OptionError, Positive, Reading, Sensor, SensorError
from sensors.extras import require
from sensors.sample_times import Arrivals, Timeline
from sensors.spi import MODE_3, Spi

# Analog Devices, ADXL345 datasheet rev. G: register map (table 19) and the descriptions after it
DEVID, BW_RATE, POWER_CTL, INT_ENABLE, INT_SOURCE = 0x00, 0x2C, 0x2D, 0x2E, 0x30
DATA_FORMAT, DATAX0, FIFO_CTL, FIFO_STATUS = 0x31, 0x32, 0x38, 0x39
IDENTITY = 0xE5
STANDBY, MEASURE = 0x00, 0x08  # of POWER_CTL
OVERRUN = 0x01  # of INT_SOURCE: new data have replaced data nobody had read
FULL_RESOLUTION = 0x08  # of DATA_FORMAT: the range adds bits, and the scale stays
RANGES = {2: 0, 4: 1, 8: 2, 16: 3}
BYPASS, STREAM = 0x00, 0x80  # of FIFO_CTL: off, which empties it; on, where the newest replace the oldest
ENTRIES = 0x3F  # of FIFO_STATUS
FIFO_DEPTH = 32  # and one more waits in the data registers
METRES_PER_S2 = 9.80665 / 256  # 256 LSB/g at full resolution (table 1), standard gravity
# table 7, BW_RATE at normal power
RATES = {3200 / 2**i: 15 - i for i in range(16)}
I2C_MOST_HZ = 800.0  # at 400 kHz; "Serial communications, I2C"
SPI_MOST_HZ = 5e6  # table 9
PAUSE_US = 5  # between reads of the data registers, for the FIFO to move on; "Retrieving data from FIFO"
SAME_RATE = 0.03  # "0.10" of 0.0977, as the table rounds
AXES = tuple(Channel(axis, "m/s2") for axis in ("x", "y", "z"))
SILENT_S = 1.0  # and ten samples: a chip that measures has something to say by then


class Registers(Protocol):
    """The chip's registers over either bus. Every call may raise OSError."""

    def read(self, register: int) -> int: ...

    def write(self, register: int, value: int) -> None: ...

    def samples(self, count: int) -> bytes:
        """The oldest of the FIFO, six bytes each: all six in one read, or axes of different samples would mix."""
        ...

    def close(self) -> None: ...


class OverI2c:
    """SMBus calls, which also adapters without plain I2C know."""

    def __init__(self, bus: Any, address: int) -> None:
        self._bus, self._address = bus, address

    def read(self, register: int) -> int:
        return int(self._bus.read_byte_data(self._address, register))

    def write(self, register: int, value: int) -> None:
        self._bus.write_byte_data(self._address, register, value)

    def samples(self, count: int) -> bytes:
        each = (self._bus.read_i2c_block_data(self._address, DATAX0, 6) for _ in range(count))
        return b"".join(map(bytes, each))  # addressing it again takes longer than PAUSE_US

    def close(self) -> None:
        self._bus.close()


class OverSpi:
    """A first byte with the register, 80h to read, 40h for several bytes ("Serial communications, SPI")."""

    def __init__(self, spi: Spi) -> None:
        self._spi = spi

    def read(self, register: int) -> int:
        return self._spi.transfer([bytes([0x80 | register, 0])])[0][1]

    def write(self, register: int, value: int) -> None:
        self._spi.transfer([bytes([register, value])])

    def samples(self, count: int) -> bytes:
        asked = bytes([0xC0 | DATAX0, 0, 0, 0, 0, 0, 0])
        return b"".join(got[1:] for got in self._spi.transfer([asked] * count, PAUSE_US)) if count else b""

    def close(self) -> None:
        self._spi.close()


class Adxl345(Sensor):
    """Three axes of acceleration from an ADXL345 that the kernel leaves alone.

    The chip collects up to 32 samples by itself; they are fetched when half of that has come. It gives samples no
    times: theirs follow the arrival of the batches.

    Options:
        device: the bus: /dev/i2c-1, or /dev/spidev0.0 with the chip select it is wired to.
        address: on I2C: 0x53, or 0x1D with pin SDO high.
        rate_hz: samples per second: 3200, 1600, 800, 400, ... down to 0.1; over I2C at most 800.
        range_g: the largest acceleration it can tell, in g.
        spi_hz: clock of the SPI bus, at most 5 MHz; from 2 MHz on it keeps up with 3200 samples per second.
        block_s: length of one Reading.
    """

    channels = AXES
    extra = "i2c"

    def __init__(
        self,
        *,
        device: str = "/dev/i2c-1",
        address: int = 0x53,
        rate_hz: Positive = 800.0,
        range_g: Literal[2, 4, 8, 16] = 16,
        spi_hz: Positive = 2e6,
        block_s: Positive = 0.1,
    ) -> None:
        self._spi = re.fullmatch(r".*/spidev\d+\.\d+", device) is not None
        if not self._spi and re.fullmatch(r".*/i2c-\d+", device) is None:
            raise OptionError("device", device, "is neither like /dev/i2c-1 nor like /dev/spidev0.0")
        if self._spi:
            self.extra = ""  # the kernel's spidev is spoken to without a library
        nearest = min(RATES, key=lambda rate: abs(rate - rate_hz))
        if abs(nearest - rate_hz) > SAME_RATE * rate_hz:
            told = ", ".join(f"{rate:g}" for rate in RATES)
            raise OptionError("rate_hz", rate_hz, f"must be one of {told}")
        if not self._spi and nearest > I2C_MOST_HZ:
            raise OptionError("rate_hz", rate_hz, f"must be at most {I2C_MOST_HZ:g} over I2C: wire it to SPI")
        if spi_hz > SPI_MOST_HZ:
            raise OptionError("spi_hz", spi_hz, f"must be at most {SPI_MOST_HZ:g}")
        self.rate_hz = nearest
        self.kind = "vibration" if nearest >= VIBRATION_FROM_HZ else "telemetry"
        self.skipped: Counter[str] = Counter()
        self._device, self._address, self._spi_hz = device, address, spi_hz
        self._format = FULL_RESOLUTION | RANGES[range_g]
        self._block = max(1, round(block_s * nearest))
        half = FIFO_DEPTH // 2 / nearest
        self._every_s = max(1 / nearest, min(half, block_s))
        self._chip: Registers | None = None
        self._recognized = False  # whether it said that it is an ADXL345: to nothing else is anything written
        self._ready: deque[Reading] = deque()

    def open(self) -> None:
        self.close()
        try:
            self._chip = self._connect()
            self._set_up(self._chip)
        except OSError as error:
            self.close()
            raise self.error(self._why(error)) from error
        except SensorError:
            self.close()
            raise
        self._arrivals, self._timeline = Arrivals(self.rate_hz), Timeline(self.rate_hz)
        self._collected: list[bytes] = []
        self._time = 0.0  # of the first that was collected
        self._due = self._heard = self.clock.monotonic()
        self._due += self._every_s

    def read(self, timeout: float) -> Reading | None:
        if self._chip is None:
            raise self.error("read before open")
        end = self.clock.monotonic() + max(0.0, timeout)
        while not self._ready:
            now = self.clock.monotonic()
            if self._due > end:
                self.clock.wait(end - now)
                return None
            if self._due > now:
                self.clock.wait(self._due - now)
            try:
                self._fetch(self._chip)
            except OSError as error:
                raise self.error(self._why(error)) from error
            self._due = self.clock.monotonic() + self._every_s
        return self._ready.popleft()

    def close(self) -> None:
        self._ready.clear()
        if self._chip is not None:
            if self._recognized:
                with contextlib.suppress(OSError):
                    self._chip.write(POWER_CTL, STANDBY)
            with contextlib.suppress(OSError):
                self._chip.close()
        self._chip, self._recognized = None, False

    def _connect(self) -> Registers:
        if self._spi:
            return OverSpi(Spi(self._device, MODE_3, self._spi_hz))
        return OverI2c(require("smbus2", "i2c").SMBus(self._device), self._address)

    def _set_up(self, chip: Registers) -> None:
        found = chip.read(DEVID)
        if found != IDENTITY:
            raise self.error(f"{self._where} is no ADXL345: it says {found:#04x}, not {IDENTITY:#04x}")
        self._recognized = True
        settings = {
            POWER_CTL: STANDBY,
            INT_ENABLE: 0,
            BW_RATE: RATES[self.rate_hz],
            DATA_FORMAT: self._format,
            FIFO_CTL: BYPASS,
        }
        for register, value in settings.items():
            chip.write(register, value)
            if chip.read(register) != value:
                raise self.error(f"{self._where} does not keep {value:#04x} in register {register:#04x}")
        chip.write(FIFO_CTL, STREAM)
        chip.write(POWER_CTL, MEASURE)

    def _fetch(self, chip: Registers) -> None:
        """Take what has come, and make a Reading of it once there is enough."""
        entries = chip.read(FIFO_STATUS) & ENTRIES
        arrived, now = self.clock.now(), self.clock.monotonic()
        overrun = chip.read(INT_SOURCE) & OVERRUN
        if entries > FIFO_DEPTH + 1:
            self.skipped["bad_answers"] += 1
            raise self.error(
                f"{self._where} claims {entries} samples, of {FIFO_DEPTH} at most: is it still wired?"
            )
        if entries:
            self._heard = now
        elif now - self._heard > max(SILENT_S, 10 / self.rate_hz):
            raise self.error(f"{self._where} measures no more: has it lost its power?")
        else:
            return
        got = chip.samples(entries)
        run = self._arrivals.run(entries, arrived, broken=bool(overrun))
        if run.lost:
            self.skipped["lost_samples"] += run.lost
            self._give()  # what follows a hole is another Reading
        if not self._collected:
            self._time = run.time
        self._collected.append(got)
        if sum(map(len, self._collected)) >= 6 * self._block:
            self._give()

    def _give(self) -> None:
        if self._collected:
            counts: NDArray[np.int16] = np.frombuffer(b"".join(self._collected), "<i2").reshape(-1, 3)
            values = counts.astype(np.float32) * np.float32(METRES_PER_S2)
            time = self._timeline.place(self._time, len(values))
            self._ready.append(Reading(self.name, time, self.rate_hz, values))
            self._collected = []

    @property
    def _where(self) -> str:
        return self._device if self._spi else f"{self._device} at {self._address:#04x}"

    def _why(self, error: OSError) -> str:
        words = {
            errno.ENOENT: "there is no such bus: is it switched on (raspi-config, dtparam=i2c_arm=on or spi=on)?",
            errno.EACCES: f"may not be opened: put the agent's user into the group {'spi' if self._spi else 'i2c'}",
            errno.EREMOTEIO: "nobody answers: check wires and address",
            errno.ENXIO: "nobody answers: check wires and address",
            errno.ENODEV: "nobody answers: check wires and address",
            errno.EBUSY: "a driver of the kernel has it: use the driver iio",
        }
        return f"{self._where}: {words.get(error.errno or 0, error.strerror)}"
