"""The same work without a road: what a script written straight to numpy and onnxruntime would do, to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.blocks import COLUMNS
from models.detector import Head, Learned
from models.features import Features
from models.level import APART, CARRIED, DISTANCES, Level, slots
from models.mahalanobis import Mahalanobis
from models.neighbours import CLIP, EMPTY, KEPT, LENGTH, ROOT, Neighbours
from models.reconstruction import Reconstruction
from models.session import Bound, aligned, open_graph
from models.smoothing import CHANGE_SPANS
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
    if isinstance(head, Neighbours):
        return _neighbours(head, learned, features, windows, clock)
    if isinstance(head, Reconstruction):
        return _reconstruction(head, learned, features, windows, clock)
    assert isinstance(head, Mahalanobis)
    return _mahalanobis(head, learned, features, windows, clock)


def _mahalanobis(
    head: Mahalanobis,
    learned: Learned,
    features: Features,
    windows: Sequence[Windows],
    clock: Callable[[], float],
) -> Loop:
    span, every, lag = head.averaging.span, head.averaging.every, head.averaging.lag
    width, back = head.width, CHANGE_SPANS * lag
    level_in, change_in, scores = (
        aligned(1, width, COLUMNS),
        aligned(1, width, COLUMNS),
        aligned(2, 1, 1, COLUMNS),
    )
    inputs: dict[str, NDArray[Any]] = {"level": level_in, "change": change_in, "ones": aligned(1, 1, width)}
    inputs["ones"][:] = 1
    inputs.update(_weights(head.shapes, learned.arrays))
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


def _reconstruction(
    head: Reconstruction,
    learned: Learned,
    features: Features,
    windows: Sequence[Windows],
    clock: Callable[[], float],
) -> Loop:
    span, every, width = head.averaging.span, head.averaging.every, head.width
    level_in, distance = aligned(1, width, COLUMNS), aligned(1, 1, COLUMNS)
    inputs: dict[str, NDArray[Any]] = {"level": level_in, "ones": aligned(1, 1, width)}
    inputs["ones"][:] = 1
    inputs.update(_weights(head.shapes, learned.arrays))
    bound = Bound(open_graph(Reconstruction.graph), inputs, {"distance": distance})
    rows = np.zeros((span - 1 + every * len(windows), width), np.float32)
    edge = head.calibration.edges[0]

    def run() -> tuple[float, float]:
        alarms, highest = 0, 0.0
        began = clock()
        for i, window in enumerate(windows):
            end = span - 1 + (i + 1) * every
            rows[end - every : end] = features.extract(window)
            level_in[0, :, 0] = np.add.reduce(rows[end - span : end], 0, np.float64) / span
            bound.run()
            highest = distance[0, 0, 0] / edge
            alarms += highest >= 1.0
        return clock() - began, float(highest)

    return run


def _neighbours(
    head: Neighbours,
    learned: Learned,
    features: Features,
    windows: Sequence[Windows],
    clock: Callable[[], float],
) -> Loop:
    """Without the reservoir, which costs next to nothing: one stretch of sixteen may be kept."""
    width, arrays = head.width, learned.arrays
    inputs = {
        "stretch": aligned(width, LENGTH, COLUMNS),
        "memory": aligned(width, KEPT, LENGTH),
        "energy": aligned(width, KEPT, 1),
        "inverse_edge": aligned(width, 1, 1),
        "ones": aligned(width, 1, LENGTH),
    }
    inputs["ones"][:] = 1
    inputs["inverse_edge"][:, 0] = arrays["inverse_edge"]
    inputs["memory"][:] = arrays["memory"]
    inputs["energy"][:, :, 0] = np.square(arrays["memory"].astype(np.float64)).sum(axis=-1)
    for channel, seen in enumerate(arrays["seen"][:, 0].astype(int)):
        inputs["energy"][channel, seen:] = EMPTY
    score = aligned(width, 1, COLUMNS)
    bound = Bound(open_graph(Neighbours.graph), inputs, {"score": score})
    median, inverse = arrays["median"][:, 0], arrays["inverse_scale"][:, 0]
    rows = np.zeros((LENGTH - 1 + len(windows), width), np.float32)
    stretch, root, edge = inputs["stretch"], np.float32(ROOT), head.calibration.edges[0]

    def run() -> tuple[float, float]:
        alarms, highest = 0, 0.0
        began = clock()
        for i, window in enumerate(windows):
            end = LENGTH + i
            rows[end - 1] = np.clip((features.extract(window)[0] - median) * inverse, -CLIP, CLIP) / root
            stretch[:, :, 0] = rows[i:end].T
            bound.run()
            highest = score[:, 0, 0].max() / edge
            alarms += highest >= 1.0
        return clock() - began, float(highest)

    return run


def _weights(names: Iterable[str], arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Learned arrays as inputs of a bank of one."""
    inputs = {name: aligned(1, *arrays[name].shape) for name in names}
    for name, array in inputs.items():
        array[0] = arrays[name]
    return inputs


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
    sets = [{name: aligned(width, *shape) for name, shape in CARRIED.items()} for _ in range(2)]
    profiles = learned.arrays["table"].copy()
    for name in ("median", "inverse_scale"):
        fixed[name][:] = learned.arrays[name]
    for name in CARRIED.keys() & learned.arrays.keys():
        sets[0][name][:] = learned.arrays[name]
    out = {"score": aligned(width, 1), "distance": aligned(width, DISTANCES), "apart": aligned(width, APART)}
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
