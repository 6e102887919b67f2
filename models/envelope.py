"""The envelope spectrum of vibration: what strikes a bearing again and again shows there as a comb of lines."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

HARMONICS = 4  # teeth of a comb; of 3 to 6 all worked alike on the CWRU recordings
SLIP = 0.015  # rolling elements slip by 1 to 2 % (Randall and Antoni 2011), and the shaft is not quite as fast as said
FADE = 0.02  # of the window, at either end: what leaks over its edges would be an impact of our own making
LOWEST = 1 / 16  # of half the rate: the shaft's harmonics lie below, resonances that bearings ring above
DEPTH = 1e-3  # of the mean: how deep the logarithm looks into a silent moment
AROUND_HZ, AROUND_BINS = (
    20.0,
    8,
)  # half the neighbourhood whose median a line is compared with, half over again
TINY = 1e-300  # keeps ratios of zeros finite


class Envelope:
    """Makes envelope spectra of windows of one length, on a grid of `step_hz` from 0 to about `limit_hz`.

    The window is prewhitened by giving every line of its spectrum the same size (P. Borghesani et al., "Application
    of cepstrum pre-whitening for the diagnosis of bearing faults under variable speed conditions", Mech. Syst. Signal
    Process. 36 (2013) 370-384). The squared envelope of what is left is the more sensitive where a normal was learned;
    its logarithm, in which a few loud clicks weigh no more than they are many, is the one to name a fault from
    without (P. Borghesani and J. Antoni, "CS2 analysis in presence of non-Gaussian background noise", Mech. Syst.
    Signal Process. 90 (2017) 378-398).

    Does badly where impacts come strictly periodically, as of gears: the whitening takes them for lines of the shaft.
    """

    def __init__(self, rate_hz: float, length: int, limit_hz: float) -> None:
        self._length = length
        self._fade = math.ceil(FADE * length)
        self._inner = _smooth_number(length - 2 * self._fade)
        self._fade = (length - self._inner) // 2
        self._taper = np.ones(length)
        rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(self._fade) / self._fade)
        self._taper[: self._fade], self._taper[length - self._fade :] = rise, rise[::-1]
        self._hann = np.hanning(self._inner)
        self._dull = int(LOWEST * (length // 2 + 1))
        self.step_hz = rate_hz / self._inner
        self.bins = min(math.ceil(limit_hz / self.step_hz) + 2, self._inner // 2 + 1)
        self._around = Around(self.bins, max(AROUND_BINS, round(AROUND_HZ / self.step_hz)))

    @property
    def limit_hz(self) -> float:
        """The highest frequency of a line that can be looked at."""
        return (self.bins - 2) * self.step_hz

    def spectra(self, window: Doubles) -> tuple[Doubles, Doubles]:
        """Each line's amplitude over the median of those around it, `(channels, bins)`, of a window `(channels,
        length)`: of the squared envelope, and of its logarithm."""
        spectrum = np.fft.rfft(window * self._taper)
        spectrum /= np.maximum(np.abs(spectrum), TINY)
        spectrum[:, : self._dull] = 0
        analytic = np.fft.ifft(spectrum, n=self._length)  # negative frequencies stay 0
        analytic = analytic[:, self._fade : self._fade + self._inner]
        envelope = analytic.real**2 + analytic.imag**2
        mean = envelope.mean(axis=1, keepdims=True)
        logarithm = np.log(envelope + (DEPTH * mean + TINY))
        envelope -= mean
        envelope /= mean + TINY
        logarithm -= logarithm.mean(axis=1, keepdims=True)
        return self._standing(envelope), self._standing(logarithm)

    def _standing(self, envelope: Doubles) -> Doubles:
        amplitude = np.abs(np.fft.rfft(envelope * self._hann)[:, : self.bins])
        amplitude += 1e-9 * self._inner  # of silence: no line stands out
        amplitude /= self._around(amplitude)
        return amplitude


class Around:
    """The median of each line's neighbourhood, taken at every few lines and drawn straight between them."""

    def __init__(self, bins: int, half: int) -> None:
        """Of `4 * half` lines around every `2 * half`-th of `bins`; of fewer where there are not so many."""
        self._half = min(half, bins // 4)
        self._lines = np.arange(bins)
        self._at = 2 * self._half * np.arange(bins // (2 * self._half) + 1) if self._half else self._lines[:0]

    def __call__(self, amplitude: Doubles) -> Doubles:
        """`(channels, bins)` both."""
        half = self._half
        if not half:
            whole: Doubles = np.median(amplitude, axis=1, keepdims=True)
            return whole
        padded = np.concatenate(
            [amplitude[:, 2 * half : 0 : -1], amplitude, amplitude[:, -2 : -2 * half - 2 : -1]], axis=1
        )
        stretches = sliding_window_view(padded, 4 * half, axis=1)[:, :: 2 * half][:, : len(self._at)]
        medians = np.median(stretches, axis=2)
        return np.stack([np.interp(self._lines, self._at, channel) for channel in medians])


def comb(lines: Doubles, step_hz: float, hz: Doubles, harmonics: int = HARMONICS) -> tuple[Doubles, Doubles]:
    """How far combs of lines stand out: `(channels, n)` for fundamentals `(n,)`, the mean of `lines` `(channels,
    bins)` over the harmonics where it is largest within SLIP; and that frequency, likewise."""
    near = lines.copy()  # a line may fall between two
    np.maximum(near[:, 1:], lines[:, :-1], out=near[:, 1:])
    np.maximum(near[:, :-1], lines[:, 1:], out=near[:, :-1])
    shifts = max(1, math.ceil(SLIP * harmonics * float(hz.max(initial=0.0)) / step_hz))
    tried = hz[:, None] * (1 + SLIP * np.arange(-shifts, shifts + 1) / shifts)
    places = np.rint(tried[..., None] * np.arange(1, harmonics + 1) / step_hz).astype(int)
    heights = near[:, np.minimum(places, lines.shape[1] - 1)].mean(axis=3)  # (channels, n, stretches)
    best = heights.argmax(axis=2)
    found: Doubles = tried[np.arange(len(hz)), best]
    return heights.max(axis=2), found


def teeth(hz: float, limit_hz: float) -> int:
    """How many harmonics of a comb with the fundamental `hz` can be looked at; 0 when not even one."""
    return min(HARMONICS, int(limit_hz / (hz * (1 + SLIP))))


def _smooth_number(most: int) -> int:
    """The largest product of 2, 3 and 5 up to `most`, of whose length a Fourier transform is quick."""
    best = 1
    fives = 1
    while fives <= most:
        threes = fives
        while threes <= most:
            best = max(best, threes << ((most // threes).bit_length() - 1))
            threes *= 3
        fives *= 5
    return best
