"""A terminal, and what a command draws on it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Sequence

from agent.screen import CLEAR_BELOW, HOME
from tests.agent.brokers import until
from tests.agent.running import REPOSITORY

SIZE = struct.pack("HHHH", 24, 80, 0, 0)


class Terminal:
    """A command on a terminal of 80 x 24, and what it wrote there."""

    def __init__(self, words: Sequence[str], term: str = "xterm") -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.process = subprocess.Popen(
            list(words),
            cwd=REPOSITORY,
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": term, "PYTHONIOENCODING": "utf-8"},
        )
        os.set_blocking(self.ours, False)
        self._said = b""

    @property
    def said(self) -> str:
        try:
            while chunk := os.read(self.ours, 65536):
                self._said += chunk
        except BlockingIOError:
            pass
        return self._said.decode("utf-8", "replace")

    def shows(self, words: str) -> bool:
        """Whether the newest whole picture has these words in it."""
        pictures = self.said.split(HOME)
        whole = [picture for picture in pictures if CLEAR_BELOW in picture]
        return bool(whole) and words in whole[-1]

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> str:
        """Wait for it; what it wrote to standard error."""
        until(lambda: self.said is not None and self.process.poll() is not None, "it ends")
        _, err = self.process.communicate(timeout=5)
        assert termios.tcgetattr(self.theirs) == self.before, "the terminal is as it was"
        return err.decode()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.ours)
        os.close(self.theirs)
