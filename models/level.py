"""The bank of level changes: slow channels, each against its own hour, week and long level."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibration
from models.detector import Bank, Job, Learned, LearningError, Normal, Shift
from models.learning import robust_standard
from models.session import Bound, aligned, open_graph
from models.tail import Prior
from models.window import Array

EDGE = 4 / 3  # the reference edge: so many mean excesses, in the mean of the distances
USUAL = Prior(
    0.75, 0.35
)  # its tail, much the same on most slow channels of the NAB: it measures by mean excesses
WARM = 150  # samples whose distances give the first tail
TAIL_QUANTILE = 0.98
PRIOR_COUNT, PRIOR_SHARE = 3.0, 0.1  # the first mean excess leans on a tenth of q, as if seen three times
LEAST_Q = 0.05  # in standardised units
HOUR_S, HOURS, WEEK_HOURS = 3600.0, 24, 168
TABLE = 2 * (HOURS + WEEK_HOURS)  # for each slot its mean, then for each slot how often it was seen
LAGS, GAP, MATURE = 144, 20, 30  # as in the graph; a comparison means something after so many samples
APART, DISTANCES = 6, 8
WIDTHS: dict[str, tuple[int, ...]] = {  # of the state that is saved
    "table": (TABLE,),
    "memory": (10,),
    "past": (2, GAP + LAGS - 1),
    "unlike": (2, LAGS),
    "tail": (2 * DISTANCES,),
}
# Of the state that goes through the graph.
CARRIED = {"profile": (4,), **{name: shape for name, shape in WIDTHS.items() if name != "table"}}
FEWEST = 20  # rows to learn from
TOGETHER = 128  # channels that learn in one go: their state stays in the processor's cache


class Level:
    """A step graph with state: each sample of each channel moves it on, and gives the mean excess of eight
    distances: how far the level lies from the long one, and how unlike the newest samples are to the past.

    Does badly in the first day or week of a channel with seasons, before its profile is known, and where a
    level creeps for longer than a thousand samples.
    """

    detector = "level"
    graph = "level.onnx"
    choosy = False  # by quantiles and a tail of its own; without what is rare in health the tail comes out too tight
    still = "any movement is strange"

    def __init__(self, width: int) -> None:
        self.width = width
        self._learned: Learned | None = None
        self.calibration = Calibration(())
        self.bank: Bank | None = None
        self.seat = -1

    def learn(self, times: NDArray[np.float64], rows: Array, starts: Sequence[int]) -> Learned:
        if len(rows) < FEWEST:
            raise LearningError(f"{len(rows)} normal rows are too few to learn from: it takes {FEWEST}")
        parts = [
            _learned(times, rows[:, first : first + TOGETHER]) for first in range(0, self.width, TOGETHER)
        ]
        arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays}
        highest = np.maximum.reduce([part.raw for part in parts])
        # Each row is scored before it is learned.
        normal = Normal(highest.astype(np.float64) / EDGE, prior=USUAL)
        return Learned(arrays, Calibration((EDGE,)), normal=normal)

    @property
    def shares(self) -> Hashable:
        return self.graph

    def make_bank(self) -> LevelBank:
        return LevelBank()

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The arrays it was armed with; the state among them is that of then."""
        assert self._learned is not None
        return self._learned.arrays

    def arm(self, learned: Learned) -> None:
        for name, shape in {"median": (1,), "inverse_scale": (1,), **WIDTHS}.items():
            array, expected = learned.arrays.get(name), (self.width, *shape)
            if array is None or array.shape != expected or not np.isfinite(array).all():
                found = "nothing" if array is None else array.shape
                raise LearningError(f"learned array {name}: expected finite {expected}, found {found}")
        self._learned = learned
        self.calibration = learned.calibration

    def learned(self) -> Learned:
        """With the state as it stands now."""
        assert self._learned is not None
        arrays = dict(self._learned.arrays)
        if isinstance(self.bank, LevelBank):
            arrays.update(self.bank.state(self))
        return replace(self._learned, arrays=arrays)

    def usual(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        median, inverse = (
            self.weights[name][:, 0].astype(np.float64) for name in ("median", "inverse_scale")
        )
        return median, 1 / inverse

    def seen(self, job: Job) -> Array:
        return job.inputs[0]

    def take(self, times: list[float], rows: Array, fresh: bool) -> Job | None:
        """Every row counts; a gap is bridged, for levels, hours and weeks outlast it."""
        return Job(self, times, (rows,))

    def explain(self, job: Job, index: int) -> list[Shift]:
        """Channels by their score; sigma is how far the short level stands from the long one, in normal sigma."""
        scores, short, apart = job.raw[1:, index].reshape(3, self.width).astype(np.float64)
        scale = 1 / self.weights["inverse_scale"][:, 0].astype(np.float64)
        value = short * scale + self.weights["median"][:, 0]
        normal, share = value - apart * scale, scores / max(scores.max(), 1e-12)
        return [
            Shift(i, float(apart[i]), float(value[i]), float(normal[i]), float(share[i]))
            for i in np.argsort(-scores, kind="stable").tolist()
        ]


class _Pupils(NamedTuple):
    """What some channels learned."""

    arrays: dict[str, NDArray[Any]]
    raw: Array  # (n,) their highest score at each row after those of the first tail


def _learned(times: NDArray[np.float64], rows: Array) -> _Pupils:
    """The first rows give the tail, the others go through it; each channel for itself."""
    width = rows.shape[1]
    median, scale = robust_standard(rows)
    arrays = {
        "median": median[:, None].astype(np.float32),
        "inverse_scale": (1 / scale[:, None]).astype(np.float32),
        **{name: np.zeros((width, *shape), np.float32) for name, shape in WIDTHS.items()},
    }
    arrays["tail"][:] = 1e9  # no excess until the first distances are known
    pupil, steps = Level(width), LevelBank()
    pupil.arm(Learned(arrays, Calibration((EDGE,))))
    pupil.bank, pupil.seat = steps, steps.seat(pupil)
    warm = min(WARM, len(rows) // 2)
    distances = np.empty((warm, width, DISTANCES))
    for i in range(warm):
        steps.score([Job(pupil, [float(times[i])], (rows[i : i + 1],))])
        distances[i] = steps.distances(pupil)
        known = max(0, i - GAP - MATURE + 1)  # lags that have had their time; before, the past is all zeros
        distances[i, :, APART:] = np.sqrt(steps.unlike(pupil)[:, :, :known].min(axis=2)) if known else 0.0
    q = np.quantile(distances, TAIL_QUANTILE, axis=0)
    over = distances > q
    excess = np.where(over, distances - q, 0.0).sum(axis=0)
    q = np.maximum(q, 1e-3)
    prior = PRIOR_SHARE * np.maximum(q, LEAST_Q)
    beta = (excess + PRIOR_COUNT * prior) / (over.sum(axis=0) + PRIOR_COUNT)
    state = pupil.learned().arrays
    state["tail"] = np.concatenate([q, beta], axis=1).astype(np.float32)
    pupil.arm(Learned(state, Calibration((EDGE,))))
    pupil.seat = steps.seat(pupil)
    rest = Job(pupil, times[warm:].tolist(), (rows[warm:],))
    steps.score([rest])
    return _Pupils(pupil.learned().arrays, rest.raw[0])


class LevelBank:
    """Channels of all heads as rows of one array, moved on together; their state goes to and fro between
    two sets of arrays, so that no step copies it. Of the profiles only the hour's own slots do: they are
    exchanged with the table when the hour changes."""

    def __init__(self) -> None:
        self._heads: dict[Level, int] = {}  # to their seats
        self._rows: list[slice] = []
        self._kept: dict[int, dict[str, NDArray[Any]]] = {}  # states to go on with once bound anew
        self._bound: list[Bound] = []  # empty until all have their seats
        self._now = 0  # which of the two sets holds the state

    def seat(self, head: Level) -> int:
        """Take a head in with the state it is armed with, or anew with another."""
        if self._bound:
            self._kept = {number: self._state(number) for number in self._heads.values()}
            self._bound = []
        number = self._heads.setdefault(head, len(self._heads))
        self._kept.pop(number, None)
        return number

    def state(self, head: Level) -> dict[str, NDArray[Any]]:
        """The head's state as it stands."""
        if not self._bound:
            self._bind()
        return self._state(self._heads[head])

    def _state(self, seat: int) -> dict[str, NDArray[Any]]:
        rows, state = self._rows[seat], self._sets[self._now]
        self._store(rows, seat)
        carried = {name: array[rows].copy() for name, array in state.items() if name != "profile"}
        return {"table": self._table[rows].copy(), **carried}

    def _bind(self) -> None:
        """Give every head its rows, with the state it has come to or else is armed with."""
        stops = np.cumsum([head.width for head in self._heads]).tolist()
        self._rows = [slice(stop - head.width, stop) for head, stop in zip(self._heads, stops, strict=True)]
        self._allocate(stops[-1])
        for head, seat in self._heads.items():
            rows, arrays = self._rows[seat], {**head.weights, **self._kept.get(seat, {})}
            for name in ("median", "inverse_scale"):
                self._fixed[name][rows] = arrays[name]
            self._table[rows] = arrays["table"]
            for name in WIDTHS:
                if name != "table":
                    self._sets[0][name][rows] = arrays[name]
        self._kept = {}

    def score(self, jobs: Sequence[Job]) -> None:
        """`raw` is `(1 + 3 * channels, n)`: the largest score, then of each channel its score, its short
        level and how far that stands from the long level, both standardised."""
        if not self._bound:
            self._bind()
        longest = 0
        for job in jobs:
            count, width = job.inputs[0].shape
            job.raw = np.empty((1 + 3 * width, count), np.float32)
            longest = max(longest, count)
        everyone = len(jobs) == len(self._heads)
        value, score = self._fixed["value"], self._out["score"]
        for t in range(longest):
            due = [job for job in jobs if t < len(job.times)] if len(jobs) > 1 else jobs
            for job in due:
                rows = self._rows[job.head.seat]
                value[rows, 0] = job.inputs[0][t]
                self._place(rows, job.head.seat, job.times[t])
            if everyone and len(due) == len(jobs):
                self._bound[self._now].run()
                self._now = 1 - self._now
            else:
                self._step([self._rows[job.head.seat] for job in due])
            memory, apart = self._sets[self._now]["memory"], self._out["apart"]
            for job in due:
                rows, raw = self._rows[job.head.seat], job.raw
                width = rows.stop - rows.start
                if width == 1:
                    raw[0, t] = raw[1, t] = score[rows.start, 0]
                else:
                    raw[0, t] = score[rows].max()
                    raw[1 : 1 + width, t] = score[rows, 0]
                raw[1 + width : 1 + 2 * width, t] = memory[rows, 4]
                raw[1 + 2 * width :, t] = apart[rows, 0]

    def distances(self, head: Level) -> NDArray[np.float32]:
        """`(channels, 8)`: distances of the latest step."""
        return self._out["distance"][self._rows[head.seat]]

    def unlike(self, head: Level) -> NDArray[np.float32]:
        """`(channels, 2, LAGS)`: squared distances of the newest samples from each stretch of the past."""
        return self._sets[self._now]["unlike"][self._rows[head.seat]]

    def _place(self, rows: slice, seat: int, time: float) -> None:
        """Give the channels the profile of this hour."""
        hour = int(time // HOUR_S)
        if hour != self._hours[seat]:
            self._store(rows, seat)
            self._hours[seat] = hour
            self._sets[self._now]["profile"][rows] = self._table[rows, slots(hour)]

    def _store(self, rows: slice, seat: int) -> None:
        """Write the hour's profile back to the table."""
        hour = self._hours[seat]
        if hour is not None:
            self._table[rows, slots(hour)] = self._sets[self._now]["profile"][rows]

    def _step(self, rows: Sequence[slice]) -> None:
        """Move only these rows on."""
        some = np.concatenate([np.arange(r.start, r.stop) for r in rows])
        state, names = self._sets[self._now], [f"{name}_next" for name in CARRIED]
        feed = {name: array[some] for name, array in (*self._fixed.items(), *state.items())}
        results = open_graph(Level.graph).run([*names, *self._out], feed)
        for array, result in zip((*state.values(), *self._out.values()), results, strict=True):
            array[some] = result

    def _allocate(self, channels: int) -> None:
        self._fixed: dict[str, NDArray[Any]] = {
            "value": aligned(channels, 1),
            "median": aligned(channels, 1),
            "inverse_scale": aligned(channels, 1),
        }
        self._table = np.zeros((channels, TABLE), np.float32)
        self._sets = [{name: aligned(channels, *shape) for name, shape in CARRIED.items()} for _ in range(2)]
        self._out = {
            "score": aligned(channels, 1),
            "distance": aligned(channels, DISTANCES),
            "apart": aligned(channels, APART),
        }
        self._now = 0
        self._hours: list[int | None] = [None] * len(self._heads)
        session = open_graph(Level.graph)
        self._bound = []
        for before, after in (self._sets, self._sets[::-1]):
            outputs = {f"{name}_next": array for name, array in after.items()}
            self._bound.append(Bound(session, {**self._fixed, **before}, {**outputs, **self._out}))


def slots(hour: int) -> list[int]:
    """Columns of the table: means of this hour of the day and of the week, then how often each was seen."""
    day, week = hour % HOURS, HOURS + hour % WEEK_HOURS
    return [day, week, HOURS + WEEK_HOURS + day, HOURS + WEEK_HOURS + week]
