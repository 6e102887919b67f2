"""Zones of ISO 20816 at the bounds that the standard prints."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.severity import BOUNDS, Machine, Mounting, Scale, lowest_hz, measurable, weights


@pytest.mark.parametrize(
    ("machine", "mounting", "bounds"),
    [
        ("group1", "rigid", (2.3, 4.5, 7.1)),
        ("group1", "flexible", (3.5, 7.1, 11.0)),
        ("group2", "rigid", (1.4, 2.8, 4.5)),
        ("group2", "flexible", (2.3, 4.5, 7.1)),
    ],
)
def test_a_zone_ends_where_the_standard_says(
    machine: Machine, mounting: Mounting, bounds: tuple[float, float, float]
) -> None:
    scale = Scale(machine, mounting)
    assert scale.bounds == bounds
    assert scale.zone(0.0) == "A"
    for bound, below, above in zip(bounds, "ABC", "BCD", strict=True):
        assert scale.zone(bound) == below
        assert scale.zone(bound * 1.001) == above


def test_a_softer_mounting_and_a_larger_machine_may_shake_more() -> None:
    for machine in ("group1", "group2"):
        assert BOUNDS[machine, "flexible"] > BOUNDS[machine, "rigid"]
    for mounting in ("rigid", "flexible"):
        assert BOUNDS["group1", mounting] > BOUNDS["group2", mounting]


def test_an_acceleration_of_one_metre_per_second_squared_at_159_hz_is_one_millimetre_per_second() -> None:
    # 1 / (2 pi 159.155 Hz) = 1 ms, which vibration calibrators use
    line = weights("m/s2", 159.155 * 16, 160)[10]
    assert math.sqrt(line) == pytest.approx(1.0, rel=1e-4)


def test_only_lines_of_the_band_count() -> None:
    hz = np.arange(3201) * 1.0
    counted = weights("g", 6400.0, 6400) > 0
    assert hz[counted].min() == 10.0
    assert hz[counted].max() == 1000.0


def test_short_windows_begin_at_their_second_line() -> None:
    assert lowest_hz(25_600.0, 2560) == 20.0
    assert lowest_hz(25_600.0, 25_600) == 10.0


def test_a_pressure_has_no_velocity() -> None:
    assert not measurable("Pa")
    assert not weights("Pa", 1000.0, 1000).any()
    assert measurable("g")
    assert measurable("mm/s")
