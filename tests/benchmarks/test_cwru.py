"""The bearing rig's benchmark on recordings made here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import cwru, cwru_peers
from benchmarks.cwru_files import label
from benchmarks.recordings import NoRecordings
from models.bearing import Bearing
from tests.models.streams import noise

RATE_HZ = 6400.0


def samples(fault: str, seconds: float, seed: int = 5) -> NDArray[np.float32]:
    """Noise, and a resonance that the named part rings."""
    x = noise(round(seconds * RATE_HZ), 1, seed)[:, 0].astype(np.float64)
    if fault:
        hz = Bearing(cwru.BALLS, cwru.BALL_M, cwru.PITCH_M, 0.0, 30.0).frequencies()[fault]
        late = 0.01 * noise(round(seconds * hz) + 9, 1, 7)[:, 0].astype(np.float64)
        struck = np.sort(np.arange(len(late)) + late) / hz
        clock = np.arange(len(x)) / RATE_HZ
        since = clock - struck[np.maximum(np.searchsorted(struck, clock, side="right") - 1, 0)]
        x += 8 * np.exp(-since / 0.0007) * np.sin(2 * np.pi * 1900 * np.maximum(since, 0))
    return x.astype(np.float32)


def record(folder: Path, name: str, fault: str = "", seconds: float = 4.5) -> None:
    np.savez(folder / name, drive_end=samples(fault, seconds, len(name)), rate_hz=RATE_HZ, rpm=1800)


def run(path: Path) -> dict[str, Any]:
    return cwru.run(argparse.Namespace(data=str(path), per_file=True))


def test_a_file_s_name_says_what_is_hurt() -> None:
    assert label("B_007_122_0.npz") == "ball (2xBSF)"
    assert label("IR_021_213_0.npz") == "inner race (BPFI)"
    assert label("OR_007_at12_161_0.npz") == "outer race (BPFO)"
    assert label("OR007@6_1.npz") == "outer race (BPFO)"
    assert label("normal_97_Normal_0.npz") == label("Normal_0.npz") == label("97_Normal_0.npz") == ""
    assert label("bearing.npz") is None
    assert label("109.npz") is None


def test_clear_faults_are_named_and_a_healthy_bearing_is_not(tmp_path: Path) -> None:
    record(tmp_path, "OR_1.npz", "outer race (BPFO)")
    record(tmp_path, "IR_1.npz", "inner race (BPFI)")
    record(tmp_path, "normal_1.npz")
    record(tmp_path, "B_short.npz", seconds=1.0)
    result = run(tmp_path)
    assert (result["coverage"], result["accuracy"]) == (1.0, 1.0)
    assert result["healthy"] == {"windows": 2, "named": 0}
    assert result["absent"] == {"windows": 30, "named": 0}
    assert result["windows"] == {"IR_1.npz": 2, "OR_1.npz": 2, "normal_1.npz": 2}
    assert all((peer["coverage"], peer["accuracy"]) == (1.0, 1.0) for peer in result["peers"].values())
    page = cwru.table(result)
    assert "| squared envelope, here | 100 | 100 | 4 | 4 | 0 of 2 |" in page
    assert "Run on: IR_1.npz, OR_1.npz, normal_1.npz; left out: B_short.npz (shorter than 2 s)." in page
    assert "| **Tocsin**, speed of the shaft given | 100 | 100 | 4 | 4 | 0 of 2 | 0 of 30 |" in page


def test_a_fault_where_none_is_named_counts_against_coverage_alone(tmp_path: Path) -> None:
    record(tmp_path, "OR_1.npz", "outer race (BPFO)")
    record(tmp_path, "OR_2.npz")
    result = run(tmp_path)
    assert (result["coverage"], result["accuracy"]) == (0.5, 1.0)


def test_a_wrong_name_counts_against_accuracy_and_so_does_one_for_a_healthy_bearing() -> None:
    ball, outer = "ball (2xBSF)", "outer race (BPFO)"
    wrong, right, silent = (outer, ball), (ball, ball), (outer, "")
    assert cwru.figures([wrong, right, right, right])["accuracy"] == 0.75
    found = cwru.figures([right, right, right, silent, ("", ball), ("", "")])
    assert (found["coverage"], found["accuracy"]) == (0.75, 0.75)
    assert (found["named"], found["right"], found["of"]) == (4, 3, 4)
    assert found["healthy"] == {"windows": 2, "named": 1}


def test_controls_that_name_healthy_bearings_are_wrong_there_too() -> None:
    found = cwru.controls(["outer race (BPFO)", "outer race (BPFO)", "inner race (BPFI)", ""], 0.5)
    assert found["always"] == {"coverage": 1.0, "accuracy": 0.5}
    assert found["metronome"]["accuracy"] == 0.0  # ball, inner, outer, ball
    assert found["random"]["coverage"] == 0.5
    assert 0 < found["random"]["accuracy"] < 0.5


def test_bearings_that_are_not_there_share_no_line_with_the_one_that_is() -> None:
    orders = np.arange(1, 4)
    there = np.array(list(Bearing(cwru.BALLS, cwru.BALL_M, cwru.PITCH_M, 0.0, 1.0).orders().values()))
    for geometry in cwru.STRANGERS:
        for line in Bearing(*geometry, 0.0, 1.0).orders().values():
            ratios = orders[:, None, None] * line / (orders[:, None] * there)
            assert (np.abs(ratios - 1) >= 0.04).all()


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("part", cwru.PARTS)
def test_plain_envelope_analysis_finds_the_comb_of_a_clear_fault(part: str, whiten: bool) -> None:
    bearing = Bearing(cwru.BALLS, cwru.BALL_M, cwru.PITCH_M, 0.0, 30.0)
    amplitude, step_hz = cwru_peers.spectrum(samples(part, 2.0), RATE_HZ, whiten)
    heights = cwru_peers.standing(amplitude, step_hz, bearing)
    assert max(heights, key=lambda each: heights[each]) == part
    amplitude, step_hz = cwru_peers.spectrum(samples("", 2.0), RATE_HZ, whiten)
    assert max(cwru_peers.standing(amplitude, step_hz, bearing).values()) < heights[part] / 2


def test_a_peer_names_as_many_windows_as_it_is_asked_to() -> None:
    bearing = Bearing(cwru.BALLS, cwru.BALL_M, cwru.PITCH_M, 0.0, 30.0)
    parts = ("outer race (BPFO)", "", "inner race (BPFI)")
    windows = [(samples(part, 2.0), RATE_HZ, bearing, ()) for part in parts]
    for peer in cwru_peers.heard(windows, cwru.PARTS, 2).values():
        assert peer.parts == list(parts)
    assert all(peer.parts == ["", "", ""] for peer in cwru_peers.heard(windows, cwru.PARTS, 0).values())


def test_a_healthy_bearing_alone_has_no_coverage(tmp_path: Path) -> None:
    record(tmp_path, "Normal_1.npz")
    result = run(tmp_path)
    assert (result["coverage"], result["accuracy"]) == (None, None)
    assert result["healthy"] == {"windows": 2, "named": 0}
    assert "named unknown, right unknown" in cwru.table(result)


def test_files_that_cannot_be_used_are_told_with_why(tmp_path: Path) -> None:
    with pytest.raises(NoRecordings, match=r"no \*\.npz in "):
        run(tmp_path)
    record(tmp_path, "B_short.npz", seconds=1.0)
    record(tmp_path, "109.npz")
    np.savez(tmp_path / "IR_1.npz", drive_end=np.zeros(9))
    why = r"109\.npz \(the name .*\), B_short\.npz \(shorter than 2 s\), IR_1\.npz \(has no rate_hz, rpm\)"
    with pytest.raises(NoRecordings, match=why):
        run(tmp_path)
