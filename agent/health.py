"""What the agent knows of itself: its clocks, its memory, systemd's notices, one agent per state directory."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import time
from functools import cache
from pathlib import Path
from types import TracebackType

from agent.messages import Clock

PAGE_BYTES = resource.getpagesize()


class AlreadyRunning(Exception):
    """Another agent works in this state directory."""


class Lock:
    """Holds `<state_dir>/lock` while this agent lives; the file says who holds it and where it answers."""

    def __init__(self, state_dir: Path, answer: Path | None = None) -> None:
        self._path, self._answer, self._file = state_dir / "lock", answer, -1

    def __enter__(self) -> Lock:
        """Raises AlreadyRunning, and OSError where the directory cannot be used."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise AlreadyRunning(
                f"process {holder(self._path.parent)} already works in {self._path.parent}"
            ) from None
        os.ftruncate(file, 0)
        content = {"pid": os.getpid(), "answer": str(self._answer) if self._answer else None}
        os.write(file, json.dumps(content).encode())
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def holder(state_dir: Path) -> int | None:
    """Process id of the agent that works in this directory; None where none does. Raises OSError."""
    try:
        with open(state_dir / "lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(json.load(file)["pid"])
    except FileNotFoundError:
        pass
    return None


def answer_path(state_dir: Path) -> Path | None:
    """Where the agent of this directory writes its answer."""
    answer = json.loads((state_dir / "lock").read_text()).get("answer")
    return Path(answer) if answer else None


class Notifier:
    """Tells systemd what sd_notify(3) would; does nothing where systemd did not start us."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(microseconds) / 1e6 if microseconds.isdigit() and mine else None

    def tell(self, *lines: str) -> None:
        """Send lines such as "READY=1"; a systemd that does not listen is no reason to stop."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            try:
                out.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                pass


def read_clock() -> Clock:
    """The clocks now."""
    return Clock(round(time.monotonic(), 6), _boot_id(), _synced())


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _synced() -> bool | None:
    """systemd-timesyncd's word; None where it does not run."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return True
    return False if Path("/run/systemd/timesync").exists() else None


def rss_bytes() -> int:
    """Resident memory of this process now; 0 where unknown."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
