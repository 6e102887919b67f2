"""Features of signals whose features are known in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bearing import Bearing
from models.features import telemetry
from models.vibration import (
    BANDS,
    LOWEST_BAND_HZ,
    SHORTEST_VIBRATION,
    Vibration,
    shortest,
)
from models.window import Windower
from tests.models.streams import Array, noise

RATE_HZ, LENGTH = 6400.0, 6400
SKF_6205 = Bearing(9, 0.00794, 0.03904, 0.0, 1797 / 60)
# Harmonics of one part of this bearing lie off those of the others: what one does the others do not see.
APART = Bearing(8, 0.011, 0.050, 0.0, 24.7)
ROLLED_OVER = [part for part in APART.frequencies() if not part.startswith("cage")]


def seconds() -> NDArray[np.float64]:
    return np.arange(LENGTH) / RATE_HZ


def sine(hz: float, amplitude: float = 1.0) -> Array:
    return (amplitude * np.sin(2 * np.pi * hz * seconds() + 0.3)).astype(np.float32)[:, None]


def features(x: Array, bearing: Bearing | None = None, unit: str = "m/s2") -> dict[str, float]:
    """Each column's quantity by its name, out of the logarithm."""
    channels = [(name, unit) for name in ("x", "y", "z")[: x.shape[1]]]
    vibration = Vibration(channels, RATE_HZ, len(x), bearing)
    (windows,) = Windower(len(x), 1, x.shape[1], 1.0).push(0.0, RATE_HZ, x)
    (row,) = vibration.extract(windows).tolist()
    assert all(column.logarithm for column in vibration.columns)
    return {column.name: math.exp(value) for column, value in zip(vibration.columns, row, strict=True)}


def bands(of: dict[str, float]) -> dict[tuple[float, float], float]:
    """RMS by edges in Hz."""
    found = {}
    for name, value in of.items():
        if " band " in name:
            low, high = name.removesuffix(" Hz").split(" band ")[1].split("-")
            found[float(low), float(high)] = value
    return found


