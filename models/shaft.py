"""The speed of a shaft, read from the harmonics it leaves in a spectrum of vibration."""

from __future__ import annotations

import numpy as np

from models.envelope import TINY, Around, Doubles

HARMONICS = 5
AROUND_HZ = 10.0  # neighbourhood of a line, whose median it is compared with
AUDIBLE = 0.8  # of the logarithm: only what a line stands out beyond that counts; few of noise do
PER_LINE = 8  # speeds tried for each line that the highest harmonic moves by
CLEAR = (
    1.5  # a sum of so much is no chance: of noise it was 0.6 at most, of CWRU recordings of 2 s 2.5 and more
)


class Shaft:
    """Estimates the speed between two bounds, from spectra of one grid.

    For each speed the logarithms of the amplitudes at its harmonics are added, as far as they stand out (harmonic
    product spectrum: A. M. Noll, "Pitch determination of human speech by the harmonic product spectrum ...", Proc.
    Symposium on Computer Processing in Communications, 1969, 779-797), less those halfway between, so that neither half
    nor twice the speed looks as good; the n-th weighs 1/n.

    Does badly where another shaft within the bounds shakes more, and where the window is short: of one of 1 s the
    lines are 1 Hz apart.
    """

    def __init__(self, step_hz: float, bins: int, slowest_hz: float, fastest_hz: float) -> None:
        """Spectra of `bins` lines `step_hz` apart, from 0 on. Raises ValueError where they do not reach far enough."""
        self._top = int((HARMONICS + 0.5) * fastest_hz / step_hz) + 3
        if self._top > bins:
            reach = (bins - 3) * step_hz / (HARMONICS + 0.5)
            raise ValueError(
                f"speeds up to {fastest_hz:g} Hz cannot be read from this spectrum, up to {reach:g} Hz can"
            )
        count = max(2, int(PER_LINE * HARMONICS * (fastest_hz - slowest_hz) / step_hz) + 1)
        self._speeds = np.linspace(slowest_hz, fastest_hz, count)
        self._around = Around(self._top, max(8, round(AROUND_HZ / step_hz)))
        self._places = self._speeds / step_hz

    def estimate(self, energy: Doubles) -> tuple[float, float]:
        """`(hz, clarity)` from the squared amplitudes `(channels, bins)` of a window's spectrum; a clarity below
        CLEAR is a guess."""
        amplitude = np.sqrt(energy[:, : self._top]) + TINY
        standing = np.maximum(np.log(amplitude / (self._around(amplitude) + TINY)) - AUDIBLE, 0.0).mean(
            axis=0
        )
        lines = np.arange(self._top)
        total = np.zeros(len(self._speeds))
        for harmonic in range(1, HARMONICS + 1):
            here = np.interp(harmonic * self._places, lines, standing)
            total += (here - np.interp((harmonic - 0.5) * self._places, lines, standing)) / harmonic
        best = int(total.argmax())
        return float(self._speeds[best]), float(total[best])
