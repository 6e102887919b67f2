"""What one channel may do, by what was usual while learning."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

# Equal values in a row. A figure from a coarse or slow sensor repeats itself in health, so its longest run while
# learning is the measure; a waveform of noise never does: on PRONOSTIA and CWRU at most 4 samples, of 30 million.
FINE = 0.05  # share of repeats, up to which a channel is fine enough to move with nearly every sample
SUSPECT, SUSPECT_MORE = 1.25, 2  # of a fine one: times the longest run, and samples more: withheld
STUCK, STUCK_ROWS = 4.0, 10  # times the longest run, and samples at least; stuck from there on
# Of others: a pump's flow, in whole litres, stood for five times as long as learned while a valve was half shut.
COARSE_SUSPECT, COARSE_STUCK = 5.0, 10.0
RESTING = 0.5  # share of repeats from which on a channel rests rather than moves
FEWEST_CHANGES = 10  # of a channel that moved less nothing is known: a switch, a set point, a counter at rest
UNLEARNED, UNLEARNED_CHANGES = (
    2.0,
    30,
)  # while learning: times wider, and for channels that moved so often
WAVE_SUSPECT_ROWS, WAVE_STUCK_S = 16, 1.0  # of a waveform: a machine at rest leaves noise in any second
PLATEAU = 3  # samples of a clipped peak, at least

# What stands still so many spans beyond all values learned, a rail perhaps, is withheld early.
BEYOND, BEYOND_ROWS = 1.0, 3.0  # a fine channel, samples in a row
COARSE_BEYOND, COARSE_STUCK_BEYOND = 5.0, 3.0  # others; stuck from so many times the longest run learned
ALL_BUT = (
    0.999  # share of repeats of a channel that rests; that chance of its resting on is then 1 in 4600 samples
)
COARSE_CHANCE = 0.01  # that a coarse channel moves so little, were its repeats drawn by lot

# A leap: so many times the step that 99.5 % stay below (20 deviations of white noise; True: of a waveform), and so
# large a part of all values learned. No machine comes back from there at once.
JUMP = {False: 5.0, True: 12.0}
JUMP_SPAN = {False: 0.25, True: 1.0}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one channel may do."""

    low: float = -math.inf  # outside of these is no measurement
    high: float = math.inf
    usual_low: float = -math.inf  # the extremes seen while learning
    usual_high: float = math.inf
    jump: float = math.inf
    resolution: float = 0.0
    suspect: float = math.inf  # samples of one value in a row
    stuck: float = math.inf
    far: float = math.inf  # so far beyond the extremes, a value that stands
    suspect_beyond: float = math.inf  # is suspect from here on
    stuck_beyond: float = math.inf
    plateau: float = math.inf
    loss: float = 0.0  # share of samples missing in health

    @classmethod
    def of(
        cls,
        usual: Mapping[str, float],
        *,
        given: tuple[float, float],
        known: bool,
        waveform: bool,
        rate_hz: float,
        kinds: Collection[str],
    ) -> Limits:
        """By what is usual (see models.habits); with `known` False that is as far as was seen by now."""
        low, high = given if "out_of_range" in kinds else (-math.inf, math.inf)
        longest, repeats = usual["longest"], usual["repeats"]
        suspect = stuck = plateau = math.inf
        if waveform:
            stuck = max(math.ceil(WAVE_STUCK_S * rate_hz), STUCK_ROWS, STUCK * longest)
            suspect = max(WAVE_SUSPECT_ROWS, 2 * longest)
            plateau = max(PLATEAU, longest + 1) if known else math.inf
        elif known and usual["changes"] >= FEWEST_CHANGES:
            if repeats <= FINE:
                suspect, stuck = math.ceil(SUSPECT * longest) + SUSPECT_MORE, STUCK * longest
            else:
                suspect, stuck = COARSE_SUSPECT * longest, COARSE_STUCK * longest
            stuck = max(STUCK_ROWS, stuck)
        elif not known and usual["changes"] >= UNLEARNED_CHANGES and repeats <= FINE:
            stuck = UNLEARNED * max(STUCK_ROWS, STUCK * longest)
            suspect = stuck / 2
        if "stuck" not in kinds:
            suspect = stuck = math.inf
        far, suspect_beyond, stuck_beyond = math.inf, suspect, stuck
        if known and stuck < math.inf and not waveform:
            suspect_beyond = BEYOND_ROWS
            if repeats > FINE:
                suspect_beyond += math.ceil(math.log(COARSE_CHANCE) / math.log(min(repeats, ALL_BUT)))
                stuck_beyond = min(stuck, max(STUCK_ROWS, COARSE_STUCK_BEYOND * longest))
            suspect_beyond = min(suspect, suspect_beyond)
        span = usual["high"] - usual["low"]
        if stuck < math.inf and not waveform:
            far = span * (BEYOND if repeats <= FINE else COARSE_BEYOND) * (1.0 if known else UNLEARNED)
        jump = math.inf
        sure = known or (usual["changes"] >= UNLEARNED_CHANGES and not waveform)
        if sure and "spikes" in kinds and usual["step"] > 0:
            jump = max(JUMP[waveform] * usual["step"], JUMP_SPAN[waveform] * span)
            jump *= 1.0 if known else UNLEARNED
        seen = (known or not waveform) and usual["low"] <= usual["high"]
        return cls(
            low=low,
            high=high,
            usual_low=usual["low"] if seen else -math.inf,
            usual_high=usual["high"] if seen else math.inf,
            jump=float(np.float32(jump)),
            resolution=usual["resolution"],
            suspect=suspect,
            stuck=stuck,
            far=far,
            suspect_beyond=suspect_beyond,
            stuck_beyond=stuck_beyond,
            plateau=plateau if "saturated" in kinds else math.inf,
            loss=usual["missing"] if known else 0.0,
        )

    @property
    def judges_runs(self) -> bool:
        """Whether this channel may be called stuck, or flat."""
        return self.stuck < math.inf

    @property
    def quick(self) -> tuple[float, float, float]:
        """The lowest and the highest value, and the shortest run, that need a closer look."""
        return self.low, self.high, min(self.suspect, self.suspect_beyond, self.plateau)
