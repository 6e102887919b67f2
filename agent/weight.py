"""How much memory the agent's road takes: a fresh process that imports what the agent does, learns and scores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from agent.config import MonitorConfig
from models.window import Array
from sensors.base import Channel, Kind, Reading, Sensor

ROOT = Path(__file__).resolve().parent.parent
START = 1_700_000_000.0
WINDOWS = 256  # scored before the scales are read


class Load(msgspec.Struct, kw_only=True):
    """What the fresh process carries: copies of a monitor, on noise of the shape of its sensor."""

    monitor: MonitorConfig
    channels: list[str]
    rate_hz: float
    kind: Kind
    hop: int  # rows from one score to the next
    copies: int


class Noise(Sensor):
    """A sensor only in its shape: what it gives is noise."""

    waits = True

    def __init__(self, name: str, channels: Sequence[Channel], rate_hz: float, kind: Kind) -> None:
        self.name, self.channels, self.rate_hz, self.kind = name, tuple(channels), rate_hz, kind
        self._random = np.random.default_rng(0)
        self._given = 0

    def open(self) -> None: ...
    def close(self) -> None: ...

    def read(self, timeout: float) -> Reading | None:
        return self.reading(1)

    def rows(self, count: int) -> Array:
        """`(count, channels)` of new noise."""
        return self._random.standard_normal((count, len(self.channels)), np.float32)

    def reading(self, count: int) -> Reading:
        """The next rows."""
        time = START + self._given / self.rate_hz
        self._given += count
        return Reading(self.name, time, self.rate_hz, self.rows(count))


def weigh(load: Load) -> int:
    """Resident bytes of a fresh process with this load."""
    command = [sys.executable, "-c", "from agent.weight import carry; carry()"]
    found = subprocess.run(
        command, input=msgspec.json.encode(load), stdout=subprocess.PIPE, check=True, cwd=ROOT
    )
    return int(found.stdout)


def carry() -> None:
    """In the fresh process: take up the load, and print the resident bytes."""
    import agent.daemon  # noqa: F401  what the agent imports
    from agent.assemble import make_monitor
    from agent.memory import release, resident
    from agent.pipeline import Pipeline

    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sensor = Noise(load.monitor.sensor, [Channel(name) for name in load.channels], load.rate_hz, load.kind)
    monitors = [
        make_monitor(msgspec.structs.replace(load.monitor, name=f"m{i}"), sensor) for i in range(load.copies)
    ]
    pipeline = Pipeline(monitors)
    while not all(monitor.armed for monitor in monitors):
        pipeline.push([sensor.reading(load.hop)])
    release()  # as the agent does once it has learned
    for _ in range(WINDOWS):
        pipeline.push([sensor.reading(load.hop)])
    print(resident()[0])
