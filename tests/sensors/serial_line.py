"""Serial ports that can be unplugged: a cable between two, held by socat, and an instrument on one, which is a pty."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.real import need

SOON_S = 10.0


class Cable:
    """`ours` and `theirs` are the ends, each a path to open as a serial port."""

    def __init__(self, folder: Path) -> None:
        self._socat = need("socat")
        self.ours, self.theirs = folder / "ours", folder / "theirs"
        self._process: subprocess.Popen[bytes] | None = None
        self.plug()

    def plug(self) -> None:
        ends = [f"pty,raw,echo=0,link={end}" for end in (self.ours, self.theirs)]
        self._process = subprocess.Popen([self._socat, *ends])
        until = time.monotonic() + SOON_S
        while not (self.ours.exists() and self.theirs.exists()):
            assert time.monotonic() < until, "socat made no ptys"
            time.sleep(0.01)

    def pull(self) -> None:
        """Both ports vanish, as a USB adapter does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(SOON_S)
            self._process = None
        for end in (self.ours, self.theirs):
            end.unlink(missing_ok=True)

    def __enter__(self) -> Cable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull()


class Instrument:
    """A pty with an instrument on it that says what it is told to; with `answer`, what that makes of each request."""

    def __init__(self, port: Path, answer: Callable[[bytes], bytes] | None = None) -> None:
        self.port, self._answer = port, answer
        self._master = self._slave = -1
        self._repeating = threading.Event()
        self._thread: threading.Thread | None = None
        self.plug()

    def plug(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)  # as it is before somebody opens it
        self.port.symlink_to(os.ttyname(self._slave))
        if self._answer is not None:
            self._run(self._answer_all)

    def pull(self) -> None:
        """It vanishes, with its port."""
        self._repeating.set()
        if self._thread is not None:
            self._thread.join(SOON_S)
        self.port.unlink(missing_ok=True)
        for end in (self._slave, self._master):
            if end >= 0:
                os.close(end)
        self._master, self._slave, self._thread = -1, -1, None

    def say(self, chunk: bytes) -> None:
        os.write(self._master, chunk)

    def settle(self) -> None:
        """Wait until what was said can be read: a pty hands it over in its own time."""
        until = time.monotonic() + SOON_S
        while not select.select([self._slave], [], [], 0.0)[0]:
            assert time.monotonic() < until, "nothing arrived"
            time.sleep(0.001)

    def repeat(self, line: Callable[[int], bytes], period_s: float) -> None:
        """Say a line each so often, until it is pulled."""

        def run() -> None:
            count = 0
            while not self._repeating.wait(period_s):
                os.write(self._master, line(count))
                count += 1

        self._run(run)

    def __enter__(self) -> Instrument:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull()

    def _answer_all(self) -> None:
        assert self._answer is not None
        while not self._repeating.is_set():
            if select.select([self._master], [], [], 0.01)[0]:
                os.write(self._master, self._answer(os.read(self._master, 4096)))

    def _run(self, target: Callable[[], None]) -> None:
        self._repeating.clear()
        self._thread = threading.Thread(target=target, daemon=True)
        self._thread.start()
