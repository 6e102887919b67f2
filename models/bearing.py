"""The geometry of a rolling bearing, and the frequencies of its defects."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bearing:
    """A rolling bearing whose outer race stands still, on a shaft whose speed is known, or known to lie in a range."""

    balls: int
    ball_diameter_m: float
    pitch_diameter_m: float
    contact_angle_deg: float
    speed_hz: float  # of the shaft; 0: to be estimated from the spectrum
    slowest_hz: float = 0.0  # where it is estimated: between these
    fastest_hz: float = 0.0

    @property
    def estimated(self) -> bool:
        """The shaft's speed is to be read from the spectrum."""
        return self.speed_hz == 0

    @property
    def top_hz(self) -> float:
        """The highest speed of the shaft that must be reckoned with."""
        return self.fastest_hz if self.estimated else self.speed_hz

    def orders(self) -> dict[str, float]:
        """Multiples of the shaft's speed at which a defect of each part is rolled over: Randall and Antoni, Mech.
        Syst. Signal Process. 25 (2011) 485-520, equations 1-4; the ball's is twice its spin, for it meets both
        races in a turn."""
        ratio = self.ball_diameter_m / self.pitch_diameter_m * math.cos(math.radians(self.contact_angle_deg))
        return {
            "outer race (BPFO)": self.balls / 2 * (1 - ratio),
            "inner race (BPFI)": self.balls / 2 * (1 + ratio),
            "ball (2xBSF)": self.pitch_diameter_m / self.ball_diameter_m * (1 - ratio**2),
            "cage (FTF)": (1 - ratio) / 2,
        }

    def frequencies(self, shaft_hz: float | None = None) -> dict[str, float]:
        """The same in Hz, at the given speed of the shaft or the bearing's own."""
        at = self.speed_hz if shaft_hz is None else shaft_hz
        return {part: order * at for part, order in self.orders().items()}
