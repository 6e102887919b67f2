"""A monitor's baseline on disk, and those set aside: one that fits again is taken back."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from agent.monitor import Monitor
from models import baseline as baselines
from models.baseline import Baseline, BaselineError, BrokenBaseline, ForeignBaseline
from models.detector import LearningError

logger = logging.getLogger(__name__)

KEPT = 3  # of other configurations, of each monitor: those used last
NUMBERED = re.compile(r"\.foreign-\d+")


def arm(monitor: Monitor, path: Path) -> str:
    """Let it judge by the baseline in `path`, else by one set aside that fits. Returns why it learns afresh where there
    was one and it must."""
    why = ""
    try:
        monitor.arm(baselines.load(path, monitor.belongs_to))
        return ""
    except FileNotFoundError:
        pass
    except ForeignBaseline as error:
        why = _aside(path, error, broken=False)
    except (BrokenBaseline, LearningError) as error:
        why = _aside(path, error, broken=True)
    try:
        found = take_back(path, monitor.belongs_to)
        if found is not None:
            monitor.arm(found)
            logger.warning(
                "monitor %s takes back the baseline of this configuration: %s",
                monitor.name,
                why or "there was none in use",
            )
            return ""
    except LearningError as error:
        why = _aside(path, error, broken=True)
    if why:
        logger.warning("%s; monitor %s learns afresh", why, monitor.name)
    return why


def _aside(path: Path, why: Exception, *, broken: bool) -> str:
    try:
        return f"{why}; set aside as {set_aside(path, broken=broken).name}"
    except OSError as error:
        return f"{why}; cannot be set aside: {error.strerror}"


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
