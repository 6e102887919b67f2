"""When something was wrong, as a person noted it down, and how far the alerts agree."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np

from sensors.base import Sensor
from sensors.times import find_form, parse_one

COLUMN = "column:"  # instead of a file: the recording itself says it
Window = tuple[float, float]  # Unix seconds, both ends belong to it


class LabelError(Exception):
    """Labels that cannot be read; the message names the file and the place."""


@dataclass(slots=True)
class Verdict:
    """What the alerts were worth against labels."""

    windows: int = 0
    hits: int = 0  # windows in which an alert was raised
    misses: int = 0
    unjudged: int = 0  # windows that ended before a monitor had learned
    false_alarms: int = 0  # alerts raised outside every window
    delays_s: list[float | None] = field(
        default_factory=list
    )  # per window: until the first alert; None: a miss

    def add(self, windows: Sequence[Window], raised: Iterable[float], armed_from: float) -> None:
        """Count the alerts raised at these times against these windows; before `armed_from` nobody listened."""
        times = sorted(raised)
        self.windows += len(windows)
        for start, end in windows:
            inside = [time for time in times if start <= time <= end]
            self.delays_s.append(round(inside[0] - start, 6) if inside else None)
            if inside:
                self.hits += 1
            elif end < armed_from:
                self.unjudged += 1
            else:
                self.misses += 1
        self.false_alarms += sum(not any(a <= time <= b for a, b in windows) for time in times)


def read(path: str, recordings: Mapping[str, Path]) -> dict[str, list[Window]]:
    """The windows of each recording (sensor name -> file) in a JSON or CSV file. Raises LabelError.

    JSON: a list of [start, end], which holds for all recordings, or a mapping of file names to such lists (the form
    of NAB's combined_windows.json). CSV: columns `start` and `end`. Times are ISO, UTC without a zone, or Unix seconds.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabelError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LabelError(f"{path}: is not text") from None
    if not text.lstrip().startswith(("[", "{")):
        windows = _windows(path, _csv_rows(path, text))
        return dict.fromkeys(recordings, windows)
    try:
        document = json.loads(text)
    except ValueError as error:
        raise LabelError(f"{path}: is not JSON: {error}") from None
    if isinstance(document, list):
        windows = _windows(path, enumerate(document))
        return dict.fromkeys(recordings, windows)
    return {name: _of_file(path, document, file) for name, file in recordings.items()}


def from_column(sensor: Sensor, column: str) -> list[Window]:
    """Stretches of the sensor's only channel that are not zero. Raises SensorError and LabelError."""
    windows: list[Window] = []
    open_since: float | None = None
    last = 0.0
    with sensor:
        while not sensor.finished:
            reading = sensor.read(1.0)
            if reading is None:
                continue
            values = np.nan_to_num(reading.values[:, 0])
            if not np.isin(values, (0.0, 1.0)).all():
                raise LabelError(
                    f"column {column}: labels are 0 or 1, not {values[~np.isin(values, (0, 1))][0]:g}"
                )
            times = [round(reading.time + i / reading.rate_hz, 6) for i in range(len(values))]
            for i in np.flatnonzero(np.diff(values, prepend=0.0 if open_since is None else 1.0)).tolist():
                if values[i]:
                    open_since = times[i]
                elif open_since is not None:
                    windows.append((open_since, times[i - 1] if i else last))
                    open_since = None
            last = times[-1]
    if open_since is not None:
        windows.append((open_since, last))
    return windows


def _of_file(path: str, document: Mapping[str, object], file: Path) -> list[Window]:
    """The entry whose name is the longest end of the recording's path."""
    parts = file.absolute().parts
    keys = [key for key in document if parts[-len(PurePath(key).parts) :] == PurePath(key).parts]
    keys = keys or [key for key in document if PurePath(key).name == file.name]
    if not keys:
        raise LabelError(f"{path}: has no entry for {file.name}")
    key = max(keys, key=len)
    entry = document[key]
    if not isinstance(entry, list):
        raise LabelError(f"{path}: {key}: is not a list of [start, end]")
    return _windows(f"{path}: {key}", enumerate(entry))


def _csv_rows(path: str, text: str) -> Iterable[tuple[int, object]]:
    lines = text.splitlines()
    dialect = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    table = csv.DictReader(lines, delimiter=dialect)
    if not {"start", "end"} <= set(table.fieldnames or ()):
        raise LabelError(f"{path}: is neither JSON nor a CSV with the columns start and end")
    return [(table.line_num, [row["start"], row["end"]]) for row in table]


def _windows(where: str, entries: Iterable[tuple[int, object]]) -> list[Window]:
    windows = []
    for number, entry in entries:
        try:
            if not isinstance(entry, (list, tuple)) or len(entry) != 2:
                raise ValueError("is not [start, end]")
            start, end = (_time(value) for value in entry)
            if end < start:
                raise ValueError("ends before it begins")
        except ValueError as error:
            raise LabelError(f"{where}: entry {number}: {error}") from None
        windows.append((start, end))
    return sorted(windows)


def _time(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = str(value or "")
    return parse_one(text, find_form([text]))
