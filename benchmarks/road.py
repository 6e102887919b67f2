"""Arrays walked through the real Monitor, causally: levels row by row, events, and what a row costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import process_time

import numpy as np
from numpy.typing import NDArray

from agent.alerts import Event
from agent.assemble import make_monitor
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from models.detector import Job
from sensors.base import Channel, Kind, Reading, Sensor

Doubles = NDArray[np.float64]
EVEN = 0.1  # of a period: a row further from its place begins a new Reading, as in recordings


class Arrays(Sensor):
    """A sensor whose rows lie in memory; the benchmarks hand them to the Monitor themselves."""

    def __init__(self, channels: Sequence[Channel], rate_hz: float, kind: Kind = "telemetry") -> None:
        self.name, self.channels, self.rate_hz, self.kind = "recording", tuple(channels), rate_hz, kind

    def open(self) -> None:
        pass

    def read(self, timeout: float) -> Reading | None:
        return None

    def close(self) -> None:
        pass


@dataclass(slots=True)
class Walk:
    """What a monitor said to the rows of one recording."""

    times: Doubles  # (n,) Unix seconds of the rows
    levels: Doubles  # (n,) level at each row; NaN while learning and where nothing was judged
    raw: Doubles  # (scores, n) of the detector, NaN likewise; (0, n) when nothing was scored
    raised: NDArray[np.bool_]  # (n,) the alert about the machine stands after this row
    events: list[Event]
    monitor: Monitor
    cpu_s: float
    armed: int = 0  # first row that was judged; n when none was
    events_at: list[int] = field(default_factory=list)  # row of each event

    @property
    def us_per_row(self) -> float:
        """CPU time of the whole road for a row, learning included, in microseconds."""
        return 1e6 * self.cpu_s / max(1, len(self.times))

    def rows(self, kind: str, about: str = "machine") -> list[int]:
        """The rows at which such an event happened."""
        told = zip(self.events, self.events_at, strict=True)
        return [row for event, row in told if event.kind == kind and event.about == about]


def walk(
    values: NDArray[np.float32],
    times: Doubles,
    *,
    channels: Sequence[Channel],
    rate_hz: float,
    config: MonitorConfig | None = None,
    kind: Kind = "telemetry",
    block: int = 1,
    watch: Callable[[int], None] = lambda rows: None,
) -> Walk:
    """Rows `(n, channels)` taken at `times` through a monitor of its own, at most `block` rows a Reading (1: as
    they come live; a larger block gives the same, faster). `config` is the defaults when None; its `sensor` is
    "recording". `watch` is told after each Reading how many rows are done."""
    config = MonitorConfig(name="recording", sensor="recording") if config is None else config
    sensor = Arrays(channels, rate_hz, kind)
    monitor = make_monitor(config, sensor)
    pipeline = Pipeline([monitor])
    ear = _Ear(len(times))
    monitor.listener = ear.hear
    walked = Walk(times, ear.levels, ear.raw, np.zeros(len(times), bool), [], monitor, 0.0)
    cpu = 0.0
    for start, stop in cuts(times, rate_hz, block):
        reading = Reading(sensor.name, float(times[start]), rate_hz, values[start:stop])
        ear.reading, ear.row = reading, start
        before = process_time()
        events = pipeline.push([reading])
        cpu += process_time() - before
        for event in events:
            walked.events.append(event)
            walked.events_at.append(ear.row_of(event.time))
        watch(stop)
    walked.raw, walked.cpu_s = ear.raw, cpu
    walked.raised = _standing(walked)
    judged = np.flatnonzero(np.isfinite(walked.levels))
    walked.armed = int(judged[0]) if len(judged) else len(times)
    return walked


def cuts(times: Doubles, rate_hz: float, block: int) -> Iterator[tuple[int, int]]:
    """Where the rows are cut into Readings of even spacing and at most `block` rows."""
    if block == 1:
        yield from ((row, row + 1) for row in range(len(times)))
        return
    uneven = np.abs(np.diff(times) * rate_hz - 1) > EVEN
    edges = [0, *(np.flatnonzero(uneven) + 1).tolist(), len(times)]
    for start, stop in pairwise(edges):
        for first in range(start, stop, block):
            yield first, min(stop, first + block)


class _Ear:
    """Hears what each row scored."""

    def __init__(self, rows: int) -> None:
        self.levels = np.full(rows, np.nan)
        self.raw = np.empty((0, rows))
        self.reading: Reading | None = None
        self.row = 0  # of the reading's first sample

    def hear(self, job: Job, levels: Sequence[float]) -> None:
        if not len(self.raw):
            self.raw = np.full((len(job.raw), len(self.levels)), np.nan)
        rows = [self.row_of(time) for time in job.times]
        self.levels[rows] = levels
        self.raw[:, rows] = job.raw

    def row_of(self, time: float) -> int:
        """The row taken at this time, of the reading under way."""
        assert self.reading is not None
        return self.row + round((time - self.reading.time) * self.reading.rate_hz)


def _standing(walked: Walk) -> NDArray[np.bool_]:
    standing = np.zeros(len(walked.times), bool)
    since: int | None = None
    for event, row in zip(walked.events, walked.events_at, strict=True):
        if event.about != "machine":
            continue
        if event.kind == "raised":
            since = row
        elif event.kind == "cleared" and since is not None:
            standing[since:row] = True
            since = None
    if since is not None:
        standing[since:] = True
    return standing
