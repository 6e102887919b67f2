"""Features of a window: what a detector sees of telemetry, and what any features are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.window import Array, Windows


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of what `extract` gives."""

    name: str  # "temperature", "x band 400-800 Hz"
    channel: str
    unit: str
    logarithm: bool = False  # the column is the natural logarithm of a quantity in `unit`
    fault: bool = False  # the column tells of one fault by name


class Features(Protocol):
    """Turns windows into rows of features."""

    @property
    def columns(self) -> tuple[Feature, ...]:
        """What each column is."""
        ...

    def extract(self, windows: Windows) -> Array:
        """`(n, columns)` for n windows."""
        ...


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The newest sample of each channel: slow channels speak for themselves, and are averaged behind this."""

    columns: tuple[Feature, ...]

    def extract(self, windows: Windows) -> Array:
        return windows.rows[windows.length - 1 :: windows.hop]


def telemetry(channels: Sequence[tuple[str, str]]) -> Telemetry:
    """Features of slow channels given as (name, unit)."""
    return Telemetry(tuple(Feature(name, name, unit) for name, unit in channels))
