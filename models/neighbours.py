"""Streaming nearest neighbours: slow channels, and how far their latest stretch lies from all that were normal."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.blocks import COLUMNS, check_arrays
from models.calibration import FOLDS, QUANTILE, Calibration, Doubles, out_of_fold
from models.detector import Bank, Job, Learned, LearningError, Normal, Shift
from models.learning import robust_standard
from models.session import Bound, aligned, open_graph
from models.window import Array, Tail

LENGTH = 24  # rows of a stretch
KEPT = 256  # stretches kept for each channel
REFRESH = COLUMNS  # stretches from one that may be kept to the next
CALM = REFRESH + LENGTH  # stretches that must have been normal since before one that is kept
CLIP = 50.0  # standardised
LEAST_EDGE = 0.05  # standardised, root of the mean square: of a channel that hardly moves
EMPTY = 1e30  # the energy of a seat that is not taken: never the nearest
ROOT = LENGTH**0.5
LIMIT = np.float32(CLIP / ROOT)
FEWEST = (FOLDS + 1) * LENGTH  # rows to learn from


class Neighbours:
    """The root mean square difference of a channel's last LENGTH rows from the most similar stretch among KEPT, over
    its own 0.99 quantile in normal operation; the largest of all channels counts. Of the stream every REFRESH-th
    stretch that was normal, and CALM stretches around it too, is a candidate of the reservoir (Vitter 1985), which a
    stretch enters the more rarely the more have been seen: memory and time are bounded, and it never forgets all.

    Does badly on noise (in 24 dimensions all stretches are far from each other), on seasons it has not seen, where
    two channels are strange only together, and after a lasting change: what is normal from then on is only
    taken in while it scores as normal.
    """

    detector = "knn"
    graph = "neighbours.onnx"
    choosy = True
    still = "any movement is strange"

    def __init__(self, width: int) -> None:
        self.width = width
        self._learned: Learned | None = None
        self._standard = (np.zeros(width, np.float32), np.ones(width, np.float32))
        self.calibration = Calibration(())
        self.bank: Bank | None = None
        self.seat = -1
        self._tail = Tail(LENGTH - 1, width)
        self._rows = 0  # since the stream began afresh

    @property
    def shares(self) -> Hashable:
        return self.graph

    def make_bank(self) -> NeighboursBank:
        return NeighboursBank()

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The arrays it was armed with; the memory among them is that of then."""
        assert self._learned is not None
        return self._learned.arrays

    def learn(self, times: NDArray[np.float64], rows: Array, starts: Sequence[int]) -> Learned:
        if len(rows) < FEWEST:
            raise LearningError(f"{len(rows)} normal rows are too few to learn from: it takes {FEWEST}")
        median, scale = robust_standard(rows)
        arrays = {
            "median": median[:, None].astype(np.float32),
            "inverse_scale": (1 / scale[:, None]).astype(np.float32),
        }
        standard = _standardised(rows, arrays["median"][:, 0], arrays["inverse_scale"][:, 0])
        stretches, firsts, count = [], [], 0
        for a, b in zip(starts, (*starts[1:], len(rows)), strict=True):
            if b - a >= LENGTH:
                stretches.append(sliding_window_view(standard[a:b], LENGTH, axis=0))
                firsts.append(count)
                count += b - a - LENGTH + 1
        if count < FEWEST - LENGTH + 1:
            raise LearningError(
                f"{len(rows)} rows with {len(starts) - 1} gaps leave {count} stretches of {LENGTH} rows: it takes"
                f" {FEWEST - LENGTH + 1}"
            )
        together = np.concatenate(stretches)  # (n, channels, LENGTH)
        scores = np.empty((self.width, count))
        arrays["inverse_edge"] = np.empty((self.width, 1), np.float32)
        arrays["memory"] = np.zeros((self.width, KEPT, LENGTH), np.float32)
        arrays["seen"] = np.full((self.width, 1), count, np.float32)
        for channel in range(self.width):
            own = np.ascontiguousarray(together[:, channel])
            kept = own[_spread(count)]
            arrays["memory"][channel, : len(kept)] = kept
            distances = out_of_fold(own.astype(np.float64), _nearest_of, LENGTH - 1)
            edge = max(float(np.quantile(distances, QUANTILE)), LEAST_EDGE)
            scores[channel] = distances / edge
            arrays["inverse_edge"][channel] = 1 / edge
        highest = scores.max(axis=0)
        edge = max(
            float(np.quantile(highest, QUANTILE)), 1e-6
        )  # of several channels one is often the highest
        return Learned(arrays, Calibration((edge,)), normal=Normal(highest / edge, tuple(firsts)))

    def arm(self, learned: Learned) -> None:
        one = (self.width, 1)
        shapes: dict[str, tuple[int, ...]] = {
            "median": one,
            "inverse_scale": one,
            "inverse_edge": one,
            "seen": one,
        }
        check_arrays(learned.arrays, {**shapes, "memory": (self.width, KEPT, LENGTH)})
        self._learned = learned
        self._standard = (learned.arrays["median"][:, 0], learned.arrays["inverse_scale"][:, 0])
        self.calibration = learned.calibration
        self._tail.clear()
        self._rows = 0

    def learned(self) -> Learned:
        """With the memory as it stands now."""
        assert self._learned is not None
        if not isinstance(self.bank, NeighboursBank):
            return self._learned
        return replace(self._learned, arrays={**self._learned.arrays, **self.bank.state(self)})

    def take(self, times: list[float], rows: Array, fresh: bool) -> Job | None:
        if fresh:
            self._tail.clear()
            self._rows = 0
        weights = self.weights
        view = self._tail.extend(_standardised(rows, weights["median"][:, 0], weights["inverse_scale"][:, 0]))
        before = self._rows
        self._rows += len(rows)
        first = max(0, LENGTH - 1 - before)  # the row that ends the first whole stretch
        if first >= len(rows):
            return None
        whole = view.copy()  # the next rows are written where it lies
        if len(whole) == LENGTH:  # as usual, live
            stretches = whole.T[np.newaxis]
        else:
            stretches = sliding_window_view(whole, LENGTH, axis=0)  # (n, channels, LENGTH)
        number = before + first - LENGTH + 1  # of the first of them since the stream began afresh
        return Job(self, times[first:], (stretches, np.arange(number, number + len(stretches))))

    def explain(self, job: Job, index: int) -> list[Shift]:
        """Channels by their score; sigma, value and normal are where the stretch lies farthest from the most similar
        that is kept now."""
        scores = job.raw[1:, index].astype(np.float64)
        weights, stretch = self.learned().arrays, job.inputs[0][index]
        shifts = []
        for channel in np.argsort(-scores, kind="stable").tolist():
            kept = weights["memory"][channel, : min(KEPT, int(weights["seen"][channel, 0]))]
            apart = (stretch[channel] - kept).astype(np.float64)
            closest = apart[(apart**2).sum(axis=1).argmin()]
            place = int(np.abs(closest).argmax())
            scale, median = (
                1 / float(weights["inverse_scale"][channel, 0]),
                float(weights["median"][channel, 0]),
            )
            sigma = float(closest[place]) * ROOT
            value = median + float(stretch[channel, place]) * ROOT * scale
            share = float(scores[channel] / max(scores.max(), 1e-12))
            shifts.append(Shift(channel, sigma, value, value - sigma * scale, share))
        return shifts


