"""The recordings of the Numenta Anomaly Benchmark: one slow channel each, with windows around what was strange."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import NoRecordings, files, reasons
from benchmarks.scores.nab import PROBATION, PROFILES, File, Profile, profiles, windows
from models.level import FEWEST

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


def read(path: Path) -> tuple[list[Recording], dict[str, Profile], dict[str, str]]:
    """Every file under `data/` that has labels, the weights of the profiles (NAB's own where no file beside the
    recordings gives them), and the names of the files left out with why. Raises NoRecordings."""
    labels: dict[str, list[list[str]]] = json.loads((path / LABELS).read_text("utf-8"))
    data, given = path / "data", path / "profiles.json"
    weights = profiles(json.loads(given.read_text("utf-8"))) if given.is_file() else PROFILES
    there = [file.relative_to(data).as_posix() for file in files(data, ["**/*.csv"])]
    left_out = {name: "no labels" for name in there if name not in labels}
    found = []
    for name in sorted(set(there) & set(labels)):
        recording = _read(data / name, name, labels[name])
        if recording.file.probation < FEWEST:
            left_out[name] = f"a lesson, the first {PROBATION:.0%}, of fewer than {FEWEST} rows"
        else:
            found.append(recording)
    if not found:
        why = f"; left out: {reasons(left_out)}" if left_out else ""
        raise NoRecordings(f"none of the {len(labels)} files named in {path / LABELS} is in {data}{why}")
    return found, weights, left_out


def _read(file: Path, name: str, spans: list[list[str]]) -> Recording:
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
