"""Devices as umockdev shows them to a program and its children, from recordings of a real kernel's.

The recordings in `devices/` were made with umockdev-record on Linux 6.12 (Debian 13), where the kernel's own drivers
stood on i2c-stub; what they do not need was left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.real import need

ROOT = Path(__file__).resolve().parents[2]
DEVICES = Path(__file__).parent / "devices"


def told_by(program: str, *devices: str, extra: Sequence[str] = ()) -> Any:
    """What a Python program prints as JSON that is run where these devices are there. `extra` are further arguments of
    umockdev-run."""
    command = [need("umockdev-run"), *(f"--device={DEVICES / device}.umockdev" for device in devices), *extra]
    done = subprocess.run(
        [*command, "--", sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def script_of(pieces: Sequence[bytes], path: Path) -> Path:
    """A script that gives a node's reader these pieces, once somebody has written "go" into the node."""
    assert not any(piece.startswith(b" ") for piece in pieces), "which umockdev would strip"
    lines = [b"w 0 go", *(b"r 0 " + b"".join(map(_escaped, piece)) for piece in pieces)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def _escaped(octet: int) -> bytes:
    if octet == ord("^"):
        return b"^`"
    return bytes([ord("^"), octet + 64]) if octet < 32 else bytes([octet])
