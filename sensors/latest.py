"""The newest value of each channel, of sources that push values whenever they like."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence

MOST_WAITING = 4096  # values of one channel that a tick has not come to: 40 s of a delay at 100 Hz
NOTHING = (-math.inf, math.nan)  # time and value of a channel that has none yet


class Latest:
    """What each channel's newest value is at any time asked for. One thread pushes, another asks.

    Times are of one clock that never jumps. A value counts from its time on, until the next one's. Of those between two
    ticks only the newest is kept.
    """

    def __init__(
        self,
        stale_after_s: Sequence[float],
        first_tick: float,
        period_s: float,
        counts: dict[str, int] | None = None,
    ) -> None:
        """`stale_after_s` of each channel: how old its value may be; infinity where it stands until it is withdrawn.

        Added to `counts`: `superseded`, values that gave way to a newer one before a tick; `stale`, samples that are
        missing because the value was too old.
        """
        self._limits, self._first_tick, self._period_s = stale_after_s, first_tick, period_s
        self._held = [NOTHING] * len(stale_after_s)
        self._coming: list[deque[tuple[float, float]]] = [deque() for _ in stale_after_s]
        self._counts = {} if counts is None else counts
        self._lock = threading.Lock()
        self.old: set[int] = set()  # channels that were stale when asked last

    def push(self, channel: int, time: float, value: float) -> None:
        """One more value; NaN withdraws the one before. What comes later is never older, whatever its time says."""
        with self._lock:
            coming = self._coming[channel]
            time = max(time, (coming[-1] if coming else self._held[channel])[0])
            if coming and (len(coming) == MOST_WAITING or self._tick(coming[-1][0]) == self._tick(time)):
                coming.pop()
                self._count("superseded")
            coming.append((time, value))

    def at(self, time: float) -> list[float]:
        """The value of each channel at a time, not before the one asked for last; NaN where none is young enough."""
        with self._lock:
            return [self._value(channel, time) for channel in range(len(self._held))]

    def unheard(self) -> set[int]:
        """The channels that had no value yet when asked last, not even a missing one."""
        with self._lock:
            return {channel for channel, held in enumerate(self._held) if held is NOTHING}

    def _value(self, channel: int, at: float) -> float:
        coming, passed = self._coming[channel], 0
        while coming and coming[0][0] <= at:
            self._held[channel] = coming.popleft()
            passed += 1
        if passed > 1:
            self._count("superseded", passed - 1)
        time, value = self._held[channel]
        if at - time <= self._limits[channel] or math.isnan(value):
            self.old.discard(channel)
            return value
        self.old.add(channel)
        self._count("stale")
        return math.nan

    def _tick(self, time: float) -> int:
        """The tick that this is the newest value for, unless a newer one comes."""
        return math.ceil((time - self._first_tick) / self._period_s)

    def _count(self, reason: str, count: int = 1) -> None:
        self._counts[reason] = self._counts.get(reason, 0) + count
