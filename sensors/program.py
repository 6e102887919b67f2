"""A program that a sensor listens to: started without a shell, ended with all that it started."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sensors.lines import Splitter
from sensors.peers import Trouble

logger = logging.getLogger(__name__)

CHUNK = 65_536  # bytes: what a pipe holds, if nobody asks for more
GRACE_S = 1.0  # between asking a program to end and ending it; a stop of the agent waits 3 s for its sensors
MOST_WORDS = 20  # lines of its complaints in the log, between two of its starts
LONGEST_WORDS = 200  # characters of each
INTERPRETER = re.compile(r"(?:python|perl|ruby|node|bash|dash|sh|php|lua)[\d.]*")
UNARGUED = ("-u", "-B", "-I", "-E", "-s", "-x")  # of Python and shells, options that no word follows
# What systemd says to the agent alone (systemd.exec(5), sd_notify(3)): a child could speak in its name
PRIVATE = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "CREDENTIALS_DIRECTORY",
)


class Ended(OSError):
    """A program has ended, in words."""

    def __init__(self, words: str, code: int | None) -> None:
        super().__init__(words)
        self.code = code  # None where it was ended by a signal, or has only closed its output


class Program:
    """Runs from when it is made until `end`."""

    def __init__(
        self,
        listener: str,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        told: bytes = b"",
        secrets: Sequence[str] = (),
        pipe_bytes: int | None = None,
        hear: Callable[[str], bool] = lambda words: False,
    ) -> None:
        """`told` is its input; `secrets`, what must not be told when it complains; `pipe_bytes`, how much it may say
        while nobody receives it, as far as the kernel allows; `hear` gets each line of its complaints, and is true
        for one that is none. Raises OSError in words."""
        self._listener, self._command = listener, list(command)
        self._secrets, self._hear = [secret for secret in secrets if secret], hear
        self._complaints = Splitter(Counter(), whole=True)
        self._complained, self._last_words = 0, ""
        kept = {name: value for name, value in os.environ.items() if name not in PRIVATE}
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE if told else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=folder,
                env={**kept, **(environment or {})},
                start_new_session=True,  # a group of its own, so that what it starts ends with it
            )
        except OSError as error:
            raise OSError(_trouble(self._command[0], folder, error)) from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._says: IO[bytes] = self._process.stdout
        self._complains: IO[bytes] = self._process.stderr
        if pipe_bytes is not None:
            with contextlib.suppress(OSError):  # more than /proc/sys/fs/pipe-max-size
                fcntl.fcntl(self._says, fcntl.F_SETPIPE_SZ, pipe_bytes)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as ear:
                ear.write(told)

    def receive(self, timeout: float, most: int = CHUNK) -> bytes:
        """What it has said; b"" when nothing comes within `timeout` seconds. Raises Ended."""
        end = time.monotonic() + timeout
        left = timeout
        while True:
            outlets = [self._says] if self._complains.closed else [self._says, self._complains]
            ready, _, _ = select.select(outlets, [], [], max(0.0, left))
            if self._complains in ready:
                self._complain()
            if self._says in ready:
                chunk = os.read(self._says.fileno(), most)
                if not chunk:
                    raise self._ended()
                return chunk
            left = end - time.monotonic()
            if not ready or left <= 0.0:
                return b""

    def end(self) -> None:
        """It and all of its group. It is reaped last: until then no other process can have its number."""
        self._signal(signal.SIGTERM)
        self._says.close()  # or it may wait for ever until it can say the rest
        self._complains.close()
        self._exit(GRACE_S)
        self._signal(signal.SIGKILL)
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            logger.warning(
                "sensor %s: process %d does not end, even killed", self._listener, self._process.pid
            )

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):  # nobody is left, or they are another user's
            os.killpg(self._process.pid, number)

    def _complain(self) -> None:
        """What it complains of is told in the log, up to a bound, and its last words with its end."""
        chunk = os.read(self._complains.fileno(), CHUNK)
        if not chunk:
            self._complains.close()
        for line in self._complaints.feed(chunk):
            for secret in self._secrets:
                line = line.replace(secret, "***")
            words = "".join(c if c.isprintable() else " " for c in line[:LONGEST_WORDS])
            if self._hear(words):
                continue
            self._last_words = words
            self._complained += 1
            if self._complained <= MOST_WORDS:
                more = " (the last that is told)" if self._complained == MOST_WORDS else ""
                logger.info("sensor %s: %s says: %s%s", self._listener, self._command[0], words, more)

    def _ended(self) -> Ended:
        how, code = self._exit(GRACE_S)
        while not self._complains.closed and select.select([self._complains], [], [], 0.0)[0]:
            self._complain()
        words = f"{self._command[0]} {how}" + (f": {self._last_words}" if self._last_words else "")
        return Ended(words, code)

    def _exit(self, timeout_s: float) -> tuple[str, int | None]:
        """How it ended, once it has; it is not reaped here."""
        end = time.monotonic() + timeout_s
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while (status := os.waitid(os.P_PID, self._process.pid, flags)) is None:
            if time.monotonic() >= end:
                return "has closed its output", None
            time.sleep(0.005)
        if status.si_code == os.CLD_EXITED:
            return f"ended with exit code {status.si_status}", status.si_status
        return f"was ended by signal {status.si_status}, {signal.strsignal(status.si_status)}", None


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """What is to be started, looked for and not started; of a script also the file that its interpreter is given."""

    command: tuple[str, ...]
    folder: Path | None = None

    @property
    def well(self) -> str:
        return f"{self.command[0]} is there"

    def trouble(self) -> Trouble | None:
        program, folder = self.command[0], self.folder
        found = Path(folder or "", program) if "/" in program else Path(shutil.which(program) or program)
        error: OSError | None = None
        if (folder is not None and not folder.is_dir()) or not found.is_file():
            error = FileNotFoundError()
        elif not os.access(found, os.X_OK):
            error = PermissionError()
        if error is not None:
            says, _, mend = _trouble(program, folder, error).partition(": ")
            return Trouble(says, mend or "make it, or write another folder")
        script = next((word for word in self.command[1:] if word not in UNARGUED), "")
        runs_it = INTERPRETER.fullmatch(found.name) is not None and script[:1] not in ("", "-")
        if runs_it and not Path(folder or "", script).exists():
            return Trouble(
                f"there is no {script} for {program} to run", "give its whole path, or the folder it is in"
            )
        return None


def _trouble(program: str, folder: Path | None, error: OSError) -> str:
    if folder is not None and not folder.is_dir():
        return f"there is no folder {folder}"
    if isinstance(error, FileNotFoundError):
        return f"there is no program {program}: give its whole path"
    if isinstance(error, PermissionError):
        return f"{program} may not be executed: chmod +x it, in a folder that the agent may enter"
    return f"{program} cannot be started: {error.strerror}"
