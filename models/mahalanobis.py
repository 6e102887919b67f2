"""The smoothed Mahalanobis head: several channels, or features of vibration, and how far they moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.blocks import BlockBank
from models.calibration import QUANTILE, Calibration, Doubles, out_of_fold
from models.detector import Job, Learned, Normal, Shift
from models.learning import smallest_steps
from models.smoothed import SmoothedHead
from models.smoothing import shrunk_precision, steady_columns
from models.window import Array

# Of the largest jump seen while learning: at 1 a pump rig's drift alarmed 13 % of normal time, here 3 %.
JUMP_MARGIN = 3.0


class Mahalanobis(SmoothedHead):
    """Distance of the smoothed columns from what was learned, and their latest jump; the larger, each over
    its own edge, is the level.

    Does badly where a healthy machine runs at several loads or speeds: it knows one.
    """

    detector = "mahalanobis"
    graph = "mahalanobis.onnx"
    compares = True

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        column = (self.width, 1)
        return {
            "mean": column,
            "inverse_scale": column,
            "inverse_change": column,
            "precision": (self.width, self.width),
        }

    def make_bank(self) -> BlockBank:
        return BlockBank(
            self.graph,
            {"level": self.width, "change": self.width},
            ("distance", "jump"),
            {"ones": np.ones((1, self.width), np.float32)},
        )

    def learn(self, times: NDArray[np.float64], rows: Array, starts: Sequence[int]) -> Learned:
        levels, changes, firsts = self.averaging.of(rows, starts)
        steps = smallest_steps(rows)
        watched = steady_columns(rows, steps)
        floor = self.averaging.floor(steps)
        moving = steps > 0

        def fit(seen: Doubles) -> tuple[Doubles, Doubles, Doubles]:
            mean = seen.mean(axis=0).astype(np.float32).astype(np.float64)  # as the graph will have it
            deviation = np.maximum(seen.std(axis=0), floor)
            inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=moving)
            return mean, inverse, shrunk_precision((seen - mean) * inverse, watched)

        def score_with(seen: Doubles) -> Callable[[Doubles], Doubles]:
            mean, inverse, precision = fit(seen)

            def score(unseen: Doubles) -> Doubles:
                z = (unseen - mean) * inverse
                distances: Doubles = np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", z, precision, z), 0.0))
                return distances

            return score

        notes: tuple[str, ...] = ()
        if len(changes) < self.averaging.fewest_changes:
            changes = changes[:0]
            notes = (
                "learned from too few rows in a stretch to judge sudden changes: only levels are judged",
            )
        mean, inverse, precision = fit(levels)
        spread = np.sqrt((changes**2).mean(axis=0)) if len(changes) else np.zeros(self.width)
        jumps = moving & (spread > 0)
        inverse_change = np.divide(1.0, np.maximum(spread, floor), out=np.zeros(self.width), where=jumps)
        distances = out_of_fold(levels, score_with, self.averaging.guard)
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

    def glance(self, level: Array) -> float:
        """About the level that the graph will give this mean of rows `(width,)`, without its jump."""
        weights = self.weights
        z = (level - weights["mean"][:, 0]) * weights["inverse_scale"][:, 0]
        return math.sqrt(max(0.0, float(z @ weights["precision"] @ z))) / self.calibration.edges[0]

    def reach(self, offset: Doubles) -> tuple[float, Doubles]:
        """The level of the learned mean moved so far, and what each column makes of the squared distance."""
        arrays = self.learned().arrays
        z = offset * arrays["inverse_scale"][:, 0].astype(np.float64)
        precision = arrays["precision"].astype(np.float64)
        distance = max(0.0, float(z @ precision @ z))
        shares: Doubles = z * (precision @ z) / max(distance, 1e-12)
        return math.sqrt(distance) / self.calibration.edges[0], shares

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


class Spectral(Mahalanobis):
    """The Mahalanobis head on features of vibration: bands, crest, kurtosis, lines of the envelope.

    Does badly at a speed or load it was not learned at, where all bands move in health; and while a fault is so young
    that it is in the waveform, but in no band's energy.
    """

    detector = "spectral"
