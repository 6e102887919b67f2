"""`tocsin explain`: the evidence an alert left, found by its names, and shown so that what is printed adds up."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from agent.cli import main
from agent.evidence_store import NAME, read
from tests.agent.recordings import step, write_csv
from tests.agent.running import REPOSITORY
from tests.real import require

BEARING = {"balls": 9, "ball_diameter": "7.94 mm", "pitch_diameter": "39.04 mm", "speed": "29.95 Hz"}


@pytest.fixture(scope="module")
def pump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording, its alerts, and their evidence."""
    folder = tmp_path_factory.mktemp("pump")
    write_csv(folder / "pump.csv", *step(1300, 400))
    assert main(replay(folder, folder / "pump.csv")) == 0
    return folder


def replay(folder: Path, *arguments: object) -> list[str]:
    out = ["--out", str(folder / "alerts.jsonl"), "--evidence", str(folder / "evidence")]
    return ["replay", *map(str, arguments), *out]


@pytest.fixture(scope="module")
def filter_(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording of a filter that clogs with the days, its alerts, and their evidence."""
    folder = tmp_path_factory.mktemp("filter")
    rows, learned = 28 * 144, 4 * 144  # each ten minutes
    values = np.random.default_rng(0).standard_normal((rows, 2))
    values[:, 1] += 0.1 * np.maximum(0, np.arange(rows) - 2 * learned) / 144
    write_csv(
        folder / "filter.csv",
        1.7e9 + 600.0 * np.arange(rows),
        (values + np.array([20, 60])).astype(np.float32),
    )
    file = folder / "tocsin.yaml"
    file.write_text(
        "sensors: {filter: {driver: recording, file: filter.csv}}\n"
        "monitors: {filter: {sensor: filter, learn: 4 d, drift: {limit: 1.5}}}\n"
    )
    assert main(replay(folder, "-c", file)) == 0
    return folder


@pytest.fixture(scope="module")
def motor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine that does not exist, whose bearing fails, and the agent itself listens to it."""
    folder = tmp_path_factory.mktemp("motor")
    config: dict[str, Any] = {
        "sensors": {
            "motor": {
                "driver": "synthetic",
                "rate_hz": 3200,
                "speed_hz": 29.95,
                "bearing": {"balls": 9, "ball_m": "7.94 mm", "pitch_m": "39.04 mm"},
                "faults": [{"kind": "bearing_inner", "at_s": "60 s", "ramp_s": "5 s"}],
                "duration_s": "90 s",
                "speed": 20,
            }
        },
        "monitors": {"motor": {"sensor": "motor", "learn": "40 s", "bearing": BEARING}},
    }
    run(folder, config)
    return folder


def run(folder: Path, config: dict[str, Any]) -> Path:
    """Let the agent listen until its sensor ends, with no broker anywhere; the configuration's file."""
    whole = {"device": "pi-7", "state_dir": "state", "broker": {"host": "127.0.0.1", "port": 1}, **config}
    file = folder / "tocsin.yaml"
    file.write_text(yaml.safe_dump(whole))
    agent = subprocess.Popen(
        [sys.executable, "-m", "agent", "run", "-c", str(file)],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert agent.stderr is not None
    try:
        for line in agent.stderr:  # it would wait half a minute for a broker at its end
            if "every sensor has come to its end" in line:
                break
    finally:
        agent.terminate()
        rest = agent.communicate(timeout=20)[1]
    assert agent.returncode == 0, rest
    return file


def explain(*arguments: object, columns: int = 100, encoding: str = "utf-8") -> str:
    """What it prints into a pipe."""
    pipe = io.TextIOWrapper(io.BytesIO(), encoding)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(pipe):
        patch.setenv("COLUMNS", str(columns))
        assert main(["explain", *map(str, arguments)]) == 0
    written = pipe.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue().decode(encoding)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]


def test_an_event_names_evidence_that_explain_draws(pump: Path) -> None:
    raised, cleared = events(pump)
    assert raised["evidence"] == cleared["evidence"]
    assert (pump / "evidence" / raised["evidence"]).is_file()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "agent", "explain", pump / "evidence" / raised["evidence"]],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        env={**os.environ, "COLUMNS": "100", "PYTHONUTF8": "1"},
    )
    page = done.stdout.decode()
    assert page.startswith(raised["sentence"][:60])
    assert raised["id"] in page
    assert raised["model"]["digest"][:16] in page
    assert "before and after the event" in page
    assert "┤" in page
    assert "At 1.0 or above since" in page
    assert re.search(r"^c1 +\d+\.\d %  +\+\d+\.\d sigma  █+", page, re.MULTILINE)
    assert re.search(r"^c1 +20\.0 \(19\.\d\.\.20\.\d\) +20\.\d \(.*\) +2\d\.\d \(.*\)", page, re.MULTILINE)


