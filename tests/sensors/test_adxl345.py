"""The ADXL345 by its FIFO, against a chip that is emulated register by register."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from sensors import OptionError, Sensor, SensorError, check, create
from sensors.adxl345 import METRES_PER_S2, RATES, Adxl345, OverSpi
from sensors.contract import NAME, PushedClock, SensorContract
from tests.sensors.adxl345_chip import Chip, EmulatedSmbus2, EmulatedSpi


class Wired:
    """A sensor and the chip on its bus."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, faster: float = 0.0, **options: object) -> None:
        self.clock = PushedClock()
        self.chip = Chip(self.clock, faster=faster)
        monkeypatch.setattr("sensors.adxl345.require", lambda module, extra: EmulatedSmbus2(self.chip))
        monkeypatch.setattr("sensors.adxl345.Spi", lambda path, mode, speed_hz: EmulatedSpi(self.chip))
        self.sensor = create(NAME, "adxl345", options)
        assert isinstance(self.sensor, Adxl345)
        self.skipped = self.sensor.skipped
        self.sensor.clock = self.clock


class TestAdxl345(SensorContract):
    driver = "adxl345"
    clock = PushedClock
    wired: Wired

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        return {}

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        return {"device": "/dev/i2c-99"}

    @pytest.fixture
    def sensor(self, options: Mapping[str, object], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sensor]:
        type(self).wired = Wired(monkeypatch)
        yield self.wired.sensor
        self.wired.sensor.close()

    def lose(self) -> None:
        self.wired.chip.wired = False

    def mend(self) -> None:
        self.wired.chip.wired = True


@pytest.mark.parametrize("device", ["/dev/i2c-1", "/dev/spidev0.0"])
def test_every_sample_of_the_chip_is_read_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    wired = Wired(monkeypatch, device=device)
    counts: list[int] = []
    with wired.sensor as sensor:
        for _ in range(20):
            reading = sensor.read(1.0)
            assert reading is not None
            counts += (reading.values[:, 0] / METRES_PER_S2).round().astype(int).tolist()
    assert counts == list(range(len(counts)))
    assert len(counts) >= 20 * 80
    assert wired.skipped == {}


def test_values_are_metres_per_second_squared_whatever_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    for range_g, bits in ((2, 8), (16, 11)):
        wired = Wired(monkeypatch, range_g=range_g)
        with wired.sensor as sensor:
            reading = sensor.read(1.0)
        assert reading is not None
        np.testing.assert_allclose(reading.values[:, 2], 9.80665, rtol=1e-6)  # 256 counts are 1 g
        assert wired.chip.registers[0x31] == bits


def test_the_chip_is_set_up_as_asked_and_put_to_sleep_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wired = Wired(monkeypatch, device="/dev/spidev0.0", rate_hz=3200)
    wired.sensor.open()
    registers = wired.chip.registers
    assert [registers[r] for r in (0x2C, 0x31, 0x38, 0x2D)] == [0x0F, 0x0B, 0x80, 0x08]
    wired.sensor.close()
    assert registers[0x2D] == 0
    assert wired.chip.closed == 1


def test_an_overrun_is_counted_and_what_follows_is_another_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    wired = Wired(monkeypatch, block_s=0.04)
    with wired.sensor as sensor:
        first = sensor.read(1.0)
        wired.clock.push(0.25)  # somebody kept this thread from running
        second = sensor.read(1.0)
        third = sensor.read(1.0)
    assert first is not None
    assert second is not None
    assert third is not None
    numbers = [(r.values[:, 0] / METRES_PER_S2).round().astype(int) for r in (first, second, third)]
    lost = int(numbers[1][0] - numbers[0][-1]) - 1
    assert lost > 100
    assert wired.skipped["lost_samples"] == pytest.approx(lost, abs=2)
    assert np.all(np.diff(np.concatenate(numbers[1:])) == 1)
    assert second.time - first.time == pytest.approx((numbers[1][0] - numbers[0][0]) / 800, abs=2 / 800)