@pytest.mark.parametrize("amplitude", [1e-6, 1e-3, 3.0, 1e4])
def test_a_sine_has_its_rms_kurtosis_and_crest_factor_however_faint(amplitude: float) -> None:
    of = features(sine(201.0, amplitude))
    assert of["x RMS"] == pytest.approx(amplitude / math.sqrt(2), rel=1e-4)
    assert of["x kurtosis"] == pytest.approx(1.5, rel=1e-3)
    assert of["x crest factor"] == pytest.approx(math.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("hz", [20.0, 55.5, 200.0, 1000.0, 2900.0])
def test_the_energy_of_a_sine_lies_in_the_band_it_belongs_to(hz: float) -> None:
    for (low, high), rms in bands(features(sine(hz, 3.0))).items():
        if low + 2 <= hz < high - 2:
            assert rms == pytest.approx(3 / math.sqrt(2), rel=2e-3)
        elif not low - 3 <= hz <= high + 3:
            assert rms < 0.01


def test_the_bands_run_without_a_hole_from_the_lowest_to_half_the_rate() -> None:
    edges = list(bands(features(noise(LENGTH, 1))))
    assert len(edges) == BANDS
    assert edges[0][0] == LOWEST_BAND_HZ
    assert edges[-1][1] == RATE_HZ / 2
    assert all(a[1] == b[0] for a, b in pairwise(edges))


def test_white_noise_has_a_kurtosis_of_three_and_spreads_over_the_bands_by_their_width() -> None:
    of = features(noise(LENGTH, 1))
    assert of["x RMS"] == pytest.approx(1.0, rel=0.03)
    assert of["x kurtosis"] == pytest.approx(3.0, rel=0.1)
    for (low, high), rms in bands(of).items():
        assert rms == pytest.approx(math.sqrt((high - low) / (RATE_HZ / 2)), rel=0.5 if high < 100 else 0.15)


@pytest.mark.parametrize("hz", [20.0, 55.5, 200.0, 990.0])
@pytest.mark.parametrize(("unit", "metres"), [("m/s2", 1.0), ("g", 9.80665), ("mm/s2", 1e-3)])
def test_the_velocity_of_a_sine_is_its_acceleration_over_its_angular_frequency(
    hz: float, unit: str, metres: float
) -> None:
    velocity_mm_s = 1e3 * 3.0 * metres / (2 * np.pi * hz * math.sqrt(2))
    assert features(sine(hz, 3.0), unit=unit)["x velocity RMS"] == pytest.approx(velocity_mm_s, rel=0.01)


def test_the_velocity_of_sines_together_is_the_root_of_their_squares() -> None:
    together = features(sine(30.0, 2.0) + sine(400.0, 50.0))["x velocity RMS"]
    apart = [features(sine(30.0, 2.0))["x velocity RMS"], features(sine(400.0, 50.0))["x velocity RMS"]]
    assert together == pytest.approx(math.hypot(*apart), rel=1e-3)


@pytest.mark.parametrize("hz", [3.0, 1100.0, 2500.0])
def test_nothing_outside_of_10_to_1000_hz_counts_as_velocity(hz: float) -> None:
    inside = features(sine(500.0, 100.0))["x velocity RMS"]
    assert features(sine(hz, 100.0))["x velocity RMS"] < 0.001 * inside


def test_a_velocity_is_taken_as_it_is() -> None:
    assert features(sine(100.0, 3.0), unit="mm/s")["x velocity RMS"] == pytest.approx(
        3 / math.sqrt(2), rel=1e-3
    )
    assert features(sine(100.0, 3e-3), unit="m/s")["x velocity RMS"] == pytest.approx(
        3 / math.sqrt(2), rel=1e-3
    )


def test_what_is_neither_acceleration_nor_velocity_has_none() -> None:
    assert not any("velocity" in name for name in features(sine(100.0), unit="Pa"))
    mixed = Vibration([("x", "Pa"), ("y", "g"), ("z", "V"), ("w", "mm/s")], RATE_HZ, LENGTH)
    found = [mixed.columns[i].name for i in mixed.velocities]
    assert found == ["y velocity RMS", "w velocity RMS"]
    windows = Windower(LENGTH, 1, 4, 1.0).push(0.0, RATE_HZ, np.concatenate([sine(100.0, 2.0)] * 4, axis=1))
    row = np.exp(mixed.extract(windows[0])[0])
    assert len(row) == len(mixed.columns)
    assert row[mixed.velocities[1]] == pytest.approx(math.sqrt(2), rel=1e-3)
    assert row[[column.name for column in mixed.columns].index("z crest factor")] == pytest.approx(
        math.sqrt(2), rel=1e-3
    )


def test_a_constant_offset_changes_nothing() -> None:
    x = noise(LENGTH, 1)
    plain, lifted = features(x), features(x + np.float32(9.81))
    assert lifted == pytest.approx(plain, rel=1e-4)


def test_every_axis_has_its_own_columns() -> None:
    of = features(np.concatenate([sine(100.0), sine(1500.0, 5.0)], axis=1))
    alone = features(sine(1500.0, 5.0))
    assert {name.split()[0] for name in of} == {"x", "y"}
    for name, value in alone.items():
        assert of["y" + name[1:]] == pytest.approx(value, rel=1e-4, abs=1e-6)


def test_an_amplitude_has_the_unit_of_its_channel_and_a_ratio_none() -> None:
    columns = Vibration([("x", "m/s2")], RATE_HZ, LENGTH, SKF_6205).columns
    assert {column.channel for column in columns} == {"x"}
    units = {column.name: column.unit for column in columns}
    assert units["x RMS"] == "m/s2"
    assert {units[f"x {name}"] for name in ("kurtosis", "crest factor", "outer race (BPFO) 107 Hz")} == {"1"}
    assert all(unit == "m/s2" for name, unit in units.items() if "band" in name)


def test_a_published_bearing_has_its_published_frequencies() -> None:
    # SKF 6205-2RS: Case Western Reserve University gives 3.5848, 5.4152 and 4.7135 times the shaft's speed.
    of = SKF_6205.frequencies()
    assert of["outer race (BPFO)"] == pytest.approx(107.36, abs=0.05)
    assert of["inner race (BPFI)"] == pytest.approx(162.19, abs=0.05)
    assert of["ball (2xBSF)"] == pytest.approx(141.17, abs=0.05)


def test_a_contact_angle_brings_the_races_together() -> None:
    flat = Bearing(9, 0.00794, 0.03904, 0.0, 30.0).frequencies()
    steep = Bearing(9, 0.00794, 0.03904, 40.0, 30.0).frequencies()
    assert flat["outer race (BPFO)"] < steep["outer race (BPFO)"] < 9 / 2 * 30.0
    assert flat["outer race (BPFO)"] + flat["inner race (BPFI)"] == pytest.approx(9 * 30.0)


@pytest.mark.parametrize("part", ROLLED_OVER)
@pytest.mark.parametrize("slip", [0.993, 1.0, 1.007])
def test_a_resonance_struck_at_one_part_raises_its_column_and_no_other(part: str, slip: float) -> None:
    rises: dict[str, list[float]] = {name: [] for name in ROLLED_OVER}
    for seed in range(5):
        quiet = noise(LENGTH, 1, seed)
        before, after = (
            features(quiet, APART),
            features(quiet + blows(APART.frequencies()[part] * slip, seed), APART),
        )
        for name in rises:
            column = next(column for column in before if name in column)
            rises[name].append(math.log(after[column] / before[column]))
    assert np.mean(rises.pop(part)) > 1.0
    assert all(np.mean(others) < 0.3 for others in rises.values())


def test_noise_that_swells_with_the_cage_raises_its_column() -> None:
    swelling = 0.8 * np.cos(2 * np.pi * APART.frequencies()["cage (FTF)"] * seconds())
    quiet = noise(LENGTH, 1)
    before, after = (
        features(quiet, APART),
        features(quiet * np.exp(swelling)[:, None].astype(np.float32), APART),
    )
    column = next(column for column in before if "cage" in column)
    assert after[column] > 1.5 * before[column]


def blows(every_hz: float, seed: int) -> Array:
    """A resonance at 1,900 Hz that is struck about so often and dies out within 2 ms. Rolling slips, so the blows come
    a little early or late; what were strictly periodic, as gears are, the whitening would take away."""
    late = 0.01 * noise(int(every_hz) + 9, 1, seed + 100)[:, 0].astype(np.float64)
    struck = np.sort(np.arange(len(late)) + late) / every_hz
    latest = np.searchsorted(struck, seconds(), side="right") - 1
    since = np.where(latest >= 0, seconds() - struck[np.maximum(latest, 0)], 1.0)
    ringing = np.sin(2 * np.pi * 1900 * since) * np.exp(-since / 0.0007)
    return (6 * ringing).astype(np.float32)[:, None]


@pytest.mark.parametrize(
    "signal",
    [
        lambda: np.zeros((LENGTH, 1), np.float32),
        lambda: np.full((LENGTH, 1), 9.81, np.float32),
        lambda: np.eye(LENGTH, 1, dtype=np.float32),
        lambda: noise(LENGTH, 1) * np.float32(1e18),
        lambda: noise(LENGTH, 1) * np.float32(1e-30),
    ],
    ids=["silence", "standing still", "one click", "absurdly loud", "absurdly faint"],
)
def test_every_feature_is_finite_for(signal: Callable[[], Array]) -> None:
    with np.errstate(all="raise", under="ignore"):
        assert all(math.isfinite(value) for value in features(signal(), SKF_6205).values())


def test_a_window_too_short_for_the_bands_is_refused() -> None:
    Vibration([("x", "g")], RATE_HZ, SHORTEST_VIBRATION)
    with pytest.raises(ValueError, match="at least 64 rows, not 63"):
        Vibration([("x", "g")], RATE_HZ, SHORTEST_VIBRATION - 1)


def test_a_rate_too_low_for_the_bands_is_refused() -> None:
    with pytest.raises(ValueError, match="100 rows at 20 Hz leave no room for 12 bands from 10 Hz up"):
        Vibration([("x", "g")], 20.0, 100)


def test_a_bearing_too_fast_for_the_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="lies above half the sample rate of 200 Hz"):
        Vibration([("x", "g")], 200.0, 400, SKF_6205)


