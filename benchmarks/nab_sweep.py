"""NAB at every threshold: alarms by an alert rule, what they score, and the threshold carried to other files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.alerts import Rule
from agent.budget import MARGIN
from benchmarks.alarms import raised
from benchmarks.nab_files import Recording
from benchmarks.scores import nab as scores
from benchmarks.scores.nab import Profile

# Tried as the edge, in units of the reference edge: steps of 3.5 %, and what the settings of `sensitivity` are.
THRESHOLDS = np.union1d(np.geomspace(1 / 8, 8, 121), list(MARGIN.values()))
SPLITS, SEED = 20, 7

Doubles = NDArray[np.float64]


@dataclass(slots=True)
class Sweep:
    """The raw score of each file at each threshold, `(thresholds, files)`, by profile."""

    thresholds: Doubles
    raw: dict[str, Doubles]
    windows: NDArray[np.int64]  # (files,) that are scored
    weights: dict[str, Profile]
    alarms: list[list[list[int]]] = field(default_factory=list)  # by threshold, by file

    def score(self, profile: str, row: int, files: NDArray[np.intp] | None = None) -> float:
        """At one threshold, over some of the files (None: all)."""
        chosen = np.arange(len(self.windows)) if files is None else files
        raw = float(self.raw[profile][row, chosen].sum())
        return scores.normalised(raw, int(self.windows[chosen].sum()), self.weights[profile])

    def best(self, profile: str, files: NDArray[np.intp] | None = None) -> int:
        """The threshold with the largest score over some of the files."""
        chosen = np.arange(len(self.windows)) if files is None else files
        return int(np.argmax(self.raw[profile][:, chosen].sum(axis=1)))


def sweep(
    recordings: Sequence[Recording],
    levels: Sequence[Doubles],
    rules: Sequence[Rule],
    weights: Mapping[str, Profile],
    thresholds: Doubles = THRESHOLDS,
) -> Sweep:
    """Alarms of each file's rule with the edge at each of the thresholds, and what they score."""
    files = [recording.file for recording in recordings]
    raw = {profile: np.zeros((len(thresholds), len(files))) for profile in weights}
    alarms: list[list[list[int]]] = []
    for row, threshold in enumerate(thresholds):
        alarms.append([])
        for column, (recording, level, rule) in enumerate(zip(recordings, levels, rules, strict=True)):
            rows = raised(recording.times, level, rule, float(threshold))
            alarms[-1].append(rows)
            for profile, weight in weights.items():
                raw[profile][row, column] = scores.points(recording.file, rows, weight)
    counted = np.array([scores.count_windows([file]) for file in files])
    return Sweep(thresholds, raw, counted, dict(weights), alarms)


def transfer(swept: Sweep, profile: str, splits: int = SPLITS) -> float:
    """The score when each half of the files is judged by the threshold that is best on the other half: mean over
    seeded random halves."""
    random = np.random.default_rng(SEED)
    count, found = len(swept.windows), []
    if count < 2:
        return float("nan")
    for _ in range(splits):
        order = random.permutation(count)
        halves = order[: count // 2], order[count // 2 :]
        raw = 0.0
        for taken, used in (halves, halves[::-1]):
            raw += float(swept.raw[profile][swept.best(profile, taken), used].sum())
        found.append(scores.normalised(raw, int(swept.windows.sum()), swept.weights[profile]))
    return float(np.mean(found))