class NeighboursBank:
    """Channels of all heads as rows of one set of arrays; those due are scored in one call if all are, else head by
    head. The memory is bound to the graph and refreshed where it lies."""

    def __init__(self) -> None:
        self._heads: list[Neighbours] = []
        self._seats: list[_Seat] = []
        self._kept: dict[int, dict[str, NDArray[Any]]] = {}  # states to go on with once bound anew
        self._all: Bound | None = None

    def seat(self, head: Neighbours) -> int:
        """Take a head in with the memory it is armed with, or anew with another."""
        if self._all is not None:
            self._kept.update({number: seat.state() for number, seat in enumerate(self._seats)})
            self._all = None
        if head in self._heads:
            number = self._heads.index(head)
            self._kept.pop(number, None)
        else:
            number = len(self._heads)
            self._heads.append(head)
        return number

    def state(self, head: Neighbours) -> dict[str, NDArray[Any]]:
        """The head's memory as it stands."""
        number = self._heads.index(head)
        if self._all is None:
            return self._kept.get(number, {})
        return self._seats[number].state()

    def score(self, jobs: Sequence[Job]) -> None:
        """`raw` is `(1 + channels, n)`: the largest score, then that of each channel."""
        if self._all is None:
            self._all = self._bind()
        due = [_Due(job, self._seats[job.head.seat]) for job in jobs]
        while due:
            for each in due:
                each.fill()
            if len(due) == len(self._heads):
                self._all.run()
            else:
                for each in due:
                    each.seat.bound.run()
            due = [each for each in due if each.settle()]

    def _bind(self) -> Bound:
        stops = np.cumsum([head.width for head in self._heads]).tolist()
        shapes = {
            "stretch": (LENGTH, COLUMNS),
            "memory": (KEPT, LENGTH),
            "energy": (KEPT, 1),
            "inverse_edge": (1, 1),
            "ones": (1, LENGTH),
        }
        arrays = {name: aligned(stops[-1], *shape) for name, shape in shapes.items()}
        arrays["ones"][:] = 1
        score, session = aligned(stops[-1], 1, COLUMNS), open_graph(Neighbours.graph)
        old, self._seats = self._seats, []
        for number, (stop, head) in enumerate(zip(stops, self._heads, strict=True)):
            rows = slice(stop - head.width, stop)
            weights = {**head.weights, **self._kept.pop(number, {})}
            arrays["inverse_edge"][rows] = weights["inverse_edge"][:, :, None]
            mine = {name: array[rows] for name, array in arrays.items()}
            seat = _Seat(mine, score[rows], Bound(session, mine, {"score": score[rows]}))
            seat.take_over(weights, old[number] if number < len(old) else None)
            self._seats.append(seat)
        return Bound(session, arrays, {"score": score})