def test_features_of_a_window_do_not_depend_on_its_neighbours() -> None:
    x = noise(2000, 2)
    vibration = Vibration([("x", "g"), ("y", "g")], 1000.0, 256, None)
    (many,) = Windower(256, 100, 2, 1.0).push(0.0, 1000.0, x)
    single = Windower(256, 100, 2, 1.0)
    alone = []
    for i in range(len(x)):
        alone += [vibration.extract(windows) for windows in single.push(i / 1000.0, 1000.0, x[i : i + 1])]
    assert (np.concatenate(alone) == vibration.extract(many)).all()


def test_telemetry_is_the_newest_row_of_each_window() -> None:
    of = telemetry([("temperature", "Cel"), ("load", "%")])
    assert [(column.name, column.channel, column.unit) for column in of.columns] == [
        ("temperature", "temperature", "Cel"),
        ("load", "load", "%"),
    ]
    (windows,) = Windower(3, 2, 2, 1.0).push(0.0, 1.0, np.arange(16, dtype=np.float32).reshape(8, 2))
    assert of.extract(windows).tolist() == [[4, 5], [8, 9], [12, 13]]


def test_the_shortest_window_of_each_kind_is_known() -> None:
    assert shortest("telemetry") == 1
    assert shortest("vibration") == SHORTEST_VIBRATION
