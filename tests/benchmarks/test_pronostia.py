"""The benchmark of bearings run to failure, on lives made here."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pronostia, pronostia_peers
from benchmarks.pronostia_lives import Life, figures
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
    assert figures(lives)["cleared_per_10_hours"] == 5.0


def test_a_bearing_without_an_alarm_has_no_lead() -> None:
    lives = [
        Life("a", 1000, 100, ((700, None),)),
        Life("b", 1000, 100, ()),
        Life("c", 1000, 100, ((800, None),)),
    ]
    found = figures(lives)
    assert (found["alarmed"], found["median_lead_s"]) == (2, 1990.0)


def test_controls_never_look() -> None:
    lives = [Life("a", 1000, 100, ((700, None),)), Life("b", 600, 60, ((200, 220), (500, None)))]
    found = pronostia.controls(lives)
    assert found["always"]["median_lead_s"] == (8990 + 5390) / 2
    assert found["always"]["cleared"] == 0
    assert found["always"]["under_alarm_first_half"] == 1
    assert pronostia.controls([Life("c", 20, 20, ())])["always"]["alarmed"] == 0  # nothing was judged
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
    result = pronostia.run(argparse.Namespace(data=str(tmp_path), per_file=True, no_peers=False))
    assert result["files"] == ["one.npz"]
    assert result["peers"]["T²+Q"]["alarmed"] == 1
    (bearing,) = result["bearings"]
    assert {"name", "alarmed", "lead_s", "life_s", "cleared_first_half"} <= set(bearing)
    assert bearing["alarmed"]
    assert 100 <= bearing["lead_s"] <= 600
    assert (bearing["life_s"], bearing["cleared_first_half"], bearing["armed_s"]) == (6000.0, 0, 710.0)
    assert result["cleared_per_10_hours"] == 0.0
    page = pronostia.table(result)
    assert "| one | " in page
    assert "| T²+Q, here | 1 of 1 |" in page
    assert "Run on: one.npz; left out: other.npz (no snapshots in it)." in page


def test_half_a_life_under_an_alarm_is_said_beside_its_lead() -> None:
    assert Life("a", 1000, 140, ((200, None),)).under_h == pytest.approx(3000 / 3600)
    assert Life("a", 1000, 140, ((200, 220), (450, 900), (600, None))).under_h == pytest.approx(700 / 3600)
    assert figures([Life("a", 1000, 140, ((140, None),))])["under_alarm_first_half"] == 1.0
    assert figures([Life("a", 100, 100, ())])["under_alarm_first_half"] is None


def test_peers_are_judged_where_their_alarms_stand_no_longer_than_ours() -> None:
    """Louder and louder from half of the life on: the plain peer hears it, and may not cry before."""
    random = np.random.default_rng(1)
    values = 0.1 * random.standard_normal((600, 4))
    values[300:] += np.linspace(0, 2, 300)[:, None]
    ours = Life("a", 600, 70, ((400, None),), averaged=10)
    found = pronostia_peers.peers([ours], [values])
    plain = found["T²+Q"]
    assert (plain["alarmed"], plain["cleared"], plain["under_alarm_first_half"]) == (1, 0, 0)
    assert 2000 < plain["median_lead_s"] <= 3000
    assert all("missing" in one or one["under_alarm_first_half"] == 0 for one in found.values())


def test_loudness_is_of_rms_and_kurtosis() -> None:
    noise = np.random.default_rng(2).normal(0, 3, (2, 20_000, 2)).astype(np.float32)
    np.testing.assert_allclose(pronostia_peers.loudness(noise), np.log([[3, 3, 3, 3]] * 2), atol=0.1)
    assert np.isfinite(pronostia_peers.loudness(np.zeros((1, 64, 1), np.float32))).all()


def test_a_life_too_short_for_its_tenth_is_learned_from_a_little_more(tmp_path: Path) -> None:
    life(tmp_path, "short.npz", 150, 40)
    result = pronostia.run(argparse.Namespace(data=str(tmp_path), per_file=False, no_peers=True))
    (bearing,) = result["bearings"]
    assert bearing["alarmed"]
    assert bearing["armed_s"] == 400.0


def test_a_folder_without_snapshots_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(NoRecordings, match="with an array acc"):
        pronostia.run(argparse.Namespace(data=str(tmp_path), per_file=False, no_peers=True))
