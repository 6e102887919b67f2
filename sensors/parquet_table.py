"""Rows of a Parquet file, read in blocks and written as they come; needs pyarrow, the extra `parquet`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, Reading, SensorError
from sensors.csv_columns import LABEL_NAMES, NO_TIME, TIME_NAMES, Column, find_column
from sensors.extras import require
from sensors.rows import BLOCK_ROWS, Rows, RowSource, Tally, Values, count_missing, read_about
from sensors.times import LAST_S, PER_SECOND, Form, Times, find_form, parse_iso

UNIT = b"unit"  # in a column's metadata
ABOUT = b"tocsin"  # in the file's: JSON
GROUP_ROWS = 65536  # of one row group: what is in memory before it is written, 1 MB for 3 channels
SAMPLE_ROWS = 100  # looked at to tell in what unit numbers are times


class ParquetTable(RowSource):
    """A Parquet recording: a column of times, and columns of numbers. Opens the file at once; raises SensorError."""

    def __init__(
        self,
        path: Path,
        *,
        time: str | None,
        channels: Sequence[str] | None,
        form: Form,
        rate_hz: float | None,
        tally: Tally,
    ) -> None:
        self.path, self.tally, self._form = path, tally, form
        if not path.exists():
            raise SensorError(f"{path}: no such file")
        self._arrow, parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
        self._row = 0
        self._damage = (self._arrow.ArrowException, OSError, ValueError)
        try:
            self._file = parquet.ParquetFile(str(path))
        except self._damage as error:
            raise self._torn(error) from error
        try:
            self._read_head(time, channels, rate_hz)
        except LookupError as error:
            self.close()
            raise SensorError(f"{path}: {error.args[0]}") from None
        except SensorError:
            self.close()
            raise

    def blocks(self) -> Iterator[Rows]:
        names = [*([self._time] if self._time else []), *(channel.name for channel in self.channels)]
        batches = self._file.iter_batches(batch_size=BLOCK_ROWS, columns=names, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                n = batch.num_rows
                values = np.empty((n, len(self.channels)), np.float32)
                for i, channel in enumerate(self.channels):
                    values[:, i] = _numbers(batch.column(channel.name))
                times = self._times(batch)
            except self._damage as error:
                raise SensorError(
                    f"{self.path}, row {self._row + 1}: the file is damaged ({_words(error)}); "
                    f"it should have {self.rows_total} rows: copy it again"
                ) from error
            numbers = np.arange(self._row + 1, self._row + n + 1)
            self._row += n
            rows = self._sound(Rows(times, values, numbers))
            if len(rows.times):
                yield rows

    def progress(self) -> float:
        return self._row / max(1, self.rows_total or 0)

    def close(self) -> None:
        self._file.close()

    def _read_head(self, time: str | None, asked: Sequence[str] | None, rate_hz: float | None) -> None:
        schema, about = self._file.schema_arrow, (self._file.schema_arrow.metadata or {}).get(ABOUT)
        self.about = read_about(about)
        self.rows_total = self._file.metadata.num_rows
        if not self.rows_total:
            raise SensorError(f"{self.path}: has no rows")
        stated = self.about.get("rate_hz")
        if isinstance(stated, int | float) and 0 < stated < float("inf"):
            self.rate_hz = float(stated)
        is_number = {field.name: _is_number(self._arrow, field.type) for field in schema}
        columns = [
            Column(i, field.name, ((field.metadata or {}).get(UNIT) or b"1").decode("utf-8", "replace"))
            for i, field in enumerate(schema)
        ]
        if len({column.name for column in columns}) < len(columns):
            raise LookupError("two columns have the same name")
        self._time = self._find_time(schema, columns, time)
        if not self._time and (rate_hz or self.rate_hz) is None:
            names = ", ".join(column.name for column in columns)
            raise LookupError(
                f"no column of times among {names}: name it with `time: COLUMN`, or give `rate_hz` if the rows "
                "are evenly spaced"
            )
        self._spacing_hz = rate_hz or self.rate_hz or 1.0
        if asked is None:
            chosen = [
                column
                for column in columns
                if is_number[column.name]
                and column.name != self._time
                and column.name.lower() not in LABEL_NAMES
            ]
            if not chosen:
                raise LookupError(f"no column of numbers among {', '.join(c.name for c in columns)}")
        else:
            chosen = [find_column(columns, name, "column") for name in asked]
            for column in chosen:
                if not is_number[column.name]:
                    raise LookupError(
                        f"column {column.name}: holds {schema.field(column.name).type}, not numbers"
                    )
        self.channels = tuple(Channel(column.name, column.unit) for column in chosen)

    def _find_time(self, schema: Any, columns: list[Column], asked: str | None) -> str:
        """The name of the column with the times; "" where there is none."""
        if asked == NO_TIME:
            return ""
        if asked is not None:
            return find_column(columns, asked, "time column").name
        stamps = [field.name for field in schema if self._arrow.types.is_timestamp(field.type)]
        named = [column.name for column in columns if column.name.lower() in TIME_NAMES]
        both = [name for name in stamps if name in named]
        return (both or stamps or named or [""])[0]

    def _times(self, batch: Any) -> Times:
        """Unix seconds, NaN where there is none."""
        if not self._time:
            return np.arange(self._row, self._row + batch.num_rows) / self._spacing_hz
        column = batch.column(self._time)
        kinds = self._arrow.types
        if kinds.is_timestamp(column.type):
            per_second = PER_SECOND[column.type.unit]
            whole = column.cast(self._arrow.int64())
            known = np.asarray(whole.is_valid().to_numpy(zero_copy_only=False))
            ticks = whole.fill_null(0).to_numpy(zero_copy_only=False)
            # Whole seconds and the rest apart: nanoseconds since 1970 have more digits than float64.
            seconds, rest = np.divmod(ticks, int(per_second))
            return np.where(known, seconds + rest / per_second, np.nan)
        if _is_number(self._arrow, column.type):
            numbers = _numbers(column, np.float64)
            if self._form not in PER_SECOND:
                try:
                    self._form = find_form([repr(float(x)) for x in numbers[:SAMPLE_ROWS] if x == x])
                except ValueError as error:
                    raise SensorError(f"{self.path}: column {self._time} {error}") from None
            return numbers / PER_SECOND[self._form]
        if not (kinds.is_string(column.type) or kinds.is_large_string(column.type)):
            raise SensorError(f"{self.path}: column {self._time} holds {column.type}, not times")
        cells = [(text or "").encode("ascii", "replace")[:40] for text in column.to_pylist()]
        return parse_iso(np.array(cells, "S41"))[0]

    def _sound(self, rows: Rows) -> Rows:
        """The rows that have a time; what is missing in them is counted."""
        count_missing(self.tally, rows, self.channels)
        good = np.abs(rows.times) < LAST_S
        if good.all():
            return rows
        first = int(np.argmin(good))
        self.tally.add("bad_times", int(rows.numbers[first]), "has no time", int((~good).sum()))
        return Rows(rows.times[good], rows.values[good], rows.numbers[good])

    def _torn(self, error: Exception) -> SensorError:
        return SensorError(f"{self.path}: is not a whole Parquet file ({_words(error)}): copy it again")


class ParquetWriter:
    """Writes Readings to a Parquet file, group by group; it can be read once it is closed. Raises OSError."""

    def __init__(self, path: Path, channels: Sequence[Channel], about: Mapping[str, object]) -> None:
        self._arrow, self._parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
        self._about, self._channels, self._path = about, channels, path
        self._stream = path.open("wb")
        self._writer: Any = None
        self._times: list[NDArray[np.int64]] = []
        self._values: list[Values] = []
        self._rows = 0

    @property
    def size_bytes(self) -> int:
        """Written so far, and what waits to be: as if it were not compressed."""
        return self._stream.tell() + self._rows * (8 + 4 * len(self._channels))

    def write(self, reading: Reading) -> None:
        if self._writer is None:
            self._writer = self._begin(reading.rate_hz)
        n = len(reading.values)
        second = int(reading.time // 1)
        after = (reading.time - second) + np.arange(n) / reading.rate_hz
        self._times.append(second * 1_000_000_000 + np.rint(after * 1e9).astype(np.int64))
        self._values.append(np.asarray(reading.values, np.float32))
        self._rows += n
        if self._rows >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what waits and the file's foot."""
        try:
            if self._writer is None:
                self._writer = self._begin(None)
            self._flush()
            self._writer.close()
        finally:
            self._stream.close()

    def _begin(self, rate_hz: float | None) -> Any:
        arrow = self._arrow
        taken = {channel.name for channel in self._channels}
        time = next(name for name in ("time", "timestamp", "time (UTC)") if name not in taken)
        fields = [arrow.field(time, arrow.timestamp("ns", tz="UTC"))]
        fields += [
            arrow.field(channel.name, arrow.float32(), metadata={UNIT: channel.unit.encode()})
            for channel in self._channels
        ]
        about = json.dumps({**self._about, "rate_hz": rate_hz}, ensure_ascii=False)
        self._schema = arrow.schema(fields, metadata={ABOUT: about.encode()})
        # Of evenly spaced times hardly anything is left, and of noise as little as can be.
        encodings = {time: "DELTA_BINARY_PACKED"} | dict.fromkeys(taken, "BYTE_STREAM_SPLIT")
        return self._parquet.ParquetWriter(
            self._stream, self._schema, compression="zstd", use_dictionary=False, column_encoding=encodings
        )

    def _flush(self) -> None:
        if not self._rows:
            return
        values = np.concatenate(self._values)
        columns = [self._arrow.array(np.concatenate(self._times), self._schema.field(0).type)]
        # A value that is missing is null, as other programs expect it.
        columns += [
            self._arrow.array(np.ascontiguousarray(values[:, i]), from_pandas=True)
            for i in range(values.shape[1])
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))
        self._times, self._values, self._rows = [], [], 0


def _is_number(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
    )


def _numbers(column: Any, dtype: Any = np.float32) -> NDArray[Any]:
    """A column as floats, NaN where it is null."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is infinite, and then missing
        return np.asarray(column.cast("float64", safe=False).to_numpy(zero_copy_only=False)).astype(dtype)


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
