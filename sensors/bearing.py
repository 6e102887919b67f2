"""The geometry of a rolling bearing, and how often its defects are struck."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sensors.base import OptionError, Positive


@dataclass(frozen=True, slots=True)
class Bearing:
    """A rolling bearing with its outer race standing still; the default is a 6205-2RS.

    The four frequencies are those of rolling without slip: R. B. Randall and J. Antoni, "Rolling element
    bearing diagnostics - a tutorial", Mechanical Systems and Signal Processing 25 (2011) 485-520. Real
    bearings slip by 1 to 2 %.

    Options:
        balls: number of rolling elements.
        ball_m: diameter of a rolling element.
        pitch_m: diameter of the circle their centres run on.
        contact_deg: contact angle in degrees.
    """

    balls: int = 9
    ball_m: Positive = 0.00794  # 0.3126 in; SKF 6205-2RS JEM, as the bearing data centre of CWRU gives it
    pitch_m: Positive = 0.03904  # 1.537 in, the same source
    contact_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.balls < 2:
            raise OptionError("balls", self.balls, "must be at least 2")
        if self.balls * self.ball_m >= math.pi * self.pitch_m:
            raise OptionError("balls", self.balls, "that many do not fit on the pitch circle")
        if self.ball_m >= self.pitch_m:
            raise OptionError("ball_m", self.ball_m, f"must be below pitch_m ({self.pitch_m:g} m)")
        if not 0.0 <= self.contact_deg < 90.0:
            raise OptionError("contact_deg", self.contact_deg, "must be in 0..90 degrees")

    @property
    def ratio(self) -> float:
        """Ball over pitch diameter, seen along the contact."""
        return self.ball_m / self.pitch_m * math.cos(math.radians(self.contact_deg))

    def ftf_hz(self, shaft_hz: float) -> float:
        """Fundamental train (cage) frequency."""
        return shaft_hz / 2 * (1 - self.ratio)

    def bpfo_hz(self, shaft_hz: float) -> float:
        """Balls passing a point of the outer race."""
        return self.balls * shaft_hz / 2 * (1 - self.ratio)

    def bpfi_hz(self, shaft_hz: float) -> float:
        """Balls passing a point of the inner race."""
        return self.balls * shaft_hz / 2 * (1 + self.ratio)

    def bsf_hz(self, shaft_hz: float) -> float:
        """A ball's own rotation; a defect on it strikes a race twice in each."""
        return shaft_hz * self.pitch_m / (2 * self.ball_m) * (1 - self.ratio**2)
