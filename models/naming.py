"""Which part of a bearing is hurt, with a confidence, or not named."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.bearing import Bearing
from models.envelope import HARMONICS, SLIP, Doubles, comb, teeth

DOUBT_Z = 5.0  # "nothing" stands as high as a part that stands out so far
NAMED = 0.9  # least confidence at which a part is named
SUREST = 0.99  # and the most there is: a share of weights is no measured probability
SURROGATES = np.geomspace(
    0.62, 1.6, 121
)  # of a fault's frequency: where a comb is looked for that nothing strikes
RELATED = 3  # harmonics of two combs up to here must not meet, or one is no surrogate for the other
SHAFT_ORDERS = 12
FEWEST_TEETH, FEWEST_SURROGATES = 2, 20
COARSEST = 0.03  # of a fault's frequency: from wider lines on, neighbouring faults are one


@dataclass(frozen=True, slots=True)
class Naming:
    """What the lines of an envelope spectrum say of a bearing."""

    part: str  # as Bearing names it; "" when none stands out enough
    confidence: float  # of the part that stands out farthest, named or not; at most SUREST
    z: float  # how far: in standard deviations of combs where nothing strikes
    hz: float  # where its lines are
    shaft_hz: float
    estimated: bool  # the shaft's speed was read from the spectrum


def name(lines: Doubles, step_hz: float, bearing: Bearing, shaft_hz: float) -> Naming:
    """The part whose comb stands out of `lines` `(bins,)`, the logarithms of a logarithmic envelope's spectrum (as
    Envelope gives it) or the mean of several. Nothing is learned, and one setting holds for all.

    For each part the comb's height is compared with combs at frequencies nothing rolls at, which gives z. The
    confidence is the part's share among all parts and "nothing", each weighing exp(z), nothing exp(DOUBT_Z): a part
    must stand far out, and farther than the others. It is a rank made to be read as a share, not a probability
    that was measured.
    """
    frequencies = bearing.frequencies(shaft_hz)
    heights: dict[str, tuple[float, float]] = {}
    for part, hz in frequencies.items():
        found = _standing(lines, step_hz, hz, list(frequencies.values()), shaft_hz)
        if found is not None:
            heights[part] = found
    if not heights:
        return Naming("", 0.0, 0.0, 0.0, shaft_hz, bearing.estimated)
    part = max(heights, key=lambda each: heights[each][0])
    z, hz = heights[part]
    weights = [math.exp(min(other, 700.0) - min(z, 700.0)) for other, _ in heights.values()]
    confidence = min(SUREST, 1 / (sum(weights) + math.exp(DOUBT_Z - min(z, 700.0))))
    return Naming(part if confidence >= NAMED else "", confidence, z, hz, shaft_hz, bearing.estimated)


def reach_hz(hz: float) -> float:
    """How far an envelope spectrum must reach to name a fault of frequency `hz`."""
    return HARMONICS * (1 + SLIP) * float(SURROGATES[-1]) * hz


def _standing(
    lines: Doubles, step_hz: float, hz: float, faults: list[float], shaft_hz: float
) -> tuple[float, float] | None:
    """z of a fault's comb, and where it is; None where the spectrum is too coarse or too short to tell."""
    limit_hz = (len(lines) - 2) * step_hz
    count = teeth(hz * float(SURROGATES[-1]), limit_hz)
    if count < FEWEST_TEETH or step_hz > COARSEST * hz:
        return None
    apart = np.array([each for each in SURROGATES * hz if not _related(float(each), faults, shaft_hz)])
    if len(apart) < FEWEST_SURROGATES:
        return None
    heights, places = comb(lines[None], step_hz, np.concatenate(([hz], apart)), count)
    nothing = heights[0, 1:]
    z = (heights[0, 0] - nothing.mean()) / max(float(nothing.std()), 1e-9)
    return float(z), float(places[0, 0])


def _related(hz: float, faults: list[float], shaft_hz: float) -> bool:
    """A comb of this fundamental shares lines with a fault's, or stands on the shaft's."""
    orders = np.arange(1, RELATED + 1)
    ratios = orders[:, None] * hz / (orders * np.array(faults)[:, None, None])
    if (np.abs(ratios - 1) < 2 * SLIP).any():
        return True
    order = round(hz / shaft_hz)
    return 1 <= order <= SHAFT_ORDERS and abs(hz - order * shaft_hz) < SLIP * hz
