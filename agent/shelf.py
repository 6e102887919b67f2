"""Baselines set aside beside the one in use: those of other configurations are taken back when they fit again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from models import baseline as baselines
from models.baseline import Baseline, BaselineError

KEPT = 3  # of other configurations, of each monitor: those used last
NUMBERED = re.compile(r"\.foreign-\d+")


def set_aside(path: Path, *, broken: bool) -> Path:
    """Out of the way, and where to. A broken one replaces the one before it. Raises OSError."""
    aside = path.with_name(f"{path.name}.broken")
    if not broken:
        taken = {found.name for found in _foreign(path)}
        number = next(n for n in range(1, len(taken) + 2) if f"{path.name}.foreign-{n}" not in taken)
        aside = path.with_name(f"{path.name}.foreign-{number}")
    path.replace(aside)
    for old in _foreign(path)[KEPT:]:
        old.unlink()
    return aside


def take_back(path: Path, belongs_to: Mapping[str, str]) -> Baseline | None:
    """The latest of those set aside that belongs to this configuration, in its place again; None where none does."""
    for aside in _foreign(path):
        try:
            found = baselines.load(aside, belongs_to)
            aside.replace(path)
        except (BaselineError, OSError):
            continue
        return found
    return None


def _foreign(path: Path) -> list[Path]:
    """Those of other configurations, the last used first."""
    try:
        beside = list(path.parent.iterdir())
    except OSError:
        return []
    found = [
        (-other.lstat().st_mtime_ns, other.name, other)
        for other in beside
        if other.name.startswith(path.name) and NUMBERED.fullmatch(other.name[len(path.name) :])
    ]
    return [other for _, _, other in sorted(found)]
