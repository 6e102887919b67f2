"""A program that writes lines: whatever can be read by a script is a sensor."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from sensors.base import OptionError, Positive
from sensors.line_sensor import LineSensor
from sensors.lines import Line, Splitter, Value

logger = logging.getLogger(__name__)

CHUNK = 65_536  # bytes: what a pipe holds
GRACE_S = 1.0  # between asking a program to end and ending it; a stop of the agent waits 3 s for its sensors
MOST_WORDS = 20  # lines of its complaints in the log, between two of its starts
LONGEST_WORDS = 200  # characters of each
# What systemd says to the agent alone (systemd.exec(5), sd_notify(3)): a child could speak in its name
PRIVATE = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "CREDENTIALS_DIRECTORY",
)


class ExecLines(LineSensor):
    """A program that runs as long as it is listened to, and writes a line for each sample.

    Options:
        command: the program and its arguments, each a word of a list; no shell reads them.
        channels: what a line holds.
        line: how a line is read; without it, as columns with commas between them.
        rate_hz: how many lines come per second; with `align`, samples per second.
        align: a sample at each tick of `rate_hz`, of the newest values, instead of one for each line.
        stale_s: with `align`, a value older than this is missing; without it, after 3 ticks.
        folder: where the program is started; without it, where the agent is.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        channels: Sequence[Value],
        line: Line | None = None,
        rate_hz: Positive = 1.0,
        align: bool = False,
        stale_s: Positive | None = None,
        folder: Path | None = None,
    ) -> None:
        if not command or not command[0]:
            raise OptionError("command", command, "is empty: give the program and its arguments as a list")
        for i, word in enumerate(command):
            if "\0" in word:
                raise OptionError(f"command[{i}]", word, "holds a character that no argument may hold")
        super().__init__(line, channels, rate_hz, align, stale_s)
        self._command, self._folder = list(command), folder
        self._program: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        self.close()
        environment = {name: value for name, value in os.environ.items() if name not in PRIVATE}
        try:
            self._program = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=self._folder,
                env=environment,
                start_new_session=True,  # a group of its own, so that what it starts ends with it
            )
        except OSError as error:
            raise self.error(self._trouble(error)) from None
        self._complaints = Splitter(Counter(), whole=True)
        self._complained, self._last_words = 0, ""
        self._begin(whole=True)
        super().open()

    def receive(self, timeout: float) -> bytes:
        program = self._program
        assert program is not None
        assert program.stdout is not None
        assert program.stderr is not None
        end = self.clock.monotonic() + timeout
        left = timeout
        while True:
            outlets = [program.stdout] if program.stderr.closed else [program.stdout, program.stderr]
            ready, _, _ = select.select(outlets, [], [], left)
            if program.stderr in ready:
                self._complain(program.stderr)
            if program.stdout in ready:
                chunk = os.read(program.stdout.fileno(), CHUNK)
                if not chunk:
                    raise OSError(self._ended(program))
                return chunk
            left = end - self.clock.monotonic()
            if not ready or left <= 0.0:
                return b""

    def close(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            self._end(program)
        super().close()

    def _end(self, program: subprocess.Popen[bytes]) -> None:
        """It and all of its group. It is reaped last: until then no other process can have its number."""
        self._signal(program, signal.SIGTERM)
        _exit_of(program, GRACE_S)
        self._signal(program, signal.SIGKILL)
        try:
            program.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            logger.warning("sensor %s: process %d does not end, even killed", self.name, program.pid)
        for outlet in (program.stdout, program.stderr):
            if outlet is not None:
                outlet.close()

    @staticmethod
    def _signal(program: subprocess.Popen[bytes], number: signal.Signals) -> None:
        with contextlib.suppress(OSError):  # nobody is left, or they are another user's
            os.killpg(program.pid, number)

    def _complain(self, outlet: IO[bytes]) -> None:
        """What it says besides its lines is told in the log, up to a bound, and its last words with its end."""
        chunk = os.read(outlet.fileno(), CHUNK)
        if not chunk:
            outlet.close()
        for line in self._complaints.feed(chunk):
            self._last_words = "".join(c if c.isprintable() else " " for c in line[:LONGEST_WORDS])
            self._complained += 1
            if self._complained <= MOST_WORDS:
                more = " (the last that is told)" if self._complained == MOST_WORDS else ""
                logger.info("sensor %s: %s says: %s%s", self.name, self._command[0], self._last_words, more)

    def _ended(self, program: subprocess.Popen[bytes]) -> str:
        how = _exit_of(program, GRACE_S)
        while program.stderr is not None and not program.stderr.closed:
            if not select.select([program.stderr], [], [], 0.0)[0]:
                break
            self._complain(program.stderr)
        return f"{self._command[0]} {how}" + (f": {self._last_words}" if self._last_words else "")

    def _trouble(self, error: OSError) -> str:
        if self._folder is not None and not self._folder.is_dir():
            return f"there is no folder {self._folder}"
        if isinstance(error, FileNotFoundError):
            return f"there is no program {self._command[0]}: give its whole path"
        if isinstance(error, PermissionError):
            return (
                f"{self._command[0]} may not be executed: chmod +x it, in a folder that the agent may enter"
            )
        return f"{self._command[0]} cannot be started: {error.strerror}"


def _exit_of(program: subprocess.Popen[bytes], timeout_s: float) -> str:
    """How it ended, once it has; it is not reaped here."""
    end = time.monotonic() + timeout_s
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while (status := os.waitid(os.P_PID, program.pid, flags)) is None:
        if time.monotonic() >= end:
            return "has closed its output"
        time.sleep(0.005)
    if status.si_code == os.CLD_EXITED:
        return f"ended with exit code {status.si_status}"
    return f"was ended by signal {status.si_status}, {signal.strsignal(status.si_status)}"
