"""What the governor knows of board and agent: the host sensor's figures, looked at when they are asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from agent.governor import Telemetry
from sensors.base import SensorError
from sensors.host import Figure, Host

FIGURES: tuple[Figure, ...] = ("temperature", "pressure", "throttled", "agent")
OF_A_BATTERY: tuple[Figure, ...] = ("power", "battery")  # dear on a Raspberry Pi 5: a process each time
PROCESSOR = ("cpu", "soc", "tj", "pkg", "coretemp", "k10temp")  # in names of the zones that the agent warms


class Senses:
    """Figures that this board does not show are unknown."""

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time.process_time,
        *,
        battery: bool = False,
    ) -> None:
        """`spent()` is the CPU time of the whole agent so far; `battery`: one is to be watched."""
        self._host = Host(root=str(root), include=FIGURES + OF_A_BATTERY if battery else FIGURES)
        self._trips: dict[str, float] = {}
        self._clock, self._spent = clock, spent
        self._names: tuple[str, ...] = ()
        self._at, self._cpu_s, self._monitors_s = 0.0, 0.0, 0.0

    def open(self) -> None:
        """Find out what there is; a board that shows nothing leaves everything unknown."""
        try:
            self._host.open()
        except SensorError:
            self._names = ()
        else:
            self._names = tuple(channel.name for channel in self._host.channels)
        self._trips = self._host.trips()
        self._at, self._cpu_s, self._monitors_s = self._clock(), self._spent(), 0.0

    def look(self, monitors_s: float, overdue_s: float) -> Telemetry:
        """What is known now. `monitors_s` is the CPU time of all monitors so far, `overdue_s` how far they are
        behind."""
        found = self._figures()
        now, cpu_s = self._clock(), self._spent()
        passed_s = now - self._at
        agent = monitors = None
        if passed_s > 0:
            agent, monitors = (cpu_s - self._cpu_s) / passed_s, (monitors_s - self._monitors_s) / passed_s
        self._at, self._cpu_s, self._monitors_s = now, cpu_s, monitors_s
        battery = next(
            (name[8:] for name in found if name.startswith("battery ") and " " not in name[8:]), None
        )
        status = None if battery is None else found.get(f"discharging {battery}")
        draining = None if status is None else status > 0
        board_w = found.get("power total")
        if board_w is None and draining:
            board_w = found.get(f"battery power {battery}")
        hot = [found[name] >= trip for name, trip in self._trips.items() if name in found]
        return Telemetry(
            time=now,
            agent_cores=agent,
            monitor_cores=monitors,
            overdue_s=overdue_s,
            temperature_c=_hottest(found),
            throttled=_throttled(found, hot),
            under_voltage=_either(found, "under-voltage"),
            pressure=found.get("pressure cpu"),
            board_w=board_w,
            on_battery=draining,
            battery_wh=found.get(f"battery energy {battery}"),
            battery_full_wh=found.get(f"battery full {battery}"),
            memory_bytes=found.get("agent memory"),
        )

    def _figures(self) -> dict[str, float]:
        if not self._names:
            return {}
        values = zip(self._names, self._host.sample(), strict=True)
        return {name: value for name, value in values if not math.isnan(value)}


def _hottest(found: dict[str, float]) -> float | None:
    """Of the processor's zones, of all where none is known to be one."""
    zones = {name[12:]: value for name, value in found.items() if name.startswith("temperature ")}
    processor = [value for name, value in zones.items() if any(word in name.lower() for word in PROCESSOR)]
    return max(processor or zones.values(), default=None)


def _either(found: dict[str, float], *names: str) -> bool | None:
    """Whether one of these is so; None where none is known."""
    known = [found[name] for name in names if name in found]
    return any(value > 0 for value in known) if known else None


def _throttled(found: dict[str, float], hot: list[bool]) -> bool | None:
    """By the firmware's word where there is one, else by the trip points of the thermal zones."""
    told = _either(found, "throttled", "frequency capped")
    return (any(hot) if hot else None) if told is None else told
