"""What could be listened to, once a driver is told more, is told of and not touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli import main
from agent.hints import hints
from sensors import registry
from tests.sensors.world import make_board


def test_ports_and_buses_are_told_with_their_drivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coming = dict.fromkeys(("can",), "sensors.host:Host")
    monkeypatch.setattr(registry, "DRIVERS", coming | registry.DRIVERS)
    make_board(
        tmp_path,
        {
            "dev/ttyACM0": "",
            "dev/i2c-1": "",
            "dev/spidev0.0": "",
            "sys/class/net/can0/type": "280\n",
            "sys/class/net/eth0/type": "1\n",
        },
    )
    assert hints(tmp_path) == [
        "serial port /dev/ttyACM0: driver serial or modbus",
        "I2C bus /dev/i2c-1, for chips that the kernel has no driver for: driver adxl345",
        "SPI bus /dev/spidev0.0, for chips that the kernel has no driver for: driver adxl345",
        "CAN bus can0: driver can",
    ]
    make_board(tmp_path, {"dev/serial/by-id/usb-FTDI_FT232R-if00-port0": ""})
    assert (
        hints(tmp_path)[0]
        == "serial port /dev/serial/by-id/usb-FTDI_FT232R-if00-port0: driver serial or modbus"
    )


def test_what_no_driver_of_ours_reads_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_board(tmp_path, {"dev/ttyUSB0": ""})
    monkeypatch.setattr(registry, "DRIVERS", {"host": registry.DRIVERS["host"]})
    assert hints(tmp_path) == []


def test_the_command_tells_them(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.drivers.hints", lambda root: ["CAN bus can0: driver can"])
    assert main(["sensors"]) == 0
    said = capsys.readouterr().out
    assert "Also here; what their drivers must be told besides, docs/drivers.md says:\n  CAN bus can0" in said
