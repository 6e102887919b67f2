"""Features of the waveform itself: what an autoencoder of healthy machines cannot rebuild, and what it sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.features import Feature
from models.mahalanobis import Mahalanobis
from models.session import Bound, aligned
from models.window import Array, Windows

BUNDLE = "autoencoder"
MOST_FRAMES = 16  # of a window that are looked at: 16 x 3 axes take 2 ms here in int8
MOMENTS = 3  # the residual's mean square, its fourth power and the squares of its patches come first
FLOOR = 1e-12  # keeps the logarithm of silence finite
TINY = 1e-300  # keeps a ratio of zeros finite, and those of the faintest signals as they are


class Waveform:
    """Per axis: log RMS of the window; of the window at unit RMS, the log of the residual's mean square, its
    kurtosis, how unevenly it is spread over patches of 16 samples, and its mean square in bands; and how loud
    each pattern of the bottleneck is. Means over up to MOST_FRAMES frames, evenly laid over the window.

    Does badly where speed or load change (a baseline holds for the operating point it was learned at), and
    where what fails shows in one line of the spectrum only, far below the rest.
    """

    def __init__(
        self, channels: Sequence[tuple[str, str]], rate_hz: float, length: int, bundle: Bundle, variant: str
    ) -> None:
        """Raises ValueError when a window of `length` rows is shorter than a frame, and BundleError."""
        manifest = bundle.manifest
        frame = manifest.frame
        if length < frame:
            raise ValueError(f"the autoencoder needs windows of at least {frame} rows, not {length}")
        count = min(MOST_FRAMES, length // frame)
        self._starts = np.linspace(0, length - frame, count).round().astype(int).tolist()
        self._frame, self._axes, self._width = frame, len(channels), len(manifest.features)
        self._frames = aligned(len(channels), count, frame)
        self._features = aligned(len(channels), count, self._width)
        shape = (len(channels) * count, 1, frame)
        self._bound = Bound(
            bundle.open(variant),
            {"frames": self._frames.reshape(shape)},
            {"features": self._features.reshape(shape[0], self._width)},
        )
        columns: list[Feature] = []
        for name, unit in channels:
            columns.append(Feature(f"{name} RMS", name, unit, logarithm=True))
            columns.append(Feature(f"{name} residual", name, "1", logarithm=True))
            columns.append(Feature(f"{name} residual kurtosis", name, "1", logarithm=True))
            columns.append(Feature(f"{name} residual unevenness", name, "1", logarithm=True))
            columns += [
                Feature(f"{name} {_label(feature, rate_hz)}", name, "1", logarithm=True)
                for feature in manifest.features[MOMENTS:]
            ]
        self.columns = tuple(columns)

    def extract(self, windows: Windows) -> Array:
        """One window at a time, always as many frames to a call: its features do not depend on its neighbours."""
        return np.stack([self._one(window) for window in windows.stacked()])

    def _one(self, window: Array) -> Array:
        rms = self._fill(window)
        self._bound.run()
        return self._columns_of(rms)

    def _fill(self, window: Array) -> NDArray[np.float64]:
        """Put the frames of a window, at unit RMS, where the graph reads them; the RMS that it had."""
        x = window.astype(np.float64)
        x -= x.mean(axis=0)
        rms: NDArray[np.float64] = np.sqrt((x * x).mean(axis=0))
        x /= np.maximum(rms, TINY)
        for i, start in enumerate(self._starts):
            self._frames[:, i] = x[start : start + self._frame].T
        return rms

    def _columns_of(self, rms: NDArray[np.float64]) -> Array:
        means: NDArray[np.float64] = self._features.mean(axis=1, dtype=np.float64)
        square = np.maximum(means[:, 0], FLOOR)
        rows = np.concatenate(
            [
                rms[:, None],
                square[:, None],
                (means[:, 1] / square**2)[:, None],
                (means[:, 2] / square**2)[:, None],
                means[:, MOMENTS:],
            ],
            axis=1,
        )
        logarithms: Array = np.log(rows + FLOOR).ravel().astype(np.float32)
        return logarithms


class Autoencoder(Mahalanobis):
    """The Mahalanobis head on what the autoencoder makes of a waveform.

    Does badly as `spectral` does at another speed or load, and where a fault shows in a few low lines of the spectrum
    only; needs windows of a frame or more.
    """

    detector = "autoencoder"


def _label(feature: str, rate_hz: float) -> str:
    """Bands are given in sixteenths of half the sample rate: in Hz for a person."""
    head, _, span = feature.rpartition(" ")
    if not span.endswith("/16"):
        return feature
    low, high = (int(edge) * rate_hz / 32 for edge in span.removesuffix("/16").split("-"))
    return f"{head} {low:.0f}-{high:.0f} Hz"
