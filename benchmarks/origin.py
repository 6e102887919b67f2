"""Where figures come from: command, date, commit and machine."""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATHS = {"--data": "DIR", "--json": "FILE", "--out": "DIR"}  # of the machine, and not told


def origin(name: str, argv: Sequence[str]) -> dict[str, Any]:
    """What stands beside the figures of every benchmark."""
    return {
        "command": command(name, argv),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "machine": f"{platform.machine()}, {_processor()}",
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in ("numpy", "onnxruntime")},
        },
    }


def command(name: str, argv: Sequence[str]) -> str:
    """The command without the folders of the machine it ran on, `--data` always named."""
    words, rest = [], iter(argv)
    for word in rest:
        option, equals, _ = word.partition("=")
        if option in PATHS:
            if not equals:
                next(rest, None)
            continue
        words.append(word)
    return " ".join(["python -m benchmarks", name, "--data DIR", *map(shlex.quote, words)])


def _commit() -> str:
    """Of this checkout, with a + where the code was changed since; empty outside of one."""
    describe = ["git", "describe", "--always", "--abbrev=9", "--exclude=*"]
    changed = ["git", "diff", "--quiet", "HEAD", "--", "agent", "models", "sensors", "benchmarks"]
    try:
        done = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip() + "+" * bool(subprocess.run(changed, cwd=ROOT).returncode)
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
