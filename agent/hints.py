"""What is on this machine that could be listened to, once a driver is told more than the machine itself can say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from sensors import registry
from sensors.kernel_files import read

HERE = ("localhost", "127.0.0.1", "::1")  # as hosts of a broker
BROKER_LIES_IN = "/usr/sbin:/usr/bin:/usr/local/sbin"  # which the PATH of a user may not have
CAN = "280"  # ARPHRD_CAN, linux/if_arp.h


def hints(root: Path = Path("/")) -> list[str]:
    """A line for each: what it is, and which drivers could read it. Only lists files."""
    return [
        f"{what}: driver {' or '.join(drivers)}"
        for what, wanted in _there(root)
        if (drivers := [driver for driver in wanted if registry.known(driver)])
    ]


def broker_command() -> str:
    """What starts a broker on this machine, on which none answers."""
    there = shutil.which("mosquitto", path=BROKER_LIES_IN)
    return "sudo systemctl enable --now mosquitto" if there else "sudo apt install mosquitto"


def _there(root: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    ports = sorted(root.glob("dev/serial/by-id/*")) or [
        path for kind in ("ttyUSB", "ttyACM") for path in sorted(root.glob(f"dev/{kind}*"))
    ]
    for port in ports:
        yield f"serial port {_shown(port, root)}", ("serial", "modbus")
    for bus in sorted(root.glob("dev/i2c-*")):
        yield f"I2C bus {_shown(bus, root)}, for chips that the kernel has no driver for", ("adxl345",)
    for bus in sorted(root.glob("dev/spidev*")):
        yield f"SPI bus {_shown(bus, root)}, for chips that the kernel has no driver for", ("adxl345",)
    for card in sorted(root.glob("sys/class/net/*")):
        if read(card / "type").strip() == CAN:
            yield f"CAN bus {card.name}", ("can",)


def _shown(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"
