"""Numbers that the kernel shows as files: hwmon, thermal zones, 1-Wire thermometers, power supplies, any other."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sensors.base import Channel, Found, OptionError, PolledSensor, Positive, sensor_name
from sensors.host import SWITCHED_OFF_C
from sensors.kernel_files import by_number, read
from sensors.quantity import check_limits, within
from sensors.values import check_names
from sensors.w1 import WrongAnswer, celsius

KINDS = ("hwmon", "thermal", "w1", "power_supply", "path")
NEED_ITEM = {"hwmon": "temp1, in0, curr1, power1, fan1, ...", "power_supply": "capacity, voltage_now, ..."}
# first letters of an item -> UCUM unit and what the kernel counts in; Linux, Documentation/hwmon/sysfs-interface.rst
HWMON: dict[str, tuple[str, float]] = {
    "temp": ("Cel", 1e-3),
    "in": ("V", 1e-3),
    "curr": ("A", 1e-3),
    "power": ("W", 1e-6),
    "energy": ("J", 1e-6),
    "humidity": ("%", 1e-3),
    "fan": ("Hz", 1 / 60),
    "freq": ("Hz", 1.0),
}
# the same of Documentation/ABI/testing/sysfs-class-power; uWh and uAh are made J and C
POWER_SUPPLY: dict[str, tuple[str, float]] = {
    "voltage": ("V", 1e-6),
    "current": ("A", 1e-6),
    "power": ("W", 1e-6),
    "energy": ("J", 3.6e-3),
    "charge": ("C", 3.6e-3),
    "capacity": ("%", 1.0),
    "temp": ("Cel", 0.1),
    "time": ("s", 1.0),
}
# of 1-Wire thermometers: DS18S20, DS1822, DS18B20, DS1825, DS28EA00; Documentation/w1/slaves/w1_therm.rst
FAMILIES = ("10", "22", "28", "3b", "42")
W1_HZ = 0.2  # a conversion takes 0.75 s, one after the other
_BUS = re.compile(r"/(i2c-\d+|spi\d+)/")  # in the path of a chip that is not part of the board's processor
_PATTERN = re.compile(r"[*?[]")
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One number in /sys or /proc: say hwmon, thermal, w1, power_supply or path.

    Options:
        hwmon: a chip's name, as in /sys/class/hwmon/hwmon*/name: its number may change from boot to boot.
        thermal: a zone's type, as in /sys/class/thermal/thermal_zone*/type.
        w1: a 1-Wire thermometer's folder in /sys/bus/w1/devices, such as 28-0316a4e2c1ff.
        power_supply: a folder of /sys/class/power_supply, such as BAT0.
        path: any file; * and ? stand for what may change, as long as just one file fits.
        item: which number of a hwmon chip (temp1, in0, curr1, power1, fan1, ...) or power supply (capacity,
            voltage_now, ...).
        name: the channel's name; without it, made of the above.
        scale: what the file's number is multiplied with; without it, what the kernel's documentation says, or 1.
        offset: what is added then.
        unit: of the result, in UCUM; without it, what the kernel's documentation says, or 1.
        pattern: a regular expression that finds the number in the text, as its first group; without it, the first
            number.
        lowest: a smaller result is a wrong answer: counted, and NaN.
        highest: a greater one too.
    """

    hwmon: str | None = None
    thermal: str | None = None
    w1: str | None = None
    power_supply: str | None = None
    path: str | None = None
    item: str | None = None
    name: str | None = None
    scale: float | None = None
    offset: float = 0.0
    unit: str | None = None
    pattern: str | None = None
    lowest: float | None = None
    highest: float | None = None

    def __post_init__(self) -> None:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise OptionError(given[1] if given else "path", None, f"say one of {', '.join(KINDS)}")
        (kind,) = given
        if kind in NEED_ITEM and not self.item:
            raise OptionError("item", None, f"is missing: which number of it: {NEED_ITEM[kind]}")
        if self.item and kind not in NEED_ITEM:
            raise OptionError("item", self.item, f"is of {' and '.join(NEED_ITEM)}")
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise OptionError("pattern", self.pattern, f"is no regular expression: {error}") from error
            if groups < 1:
                raise OptionError("pattern", self.pattern, "needs a group in parentheses around the number")
        check_limits(self.lowest, self.highest)

    @property
    def channel(self) -> Channel:
        """Its name and unit."""
        if self.path is not None:
            usual = Path(self.path).name
        else:
            parts = (self.hwmon, self.thermal, self.w1, self.power_supply, self.item)
            usual = " ".join(part for part in parts if part)
        return Channel(self.name or usual, self.unit or self._usual[0])

    @property
    def factor(self) -> float:
        """From the file's number to the unit."""
        return self._usual[1] if self.scale is None else self.scale

    @property
    def _usual(self) -> tuple[str, float]:
        if self.thermal is not None or self.w1 is not None:
            return (
                "Cel",
                1e-3,
            )  # Documentation/driver-api/thermal/sysfs-api.rst, Documentation/w1/slaves/w1_therm.rst
        begins = re.match(r"[a-z]*", self.item or "")
        known = HWMON if self.hwmon is not None else POWER_SUPPLY
        return known.get(begins[0] if begins else "", ("1", 1.0))


