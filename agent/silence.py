"""Silence: for how long a monitor has had nothing that it could judge, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from agent.alerts import Alert
from agent.monitor import Monitor
from agent.reader import Reader


class Silence:
    """Of one monitor: no readings, or readings that never come to a whole row or window.

    Measured on the monotonic clock; the wall clock, which may jump, only dates what comes of it.
    """

    def __init__(self, reader: Reader, limit_s: Callable[[float], float]) -> None:
        """`limit_s(period)` is how long a sensor with a reading each `period` seconds may be silent."""
        self._reader, self._limit_s = reader, limit_s
        self._monitor: Monitor | None = None
        self._span_s, self._unit = 0.0, ""
        self._windows, self._since = 0, 0.0  # whole windows at the latest look, and when they became so many
        self._absent: tuple[str, ...] = ()  # channels of which something was missing or withheld since then
        self.alert = Alert()
        self.note = ""  # what is wrong and for how long, in words; "" while the level is below 1
        self.problem = ""  # the same, in words that stay the same while it lasts

    def expect(self, monitor: Monitor, span_s: float, unit: str, now: float) -> None:
        """From now on whole windows count too; a healthy sensor gives one within `span_s`."""
        self._monitor, self._span_s, self._unit = monitor, span_s, unit
        self._windows, self._since = monitor.windows, now

    def level(self, now: float) -> float:
        """1.0 is as long as is allowed; NaN while there was nothing to hear yet, and not too long. Samples that are
        gathered first are not late for it."""
        reader, monitor = self._reader, self._monitor
        if reader.ended:
            self.note = self.problem = ""
            return 0.0
        limit_s = self._limit_s(1 / reader.sensor.rate_hz if reader.sensor.rate_hz else 0.0)
        silent_s, void_s = now - reader.heard, 0.0
        level, heard = silent_s / limit_s, reader.rows > 0
        if monitor is not None:
            told = monitor.ailing or monitor.plan.rests  # which is said elsewhere
            if monitor.windows != self._windows or told:
                self._windows, self._since, self._absent = monitor.windows, now, ()
            self._absent = monitor.absent or self._absent
            void_s = now - self._since
            due_s = max(limit_s, self._span_s) + monitor.plan.gather_s
            level, heard = max(level, void_s / due_s), monitor.windows > 0
        if level < 1.0:
            self.note = self.problem = ""
            return level if heard else math.nan
        what, why, lasted_s = f"no whole {self._unit}", _missing(self._absent), void_s
        if silent_s > void_s / 2:  # most of it was silence
            what, why, lasted_s = "no data", reader.error, silent_s
        why = f": {why}" if why else ""
        self.note = f"{what} for {lasted_s:.{0 if lasted_s >= 10 else 1}f} s{why}"
        self.problem = what + why
        return level


def _missing(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} missing, or withheld as no measurement"
