"""Where the recordings lie, and what is said when they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


class NoRecordings(Exception):
    """There is nothing to run on; the message says what was looked for and where."""


def folder(data: str | None, name: str, patterns: Sequence[str]) -> Path:
    """The benchmark's own folder: `data` itself or its subfolder `name`, whichever holds files of one of the
    `patterns`. Raises NoRecordings."""
    if not data:
        raise NoRecordings(f"{name} needs recordings: give their folder with --data, or in TOCSIN_DATA")
    tried = [Path(data) / name, Path(data)]
    for path in tried:
        if files(path, patterns):
            return path
    looked = " or ".join(str(path) for path in tried)
    raise NoRecordings(f"no {' or '.join(patterns)} in {looked}")


def which(files: Sequence[str], left_out: Mapping[str, str]) -> str:
    """What was run on, and what was not, with why, as a sentence."""
    said = f"Run on: {', '.join(files)}"
    return f"{said}; left out: {reasons(left_out)}." if left_out else f"{said}."


def reasons(left_out: Mapping[str, str]) -> str:
    """Each file with why it was left out; those with one reason together."""
    because: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        because.setdefault(reason, []).append(name)
    return ", ".join(f"{', '.join(names)} ({reason})" for reason, names in because.items())


def files(path: Path, patterns: Sequence[str]) -> list[Path]:
    """The files there of one of the patterns, sorted by path with numbers in the order of numbers."""
    found = {file for pattern in patterns for file in path.glob(pattern) if file.is_file()}
    return sorted(found, key=lambda file: [_key(part) for part in file.relative_to(path).parts])


def _key(part: str) -> tuple[int, int, str]:
    stem = part.partition(".")[0]
    return (0, int(stem), part) if stem.isdecimal() else (1, 0, part)
