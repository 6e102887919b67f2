"""What NAB's score gives to alarms that never look at the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.nab_files import Recording
from benchmarks.nab_scores import alarm_figures, flags, volume
from benchmarks.scores import nab as scores
from benchmarks.scores.nab import File, Profile

SEEDS = 20
PERIODS = (50, 75, 100, 150, 200, 300, 400, 600, 800, 1200)  # rows, of the metronomes tried
SHARES = np.arange(0.16, 1.0, 0.02)  # of a file, of the timers tried
MEANS = ("false_per_hour", "median_delay_s")

Alarms = Sequence[Sequence[int]]


def controls(
    recordings: Sequence[Recording], ours: Alarms, weights: Mapping[str, Profile]
) -> dict[str, dict[str, Any]]:
    """Of each control the score by profile, VUS-PR, false alarms and delay; timer and metronome at the setting that is
    best after the fact, random as the mean of draws (VUS-PR: the first)."""
    files = [recording.file for recording in recordings]
    count = scores.count_windows(files)

    def score(alarms: Alarms) -> dict[str, float]:
        raw = dict.fromkeys(weights, 0.0)
        for file, rows in zip(files, alarms, strict=True):
            for name, weight in weights.items():
                raw[name] += scores.points(file, rows, weight)
        return {name: scores.normalised(raw[name], count, weight) for name, weight in weights.items()}

    def whole(alarms: Alarms) -> dict[str, Any]:
        found = alarm_figures(recordings, alarms)
        return {
            **score(alarms),
            "vus_pr": volume(recordings, flags(recordings, alarms)),
            **{key: found[key] for key in MEANS},
        }

    def best(settings: Iterable[float], alarms: Callable[[File, float], Sequence[int]]) -> dict[str, Any]:
        tried = {setting: score([alarms(file, setting) for file in files]) for setting in settings}
        chosen = max(tried, key=lambda setting: tried[setting]["standard"])
        return {**whole([alarms(file, chosen) for file in files]), "setting": float(chosen)}

    random = np.random.default_rng(11)
    draws = [
        [
            np.sort(random.integers(file.probation, file.rows, len(rows))).tolist()
            for file, rows in zip(files, ours, strict=True)
        ]
        for _ in range(SEEDS)
    ]
    drawn = [{**score(draw), **alarm_figures(recordings, draw)} for draw in draws]
    return {
        "always": whole([range(file.rows) for file in files]),
        "timer": best(SHARES, lambda file, share: [int(share * file.rows)]),
        "metronome": best(PERIODS, lambda file, period: range(file.probation, file.rows, int(period))),
        "random": {
            **{name: _mean([one[name] for one in drawn]) for name in (*weights, *MEANS)},
            "vus_pr": volume(recordings, flags(recordings, draws[0])),
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
