"""Numbers that the kernel shows as files; what cannot be read is NaN, which is unknown and not zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

UNKNOWN = float("nan")


def read(path: Path) -> str:
    """A file's text; empty where it cannot be read, as many files of /sys cannot at times."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def number(text: str) -> float:
    """A number; NaN where there is none."""
    try:
        return float(text)
    except ValueError:
        return UNKNOWN


def scaled(path: Path, factor: float) -> float:
    """A file's number in another unit."""
    return factor * number(read(path))


def hexadecimal(path: Path) -> int | None:
    """A file's hexadecimal number; None where there is none."""
    try:
        return int(read(path), 16)
    except ValueError:
        return None


def first_number(path: Path) -> float:
    """The first word of a file as a number."""
    return number(read(path).partition(" ")[0])


def product(a: Path, b: Path, factor: float) -> float:
    """Two files' numbers multiplied: volts and amperes."""
    return factor * number(read(a)) * number(read(b))


def mean(paths: Sequence[Path], factor: float) -> float:
    """The mean of those files that can be read; NaN where none can."""
    known = [value for value in (scaled(path, factor) for path in paths) if not math.isnan(value)]
    return sum(known) / len(known) if known else UNKNOWN


def added(parts: Sequence[Callable[[], float]]) -> float:
    """The sum of several figures; NaN where one is unknown."""
    return sum(part() for part in parts)


def by_number(path: Path) -> int:
    """The first number in a file's name: hwmon2, in3_input, thermal_zone10."""
    digits = "".join(c if c.isdigit() else " " for c in path.name).split()
    return int(digits[0]) if digits else 0
