"""Other detectors on bearings run to failure: plain ones, of how loud a snapshot is and how peaked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.alarms import spans
from benchmarks.peers import MULTIVARIATE, Doubles, averaged, over_lesson, tried
from benchmarks.pronostia_lives import EVERY_S, Life, figures, lesson

THRESHOLDS = 200  # tried: quantiles of all scores
TINY = 1e-12


def loudness(snapshots: NDArray[np.float32]) -> Doubles:
    """`(snapshots, 2 * axes)`: logarithms of RMS and kurtosis of each axis."""
    rows = []
    for snapshot in snapshots:
        x = snapshot.astype(np.float64)
        x -= x.mean(axis=0)
        power = (x**2).mean(axis=0)
        kurtosis = (x**4).mean(axis=0) / np.maximum(power**2, TINY)
        rows.append(np.log(np.concatenate([np.sqrt(power), kurtosis]) + TINY))
    found: Doubles = np.nan_to_num(np.array(rows, np.float64))
    return found


def peers(lives: Sequence[Life], values: Sequence[Doubles]) -> dict[str, dict[str, Any]]:
    """Of each peer what its alarms come to: means over as many snapshots as ours, through the alert rule of ours, at
    the one threshold that is best after the fact of those whose alarms stand in first halves for no longer than ours,
    for an alarm that always stands would be best of all. `missing` where its library is not installed."""
    found: dict[str, dict[str, Any]] = {}
    learned = [min(lesson(life.snapshots), life.snapshots) for life in lives]
    most = (figures(lives)["under_alarm_first_half"] or 0.0) + TINY
    for name, peer in tried(MULTIVARIATE, list(zip(values, learned, strict=True))):
        if peer.missing:
            found[name] = {"missing": peer.missing}
            continue
        scores = [
            over_lesson(averaged(one, life.averaged), rows)
            for one, rows, life in zip(peer.scores, learned, lives, strict=True)
        ]
        every = np.concatenate([one[life.armed :] for one, life in zip(scores, lives, strict=True)])
        some = np.quantile(every[every > 0], np.linspace(0, 1, THRESHOLDS)) if (every > 0).any() else []
        levels = [*sorted(set(map(float, some))), np.inf]
        ways = [figures(_alarmed(lives, scores, level)) for level in levels]
        allowed = [way for way in ways if (way["under_alarm_first_half"] or 0.0) <= most]
        best = max(allowed, key=lambda way: (way["alarmed"], -way["cleared"], way["median_lead_s"]))
        found[name] = {**best, "us_per_row": peer.us_per_row}
    return found


def _alarmed(lives: Sequence[Life], scores: Sequence[Doubles], threshold: float) -> list[Life]:
    """The lives with these alarms, judged from where ours are."""
    found = []
    for life, one in zip(lives, scores, strict=True):
        rest = one[life.armed :]
        times = EVERY_S * np.arange(len(rest), dtype=np.float64)
        alarms = spans(times, rest, life.rule, threshold)
        moved = [(a + life.armed, None if b is None else b + life.armed) for a, b in alarms]
        found.append(replace(life, alarms=tuple(moved)))
    return found
