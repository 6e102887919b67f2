"""Drivers that other packages bring, each an entry point in the group `tocsin.drivers`: name = "module:Class"."""

from __future__ import annotations

import importlib
import logging
import math
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from sensors.base import Reading, Sensor, SensorError

logger = logging.getLogger(__name__)

GROUP = "tocsin.drivers"
Errors = tuple[type[Exception], ...]
S = typing.TypeVar("S", bound=Sensor)


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
        blame = f"driver {self.driver} of {self.package} cannot be loaded from {self.place}"
        with at_fault(blame, PluginError, through=()):
            found = getattr(importlib.import_module(module), name)
            typing.get_type_hints(found.__init__)  # the types of its options are there too
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


class Guarded(Sensor):
    """A plug-in's sensor, which stands before its own class: what that raises, or gives that is no Reading of its own,
    takes its own sensor down and nothing else."""

    def open(self) -> None:
        with at_fault(self._blame, SensorError):
            super().open()  # type: ignore[safe-super]

    def read(self, timeout: float) -> Reading | None:
        with at_fault(self._blame, SensorError):
            reading = super().read(timeout)  # type: ignore[safe-super]
            if reading is not None:
                _check(reading, len(self.channels))
        return reading

    def close(self) -> None:
        with at_fault(self._blame, SensorError):
            super().close()  # type: ignore[safe-super]

    @property
    def _blame(self) -> str:
        return f"{self.name}: fault of the driver from {self.origin}"


def guarded(cls: type[S], package: str) -> type[S]:
    """The class of a plug-in's sensors, guarded."""
    return type(cls.__name__, (Guarded, cls), {"__doc__": cls.__doc__, "origin": package})


@contextmanager
def at_fault(
    who: str, raises: type[Exception], *, through: Errors = (SensorError, OSError)
) -> Iterator[None]:
    """Somebody else's code, which may raise anything and even want to end the program: an error says who is to blame,
    but for what goes `through`."""
    try:
        yield
    except through:
        raise
    except (Exception, SystemExit) as error:
        logger.debug("%s", who, exc_info=error)
        raise raises(f"{who}: {words(error)}") from error


def _check(reading: Reading, columns: int) -> None:
    """Raises TypeError and ValueError: further on it would be a fault of ours."""
    if not isinstance(reading, Reading):
        raise TypeError(f"read gives {type(reading).__name__}, not a Reading")
    values = reading.values
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        raise TypeError(
            f"its values are {getattr(values, 'dtype', type(values).__name__)}, not an array of float32"
        )
    if values.ndim != 2 or values.shape[1] != columns or not len(values):
        raise ValueError(f"it gives values of shape {values.shape}, not (samples, {columns}) of its channels")
    if not (math.isfinite(reading.time) and 0.0 < reading.rate_hz < math.inf):
        raise ValueError(f"it gives the time {reading.time} and the rate {reading.rate_hz}, in s and Hz")


def words(error: BaseException) -> str:
    """An error of somebody else's code in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
