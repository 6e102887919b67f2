"""What has crept: the alert about a normal that moved too far from where it was commissioned, and what it keeps."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from msgspec.structs import replace

from agent.account import account
from agent.alerts import Moved, Rule
from agent.evidence import Account, Evidence, Scene, Score, Spread
from agent.witness import Witness
from models.detector import Shift
from models.drift import DAY_S, Crept
from models.features import Feature
from models.window import Array

# A day's mean does not flicker: no delays, and no hold.
CREEPING = Rule(on_delay_s=0.0, off_delay_s=0.0, off_level=0.9, critical_level=1.5)
LEAST_SHARE = 0.5  # of the farthest, for a feature to be named
HOURS, HOURS_AFTER = 600, 24  # kept of a creep: 25 days, and of these a day after the alert
MEMORY_SHARE = 0.25  # of what a monitor may use for what it hears, in each operating state
Z95 = 1.645  # standard normal quantile: 5 % lie beyond


def crept_far(crept: Crept, columns: Sequence[Feature]) -> tuple[Moved, ...]:
    """The columns that crept the most, the farthest first, with the means of the latest day and of commissioning."""
    sizes = np.abs(crept.sigma)
    named = []
    for i in np.argsort(-sizes, kind="stable").tolist():
        if not sizes[i] or sizes[i] < LEAST_SHARE * sizes.max():
            break
        column, value, normal = columns[i], float(crept.value[i]), float(crept.normal[i])
        if column.logarithm:
            value, normal = math.exp(value), math.exp(normal)
        named.append(Moved(column.name, column.channel, float(crept.sigma[i]), value, normal, column.unit))
    return tuple(named)


def in_words(crept: Crept, limit: float) -> str:
    """ "in 9 days: the limit is 4 sigma since commissioning"."""
    days = f"{crept.days:.0f} days" if crept.days >= 1.95 else f"{24 * crept.days:.0f} hours"
    if crept.together:
        return f"in {days}: with all channels together, to the edge of what was normal at commissioning"
    return f"in {days}: the limit is {limit:g} sigma since commissioning"


def crept_account(crept: Crept, columns: Sequence[Feature], limit: float) -> Account:
    """How the level of a creep came about: by the farthest column, or by the distance of all together."""
    if crept.shares is None:
        weights = np.abs(crept.sigma)
        made = Score(name="creep in sigma", adds_up="", raw=float(weights.max(initial=0.0)), reference=limit)
    else:
        weights = crept.shares
        made = Score(name="distance", adds_up="squared distance", raw=crept.level, reference=1.0)
    shifts = [
        Shift(i, float(crept.sigma[i]), float(crept.value[i]), float(crept.normal[i]), float(weights[i]))
        for i in np.argsort(-weights, kind="stable").tolist()
    ]
    return account((made,), shifts, columns, edge=1.0, words=in_words(crept, limit))


def crept_scene(crept: Crept, scene: Scene) -> Scene:
    """The scene of day means, with where they lay and how far they moved when the monitor was commissioned."""
    low, high = crept.normal - Z95 * crept.scatter, crept.normal + Z95 * crept.scatter
    ends = zip(low.tolist(), crept.normal.tolist(), high.tolist(), strict=True)
    return replace(
        scene,
        channels=scene.features,
        waveform=False,
        span_s=DAY_S,
        learned=tuple(Spread(low=low, median=normal, high=high) for low, normal, high in ends),
    )


class Diary:
    """The latest days of normal operation, an entry each hour, in a bounded ring for each operating state: a creeping
    alert keeps what its ring holds."""

    def __init__(self, width: int, memory_bytes: int) -> None:
        self._width, self._memory_bytes = width, int(MEMORY_SHARE * memory_bytes)
        self._rings: dict[Hashable, Witness] = {}

    def write(
        self, state: Hashable, crept: Crept, time: float, marks: Sequence[tuple[int, Evidence | None]]
    ) -> None:
        """How far normal had crept at a time. A mark is an alert, or None for its end, at index 0."""
        ring = self._rings.get(state)
        if ring is None:
            ring = self._rings[state] = Witness(
                self._width,
                0,
                waveform=False,
                rows=HOURS,
                after=HOURS_AFTER,
                memory_bytes=self._memory_bytes,
            )
        mean: Array = crept.value.astype(np.float32)[None]
        ring.hear(time, 1.0, mean, (), 1)
        ring.judge([time], [crept.level], marks)

    def finish(self) -> None:
        """The stream has ended: what waits for more has all there will be."""
        for ring in self._rings.values():
            ring.finish()

    def ready(self) -> list[Evidence]:
        """What is to be written now; given once."""
        found = []
        for ring in self._rings.values():
            found += ring.ready
            ring.ready = []
        return found
