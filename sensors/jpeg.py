"""Pictures out of JPEG, through Pillow: brightness and colour as it holds them, and no more than is wanted."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from sensors.extras import require
from sensors.picture import MOST_PIXELS, Picture


class Decoder:
    """Raises SensorError when it is made without Pillow."""

    def __init__(self, coloured: bool) -> None:
        self._pillow: Any = require("PIL.Image", "jpeg")
        self._mode = "YCbCr" if coloured else "L"

    def picture(self, octets: bytes) -> Picture:
        """Raises ValueError for what is no JPEG, is cut off, or too large."""
        pillow = self._pillow
        try:
            with pillow.open(io.BytesIO(octets), formats=("JPEG",)) as image:
                wide, high = image.size
                if wide * high > MOST_PIXELS:
                    raise ValueError(f"has {wide} x {high} pixels")
                image.draft(self._mode, image.size)  # so that the decoder itself leaves the colours out
                image.load()
                if image.mode not in ("L", self._mode):
                    raise ValueError(f"has colours of the kind {image.mode}")
                planes = np.array(image)
        except (
            OSError,
            SyntaxError,
            pillow.DecompressionBombError,
            pillow.DecompressionBombWarning,
        ) as error:
            raise ValueError(str(error)) from None
        if planes.ndim == 2:
            return Picture(planes)
        return Picture(planes[:, :, 0], planes[:, :, 1], planes[:, :, 2])
