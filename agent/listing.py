"""A replay's events for a person: a line each, as wide as the terminal."""

from __future__ import annotations

import shutil

from agent.alerts import Event
from agent.ids import rfc3339
from agent.sentences import sentence

NARROWEST, USUAL = 60, 160  # columns: of a terminal, and of a pipe
TIME, KIND, LEVEL = 19, 16, 7


class Listing:
    """The lines, the first of which says what the columns are."""

    def __init__(self, monitors: list[str]) -> None:
        self._width = max(NARROWEST, shutil.get_terminal_size((USUAL, 24)).columns)
        self._monitor = max(7, *map(len, monitors)) if monitors else 7

    def head(self) -> str:
        return self._line("TIME (UTC)", "MONITOR", "EVENT", "LEVEL", "WHAT")

    def line(self, event: Event) -> str:
        """Of one event; what was about the sensor says so."""
        kind = event.kind if event.kind in ("cleared", "flooded") else f"{event.kind} {event.alert.severity}"
        what = sentence(event).removeprefix(f"{event.monitor}: ")
        level = f"{event.level:.3g}" if event.level == event.level else ""
        return self._line(rfc3339(event.time)[:TIME].replace("T", " "), event.monitor, kind, level, what)

    def _line(self, time: str, monitor: str, kind: str, level: str, what: str) -> str:
        start = f"{time:<{TIME}}  {monitor:<{self._monitor}}  {kind:<{KIND}}  {level:>{LEVEL}}  "
        room = max(20, self._width - len(start))
        return (start + (what if len(what) <= room else what[: room - 3] + "...")).rstrip()
