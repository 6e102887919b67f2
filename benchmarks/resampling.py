"""Bootstrap intervals over files: how much of a figure is the choice of files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SEED = 20260101
SHARE = 0.95


def interval(
    count: int, figure: Callable[[NDArray[np.intp]], float], times: int = 1000
) -> tuple[float, float] | None:
    """The middle 95 % of a figure over samples of `count` files with replacement; `figure` is asked with the
    numbers of the files drawn. None where there are fewer than 2 files or the figure is never finite."""
    if count < 2:
        return None
    random = np.random.default_rng(SEED)
    found = np.array([figure(random.integers(0, count, count)) for _ in range(times)])
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)
