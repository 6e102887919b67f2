"""The changepoint score of the SKAB leaderboard: NAB's idea, with a window of 60 s after each changepoint.

Source: the protocol beside the recordings and Filonov, Lavrentyev, Vorontsov 2016; written from these, and held to
the reference scores there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 60.0
PROFILES = {  # what a false alarm costs, and what a miss; a hit brings 1
    "nab_standard": (0.11, 1.0),
    "nab_low_fp": (0.22, 1.0),
    "nab_low_fn": (0.11, 2.0),
}
STEPS = 1000  # of the reward's curve


@dataclass(frozen=True, slots=True)
class Found:
    """What one file's emissions came to."""

    reward: float  # sum over the hits, each from 1 (at once) to 0 (at the window's end)
    hits: int
    missed: int
    false: int  # emissions outside of every window
    delays_s: tuple[float, ...]  # of the hits

    def __add__(self, other: Found) -> Found:
        return Found(
            self.reward + other.reward,
            self.hits + other.hits,
            self.missed + other.missed,
            self.false + other.false,
            self.delays_s + other.delays_s,
        )

    def score(self, profile: str) -> float:
        """100 for hits at once and nothing else, 0 for silence; NaN without changepoints."""
        cost, miss = PROFILES[profile]
        count = self.hits + self.missed
        if not count:
            return float("nan")
        points = (1 + cost) * self.reward - cost * (self.hits + self.false) - miss * self.missed
        return 100 * (points + miss * count) / (count * (1 + miss))


def find(times: NDArray[np.float64], changes: Sequence[int], emitted: Sequence[int]) -> Found:
    """Rows of true changepoints and of emitted ones, both in order. A window that overlaps the one before begins
    where that ends; of several emissions in a window the first counts."""
    windows: list[tuple[float, float]] = []
    for row in changes:
        start = stop = float(times[row])
        if windows:
            start = max(start, windows[-1][1])
        windows.append((start, stop + WINDOW_S))
    when = times[list(emitted)] if len(emitted) else np.empty(0)
    outside = np.ones(len(when), bool)
    reward, delays, missed = 0.0, [], 0
    for start, stop in windows:
        inside = (when >= start) & (when <= stop)
        outside &= ~inside
        if not inside.any():
            missed += 1
            continue
        delay = float(when[inside][0]) - start
        delays.append(delay)
        reward += _reward(delay / (stop - start))
    return Found(reward, len(delays), missed, int(outside.sum()), tuple(delays))


def total(found: Sequence[Found]) -> Found:
    """Pooled over files."""
    return sum(found, Found(0.0, 0, 0, 0, ()))


def edges(alarm: NDArray[np.bool_]) -> list[int]:
    """The rows at which an alarm begins or ends, as the leaderboard takes changepoints from outliers."""
    rows: list[int] = np.flatnonzero(np.diff(alarm.astype(np.int8), prepend=np.int8(0))).tolist()
    return rows


def _reward(share: float) -> float:
    """1 at the window's start, 0 at its end, along a tanh in 1000 steps."""
    x = np.pi * (min(STEPS - 1, int(share * STEPS)) / (STEPS - 1) - 0.5)
    return float(0.5 - 0.5 * np.tanh(x) / np.tanh(np.pi / 2))
