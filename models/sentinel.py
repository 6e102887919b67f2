"""The sentinel: a few figures of each stretch of a waveform, and how unlike what the model called normal they are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.smoothing import Smoother
from models.window import Array, Windows

Doubles = NDArray[np.float64]

FIGURES = 3  # of each channel
TINY = 1e-30  # keeps the logarithm of silence finite
LESSON = 100  # means it learns from before it judges
MEMORY = 2000  # means it remembers, about: a quarter of an hour at two windows a second
RIDGE = 1e-3  # of the mean variance, on the diagonal: channels may be copies of each other
RENEWED = 32  # lessons after which the ellipse is reckoned anew
STIRS = 0.01  # share of normal windows that may stir it
NERVE = 0.05  # by so much its edge moves away from a window that stirred it for nothing; back in a hundred calm ones
SLACK = 1.2  # the first edge over the quantile of the very rows it was learned from, which are nearer to their own mean
DEAFEST = 3.0  # times the first edge: no false stirs make it deafer than that


class Edge:
    """A quantile of a score that is followed as it comes: up by a step where the score lies above, down by as much
    less often (H. Robbins and S. Monro, "A stochastic approximation method", Ann. Math. Stat. 22 (1951) 400-407)."""

    def __init__(self, share: float) -> None:
        """`share` of the scores will lie above."""
        self.share, self.value, self._most = share, math.inf, math.inf

    def begin(self, scores: Doubles) -> None:
        """With these."""
        self.value = SLACK * float(np.quantile(scores, 1.0 - self.share))
        self._most = DEAFEST * self.value

    def follow(self, score: float) -> None:
        """One more that was normal."""
        step = NERVE * ((score > self.value) - self.share)
        self.value = min(self._most, self.value * math.exp(step))


class Sentinel:
    """Looks at every window, for what a few microseconds buy: RMS, RMS of the slope, and kurtosis of each channel, over
    the newest hop of it, as the distance of their mean over some windows from what was normal.

    It is taught by the model, which says what is normal, and sets its own edge so that it stirs for nothing in a
    hundredth of the windows. Does badly where a fault moves energy between bands and leaves these three as they were.
    """

    def __init__(self, channels: int, span: int) -> None:
        """`span` windows are averaged, as many as the model averages."""
        self._width = FIGURES * channels
        self._smoother = Smoother(span, 1, 0, self._width)
        self._mean, self._covariance = np.zeros(self._width), np.zeros((self._width, self._width))
        self._precision = self._covariance
        self._lesson: list[Array] | None = []  # None once it has learned
        self._taught = 0
        self.edge = Edge(STIRS)

    @property
    def ready(self) -> bool:
        """Whether it has been taught enough to judge."""
        return self._lesson is None

    def hear(self, windows: Windows) -> Array:
        """`(m, figures)` of the newest m windows: means of their figures. Fewer than the windows after a gap."""
        return self._smoother.push(figures(windows), windows.fresh)[1]

    def distances(self, means: Array) -> list[float]:
        """How unlike normal; 0 while it has not learned."""
        if self._lesson is not None:
            return [0.0] * len(means)
        distances: list[float] = self._distances(means).tolist()
        return distances

    def stirs(self, distance: float) -> bool:
        """Whether it would have the model look."""
        return distance > self.edge.value

    def teach(self, mean: Array) -> None:
        """The means `(figures,)` of a window that the model called normal."""
        if self._lesson is not None:
            self._lesson.append(mean)
            if len(self._lesson) >= LESSON:
                self._learn(np.stack(self._lesson).astype(np.float64))
            return
        self._taught += 1
        apart = mean - self._mean
        share = 1.0 / min(LESSON + self._taught, MEMORY)
        self._mean += share * apart
        self._covariance += share * (np.outer(apart, apart) - self._covariance)
        if self._taught % RENEWED == 0:
            self._renew()

    def calm(self, distance: float) -> None:
        """A window so far from normal was normal, whoever says so: the edge follows."""
        self.edge.follow(distance)

    def _learn(self, rows: Doubles) -> None:
        self._mean = rows.mean(axis=0)
        self._covariance = np.atleast_2d(np.cov(rows, rowvar=False))
        self._renew()
        self._lesson = None
        self.edge.begin(self._distances(rows))

    def _renew(self) -> None:
        ridge = max(RIDGE * float(np.diag(self._covariance).mean()), 1e-12)
        self._precision = np.asarray(
            np.linalg.inv(self._covariance + ridge * np.eye(self._width)), np.float64
        )

    def _distances(self, means: NDArray[np.floating]) -> Doubles:
        z = means - self._mean
        distances: Doubles = np.sqrt(np.maximum(((z @ self._precision) * z).sum(axis=1), 0.0))
        return distances


def figures(windows: Windows) -> Array:
    """`(n, 3 x channels)`: of each window's newest hop, by channel, the logarithms of its mean square, of that of its
    slope, and of its kurtosis."""
    hop = min(windows.hop, windows.length)
    newest = windows.rows[windows.length - hop :]
    count, channels = len(windows.times), newest.shape[1]
    if windows.hop > windows.length:  # the rows between two windows are in neither
        newest = windows.stacked().reshape(count * hop, channels)
    x = np.ascontiguousarray(newest.reshape(count, hop, channels).transpose(0, 2, 1))
    x -= x.mean(axis=2, keepdims=True)
    slope = x[:, :, 1:] - x[:, :, :-1]
    square = x * x
    power = np.einsum("ncr->nc", square) / hop
    fourth = np.einsum("ncr,ncr->nc", square, square) / hop
    steep = np.einsum("ncr,ncr->nc", slope, slope) / max(hop - 1, 1)
    found = np.log(np.stack([power + TINY, steep + TINY, fourth / (power * power + TINY) + TINY], axis=2))
    rows: Array = found.reshape(count, FIGURES * channels).astype(np.float32)
    return rows
