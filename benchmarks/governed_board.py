"""A board that does not exist: its heat, its power and its clock, and the days that it is put through."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.boards import BOARDS, Board
from agent.governor import Telemetry

HOUR_S = 3600.0
PI_4 = BOARDS["pi-4"]
CORES = 4
# Minutes from a step of load to its end: the time constant of a bare board in still air, as thermal tests of the
# Raspberry Pi 4 show it (raspberrypi.com, "Thermal testing Raspberry Pi 4", 2019: some five minutes to throttle).
TAU_S = 300.0
THROTTLED, THROTTLE_C, RECOVERED_C = (
    0.6,
    80.0,
    75.0,
)  # of the clock; where the firmware begins, and where it ends
BROWN_OUT = 0.4  # of the clock: 600 of 1,500 MHz, what the firmware leaves while the supply is too weak
BATTERY_WH = 50.0


@dataclass(frozen=True, slots=True)
class Script:
    """One day, by the hour of it."""

    name: str
    words: str
    slower: float = 6.0  # than the core that this runs on: assumed of a Cortex-A72 at 1.5 GHz
    hours: float = 24.0
    copies: int = 10  # machines like each motor, with a monitor each
    room_c: Callable[[float], float] = lambda hour: 21.0
    rise_c: float = PI_4.rise_c
    others: Callable[[float], float] = lambda hour: 0.1  # cores that others use
    pressure: Callable[[float], float] = lambda hour: 0.0
    share: Callable[[float], float] = lambda hour: 1.0  # of one core that the agent gets
    supply_w: Callable[[float], float] = lambda hour: math.inf  # above which the supply gives way
    battery: bool = False
    limit_c: float | None = 75.0
    cpu: float = 0.18  # cores
    power_w: float = 0.15
    battery_h: float | None = None
    mistaken: float = 1.0  # what the governor believes things to cost, over what they do
    noise: float = 0.0  # of what it reads: of CPU time by so much, of temperature by 10 K times as much


def _noon(low: float, high: float) -> Callable[[float], float]:
    """Rises and falls over the day."""
    return lambda hour: low + (high - low) * (0.5 - 0.5 * math.cos(2 * math.pi * hour / 24))


def _while(first: float, last: float, then: float, otherwise: float) -> Callable[[float], float]:
    return lambda hour: then if first <= hour % 24 < last else otherwise


SCRIPTS = (
    Script("cool", "a room of 21 Cel, nobody else on the board"),
    Script(
        "hot",
        "a cabinet of 25 to 43 Cel, others use up to half a core at noon; the limit is 72.5 Cel",
        room_c=_noon(25.0, 43.0),
        others=_noon(0.0, 0.5),
        limit_c=72.5,
    ),
    Script(
        "throttled",
        "dust on the heat sink (11 instead of 8.5 K/W) in 33 to 44 Cel: fixed-rate work makes it throttle at 80 Cel",
        room_c=_noon(33.0, 44.0),
        rise_c=11.0,
        others=lambda hour: 0.2,
        limit_c=79.0,
    ),
    Script(
        "brown-out",
        "from 6 to 18 h a supply that gives way above 3.05 W",
        supply_w=_while(6.0, 18.0, 3.05, math.inf),
        others=lambda hour: 0.0,
    ),
    Script(
        "battery",
        f"on a battery of {BATTERY_WH:g} Wh that is to last 16.6 h",
        battery=True,
        battery_h=16.6,
        others=lambda hour: 0.0,
        hours=17.0,
        power_w=0.3,
        cpu=0.3,
    ),
    Script(
        "neighbour",
        "from 8 to 16 h others use all cores, and the agent gets half of one",
        others=_while(8.0, 16.0, 3.6, 0.1),
        pressure=_while(8.0, 16.0, 60.0, 1.0),
        share=_while(8.0, 16.0, 0.5, 1.0),
        limit_c=85.0,
    ),
    Script(
        "mistaken",
        "as hot, but the governor thinks everything half as dear as it is, and what it reads is 10 % noise",
        room_c=_noon(25.0, 43.0),
        others=_noon(0.0, 0.5),
        limit_c=73.0,
        mistaken=0.5,
        noise=0.1,
    ),
    Script(
        "crowd",
        "64 monitors of vibration on a board a tenth as fast as this core",
        slower=10.0,
        copies=16,
        hours=6.0,
        cpu=0.45,
        power_w=0.45,
    ),
)


@dataclass
class SimulatedBoard:
    """Heat, power and clock of one day with one agent."""

    script: Script
    board: Board = PI_4
    time: float = 0.0
    heat_c: float = field(init=False)
    speed: float = 1.0  # of the clock
    under_voltage: bool = False
    throttled: bool = False
    watts: float = field(init=False)
    left_wh: float = BATTERY_WH
    empty_at: float | None = None

    def __post_init__(self) -> None:
        self.watts = self.board.idle_w + self.board.core_w * self.script.others(0.0)
        self.heat_c = self.script.room_c(0.0) + self.script.rise_c * self.watts

    @property
    def hour(self) -> float:
        return self.time / HOUR_S

    def pass_by(self, seconds: float, agent_cores: float) -> None:
        """So long with the agent using so many cores."""
        self.time += seconds
        script, hour = self.script, self.hour
        busy = min(CORES, agent_cores + script.others(hour))
        self.watts = self.board.idle_w + self.board.core_w * busy * self.speed
        end_c = script.room_c(hour) + script.rise_c * self.watts
        self.heat_c += (end_c - self.heat_c) * (1 - math.exp(-seconds / TAU_S))
        self.under_voltage = self.watts > script.supply_w(hour)
        if self.heat_c >= THROTTLE_C:
            self.throttled = True
        elif self.heat_c < RECOVERED_C:
            self.throttled = False
        self.speed = BROWN_OUT if self.under_voltage else THROTTLED if self.throttled else 1.0
        if script.battery:
            self.left_wh = max(0.0, self.left_wh - self.watts * seconds / HOUR_S)
            if not self.left_wh and self.empty_at is None:
                self.empty_at = self.time

    def telemetry(self, agent_cores: float, monitor_cores: float, overdue_s: float) -> Telemetry:
        """What an agent would read off it."""
        battery = self.script.battery
        return Telemetry(
            self.time,
            agent_cores=agent_cores,
            monitor_cores=monitor_cores,
            overdue_s=overdue_s,
            temperature_c=round(self.heat_c, 1),
            throttled=self.throttled,
            under_voltage=self.under_voltage,
            pressure=self.script.pressure(self.hour),
            board_w=self.watts if battery else None,
            battery_wh=self.left_wh if battery else None,
            battery_full_wh=BATTERY_WH if battery else None,
        )