class _Seat:
    """One head's rows of the bank's arrays, and how its stream went lately."""

    def __init__(self, arrays: dict[str, NDArray[Any]], score: Array, bound: Bound) -> None:
        self.stretch, self.memory, self.energy = (
            arrays["stretch"],
            arrays["memory"],
            arrays["energy"][:, :, 0],
        )
        self.score, self.bound = score, bound
        self.calm = np.zeros(len(score), np.int64)  # normal stretches in a row, of each channel
        self.pending = np.zeros((len(score), LENGTH), np.float32)  # the latest candidate
        self.seen = np.zeros(len(score), np.int64)  # stretches that were candidates so far

    def take_over(self, weights: dict[str, NDArray[Any]], old: _Seat | None) -> None:
        """Go on with this memory, and where the old seat stood."""
        self.memory[:] = weights["memory"]
        self.seen[:] = weights["seen"][:, 0]
        self.energy[:] = _energy(self.memory)
        for channel, seen in enumerate(self.seen.tolist()):
            self.energy[channel, seen:] = EMPTY
        if old is not None:
            self.calm[:], self.pending[:] = old.calm, old.pending

    def state(self) -> dict[str, NDArray[Any]]:
        return {"memory": self.memory.copy(), "seen": self.seen[:, None].astype(np.float32)}

    def refresh(self, latest: Array) -> None:
        """Let the pending stretches of channels that have been calm since long before into the reservoir; `latest`
        `(channels, LENGTH)` are pending from now on."""
        for channel in np.flatnonzero(self.calm >= CALM).tolist():
            seen = int(self.seen[channel])
            place = seen if seen < KEPT else _scattered(seen) % seen
            self.seen[channel] = seen + 1
            if place < KEPT:
                self.memory[channel, place] = self.pending[channel]
                self.energy[channel, place] = _energy(self.pending[channel : channel + 1])[0]
        self.pending[:] = latest


class _Due:
    """A job on its way through its seat, at most to the next refresh at a time."""

    def __init__(self, job: Job, seat: _Seat) -> None:
        self.job, self.seat = job, seat
        self._stretches, numbers = job.inputs
        self._number, self._done = int(numbers[0]), 0
        job.raw = np.empty((1 + len(seat.score), len(job.times)), np.float32)
        if self._number == 0:
            seat.calm[:] = 0

    def fill(self) -> None:
        """The next stretches into the block."""
        first = self._done
        self._count = min(REFRESH - (self._number + first) % REFRESH, len(self.job.times) - first)
        some = self._stretches[first : first + self._count]
        self.seat.stretch[:, :, : self._count] = some.transpose(1, 2, 0)

    def settle(self) -> bool:
        """Take the scores, refresh where one is due; False when all is done."""
        seat, first, count = self.seat, self._done, self._count
        scores = seat.score[:, 0, :count]
        self.job.raw[1:, first : first + count] = scores
        highest = scores.max(axis=0)
        self.job.raw[0, first : first + count] = highest
        if not highest.max() < 1:
            strange = ~(scores < 1)
            since = np.argmax(strange[:, ::-1], axis=1)  # normal stretches after the last strange one
            seat.calm = np.where(strange.any(axis=1), since, seat.calm + count)
        else:
            seat.calm += count
        self._done += count
        if (self._number + self._done) % REFRESH == 0:
            seat.refresh(self._stretches[self._done - 1])
        return self._done < len(self.job.times)


def _standardised(rows: Array, median: Array, inverse_scale: Array) -> Array:
    """Clipped, and over the root of LENGTH, so that a distance is a root mean square."""
    z = (rows - median) * (inverse_scale / np.float32(ROOT))
    standard: Array = np.minimum(np.maximum(z, -LIMIT), LIMIT)
    return standard


def _spread(count: int) -> NDArray[np.int64]:
    """Which of `count` stretches to keep."""
    return np.linspace(0, count - 1, min(KEPT, count)).astype(np.int64)


def _nearest_of(seen: Doubles) -> _Nearest:
    return _Nearest(seen[_spread(len(seen))])


class _Nearest:
    """The distance of stretches from the nearest of some."""

    def __init__(self, kept: Doubles) -> None:
        self._kept, self._energy = kept, (kept**2).sum(axis=1)

    def __call__(self, stretches: Doubles) -> Doubles:
        squared = (self._energy - 2 * stretches @ self._kept.T).min(axis=1) + (stretches**2).sum(axis=1)
        distances: Doubles = np.sqrt(np.maximum(squared, 0.0))
        return distances


def _energy(stretches: Array) -> Array:
    """Sums of squares over the last axis."""
    energy: Array = np.square(stretches.astype(np.float64)).sum(axis=-1).astype(np.float32)
    return energy


def _scattered(number: int) -> int:
    """A 64-bit integer that looks random: SplitMix64 (Steele, Lea and Flood 2014)."""
    mask = 2**64 - 1
    z = (number * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)
