"""The development environment: what is seen while it is made."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

VENV = Path(__file__).parent.parent.parent / ".ci" / "venv"


def asked_of_pip(folder: Path, stderr: int) -> str:
    """The script's standard error in a folder where there is an environment, whose Python repeats what it is asked."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", VENV, sys.executable, ".venv"], cwd=folder, stderr=stderr, stdout=subprocess.PIPE
    )
    assert (done.returncode, done.stdout) == (0, b"")
    return (done.stderr or b"").decode()


def test_pip_shows_its_progress_on_a_terminal_and_is_quiet_elsewhere(tmp_path: Path) -> None:
    assert "pip install -qq --prefer-binary" in asked_of_pip(tmp_path / "pipe", subprocess.PIPE)
    ours, theirs = pty.openpty()
    try:
        asked_of_pip(tmp_path / "terminal", theirs)
        assert b"pip install --prefer-binary" in os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)
