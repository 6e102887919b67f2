"""A file of measurements, played back as a sensor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from sensors.base import (
    VIBRATION_FROM_HZ,
    AtLeast,
    NotNegative,
    OptionError,
    Positive,
    Reading,
    Sensor,
    SensorError,
)
from sensors.csv_table import CsvTable
from sensors.npz_table import NpzTable
from sensors.parquet_table import ParquetTable
from sensors.rows import Forward, Rows, RowSource, Runs, Tally, find_rate, show_time
from sensors.times import Form, parse_one

FAST_ROWS = 4096  # rows per Reading as fast as it goes
PACED_S = 0.1  # wall time that one Reading covers when paced


class Recording(Sensor):
    """A CSV, NPZ or Parquet file played back with its own times.

    Options:
        file: the CSV (`,`, `;` or tab), NPZ or Parquet file.
        time: the column with the times; without it, the one that looks like times; none = there is none.
        time_form: how times are written, where the file leaves it open; without a zone they are UTC.
        channels: the columns to read, in this order; without it, all numbers except labels such as `anomaly`.
        rate_hz: rows per second; without it, from the usual step between rows. Needed without times.
        start: move the recording so that its first row has this time (Unix seconds or an ISO date).
        speed: times real time; 0 = as fast as it goes.
        chunk: rows per Reading; 0 = about 0.1 s of playing time, 4096 rows as fast as it goes.
        on_error: skip and count what cannot be read, or stop with an error that names the row.
        repeat: start again at the end, with times that go on.
    """

    waits = True  # a file can wait, so nothing of it is ever dropped

    def __init__(
        self,
        *,
        file: str,
        time: str | None = None,
        time_form: Form = "auto",
        channels: Sequence[str] | None = None,
        rate_hz: Positive | None = None,
        start: float | str | None = None,
        speed: NotNegative = 1.0,
        chunk: Annotated[int, AtLeast(0)] = 0,
        on_error: Literal["skip", "stop"] = "skip",
        repeat: bool = False,
    ) -> None:
        self.file = Path(file)
        self.extra = "parquet" if self.file.suffix.lower() == ".parquet" else ""
        self.speed = speed
        self._time, self._form, self._asked = time, time_form, channels
        self._asked_rate, self._chunk, self._repeat = rate_hz, chunk, repeat
        self._strict = on_error == "stop"
        self._start = start_time(start)
        self.rate_hz = rate_hz or 0.0
        self.kind = "vibration" if self.rate_hz >= VIBRATION_FROM_HZ else "telemetry"
        self._tally = Tally(str(self.file), self._strict)
        self._source: RowSource | None = None
        self._ahead: tuple[Reading, float] | SensorError | None = None
        self._progress = 0.0
        self.rows_read = 0  # rows handed out, over all repeats
        self.rows_total: int | None = None  # rows of the file, once known

    @property
    def skipped(self) -> dict[str, int]:
        """What could not be used: counts by reason (see docs/drivers.md); missing_values counts cells."""
        return self._tally.counts

    @property
    def examples(self) -> dict[str, str]:
        """For each reason in `skipped` the first case, with file, row and column."""
        return self._tally.examples

    @property
    def ignored(self) -> dict[str, str]:
        """Columns that are not channels, and why."""
        return self._source.ignored if isinstance(self._source, CsvTable) else {}

    @property
    def about(self) -> Mapping[str, object]:
        """What the file says of itself, as `tocsin record` wrote it; empty before it is open."""
        return self._source.about if self._source is not None else {}

    def progress(self) -> float:
        """The share of the file handed out, 0 to 1."""
        return 1.0 if self.finished else self._progress

    def open(self) -> None:
        self.close()
        self.finished = False
        self.rows_read, self._progress = 0, 0.0
        self._tally = Tally(str(self.file), self._strict)
        self._source = self._open_source()
        self.channels = self._source.channels
        try:
            blocks = self._begin(self._source)
            rows, _ = first = next(blocks)
            self.rate_hz = self._find_rate(rows)
        except SensorError:
            self.close()
            raise
        self.kind = "vibration" if self.rate_hz >= VIBRATION_FROM_HZ else "telemetry"
        self._shift = 0.0 if self._start is None else self._start - float(rows.times[0])
        self._began: float | None = None
        self._newest = -math.inf
        self._readings = self._play(itertools.chain([first], blocks))
        self._look_ahead()

    def read(self, timeout: float) -> Reading | None:
        if self._source is None:
            raise self.error("read before open")
        if self._ahead is None:
            return None
        if isinstance(self._ahead, SensorError):
            error, self._ahead, self.finished = self._ahead, None, True
            raise error
        reading, progress = self._ahead
        if not self._due(reading, timeout):
            return None
        self._progress = progress
        self.rows_read += len(reading.values)
        self._look_ahead()
        return reading

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = self._ahead = None

    def _open_source(self) -> RowSource:
        suffix = self.file.suffix.lower()
        if suffix in (".part", ".values"):
            raise SensorError(f"{self.file}: is no whole recording: it was cut off while it was written")
        if suffix == ".parquet":
            return ParquetTable(
                self.file,
                time=self._time,
                channels=self._asked,
                form=self._form,
                rate_hz=self._asked_rate,
                tally=self._tally,
            )
        if suffix == ".npz":
            return NpzTable(self.file, channels=self._asked, rate_hz=self._asked_rate, tally=self._tally)
        return CsvTable(
            self.file,
            time=self._time,
            channels=self._asked,
            form=self._form,
            rate_hz=self._asked_rate,
            tally=self._tally,
        )

    def _begin(self, source: RowSource) -> Iterator[tuple[Rows, float]]:
        """The blocks of rows that can be used, at least one, and the share of the file read with each."""
        blocks = Forward(self._tally).keep(source)
        for first in blocks:
            yield first
            yield from blocks
            return
        why = "; ".join(self._tally.examples.values())
        raise SensorError(f"{self.file}: none of its rows can be used: {why or 'there are none'}")

    def _find_rate(self, rows: Rows) -> float:
        rate = self._asked_rate or (self._source.rate_hz if self._source else None) or find_rate(rows.times)
        if rate is not None:
            return rate
        if same := self.skipped.get("duplicates"):
            raise SensorError(
                f"{self.file}: its first {same + 1} rows have all the same time "
                f"({show_time(float(rows.times[0]))}): name a column of times that go on with `time: COLUMN`, "
                "or use none with `time: none` and give `rate_hz`"
            )
        raise SensorError(f"{self.file}: one row only, so its rate is unknown: give `rate_hz`")

    def _play(self, blocks: Iterator[tuple[Rows, float]]) -> Iterator[tuple[Reading, float]]:
        size = self._chunk or FAST_ROWS
        if not self._chunk and self.speed > 0.0:
            size = max(1, min(FAST_ROWS, int(self.rate_hz * self.speed * PACED_S)))
        while True:
            runs = Runs(self.rate_hz)
            count, begun, end = 0, 0.0, -math.inf
            for block, read in blocks:
                done = 0
                for reading in self._readings_of(runs, block, size):
                    done += len(reading.values)
                    end = max(end, reading.time + (len(reading.values) - 1) / self.rate_hz)
                    yield reading, begun + (read - begun) * done / len(block.times)
                begun = read
                count += done
            self.rows_total = count
            if not self._repeat:
                return
            assert self._source is not None
            self._source.close()
            self._tally = Tally(str(self.file), self._strict)  # the same rows again are no new mistakes
            self._source = self._open_source()
            blocks = self._begin(self._source)
            first = next(blocks)
            blocks = itertools.chain([first], blocks)
            self._shift = end + 1.0 / self.rate_hz - float(first[0].times[0])

    def _readings_of(self, runs: Runs, rows: Rows, size: int) -> Iterator[Reading]:
        for start, index, values in runs.cut(rows):
            start += self._shift
            for i in range(0, len(values), size):
                piece = values[i : i + size]
                yield Reading(self.name, start + (index + i) / self.rate_hz, self.rate_hz, piece)

    def _look_ahead(self) -> None:
        """Prepare the next Reading, so that `finished` is known with the last one."""
        try:
            self._ahead = next(self._readings, None)
        except SensorError as error:
            self._ahead = error  # what was read before it is handed out first
        self.finished = self._ahead is None

    def _due(self, reading: Reading, timeout: float) -> bool:
        """Wait until the reading's last sample would have been taken; False where that is after `timeout`."""
        if self.speed == 0.0:
            return True
        if self._began is None or reading.time < self._newest:  # time may begin anew
            self._began, self._first = self.clock.monotonic(), reading.time
        self._newest = reading.time
        taken = reading.time + (len(reading.values) - 1) / reading.rate_hz
        wait = self._began + (taken - self._first) / self.speed - self.clock.monotonic()
        if wait > timeout:
            self.clock.wait(max(0.0, timeout))
            return False
        if wait > 0.0:
            self.clock.wait(wait)
        return True


def start_time(start: float | str | None) -> float | None:
    """Unix seconds of an option `start`. Raises OptionError."""
    if not isinstance(start, str):
        return start
    try:
        return parse_one(start, "iso")
    except ValueError as error:
        raise OptionError("start", start, str(error)) from None
