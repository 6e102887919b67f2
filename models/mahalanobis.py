"""The smoothed Mahalanobis head: several channels, or features of vibration, and how far they moved."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import QUANTILE, Calibration, Doubles, out_of_fold
from models.detector import Bank, Job, Learned, LearningError, Normal, Shift
from models.learning import smallest_steps
from models.session import Bound, aligned, open_graph
from models.window import Array, Tail, sliding_sum

COLUMNS = 16  # rows scored per call: a fixed number, so that vector code never meets a remainder
SHRINKAGE = 0.1  # of the covariance towards its diagonal
RIDGE = 1e-3  # of the mean variance, on the diagonal
WANDERING = 0.5  # variance of block means over variance inside blocks, above which a channel wanders
BLOCKS = 10
RESOLUTION_FLOOR = 0.3  # of the smallest step between two values, as a least standard deviation
# Of the largest jump seen while learning: at 1 a pump rig's drift alarmed 13 % of normal time, here 3 %.
JUMP_MARGIN = 3.0
CHANGE_SPANS = 3  # the level is compared with the mean of the three levels before it
THREE = np.float32(CHANGE_SPANS)
FEWEST = 40  # rows to learn from
FEWEST_SPANS = 4  # independent levels to learn from, and changes to learn sudden ones from: one for each fold
FAINTEST = 1e-30  # deviation of a channel worth listening to; its inverse still fits float32


def fewest_levels(smooth: int, every: int = 1) -> int:
    """How many averages over `smooth` rows, every `every` rows, it takes to learn from."""
    return max(FEWEST, FEWEST_SPANS * smooth // every)


def fewest_rows(smooth: int, every: int = 1) -> int:
    """How many rows give so many averages."""
    return smooth + (fewest_levels(smooth, every) - 1) * every


class Smoother:
    """Means of the newest `span` rows, every `every` rows, and how far each lies from the levels before."""

    def __init__(self, span: int, every: int, lag: int, width: int) -> None:
        self.span, self.every, self.lag = span, every, lag
        self._rows = Tail(span - 1, width)
        self._levels = Tail(CHANGE_SPANS * lag, width)
        self._seen = 0

    def push(self, rows: Array, fresh: bool) -> tuple[int, Array, Array]:
        """`(first, levels, changes)`: the row of `rows` that ends the first level (every further one
        `every` rows on); changes are 0 until there is enough to compare with."""
        count = len(rows)
        if fresh:
            self._rows.clear()
            self._levels.clear()
            self._seen = 0
        elif count == 1 and self._settled:
            return self._push_one(rows)
        first = self.span - 1 - self._seen  # levels end at stream rows span - 1, span - 1 + every, ...
        if first < 0:
            first %= self.every
        view = rows if self.span == 1 else self._rows.extend(rows)
        older = len(view) - count
        self._seen += count
        if first >= count:
            return count, rows[:0], rows[:0]
        if self.span == 1:
            levels = rows[first :: self.every]
        else:
            sums = sliding_sum(view[older + first - self.span + 1 :], self.span)
            levels = (sums[:: self.every] / self.span).astype(np.float32)
        history = self._levels.extend(levels)
        lag, reach = self.lag, CHANGE_SPANS * self.lag
        compared = len(history) - reach  # so many of the newest levels have a whole history
        if compared <= 0:
            return first, levels, np.zeros_like(levels)
        before = history[:compared] + history[lag : lag + compared]
        before += history[2 * lag : 2 * lag + compared]
        before /= THREE
        changes = history[reach:] - before
        if compared < len(levels):
            changes = np.concatenate([np.zeros_like(levels[compared:]), changes])
        return first, levels, changes

    @property
    def _settled(self) -> bool:
        """Every row gives a level, and each has a whole history."""
        return self.every == 1 and self._seen >= self.span + CHANGE_SPANS * self.lag

    def _push_one(self, row: Array) -> tuple[int, Array, Array]:
        """The usual case, live: one row, one level."""
        level = row
        if self.span > 1:
            level = (sliding_sum(self._rows.extend(row), self.span) / self.span).astype(np.float32)
        history, lag = self._levels.extend(level), self.lag
        before = history[:1] + history[lag : lag + 1]
        before += history[2 * lag : 2 * lag + 1]
        before /= THREE
        return 0, level, level - before


class Mahalanobis:
    """Distance of the smoothed columns from what was learned, and their latest jump; the larger, each over
    its own edge, is the level.

    Does badly where a healthy machine runs at several loads or speeds: it knows one.
    """

    detector = "mahalanobis"
    graph = "mahalanobis.onnx"
    still = "cannot be judged"

    def __init__(self, width: int, *, smooth: int, every: int = 1, lag: int = 0) -> None:
        """`smooth` rows are averaged, `every` so many; a level is compared with those `lag` levels apart."""
        self.width = width
        self._shape = (smooth, every, lag or max(1, smooth // every), width)
        self._smoother = Smoother(*self._shape)
        self._learned: Learned | None = None
        self.calibration = Calibration(())
        self.bank: Bank | None = None
        self.seat = -1

    @property
    def shares(self) -> Hashable:
        return self.graph, self.width

    def make_bank(self) -> MahalanobisBank:
        return MahalanobisBank(self.width)

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The arrays the graph takes."""
        assert self._learned is not None
        return self._learned.arrays

    def learn(self, times: NDArray[np.float64], rows: Array, starts: Sequence[int]) -> Learned:
        if len(rows) < FEWEST:
            raise LearningError(f"{len(rows)} normal rows are too few to learn from: it takes {FEWEST}")
        steps = smallest_steps(rows)
        levels, changes, firsts = self._smooth_stretches(rows, starts)
        fewest = fewest_levels(self._shape[0], self._shape[1])
        if len(levels) < fewest:
            raise LearningError(
                f"{len(rows)} rows with {len(starts) - 1} gaps leave {len(levels)} averages over"
                f" {self._shape[0]} rows: it takes {fewest}"
            )
        watched = self._steady(rows, steps)
        floor = np.maximum(RESOLUTION_FLOOR * steps / np.sqrt(self._shape[0]), FAINTEST)
        moving = steps > 0

        def fit(seen: Doubles) -> tuple[Doubles, Doubles, Doubles]:
            mean = seen.mean(axis=0).astype(np.float32).astype(np.float64)  # as the graph will have it
            deviation = np.maximum(seen.std(axis=0), floor)
            inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=moving)
            return mean, inverse, _precision((seen - mean) * inverse, watched)

        def score_with(seen: Doubles) -> Callable[[Doubles], Doubles]:
            mean, inverse, precision = fit(seen)

            def score(unseen: Doubles) -> Doubles:
                z = (unseen - mean) * inverse
                distances: Doubles = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", z, precision, z), 0.0))
                return distances

            return score

        notes: tuple[str, ...] = ()
        if len(changes) < FEWEST_SPANS * self._shape[2]:  # the largest of so few says nothing
            changes = changes[:0]
            notes = (
                "learned from too few rows in a stretch to judge sudden changes: only levels are judged",
            )
        mean, inverse, precision = fit(levels)
        spread = np.sqrt((changes**2).mean(axis=0)) if len(changes) else np.zeros(self.width)
        jumps = moving & (spread > 0)
        inverse_change = np.divide(1.0, np.maximum(spread, floor), out=np.zeros(self.width), where=jumps)
        guard = (self._shape[0] - 1) // self._shape[1]  # levels that share rows with their neighbour
        distances = out_of_fold(levels, score_with, guard)
        distance_edge = max(float(np.quantile(distances, QUANTILE)), 1e-6)
        jumps_seen = np.abs(changes * inverse_change).max(axis=1, initial=0.0)
        jump_edge = JUMP_MARGIN * float(jumps_seen.max(initial=0.0)) or 1e30
        arrays = {
            "mean": mean[:, None],
            "inverse_scale": inverse[:, None],
            "inverse_change": inverse_change[:, None],
            "precision": precision,
        }
        return Learned(
            {name: array.astype(np.float32) for name, array in arrays.items()},
            Calibration((distance_edge, jump_edge)),
            notes,
            normal=Normal(distances / distance_edge, firsts),
        )

    def arm(self, learned: Learned) -> None:
        expected = {
            "mean": (self.width, 1),
            "inverse_scale": (self.width, 1),
            "inverse_change": (self.width, 1),
            "precision": (self.width, self.width),
        }
        _check_shapes(learned.arrays, expected)
        self._learned = learned
        self.calibration = learned.calibration
        self._smoother = Smoother(*self._shape)

    def learned(self) -> Learned:
        assert self._learned is not None
        return self._learned

    def take(self, times: list[float], rows: Array, fresh: bool) -> Job | None:
        first, levels, changes = self._smoother.push(rows, fresh)
        if not len(levels):
            return None
        return Job(self, times[first :: self._smoother.every] if len(times) > 1 else times, (levels, changes))

    def explain(self, job: Job, index: int) -> list[Shift]:
        """Columns by their share of the squared distance, which adds up to 1; of a jump, by how far they jumped."""
        level, change = job.inputs[0][index].astype(np.float64), job.inputs[1][index].astype(np.float64)
        weights, edges = self.weights, self.calibration.edges
        mean = weights["mean"][:, 0].astype(np.float64)
        jump = job.raw[1, index] / edges[1] > job.raw[0, index] / edges[0]
        if jump:
            sigma = change * weights["inverse_change"][:, 0]
            share, normal = np.abs(sigma) / np.abs(sigma).max(), level - change
        else:
            sigma = (level - mean) * weights["inverse_scale"][:, 0]
            contribution = sigma * (weights["precision"].astype(np.float64) @ sigma)
            share, normal = contribution / max(contribution.sum(), 1e-12), mean
        return [
            Shift(i, float(sigma[i]), float(level[i]), float(normal[i]), float(share[i]), bool(jump))
            for i in np.argsort(-share, kind="stable").tolist()
        ]

    def _smooth_stretches(
        self, rows: Array, starts: Sequence[int]
    ) -> tuple[Doubles, Doubles, tuple[int, ...]]:
        """Levels, those changes that had something to compare with, and the first level of each stretch without a
        gap."""
        levels, changes, firsts, count = [], [], [], 0
        reach = CHANGE_SPANS * self._shape[2]
        for a, b in zip(starts, (*starts[1:], len(rows)), strict=True):
            _, level, change = Smoother(*self._shape).push(rows[a:b], True)
            if len(level):
                firsts.append(count)
            count += len(level)
            levels.append(level)
            changes.append(change[reach:])
        return (
            np.concatenate(levels).astype(np.float64),
            np.concatenate(changes).astype(np.float64),
            tuple(firsts),
        )

    def _steady(self, rows: Array, steps: Doubles) -> NDArray[np.bool_]:
        """`(width,)`: columns whose level may be trusted; those that wander only feed the jump."""
        blocks = np.array_split(rows.astype(np.float64), BLOCKS)
        inside = np.mean([block.var(axis=0) for block in blocks], axis=0)
        between = np.var([block.mean(axis=0) for block in blocks], axis=0)
        ratio = np.where(steps > 0, between / np.maximum(inside, 1e-300), np.inf)
        steady = ratio < WANDERING
        for column in np.argsort(ratio, kind="stable")[:2]:  # at least two, if two move at all
            steady[column] |= bool(np.isfinite(ratio[column]))
        if not steady.any():
            raise LearningError("no channel moved while learning: nothing can be learned from constants")
        return steady


