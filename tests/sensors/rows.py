"""Rows of a sensor whose source pushes, and a line that writes down what is pushed."""

from __future__ import annotations

import math
import time

import numpy as np

from sensors import Reading
from sensors.contract import PATIENCE_S
from sensors.pushed import PushedSensor


def row(sensor: PushedSensor) -> list[float]:
    """The values of the next sample."""
    reading = sensor.read(5.0)
    assert isinstance(reading, Reading)
    values: list[float] = reading.values[0].tolist()
    return values


def becomes(sensor: PushedSensor, *wanted: float) -> None:
    """Read until a row is this; NaN is NaN."""
    end = time.monotonic() + PATIENCE_S
    while not np.allclose(found := row(sensor), wanted, rtol=1e-6, atol=0.0, equal_nan=True):
        assert time.monotonic() < end, f"{found}, not {wanted}: {sensor.skipped}"


def until_error(sensor: PushedSensor) -> None:
    """Read until it raises."""
    while True:
        row(sensor)


class Written:
    """As much of a line as a source's own code speaks to."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def push(self, channel: int, value: float, time: float | None = None) -> None:
        assert math.isnan(value) or np.isfinite(np.float32(value)), value
        assert time is None or math.isfinite(time), time
        self.values.append(value)