class Sysfs(PolledSensor):
    """Numbers that the kernel shows as files, several in one sensor.

    A file that cannot be read, or says something wrong, gives NaN and is counted; where none can be read, the sensor is
    gone. What is not there when it opens is looked for at each tick.

    Options:
        channels: where the numbers are, one entry for each channel.
        rate_hz: samples per second.
        root: where the file system begins; another root shows another board, e.g. in tests or from a container.
    """

    def __init__(self, *, channels: Sequence[Entry], rate_hz: Positive = 1.0, root: str = "/") -> None:
        self.rate_hz = rate_hz
        self.root = Path(root)
        self.channels = tuple(entry.channel for entry in channels)
        check_names("channels[{}].name", [channel.name for channel in self.channels])
        self.skipped: Counter[str] = Counter()
        self._entries = tuple(channels)
        self._files: dict[int, Path] = {}  # found so far

    @classmethod
    def find(cls, root: Path) -> Sequence[Found]:
        """1-Wire thermometers, and chips of hwmon on a bus; what is part of the board itself is the driver host's."""
        rest: dict[str, object] = {} if root == Path("/") else {"root": str(root)}
        thermometers = [
            path.name
            for path in sorted(root.glob("sys/bus/w1/devices/*-*"))
            if path.name.partition("-")[0] in FAMILIES
        ]
        found = []
        if thermometers:
            options = {"channels": [{"w1": name} for name in thermometers], "rate_hz": W1_HZ, **rest}
            found.append(Found("thermometers", f"1-Wire: {', '.join(thermometers)}", options))
        chips = sorted(root.glob("sys/class/hwmon/hwmon[0-9]*"), key=by_number)
        names = [read(chip / "name").strip() for chip in chips]
        for chip, name in zip(chips, names, strict=True):
            bus = _BUS.search(str(chip.resolve()))
            items = [
                path.name.removesuffix("_input") for path in sorted(chip.glob("*[0-9]_input"), key=_in_order)
            ]
            if bus is None or not items or names.count(name) > 1 or list(chip.glob("in*_label")):
                continue  # a supply's rails, with labels, are shown by host
            options = {"channels": [{"hwmon": name, "item": item} for item in items], **rest}
            what = f"{name} on {bus[1]}: {', '.join(items)}"
            found.append(Found(sensor_name(name, "hwmon"), what, options))
        return found

    def open(self) -> None:
        self._files = {}
        absent = [words for i in range(len(self._entries)) if (words := self._look_for(i))]
        if not self._files:
            raise self.error("; ".join(absent))
        for words in absent:
            logger.warning("%s: %s", self.name or "sysfs", words)
        super().open()

    def sample(self) -> tuple[float, ...]:
        values = []
        gone: list[str] = []
        for i, entry in enumerate(self._entries):
            try:
                values.append(self._value(i, entry))
            except WrongAnswer as wrong:
                values.append(self._missing(str(wrong)))
            except OSError as error:
                self._files.pop(i, None)  # its number may have changed
                gone.append(str(error))
                values.append(self._missing("failed_reads"))
        if len(gone) == len(self._entries):
            raise self.error("; ".join(gone))
        return tuple(values)

    def _look_for(self, i: int) -> str:
        """Find the file of an entry; in words why not, where it is not there."""
        try:
            self._files[i] = locate(self._entries[i], self.root)
        except OSError as error:
            return str(error)
        return ""

    def _value(self, i: int, entry: Entry) -> float:
        """Raises WrongAnswer and OSError."""
        if i not in self._files and (words := self._look_for(i)):
            raise FileNotFoundError(words)
        if entry.w1 is not None:
            value = celsius(self._files[i]) * 1000 * entry.factor + entry.offset
        else:
            text = self._files[i].read_text("utf-8", "replace")
            value = _number(text, entry.pattern) * entry.factor + entry.offset
        if entry.thermal is not None and value <= SWITCHED_OFF_C:
            raise WrongAnswer("switched_off")
        try:
            return within(value, entry.lowest, entry.highest, abs(entry.offset))
        except ValueError:
            raise WrongAnswer("out_of_range") from None

    def _missing(self, reason: str) -> float:
        self.skipped[reason] += 1
        return math.nan


