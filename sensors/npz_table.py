"""Rows of an NPZ file, read in blocks straight from the archive; nothing in it is ever executed."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, SensorError
from sensors.rows import BLOCK_ROWS, Rows, RowSource, Tally, Values, count_missing, read_about
from sensors.times import LAST_S

SMALL_BYTES = 64 * 2**20  # everything but `values` and per-row times is read whole, up to this size
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


@dataclass(slots=True)
class Member:
    """One array of the archive as a stream of rows."""

    stream: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    def take(self, rows: int) -> NDArray[np.generic]:
        """The next rows. Raises EOFError where the file ends before."""
        size = rows * int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        raw = self.stream.read(size)
        if len(raw) < size:
            raise EOFError("it ends too early")
        return np.frombuffer(raw, self.dtype).reshape(rows, *self.shape[1:])


class NpzTable(RowSource):
    """An NPZ recording: `values` (rows, channels), and `rate_hz` or `time` or both.

    `time` holds one Unix time per row, or with `rows` (row counts) one per run, or only the first;
    `channels` and `units` are texts. Opens the file at once; raises SensorError.
    """

    def __init__(
        self, path: Path, *, channels: Sequence[str] | None, rate_hz: float | None, tally: Tally
    ) -> None:
        self.path, self.tally = path, tally
        self._row = 0
        self._streams: list[IO[bytes]] = []
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise SensorError(f"{path}: no such file") from None
        except DAMAGE as error:
            raise SensorError(f"{path}: is not a whole NPZ file ({error}): copy it again") from error
        try:
            self._read_head(channels, rate_hz)
        except DAMAGE as error:
            self.close()
            raise SensorError(f"{path}: is not a whole NPZ file ({error}): copy it again") from error
        except SensorError:
            self.close()
            raise

    def blocks(self) -> Iterator[Rows]:
        total = self._values.shape[0]
        while self._row < total:
            n = min(BLOCK_ROWS, total - self._row)
            try:
                values = self._values.take(n)
                times = self._times(n)
            except DAMAGE as error:
                raise SensorError(
                    f"{self.path}, row {self._row + 1}: the file is cut off or damaged ({error}); "
                    f"it should have {total} rows: copy it again"
                ) from error
            numbers = np.arange(self._row + 1, self._row + n + 1)
            self._row += n
            rows = Rows(times, self._picked(values), numbers)
            count_missing(self.tally, rows, self.channels)
            good = np.abs(times) < LAST_S
            if not good.all():
                first = int(np.argmin(good))
                self.tally.add("bad_times", int(numbers[first]), "has no time", int((~good).sum()))
                rows = Rows(times[good], rows.values[good], numbers[good])
            if len(rows.times):
                yield rows

    def progress(self) -> float:
        return self._row / max(1, self._values.shape[0])

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._zip.close()

    def _read_head(self, channels: Sequence[str] | None, rate_hz: float | None) -> None:
        names = {name.removesuffix(".npy") for name in self._zip.namelist()}
        if "values" not in names:
            raise SensorError(
                f"{self.path}: has no array `values` (rows, channels), "
                f"only {', '.join(sorted(names)) or 'nothing'}"
            )
        self._values = self._member("values")
        if self._values.dtype.kind not in "fiub" or len(self._values.shape) not in (1, 2):
            raise SensorError(
                f"{self.path}: `values` is {self._values.dtype} {self._values.shape}; "
                "it must be numbers (rows, channels)"
            )
        rows = self._values.shape[0]
        if rows == 0:
            raise SensorError(f"{self.path}: `values` has no rows")
        self.rows_total = rows
        if "rate_hz" in names:
            stated = float(self._small("rate_hz").reshape(-1)[0])
            if not (np.isfinite(stated) and stated > 0):
                raise SensorError(f"{self.path}: `rate_hz` is {stated:g}; it must be above 0")
            self.rate_hz = stated
        if "about" in names:
            self.about = read_about(str(self._small("about").reshape(-1)[0]))
        self._name_channels(names, channels)
        self._spread_times(names, rows, rate_hz or self.rate_hz)

    def _name_channels(self, names: set[str], asked: Sequence[str] | None) -> None:
        width = self._values.shape[1] if len(self._values.shape) == 2 else 1
        texts = [str(x) for x in self._small("channels").reshape(-1)] if "channels" in names else []
        units = [str(x) for x in self._small("units").reshape(-1)] if "units" in names else []
        texts = texts or [f"column {i + 1}" for i in range(width)]
        units = units or ["1"] * width
        if len(texts) != width or len(units) != width:
            raise SensorError(
                f"{self.path}: {width} columns of values, "
                f"{len(texts)} names in `channels`, {len(units)} `units`"
            )
        known = [Channel(name, unit) for name, unit in zip(texts, units, strict=True)]
        self._pick: list[int] | None = None
        if asked is not None:
            for name in asked:
                if name not in texts:
                    raise SensorError(f"{self.path}: no channel {name!r}: there are {', '.join(texts)}")
            self._pick = [texts.index(name) for name in asked]
            known = [known[i] for i in self._pick]
        self.channels = tuple(known)

    def _spread_times(self, names: set[str], rows: int, rate_hz: float | None) -> None:
        """Where a row's time comes from: a stream of times, or starts of runs with a rate."""
        self._time: Member | None = None
        self._starts, self._firsts, self._spacing_hz = np.zeros(1), np.zeros(1, np.int64), rate_hz or 1.0
        time = self._member("time") if "time" in names else None
        if time is not None and time.dtype.kind not in "fiu":
            raise SensorError(f"{self.path}: `time` is {time.dtype}; it must be Unix seconds")
        if (
            time is not None
            and "rows" not in names
            and time.shape == (rows,)
            and (rows > 1 or rate_hz is None)
        ):
            self._time = time
            return
        if rate_hz is None:
            raise SensorError(
                f"{self.path}: no time for each row and no `rate_hz`: add one, or give the option `rate_hz`"
            )
        if time is None:
            return
        self._starts = self._small("time").reshape(-1).astype(np.float64)
        counts = self._small("rows").reshape(-1).astype(np.int64) if "rows" in names else np.array([rows])
        if len(counts) != len(self._starts) or int(counts.sum()) != rows or bool((counts < 1).any()):
            raise SensorError(
                f"{self.path}: {len(self._starts)} times and {len(counts)} runs of {int(counts.sum())} rows "
                f"do not fit {rows} rows of values"
            )
        self._firsts = np.concatenate(([0], np.cumsum(counts)[:-1]))

    def _times(self, n: int) -> NDArray[np.float64]:
        if self._time is not None:
            return self._time.take(n).astype(np.float64)
        index = np.arange(self._row, self._row + n)
        run = np.searchsorted(self._firsts, index, side="right") - 1
        times: NDArray[np.float64] = self._starts[run] + (index - self._firsts[run]) / self._spacing_hz
        return times

    def _picked(self, values: NDArray[np.generic]) -> Values:
        table = values.reshape(len(values), -1)
        if self._pick is not None:
            table = table[:, self._pick]
        with np.errstate(over="ignore"):
            return np.array(table, np.float32)

    def _member(self, name: str) -> Member:
        stream = self._zip.open(f"{name}.npy")
        self._streams.append(stream)
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        if dtype.hasobject:
            raise SensorError(f"{self.path}: `{name}` holds Python objects, which are never loaded")
        if fortran and len(shape) > 1:
            raise SensorError(f"{self.path}: `{name}` is in Fortran order: save np.ascontiguousarray({name})")
        return Member(stream, shape, dtype)

    def _small(self, name: str) -> NDArray[np.generic]:
        if self._zip.getinfo(f"{name}.npy").file_size > SMALL_BYTES:
            raise SensorError(f"{self.path}: `{name}` is larger than {SMALL_BYTES // 2**20} MiB")
        raw = io.BytesIO(self._zip.read(f"{name}.npy"))
        loaded: NDArray[np.generic] = np.lib.format.read_array(raw, allow_pickle=False)
        return loaded
