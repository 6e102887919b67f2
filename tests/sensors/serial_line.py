"""Two serial ports joined by a cable that can be pulled: a pair of ptys held by socat."""

from __future__ import annotations

import subprocess
import time
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
