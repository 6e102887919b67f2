"""The cascade: a sentinel hears every window, and the model is asked where it stirs, and so often as a plan says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from models.features import Features
from models.sentinel import Edge, Sentinel
from models.window import Array, Windows

# What looks at the windows between two that the whole model is asked about: the model itself, the model at one
# window at a time, or the sentinel alone.
Look = Literal["full", "lite", "sentinel"]
State = Literal["inactive", "pending", "active", "clearing"]  # of an alert
RESTLESS = 0.75  # of the edge of normal: from here on the model goes on looking
VIGIL = 120  # windows that it goes on looking at most, where no alert comes of it; half as many the next time
FORGIVEN = 1.05  # and by so much more with each calm look, until it is all of them again
REFRESHED = 8  # under a full gaze every so manieth window goes on teaching
PASSES = 0.1  # share of normal windows that are too strange for the lite look


@dataclass(frozen=True, slots=True)
class Gaze:
    """How a monitor looks at its windows: `every` so many the model looks at as many as it averages; `lite`: at one
    window by itself every so many in between (0: never, unless the sentinel stirs)."""

    every: int = 1
    lite: int = 0

    @property
    def look(self) -> Look:
        if self.every <= 1:
            return "full"
        return "lite" if self.lite else "sentinel"


class Seen(NamedTuple):
    """Windows that the model was asked about, one after the other."""

    times: list[float]
    rows: Array  # (n, columns) of features
    fresh: bool  # nothing before them counts, as after a gap
    skipped: int  # windows just before them that it was not asked about
    thinned: bool = (
        False  # asked about as a plan or the sentinel would have it: no fair sample of how it scores
    )


@dataclass(slots=True)
class Looks:
    """How often, since the start."""

    windows: int = 0  # that there were
    extracted: int = 0  # that features were made of
    lite: int = 0  # looked at by themselves
    full: int = 0  # looks of the whole model
    stirs: int = 0  # windows that stirred the sentinel


class _Kept(NamedTuple):
    """A window that a look may come back to, with its number in the stream."""

    number: int
    time: float
    window: Array
    row: list[Array]  # its features, once they were made


class Cascade:
    """Between the windower and the features. As long as its gaze is full, everything goes through as it came.

    The newest windows are kept, so that a look at any moment sees as many as the model averages, and finds the very
    distance that it would have found had it looked all the time. Once it is restless it goes on looking until it is
    calm again; while an alert is raised there is no hurry, and it looks as planned.

    Does badly with faults that last shorter than from one look to the next and leave the sentinel calm.
    """

    def __init__(
        self, features: Features, channels: int, span: int, glance: Callable[[Array], float | None]
    ) -> None:
        """Of a model that averages `span` windows; `glance(row)` is what it makes of a mean of features `(columns,)`:
        1 is the edge of normal, None while it has not learned."""
        self.features, self._span, self._glance = features, span, glance
        self._sentinel = Sentinel(channels, span)
        self._passes = Edge(PASSES)
        self._first_glances: list[float] | None = []  # None once the lite look is taught
        self._kept: deque[_Kept] = deque(maxlen=span)
        self._rows: deque[Array] = deque(maxlen=span)  # features of the newest windows that were looked at
        self._number = 0  # of the newest window
        self._looked = 0  # that of the newest that was looked at
        self._looked_at = 0.0  # its time; 0 while there is none
        self._fresh = True  # nothing before what comes next counts
        self._awake = 0  # calm looks that are wanted before it sleeps again
        self.gaze = Gaze()
        self._raised = False  # an alert is, and is known
        self._vigil, self._patience = 0, float(VIGIL)  # restless looks in a row, and how many there may be
        self.looks = Looks()
        self.longest_s = 0.0  # from one look of the whole model to the next, since this was last set to 0

    @property
    def taught(self) -> bool:
        """Whether the sentinel and the lite look know what is normal; until then the gaze is full."""
        return self._sentinel.ready and self._first_glances is None

    def heed(self, state: State) -> None:
        """How the alert stands, after what was handed on has been judged."""
        self._raised = state in ("active", "clearing")
        if state == "pending":
            self._awake = self._span

    def hear(self, windows: Windows) -> list[Seen]:
        """The windows that the model is asked about, with their features."""
        last = list[Seen]()
        if windows.fresh:
            last = self.flush()
            self._kept.clear()
            self._rows.clear()
            self._fresh, self._awake, self._looked_at = True, self._span, 0.0
        return last + self._hear(windows)

    def flush(self) -> list[Seen]:
        """A look at the newest windows, where they were not looked at and nothing goes on behind them: before a gap, at
        an end."""
        return [self._look()] if self._kept and self._kept[-1].number > self._looked else []

    def _hear(self, windows: Windows) -> list[Seen]:
        means = self._sentinel.hear(windows)
        self.looks.windows += len(windows.times)
        if self.gaze.every <= 1 or not self.taught:
            return [self._all(windows, means)]
        return self._some(windows, means)

    def _all(self, windows: Windows, means: Array) -> Seen:
        """A full gaze."""
        before, skipped = self._caught_up()
        rows = self.features.extract(windows)
        count = len(rows)
        self._number += count
        self._looked = self._number
        self._kept.clear()
        self.looks.extracted += count
        self.looks.full += count
        for time in windows.times:
            self._note(time)
        fresh, self._fresh = self._fresh, False
        learned = self.taught
        settled = count - len(means)
        for i in range(count):
            self._rows.append(rows[i])
            number = self._number - count + i + 1
            if i >= settled and not (learned and number % REFRESHED) and self._normal():
                self._teach(means[i - settled])
        times = windows.times
        if before:
            times = [kept.time for kept in before] + times
            rows = np.concatenate([np.stack([self._row(kept) for kept in before]), rows])
        return Seen(times, rows, fresh, 0 if fresh else skipped)

    def _caught_up(self) -> tuple[list[_Kept], int]:
        """The kept windows that nobody has looked at yet, so that a look has its average; and how many before them are
        passed over for good."""
        pending = [kept for kept in self._kept if kept.number > self._looked]
        skipped = self._number - len(pending) - self._looked
        if skipped:
            self._rows.clear()
        self._rows.extend(self._row(kept) for kept in pending)
        return pending, skipped

    def _some(self, windows: Windows, means: Array) -> list[Seen]:
        seen: list[Seen] = []
        distances = self._sentinel.distances(means)
        settled = len(windows.times) - len(means)
        stacked = windows.stacked()
        for i, time in enumerate(windows.times):
            self._number += 1
            self._kept.append(_Kept(self._number, time, stacked[i].copy(), []))
            distance = distances[i - settled] if i >= settled else 0.0
            if self._wanted(distance):
                seen.append(self._look())
                self._after(means[i - settled] if i >= settled else None, distance)
            elif not self._sentinel.stirs(distance):
                self._sentinel.calm(distance)
        return seen

    def _wanted(self, distance: float) -> bool:
        """Whether the whole model is to look at what is newest."""
        since = self._number - self._looked
        if self._awake or since >= self.gaze.every:
            return True
        stirred = self._sentinel.stirs(distance) and not self._raised
        self.looks.stirs += stirred
        if not stirred and not (self.gaze.lite and since % self.gaze.lite == 0):
            return False
        self.looks.lite += 1
        glanced = self._glance(self._row(self._kept[-1]))
        assert glanced is not None
        if glanced > self._passes.value:
            return True
        if stirred:
            self._sentinel.calm(distance)
        return False

    def _look(self) -> Seen:
        """At the newest window and those before it that an average has."""
        pending, skipped = self._caught_up()
        rows = [self._row(kept) for kept in pending]
        self._looked = self._number
        self.looks.full += 1
        self._note(pending[-1].time)
        fresh, self._fresh = self._fresh, False
        return Seen(
            [kept.time for kept in pending], np.stack(rows), fresh, 0 if fresh else skipped, thinned=True
        )

    def _after(self, mean: Array | None, distance: float) -> None:
        """Go on looking, or sleep."""
        if not self._normal():
            self._keep_vigil(mean, distance)
            return
        self._vigil, self._patience = 0, min(VIGIL, FORGIVEN * self._patience)
        if self._awake:
            self._awake -= 1
        self._sentinel.calm(distance)
        if mean is not None:
            self._teach(mean)

    def _keep_vigil(self, mean: Array | None, distance: float) -> None:
        """Look at the next windows too; but a machine that stays nearly strange, and raises no alert, is not watched
        for ever: then the sentinel gets used to it, and planned looks do."""
        self._vigil += 1
        self._awake = 0 if self._raised else self._span
        level = self._level()
        if self._vigil >= self._patience and not self._raised and level is not None and level < 1.0:
            self._awake = self._vigil = 0
            self._sentinel.calm(distance)
            if mean is not None:
                self._sentinel.teach(mean)
            self._patience = max(1.0, self._patience / 2)

    def _teach(self, mean: Array) -> None:
        """The sentinel and the lite look, by a window that the model calls normal."""
        self._sentinel.teach(mean)
        glanced = self._glance(self._rows[-1])
        assert glanced is not None
        if self._first_glances is None:
            self._passes.follow(glanced)
            return
        self._first_glances.append(glanced)
        if self._sentinel.ready:
            self._passes.begin(np.array(self._first_glances))
            self._first_glances = None

    def _normal(self) -> bool:
        """Whether the model finds the newest windows normal, and not nearly strange."""
        level = self._level()
        return level is not None and level < RESTLESS

    def _level(self) -> float | None:
        """What the model makes of the newest windows; None where they are too few, or it has not learned."""
        if len(self._rows) < self._span:
            return None
        return self._glance(np.add.reduce(list(self._rows)) / np.float32(self._span))

    def _row(self, kept: _Kept) -> Array:
        """The features of a window, made once."""
        if not kept.row:
            length = len(kept.window)
            alone = Windows([kept.time], kept.window, length, length, False)
            kept.row.append(self.features.extract(alone)[0])
            self.looks.extracted += 1
        return kept.row[0]

    def _note(self, time: float) -> None:
        if self._looked_at:
            self.longest_s = max(self.longest_s, time - self._looked_at)
        self._looked_at = time
