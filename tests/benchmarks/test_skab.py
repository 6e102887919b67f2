"""SKAB end to end on small files of its form, its controls, and the changes it tells."""

from __future__ import annotations

import importlib.util
import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.changes import spaced
from benchmarks.skab_controls import controls
from benchmarks.skab_files import TRAIN, read
from benchmarks.skab_scores import Said, Scored
from tests.real import require

KEYS = {"f1", "far", "mar", "vus_pr", "nab_standard", "nab_low_fp"}
KEYS |= {"emissions_per_file", "false_per_hour", "median_delay_s"}
BREAKS, MENDED = 600, 800  # rows


def _write(path: Path, count: int = 2) -> None:
    random = np.random.default_rng(4)
    (path / "valve1").mkdir(parents=True)
    for number in range(count):
        values = np.array([5, 20, 100]) + random.standard_normal((900, 3))
        values[BREAKS:MENDED] += [3, 0, -4]
        lines = ["datetime;Pressure;Current;Unknown;anomaly;changepoint"]
        for row, (pressure, current, unknown) in enumerate(values):
            time = datetime(2020, 3, 9) + timedelta(seconds=row)
            flags = f"{float(BREAKS <= row < MENDED)};{float(row in (BREAKS, MENDED))}"
            lines.append(f"{time};{pressure:.4f};{current:.4f};{unknown:.4f};{flags}")
        (path / "valve1" / f"{number}.csv").write_text("\n".join(lines))


def test_it_runs_on_the_files_there_are_and_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path / "skab")
    file = tmp_path / "found.json"
    argv = ["skab", "--data", str(tmp_path), "--json", str(file), "--no-peers", "--per-file"]
    assert command.main(argv) == 0
    found = json.loads(file.read_text())
    assert set(found) >= KEYS
    assert set(found["controls"]) == {"always", "timer", "metronome", "metronome_at_our_rate", "random"}
    assert all(set(control) >= KEYS for control in found["controls"].values())
    assert found["files"] == ["valve1/0.csv", "valve1/1.csv"]
    assert found["f1"] > found["controls"]["timer"]["f1"] > 0
    assert found["vus_pr"] > 0.9
    assert found["anomalies_heard"] == found["anomalies"] == 2
    assert 0 < found["median_delay_s"] < 60
    assert found["nab_standard"] > 90  # both steps are told, as they come
    assert found["per_file"]["valve1/0.csv"]["changepoints"] == [BREAKS - TRAIN, MENDED - TRAIN]
    said = capsys.readouterr().out
    assert "Run on: valve1/0.csv, valve1/1.csv." in said
    assert "Changepoints are scored here, and told by nobody" in said


def test_figures_are_drawn_and_set_beside_their_table(tmp_path: Path) -> None:
    require(importlib.util.find_spec("matplotlib") is not None, "matplotlib is not installed")
    _write(tmp_path / "skab", 1)
    out = tmp_path / "docs" / "benchmarks"
    assert command.main(["skab", "--data", str(tmp_path), "--out", str(out), "--no-peers"]) == 0
    drawn = (out / "skab.svg").read_bytes()
    assert drawn.startswith(b"<?xml")
    assert command.main(["skab", "--data", str(tmp_path), "--out", str(out), "--no-peers"]) == 0
    assert (out / "skab.svg").read_bytes() == drawn
    assert "## skab" in (tmp_path / "docs" / "benchmarks.md").read_text()


def test_controls_score_what_they_must(tmp_path: Path) -> None:
    _write(tmp_path)
    recordings, _ = read(tmp_path)
    rows = 900 - TRAIN
    nothing = np.zeros(rows, bool)
    found = controls(recordings, [Said(nothing, np.zeros(rows), nothing, (10, 300))] * 2)
    assert found["always"]["far"] == 100
    assert found["always"]["mar"] == 0
    assert found["always"]["emissions_per_file"] == 1
    assert found["timer"]["setting"] == BREAKS - TRAIN
    assert found["metronome"]["emissions_per_file"] == rows // 60
    assert found["metronome_at_our_rate"]["emissions_per_file"] == 2
    assert found["random"]["emissions_per_file"] == 2
    assert found["random"]["f1"] == 0


def test_an_alert_that_stands_before_the_anomaly_is_false_and_heard_at_once(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    recordings, _ = read(tmp_path)
    alarm = np.zeros(900 - TRAIN, bool)
    alarm[BREAKS - TRAIN - 20 :] = True
    figures = Scored(recordings, [Said(alarm, alarm.astype(float), alarm)]).figures()
    assert figures["false_per_hour"] == pytest.approx(3600 / 300)
    assert figures["median_delay_s"] == 0


def test_files_without_rows_after_the_lesson_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    short = tmp_path / "valve1" / "1.csv"
    short.write_text("\n".join(short.read_text().splitlines()[: 1 + TRAIN]))
    file = tmp_path / "not" / "there" / "found.json"
    argv = ["skab", "--data", str(tmp_path), "--json", str(file), "--no-peers"]
    assert command.main(argv) == 0
    assert json.loads(file.read_text())["files"] == ["valve1/0.csv"]
    said = "Run on: valve1/0.csv; left out: valve1/1.csv (no more than the 400 rows of a lesson)."
    assert said in capsys.readouterr().out
    (tmp_path / "valve1" / "0.csv").unlink()
    assert command.main(argv) == 2
    assert "valve1/1.csv (no more than the 400 rows of a lesson)" in capsys.readouterr().err


def test_other_settings_are_walked_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, 1)
    asked = "{detector: knn, false_alarms: 1 per day}"
    file = tmp_path / "found.json"
    argv = ["skab", "--data", str(tmp_path), "--no-peers", "--json", str(file), "--monitor", asked]
    assert command.main(argv) == 0
    assert f"1 files, `{asked}`." in capsys.readouterr().out
    assert json.loads(file.read_text())["emissions_per_file"] == 0  # it has no change head


def test_files_without_anomalies_have_figures_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, 1)
    file = tmp_path / "valve1" / "0.csv"
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([head, *(f"{row.rsplit(';', 2)[0]};0.0;0.0" for row in rows)]))
    argv = ["skab", "--data", str(tmp_path), "--no-peers", "--out", str(tmp_path / "out" / "benchmarks")]
    assert command.main(argv) == 0
    found = json.loads((tmp_path / "out" / "benchmarks" / "skab.json").read_text())
    assert [found[key] for key in ("nab_standard", "vus_pr", "mar")] == [None, None, None]
    assert "F1 0 to 0" not in capsys.readouterr().out


def test_changes_are_told_at_most_once_in_a_while() -> None:
    times = np.arange(0.0, 200)
    flags = np.zeros(200, bool)
    flags[10:80] = flags[150] = True
    assert spaced(times, flags, 60) == [10, 70, 150]
