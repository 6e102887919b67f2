"""Figures of pictures, against what is known of them in closed form and a slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sensors import OptionError
from sensors.picture import Figure, Look, Octets, Picture, Region

ALL: tuple[Figure, ...] = (
    "luminance",
    "contrast",
    "sharpness",
    "change",
    "saturated",
    "red",
    "green",
    "blue",
)


def flat(value: int, high: int = 12, wide: int = 16) -> Octets:
    return np.full((high, wide), value, np.uint8)


def look(picture: Picture, *figures: Figure) -> list[float]:
    return list(Look(None, figures or None).figures(picture))


@pytest.mark.parametrize(("full", "black", "white"), [(True, 0, 255), (False, 16, 235)])
def test_black_is_0_percent_and_white_100(full: bool, black: int, white: int) -> None:
    assert look(Picture(flat(black), full=full), "luminance", "saturated") == [0.0, 0.0]
    assert look(Picture(flat(white), full=full), "luminance", "saturated") == pytest.approx([100.0, 100.0])


def test_half_black_and_half_white_has_a_contrast_of_50_percent() -> None:
    half = flat(0)
    half[:, :8] = 255
    assert look(Picture(half), "luminance", "contrast", "saturated") == [50.0, 50.0, 50.0]


def test_change_is_the_mean_difference_to_the_picture_before() -> None:
    eye = Look(None, ["change"])
    assert math.isnan(eye.figures(Picture(flat(0)))[0])
    assert eye.figures(Picture(flat(51)))[0] == pytest.approx(20.0)
    assert eye.figures(Picture(flat(0)))[0] == pytest.approx(20.0)
    assert eye.figures(Picture(flat(0)))[0] == 0.0
    assert math.isnan(eye.figures(Picture(flat(0, wide=20)))[0]), "of another size"
    eye.begin()
    assert math.isnan(eye.figures(Picture(flat(0, wide=20)))[0])


def test_change_does_not_look_at_a_picture_that_was_written_over() -> None:
    eye, plane = Look(None, ["change"]), flat(0)
    eye.figures(Picture(plane))
    plane[:] = 255
    assert eye.figures(Picture(plane))[0] == pytest.approx(100.0)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(3, 9), st.integers(3, 9))), st.booleans())
def test_figures_are_those_of_a_slow_reference(luma: Octets, full: bool) -> None:
    black, span = (0, 255) if full else (16, 219)
    high, wide = luma.shape
    pixels = [int(value) for value in luma.ravel()]
    mean = sum(pixels) / len(pixels)
    edges = []
    for y in range(1, high - 1):
        for x in range(1, wide - 1):
            around = [int(luma[y + dy, x + dx]) for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))]
            edges.append(sum(around) - 4 * int(luma[y, x]))
    edge = sum(edges) / len(edges)
    expected = [
        100 * (mean - black) / span,
        100 * math.sqrt(sum((p - mean) ** 2 for p in pixels) / len(pixels)) / span,
        sum((e - edge) ** 2 for e in edges) / len(edges) * (255 / span) ** 2,
        100 * sum(p >= black + span for p in pixels) / len(pixels),
    ]
    found = look(Picture(luma, full=full), "luminance", "contrast", "sharpness", "saturated")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("shares", [(0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)])
@given(st.tuples(*[st.floats(0.05, 0.95)] * 3))
def test_colours_come_back_out_of_what_h273_makes_of_them(
    shares: tuple[float, float], full: bool, rgb: tuple[float, float, float]
) -> None:
    red_share, blue_share = shares
    r, g, b = rgb
    y = red_share * r + (1 - red_share - blue_share) * g + blue_share * b
    blue, red = (b - y) / (2 * (1 - blue_share)), (r - y) / (2 * (1 - red_share))
    black, span, colours = (0, 255, 255) if full else (16, 219, 224)
    counts = round(black + span * y), round(128 + colours * blue), round(128 + colours * red)
    planes = flat(counts[0]), flat(counts[1], 6, 8), flat(counts[2], 6, 8)
    found = look(Picture(*planes, full, red_share, blue_share), "red", "green", "blue")
    np.testing.assert_allclose(found, [100 * r, 100 * g, 100 * b], atol=1.0)


def test_a_grey_picture_has_no_colours() -> None:
    assert all(math.isnan(value) for value in look(Picture(flat(9)), "red", "green", "blue"))


def test_regions_are_looked_at_each_by_itself() -> None:
    luma = flat(0, 40, 60)
    luma[10:20, 30:45] = 255
    blue, red = flat(128, 20, 30), flat(128, 20, 30)
    red[5:10, 15:22] = 200
    regions = [Region("gauge", 0.5, 0.25, 0.25, 0.25), Region("beside", 0.0, 0.0, 0.5)]
    eye = Look(regions, ["luminance", "red"])
    assert [channel.name for channel in eye.channels] == [
        "gauge luminance",
        "gauge red",
        "beside luminance",
        "beside red",
    ]
    found = eye.figures(Picture(luma, blue, red))
    np.testing.assert_allclose(found, [100, 100, 0, 0], atol=1e-6)


def test_without_regions_the_channels_are_called_like_the_figures() -> None:
    assert [(c.name, c.unit) for c in Look(None, None).channels] == [
        ("luminance", "%"),
        ("contrast", "%"),
        ("sharpness", "1"),
        ("change", "%"),
        ("saturated", "%"),
    ]


def test_a_region_of_two_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="region dot has 2 x 12 pixels: too few"):
        Look([Region("dot", width=0.1)], None).figures(Picture(flat(0, wide=20)))


@pytest.mark.parametrize(
    ("options", "path"), [({"left": 0.6, "width": 0.5}, "width"), ({"top": 1.0, "height": 0.1}, "height")]
)
def test_a_region_beyond_the_picture_is_refused(options: dict[str, float], path: str) -> None:
    with pytest.raises(OptionError, match="goes beyond the picture") as raised:
        Region("off", **options)
    assert raised.value.path == path


def test_a_picture_of_any_kind_has_all_figures() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
    found = Look([Region("a"), Region("b", 0.2, 0.2, 0.5, 0.5)], ALL).figures(
        Picture(noise, noise[::2, ::2], noise[::2, ::2])
    )
    assert len(found) == 16
    assert all(math.isfinite(value) for i, value in enumerate(found) if i % 8 != 3)
