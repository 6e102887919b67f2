"""The recordings of the bearing rig of Case Western Reserve University: one accelerometer, a shaft of known speed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.recordings import NoRecordings, files, reasons

LABELS = {"B": "ball (2xBSF)", "IR": "inner race (BPFI)", "OR": "outer race (BPFO)"}
FIELDS = ("drive_end", "rate_hz", "rpm")


@dataclass(frozen=True, slots=True)
class Recording:
    """One file."""

    name: str  # "IR_007_109_0.npz"
    part: str  # that is hurt; "" in a healthy bearing
    values: NDArray[np.float32]  # (n,) g
    rate_hz: float
    shaft_hz: float

    def windows(self, window_s: float) -> Iterator[NDArray[np.float32]]:
        """Those that follow on each other without sharing a sample."""
        length = round(window_s * self.rate_hz)
        for start in range(0, len(self.values) - length + 1, length):
            yield self.values[start : start + length]


def read(path: Path, window_s: float) -> tuple[list[Recording], dict[str, str]]:
    """Every file that has a window, and whose name says what is hurt; the names of the others with why they are left
    out. Raises NoRecordings."""
    found: list[Recording] = []
    left_out: dict[str, str] = {}
    for file in files(path, ["*.npz"]):
        part = label(file.name)
        if part is None:
            left_out[file.name] = "the name begins with none of B, IR, OR and has no normal in it"
            continue
        with np.load(file, allow_pickle=False) as archive:
            if missing := [field for field in FIELDS if field not in archive.files]:
                left_out[file.name] = f"has no {', '.join(missing)}"
                continue
            values = archive["drive_end"].astype(np.float32, copy=False).ravel()
            rate_hz, shaft_hz = float(archive["rate_hz"]), float(archive["rpm"]) / 60
        if len(values) < round(window_s * rate_hz):
            left_out[file.name] = f"shorter than {window_s:g} s"
        else:
            found.append(Recording(file.name, part, values, rate_hz, shaft_hz))
    if not found:
        why = f" can be used: {reasons(left_out)}" if left_out else ""
        raise NoRecordings(f"no *.npz in {path}{why}")
    return found, left_out


def label(name: str) -> str | None:
    """The part that the file's name says is hurt; "" for a healthy bearing, None where it says neither."""
    if re.search("normal", name, re.IGNORECASE):
        return ""
    match = re.match(r"(B|IR|OR)(?![a-z])", name)
    return LABELS[match[1]] if match else None
