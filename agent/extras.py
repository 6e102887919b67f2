"""The extras of our own package: what they bring, whether that is installed, and the command that installs it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path


def packages(extra: str) -> list[str]:
    """The names of what an extra brings; [] where there is no such extra."""
    try:
        asked = requires("tocsin") or []
    except PackageNotFoundError:  # a checkout that was never installed
        return []
    marker = re.compile(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]")
    wanted = [line for line in asked if marker.search(line.partition(";")[2])]
    return list(dict.fromkeys(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in wanted))


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
    pip = Path(sys.prefix, "bin", "pip")
    rights = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"{rights}{shlex.quote(str(pip)) if pip.exists() else 'pip'} install 'tocsin[{extra}]'"
