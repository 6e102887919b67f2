"""The extras of our own package: what they bring, whether that is installed, and the command that installs it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path


def packages(extra: str) -> list[str]:
    """The names of what an extra brings; [] where there is no such extra."""
    try:
        asked = requires("tocsin") or []
    except PackageNotFoundError:  # a checkout that was never installed
        return []
    marker = re.compile(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]")
    return names(line for line in asked if marker.search(line.partition(";")[2]))


def names(asked: Iterable[str]) -> list[str]:
    """The packages that requirements name, each once."""
    return list(dict.fromkeys(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in asked))


def lacking(extra: str) -> list[str]:
    """Those of them that are not installed."""
    missing = []
    for package in packages(extra):
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    return missing


def command(extra: str) -> str:
    """What installs an extra into the environment that runs now."""
    return pip(f"tocsin[{extra}]")


def pip(*packages: str) -> str:
    """What installs packages into the environment that runs now, in their newest versions that fit."""
    own = Path(sys.prefix, "bin", "pip")
    rights = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    wanted = " ".join(map(shlex.quote, packages))
    return f"{rights}{shlex.quote(str(own)) if own.exists() else 'pip'} install {wanted}"
