"""This board itself: processor, temperatures, power, throttling, memory, pressure, and what the agent takes of it."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from sensors.base import Channel, Found, PolledSensor, Positive
from sensors.kernel_files import UNKNOWN, by_number, first_number, hexadecimal, mean, number, read, scaled
from sensors.power import Source, battery_sources, hwmons, power_sources

Figure = Literal[
    "cpu",
    "load",
    "frequency",
    "temperature",
    "memory",
    "pressure",
    "throttled",
    "power",
    "power mode",
    "battery",
    "agent",
]
FIGURES: tuple[Figure, ...] = (
    "cpu",
    "load",
    "frequency",
    "temperature",
    "memory",
    "pressure",
    "throttled",
    "power",
    "power mode",
    "battery",
    "agent",
)
logger = logging.getLogger(__name__)

SWITCHED_OFF_C = -255.0  # a Jetson's zone that is switched off says -256
# bits of the Raspberry Pi firmware's get_throttled (raspberrypi.com, documentation of vcgencmd): what is true now, and
# 16 bits higher what was true since somebody asked last
THROTTLED = {"under-voltage": 0, "frequency capped": 1, "throttled": 2, "soft temperature limit": 3}
GET_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
NVPMODEL = "var/lib/nvpmodel/status"  # a Jetson's power mode, as nvpmodel keeps it: "pmode:0002"


class Host(PolledSensor):
    """The board the agent runs on, from /proc and /sys.

    The first `open` finds out what this board shows: those are the channels, for as long as this sensor lives. What
    shows no value then is left out, and in `absent`. A figure that cannot be read later is NaN, which means unknown,
    and never zero.

    Options:
        include: which figures; without it, all that this board shows.
        rate_hz: samples per second.
        root: where the file system begins; another root shows another board, e.g. in tests or from a container.
    """

    def __init__(
        self, *, include: Sequence[Figure] | None = None, rate_hz: Positive = 1.0, root: str = "/"
    ) -> None:
        self.root = Path(root)
        self.rate_hz = rate_hz
        self._include = FIGURES if include is None else tuple(include)
        self._sources: list[Source] = []
        self.absent: tuple[str, ...] = ()  # figures asked for, and channels, that this board does not show

    @classmethod
    def find(cls, root: Path) -> Sequence[Found]:
        if not (root / "proc/stat").exists():
            return ()
        return (Found("board", "this computer itself", {} if root == Path("/") else {"root": str(root)}),)

    def open(self) -> None:
        self._busy = self._total = UNKNOWN
        self._bits: int | None = None
        self._spent = time.process_time(), time.monotonic()
        self._throttle_events = 0
        if not self.channels:
            self._find()
        self._cpu()  # use is a difference: this is where it begins
        super().open()
        self._ticks = 1  # and it needs a period to look back on

    def _find(self) -> None:
        found: list[Source] = []
        absent: list[str] = []
        for figure in FIGURES:
            if figure in self._include:
                sources = list(getattr(self, f"_find_{figure.replace(' ', '_')}")())
                found += sources
                absent += [] if sources else [figure]
        # named before they are left out: a name stays with its figure
        shown = [(channel, read_it, _shows(channel, read_it)) for channel, read_it in _distinct(found)]
        absent += [channel.name for channel, _, shows in shown if not shows]
        self._sources = [(channel, read_it) for channel, read_it, shows in shown if shows]
        self.absent = tuple(absent)
        if not self._sources:
            raise self.error(
                f"{self.root}: shows none of {', '.join(self._include)}: is it the root of a Linux system?"
            )
        self.channels = tuple(channel for channel, _ in self._sources)
        if absent:
            logger.info("%s: this board does not show %s", self.name or "host", ", ".join(absent))

    def sample(self) -> tuple[float, ...]:
        return tuple(read() for _, read in self._sources)

    def _find_cpu(self) -> Iterable[Source]:
        if (self.root / "proc/stat").exists():
            if not math.isnan(self._use()[1]):
                yield Channel("cpu", "%"), self._cpu
        elif self.root == Path("/"):  # not Linux
            import psutil

            psutil.cpu_percent()
            yield Channel("cpu", "%"), psutil.cpu_percent

    def _use(self) -> tuple[float, float]:
        """Ticks in use and ticks in all, of all cores; proc(5), /proc/stat."""
        fields = [number(text) for text in read(self.root / "proc/stat").partition("\n")[0].split()[1:9]]
        if len(fields) < 5:
            return UNKNOWN, UNKNOWN
        total = sum(fields)
        return total - fields[3] - fields[4], total  # without idle and iowait

    def _cpu(self) -> float:
        """Share of all cores in use since the last call."""
        before_busy, before_total = self._busy, self._total
        self._busy, self._total = busy, total = self._use()
        return 100.0 * (busy - before_busy) / (total - before_total) if total > before_total else UNKNOWN

    def _find_load(self) -> Iterable[Source]:
        path = self.root / "proc/loadavg"
        if path.exists():
            yield Channel("load"), partial(first_number, path)

    def _find_frequency(self) -> Iterable[Source]:
        paths = sorted(self.root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
        if paths:  # kHz; Linux, Documentation/admin-guide/pm/cpufreq.rst
            yield Channel("frequency", "Hz"), partial(mean, paths, 1e3)
        caps = [path.with_name("scaling_max_freq") for path in paths]
        if any(cap.exists() for cap in caps):
            yield Channel("frequency cap", "Hz"), partial(mean, caps, 1e3)

    def _find_temperature(self) -> Iterable[Source]:
        """Thermal zones in millidegrees; Linux, Documentation/driver-api/thermal/sysfs-api.rst."""
        for zone in sorted(self.root.glob("sys/class/thermal/thermal_zone[0-9]*"), key=by_number):
            name = read(zone / "type").strip() or zone.name
            yield Channel(f"temperature {name}", "Cel"), partial(zone_celsius, zone)

    def _find_memory(self) -> Iterable[Source]:
        path = self.root / "proc/meminfo"
        if path.exists():
            yield Channel("memory", "%"), partial(memory_percent, path)
            yield (
                Channel("memory available", "By"),
                partial(memory_available, path),
            )
        elif self.root == Path("/"):
            import psutil

            yield Channel("memory", "%"), lambda: float(psutil.virtual_memory().percent)

    def _find_pressure(self) -> Iterable[Source]:
        for name in ("cpu", "io", "memory"):
            path = self.root / "proc/pressure" / name
            if read(path):  # off, the file is there and cannot be read
                yield Channel(f"pressure {name}", "%"), partial(pressure, path)

    def _find_throttled(self) -> Iterable[Source]:
        path = self.root / GET_THROTTLED
        if hexadecimal(path) is not None:
            for name, bit in THROTTLED.items():
                yield Channel(name), partial(self._throttled, bit, path)
            yield Channel("throttle events"), lambda: float(self._throttle_events)
            return
        for hwmon in hwmons(self.root):
            if read(hwmon / "name").strip() == "rpi_volt":
                alarm = hwmon / "in0_lcrit_alarm"
                yield Channel("under-voltage"), partial(scaled, alarm, 1.0)
                return

    def _throttled(self, bit: int, path: Path) -> float:
        """One bit of what is true now. With the first bit the file is read and new troubles are counted."""
        if bit == 0:
            before = self._bits
            self._bits = hexadecimal(path)
            if self._bits is not None and before is not None:
                # the kernel's driver has the sticky bits cleared every 2 s, so what happened is counted here
                self._throttle_events += sum(
                    self._bits >> b & 1 and not before >> b & 1 for b in THROTTLED.values()
                )
        return UNKNOWN if self._bits is None else float(self._bits >> bit & 1)

    def _find_power(self) -> Iterable[Source]:
        return power_sources(self.root)

    def _find_power_mode(self) -> Iterable[Source]:
        path = self.root / NVPMODEL
        if path.exists():
            yield Channel("power mode"), partial(power_mode, path)

    def _find_battery(self) -> Iterable[Source]:
        return battery_sources(self.root)

    def _find_agent(self) -> Iterable[Source]:
        if self.root == Path("/"):
            yield Channel("agent cpu", "%"), self._agent_cpu
            yield Channel("agent memory", "By"), partial(agent_memory, self.root / "proc/self/statm")

    def _agent_cpu(self) -> float:
        """Share of one core that this process has used since the last call."""
        before, self._spent = self._spent, (time.process_time(), time.monotonic())
        passed_s = self._spent[1] - before[1]
        return 100.0 * (self._spent[0] - before[0]) / passed_s if passed_s > 0 else UNKNOWN

    def trips(self) -> dict[str, float]:
        """At how many degrees Celsius each thermal zone begins to be cooled or slowed down, by its channel's name:
        its lowest passive or hot trip point; Linux, Documentation/driver-api/thermal/sysfs-api.rst."""
        found: dict[str, float] = {}
        for zone in sorted(self.root.glob("sys/class/thermal/thermal_zone[0-9]*"), key=by_number):
            points = [
                scaled(path.with_name(path.name.replace("_type", "_temp")), 1e-3)
                for path in zone.glob("trip_point_*_type")
                if read(path).strip() in ("passive", "hot")
            ]
            known = [point for point in points if point > 0]
            if known:
                found[f"temperature {read(zone / 'type').strip() or zone.name}"] = min(known)
        return found


def zone_celsius(zone: Path) -> float:
    """A thermal zone's temperature; NaN where it is switched off."""
    celsius = number(read(zone / "temp")) / 1e3
    return celsius if celsius > SWITCHED_OFF_C else UNKNOWN


