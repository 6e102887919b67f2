"""A rig that does not exist: frames of healthy rotating machines at many speeds, loads, resonances and rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAME = 1024  # samples; the rate is left open: frequencies are in cycles per sample
ORDERS = 16  # highest harmonic of the shaft
# 10 Hz sampled at 48 kHz, and 160 Hz at 3.2 kHz: what shafts and accelerometers come to
SLOWEST, FASTEST = 2e-4, 5e-2
NOISE_DB = (-15.0, 25.0)  # tones over noise; the rings of real rigs are mostly noise
RESONANCES = 4
Frames = NDArray[np.float32]


def frames(count: int, seed: int) -> Frames:
    """`(count, FRAME)` of zero mean and about unit RMS, each of another machine; none has a fault, and none
    repeats an impact. Seeded: the same call gives the same frames."""
    random = np.random.Generator(np.random.Philox(key=[seed, 0x52494721]))
    tones = _unit(_tones(random, count))
    noise = _unit(_noise(random, count))
    ratio_db = random.uniform(*NOISE_DB, (count, 1))
    mixed = tones + noise * 10 ** (-ratio_db / 20)
    mixed -= mixed.mean(axis=1, keepdims=True)
    loudness = np.exp(0.2 * random.standard_normal((count, 1)))  # a frame within its window
    whole: Frames = (_unit(mixed) * loudness).astype(np.float32)
    return whole


def _tones(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Harmonics of the shaft, a gear mesh with its sidebands and the mains' hum, at a speed that drifts."""
    speed = np.exp(random.uniform(np.log(SLOWEST), np.log(FASTEST), (count, 1)))
    drift = 0.01 * random.standard_normal((count, 1))
    row = np.arange(FRAME) / FRAME
    turns = speed * FRAME * (row + drift * row * row) + random.random((count, 1))
    decay = random.uniform(0.3, 2.0, (count, 1))
    total = np.zeros((count, FRAME))
    teeth = random.integers(10, 80, (count, 1))
    geared = random.random((count, 1)) < 0.4
    orders = [(np.full((count, 1), float(n)), n**-decay) for n in range(1, ORDERS + 1)]
    orders += [
        (teeth * harmonic + side, geared * random.uniform(0.1, 2.0, (count, 1)) * weight)
        for harmonic, side, weight in ((1, 0, 1.0), (1, -1, 0.3), (1, 1, 0.3), (2, 0, 0.4))
    ]
    orders.append((random.uniform(0.001, 0.3, (count, 1)) / speed, random.uniform(0.0, 0.3, (count, 1))))
    for order, height in orders:
        heights = height * np.exp(0.7 * random.standard_normal((count, 1))) * (order * speed < 0.45)
        phase = random.random((count, 1))
        total += heights * np.cos(2 * np.pi * (order * turns + phase))
    return total


def _noise(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Stationary noise coloured by the structure: a slope, and resonances."""
    frequency = np.fft.rfftfreq(FRAME)[None]
    slope = random.uniform(-1.0, 0.5, (count, 1))
    power = (frequency + 0.01) ** slope
    for _ in range(RESONANCES):
        centre = np.exp(random.uniform(np.log(0.01), np.log(0.48), (count, 1)))
        damping = np.exp(random.uniform(np.log(0.01), np.log(0.15), (count, 1)))
        height = np.exp(random.uniform(np.log(0.01), np.log(30.0), (count, 1)))
        ratio = frequency / centre
        power += height * (2 * damping) ** 2 / ((1 - ratio**2) ** 2 + (2 * damping * ratio) ** 2)
    spectrum = random.standard_normal((2, count, FRAME // 2 + 1))
    colour = np.sqrt(power)
    colour[:, 0] = 0.0
    noise: NDArray[np.float64] = np.fft.irfft((spectrum[0] + 1j * spectrum[1]) * colour, axis=1)
    return noise


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = rows / np.sqrt((rows * rows).mean(axis=1, keepdims=True) + 1e-12)
    return scaled
