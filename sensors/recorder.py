"""Readings written to a file that `recording` reads back with the same float32 values: CSV, NPZ or Parquet."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, Reading, SensorError
from sensors.parquet_table import ParquetWriter
from sensors.rows import TOLERANCE

COPY_BYTES = 2**20
FORMS = (".csv", ".npz", ".parquet")


class Writer(Protocol):
    """What writes one form. All raise OSError."""

    @property
    def size_bytes(self) -> int: ...
    def write(self, reading: Reading) -> None: ...
    def close(self) -> None: ...


class Recorder:
    """Writes one sensor's Readings to a file, in bounded memory; the file's ending decides its form.

    CSV holds a `time` column (ISO, UTC) and can be followed while it grows. NPZ and Parquet lie in `<file>.part` until
    they are whole and on disk: a file under its own name is never a torn one. NPZ keeps the rate, so sample times come
    back bit for bit. `about` goes with them, as JSON. Raises SensorError where the file exists already, cannot be
    written, or the Readings do not fit.
    """

    def __init__(
        self,
        path: str | Path,
        channels: Sequence[Channel],
        *,
        overwrite: bool = False,
        about: Mapping[str, object] | None = None,
    ) -> None:
        self.path = Path(path)
        self.channels = tuple(channels)
        self.overwrite = overwrite
        self.about = {} if about is None else dict(about)
        self.rows = 0
        self.rate_hz = 0.0  # of the first Reading, and so of all
        self._form = self.path.suffix.lower()
        self._writer: Writer | None = None

    @property
    def part(self) -> Path:
        """Where an NPZ or Parquet lies until it is whole."""
        return self.path.with_name(self.path.name + ".part")

    @property
    def size_bytes(self) -> int:
        """Written so far."""
        return 0 if self._writer is None else self._writer.size_bytes

    def open(self) -> None:
        """Create the file."""
        if self._form not in FORMS:
            raise SensorError(f"{self.path}: recordings are written as .csv, .npz or .parquet")
        if self.path.exists() and not self.overwrite:
            raise SensorError(f"{self.path}: exists already")
        try:
            if self._form == ".csv":
                self._writer = _Csv(self.path, self.channels, self.about)
            elif self._form == ".npz":
                self._writer = _Npz(self.part, self.channels, self.about)
            else:
                self._writer = ParquetWriter(self.part, self.channels, self.about)
        except OSError as error:
            raise self._cannot(error) from error

    def write(self, reading: Reading) -> None:
        """Append one Reading. All of one file have the same rate and the recorder's channels."""
        if self._writer is None:
            raise SensorError(f"{self.path}: write before open")
        if reading.values.ndim != 2 or reading.values.shape[1] != len(self.channels):
            raise SensorError(
                f"{self.path}: a Reading of shape {reading.values.shape} for {len(self.channels)} channels"
            )
        if self.rows and reading.rate_hz != self.rate_hz:
            raise SensorError(
                f"{self.path}: the rate changed from {self.rate_hz:g} to {reading.rate_hz:g} Hz"
            )
        self.rate_hz = reading.rate_hz
        try:
            self._writer.write(reading)
        except OSError as error:
            raise self._cannot(error) from error
        self.rows += len(reading.values)

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.close()
            if self._form != ".csv":
                with self.part.open("rb") as whole:
                    os.fsync(whole.fileno())
                self.part.replace(self.path)
        except OSError as error:
            raise self._cannot(error) from error

    def __enter__(self) -> Recorder:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _cannot(self, error: OSError) -> SensorError:
        return SensorError(f"{self.path}: cannot be written: {error.strerror or error}")


class _Csv:
    def __init__(self, path: Path, channels: Sequence[Channel], about: Mapping[str, object]) -> None:
        self._file = path.open("wb")
        if about:  # a comment to who reads it
            self._file.write(f"# {json.dumps(about, ensure_ascii=False)}\n".encode())
        self._file.write((",".join(["time", *map(_title, channels)]) + "\n").encode())

    @property
    def size_bytes(self) -> int:
        return self._file.tell()

    def write(self, reading: Reading) -> None:
        self._file.write(_csv(reading).encode())
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Npz:
    """Values go into a file of their own, from which the archive is made at the end, when its sizes are known."""

    def __init__(self, path: Path, channels: Sequence[Channel], about: Mapping[str, object]) -> None:
        self._path, self._channels, self._about = path, channels, about
        self._raw = path.with_name(path.name.removesuffix(".part") + ".values")
        self._file: io.BufferedWriter = self._raw.open("wb")
        self._rate_hz, self._starts, self._counts = 0.0, list[float](), list[int]()

    @property
    def size_bytes(self) -> int:
        return self._file.tell()

    def write(self, reading: Reading) -> None:
        self._rate_hz = reading.rate_hz
        self._place(reading)
        self._file.write(np.ascontiguousarray(reading.values, np.float32).tobytes())

    def close(self) -> None:
        self._file.close()
        self._assemble()
        self._raw.unlink()

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
            "channels": np.array([channel.name for channel in self._channels], np.str_),
            "units": np.array([channel.unit for channel in self._channels], np.str_),
        }
        if self._about:
            arrays["about"] = np.array(json.dumps(self._about, ensure_ascii=False), np.str_)
        shape = (sum(self._counts), len(self._channels))
        with zipfile.ZipFile(self._path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(_member(name), "w") as stream:
                    np.lib.format.write_array(stream, array, allow_pickle=False)
            with (
                archive.open(_member("values"), "w", force_zip64=True) as stream,
                self._raw.open("rb") as values,
            ):
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                shutil.copyfileobj(values, stream, COPY_BYTES)


def write(path: str | Path, channels: Sequence[Channel], readings: Iterable[Reading]) -> int:
    """Write Readings to a new CSV, NPZ or Parquet file; gives the number of rows. Raises SensorError."""
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
