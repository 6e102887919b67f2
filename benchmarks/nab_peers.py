"""Other detectors on NAB, at the threshold that is best after the fact, as the published ones have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agent.progress import Progress
from benchmarks.nab_files import Recording
from benchmarks.peers import SLOW, timed
from benchmarks.scores import nab as scores
from benchmarks.scores.nab import Doubles, Profile

HOLD = 100  # rows


def peers(recordings: Sequence[Recording], weights: Mapping[str, Profile]) -> dict[str, dict[str, Any]]:
    """Of each peer the score by profile and the microseconds a row takes; `missing` where its library is not
    installed. A peer that repeats its alarms is given a hold as ours has: the better of with and without counts."""
    files = [recording.file for recording in recordings]
    rows = sum(file.rows for file in files)
    found: dict[str, dict[str, Any]] = {}
    with Progress("peers") as progress:
        for number, (name, peer) in enumerate(SLOW.items()):
            every: list[Doubles] = []
            seconds = 0.0
            try:
                timed(peer, np.zeros((60, 1)), 50)  # imports are not its work
                for i, recording in enumerate(recordings):
                    one, took = timed(peer, recording.values[:, None], recording.file.probation)
                    every.append(one)
                    seconds += took
                    share = (number + (i + 1) / len(recordings)) / len(SLOW)
                    progress.tell(lambda share=share: share, lambda name=name: name)  # type: ignore[misc]
            except ImportError as error:
                found[name] = {"missing": str(error)}
                continue
            held = [_held(one) for one in every]
            found[name] = {
                profile: max(scores.sweep(files, each, weight)[0] for each in (every, held))
                for profile, weight in weights.items()
            }
            found[name]["us_per_row"] = 1e6 * seconds / rows
    return found


def _held(one: Doubles) -> Doubles:
    """Scores that exceed every one of the 100 rows before them; the lowest elsewhere."""
    padded = np.concatenate([np.full(HOLD, -np.inf), one])
    before = np.lib.stride_tricks.sliding_window_view(padded, HOLD)[: len(one)].max(axis=1)
    return np.where(one > before, one, one.min())
