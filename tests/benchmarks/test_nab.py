"""NAB end to end on two small files of its form, and a threshold carried from half to half."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from agent.budget import MARGIN
from benchmarks import __main__ as command
from benchmarks.nab_controls import controls
from benchmarks.nab_files import Recording
from benchmarks.nab_scores import alarm_figures, flags, volume
from benchmarks.nab_sweep import THRESHOLDS, Sweep, transfer
from benchmarks.scores.nab import PROFILES, File, score

START = datetime(2014, 4, 1)
LEAPS = 500  # row at which the small files leap
PROFILES_JSON = {
    "standard": {"CostMatrix": {"tpWeight": 1.0, "fnWeight": 1.0, "fpWeight": 0.11, "tnWeight": 1.0}},
    "reward_low_FP_rate": {"CostMatrix": {"tpWeight": 1.0, "fnWeight": 1.0, "fpWeight": 0.22}},
    "reward_low_FN_rate": {"CostMatrix": {"tpWeight": 1.0, "fnWeight": 2.0, "fpWeight": 0.11}},
}


def _write(path: Path) -> None:
    random = np.random.default_rng(2)
    labels = {"a/leap.csv": [[_time(LEAPS - 10), _time(LEAPS + 40)]], "a/quiet.csv": [], "a/absent.csv": []}
    (path / "labels").mkdir()
    (path / "data" / "a").mkdir(parents=True)
    (path / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    (path / "profiles.json").write_text(json.dumps(PROFILES_JSON))
    for name in ("leap", "quiet"):
        values = random.standard_normal(1000)
        if name == "leap":
            values[LEAPS : LEAPS + 30] += 15
        rows = [f"{_time(i)[:19]},{value}" for i, value in enumerate(values)]
        (path / "data" / "a" / f"{name}.csv").write_text("\n".join(["timestamp,value", *rows]))


def _time(row: int) -> str:
    return (START + timedelta(minutes=5 * row)).strftime("%Y-%m-%d %H:%M:%S.%f")


def test_it_runs_on_the_files_there_are_and_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    file = tmp_path / "found.json"
    argv = ["nab", "--data", str(tmp_path), "--json", str(file), "--no-peers", "--splits", "2"]
    assert command.main(argv) == 0
    found = json.loads(file.read_text())
    assert {"standard", "low_fp", "low_fn", "transfer"} <= set(found)
    assert found["files"] == ["a/leap.csv", "a/quiet.csv"]
    assert all(set(found[f"at_{name}"]) > set(PROFILES) for name in (*MARGIN, "default"))
    assert found["hits"] == found["windows"] == 1
    assert found["standard"] > 90  # the leap is heard, and next to nothing else
    assert set(found["controls"]) == {"always", "timer", "metronome", "random"}
    keys = {"standard", "low_fp", "low_fn", "vus_pr", "false_per_hour", "median_delay_s"}
    assert all(set(control) >= keys for control in found["controls"].values())
    assert all(set(found[f"at_{name}"]) >= keys for name in ("best", "default"))
    said = capsys.readouterr().out
    assert "Run on: a/leap.csv, a/quiet.csv." in said
    assert str(tmp_path) not in json.dumps(found)


def test_what_has_no_labels_or_too_few_rows_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    (tmp_path / "profiles.json").unlink()  # NAB's own weights then
    quiet = tmp_path / "data" / "a" / "quiet.csv"
    (tmp_path / "data" / "a" / "other.csv").write_text(quiet.read_text())
    quiet.write_text("\n".join(quiet.read_text().splitlines()[:101]))
    assert command.main(["nab", "--data", str(tmp_path), "--no-peers", "--splits", "2"]) == 0
    said = capsys.readouterr().out
    assert (
        "Run on: a/leap.csv; left out: a/other.csv (no labels), a/quiet.csv (a lesson, the first 15%" in said
    )


def test_without_any_window_there_is_no_score_and_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    (tmp_path / "data" / "a" / "leap.csv").unlink()
    out = tmp_path / "out" / "benchmarks"
    assert command.main(["nab", "--data", str(tmp_path), "--no-peers", "--out", str(out)]) == 0
    found = json.loads((out / "nab.json").read_text())
    assert [found[key] for key in ("standard", "transfer", "vus_pr")] == [None, None, None]
    assert "0 of 0 windows" in capsys.readouterr().out


def test_without_any_of_its_files_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nab", "--data", str(tmp_path)]) == 2
    assert "no labels/combined_windows.json" in capsys.readouterr().err


def test_the_settings_of_sensitivity_are_among_the_thresholds_tried() -> None:
    assert set(MARGIN.values()) <= set(THRESHOLDS.tolist())


def test_a_threshold_carried_to_files_that_want_another_scores_less() -> None:
    """Files 0 to 3 score well at one threshold, files 4 to 7 at the other."""
    raw = np.full((2, 8), -1.0)
    raw[0, :4] = raw[1, 4:] = 1.0
    swept = Sweep(np.array([1.0, 2.0]), {"standard": raw}, np.ones(8, int), dict(PROFILES))
    assert swept.score("standard", swept.best("standard")) == pytest.approx(50)
    assert transfer(swept, "standard", 50) < 50
    agreeing = Sweep(
        np.array([1.0, 2.0]), {"standard": np.sort(raw, axis=0)}, np.ones(8, int), dict(PROFILES)
    )
    assert transfer(agreeing, "standard", 5) == pytest.approx(100)


def test_controls_never_look_at_the_data() -> None:
    files = [File(1000, ((400, 499),)), File(500, ((200, 249), (400, 449)))]
    recordings = [
        Recording("a.csv", np.arange(0.0, 300 * file.rows, 300), np.zeros(file.rows), file) for file in files
    ]
    found = controls(recordings, [[420], [210, 300]], PROFILES)
    always = [range(file.rows) for file in files]
    assert found["always"]["standard"] == pytest.approx(score(files, always, PROFILES["standard"]))
    assert found["metronome"]["standard"] > found["always"]["standard"]
    # Only how many alarms we gave matters to random.
    assert found == controls(recordings, [[1], [2, 3]], PROFILES)
    assert found["always"]["median_delay_s"] == 0
    assert found["always"]["false_per_hour"] == pytest.approx(12)  # a row in five minutes
    assert 0 < found["always"]["vus_pr"] < 0.5


def test_alarms_count_as_false_outside_of_windows_and_late_within() -> None:
    file = File(1000, ((400, 499), (700, 799)))
    recording = Recording("a.csv", np.arange(0.0, 60 * file.rows, 60), np.zeros(file.rows), file)
    found = alarm_figures([recording], [[10, 200, 410, 450, 600]])
    assert (found["alarms"], found["hits"], found["windows"]) == (4, 1, 2)  # row 10 is probation
    assert found["median_delay_s"] == 600
    assert found["false_per_hour"] == pytest.approx(2 / ((1000 - 150 - 200) / 60))
    leaps = np.zeros(file.rows)
    leaps[400:500] = leaps[700:800] = 1
    assert volume([recording], [leaps]) > 0.9 > volume([recording], flags([recording], [[410]]))
