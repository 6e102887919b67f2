"""Other detectors in the same process: those of other libraries where they are installed, and plain ones of our own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.progress import Progress

Doubles = NDArray[np.float64]
Peer = Callable[[Doubles, int], Doubles]  # (rows, channels), rows to learn from -> a score for each row
SEED = 1
WINDOW = 250  # rows, River's default
BRINGS = "`.venv/bin/pip install -c constraints.txt -e '.[bench]'`"
SPAN = 30  # rows of the windowed Gaussian


def half_space_trees(values: Doubles, learned: int) -> Doubles:
    """River's HalfSpaceTrees at its defaults, but for a window no longer than the lesson, on values scaled to 0..1 by
    what was learned from; scores, then learns, row by row. Raises ImportError."""
    from river.anomaly import HalfSpaceTrees

    unit, model = _unit(values, learned), HalfSpaceTrees(window_size=min(WINDOW, learned), seed=SEED)
    scores = np.empty(len(values))
    for i, row in enumerate(unit.tolist()):
        named = dict(enumerate(row))
        scores[i] = model.score_one(named)
        model.learn_one(named)
    return scores


def loda(values: Doubles, learned: int) -> Doubles:
    """PySAD's LODA at its defaults. Raises ImportError."""
    return _pysad("LODA", values)


def deviation(values: Doubles, learned: int) -> Doubles:
    """PySAD's StandardAbsoluteDeviation at its defaults, of one channel. Raises ImportError."""
    return _pysad("StandardAbsoluteDeviation", values)


def t2_q(values: Doubles, learned: int) -> Doubles:
    """Hotelling's T² and Q of a principal component model (90 % of the variance) of the rows learned from, each over
    its own 0.99 quantile there; the larger."""
    lesson = values[:learned]
    mean, spread = lesson.mean(axis=0), lesson.std(axis=0)
    z = (values - mean) / np.where(spread > 0, spread, 1.0)
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(z[:learned], rowvar=False)))
    order = np.argsort(-variance)
    variance, axes = variance[order], axes[:, order]
    kept = int(np.searchsorted(np.cumsum(variance) / variance.sum(), 0.9)) + 1
    along = z @ axes[:, :kept]
    t2 = (along**2 / variance[:kept]).sum(axis=1)
    q = ((z - along @ axes[:, :kept].T) ** 2).sum(axis=1)
    edges = [max(float(np.quantile(part[:learned], 0.99)), 1e-12) for part in (t2, q)]
    larger: Doubles = np.maximum(t2 / edges[0], q / edges[1])
    return larger


def windowed_gaussian(values: Doubles, learned: int) -> Doubles:
    """How many standard deviations a value lies from the mean of the 30 before it, the largest over the channels."""
    scores = np.zeros(len(values))
    least = 0.1 * values[:learned].std(axis=0) + 1e-9
    for i in range(2, len(values)):
        before = values[max(0, i - SPAN) : i]
        scores[i] = (np.abs(values[i] - before.mean(axis=0)) / np.maximum(before.std(axis=0), least)).max()
    return scores


MULTIVARIATE: dict[str, Peer] = {
    "T²+Q": t2_q,
    "River HalfSpaceTrees": half_space_trees,
    "PySAD LODA": loda,
}
SLOW: dict[str, Peer] = {
    "windowed Gaussian": windowed_gaussian,
    "River HalfSpaceTrees": half_space_trees,
    "PySAD StandardAbsoluteDeviation": deviation,
}


def timed(peer: Peer, values: Doubles, learned: int) -> tuple[Doubles, float]:
    """Its scores, and the CPU seconds they took. Raises ImportError where its library is not installed."""
    before = process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what another library warns of itself
        scores = peer(values, learned)
    return np.nan_to_num(scores, nan=0.0), process_time() - before


@dataclass(frozen=True, slots=True)
class Tried:
    """What one peer made of all recordings."""

    scores: list[Doubles]  # of each recording; empty where its library is missing
    us_per_row: float
    missing: str = ""  # why it could not be run


def tried(
    peers: Mapping[str, Peer], recordings: Sequence[tuple[Doubles, int]]
) -> Iterator[tuple[str, Tried]]:
    """Every peer on every recording: rows `(n, channels)`, and of how many it may learn."""
    rows = sum(len(values) for values, _ in recordings)
    with Progress("peers") as progress:
        for number, (name, peer) in enumerate(peers.items()):
            scores: list[Doubles] = []
            seconds = 0.0
            try:
                timed(peer, recordings[0][0][:60], 50)  # imports are not its work
                for i, (values, learned) in enumerate(recordings):
                    one, took = timed(peer, values, learned)
                    scores.append(one)
                    seconds += took
                    share = (number + (i + 1) / len(recordings)) / len(peers)
                    progress.tell(lambda share=share: share, lambda name=name: name)  # type: ignore[misc]
            except ImportError as error:
                yield name, Tried([], 0.0, str(error))
                continue
            yield name, Tried(scores, 1e6 * seconds / rows)


def averaged(scores: Doubles, span: int) -> Doubles:
    """Means over the last `span` rows, of fewer at the start."""
    sums = np.cumsum(np.concatenate([np.zeros(1), scores]))
    stop = np.arange(1, len(scores) + 1)
    start = np.maximum(0, stop - span)
    means: Doubles = (sums[stop] - sums[start]) / (stop - start)
    return means


def over_lesson(scores: Doubles, learned: int) -> Doubles:
    """In units of what the lesson scored in its second half, for some need a while to fill: its median is 0, its 0.99
    quantile 1."""
    low, edge = np.quantile(scores[learned // 2 : learned], (0.5, 0.99))
    scaled: Doubles = (scores - low) / max(edge - low, 1e-9)
    return scaled


def absent(peers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines that say which peers could not be run here, and what brings them; none where all were."""
    names = [name for name, peer in peers.items() if "missing" in peer]
    if not names:
        return []
    return ["", f"Not installed here: {', '.join(names)}. {BRINGS} brings what is missing."]


def _pysad(name: str, values: Doubles) -> Doubles:
    import pysad.models

    state = np.random.get_state()
    np.random.seed(SEED)
    try:
        model = getattr(pysad.models, name)()
        return np.array([float(np.ravel(model.fit_score_partial(row))[0]) for row in values])
    finally:
        np.random.set_state(state)


def _unit(values: Doubles, learned: int) -> Doubles:
    """Scaled to 0..1 over what was learned from, and cut there."""
    low, high = values[:learned].min(axis=0), values[:learned].max(axis=0)
    unit: Doubles = np.clip((values - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    return unit
