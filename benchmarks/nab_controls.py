"""What NAB's score gives to alarms that never look at the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from benchmarks.scores import nab as scores
from benchmarks.scores.nab import File, Profile

SEEDS = 20
PERIODS = (50, 75, 100, 150, 200, 300, 400, 600, 800, 1200)  # rows, of the metronomes tried
SHARES = np.arange(0.16, 1.0, 0.02)  # of a file, of the timers tried

Alarms = list[Iterable[int]]


def controls(
    files: Sequence[File], ours: Sequence[Sequence[int]], weights: Mapping[str, Profile]
) -> dict[str, dict[str, float]]:
    """Of each control the score by profile; timer and metronome at the setting that is best after the fact."""
    count = scores.count_windows(files)

    def score(alarms: Sequence[Iterable[int]]) -> dict[str, float]:
        raw = dict.fromkeys(weights, 0.0)
        for file, rows in zip(files, alarms, strict=True):
            rows = list(rows)
            for name, weight in weights.items():
                raw[name] += scores.points(file, rows, weight)
        return {name: scores.normalised(raw[name], count, weight) for name, weight in weights.items()}

    def best(settings: Iterable[float], alarms: Callable[[File, float], Iterable[int]]) -> dict[str, float]:
        tried = {setting: score([alarms(file, setting) for file in files]) for setting in settings}
        chosen = max(tried, key=lambda setting: tried[setting]["standard"])
        return {**tried[chosen], "setting": float(chosen)}

    random = np.random.default_rng(11)
    drawn = [
        score(
            [
                random.integers(file.probation, file.rows, len(rows))
                for file, rows in zip(files, ours, strict=True)
            ]
        )
        for _ in range(SEEDS)
    ]
    return {
        "always": score([range(file.rows) for file in files]),
        "timer": best(SHARES, lambda file, share: [int(share * file.rows)]),
        "metronome": best(PERIODS, lambda file, period: range(file.probation, file.rows, int(period))),
        "random": {name: float(np.mean([one[name] for one in drawn])) for name in weights},
    }
