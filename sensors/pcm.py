"""Samples of sound as ALSA counts them, as shares of full scale."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Format = Literal["S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"]
# bytes of a sample; alsa-lib, include/pcm.h: S24_LE uses the lower three of four, S24_3LE has only those
SIZES: dict[Format, int] = {"S16_LE": 2, "S24_3LE": 3, "S24_LE": 4, "S32_LE": 4, "FLOAT_LE": 4}


def decode(form: Format, octets: bytes, channels: int) -> NDArray[np.float32]:
    """(frames, channels), -1 to 1 for what is counted; a float may be anything. `octets` are whole frames."""
    if form == "FLOAT_LE":
        floats: NDArray[np.float32] = np.frombuffer(octets, "<f4").astype(np.float32)
        return floats.reshape(-1, channels)
    if form == "S16_LE":
        counts: NDArray[Any] = np.frombuffer(octets, "<i2")
        return _shares(counts, 15, channels)
    if form == "S24_3LE":
        wide = np.zeros((len(octets) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(octets, np.uint8).reshape(-1, 3)
        counts = wide.view("<i4")
    else:
        counts = np.frombuffer(octets, "<i4")
        if form == "S24_LE":
            counts = counts << 8  # what the upper byte holds is not said
    return _shares(counts, 31, channels)


def _shares(counts: NDArray[Any], bits: int, channels: int) -> NDArray[np.float32]:
    shares: NDArray[np.float32] = counts.astype(np.float32)
    shares *= np.float32(2.0**-bits)
    return shares.reshape(-1, channels)
