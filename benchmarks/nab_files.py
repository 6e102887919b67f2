"""The recordings of the Numenta Anomaly Benchmark: one slow channel each, with windows around what was strange."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import NoRecordings
from benchmarks.scores.nab import File, windows

LABELS = "labels/combined_windows.json"


@dataclass(frozen=True, slots=True)
class Recording:
    """One file."""

    name: str  # "realKnownCause/nyc_taxi.csv"
    times: NDArray[np.float64]  # (n,) Unix seconds
    values: NDArray[np.float64]  # (n,)
    file: File

    @property
    def rate_hz(self) -> float:
        """From the median of the steps."""
        steps = np.diff(self.times)
        return float(1 / np.median(steps[steps > 0]))


def read(path: Path) -> tuple[list[Recording], dict[str, Any]]:
    """Every file under `data/` that has labels, and the weights of the profiles. Raises NoRecordings."""
    labels: dict[str, list[list[str]]] = json.loads((path / LABELS).read_text("utf-8"))
    weights: dict[str, Any] = json.loads((path / "profiles.json").read_text("utf-8"))
    recordings = [_read(path / "data" / name, name, labels[name]) for name in sorted(labels)]
    found = [recording for recording in recordings if recording is not None]
    if not found:
        raise NoRecordings(f"none of the {len(labels)} files named in {path / LABELS} is in {path / 'data'}")
    return found, weights


def _read(file: Path, name: str, spans: list[list[str]]) -> Recording | None:
    if not file.is_file():
        return None
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    times = np.array([_seconds(time) for time, _ in rows])
    values = np.array([float(value) for _, value in rows])
    return Recording(
        name,
        times,
        values,
        File(len(times), windows(times, [(_seconds(a), _seconds(b)) for a, b in spans])),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()
