"""What alarms and scores on NAB's recordings come to beside NAB's own score: the same for all who try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nab_files import Recording
from benchmarks.scores.nab import Doubles
from benchmarks.scores.volume import vus_pr

WIDEST = 100  # rows, of VUS-PR's buffer; windows hold a buffer of their own already
HOUR_S = 3600.0


def alarm_figures(recordings: Sequence[Recording], alarms: Sequence[Iterable[int]]) -> dict[str, Any]:
    """Of alarms at these rows of each recording, those after probation; delays are from a window's start to the first
    alarm in it."""
    delays: list[float] = []
    count = windows = false = 0
    hours = 0.0
    for recording, given in zip(recordings, alarms, strict=True):
        file, times = recording.file, recording.times
        rows = [row for row in given if row >= file.probation]
        inside = _inside(recording)
        for first, last in file.windows:
            within = [row for row in rows if first <= row <= last]
            if within:
                delays.append(float(times[within[0]] - times[first]))
        count, windows = count + len(rows), windows + len(file.windows)
        false += sum(not inside[row] for row in rows)
        hours += (~inside[file.probation :]).sum() / recording.rate_hz / HOUR_S
    return {
        "alarms": count,
        "windows": windows,
        "hits": len(delays),
        "false_per_hour": false / hours if hours else None,
        "median_delay_s": float(np.median(delays)) if delays else None,
    }


def volume(recordings: Sequence[Recording], scores: Sequence[Doubles]) -> float:
    """VUS-PR over the rows after probation; the labels are NAB's windows."""
    return vus_pr(
        [
            (_inside(recording)[recording.file.probation :], one[recording.file.probation :])
            for recording, one in zip(recordings, scores, strict=True)
        ],
        WIDEST,
    )


def flags(recordings: Sequence[Recording], alarms: Sequence[Iterable[int]]) -> list[Doubles]:
    """Alarms as scores: 1 at each, 0 elsewhere."""
    found = []
    for recording, rows in zip(recordings, alarms, strict=True):
        one = np.zeros(recording.file.rows)
        one[list(rows)] = 1.0
        found.append(one)
    return found


def _inside(recording: Recording) -> NDArray[np.bool_]:
    """`(n,)`: the row lies in a window."""
    inside = np.zeros(recording.file.rows, bool)
    for first, last in recording.file.windows:
        inside[first : last + 1] = True
    return inside
