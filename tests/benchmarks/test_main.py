"""The command: what it runs, what it writes, and what it says when there is nothing to run on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.monitor_config import MonitorConfig
from benchmarks import __main__ as command
from benchmarks import page
from benchmarks.origin import command as told
from benchmarks.recordings import NoRecordings, files, folder, which
from benchmarks.settings import settings


class Stub:
    """A benchmark of one figure."""

    HELP = "Nothing at all."
    WALKED = "Nobody walked."

    def table(self, result: dict[str, Any]) -> str:
        return f"figure {result['figure']}"


def test_the_folder_may_be_that_of_all_recordings_or_the_benchmarks_own(tmp_path: Path) -> None:
    own = tmp_path / "skab"
    (own / "valve1").mkdir(parents=True)
    (own / "valve1" / "0.csv").touch()
    assert folder(str(tmp_path), "skab", ["valve*/*.csv"]) == own
    assert folder(str(own), "skab", ["valve*/*.csv"]) == own
    with pytest.raises(NoRecordings, match=r"no other/\*\.csv in .*skab or "):
        folder(str(tmp_path), "skab", ["other/*.csv"])
    with pytest.raises(NoRecordings, match="TOCSIN_DATA"):
        folder(None, "skab", ["*.csv"])


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10.csv", "9.csv", "a.csv"):
        (tmp_path / name).touch()
    assert [file.name for file in files(tmp_path, ["*.csv"])] == ["9.csv", "10.csv", "a.csv"]


def test_what_was_left_out_is_said_with_the_reason_once() -> None:
    assert which(["a", "b"], {}) == "Run on: a, b."
    left_out = {"c": "too short", "d": "no labels", "e": "too short"}
    assert which(["a"], left_out) == "Run on: a; left out: c, e (too short), d (no labels)."


def test_figures_become_plain_json() -> None:
    figures = {"a": np.float64(1.5), "b": np.array([1, 2]), "c": float("nan"), 1: (np.bool_(True), None)}
    assert command.plain(figures) == {"a": 1.5, "b": [1, 2], "c": None, "1": [True, None]}


def test_the_command_is_told_without_the_folders_of_the_machine() -> None:
    argv = ["--data", "somewhere", "--json=x.json", "--splits", "3", "--out", "docs/benchmarks"]
    assert told("nab", argv) == "python -m benchmarks nab --data DIR --splits 3"


def test_settings_of_the_monitor_are_those_of_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    found = settings("{detector: knn, false_alarms: 1 per day}")
    assert found.config.detector == "knn"
    assert found.config.false_alarms_hz == pytest.approx(1 / 86_400)
    assert settings("").config == MonitorConfig(name="recording", sensor="recording")
    with pytest.raises(SystemExit):
        command.main(["skab", "--data", "x", "--monitor", "{detector: nobody, windw: 3}"])
    said = capsys.readouterr().err
    assert "detector" in said
    assert "windw is not a setting" in said
    with pytest.raises(argparse.ArgumentTypeError, match="has no settings"):
        settings("knn")
    argv = ["--monitor", "detector: knn"]
    assert told("skab", argv) == "python -m benchmarks skab --data DIR --monitor 'detector: knn'"


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nothing"]) == 2
    assert "no benchmark nothing" in capsys.readouterr().err


def test_the_page_has_a_section_for_each_benchmark_that_left_figures(tmp_path: Path) -> None:
    out = tmp_path / "benchmarks"
    out.mkdir()
    origin = {"command": "python -m benchmarks one --data DIR", "date": "2026-01-02", "commit": "abc"}
    figures = {"figure": 7, "machine": "a board", "versions": {"python": "3.11.7"}, **origin}
    (out / "one.json").write_text(json.dumps(figures))
    (out / "one.svg").touch()
    page.write(out, {"one": Stub(), "two": Stub()})  # type: ignore[dict-item]
    text = (tmp_path / "benchmarks.md").read_text()
    assert (
        "## one\n\n`python -m benchmarks one --data DIR`, 2026-01-02, commit abc. a board; python 3.11.7.\n\n"
        "Nobody walked.\n\nfigure 7\n" in text
    )
    assert "(benchmarks/one.svg)" in text
    assert "## two" not in text


def test_figures_of_an_earlier_form_do_not_keep_the_page_from_being_written(tmp_path: Path) -> None:
    out = tmp_path / "benchmarks"
    out.mkdir()
    origin = {"command": "c", "date": "2026-01-02", "machine": "a board", "versions": {}}
    (out / "one.json").write_text(json.dumps(origin))
    page.write(out, {"one": Stub()})  # type: ignore[dict-item]
    assert "of an earlier form, without 'figure': run the command" in (tmp_path / "benchmarks.md").read_text()


@pytest.mark.parametrize("name", sorted(command.MODULES))
def test_every_benchmark_says_what_it_walks(name: str) -> None:
    assert command.load(name).WALKED.endswith(".")