def locate(entry: Entry, root: Path) -> Path:
    """The file of an entry, of a thermometer its folder. Raises FileNotFoundError that says what there is instead."""
    if entry.hwmon is not None:
        folder = _called(root / "sys/class/hwmon", "hwmon[0-9]*", "name", entry.hwmon)
        return _item(folder, f"{entry.item}_input", f"{entry.item}_average", f"{entry.item}")
    if entry.thermal is not None:
        return _called(root / "sys/class/thermal", "thermal_zone[0-9]*", "type", entry.thermal) / "temp"
    if entry.w1 is not None:
        return _item(root / "sys/bus/w1/devices", entry.w1)
    if entry.power_supply is not None:
        return _item(_item(root / "sys/class/power_supply", entry.power_supply), f"{entry.item}")
    assert entry.path is not None
    relative = entry.path.lstrip("/")
    found = sorted(root.glob(relative)) if _PATTERN.search(relative) else [root / relative]
    if len(found) == 1 and found[0].exists():
        return found[0]
    told = f"{len(found)} files are {root / relative}" if len(found) > 1 else f"there is no {root / relative}"
    raise FileNotFoundError(f"{told}: {', '.join(map(str, found))}" if len(found) > 1 else told)


def _called(folder: Path, pattern: str, file: str, name: str) -> Path:
    """The folder whose file says this name."""
    names: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(pattern), key=by_number):
        if called := read(path / file).strip():
            names.setdefault(called, []).append(path)
    if len(names.get(name, [])) == 1:
        return names[name][0]
    if name in names:
        told = ", ".join(str(path) for path in names[name])
        raise FileNotFoundError(
            f"{len(names[name])} are called {name}: {told}: give the path of one, with * for numbers"
        )
    raise FileNotFoundError(f"{folder} has no {name}: there are {', '.join(names) or 'none'}")


def _in_order(path: Path) -> tuple[str, int]:
    """temp2 before temp10."""
    return path.name.removesuffix("_input").rstrip("0123456789"), by_number(path)


def _item(folder: Path, *candidates: str) -> Path:
    for name in candidates:
        if (folder / name).exists():
            return folder / name
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise FileNotFoundError(f"{folder} has no {candidates[-1]}: there are {', '.join(there) or 'none'}")


def _number(text: str, pattern: str | None) -> float:
    match = re.search(pattern, text) if pattern else _NUMBER.search(text)
    word = (match[1] if pattern else match[0]) if match else None
    try:
        if word is not None and word.lstrip("+-")[:2] in ("0x", "0X"):
            return float(int(word, 16))
        value = float(word or "")
    except (ValueError, OverflowError):
        raise WrongAnswer("not_a_number") from None
    if not math.isfinite(value):
        raise WrongAnswer("not_a_number")
    return value
