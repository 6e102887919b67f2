"""A screen of our own on the terminal, drawn over itself, and the keys that are pressed meanwhile."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType

# Of ECMA-48, and of xterm's control sequences: another screen without a cursor, and back
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
QUIT = "qQ\x03\x04"  # keys that end what is shown
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def drawable() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """Use with `with`: the terminal is afterwards as it was before."""

    def __init__(self) -> None:
        keyboard = sys.stdin is not None and sys.stdin.isatty()
        self._keys = sys.stdin.fileno() if keyboard else -1
        self._before = termios.tcgetattr(self._keys) if keyboard else []

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, now."""
        width, height = shutil.get_terminal_size()
        return width, height

    def draw(self, lines: Sequence[str]) -> None:
        """Lines instead of those that were there; what does not fit is cut off."""
        width, height = self.size
        fitting = [line if len(line) <= width else line[: width - 1] for line in lines[:height]]
        sys.stdout.write(f"{HOME}{f'{CLEAR_LINE}{chr(10)}'.join(fitting)}{CLEAR_LINE}{CLEAR_BELOW}")
        sys.stdout.flush()

    def pressed(self, timeout_s: float = 0.0) -> str:
        """The keys since the last look, or the first within so long; "" where there is none."""
        keys = [self._keys] if self._keys >= 0 else []
        if not select.select(keys, [], [], timeout_s)[0]:
            return ""
        return os.read(self._keys, 64).decode("ascii", "replace")

    def __enter__(self) -> Screen:
        sys.stdout.write(ENTER)
        sys.stdout.flush()
        if self._keys >= 0:
            tty.setcbreak(self._keys)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keys >= 0:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
