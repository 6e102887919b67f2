"""What the agent knows of itself: its clocks, its memory, systemd's notices, one agent per state directory."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from agent.messages import Clock

LOCK_S = 0.5  # how long a lock held by another is tried for
MOST_SAID = 65536  # bytes of a lock file
MOST_PROCESS = 2**22  # PID_MAX_LIMIT, proc_pid_max(5)
NOTICE_S = 1.0  # a systemd that takes no notices for so long misses one


class AlreadyRunning(Exception):
    """Another agent works in this state directory."""


class Holder(NamedTuple):
    """Who works in a state directory."""

    process: int | None  # None: it has the directory, but has not said yet who it is
    answer: Path | None  # where it writes its answer; None: it does not answer
    owner: int  # the user that the lock file belongs to; what it says is no more than that user's word


class Lock:
    """Holds `<state_dir>/lock` while this agent lives; the file says who holds it and where it answers."""

    def __init__(self, state_dir: Path, answer: Path | None = None) -> None:
        self._path, self._answer, self._file = state_dir / "lock", answer, -1

    def __enter__(self) -> Lock:
        """Raises AlreadyRunning, and OSError where the directory cannot be used."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = _open(self._path, os.O_RDWR | os.O_CREAT)
        end = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # `holder` has it for a moment; the agent before us may be about to end
                if time.monotonic() > end:
                    os.close(file)
                    found = holder(self._path.parent)
                    who = f"process {found.process}" if found and found.process else "another process"
                    raise AlreadyRunning(f"{who} already works in {self._path.parent}") from None
                time.sleep(0.02)
        os.ftruncate(file, 0)
        content = {"pid": os.getpid(), "answer": str(self._answer) if self._answer else None}
        os.write(file, json.dumps(content).encode())
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def holder(state_dir: Path) -> Holder | None:
    """Who works in this directory; None where nobody does. Raises OSError."""
    try:
        file = _open(state_dir / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        owner = os.fstat(file).st_uid
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            said = os.read(file, MOST_SAID)
    finally:
        os.close(file)
    try:
        found = json.loads(said)
        process, answer = int(found["pid"]), Path(found["answer"]) if found["answer"] else None
    except (
        ValueError,
        OverflowError,
        KeyError,
        TypeError,
        RecursionError,
    ):  # it is only just beginning to write
        return Holder(None, None, owner)
    return Holder(process if 0 < process <= MOST_PROCESS else None, answer, owner)


def _open(path: Path, flags: int) -> int:
    """A lock file. The directory may be another user's, who could have laid anything there: raises OSError for what
    is no plain file, or has another name as well."""
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(file)
        raise OSError(errno.EINVAL, "no plain file", str(path))
    return file


class Notifier:
    """Tells systemd what sd_notify(3) would; does nothing where systemd did not start us."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address  # "@": an abstract one
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and mine else None

    def tell(self, *lines: str) -> None:
        """Send lines such as "READY=1"; a systemd that does not listen is no reason to stop."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(NOTICE_S)
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
