"""What a vibration says beside its level: which part of a bearing is hurt, and the zone the machine shakes in.

No threads, no clock, no input or output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.naming import Naming
from models.severity import Scale, Zone
from models.vibration import Vibration
from models.window import Array

KEPT = 1000  # windows whose velocities can still be asked for
NEAR = 0.9  # of the bound of zone D, below which an alert about it may end


@dataclass(frozen=True, slots=True)
class Finding:
    """What is added to an event."""

    fault: str = ""  # "outer race (BPFO)"
    confidence: float | None = None
    zone: str = ""
    words: str = ""  # "outer race (BPFO) 107 Hz, confidence 0.97; velocity 5.2 mm/s, zone C"


NOTHING = Finding()


class Diagnosis:
    """Of one monitor."""

    def __init__(self, vibration: Vibration, scale: Scale | None = None) -> None:
        self._vibration, self._scale = vibration, scale
        self._velocities: dict[float, float] = {}  # mm/s by the window's time, of the axis that shakes most
        self._newest: Array | None = None
        self._columns = list(vibration.velocities)

    def begin(self) -> None:
        """All that was heard before has been judged."""
        self._vibration.forget()
        for time in list(self._velocities)[:-KEPT]:
            del self._velocities[time]

    def hear(self, times: Sequence[float], rows: Array) -> None:
        """Windows and their features `(n, columns)`, in the order of time."""
        self._newest = rows[-1]
        if self._scale is not None:
            fastest = np.exp(rows[:, self._columns].astype(np.float64)).max(axis=1)
            self._velocities.update(zip(times, fastest.tolist(), strict=True))

    def lift(self, times: Sequence[float], levels: list[float]) -> list[float]:
        """The levels, or where it is more, how near zone D the machine is: what is normal for it may not be well."""
        if self._scale is None:
            return levels
        bound = self._scale.bounds[-1]
        shares = [self._velocities.get(time, 0.0) / bound for time in times]
        return [
            max(level, share) if share >= NEAR else level for level, share in zip(levels, shares, strict=True)
        ]

    def find(self, time: float) -> Finding:
        """What is to be said of the windows up to `time`."""
        naming = self.naming(time)
        words = [] if naming is None or not naming.part else [_named(naming)]
        zone = ""
        if self._scale is not None and time in self._velocities:
            velocity = self._velocities[time]
            zone = self._scale.zone(velocity)
            words.append(f"velocity {velocity:.2g} mm/s, zone {zone}")
        if naming is None:
            return Finding(zone=zone, words="; ".join(words))
        return Finding(naming.part, naming.confidence if naming.part else None, zone, "; ".join(words))

    def naming(self, time: float) -> Naming | None:
        """Which part of the bearing is hurt, by the windows up to `time`; None where no bearing is known, or nothing
        was heard."""
        return self._vibration.named(time)

    @property
    def zone(self) -> Zone | None:
        """Of the newest window; None where no kind of machine is configured, or nothing was heard."""
        if self._scale is None or not self._velocities:
            return None
        return self._scale.zone(next(reversed(self._velocities.values())))

    @property
    def measures(self) -> dict[str, float]:
        """Of the newest window by name: RMS, peak, crest factor, kurtosis of each channel, and the RMS of its velocity
        in mm/s."""
        if self._newest is None:
            return {}
        found: dict[str, float] = {}
        for column, value in zip(self._vibration.columns, self._newest.tolist(), strict=True):
            if column.name.endswith((" RMS", " kurtosis", " crest factor")):
                found[column.name] = math.exp(value)
        for channel in dict.fromkeys(column.channel for column in self._vibration.columns):
            found[f"{channel} peak"] = found[f"{channel} RMS"] * found[f"{channel} crest factor"]
        return {name: float(f"{value:.4g}") for name, value in found.items()}


def _named(naming: Naming) -> str:
    words = f"{naming.part} {naming.hz:.0f} Hz, confidence {naming.confidence:.2f}"
    return f"{words}, at an estimated shaft speed of {naming.shaft_hz:.1f} Hz" if naming.estimated else words
