"""The Numenta Anomaly Benchmark's score, version 1.1: windows, a sigmoid, three profiles, and the best threshold.

Source: Lavin, Ahmad: Evaluating Real-time Anomaly Detection Algorithms, ICMLA 2015, and the protocol beside the
recordings; written from these, and held to the reference scores there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
PROBATION, MOST_PROBATION = 0.15, 750  # rows at the start that are not scored: a share, and at most so many


@dataclass(frozen=True, slots=True)
class Profile:
    """What counts how much: a hit at most, a false alarm at most, a missed window."""

    hit: float = 1.0
    false: float = 0.11
    miss: float = 1.0


PROFILES = {"standard": Profile(), "low_fp": Profile(false=0.22), "low_fn": Profile(miss=2.0)}


@dataclass(frozen=True, slots=True)
class File:
    """One recording as the scorer sees it."""

    rows: int
    windows: tuple[tuple[int, int], ...]  # first and last row of each, in order

    @property
    def probation(self) -> int:
        """Rows at the start that are not scored."""
        return min(math.floor(PROBATION * self.rows), MOST_PROBATION)

    @cache  # noqa: B019  (few files, asked for often)
    def worth(self) -> tuple[Doubles, NDArray[np.int64]]:
        """What an alarm at each row is worth, `(rows,)` from -1 to 1, and in which window it lies (-1: none)."""
        worth, window = np.full(self.rows, -1.0), np.full(self.rows, -1)
        most = _sigmoid(np.array([-1.0]))[0]
        for number, (first, last) in enumerate(self.windows):
            width = last - first + 1
            past = np.arange(last + 1, self.rows)
            worth[past] = _sigmoid((past - last) / max(1, width - 1))
            rows = np.arange(first, last + 1)
            worth[rows] = _sigmoid(-(last - rows + 1) / width) / most
            window[rows] = number
        return worth, window


def windows(times: Doubles, spans: Sequence[tuple[float, float]]) -> tuple[tuple[int, int], ...]:
    """First and last row within each span of time, both ends belonging to it; spans without rows are left out."""
    found = []
    for start, stop in spans:
        rows = np.flatnonzero((times >= start) & (times <= stop))
        if len(rows):
            found.append((int(rows[0]), int(rows[-1])))
    return tuple(found)


def points(file: File, alarms: Iterable[int], profile: Profile) -> float:
    """The raw score of alarms at these rows: of several in one window the earliest counts, of those outside each."""
    worth, window = file.worth()
    best = dict.fromkeys(_counted(file, window), -profile.miss)
    false = 0.0
    for row in alarms:
        if row < file.probation:
            continue
        number = int(window[row])
        if number < 0:
            false += profile.false * float(worth[row])
        else:
            best[number] = max(best[number], profile.hit * float(worth[row]))
    return false + sum(best.values())


def normalised(raw: float, count: int, profile: Profile) -> float:
    """100 for every window at its start and nothing else, 0 for silence; NaN without windows."""
    if not count:
        return float("nan")
    return 100 * (raw + profile.miss * count) / ((profile.hit + profile.miss) * count)


def count_windows(files: Sequence[File]) -> int:
    """Those that are scored: not wholly in probation."""
    return sum(len(_counted(file, file.worth()[1])) for file in files)


def score(files: Sequence[File], alarms: Sequence[Iterable[int]], profile: Profile) -> float:
    """Over all files, of alarms at these rows of each."""
    raw = sum(points(file, rows, profile) for file, rows in zip(files, alarms, strict=True))
    return normalised(raw, count_windows(files), profile)


def sweep(files: Sequence[File], scores: Sequence[Doubles], profile: Profile) -> tuple[float, float]:
    """`(score, threshold)`: the best over all thresholds, one for all files, rows at or above it being alarms. As the
    official optimiser does it: after the fact. No alarm at all (0 points, threshold infinite) is among them."""
    values, gains = [], []
    for file, one in zip(files, scores, strict=True):
        worth, window = file.worth()
        rows = np.arange(file.probation, file.rows)
        rows = rows[np.argsort(-one[rows], kind="stable")]
        gain = np.where(window[rows] < 0, profile.false * worth[rows], 0.0)
        for number in _counted(file, window):
            inside = np.flatnonzero(window[rows] == number)
            so_far = np.maximum.accumulate(np.append(-profile.miss, profile.hit * worth[rows[inside]]))
            gain[inside] = np.diff(so_far)
        values.append(one[rows])
        gains.append(gain)
    every, gained = np.concatenate(values), np.concatenate(gains)
    order = np.argsort(-every, kind="stable")
    every, count = every[order], count_windows(files)
    raw = np.cumsum(gained[order]) - profile.miss * count
    last = np.flatnonzero(np.append(every[1:] != every[:-1], True))
    best = int(last[np.argmax(raw[last])])
    if raw[best] <= -profile.miss * count:
        return 0.0, math.inf
    return normalised(float(raw[best]), count, profile), float(every[best])


def profiles(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Profile]:
    """Our names from the `profiles.json` beside the recordings."""
    names = {"standard": "standard", "low_fp": "reward_low_FP_rate", "low_fn": "reward_low_FN_rate"}
    costs = {ours: found[theirs]["CostMatrix"] for ours, theirs in names.items()}
    return {
        name: Profile(cost["tpWeight"], cost["fpWeight"], cost["fnWeight"]) for name, cost in costs.items()
    }


def _counted(file: File, window: NDArray[np.int64]) -> list[int]:
    return sorted(set(window[file.probation :].tolist()) - {-1})


def _sigmoid(y: Doubles) -> Doubles:
    return np.where(y > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(y, 3))) - 1)
