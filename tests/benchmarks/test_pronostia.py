"""The benchmark of bearings run to failure, on lives made here."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pronostia
from benchmarks.pronostia import Life
from benchmarks.recordings import NoRecordings


def test_the_lead_is_that_of_the_alarm_that_lasts_to_the_end() -> None:
    assert Life("a", 1000, 100, ((200, 220), (700, None))).lead_s == 2990.0
    assert Life("a", 1000, 100, ((200, 220), (700, 990))).lead_s is None
    assert Life("a", 1000, 100, ()).lead_s is None


def test_only_alarms_of_the_first_half_that_ended_count_as_cleared() -> None:
    assert Life("a", 1000, 100, ((200, 220), (450, 900), (600, 610), (700, None))).cleared == 2
    assert Life("a", 1000, 100, ((200, None),)).cleared == 0


def test_hours_count_from_the_lesson_to_the_half() -> None:
    assert Life("a", 1000, 140, ()).watched_h == 1.0
    lives = [Life("a", 1000, 140, ((200, 220),)), Life("b", 1000, 140, ())]
    assert pronostia.figures(lives)["cleared_per_10_hours"] == 5.0


def test_a_bearing_without_an_alarm_has_no_lead() -> None:
    lives = [
        Life("a", 1000, 100, ((700, None),)),
        Life("b", 1000, 100, ()),
        Life("c", 1000, 100, ((800, None),)),
    ]
    found = pronostia.figures(lives)
    assert (found["alarmed"], found["median_lead_s"]) == (2, 1990.0)


def test_controls_never_look() -> None:
    lives = [Life("a", 1000, 100, ((700, None),)), Life("b", 600, 60, ((200, 220), (500, None)))]
    found = pronostia.controls(lives)
    assert found["always"]["median_lead_s"] == (8990 + 5390) / 2
    assert found["always"]["cleared"] == 0
    assert found["timer"]["alarmed"] == 2
    assert set(found) == {"always", "timer", "metronome", "random"}


def life(folder: Path, name: str, snapshots: int, failing: int) -> None:
    random = np.random.default_rng(len(name))
    acc = random.normal(0, 1, (snapshots, 2560, 2)).astype(np.float32)
    acc[-failing:] *= np.linspace(1, 6, failing)[:, None, None].astype(np.float32)
    np.savez(folder / name, acc=acc, index=np.arange(snapshots))


def test_a_bearing_that_grows_louder_is_heard_before_its_end(tmp_path: Path) -> None:
    life(tmp_path, "one.npz", 600, 60)
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    result = pronostia.run(argparse.Namespace(data=str(tmp_path), per_file=True))
    assert result["files"] == ["one.npz"]
    (bearing,) = result["bearings"]
    assert {"name", "alarmed", "lead_s", "life_s", "cleared_first_half"} <= set(bearing)
    assert bearing["alarmed"]
    assert 100 <= bearing["lead_s"] <= 600
    assert (bearing["life_s"], bearing["cleared_first_half"], bearing["armed_s"]) == (6000.0, 0, 710.0)
    assert result["cleared_per_10_hours"] == 0.0
    assert "| one | " in pronostia.table(result)
    assert "Run on: one.npz; left out: other.npz (no snapshots in it)." in pronostia.table(result)


def test_a_life_too_short_for_its_tenth_is_learned_from_a_little_more(tmp_path: Path) -> None:
    life(tmp_path, "short.npz", 150, 40)
    result = pronostia.run(argparse.Namespace(data=str(tmp_path), per_file=False))
    (bearing,) = result["bearings"]
    assert bearing["alarmed"]
    assert bearing["armed_s"] == 400.0


def test_a_folder_without_snapshots_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(NoRecordings, match="with an array acc"):
        pronostia.run(argparse.Namespace(data=str(tmp_path), per_file=False))
