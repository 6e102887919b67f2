"""Other detectors on NAB, at the threshold that is best after the fact, as the published ones have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.nab_files import Recording
from benchmarks.nab_scores import alarm_figures, volume
from benchmarks.peers import SLOW, tried
from benchmarks.scores import nab as scores
from benchmarks.scores.nab import Doubles, Profile

HOLD = 100  # rows


def peers(recordings: Sequence[Recording], weights: Mapping[str, Profile]) -> dict[str, dict[str, Any]]:
    """Of each peer the score by profile, VUS-PR, the false alarms and the delay at its threshold for the standard
    profile, and the microseconds a row takes; `missing` where its library is not installed. A peer that repeats its
    alarms is given a hold as ours has: the better of with and without counts."""
    files = [recording.file for recording in recordings]
    lessons = [(recording.values[:, None], recording.file.probation) for recording in recordings]
    found: dict[str, dict[str, Any]] = {}
    for name, peer in tried(SLOW, lessons):
        if peer.missing:
            found[name] = {"missing": peer.missing}
            continue
        ways = (peer.scores, [_held(one) for one in peer.scores])
        best = {
            profile: max(((*scores.sweep(files, way, weight), way) for way in ways), key=lambda each: each[0])
            for profile, weight in weights.items()
        }
        found[name] = {profile: each[0] for profile, each in best.items()}
        _, threshold, way = best["standard"]
        alarms = alarm_figures(recordings, [np.flatnonzero(one >= threshold).tolist() for one in way])
        found[name] |= {key: alarms[key] for key in ("false_per_hour", "median_delay_s")}
        found[name]["vus_pr"] = max(volume(recordings, way) for way in ways)
        found[name]["us_per_row"] = peer.us_per_row
    return found


def _held(one: Doubles) -> Doubles:
    """Scores that exceed every one of the 100 rows before them; the lowest elsewhere."""
    padded = np.concatenate([np.full(HOLD, -np.inf), one])
    before = np.lib.stride_tricks.sliding_window_view(padded, HOLD)[: len(one)].max(axis=1)
    return np.where(one > before, one, one.min())
