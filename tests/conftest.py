"""What all tests run under: no deadline that a busy machine could miss, and nothing of the caller's service."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sensors.plugins import plugins

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "RUNTIME_DIRECTORY", "JOURNAL_STREAM"):
    os.environ.pop(name, None)  # a test run under systemd is not the service
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)  # of the terminal that pytest is seen on, which what a test starts is not

# Started in the background of a shell we inherit an ignored SIGINT, and so would each command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)  # the same examples on every machine
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages beside ours, where plug-ins are looked for anew."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    plugins.cache_clear()
    yield folder
    plugins.cache_clear()
