"""A bearing is named where it is hurt, and left alone where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.bearing import Bearing
from models.naming import NAMED, SUREST, Naming, name
from models.vibration import Vibration
from models.window import Windower
from sensors.machine import Fault, FaultKind
from sensors.synthetic import Synthetic
from tests.models.streams import Array, noise

RATE_HZ, SHAFT_HZ = 6400.0, 24.7
BEARING = Bearing(9, 0.00794, 0.03904, 0.0, SHAFT_HZ)
PARTS: dict[str, FaultKind] = {
    "outer race (BPFO)": "bearing_outer",
    "inner race (BPFI)": "bearing_inner",
    "ball (2xBSF)": "bearing_ball",
}


def shaken(*faults: Fault, seconds: float = 4.5, seed: int = 1, speed_hz: float = SHAFT_HZ) -> Array:
    """What two axes of the machine that does not exist give."""
    machine = Synthetic(
        rate_hz=RATE_HZ, speed_hz=speed_hz, faults=faults, seed=seed, speed=0, duration_s=seconds, start=0.0
    )
    pieces = []
    with machine:
        while not machine.finished:
            reading = machine.read(1.0)
            if reading is not None:
                pieces.append(reading.values)
    return np.concatenate(pieces)


def named(
    values: Array, bearing: Bearing = BEARING, window_s: float = 1.0, at: float | None = None
) -> Naming:
    length = round(window_s * RATE_HZ)
    vibration = Vibration([("x", "m/s2"), ("y", "m/s2")][: values.shape[1]], RATE_HZ, length, bearing)
    last = 0.0
    for windows in Windower(length, length // 2, values.shape[1], 1.0).push(0.0, RATE_HZ, values):
        vibration.extract(windows)
        last = windows.times[-1]
    found = vibration.named(last if at is None else at)
    assert found is not None
    return found


@pytest.mark.parametrize("part", list(PARTS))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_hurt_part_is_named_with_its_frequency(part: str, seed: int) -> None:
    found = named(shaken(Fault(PARTS[part], severity=0.8), seed=seed))
    assert found.part == part
    assert found.confidence >= NAMED
    assert found.hz == pytest.approx(BEARING.frequencies()[part], rel=0.02)
    assert found.shaft_hz == SHAFT_HZ
    assert not found.estimated


@pytest.mark.parametrize("seed", range(8))
def test_a_sound_bearing_is_not_named(seed: int) -> None:
    assert named(shaken(seed=seed)).part == ""


@pytest.mark.parametrize("kind", ["imbalance", "misalignment", "looseness"])
def test_what_is_no_bearing_fault_names_none(kind: FaultKind) -> None:
    assert named(shaken(Fault(kind, severity=1.0))).part == ""


@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_names_nothing(seed: int) -> None:
    assert named(noise(20_000, 2, seed)).part == ""


def test_another_bearing_s_faults_are_not_named() -> None:
    other = Bearing(
        13, 0.0071, 0.0461, 0.0, SHAFT_HZ
    )  # no line within 3 % of the 6205's up to the third harmonic
    assert named(shaken(Fault("bearing_outer", severity=0.5)), other).part == ""


@pytest.mark.parametrize("part", list(PARTS))
def test_a_shaft_s_speed_need_not_be_known(part: str) -> None:
    unknown = replace(BEARING, speed_hz=0.0, slowest_hz=18.0, fastest_hz=36.0)
    found = named(shaken(Fault(PARTS[part], severity=0.5), speed_hz=27.3), unknown, window_s=2.0)
    assert found.part == part
    assert found.estimated
    assert found.shaft_hz == pytest.approx(27.3, rel=0.01)


def test_without_a_clear_speed_nothing_is_named() -> None:
    unknown = replace(BEARING, speed_hz=0.0, slowest_hz=18.0, fastest_hz=36.0)
    found = named(noise(20_000, 2), unknown)
    assert (found.part, found.confidence) == ("", 0.0)


def test_only_what_was_heard_up_to_a_moment_counts() -> None:
    whole = np.concatenate([shaken(seconds=4.0), shaken(Fault("bearing_outer", severity=1.0), seconds=5.0)])
    assert named(whole, at=4.0).part == ""
    assert named(whole).part == "outer race (BPFO)"
    assert named(whole[: round(4.0 * RATE_HZ)]) == named(whole, at=4.0)


def test_what_is_forgotten_is_no_longer_asked_for() -> None:
    vibration = Vibration([("x", "m/s2")], RATE_HZ, 1280, BEARING, remembered=3)
    assert vibration.named(1e9) is None
    (windows,) = Windower(1280, 1280, 1, 1.0).push(0.0, RATE_HZ, noise(12_800, 1))
    vibration.extract(windows)
    newest = vibration.named(1e9)
    vibration.forget()
    assert vibration.named(1e9) == newest
    assert vibration.named(windows.times[-4]) is None
    assert Vibration([("x", "m/s2")], RATE_HZ, 1280).named(0.0) is None


def test_a_comb_of_lines_at_one_frequency_is_named_and_two_as_high_are_not() -> None:
    step_hz = 0.5
    lines = 0.1 * noise(4000, 1)[:, 0].astype(np.float64)
    of = BEARING.frequencies()
    for tooth in (1, 2, 3, 4):
        lines[round(tooth * of["inner race (BPFI)"] / step_hz)] = 2.0
    alone = name(lines, step_hz, BEARING, SHAFT_HZ)
    assert (alone.part, round(alone.hz)) == ("inner race (BPFI)", round(of["inner race (BPFI)"]))
    for tooth in (1, 2, 3, 4):
        lines[round(tooth * of["ball (2xBSF)"] / step_hz)] = 2.0
    torn = name(lines, step_hz, BEARING, SHAFT_HZ)
    assert torn.part == ""
    assert torn.confidence == pytest.approx(0.5, abs=0.25)


def test_nobody_is_surer_than_a_rank_can_be() -> None:
    assert named(shaken(Fault("bearing_outer", severity=3.0))).confidence == SUREST


def test_lines_too_coarse_to_tell_faults_apart_name_nothing() -> None:
    assert named(shaken(Fault("bearing_outer", severity=1.0)), window_s=0.1) == Naming(
        "", 0.0, 0.0, 0.0, SHAFT_HZ, False
    )
