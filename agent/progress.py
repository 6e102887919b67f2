"""A progress bar on standard error, for work that a person waits for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

PATIENCE_S = 2.0  # work that is done by then needs no bar
PERIOD_S = 0.2  # between two drawings
CELLS = 24


class Progress:
    """One line that is drawn over itself; nothing at all where standard error is no terminal."""

    def __init__(
        self,
        what: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._what, self._clock = what, clock
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._began = clock()
        self._due = self._began + patience_s
        self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Make room for something else on the terminal; the bar comes back when it is next drawn."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False

    def tell(self, share: Callable[[], float] | None, words: Callable[[], str]) -> None:
        """Draw, if it is time to: `share` of the work done (0 to 1), None where nobody knows, and `words` about it."""
        if not self._shown or self._clock() < self._due:
            return
        now = self._clock()
        self._due, self._drawn = now + PERIOD_S, True
        if share is None:
            text = f"{self._what}: {words()}"
        else:
            text = line(self._what, share(), words(), now - self._began)
        self._stream.write("\r" + text + "\x1b[K")
        self._stream.flush()


def line(what: str, share: float, words: str, elapsed_s: float) -> str:
    """The bar as text; the time left is told once a hundredth is done."""
    share = min(1.0, max(0.0, share))
    full = int(share * CELLS)
    left = f", {span(elapsed_s * (1 - share) / share)} left" if share >= 0.01 else ""
    return f"{what} [{'#' * full}{'.' * (CELLS - full)}] {100 * share:3.0f} % {words}{left}"


def span(seconds: float) -> str:
    """A span of time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"
