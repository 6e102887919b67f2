"""Pictures, and what a monitor can follow of them: a few figures for each region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensors.base import Channel, NotNegative, OptionError, Positive
from sensors.values import check_names

Octets = NDArray[np.uint8]
Figure = Literal["luminance", "contrast", "sharpness", "change", "saturated", "red", "green", "blue"]
USUAL: tuple[Figure, ...] = ("luminance", "contrast", "sharpness", "change", "saturated")
COLOURS: tuple[Figure, ...] = ("red", "green", "blue")
UNITS: dict[Figure, str] = {"sharpness": "1"}  # the others are shares, in %
MOST_PIXELS = (
    2**25
)  # of a picture: 8k is 33 million, and what is not true of a header must not fill the memory
LEAST_SIDE = 3  # pixels of a region: its edges have no neighbours


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the picture, in shares of its width and height, so that it stays where it is at another size.

    Options:
        name: stands before the names of its figures.
        left: where it begins, 0 = at the left edge.
        top: where it begins, 0 = at the upper edge.
        width: 1 = that of the picture.
        height: 1 = that of the picture.
    """

    name: str
    left: NotNegative = 0.0
    top: NotNegative = 0.0
    width: Positive = 1.0
    height: Positive = 1.0

    def __post_init__(self) -> None:
        for begin, size, option in ((self.left, self.width, "width"), (self.top, self.height, "height")):
            if begin + size > 1.0 + 1e-9:
                raise OptionError(option, size, f"goes beyond the picture: at most {1.0 - begin:g} is left")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Brightness and colour as cameras give them. Those of colour may be smaller than that of brightness.

    ITU-T H.273: black is 0 and white 255 in the full range of values, otherwise 16 and 235 (colours 16 to 240); what
    red and blue count in white, `red_share` and `blue_share`, is 0.299 and 0.114 in BT.601 and in JPEG.
    """

    luma: Octets  # (height, width)
    blue: Octets | None = None  # less the brightness, around 128
    red: Octets | None = None
    full: bool = True
    red_share: float = 0.299
    blue_share: float = 0.114

    @property
    def black(self) -> int:
        return 0 if self.full else 16

    @property
    def span(self) -> int:
        return 255 if self.full else 219


class Look:
    """Figures of one picture after the other."""

    def __init__(self, regions: Sequence[Region] | None, figures: Sequence[Figure] | None) -> None:
        """Raises OptionError."""
        if regions is not None:
            check_names("regions[{}].name", [region.name for region in regions])
        self._figures = USUAL if figures is None else tuple(figures)
        check_names("figures[{}]", self._figures)
        self._regions = [Region("")] if regions is None else list(regions)
        self.coloured = any(figure in COLOURS for figure in self._figures)
        self.channels = tuple(
            Channel(f"{region.name} {figure}".strip(), UNITS.get(figure, "%"))
            for region in self._regions
            for figure in self._figures
        )
        self.begin()

    def begin(self) -> None:
        """Forget the picture before: nothing has changed against it."""
        self._before: list[Octets | None] = [None] * len(self._regions)

    def figures(self, picture: Picture) -> tuple[float, ...]:
        """One for each channel; NaN for what the picture does not show. Raises ValueError: a region is too small."""
        found: list[float] = []
        for i, region in enumerate(self._regions):
            luma = _cut(picture.luma, region)
            if min(luma.shape) < LEAST_SIDE:
                raise ValueError(
                    f"region {region.name} has {luma.shape[1]} x {luma.shape[0]} pixels: too few"
                )
            known = dict(zip(COLOURS, _colours(picture, region, luma), strict=True)) if self.coloured else {}
            before, self._before[i] = self._before[i], luma.copy() if "change" in self._figures else None
            found += [
                known[figure] if figure in known else _figure(figure, luma, before, picture)
                for figure in self._figures
            ]
        return tuple(found)


def _figure(figure: Figure, luma: Octets, before: Octets | None, picture: Picture) -> float:
    percent = 100.0 / picture.span
    if figure == "luminance":
        return percent * (float(luma.mean()) - picture.black)
    if figure == "contrast":
        return percent * float(luma.std())
    if figure == "saturated":
        return 100.0 * float(np.mean(luma >= picture.black + picture.span))
    if figure == "sharpness":
        return float(_laplacian(luma).var()) * (255.0 / picture.span) ** 2
    if before is None or before.shape != luma.shape:
        return math.nan
    return percent * float(np.abs(luma.astype(np.int16) - before).mean())


def _laplacian(luma: Octets) -> NDArray[np.int16]:
    """Its variance is what tells a sharp picture from a blurred one: J. L. Pech-Pacheco et al., Diatom autofocusing in
    brightfield microscopy, ICPR 2000 (LAPV). The four neighbours less four times the middle; values of 0 to 255."""
    wide = luma.astype(np.int16)
    sides = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    edges: NDArray[np.int16] = sides - 4 * wide[1:-1, 1:-1]
    return edges


def _colours(picture: Picture, region: Region, luma: Octets) -> tuple[float, float, float]:
    """Mean red, green and blue in %: the means of the values, through H.273's equations, which are linear."""
    if picture.blue is None or picture.red is None:
        return math.nan, math.nan, math.nan
    bright = (float(luma.mean()) - picture.black) / picture.span
    width = 255.0 if picture.full else 224.0
    blue_less = (float(_cut(picture.blue, region).mean()) - 128.0) / width
    red_less = (float(_cut(picture.red, region).mean()) - 128.0) / width
    red = bright + 2.0 * (1.0 - picture.red_share) * red_less
    blue = bright + 2.0 * (1.0 - picture.blue_share) * blue_less
    rest = 1.0 - picture.red_share - picture.blue_share
    green = (bright - picture.red_share * red - picture.blue_share * blue) / rest
    return tuple(100.0 * min(1.0, max(0.0, colour)) for colour in (red, green, blue))  # type: ignore[return-value]


def _cut(plane: Octets, region: Region) -> Octets:
    high, wide = plane.shape
    top, left = math.floor(region.top * high + 1e-6), math.floor(region.left * wide + 1e-6)
    bottom = max(top + 1, math.floor((region.top + region.height) * high + 1e-6))
    right = max(left + 1, math.floor((region.left + region.width) * wide + 1e-6))
    return plane[top:bottom, left:right]