@pytest.mark.parametrize("faster", [-0.03, 0.0, 0.003])
def test_times_follow_the_chips_own_clock(monkeypatch: pytest.MonkeyPatch, faster: float) -> None:
    wired = Wired(monkeypatch, faster=faster)
    began = wired.clock.now()
    late = []
    with wired.sensor as sensor:
        for _ in range(200):
            reading = sensor.read(1.0)
            assert reading is not None
            number = round(float(reading.values[0, 0]) / METRES_PER_S2)
            number += 4096 * round((wired.chip.taken[-len(reading.values)] - number) / 4096)
            late.append((reading.time - began) * wired.chip.rate_hz - (number + 1))
    settled = np.array(late[50:])  # in periods
    assert abs(settled.mean()) < 0.6
    assert settled.std() < 0.15


def test_a_chip_that_lost_its_power_is_set_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wired = Wired(monkeypatch)
    wired.sensor.open()
    wired.sensor.read(1.0)
    wired.chip.lose_power()
    with pytest.raises(SensorError, match="measures no more: has it lost its power"):
        wired.sensor.read(20.0)
    wired.sensor.close()
    wired.sensor.open()
    assert wired.sensor.read(1.0) is not None
    wired.sensor.close()


def test_a_wire_that_comes_off_spi_makes_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    wired = Wired(monkeypatch, device="/dev/spidev0.0")
    with wired.sensor as sensor:
        sensor.read(1.0)
        wired.chip.wired = False
        with pytest.raises(SensorError, match="claims 63 samples, of 32 at most"):
            sensor.read(1.0)
        assert wired.skipped == {"bad_answers": 1}
    with pytest.raises(SensorError, match="is no ADXL345: it says 0xff, not 0xe5"):
        wired.sensor.open()


@pytest.mark.parametrize("device", ["/dev/i2c-1", "/dev/spidev0.0"])
def test_nothing_is_written_to_another_chip(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    wired = Wired(monkeypatch, device=device)
    wired.sensor.open()
    wired.sensor.close()
    eeprom = dict.fromkeys(range(0x40), 0x41)
    wired.chip.registers = dict(eeprom)
    with pytest.raises(SensorError, match="is no ADXL345: it says 0x41, not 0xe5"):
        wired.sensor.open()
    wired.sensor.close()
    assert wired.chip.registers == eeprom
    assert wired.chip.closed == 2


def test_another_address_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    wired = Wired(monkeypatch, address=0x1D)
    with pytest.raises(SensorError, match="it: /dev/i2c-1 at 0x1d: nobody answers: check wires and address"):
        wired.sensor.open()
    assert wired.chip.closed == 1


def test_a_bus_that_is_not_there_says_how_to_switch_it_on() -> None:
    for device in ("/dev/i2c-99", "/dev/spidev9.9"):
        with pytest.raises(SensorError, match=rf"{device}.*: there is no such bus: is it switched on"):
            create(NAME, "adxl345", {"device": device}).open()


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smbus2", None)
    with pytest.raises(SensorError, match=r"smbus2 is not installed: pip install 'tocsin\[i2c\]'"):
        create(NAME, "adxl345", {}).open()


@pytest.mark.parametrize(
    ("options", "path", "told"),
    [
        ({"device": "COM3"}, "device", "neither like /dev/i2c-1"),
        ({"rate_hz": 1000}, "rate_hz", "must be one of 3200, 1600, 800"),
        ({"rate_hz": 3200}, "rate_hz", "at most 800 over I2C"),
        ({"device": "/dev/spidev0.0", "spi_hz": "10 MHz"}, "spi_hz", "at most 5e"),
        ({"range_g": 3}, "range_g", "must be one of 2, 4, 8, 16"),
    ],
)
def test_options_that_the_chip_cannot_do_are_refused(
    options: dict[str, object], path: str, told: str
) -> None:
    (problem,) = check("adxl345", options)
    assert problem.path == path
    assert told in problem.message


def test_a_rate_may_be_written_as_the_datasheet_rounds_it() -> None:
    assert Adxl345(rate_hz=3.13).rate_hz == 3.125
    assert Adxl345(rate_hz=0.1).rate_hz == min(RATES)
    with pytest.raises(OptionError):
        Adxl345(rate_hz=3.3)


def test_reading_no_samples_is_no_transfer() -> None:
    assert OverSpi(EmulatedSpi(Chip(PushedClock()))).samples(0) == b""  # type: ignore[arg-type]