def meminfo(path: Path) -> dict[str, float]:
    """kB by name; proc(5), /proc/meminfo."""
    pairs = (line.partition(":") for line in read(path).splitlines())
    return {name: number(rest.replace("kB", "")) for name, _, rest in pairs}


def memory_percent(path: Path) -> float:
    """Memory that is not available to new work."""
    memory = meminfo(path)
    total = memory.get("MemTotal", UNKNOWN)
    return 100.0 * (1.0 - memory.get("MemAvailable", UNKNOWN) / total) if total else UNKNOWN


def pressure(path: Path) -> float:
    """Share of the last 10 s in which something waited; Linux, Documentation/accounting/psi.rst."""
    _, found, rest = read(path).partition("some avg10=")
    return number(rest.split()[0]) if found and rest.split() else UNKNOWN


def memory_available(path: Path) -> float:
    """Bytes that new work could have."""
    return 1024.0 * meminfo(path).get("MemAvailable", UNKNOWN)


def power_mode(path: Path) -> float:
    """The number of a Jetson's power mode."""
    return number(read(path).partition(":")[2])


def agent_memory(path: Path) -> float:
    """Bytes of this process that are resident; proc(5), /proc/pid/statm."""
    fields = read(path).split()
    return number(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else UNKNOWN


def _shows(channel: Channel, read_it: Callable[[], float]) -> bool:
    return channel.name == "cpu" or not math.isnan(read_it())  # the use of all has no value at first


def _distinct(sources: list[Source]) -> list[Source]:
    """The same sources; a name that comes twice gets a number."""
    seen: dict[str, int] = {}
    for i, (channel, read_it) in enumerate(sources):
        seen[channel.name] = seen.get(channel.name, 0) + 1
        if seen[channel.name] > 1:
            sources[i] = (Channel(f"{channel.name} {seen[channel.name]}", channel.unit), read_it)
    return sources
