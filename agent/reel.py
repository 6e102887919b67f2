"""One sensor's recordings in a folder: one file after the other, each bounded, and all of them together."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.messages import rfc3339
from sensors.base import Channel, Reading
from sensors.recorder import Recorder

STAMP = "%Y%m%dT%H%M%SZ"
# A file of ours: sensor, time of its first sample, a number where that is taken, the form, and what is not whole yet.
OURS = re.compile(r".+-(\d{8}T\d{6}Z)(-\d+)?\.(csv|npz|parquet)(?P<torn>\.part|\.values)?")


@dataclass(frozen=True, slots=True)
class Limits:
    """When a file is full, and how much all of them may be."""

    file_bytes: int
    file_s: float | None  # None: as long as it takes
    total_bytes: int  # of the files that are finished; the oldest go


class Reel:
    """Writes Readings, beginning a new file when one is full, the rate changes, or time goes back."""

    def __init__(
        self,
        folder: Path,
        sensor: str,
        form: str,
        channels: Sequence[Channel],
        about: Mapping[str, object],
        limits: Limits,
    ) -> None:
        self._folder, self._sensor, self._form = folder, sensor, form
        self._channels, self._about, self._limits = channels, about, limits
        self._recorder: Recorder | None = None
        self._begun = self._latest = 0.0
        self.files: list[Path] = []
        self.rows = 0

    def put(self, reading: Reading) -> None:
        """Append a reading. Raises SensorError where it cannot be written."""
        recorder = self._recorder
        if recorder is not None and self._is_full(recorder, reading):
            self.close()
            recorder = None
        if recorder is None:
            recorder = self._begin(reading)
        recorder.write(reading)
        self.rows += len(reading.values)
        self._latest = reading.time

    @property
    def size_bytes(self) -> int:
        """Of the file that is being written."""
        return 0 if self._recorder is None else self._recorder.size_bytes

    def close(self) -> None:
        """Finish the file. Raises SensorError."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()
            self.files.append(recorder.path)

    def _is_full(self, recorder: Recorder, reading: Reading) -> bool:
        limits = self._limits
        return (
            recorder.size_bytes + reading.values.nbytes > limits.file_bytes
            or (limits.file_s is not None and reading.time - self._begun >= limits.file_s)
            or reading.rate_hz != recorder.rate_hz
            or reading.time < self._latest
        )

    def _begin(self, reading: Reading) -> Recorder:
        prune(self._folder, self._limits.total_bytes)
        stamp = time.strftime(STAMP, time.gmtime(reading.time))
        names = (
            f"{self._sensor}-{stamp}{n}.{self._form}" for n in ("", *(f"-{i}" for i in range(2, 10_000)))
        )
        path = next(path for name in names if not (path := self._folder / name).exists())
        about = {**self._about, "rate_hz": reading.rate_hz, "start": rfc3339(reading.time)}
        self._recorder = Recorder(path, self._channels, about=about)
        self._recorder.open()
        self._begun = reading.time
        return self._recorder


def prune(folder: Path, total_bytes: int) -> list[Path]:
    """Remove the oldest finished recordings until the others are small enough together; what was removed.

    Knows recordings by their names, and touches nothing else.
    """
    found = [(match[1], path) for path, match in ours(folder) if not match["torn"]]
    sizes = {path: _size(path) for _, path in found}
    left, removed = sum(sizes.values()), []
    for _, path in sorted(found):
        if left <= total_bytes:
            break
        path.unlink(missing_ok=True)
        left -= sizes[path]
        removed.append(path)
    return removed


def remove_torn(folder: Path) -> list[Path]:
    """Remove what a recording that was cut off has left; nobody else may be writing there."""
    torn = [path for path, match in ours(folder) if match["torn"]]
    for path in torn:
        path.unlink(missing_ok=True)
    return torn


def ours(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    """The files in a folder that have a recording's name."""
    matches = ((path, OURS.fullmatch(path.name)) for path in folder.iterdir() if path.is_file())
    return sorted((path, match) for path, match in matches if match is not None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
