"""What a failing sensor makes of what it sees: lost, stuck, clipped and leaping samples of the machine that does not
exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sensors.machine import Fault

CHANNEL_FAULTS = ("dropout", "stuck", "saturated", "spikes")  # of single channels
PIECES = 16  # of a page, that go missing each by itself: samples are lost in bursts
FULL_SCALE = (100.0, 200.0, 150.0, 50.0, 20.0)  # of the instruments, in the units of TELEMETRY
CLIPPED = (0.35, 0.28, 0.2)  # m/s2, where an amplifier without its supply cuts off x, y and z
SPIKE = 20.0  # m/s2, of a loose plug
TELEMETRY_SPIKES, VIBRATION_SPIKES = 0.05, 0.001  # share of samples

Random = Callable[[int], np.random.Generator]
DROPOUT_STREAM, SPIKES_STREAM = 16, 32  # of random numbers, each with one more for each channel


class Spoiler:
    """Spoils pages of samples in their order, in place."""

    def __init__(self, names: Sequence[str], vibration: bool) -> None:
        self._names, self._vibration = names, vibration
        self._held: dict[int, float] = {}

    def spoil(
        self, page: NDArray[np.float32], seconds: NDArray[np.float64], faults: Sequence[Fault], random: Random
    ) -> None:
        """`page` (samples, channels) at `seconds` after the first sample; `random(stream)` belongs to this page."""
        stuck: set[int] = set()
        for fault in faults:
            if fault.kind not in CHANNEL_FAULTS:
                continue
            active = fault.at(seconds)
            if not active.any():
                continue
            columns = range(len(self._names)) if fault.channel is None else [self._names.index(fault.channel)]
            for column in columns:
                samples = page[:, column]
                if fault.kind == "stuck":
                    rows = active > 0
                    samples[rows] = self._held.setdefault(column, float(samples[int(np.argmax(rows))]))
                    stuck.add(column)
                elif fault.kind == "dropout":
                    pieces = random(DROPOUT_STREAM + column).random(min(PIECES, len(page)))
                    lost = np.repeat(pieces, -(-len(page) // len(pieces)))[: len(page)] < active
                    samples[lost] = np.nan
                elif fault.kind == "saturated":
                    self._saturate(samples, column, active)
                elif fault.kind == "spikes":
                    self._leap(samples, column, active, random(SPIKES_STREAM + column))
        for column in set(self._held) - stuck:
            del self._held[column]

    def _saturate(self, samples: NDArray[np.float32], column: int, active: NDArray[np.float64]) -> None:
        rows = active > 0
        if self._vibration:
            end = (CLIPPED[column] / active[rows]).astype(np.float32)
            samples[rows] = np.clip(samples[rows], -end, end)
        else:
            samples[rows] = FULL_SCALE[column]

    def _leap(
        self,
        samples: NDArray[np.float32],
        column: int,
        active: NDArray[np.float64],
        random: np.random.Generator,
    ) -> None:
        share = VIBRATION_SPIKES if self._vibration else TELEMETRY_SPIKES
        rows = random.random(len(samples)) < share * active
        height = SPIKE if self._vibration else FULL_SCALE[column]
        samples[rows] += np.float32(height) * random.choice([-1.0, 1.0], int(rows.sum())).astype(np.float32)
