"""The same work without a road: what a script written straight to numpy and onnxruntime would do, to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.detector import Head, Learned
from models.features import Features
from models.level import CARRIED, Level, slots
from models.mahalanobis import CHANGE_SPANS, COLUMNS, Mahalanobis
from models.session import Bound, aligned, open_graph
from models.window import Windows

Loop = Callable[[], tuple[float, float]]  # seconds of CPU, the last level


def loop(
    head: Head,
    learned: Learned,
    features: Features,
    windows: Sequence[Windows],
    clock: Callable[[], float] = process_time,
) -> Loop:
    """A loop that scores `windows` one by one with a head armed with `learned`."""
    if isinstance(head, Level):
        return _level(head, learned, features, windows, clock)
    assert isinstance(head, Mahalanobis)
    return _mahalanobis(head, learned, features, windows, clock)


def _mahalanobis(
    head: Mahalanobis,
    learned: Learned,
    features: Features,
    windows: Sequence[Windows],
    clock: Callable[[], float],
) -> Loop:
    smoother = head._smoother
    span, every, lag = smoother.span, smoother.every, smoother.lag
    width, back = head.width, CHANGE_SPANS * lag
    level_in, change_in, scores = (
        aligned(1, width, COLUMNS),
        aligned(1, width, COLUMNS),
        aligned(2, 1, 1, COLUMNS),
    )
    inputs: dict[str, NDArray[Any]] = {"level": level_in, "change": change_in, "ones": aligned(1, 1, width)}
    inputs["ones"][:] = 1
    for name in ("mean", "inverse_scale", "inverse_change", "precision"):
        inputs[name] = aligned(1, *learned.arrays[name].shape)
        inputs[name][0] = learned.arrays[name]
    bound = Bound(open_graph(Mahalanobis.graph), inputs, {"distance": scores[0], "jump": scores[1]})
    rows = np.zeros((span - 1 + every * len(windows), width), np.float32)
    levels = np.zeros((back + len(windows), width), np.float32)
    distance_edge, jump_edge = head.calibration.edges
    three = np.float32(CHANGE_SPANS)

    def run() -> tuple[float, float]:
        alarms, highest = 0, 0.0
        began = clock()
        for i, window in enumerate(windows):
            end = span - 1 + (i + 1) * every
            rows[end - every : end] = features.extract(window)
            level = np.add.reduce(rows[end - span : end], 0, np.float64) / span
            levels[back + i] = level
            level_in[0, :, 0] = level
            before = levels[i] + levels[i + lag]
            before += levels[i + 2 * lag]
            before /= three
            change_in[0, :, 0] = levels[back + i] - before
            bound.run()
            distance, jump = scores[0, 0, 0, 0] / distance_edge, scores[1, 0, 0, 0] / jump_edge
            highest = max(distance, jump)
            alarms += highest >= 1.0
        return clock() - began, float(highest)

    return run


def _level(
    head: Level,
    learned: Learned,
    features: Features,
    windows: Sequence[Windows],
    clock: Callable[[], float],
) -> Loop:
    width = head.width
    fixed: dict[str, NDArray[Any]] = {
        "value": aligned(width, 1),
        "median": aligned(width, 1),
        "inverse_scale": aligned(width, 1),
    }
    sets = [{name: aligned(width, size) for name, size in CARRIED.items()} for _ in range(2)]
    profiles = learned.arrays["table"].copy()
    for name in ("median", "inverse_scale"):
        fixed[name][:] = learned.arrays[name]
    for name in ("memory", "tail"):
        sets[0][name][:] = learned.arrays[name]
    out = {"score": aligned(width, 1), "distance": aligned(width, 6), "apart": aligned(width, 6)}
    bounds = [
        Bound(
            open_graph(Level.graph),
            {**fixed, **before},
            {**{f"{name}_next": array for name, array in after.items()}, **out},
        )
        for before, after in (sets, sets[::-1])
    ]
    value, score = fixed["value"], out["score"]
    edge = head.calibration.edges[0]

    def run() -> tuple[float, float]:
        alarms, highest, now, last = 0, 0.0, 0, -1
        began = clock()
        for window in windows:
            value[:, 0] = features.extract(window)[0]
            hour = int(window.times[0] // 3600)
            if hour != last:
                if last >= 0:
                    profiles[:, slots(last)] = sets[now]["profile"]
                sets[now]["profile"][:] = profiles[:, slots(hour)]
                last = hour
            bounds[now].run()
            now = 1 - now
            highest = score.max() / edge
            alarms += highest >= 1.0
        return clock() - began, float(highest)

    return run
