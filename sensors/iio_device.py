"""An IIO device as the kernel shows it in /sys/bus/iio: its name, its channels, what their numbers mean.

Linux, Documentation/ABI/testing/sysfs-bus-iio.
"""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensors.base import SensorError
from sensors.kernel_files import read

DEVICES = "sys/bus/iio/devices"
RIGHTS = "docs/drivers.md says how to give the agent the right to (Rights for buffered capture)"
# type of a channel -> UCUM unit, and what the ABI's unit is in it
UNITS: dict[str, tuple[str, float]] = {
    "voltage": ("V", 1e-3),
    "altvoltage": ("V", 1e-3),
    "current": ("A", 1e-3),
    "altcurrent": ("A", 1e-3),
    "power": ("W", 1e-3),
    "energy": ("J", 1.0),
    "capacitance": ("F", 1e-9),
    "resistance": ("Ohm", 1.0),
    "electricalconductivity": ("S/m", 1.0),
    "temp": ("Cel", 1e-3),
    "pressure": ("Pa", 1e3),
    "humidityrelative": ("%", 1e-3),
    "illuminance": ("lx", 1.0),
    "accel": ("m/s2", 1.0),
    "gravity": ("m/s2", 1.0),
    "velocity": ("m/s", 1.0),
    "deltavelocity": ("m/s", 1.0),
    "distance": ("m", 1.0),
    "anglvel": ("rad/s", 1.0),
    "angl": ("rad", 1.0),
    "deltaangl": ("rad", 1.0),
    "incli": ("deg", 1.0),
    "magn": ("T", 1e-4),
    "positionrelative": ("%", 1e-3),
    "concentration": ("%", 1.0),
    "massconcentration": ("kg/m3", 1e-9),
    "ph": ("[pH]", 1.0),
}
COMPONENTS = ("x", "y", "z", "w")  # the order of a quaternion's


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a channel's numbers mean: (raw + offset) * scale in `unit`."""

    unit: str
    offset: float
    scale: float


class Device:
    """The folder of one device; what it cannot give raises SensorError."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.number = int(folder.name.removeprefix("iio:device"))
        self.node = root / "dev" / folder.name

    @classmethod
    def find(cls, root: Path, wanted: str) -> Device:
        """The device with this name, label, or folder (`iio:device0`)."""
        folders = _folders(root)
        if not folders:
            raise SensorError(
                f"the kernel shows no IIO device in {root / DEVICES}: is the chip's driver loaded"
                " (on a Raspberry Pi: its dtoverlay)?"
            )
        names = {folder: (folder.name, *_names(folder)) for folder in folders}
        found = [folder for folder in folders if wanted in names[folder]]
        if len(found) == 1:
            return cls(root, found[0])
        told = ", ".join(" = ".join(names[folder]) for folder in found or folders)
        if found:
            raise SensorError(
                f"{len(found)} devices are called {wanted}: {told}; name one by its folder or label"
            )
        raise SensorError(f"{root / DEVICES} has no device {wanted}: there are {told}")

    @classmethod
    def all(cls, root: Path) -> list[tuple[Device, str]]:
        """Every device there is, with a name that means it alone: its own where no other has it, else its folder's."""
        folders = _folders(root)
        names = [name for folder in folders for name in _names(folder)]
        return [
            (cls(root, folder), next((n for n in _names(folder) if names.count(n) == 1), folder.name))
            for folder in folders
        ]

    def polled(self) -> dict[str, Path]:
        """Channel -> the file that shows it: `_input`, which the kernel has reckoned, or else `_raw`."""
        files: dict[str, Path] = {}
        for ending in ("raw", "input"):
            for path in sorted(self.folder.glob(f"in_*_{ending}"), key=_in_order):
                name = path.name[len("in_") : -len(ending) - 1]
                if not name.endswith(("_peak", "_trough", "_mean")):  # of the channel itself, seen otherwise
                    files[name] = path
        return dict(sorted(files.items(), key=lambda item: _in_order(item[1])))

    def meaning(self, channel: str, *, reckoned: bool = False) -> Meaning:
        """`reckoned`: of an `_input`, which has its scale and offset in it."""
        unit, factor = UNITS.get(type_of(channel), ("1", 1.0))
        if reckoned:
            return Meaning(unit, 0.0, factor)
        scale = self.attribute(channel, "scale")
        if scale is None:  # counts of a converter, of which nobody knows what they mean
            return Meaning("1", 0.0, 1.0)
        offset = self.attribute(channel, "offset")
        return Meaning(unit, number_of(offset) if offset else 0.0, number_of(scale) * factor)

    def attribute(self, channel: str, name: str) -> Path | None:
        """The file of a channel's attribute: its own, or one it shares with its type, its direction or all."""
        kind = type_of(channel)
        shared = f"in_{kind}-{kind}_{name}" if "-" in channel else f"in_{kind}_{name}"
        for candidate in (f"in_{channel}_{name}", shared, f"in_{kind}_{name}", f"in_{name}", name):
            if (self.folder / candidate).exists():
                return self.folder / candidate
        return None


def type_of(channel: str) -> str:
    """accel of accel_x, voltage of voltage0-voltage1: no type has a digit or an underscore in it."""
    match = re.match(r"[a-z]+", channel)
    return match[0] if match else channel


def components(channel: str, count: int) -> list[str]:
    """Names of a channel that gives several numbers at once, such as a quaternion."""
    if count == 1:
        return [channel]
    ends = COMPONENTS if count == len(COMPONENTS) else [str(i + 1) for i in range(count)]
    return [f"{channel} {end}" for end in ends]


def chosen(wanted: Sequence[str] | None, there: Iterable[str], of: str) -> list[str]:
    """The channels that are wanted, or all. Raises SensorError for one that is not there, and where there is none."""
    known = list(there)
    if not known:
        raise SensorError(f"{of} shows no channels")
    unknown = [name for name in wanted or () if name not in known]
    if unknown:
        raise SensorError(f"{of} has no channel {', '.join(unknown)}: it has {', '.join(known)}")
    return list(wanted) if wanted else known


def numbers(text: str) -> list[float]:
    """The numbers of an attribute. Raises ValueError where there are none, or they are not finite."""
    found = [float(word) for word in text.removesuffix(" dB\n").split()]
    if not found or not all(map(math.isfinite, found)):
        raise ValueError(f"{text.strip()!r} is no number")
    return found


def number_of(path: Path) -> float:
    """The first number of an attribute. Raises SensorError."""
    try:
        return numbers(path.read_text("utf-8", "replace"))[0]
    except (OSError, ValueError) as error:
        raise SensorError(f"{path}: {error}") from error


def write(path: Path, text: str) -> None:
    """Write an attribute unless it says so already. Raises SensorError with what would be right."""
    if path.exists() and read(path).strip() == text.strip():
        return
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise SensorError(f"{path} cannot be written: {error.strerror}; {RIGHTS}") from error
        raise SensorError(f"{path} does not take {text.strip()!r}: {error.strerror}") from error


def _folders(root: Path) -> list[Path]:
    return sorted(root.glob(f"{DEVICES}/iio:device[0-9]*"), key=lambda path: int(path.name[10:]))


def _names(folder: Path) -> list[str]:
    return [text for name in ("name", "label") if (text := read(folder / name).strip())]


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Names with numbers in them, voltage2 before voltage10."""
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name) if part
    ]