def test_printed_shares_add_up_to_a_hundred_percent(pump: Path) -> None:
    page = explain("last", "--evidence", pump / "evidence")
    rows = re.findall(r"^(\S.*?) +(-?\d+\.\d) %", page, re.MULTILINE)
    *parts, (last, total) = rows
    assert (last, total) == ("together", "100.0")
    assert round(sum(float(share) for _, share in parts), 6) == 100.0
    assert {name for name, _ in parts} == {"c1", "c2", "c3"}


def test_the_shares_in_an_event_and_what_it_leaves_out_add_up_to_one(pump: Path, motor: Path) -> None:
    shown = json.loads(explain("motor", "-c", motor / "tocsin.yaml", "--json"))
    for event in (events(pump)[0], shown["event"]):
        assert round(sum(moved["share"] for moved in event["moved"]) + event["rest"], 6) == 1.0


def test_the_numbers_are_all_there_as_json(pump: Path) -> None:
    told = json.loads(explain("pump", "--evidence", pump / "evidence", "--json"))
    assert told["schema"] == "tocsin.explanation/1"
    assert told["event"] == events(pump)[0]
    assert told["whole"] is True
    assert sum(part["share"] for part in told["contributions"]) == pytest.approx(1.0, abs=1e-9)
    assert told["total"] == pytest.approx(1.0, abs=1e-9)
    made = told["scores"][0]
    assert made["raw"] / made["reference"] / told["edge"] == pytest.approx(told["event"]["level"], rel=1e-4)
    at = dict(told["level"])
    assert at[told["time"]] == pytest.approx(told["event"]["level"], rel=1e-4)
    assert told["time"] - told["onset"] == pytest.approx(10.0)  # on_delay
    (course,) = [course for course in told["features"] if course["feature"] == "c1"]
    assert course["learned"]["median"] == pytest.approx(20.0, abs=0.1)
    assert course["before"]["median"] == pytest.approx(20.0, abs=0.1)
    assert course["now"]["high"] == pytest.approx(28.0, abs=1.5)


def test_evidence_is_found_by_every_name_it_has(pump: Path) -> None:
    raised = events(pump)[0]
    expected = explain("last", "--evidence", pump / "evidence")
    for name in ("pump", raised["id"], raised["id"][:6], raised["id"][:13], raised["evidence"]):
        assert explain(name, "--evidence", pump / "evidence") == expected


