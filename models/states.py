"""Operating states: the few ways a machine is run, told from the channels that drive it.

A state is a box over the state channels: from settings (`declared`), or found in a lesson (`models.state_finding`).
Only state channels decide: a fault that shows elsewhere can never look like another state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.window import Array

NOTHING = 0.005  # of the largest value among the states: shown as 0
ALONE = 0.1  # of its value, how far the box of a state reaches that no gap tells from others
NOISES = 3.0  # standard deviations of the difference between neighbours
EASE = 0.02  # of a given threshold, by which a state is left later than it is entered
DRIVING_UNITS = ("Hz", "/min", "1/min", "rpm", "{rpm}", "{#}/min")
DRIVING_NAMES = (
    "speed",
    "rpm",
    "load",
    "torque",
    "power",
    "frequency",
    "switch",
    "state",
    "mode",
    "running",
    "setpoint",
)

Doubles = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column that may tell the states."""

    column: int
    name: str
    unit: str
    logarithm: bool = False  # the column is the natural logarithm of a quantity in `unit`

    @property
    def driving(self) -> bool:
        """Whether name or unit say that it is what the machine is asked to do, rather than what it makes of it."""
        words = self.name.lower().replace("_", " ").replace("-", " ").split()
        return self.unit in DRIVING_UNITS or any(word in words for word in DRIVING_NAMES)


