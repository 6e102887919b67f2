"""One look at what was found on this machine: each opened, read once, and closed again."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agent.sentences import quantity
from sensors import registry
from sensors.base import Channel, Found, Kind, SensorError

# For all of them together, side by side: a thermometer takes a second, an accelerometer of ST's at 1 Hz two for each
# axis, a hung bus for ever
PATIENCE_S = 10.0
SHOWN = 4  # channels


@dataclass(frozen=True, slots=True)
class Look:
    """What a sensor showed."""

    found: Found
    channels: tuple[Channel, ...] = ()
    values: tuple[float, ...] = ()  # the newest of each channel; NaN where there was none
    rate_hz: float = 0.0
    kind: Kind = "telemetry"
    error: str = ""  # why it could not be read

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the channels that have a value."""
        pairs = zip(self.channels, self.values, strict=True)
        return tuple(channel.name for channel, value in pairs if math.isfinite(value))

    def sentence(self, most: int = SHOWN) -> str:
        """What it shows now, in one line: "cpu 3.1 %, load 0.42 and 7 more"."""
        if self.error:
            return f"cannot be read: {self.error}"
        pairs = [
            f"{channel.name} {quantity(value, channel.unit)}"
            for channel, value in zip(self.channels, self.values, strict=True)
            if math.isfinite(value)
        ]
        more = f" and {len(pairs) - most} more" if len(pairs) > most else ""
        return ", ".join(pairs[:most]) + more if pairs else "no values yet"


def look_at(found: Sequence[Found], patience_s: float = PATIENCE_S) -> Iterator[Look]:
    """A look at each, in their order, as soon as it is there."""
    looks: dict[int, Look] = {}

    def look(index: int) -> None:
        looks[index] = _read_once(found[index], end)

    end = time.monotonic() + patience_s
    threads = [
        threading.Thread(target=look, args=(index,), name=f"look:{one.name}", daemon=True)
        for index, one in enumerate(found)
    ]
    for thread in threads:
        thread.start()
    for index, thread in enumerate(threads):
        thread.join(max(0.0, end + 1.0 - time.monotonic()))  # what still hangs then ends with the process
        yield looks.get(index) or Look(found[index], error=f"no answer within {patience_s:g} s")


def _read_once(found: Found, end: float) -> Look:
    try:
        sensor = registry.create(found.name, found.driver, found.options)
    except ValueError as error:
        return Look(found, error=str(error))
    try:
        sensor.open()
        reading = None
        while reading is None and not sensor.finished and (left := end - time.monotonic()) > 0:
            reading = sensor.read(min(left, 0.5))
        values = np.full(len(sensor.channels), np.nan) if reading is None else reading.values[-1]
        return Look(
            found, sensor.channels, tuple(float(value) for value in values), sensor.rate_hz, sensor.kind
        )
    except (SensorError, OSError) as error:
        return Look(found, error=str(error).removeprefix(f"{found.name}: "))
    finally:
        sensor.close()
