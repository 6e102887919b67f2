"""What a machine is asked to do over its days, and how its shaft and load follow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sensors.base import NotNegative

Samples = NDArray[np.float64]
Duty = Literal["steady", "shifts"]

RUN_UP_S, COAST_S, LOAD_S = 4.0, 9.0, 2.0  # time constants: of a shaft driven, of one let go, of its load
CRITICAL_HZ, CRITICAL_WIDTH_HZ, CRITICAL = 10.0, 1.5, 12.0  # the frame resonates on the way: times 1 + 12
DAY_S = 86_400.0
SHIFT_H = (12.0, 16.0)  # of a day it is in use
PAUSE_EVERY_H, PAUSE_MIN = (2.5, 5.0), (15.0, 45.0)
STINT_MIN = (8.0, 120.0)  # at one setting
# how often, share of the machine's own speed, load (None: the machine's own)
SETTINGS = ((0.35, 1.0, None), (0.25, 0.6, 0.3), (0.2, 1.0, 0.1), (0.2, 1.0, 1.0))
STREAM = 64  # of random numbers: the machine's own are below


@dataclass(frozen=True, slots=True)
class Stage:
    """What is asked of the machine from a time on.

    Options:
        at_s: from when on, after the first sample.
        speed_hz: the shaft's speed; 0 = switched off; without it, the machine's own.
        load: mean load, 1 = rated; without it, the machine's own.
    """

    at_s: NotNegative = 0.0
    speed_hz: NotNegative | None = None
    load: NotNegative | None = None


class Motion(NamedTuple):
    """How the shaft follows, each `(n,)`."""

    speed: Samples  # Hz
    load: Samples  # mean load, 1 = rated
    powered: Samples  # 1 while switched on
    slip: Samples  # how far the shaft is behind what drives it, as a share: 1 at standstill
    turning: Samples  # speed over the machine's own
    shaking: Samples  # how strongly forces of the shaft show: the square law, and the frame's resonance

    def part(self, rows: slice) -> Motion:
        return Motion(*(each[rows] for each in self))


class Drive:
    """The stages in their order, and where shaft and load are between them: each approaches what is asked
    exponentially. A function of time alone."""

    def __init__(self, stages: Iterator[Stage], speed_hz: float, load: float) -> None:
        """The machine stands still, switched off, until the first stage."""
        self._stages, self._own = stages, (speed_hz, load)
        self._coming = next(stages, None)
        # start, speed and load there, speed and load asked
        self._legs: list[tuple[float, float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0, 0.0)]

    def at(self, seconds: Samples) -> Motion:
        """At increasing times after the first sample, none before those of an earlier call."""
        self._extend(float(seconds[-1]))
        starts = [leg[0] for leg in self._legs]
        of = np.searchsorted(starts, seconds, side="right") - 1
        del self._legs[: int(of[0])]
        of -= of[0]
        start, speed0, load0, speed1, load1 = np.array(self._legs).T[:, of]
        since = seconds - start
        tau = np.where(speed1 >= speed0, RUN_UP_S, COAST_S)
        speed = speed1 + (speed0 - speed1) * np.exp(-since / tau)
        load = load1 + (load0 - load1) * np.exp(-since / LOAD_S)
        powered = (speed1 > 0.0).astype(np.float64)
        slip = np.where(speed1 > 0.0, np.maximum(0.0, 1.0 - speed / np.where(speed1 > 0.0, speed1, 1.0)), 0.0)
        turning = speed / self._own[0]
        near = (speed - CRITICAL_HZ) / CRITICAL_WIDTH_HZ
        shaking = turning * turning * (1.0 + CRITICAL * np.exp(-near * near))
        return Motion(speed, load, powered, slip, turning, shaking)

    def _extend(self, until: float) -> None:
        while self._coming is not None and self._coming.at_s <= until:
            stage, (start, speed0, load0, speed1, load1) = self._coming, self._legs[-1]
            since = max(0.0, stage.at_s - start)
            tau = RUN_UP_S if speed1 >= speed0 else COAST_S
            speed = self._own[0] if stage.speed_hz is None else stage.speed_hz
            load = self._own[1] if stage.load is None else stage.load
            self._legs.append(
                (
                    stage.at_s,
                    speed1 + (speed0 - speed1) * math.exp(-since / tau),
                    load1 + (load0 - load1) * math.exp(-since / LOAD_S),
                    speed,
                    load if speed > 0.0 else 0.0,
                )
            )
            self._coming = next(self._stages, None)


def drive(schedule: Sequence[Stage], duty: Duty, seed: int, speed_hz: float, load: float) -> Drive | None:
    """The drive of a machine with this speed and load of its own; None when it simply runs."""
    if duty == "shifts":
        return Drive(shifts(seed, speed_hz), speed_hz, load)
    if schedule:
        return Drive(iter(sorted(schedule, key=lambda stage: stage.at_s)), speed_hz, load)
    return None


def shifts(seed: int, speed_hz: float) -> Iterator[Stage]:
    """Days without end, each its own: a start, settings of random length, pauses, and the night. A day depends on
    the seed and its number alone."""
    odds = np.array([setting[0] for setting in SETTINGS])
    for day in count():
        random = np.random.Generator(np.random.Philox(key=[seed, STREAM], counter=[0, 0, 0, day]))
        at = day * DAY_S + 60.0 * random.uniform(10.0, 40.0)
        end = at + 3600.0 * random.uniform(*SHIFT_H)
        pause = at + 3600.0 * random.uniform(*PAUSE_EVERY_H)
        last = -1
        while at < end:
            if at >= pause:
                yield Stage(at, 0.0, 0.0)
                at += 60.0 * random.uniform(*PAUSE_MIN)
                pause, last = at + 3600.0 * random.uniform(*PAUSE_EVERY_H), -1
                continue
            chosen = int(random.choice(len(SETTINGS), p=odds))
            if chosen == last:
                chosen = (chosen + 1) % len(SETTINGS)
            last = chosen
            _, share, load = SETTINGS[chosen]
            yield Stage(at, share * speed_hz, load)
            at += 60.0 * float(np.exp(random.uniform(*np.log(STINT_MIN))))
        yield Stage(max(at, end), 0.0, 0.0)
