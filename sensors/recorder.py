"""Readings written to a CSV or NPZ file that `recording` reads back with the same float32 values."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, Reading, SensorError
from sensors.rows import TOLERANCE

COPY_BYTES = 2**20


class Recorder:
    """Writes one sensor's Readings to a file, in bounded memory; the file's ending decides its form.

    CSV holds a `time` column (ISO, UTC) and can be followed while it grows. NPZ is put together on `close`
    (until then the values lie in `<file>.part`); it keeps the rate, so sample times come back bit for bit.
    Raises SensorError where the file exists already, cannot be written, or the Readings do not fit.
    """

    def __init__(self, path: str | Path, channels: Sequence[Channel], *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.channels = tuple(channels)
        self.overwrite = overwrite
        self.rows = 0
        self._npz = self.path.suffix.lower() == ".npz"
        self._file: io.BufferedWriter | None = None
        self._rate_hz = 0.0
        self._starts: list[float] = []
        self._counts: list[int] = []

    @property
    def part(self) -> Path:
        """Where the values of an NPZ lie until it is closed."""
        return self.path.with_name(self.path.name + ".part")

    def open(self) -> None:
        """Create the file."""
        if self.path.suffix.lower() not in (".csv", ".npz"):
            raise SensorError(f"{self.path}: recordings are written as .csv or .npz")
        if self.path.exists() and not self.overwrite:
            raise SensorError(f"{self.path}: exists already")
        try:
            self._file = (self.part if self._npz else self.path).open("wb")
            if not self._npz:
                self._file.write((",".join(["time", *map(_title, self.channels)]) + "\n").encode())
        except OSError as error:
            raise self._cannot(error) from error

    def write(self, reading: Reading) -> None:
        """Append one Reading. All of one file have the same rate and the recorder's channels."""
        if self._file is None:
            raise SensorError(f"{self.path}: write before open")
        if reading.values.ndim != 2 or reading.values.shape[1] != len(self.channels):
            raise SensorError(
                f"{self.path}: a Reading of shape {reading.values.shape} for {len(self.channels)} channels"
            )
        if self.rows and reading.rate_hz != self._rate_hz:
            raise SensorError(
                f"{self.path}: the rate changed from {self._rate_hz:g} to {reading.rate_hz:g} Hz"
            )
        self._rate_hz = reading.rate_hz
        try:
            if self._npz:
                self._place(reading)
                self._file.write(np.ascontiguousarray(reading.values, np.float32).tobytes())
            else:
                self._file.write(_csv(reading).encode())
                self._file.flush()
        except OSError as error:
            raise self._cannot(error) from error
        self.rows += len(reading.values)

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
            if self._npz:
                self._assemble()
        except OSError as error:
            raise self._cannot(error) from error

    def __enter__(self) -> Recorder:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place(self, reading: Reading) -> None:
        """Lengthen the last run, or begin one: by the rule that `recording` cuts runs with."""
        n = len(reading.values)
        if self._starts:
            expected = self._starts[-1] + self._counts[-1] / reading.rate_hz
            if abs(reading.time - expected) * reading.rate_hz <= TOLERANCE:
                self._counts[-1] += n
                return
        self._starts.append(reading.time)
        self._counts.append(n)

    def _assemble(self) -> None:
        arrays: dict[str, NDArray[np.generic]] = {
            "time": np.array(self._starts, np.float64),
            "rows": np.array(self._counts, np.int64),
            "rate_hz": np.array(self._rate_hz),
            "channels": np.array([channel.name for channel in self.channels], np.str_),
            "units": np.array([channel.unit for channel in self.channels], np.str_),
        }
        whole = self.path.with_name(self.path.name + ".tmp")
        with zipfile.ZipFile(whole, "w") as archive:
            for name, array in arrays.items():
                with archive.open(_member(name), "w") as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
            with (
                archive.open(_member("values"), "w", force_zip64=True) as stream,
                self.part.open("rb") as values,
            ):
                header = {"descr": "<f4", "fortran_order": False, "shape": (self.rows, len(self.channels))}
                np.lib.format.write_array_header_1_0(stream, header)
                shutil.copyfileobj(values, stream, COPY_BYTES)
        whole.replace(self.path)
        self.part.unlink()

    def _cannot(self, error: OSError) -> SensorError:
        return SensorError(f"{self.path}: cannot be written: {error.strerror or error}")


def write(path: str | Path, channels: Sequence[Channel], readings: Iterable[Reading]) -> int:
    """Write Readings to a new CSV or NPZ file; gives the number of rows. Raises SensorError."""
    with Recorder(path, channels) as recorder:
        for reading in readings:
            recorder.write(reading)
    return recorder.rows


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(
        f"{name}.npy", (1980, 1, 1, 0, 0, 0)
    )  # no clock: the same Readings give the same bytes


def _title(channel: Channel) -> str:
    title = channel.name if channel.unit == "1" else f"{channel.name} [{channel.unit}]"
    return '"' + title.replace('"', "'") + '"' if "," in title or '"' in title else title


def _csv(reading: Reading) -> str:
    times = reading.time + np.arange(len(reading.values)) / reading.rate_hz
    lines = []
    for time, row in zip(times.tolist(), reading.values, strict=True):
        cells = [
            "" if value != value else str(value) for value in row
        ]  # numpy's shortest text that reads back the same
        lines.append(",".join([_iso(time), *cells]))
    return "\n".join(lines) + "\n"


def _iso(time: float) -> str:
    """ISO in UTC with the nine digits that bring the same float64 back, or fewer where they are zeros."""
    second, nanosecond = divmod(time, 1.0)
    text = str(np.datetime64(int(second), "s"))
    digits = round(nanosecond * 1e9)
    if digits == 0:
        return text + "Z"
    if digits == 1_000_000_000:
        return str(np.datetime64(int(second) + 1, "s")) + "Z"
    fraction = f"{digits:09d}"
    return f"{text}.{fraction[:6] if fraction.endswith('000') else fraction}Z"
