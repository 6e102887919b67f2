"""What a board draws and what its battery holds: rails, PMIC, RAPL, power supplies, each where the board shows it."""

from __future__ import annotations

import math
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sensors.base import Channel
from sensors.kernel_files import UNKNOWN, added, by_number, number, product, read, scaled

Source = tuple[Channel, Callable[[], float]]

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "VIN", "ina238")  # a Jetson's whole input, where it is measured
AGX_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")  # AGX Orin: these three make up the whole
VCGENCMD = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
PMIC_MODEL = "Raspberry Pi 5"  # the only one with a meter for each rail
PMIC_S = 1.0  # a process of its own each time: no more often
PMIC_TIMEOUT_S = 0.5


def hwmons(root: Path) -> list[Path]:
    """The chips that the kernel watches, by their numbers."""
    return sorted(root.glob("sys/class/hwmon/hwmon[0-9]*"), key=by_number)


def power_sources(root: Path) -> Iterator[Source]:
    """All meters of this board, and `power total` where it has one of the whole board."""
    rails = _rails(root)
    total = next(([rails[name]] for name in TOTAL_RAILS if name in rails), None)
    if total is None and all(name in rails for name in AGX_RAILS):
        total = [rails[name] for name in AGX_RAILS]
    pmic = _pmic(root)
    if pmic is not None:
        rails["pmic"] = pmic
        total = total or [pmic]
    for label, read_rail in rails.items():
        yield Channel(f"power {label}", "W"), read_rail
    for zone in sorted(root.glob("sys/class/powercap/intel-rapl:[0-9]*"), key=lambda path: path.name):
        name = read(zone / "name").strip() or zone.name
        # Packages, not parts of them; root alone may read them.
        if zone.name.count(":") == 1 and read(zone / "energy_uj"):
            yield Channel(f"power {name}", "W"), Rapl(zone).watts
    if total is not None:
        yield Channel("power total", "W"), partial(added, total)


def _rails(root: Path) -> dict[str, Callable[[], float]]:
    """From hwmon: millivolts, milliamperes, microwatts; Linux, Documentation/hwmon/sysfs-interface.rst."""
    rails: dict[str, Callable[[], float]] = {}
    for hwmon in hwmons(root):
        chip = read(hwmon / "name").strip()
        if chip.startswith("ucsi"):  # a USB-C socket, not a rail of the board
            continue
        for current in sorted(hwmon.glob("curr[0-9]*_input"), key=by_number):
            n = by_number(current)
            voltage = hwmon / f"in{n}_input"
            label = read(hwmon / f"in{n}_label").strip()
            connected = label and "NC" not in label.split("_")
            if voltage.exists() and n < 7 and connected:  # 7 of an ina3221 is the sum of its shunts
                rails[label] = partial(product, voltage, current, 1e-6)
        for power in sorted(hwmon.glob("power[0-9]*_input"), key=by_number):
            label = read(hwmon / f"power{by_number(power)}_label").strip() or chip
            rails.setdefault(label, partial(scaled, power, 1e-6))
    return rails


class Rapl:
    """Mean power between two looks at a counter of microjoules that wraps; Linux, Documentation/power/powercap."""

    def __init__(self, zone: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._zone, self._clock = zone, clock
        self._range = number(read(zone / "max_energy_range_uj"))
        self._before, self._at = number(read(zone / "energy_uj")), clock()

    def watts(self) -> float:
        now, at = number(read(self._zone / "energy_uj")), self._clock()
        spent, passed_s = now - self._before, at - self._at
        if spent < 0:
            spent += self._range
        if passed_s <= 0:
            return UNKNOWN
        self._before, self._at = now, at
        return 1e-6 * spent / passed_s


def _pmic(root: Path) -> Callable[[], float] | None:
    """The Raspberry Pi 5's power management chip, through its firmware's own command: there is no file."""
    model = read(root / "proc/device-tree/model")
    command = next((root / path for path in VCGENCMD if (root / path).exists()), None)
    return Pmic(command).watts if model.startswith(PMIC_MODEL) and command is not None else None


class Pmic:
    """Volts times amperes of all rails that tell both, asked at most once in PMIC_S. What the board gives its USB
    sockets and HATs is not among them."""

    def __init__(self, command: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._command, self._clock = command, clock
        self._watts, self._at = UNKNOWN, -math.inf

    def watts(self) -> float:
        now = self._clock()
        if now - self._at >= PMIC_S:
            self._watts, self._at = rails_watts(self._ask()), now
        return self._watts

    def _ask(self) -> str:
        try:
            done = subprocess.run(
                [self._command, "pmic_read_adc"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PMIC_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def rails_watts(said: str) -> float:
    """The sum over all rails `NAME_A current(i)=1.23A` with a `NAME_V volt(j)=0.85V`; NaN where there is none."""
    found = dict(re.findall(r"^\s*(\w+_[AV]) \w+\(\d+\)=([\d.]+)[AV]$", said, re.MULTILINE))
    rails = [
        number(amperes) * number(found[f"{name[:-2]}_V"])
        for name, amperes in found.items()
        if name.endswith("_A") and f"{name[:-2]}_V" in found
    ]
    return sum(rails) if rails else UNKNOWN


def battery_sources(root: Path) -> Iterator[Source]:
    """Batteries and UPSs; Linux, Documentation/ABI/testing/sysfs-class-power: percent, microwatts, microwatt-hours,
    microvolts, microamperes."""
    for supply in sorted(root.glob("sys/class/power_supply/*")):
        if (
            read(supply / "type").strip() not in ("Battery", "UPS")
            or read(supply / "scope").strip() == "Device"
        ):
            continue
        name = supply.name
        yield Channel(f"battery {name}", "%"), partial(scaled, supply / "capacity", 1.0)
        if (supply / "power_now").exists() or (supply / "current_now").exists():
            yield Channel(f"battery power {name}", "W"), partial(battery_power, supply)
        if (supply / "energy_now").exists() or (supply / "charge_now").exists():
            yield Channel(f"battery energy {name}", "W.h"), partial(battery_energy, supply, "now")
            yield Channel(f"battery full {name}", "W.h"), partial(battery_energy, supply, "full")
        if (supply / "status").exists():
            yield Channel(f"discharging {name}"), partial(discharging, supply)


def battery_power(supply: Path) -> float:
    """Watts; some batteries tell power, others voltage and current, and some count what flows out as negative."""
    if (supply / "power_now").exists():
        return abs(scaled(supply / "power_now", 1e-6))
    return abs(product(supply / "current_now", supply / "voltage_now", 1e-12))


def battery_energy(supply: Path, which: str) -> float:
    """Watt-hours that it holds `now` or when `full`; some batteries tell energy, others charge, which is worth what
    its design voltage says."""
    if (supply / f"energy_{which}").exists():
        return scaled(supply / f"energy_{which}", 1e-6)
    design = supply / "voltage_min_design"
    return product(supply / f"charge_{which}", design if design.exists() else supply / "voltage_now", 1e-12)


def discharging(supply: Path) -> float:
    """1 on battery, 0 on mains; NaN where it is not known."""
    status = read(supply / "status").strip()
    return UNKNOWN if status in ("", "Unknown") else float(status == "Discharging")
