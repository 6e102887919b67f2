"""Recordings made up for tests, the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.floating[Any]]
Values = NDArray[np.float32]

START = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def write_csv(path: Path, times: Times, values: Values) -> None:
    """Rows as a logger writes them: NaN as an empty cell."""
    names = [f"c{i + 1}" for i in range(values.shape[1])]
    lines = [",".join(["time", *names])]
    for time, row in zip(times, values, strict=True):
        lines.append(",".join([f"{time:.6f}", *("" if np.isnan(v) else f"{v:.7g}" for v in row)]))
    path.write_text("\n".join(lines) + "\n")


def slow(seed: int = 1) -> tuple[Times, Values]:
    """1,500 rows of three channels at 1 Hz with all that goes wrong: jitter, gaps of every length, NaN, faults."""
    random = np.random.default_rng(seed)
    rows = 1500
    steps = np.ones(rows)
    for row, gap in ((200, 2), (700, 9), (800, 10), (810, 11), (900, 12), (1000, 3600), (1200, 1.4)):
        steps[row] = gap
    times = START + np.cumsum(steps) + random.uniform(-0.05, 0.05, rows) * (np.arange(rows) % 7 == 0)
    values = random.normal((20.0, 5.0, 0.1), (0.5, 0.2, 0.01), (rows, 3)).astype(np.float32)
    values[random.integers(0, rows, 12), random.integers(0, 3, 12)] = np.nan
    values[850:862] = np.nan  # a hole of nothing but NaN
    values[1100:1160, 0] += 8
    values[1250:1300, 1:] *= 2
    values[1400:1450] += 3
    return times, values


def fast(rate_hz: float = 3200.0) -> tuple[Times, Values]:
    """40 s of two axes whose sample times fall between microseconds, with a fault, a gap and a NaN."""
    random = np.random.default_rng(2)
    rows = int(40 * rate_hz)
    index = np.arange(rows)
    times = START + index / rate_hz
    times[int(22.2 * rate_hz) :] += 0.5
    values = random.normal(0, 1, (rows, 2)).astype(np.float32)
    tone = (index > 28 * rate_hz) & (index < 34 * rate_hz)
    values[tone] += 4 * np.sin(2 * np.pi * 700 * index[tone, None] / rate_hz).astype(np.float32)
    values[int(25.3 * rate_hz), 0] = np.nan
    return times, values


def step(rows: int = 900, learned: int = 300) -> tuple[Times, Values]:
    """Three channels at 1 Hz: quiet, then from row 2 * learned on the first is 8 higher for 100 rows."""
    random = np.random.default_rng(5)
    values = random.normal((20.0, 5.0, 0.1), (0.5, 0.2, 0.01), (rows, 3)).astype(np.float32)
    values[2 * learned : 2 * learned + 100, 0] += 8
    return START + np.arange(rows), values
