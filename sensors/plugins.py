"""Drivers that other packages bring, each an entry point in the group `tocsin.drivers`: name = "module:Class"."""

from __future__ import annotations

import importlib
import logging
import math
import typing
from dataclasses import dataclass
from functools import cache

import numpy as np

from sensors.base import Reading, Sensor, SensorError

logger = logging.getLogger(__name__)

GROUP = "tocsin.drivers"


class PluginError(Exception):
    """A plug-in that cannot be used. Says which package is to blame, and for what."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A driver's name, and where it comes from."""

    driver: str
    package: str  # with its version: "acme-sensors 1.2"
    place: str  # "acme.flow:FlowMeter"

    def load(self) -> type[Sensor]:
        """The class, imported now. Raises PluginError."""
        module, _, name = self.place.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
            typing.get_type_hints(found.__init__)  # the types of its options are there too
        except Exception as error:  # somebody else's code may raise anything, and takes only itself down
            raise PluginError(
                f"driver {self.driver} of {self.package} cannot be loaded from {self.place}: {words(error)}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, Sensor)):
            raise PluginError(
                f"driver {self.driver} of {self.package}: {self.place} is no class derived from sensors.base.Sensor"
            )
        return found


@cache
def plugins() -> dict[str, tuple[Plugin, ...]]:
    """All that are installed beside us, by the driver's name; looked up once. More than one of a name clash."""
    from importlib.metadata import entry_points  # 30 ms, which nobody pays who uses no plug-in

    found: dict[str, tuple[Plugin, ...]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package without a name"
        found[entry.name] = (*found.get(entry.name, ()), Plugin(entry.name, package, entry.value))
    return found


def read(sensor: Sensor, timeout: float) -> Reading | None:
    """What a sensor reads. Raises also TypeError and ValueError for what a plug-in gives that is no Reading of its own:
    further on it would be a fault of ours."""
    reading = sensor.read(timeout)
    if sensor.origin and reading is not None:
        _check(reading, sensor)
    return reading


def _check(reading: Reading, sensor: Sensor) -> None:
    if not isinstance(reading, Reading):
        raise TypeError(f"read gives {type(reading).__name__}, not a Reading")
    values, columns = reading.values, len(sensor.channels)
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        raise TypeError(
            f"its values are {getattr(values, 'dtype', type(values).__name__)}, not an array of float32"
        )
    if values.ndim != 2 or values.shape[1] != columns or not len(values):
        raise ValueError(f"it gives values of shape {values.shape}, not (samples, {columns}) of its channels")
    if not (math.isfinite(reading.time) and 0.0 < reading.rate_hz < math.inf):
        raise ValueError(f"it gives the time {reading.time} and the rate {reading.rate_hz}, in s and Hz")


def in_words(sensor: Sensor, error: BaseException) -> str | None:
    """What took a sensor down: an error of the world, or a fault of a plug-in, which takes its own sensor down and
    nothing else; None for a fault of our own."""
    if isinstance(error, SensorError | OSError):
        return str(error)
    if not sensor.origin:
        return None
    logger.debug("sensor %s: fault of its driver", sensor.name, exc_info=error)
    return f"{sensor.name}: fault of the driver from {sensor.origin}: {words(error)}"


def words(error: BaseException) -> str:
    """An error of somebody else's code in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