def _precision(z: Doubles, watched: NDArray[np.bool_]) -> Doubles:
    """Inverse of the shrunk covariance of the watched columns; zero for the others."""
    covariance = np.atleast_2d(np.cov(z[:, watched], rowvar=False))
    covariance = (1 - SHRINKAGE) * covariance + np.diag(SHRINKAGE * np.diag(covariance))
    covariance += RIDGE * max(float(np.diag(covariance).mean()), 1e-12) * np.eye(len(covariance))
    precision = np.zeros((len(watched), len(watched)))
    precision[np.ix_(watched, watched)] = np.linalg.inv(covariance)
    symmetric: Doubles = (precision + precision.T) / 2
    return symmetric


def _check_shapes(arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in expected.items():
        if name not in arrays or arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            found = arrays[name].shape if name in arrays else "nothing"
            raise LearningError(f"learned array {name}: expected finite {shape}, found {found}")


class MahalanobisBank:
    """Heads of one width behind one bound session: `[heads, width, 16]` in, two scores a row out."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._heads: list[Mahalanobis] = []
        self._bound: Bound | None = None

    def seat(self, head: Mahalanobis) -> int:
        """Take a head in, or take over the weights of one that is armed anew."""
        if head in self._heads:
            number = self._heads.index(head)
        else:
            number = len(self._heads)
            self._heads.append(head)
        self._bound = None
        return number

    def score(self, jobs: Sequence[Job]) -> None:
        if self._bound is None:
            self._bind()
        assert self._bound is not None
        longest = 0
        for job in jobs:
            longest = max(longest, len(job.times))
        if longest <= COLUMNS:
            for job in jobs:
                levels, changes = job.inputs
                seat, count = job.head.seat, len(levels)
                self._level[seat, :, :count] = levels.T
                self._change[seat, :, :count] = changes.T
            self._bound.run()
            for job in jobs:
                job.raw = self._scores[:, job.head.seat, 0, : len(job.times)]  # good until the next call
            return
        for job in jobs:
            job.raw = np.empty((2, len(job.times)), np.float32)
        for start in range(0, longest, COLUMNS):
            piece = slice(start, start + COLUMNS)
            for job in jobs:
                levels, changes = job.inputs[0][piece], job.inputs[1][piece]
                self._level[job.head.seat, :, : len(levels)] = levels.T
                self._change[job.head.seat, :, : len(levels)] = changes.T
            self._bound.run()
            for job in jobs:
                part = job.raw[:, piece]
                part[:] = self._scores[:, job.head.seat, 0, : part.shape[1]]

    def _bind(self) -> None:
        heads, width = len(self._heads), self._width
        self._level, self._change = aligned(heads, width, COLUMNS), aligned(heads, width, COLUMNS)
        self._scores = aligned(2, heads, 1, COLUMNS)
        inputs: dict[str, NDArray[Any]] = {"level": self._level, "change": self._change}
        for name in ("mean", "inverse_scale", "inverse_change", "precision"):
            inputs[name] = aligned(heads, *self._heads[0].weights[name].shape)
            for seat, head in enumerate(self._heads):
                inputs[name][seat] = head.weights[name]
        inputs["ones"] = aligned(heads, 1, width)
        inputs["ones"][:] = 1
        outputs = {"distance": self._scores[0], "jump": self._scores[1]}
        self._bound = Bound(open_graph(Mahalanobis.graph), inputs, outputs)
