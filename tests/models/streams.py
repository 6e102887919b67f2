"""Streams and the ways to cut them, for the tests of windows, detectors and the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Rows at an even spacing from `start`, Unix seconds; NaN and infinity did not arrive."""

    start: float
    rate_hz: float
    values: Array


def noise(rows: int, width: int, seed: int = 0) -> Array:
    """White, of mean 0 and deviation 1."""
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def cut(stretch: Stretch, cuts: Sequence[int]) -> Iterator[Stretch]:
    """The stretch in pieces, their starts reckoned as a recording does."""
    inside = sorted({c for c in cuts if 0 < c < len(stretch.values)})
    for a, b in pairwise([0, *inside, len(stretch.values)]):
        yield Stretch(stretch.start + a * (1 / stretch.rate_hz), stretch.rate_hz, stretch.values[a:b])


def cuts(most: int = 200) -> st.SearchStrategy[list[int]]:
    """Where to cut."""
    return st.lists(st.integers(1, most), max_size=12)


def every(size: int, rows: int) -> list[int]:
    """Cuts into pieces of one size."""
    return list(range(size, rows, size))
