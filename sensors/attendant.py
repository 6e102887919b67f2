"""A thread that attends to a source which cannot wait for its reader."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sensors.named_thread import NamedThread

LEAVE_S = 5.0  # longest that `end` waits for it; one that hangs is left behind, and ends with the process


class Attendant:
    """One stay at a source, from its thread's start to its end; who comes back takes another."""

    def __init__(self, name: str, attend: Callable[[Attendant], None]) -> None:
        """`attend`, in the thread and with this object, calls `up` once the source is there, and returns soon after
        `leaving` is true. What it raises is raised again by `wait` and `check`."""
        self._attend = attend
        self._up, self._leaving = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = NamedThread(target=self._run, name=name, daemon=True)
        self.ended = False

    def up(self) -> None:
        """The source is there: `wait` returns."""
        self._up.set()

    @property
    def leaving(self) -> bool:
        """The source should be left."""
        return self._leaving.is_set()

    def begin(self) -> None:
        self._thread.start()

    def wait(self) -> None:
        """Block until it is up. Raises what it raised."""
        self._up.wait()
        self.check()

    @property
    def failed(self) -> bool:
        """Something ended it that `check` raises."""
        return self._error is not None

    def check(self) -> None:
        """Raises what ended it, if something did."""
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Ask it to leave."""
        self._leaving.set()

    def end(self) -> None:
        """Make it leave, and wait for it."""
        self.leave()
        if self._thread.ident is not None:
            self._thread.join(LEAVE_S)

    def _run(self) -> None:
        try:
            self._attend(self)
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that reads
            self._error = error
        self.ended = True
        self._up.set()
