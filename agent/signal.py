"""The faults of one sensor's signal as one alert: what its guard found, in the order of time and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.alerts import Alert, Happening, Rule, advance, happened
from agent.sentences import duration, quantity
from models.guard import STREAM, Finding, Guard, Kind
from models.window import MICROSECOND, Array

RULE = Rule(
    on_delay_s=0.0, off_delay_s=0.0, off_level=1.0, critical_level=10.0
)  # the guard has delays of its own
MOST_SAID = 3  # faults in one sentence; the others are counted
SOUND_ROWS = 60  # after which an alert that an earlier run raised is over, ...
SOUND_S = 10.0  # ... and so long at least

WORDS: dict[Kind, Callable[[str, str, str], str]] = {
    "stuck": lambda channel, value, lasted: f"{channel} is stuck at {value} for {lasted}",
    "flat": lambda channel, value, lasted: (
        f"{channel} has not moved for {lasted}, from the start, at {value}"
    ),
    "saturated": lambda channel, value, lasted: f"{channel} is saturated at {value}",
    "dropout": lambda channel, value, lasted: f"{channel} drops out",
    "out_of_range": lambda channel, value, lasted: f"{channel} is out of its range at {value}",
    "spikes": lambda channel, value, lasted: f"{channel} spikes, one as far as {value}",
    "wrong_rate": lambda channel, value, lasted: f"samples come at {value}, not at {channel}",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """The alert took a turn that others should hear."""

    kind: Happening
    time: float
    alert: Alert
    level: float
    note: str
    fault: str  # names of the kinds, the first to begin first


class Signal:
    """A guard and the alert that its findings make; `channels` are names and units, told to give `rate_hz`."""

    def __init__(self, guard: Guard, channels: Sequence[tuple[str, str]], rate_hz: float) -> None:
        self.guard, self.alert = guard, Alert()
        self._channels, self._told = channels, quantity(rate_hz, "Hz")
        self._faults: dict[tuple[Kind, int], Finding] = {}
        self._found: list[Finding] = []  # not spoken of yet, in the order of time
        self.waits_from = math.inf  # time of the first of them; infinity where there is none
        self._sound_rows = 0  # that are still wanted before an alert of an earlier run is over
        self._enough = max(SOUND_ROWS, math.ceil(SOUND_S * rate_hz))
        self.withheld = False  # the newest sample, though it came

    def check(self, time: float, rate_hz: float, values: Array) -> Array:
        """The samples with NaN for what is no measurement; what was found waits for `turns`."""
        checked, found = self.guard.check(time, rate_hz, values)
        if checked is values and not (found or self.withheld or self._sound_rows):
            return checked
        self._found += found
        if checked is not values:
            self.withheld = bool(np.isnan(checked[-1]).any() and not np.isnan(values[-1]).any())
        elif self.withheld:
            self.withheld = False
        if self._sound_rows and any(finding.begins for finding in found):
            self._sound_rows = 0  # and the alert goes on
        elif self._sound_rows:
            self._sound_rows -= min(self._sound_rows, len(values))
            if not self._sound_rows:
                last = round((time + (len(values) - 1) / rate_hz) * MICROSECOND) / MICROSECOND
                self._found.append(Finding("stuck", STREAM, False, last, last, math.nan))
        self.waits_from = self._found[0].time if self._found else math.inf
        return checked

    @property
    def ailing(self) -> bool:
        """Something is wrong with the signal, and was said."""
        return bool(self._faults)

    def turns(self, until: float = math.inf) -> list[Turn]:
        """What the findings up to `until` make of the alert."""
        turns: list[Turn] = []
        while self._found and self._found[0].time <= until:
            time = self._found[0].time
            before = self._kinds()
            while self._found and self._found[0].time == time:
                self._take(self._found.pop(0))
            level = 1.0 if self._faults or self._sound_rows else 0.0
            after = advance(self.alert, RULE, level, time)
            kind = happened(self.alert, after)
            if kind is None and after.raised:
                kind = "updated"
            self.alert = after
            if kind is not None:
                note = self.note(time) if self._faults else ""
                turns.append(Turn(kind, time, after, level, note, self._kinds() or before))
        self.waits_from = self._found[0].time if self._found else math.inf
        return turns

    def _take(self, finding: Finding) -> None:
        key = finding.kind, finding.column
        if finding.begins:
            self._faults[key] = finding
        else:
            self._faults.pop(key, None)

    def resume(self, alert: Alert) -> None:
        """Go on with an alert that an earlier run raised, until enough sound samples have come."""
        self.alert, self._sound_rows = alert, self._enough

    @property
    def faults(self) -> list[tuple[Kind, str, float]]:
        """What is wrong now: the kind, the channel ("" where it is all of them), and since when."""
        return [
            (kind, "" if column == STREAM else self._channels[column][0], finding.since)
            for (kind, column), finding in self._faults.items()
        ]

    def note(self, time: float) -> str:
        """What is wrong, as a phrase, at a time."""
        said = []
        for (kind, column), finding in list(self._faults.items())[:MOST_SAID]:
            name, unit = (self._told, "Hz") if column == STREAM else self._channels[column]
            value = quantity(finding.value, unit) if math.isfinite(finding.value) else "no number"
            said.append(WORDS[kind](name, value, duration(time - finding.since)))
        if len(self._faults) > MOST_SAID:
            said.append(f"and {len(self._faults) - MOST_SAID} more")
        return ", ".join(said)

    def _kinds(self) -> str:
        return ", ".join(dict.fromkeys(kind for kind, _ in self._faults))
