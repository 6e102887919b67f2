"""The random-feature autoencoder: several channels, and how badly they are rebuilt from each other."""

from __future__ import annotations

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

FEATURES = 64
GAIN = 1.0  # of the projection of white columns: into the bend of tanh, not far beyond it
# On the features' covariance. A hundred times as much rebuilds what lies off the curve as well as what lies on it, and
# did as well on pump rigs, where other seeds make more of a difference (F1 0.80 to 0.85).
RIDGE = 1e-3
SEED = 0


class Reconstruction(SmoothedHead):
    """Distance of the smoothed columns from what a ridge regression on random features of them rebuilds, whitened
    by how it errs in normal operation (random projection, tanh and a solved read-out: Huang et al., Extreme learning
    machine, Neurocomputing 70 (2006) 489-501).

    Does badly on few rows (64 features are fitted), on sudden steps that end inside normal (it compares with no
    before), and where a fault keeps to the curve along which the machine moves in health.
    """

    detector = "reconstruction"
    graph = "reconstruction.onnx"
    compares = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        column = (self.width, 1)
        return {
            "mean": column,
            "inverse_scale": column,
            "projection": (FEATURES, self.width),
            "offset": (FEATURES, 1),
            "readout": (self.width, FEATURES),
            "centre": column,
            "precision": (self.width, self.width),
        }

    def make_bank(self) -> BlockBank:
        ones = np.ones((1, self.width), np.float32)
        return BlockBank(self.graph, {"level": self.width}, ("distance",), {"ones": ones})

    def learn(self, times: NDArray[np.float64], rows: Array, starts: Sequence[int]) -> Learned:
        levels, _, firsts = self.averaging.of(rows, starts)
        steps = smallest_steps(rows)
        watched = steady_columns(rows, steps)
        floor, moving = self.averaging.floor(steps), steps > 0
        random = np.random.default_rng(
            SEED
        )  # what it gives is kept with the baseline: another numpy may differ
        projection = (
            random.standard_normal((FEATURES, self.width)) * (GAIN / np.sqrt(watched.sum())) * watched
        )
        offset = random.uniform(-GAIN, GAIN, FEATURES)
        projection, offset = (a.astype(np.float32).astype(np.float64) for a in (projection, offset))

        def fit(seen: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles, Doubles]:
            mean = seen.mean(axis=0).astype(np.float32).astype(np.float64)  # as the graph will have it
            deviation = np.maximum(seen.std(axis=0), floor)
            inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=moving)
            z = (seen - mean) * inverse * watched
            features = np.tanh(z @ projection.T + offset)
            average = features.mean(axis=0)
            apart = features - average
            gram = apart.T @ apart / len(z) + RIDGE * np.eye(FEATURES)
            readout = np.linalg.solve(gram, apart.T @ z / len(z)).T
            error = z - apart @ readout.T
            return mean, inverse, readout, -readout @ average, shrunk_precision(error, watched)

        def score_with(seen: Doubles) -> Callable[[Doubles], Doubles]:
            mean, inverse, readout, centre, precision = fit(seen)

            def score(unseen: Doubles) -> Doubles:
                z = (unseen - mean) * inverse
                error = z - np.tanh(z @ projection.T + offset) @ readout.T - centre
                energy = np.einsum("ni,ij,nj->n", error, precision, error)
                distances: Doubles = np.sqrt(np.maximum(energy, 0.0))
                return distances

            return score

        distances = out_of_fold(levels, score_with, self.averaging.guard)
        edge = max(float(np.quantile(distances, QUANTILE)), 1e-6)
        mean, inverse, readout, centre, precision = fit(levels)
        arrays = {
            "mean": mean[:, None],
            "inverse_scale": inverse[:, None],
            "projection": projection,
            "offset": offset[:, None],
            "readout": readout,
            "centre": centre[:, None],
            "precision": precision,
        }
        return Learned(
            {name: array.astype(np.float32) for name, array in arrays.items()},
            Calibration((edge,)),
            normal=Normal(distances / edge, firsts),
        )

    def explain(self, job: Job, index: int) -> list[Shift]:
        """Columns by their share of the squared distance, which adds up to 1; normal is what was rebuilt of each."""
        level = job.inputs[0][index].astype(np.float64)
        weights = {name: array.astype(np.float64) for name, array in self.weights.items()}
        mean, inverse = weights["mean"][:, 0], weights["inverse_scale"][:, 0]
        z = (level - mean) * inverse
        hidden = np.tanh(weights["projection"] @ z + weights["offset"][:, 0])
        rebuilt = weights["readout"] @ hidden + weights["centre"][:, 0]
        sigma = z - rebuilt
        contribution = sigma * (weights["precision"] @ sigma)
        share = contribution / max(contribution.sum(), 1e-12)
        normal = level - np.divide(sigma, inverse, out=np.zeros_like(sigma), where=inverse > 0)
        return [
            Shift(i, float(sigma[i]), float(level[i]), float(normal[i]), float(share[i]))
            for i in np.argsort(-share, kind="stable").tolist()
        ]