def test_what_is_not_there_is_said_with_what_is(
    pump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = ["--evidence", str(pump / "evidence")]
    assert main(["explain", "ffffffff", *evidence]) == 2
    assert re.search(r"no evidence of ffffffff in .*: it has 1 of pump, from 2023", capsys.readouterr().err)
    assert main(["explain", "ffffffff", *evidence]) == 2
    assert "only alerts about the machine and about creeping leave any" in capsys.readouterr().err
    assert main(["explain", "last", "--evidence", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["explain", "last", "--evidence", str(tmp_path)]) == 2
    assert "no alert has left any yet" in capsys.readouterr().err
    assert main(["explain", "some/where.npz", *evidence]) == 2
    assert "some/where.npz: no such file" in capsys.readouterr().err


def test_a_beginning_that_several_ids_have_is_asked_about(
    pump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (pump / "evidence" / events(pump)[0]["evidence"]).read_bytes()
    for name in ("pump-20231114T221320.000Z-abcdef00.npz", "pump-20231114T221321.000Z-abcdef11.npz"):
        (tmp_path / name).write_bytes(content)
    assert main(["explain", "abcdef", "--evidence", str(tmp_path)]) == 2
    assert "could be any of these" in capsys.readouterr().err


def test_a_torn_file_is_said_to_be(pump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = events(pump)[0]["evidence"]
    content = (pump / "evidence" / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    for event in ("last", str(tmp_path / name)):
        assert main(["explain", event, "--evidence", str(tmp_path)]) == 2
        assert "no whole evidence" in capsys.readouterr().err or event != "last"


def test_a_creep_leaves_evidence_of_the_days_it_took(filter_: Path) -> None:
    raised = next(event for event in events(filter_) if event["about"] == "creeping")
    page = explain(raised["id"], "--evidence", filter_ / "evidence")
    assert page.startswith("filter: c2 has crept from 60.")
    assert "the limit is 1.5 sigma since commissioning" in page
    told = json.loads(explain(raised["id"], "--evidence", filter_ / "evidence", "--json"))
    assert told["event"] == raised
    assert told["whole"] is True
    made = told["scores"][0]
    assert made["raw"] / made["reference"] / told["edge"] == pytest.approx(raised["level"], rel=1e-4)
    assert sum(part["share"] for part in told["contributions"]) == pytest.approx(1.0, abs=1e-9)
    assert told["contributions"][0]["feature"] == "c2"
    times = [time for time, _ in told["level"]]
    assert times[0] < told["time"] - 9 * 86_400  # nine days before it
    assert times[-1] == told["time"] + 86_400  # and one after
    assert dict(told["level"])[told["time"]] == pytest.approx(raised["level"], rel=1e-4)
    (course,) = [course for course in told["features"] if course["feature"] == "c2"]
    assert course["learned"]["median"] == pytest.approx(60.0, abs=0.1)
    assert course["before"]["median"] < course["now"]["median"] < course["after"]["median"]


@pytest.mark.parametrize("rows", [1, 37, 1000])
def test_evidence_of_a_creep_does_not_depend_on_how_the_recording_is_cut(
    filter_: Path, tmp_path: Path, rows: int
) -> None:
    assert main(replay(tmp_path, "-c", filter_ / "tocsin.yaml", "--chunk", rows)) == 0
    kept = [
        {path.name: path.read_bytes() for path in (one / "evidence").iterdir()} for one in (filter_, tmp_path)
    ]
    assert kept[0] == kept[1]
    assert set(kept[0]) == {event["evidence"] for event in events(filter_)}


@pytest.mark.parametrize("columns", [40, 61, 80, 200])
def test_no_line_is_wider_than_the_terminal(pump: Path, filter_: Path, motor: Path, columns: int) -> None:
    for arguments in (
        ("last", "--evidence", pump / "evidence"),
        ("last", "--evidence", filter_ / "evidence"),
        ("motor", "-c", motor / "tocsin.yaml"),
    ):
        page = explain(*arguments, columns=columns)
        assert max(map(len, page.splitlines())) <= columns


def test_a_terminal_without_unicode_gets_ascii(pump: Path) -> None:
    page = explain("last", "--evidence", pump / "evidence", encoding="ascii")
    assert page.isascii()
    assert re.search(r"^c1 .* #+$", page, re.MULTILINE)


def test_a_bearing_is_explained_by_its_spectrum(motor: Path) -> None:
    """Of a run, whose evidence is whole though the stream ended while the alert was young."""
    page = explain("motor", "-c", motor / "tocsin.yaml")
    assert "before and after the event" in page
    assert "Spectrum of " in page
    heights = dict(re.findall(r"^  (.*?), [\d.]+ Hz and harmonics: ([\d.]+)", page, re.MULTILINE))
    assert float(heights["inner race (BPFI)"]) > 5 * float(heights["outer race (BPFO)"])
    (first, *_) = sorted(path.name for path in (motor / "state/evidence").iterdir())
    assert NAME.fullmatch(first)
    stored = read(motor / "state/evidence" / first)
    assert stored.arrays["waveform"].nbytes + stored.arrays["rows"].nbytes <= 256_000
    assert abs(stored.meta.waveform_end - stored.meta.time) < 2 / 3200


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_it_is_drawn_as_a_picture(
    pump: Path, filter_: Path, motor: Path, tmp_path: Path, ending: str
) -> None:
    require(importlib.util.find_spec("matplotlib") is not None, "matplotlib is not installed")
    for number, arguments in enumerate(
        (
            ("last", "--evidence", pump / "evidence"),
            ("last", "--evidence", filter_ / "evidence"),
            ("motor", "-c", motor / "tocsin.yaml"),
        )
    ):
        picture = tmp_path / f"{number}.{ending}"
        explain(*arguments, "--png", picture)
        content = picture.read_bytes()
        assert content.startswith(b"\x89PNG") if ending == "png" else b"</svg>" in content
        assert len(content) > 10_000


def test_a_picture_without_matplotlib_says_what_to_install(
    pump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.setitem(sys.modules, name, None)
    picture = str(tmp_path / "why.png")
    assert main(["explain", "last", "--evidence", str(pump / "evidence"), "--png", picture]) == 2
    assert "pip install 'tocsin[plot]'" in capsys.readouterr().err


def test_evidence_does_not_depend_on_how_the_recording_is_cut(pump: Path, tmp_path: Path) -> None:
    name = events(pump)[0]["evidence"]
    expected = (pump / "evidence" / name).read_bytes()
    for rows in (1, 7, 100):
        folder = tmp_path / str(rows)
        folder.mkdir()
        assert main(replay(folder, pump / "pump.csv", "--chunk", rows)) == 0
        assert (folder / "evidence" / name).read_bytes() == expected


def test_a_run_keeps_the_very_bytes_that_a_replay_keeps(pump: Path, tmp_path: Path) -> None:
    sensor = {"driver": "recording", "file": str(pump / "pump.csv"), "speed": 0, "chunk": 37}
    file = run(tmp_path, {"sensors": {"pump": sensor}, "monitors": {"pump": {"sensor": "pump"}}})
    assert main(["replay", "-c", str(file), "--evidence", str(tmp_path / "kept")]) == 0
    kept = {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    live = {path.name: path.read_bytes() for path in (tmp_path / "state/evidence").iterdir()}
    assert len(kept) == 1
    assert live == kept


def test_a_replay_that_keeps_no_evidence_names_it_all_the_same(
    pump: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["replay", str(pump / "pump.csv")]) == 0
    assert capsysbinary.readouterr().out == (pump / "alerts.jsonl").read_bytes()


def test_a_configuration_that_keeps_none_names_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    config = {
        "state_dir": "state",
        "evidence": {"max_size": "0 MB"},
        "sensors": {"pump": {"driver": "recording", "file": "pump.csv"}},
        "monitors": {"pump": {"sensor": "pump"}},
    }
    (tmp_path / "tocsin.yaml").write_text(yaml.safe_dump(config))
    assert main(["replay", "-c", str(tmp_path / "tocsin.yaml"), "--evidence", str(tmp_path / "kept")]) == 0
    assert [json.loads(line)["evidence"] for line in capsys.readouterr().out.splitlines()] == ["", ""]
    assert not (tmp_path / "kept").exists()


def test_a_folder_that_cannot_be_written_ends_a_replay_that_was_asked_to(
    pump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["replay", str(pump / "pump.csv"), "--evidence", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'}: cannot be written" in capsys.readouterr().err


def test_a_gap_does_not_take_most_of_the_chart(tmp_path: Path) -> None:
    times, values = step(1300, 400)
    times = times + 20_000.0 * (np.arange(len(times)) >= 700)
    write_csv(tmp_path / "pump.csv", times, values)
    assert main(replay(tmp_path, tmp_path / "pump.csv")) == 0
    page = explain("last", "--evidence", tmp_path / "evidence")
    assert re.search(r"\(\d+ levels more, of before a gap of 5 h", page)
