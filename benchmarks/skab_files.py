"""The recordings of the Skoltech Anomaly Benchmark: a water pump's eight channels at about 1 Hz."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import NoRecordings, files, reasons
from sensors.base import Channel

TRAIN = 400  # rows of each file, by the official protocol
PATTERNS = ["valve*/*.csv", "other/*.csv"]
LABELS = ("anomaly", "changepoint")
UNITS = {  # as the recordings' description has them
    "Accelerometer1RMS": "[g]",
    "Accelerometer2RMS": "[g]",
    "Current": "A",
    "Pressure": "bar",
    "Temperature": "Cel",
    "Thermocouple": "Cel",
    "Voltage": "V",
    "Volume Flow RateRMS": "L/min",
}


@dataclass(frozen=True, slots=True)
class Recording:
    """One file."""

    name: str  # "valve1/0.csv"
    channels: tuple[Channel, ...]
    times: NDArray[np.float64]  # (n,) Unix seconds
    values: NDArray[np.float32]  # (n, channels)
    anomaly: NDArray[np.bool_]  # (n,)
    changepoint: NDArray[np.bool_]  # (n,)


def read(path: Path) -> tuple[list[Recording], dict[str, str]]:
    """Every labelled file that goes on after its lesson, and the names of the others with why they are left out. Raises
    NoRecordings."""
    every = [read_one(file, path) for file in files(path, PATTERNS)]
    found = [one for one in every if len(one.times) > TRAIN]
    left_out = {one.name: f"no more than the {TRAIN} rows of a lesson" for one in every if one not in found}
    if not found:
        names = " or ".join(PATTERNS)
        raise NoRecordings(
            f"no {names} in {path} can be used: {reasons(left_out)}" if every else f"no {names} in {path}"
        )
    return found, left_out


def read_one(file: Path, path: Path) -> Recording:
    """One file; without labels nothing in it is an anomaly."""
    with file.open(encoding="utf-8", newline="") as lines:
        head, *rows = csv.reader(lines, delimiter=";")
    names = [name for name in head[1:] if name not in LABELS]
    columns = [head.index(name) for name in names]
    times = np.array([_seconds(row[0]) for row in rows])

    def flags(label: str) -> NDArray[np.bool_]:
        if label not in head:
            return np.zeros(len(rows), bool)
        return np.array([float(row[head.index(label)]) > 0 for row in rows])

    return Recording(
        file.relative_to(path).as_posix(),
        tuple(Channel(name, UNITS.get(name, "1")) for name in names),
        times,
        np.array([[float(row[column]) for column in columns] for row in rows], np.float32),
        flags("anomaly"),
        flags("changepoint"),
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()
