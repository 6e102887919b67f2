"""The geometry of a rolling bearing, and the frequencies of its defects."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bearing:
    """A rolling bearing on a shaft of known speed."""

    balls: int
    ball_diameter_m: float
    pitch_diameter_m: float
    contact_angle_deg: float
    speed_hz: float

    def frequencies(self) -> dict[str, float]:
        """Hz at which a defect of each part is rolled over: Randall and Antoni, Mech. Syst. Signal Process.
        25 (2011) 485-520, equations 1-4; the ball's is twice its spin, for it meets both races in a turn."""
        ratio = self.ball_diameter_m / self.pitch_diameter_m * math.cos(math.radians(self.contact_angle_deg))
        return {
            "outer race (BPFO)": self.balls / 2 * self.speed_hz * (1 - ratio),
            "inner race (BPFI)": self.balls / 2 * self.speed_hz * (1 + ratio),
            "ball (2xBSF)": self.pitch_diameter_m / self.ball_diameter_m * self.speed_hz * (1 - ratio**2),
        }
