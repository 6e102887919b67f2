"""What the parts of a monitor's work cost on this very board: measured once, when the monitor is put together."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from agent.ladders import Costs
from models.features import Features
from models.sentinel import Sentinel
from models.smoothing import Smoother
from models.window import Windows

ROUNDS = 3  # the best counts: what disturbs a measurement only makes it longer
PIECE = 10  # windows that the sentinel hears at once
# Of one core of an AMD EPYC (Python 3.11, numpy 2.4), where the parts that cannot be measured alone took CALL_S, HOP_S,
# ROW_S and SCORE_S; TOUCHSTONE_S is what the touchstone took there (`python -m benchmarks governor` prints all again).
TOUCHSTONE_S = 5.2e-6
CALL_S, HOP_S, ROW_S, SCORE_S = 60e-6, 25e-6, 1.5e-6, 60e-6


def measured(
    features: Features,
    channels: int,
    rate_hz: float,
    length: int,
    hop: int,
    *,
    cascaded: bool,
    clock: Callable[[], float] = time.thread_time,
) -> Costs:
    """Of a monitor with windows of `length` rows every `hop`; takes a dozen windows' time. What cannot be measured
    by itself is scaled from another computer by how much slower this one is at a touchstone."""
    slower = touchstone(clock) / TOUCHSTONE_S
    if not cascaded:
        return Costs(CALL_S * slower, ROW_S * slower, 0.0, 0.0)
    noise = (
        np.random.default_rng(0).standard_normal((length + (PIECE - 1) * hop, channels)).astype(np.float32)
    )
    one = Windows([0.0], noise[:length], length, hop, False)
    many = Windows([i * hop / rate_hz for i in range(PIECE)], noise, length, hop, False)
    sentinel = Sentinel(channels, 1)
    return Costs(
        call=CALL_S * slower,
        hop=HOP_S * slower * channels / 3,
        window=_best(lambda: features.extract(one), clock),
        score=SCORE_S * slower,
        sentinel=_best(lambda: sentinel.hear(many), clock) / PIECE,
    )


def touchstone(clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds for a small piece of the road's own kind of work: one row averaged with those before it."""
    smoother, row = Smoother(20, 1, 20, 8), np.ones((1, 8), np.float32)

    def push() -> None:
        for _ in range(100):
            smoother.push(row, False)

    return _best(push, clock) / 100


def _best(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds that it takes, the best of some tries."""
    work()
    best = float("inf")
    for _ in range(ROUNDS):
        began = clock()
        work()
        best = min(best, clock() - began)
    return best
