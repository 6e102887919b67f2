"""Sound as people and machines tell it apart: the level in each of some bands that widen with pitch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sensors.base import AtLeast, OptionError, Positive

FRAMES_UNDER = (
    2  # a spectrum is that of the last two periods of the frame rate, so that no sound falls between two
)
Numbers = NDArray[np.float64]
QUIETEST = 1e-20  # mean square, of full scale: what digital silence is taken for, 200 dB down


@dataclass(frozen=True, slots=True)
class Mel:
    """The bands, and how often they are told.

    Options:
        frame_hz: samples per second: each is the spectrum of the last two periods.
        bands: how many.
        lowest_hz: where the lowest band begins.
        highest_hz: where the highest ends; without it, half the rate of the sound.
        reference: what 0 dB is, in the unit of the channel: for sound in Pa, 0.00002 gives dB SPL.
    """

    frame_hz: Positive = 10.0
    bands: Annotated[int, AtLeast(2)] = 32
    lowest_hz: Positive = 50.0
    highest_hz: Positive | None = None
    reference: Positive = 1.0


def mel(hz: Numbers) -> Numbers:
    """2595 log10(1 + f/700): D. O'Shaughnessy, Speech Communication (1987), p. 150; the HTK Book, eq. 5.13."""
    return 2595.0 * np.log10(1.0 + hz / 700.0)


def hertz(mel: Numbers) -> Numbers:
    """Of mels."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


class LogMel:
    """Levels of frames, from samples in whatever pieces they come."""

    def __init__(self, how: Mel, rate_hz: float, full_scales: NDArray[np.float32]) -> None:
        """Of samples with these full scales, one for each channel. Raises OptionError."""
        self.hop = round(rate_hz / how.frame_hz)
        if self.hop < 1 or abs(self.hop * how.frame_hz - rate_hz) > 1e-6 * rate_hz:
            near = rate_hz / max(1, self.hop)
            raise OptionError("mel.frame_hz", how.frame_hz, f"must divide {rate_hz:g} Hz: {near:.9g} would")
        highest = rate_hz / 2 if how.highest_hz is None else how.highest_hz
        if highest > rate_hz / 2:
            raise OptionError(
                "mel.highest_hz", highest, f"must be at most {rate_hz / 2:g}, half of the sound's rate"
            )
        if how.lowest_hz >= highest:
            raise OptionError(
                "mel.lowest_hz", how.lowest_hz, f"must be below {highest:g}, where the bands end"
            )
        begin, end = mel(np.array([how.lowest_hz, highest])).tolist()
        edges: Numbers = np.linspace(begin, end, how.bands + 2)
        self.centres_hz: list[float] = hertz(edges[1:-1]).tolist()
        self._length = FRAMES_UNDER * self.hop
        line_hz = rate_hz / self._length
        if self.centres_hz[0] - how.lowest_hz < line_hz:
            told = f"are so many that the lowest is narrower than {line_hz:g} Hz, half of frame_hz"
            raise OptionError("mel.bands", how.bands, told)
        lines = mel(line_hz * np.arange(self._length // 2 + 1, dtype=np.float64))
        # A triangle in mel for each band, that falls to zero at its neighbours' middles: together they count each line
        # between the outermost middles once. It rises over one step of mel, and falls over the next.
        self._starts = np.searchsorted(lines, edges[:-1])  # of the steps, one more than there are bands
        self._lines = slice(int(np.searchsorted(lines, edges[-1])))
        step = np.searchsorted(edges[:-1], lines[self._lines], side="right") - 1
        rise = (lines[self._lines] - edges[step]) / (
            edges[1] - begin
        )  # of those before the first, nothing is used
        self._window = np.hanning(self._length + 1)[:-1].astype(np.float32)[:, None]
        power = np.full(len(lines), 2.0)  # of both halves of the spectrum
        power[0] = 1.0
        if self._length % 2 == 0:
            power[-1] = 1.0
        power /= self._length * float(np.sum(self._window**2, dtype=np.float64))  # Parseval: a mean square
        power = power[self._lines]
        self._rise = (rise * power).astype(np.float32)[:, None]
        self._fall = ((1.0 - rise) * power).astype(np.float32)[:, None]
        self._zero_db = how.reference**2
        self._quietest = QUIETEST * full_scales.astype(np.float64) ** 2
        self._channels, self._bands = len(full_scales), how.bands
        self.restart()

    def restart(self) -> None:
        """Forget what has come: what follows is not joined to it."""
        self._kept = np.empty((0, self._channels), np.float32)

    def feed(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
        """Levels in dB, (frames, channels * bands), of the frames that end in these samples, and where the first ends:
        the number of its last sample, counted from the first of these."""
        older = len(self._kept)
        rows = np.concatenate([self._kept, samples])
        frames = max(0, (len(rows) - self._length) // self.hop + 1)
        self._kept = rows[frames * self.hop :].copy()
        levels = np.empty((frames, self._channels * self._bands), np.float32)
        for i in range(frames):
            part = rows[i * self.hop : i * self.hop + self._length]
            lines = np.fft.rfft(part * self._window, axis=0)[self._lines]
            # No product of matrices: BLAS would wake its threads for so little, and they wait busily for more.
            squares = lines.real**2 + lines.imag**2
            rising = np.add.reduceat(squares * self._rise, self._starts, axis=0)
            falling = np.add.reduceat(squares * self._fall, self._starts, axis=0)
            square = rising[:-1] + falling[1:]
            levels[i] = 10.0 * np.log10(np.maximum(square, self._quietest).T.ravel() / self._zero_db)
        return levels, self._length - 1 - older