@dataclass(frozen=True, slots=True)
class States:
    """Boxes over the state channels: entered through `low` and `high`, left `linger` later."""

    channels: tuple[Candidate, ...]
    low: Doubles  # (states, channels)
    high: Doubles
    centre: Doubles  # (states, channels) for names; NaN where a box has none
    margin: Doubles  # (channels,): how far a new box reaches beyond its rows
    linger: Doubles  # (channels,)
    settle: tuple[int, ...]  # rows after entering each state that are not judged
    open: bool  # what lies in no box is a state not seen yet; else it belongs to the nearest
    names: tuple[str, ...] = ()  # given ones, in the order of the states; the others are numbered

    @property
    def count(self) -> int:
        return len(self.low)

    def name(self, state: int) -> str:
        """ "idle" where that was given, else "state 2 (speed 24.7 Hz, load 70 %)"."""
        if state < len(self.names):
            return self.names[state]
        values = [
            self.value(i, value) for i, value in enumerate(self.centre[state].tolist()) if np.isfinite(value)
        ]
        return f"state {state + 1}" + (f" ({', '.join(values)})" if values else "")

    def value(self, channel: int, value: float) -> str:
        """A value of a state channel for a person: "load 70 %"."""
        of = self.channels[channel]
        largest = float(np.nanmax(np.abs(self.centre[:, channel]), initial=0.0))
        shown = float(np.exp(value)) if of.logarithm else 0.0 if abs(value) < NOTHING * largest else value
        return f"{of.name} {shown:.3g}" + (f" {of.unit}" if of.unit not in ("", "1") else "")

    def of(self, rows: Array) -> Doubles:
        """The state channels of rows of features, (n, channels)."""
        return rows[:, [channel.column for channel in self.channels]].astype(np.float64)

    def inside(self, values: Doubles, state: int, *, lingering: bool) -> NDArray[np.bool_]:
        """`(n,)`: rows of `of` within a box."""
        more = self.linger if lingering else 0.0
        within = (values >= self.low[state] - more) & (values <= self.high[state] + more)
        inside: NDArray[np.bool_] = within.all(axis=1)
        return inside

    def entered(self, values: Doubles) -> Labels:
        """`(n,)`: the first state whose box holds each row, -1 for none."""
        labels = np.full(len(values), -1)
        for state in reversed(range(self.count)):
            labels[self.inside(values, state, lingering=False)] = state
        return labels

    def nearest(self, values: Doubles) -> Labels:
        """`(n,)`: the state whose box lies nearest, in margins."""
        apart = np.maximum(self.low[:, None] - values, values - self.high[:, None])
        distance = (np.maximum(apart, 0.0) / np.maximum(self.margin, 1e-12)).max(axis=2)
        labels: Labels = distance.argmin(axis=0)
        return labels

    def grown(self, values: Doubles, settle: int) -> States:
        """With one state more, around these rows of `of`: as far as the others reach, or ALONE of what is large."""
        margin = np.maximum(self.margin, self.reach(values))
        return replace(
            self,
            low=np.vstack([self.low, values.min(axis=0) - margin]),
            high=np.vstack([self.high, values.max(axis=0) + margin]),
            centre=np.vstack([self.centre, np.median(values, axis=0)]),
            settle=(*self.settle, settle),
        )

    def reach(self, values: Doubles) -> Doubles:
        """`(channels,)`: how far from each other consecutive values may lie that are much the same: ALONE of the
        largest value known, and their noise from row to row."""
        plain = np.array([not channel.logarithm for channel in self.channels])
        known = np.vstack([self.centre, np.median(values, axis=0)])
        reach: Doubles = np.where(plain, ALONE * np.nanmax(np.abs(known), axis=0), 0.0)
        if len(values) > 1:
            reach = np.maximum(reach, NOISES * np.diff(values, axis=0).std(axis=0))
        return reach

    @property
    def rounded(self) -> States:
        """As a baseline will keep them, so that a restart changes nothing."""
        low, high, centre, margin, linger = (
            getattr(self, name).astype(np.float32).astype(np.float64) for name in _KEPT
        )
        return replace(self, low=low, high=high, centre=centre, margin=margin, linger=linger)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a baseline keeps of them; `restored` is the way back."""
        kept = {name: getattr(self, name).astype(np.float32) for name in _KEPT}
        kept["settle"] = np.array(self.settle, np.float32)
        kept["open"] = np.array([self.open], np.float32)
        kept["column"] = np.array([channel.column for channel in self.channels], np.float32)
        return kept


_KEPT = ("low", "high", "centre", "margin", "linger")


def restored(
    arrays: Mapping[str, NDArray[Any]], candidates: Iterable[Candidate], names: Sequence[str]
) -> States:
    """The states that `arrays` came from. Raises ValueError when they do not belong to these candidates."""
    of = {candidate.column: candidate for candidate in candidates}
    try:
        channels = tuple(of[int(column)] for column in arrays["column"])
        kept = {name: arrays[name].astype(np.float64) for name in _KEPT}
        settle, open_ = tuple(int(rows) for rows in arrays["settle"]), bool(arrays["open"][0])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"its states cannot be read ({error!r})") from None
    shapes = {(len(settle), len(channels))}
    if {kept[name].shape for name in ("low", "high", "centre")} != shapes or not settle:
        raise ValueError("its states do not fit together")
    if {kept[name].shape for name in ("margin", "linger")} != {(len(channels),)}:
        raise ValueError("its states do not fit together")
    return States(channels, **kept, settle=settle, open=open_, names=tuple(names))


Bounds = Mapping[Candidate, tuple[float, float]]  # of each channel that a state's condition names


def declared(conditions: Sequence[Bounds], names: Sequence[str], settle: int) -> States:
    """States as a person wrote them; a row that meets none of the conditions has no state."""
    channels = tuple(dict.fromkeys(channel for bounds in conditions for channel in bounds))
    low = np.array(
        [[bounds.get(channel, (-np.inf, np.inf))[0] for channel in channels] for bounds in conditions]
    )
    high = np.array(
        [[bounds.get(channel, (-np.inf, np.inf))[1] for channel in channels] for bounds in conditions]
    )
    edges = np.abs(np.concatenate([low, high]))
    ease = EASE * np.where(np.isfinite(edges), edges, 0.0).max(axis=0)
    none = np.full(low.shape, np.nan)
    waits = (settle,) * len(conditions)
    return States(channels, low, high, none, ease, ease, waits, True, tuple(names)).rounded
