"""`tocsin replay`: alerts as lines, a summary, a verdict against labels, and what bad input gets."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from agent.cli import main
from agent.labels import Verdict
from agent.messages import schemas
from agent.offline import next_reading
from sensors import create
from sensors.recorder import Recorder
from tests.agent.recordings import START, step, write_csv

GOLDEN = Path(__file__).parent.parent / "golden"
Run = Callable[..., tuple[int, str, str]]

CONFIG = """
device: hall
state_dir: state
broker: {prefix: site}
sensors:
  pump: {driver: recording, file: pump.csv, speed: 10}
  fan: {driver: recording, file: fan.csv}
  board: {driver: host}
monitors:
  pump: {sensor: pump, learn: 300 rows, alert: {on_delay: 2 s, off_delay: 5 s}}
  fan: {sensor: fan, learn: 300 rows}
  board: {sensor: board}
"""
JOIN = """
sensors:
  both:
    driver: join
    of: {pump: {driver: recording, file: pump.csv}, fan: {driver: recording, file: fan.csv}}
monitors: {both: {sensor: both}}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command beside two recordings and a configuration; exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "pump.csv", *step())
    times, values = step()
    write_csv(tmp_path / "fan.csv", times + 50, values[:, :2])
    (tmp_path / "tocsin.yaml").write_text(CONFIG)
    (tmp_path / "join.yaml").write_text(JOIN)

    def tocsin(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return tocsin


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_recording_alone_is_enough(run: Run) -> None:
    code, out, err = run("replay", "pump.csv")
    assert code == 0
    assert {event["device"] for event in events(out)} == {"replay"}
    assert events(out)[0]["monitor"] == "pump"
    assert "learned from 600 rows" in err


def test_each_line_is_an_event_in_the_published_shape_without_a_clock(run: Run) -> None:
    code, out, _ = run("replay", "-c", "tocsin.yaml", "--monitor", "pump")
    assert code == 0
    heard = events(out)
    assert [event["kind"] for event in heard] == ["raised", "cleared"]
    for event in heard:
        jsonschema.validate(event, schemas()["event"])
        assert "clock" not in event
    assert heard[0]["device"] == "hall"
    assert heard[0]["moved"][0]["channel"] == "c1"
    assert heard[0]["moved"][0]["direction"] == "up"


def test_without_a_recording_each_of_the_configuration_is_walked_and_merged_by_time(run: Run) -> None:
    code, out, err = run("replay", "-c", "tocsin.yaml")
    assert code == 0
    assert {event["monitor"] for event in events(out)} == {"pump", "fan"}
    times = [event["time"] for event in events(out)]
    assert times == sorted(times)
    assert "1,800 rows" in err


def test_a_recording_stands_for_the_only_sensor(run: Run) -> None:
    _, own, _ = run("replay", "-c", "tocsin.yaml", "--monitor", "pump")
    Path("other.csv").write_bytes(Path("pump.csv").read_bytes())
    _, other, _ = run("replay", "-c", "tocsin.yaml", "--monitor", "pump", "other.csv")
    assert own == other


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_a_recording_stands_for_the_sensor_that_it_says_it_is_of(run: Run, form: str) -> None:
    with create("pump", "recording", {"file": "pump.csv", "speed": 0}) as pump:
        with Recorder(f"pump-20240101T000000Z.{form}", pump.channels, about={"sensor": "pump"}) as recorder:
            while (reading := next_reading(pump)) is not None:
                recorder.write(reading)
    code, _, err = run("replay", "-c", "tocsin.yaml", f"pump-20240101T000000Z.{form}")
    assert code == 0
    assert "monitor pump: learned from" in err


def test_a_recording_stands_for_a_live_sensor_when_told(run: Run) -> None:
    code, _, err = run("replay", "-c", "tocsin.yaml", "--sensor", "board", "pump.csv")
    assert code == 0
    assert "monitor board: learned from" in err


def test_two_sensors_for_one_recording_are_asked_about(run: Run) -> None:
    code, out, err = run("replay", "-c", "tocsin.yaml", "other.csv")
    assert (code, out) == (2, "")
    assert "which sensor" in err
    assert "--sensor" in err


def test_recordings_named_like_their_sensors_need_no_saying(run: Run) -> None:
    _, own, _ = run("replay", "-c", "tocsin.yaml")
    assert run("replay", "-c", "tocsin.yaml", "pump.csv", "fan.csv")[1] == own


def test_alerts_go_into_a_file_and_the_summary_onto_standard_output_as_json(run: Run) -> None:
    code, out, err = run("replay", "-c", "tocsin.yaml", "--out", "alerts.jsonl", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["schema"] == "tocsin.replay/1"
    assert report["rows"] == 1800
    lines = Path("alerts.jsonl").read_text().splitlines()
    assert sum(report["events"].values()) == len(lines)
    assert report["alerts"] == sum(json.loads(line)["kind"] == "raised" for line in lines)
    assert report["alarms_per_hour"] == pytest.approx(report["alerts"] / report["hours"], rel=1e-6)
    assert [monitor["learned_rows"] for monitor in report["monitors"]] == [300, 300]


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        (["pump.csv"], "pump.csv"),
        (["-c", "tocsin.yaml"], "fan.csv"),
        (["-c", "tocsin.yaml"], "tocsin.yaml"),
        (["pump.csv", "--labels", "windows.json"], "windows.json"),
    ],
)
@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_what_is_read_is_never_written_over(
    run: Run, arguments: list[str], read: str, link: Callable[[str, str], None] | None
) -> None:
    Path("windows.json").write_text("[]")
    before = Path(read).read_bytes()
    if link is not None:
        link(read, "other name")
    code, out, err = run("replay", *arguments, "--out", read if link is None else "other name")
    assert (code, out) == (2, "")
    assert "which is read: the alerts would destroy it" in err
    assert Path(read).read_bytes() == before


def test_a_replay_that_fails_leaves_the_file_of_an_earlier_one_as_it_was(run: Run) -> None:
    assert run("replay", "pump.csv", "--out", "alerts.jsonl")[0] == 0
    whole = Path("alerts.jsonl").read_bytes()
    assert whole
    lines = Path("pump.csv").read_text().splitlines()
    lines[891] = lines[890]
    Path("pump.csv").write_text("\n".join(lines) + "\n")
    files = sorted(Path().iterdir())
    assert run("replay", "pump.csv", "-o", "on_error=stop", "--out", "alerts.jsonl")[0] == 2
    assert run("replay", "pump.csv", "-o", "on_error=stop", "--out", "new.jsonl")[0] == 2
    assert Path("alerts.jsonl").read_bytes() == whole
    assert sorted(Path().iterdir()) == files


def test_out_keeps_a_link_and_the_rights_of_the_file_and_may_be_a_device(run: Run) -> None:
    Path("real.jsonl").write_text("old")
    Path("real.jsonl").chmod(0o640)
    Path("alerts.jsonl").symlink_to("real.jsonl")
    assert run("replay", "pump.csv", "--out", "alerts.jsonl")[0] == 0
    assert Path("alerts.jsonl").is_symlink()
    assert events(Path("real.jsonl").read_text())
    assert Path("real.jsonl").stat().st_mode & 0o777 == 0o640
    assert run("replay", "pump.csv", "--out", os.devnull)[0] == 0
    assert Path(os.devnull).is_char_device()


def test_json_without_out_prints_the_summary_alone(run: Run) -> None:
    _, out, _ = run("replay", "-c", "tocsin.yaml", "--json")
    assert json.loads(out)["schema"] == "tocsin.replay/1"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.json", json.dumps([[START + 600, START + 700], [START + 800, START + 850]])),
        (
            "iso.json",
            json.dumps([["2023-11-14 22:23:20", "2023-11-14T22:25:00Z"], [START + 800, START + 850]]),
        ),
        (
            "named.json",
            json.dumps({"all/pump.csv": [[START + 600, START + 700], [START + 800, START + 850]]}),
        ),
        ("windows.csv", f"start,end\n2023-11-14 22:23:20,2023-11-14 22:25:00\n{START + 800},{START + 850}\n"),
    ],
)
def test_labels_are_read_in_every_form(run: Run, name: str, content: str) -> None:
    Path(name).write_text(content)
    _, out, _ = run("replay", "-c", "tocsin.yaml", "--monitor", "pump", "--labels", name, "--json")
    verdict = json.loads(out)["labels"]
    assert (verdict["windows"], verdict["hits"], verdict["misses"], verdict["false_alarms"]) == (2, 1, 1, 0)
    assert 0 <= verdict["delays_s"][0] < 30
    assert verdict["delays_s"][1] is None


def test_the_recordings_own_label_column_is_a_label(run: Run) -> None:
    rows = [line.split(",") for line in Path("pump.csv").read_text().splitlines()]
    labelled = [[*rows[0], "anomaly"], *([*row, str(int(600 <= i < 700))] for i, row in enumerate(rows[1:]))]
    Path("labelled.csv").write_text("\n".join(",".join(row) for row in labelled) + "\n")
    asked = ("replay", "-c", "tocsin.yaml", "--monitor", "pump", "labelled.csv", "--labels", "column:anomaly")
    code, _, err = run(*asked)
    assert code == 0
    assert "labels: 1 of 1 windows heard" in err
    assert "0 missed, 0 false alarms" in err
    report = json.loads(run(*asked, "--json")[1])
    assert report["labels"]["windows"] == 1


@pytest.mark.parametrize(
    ("labels", "content", "words"),
    [
        ("gone.json", None, "gone.json: cannot be read: No such file"),
        ("bad.json", "[[1,", "bad.json: is not JSON"),
        ("bad.json", "[[5, 3]]", "entry 0: ends before it begins"),
        ("bad.json", '[["soon", "later"]]', "entry 0: 'soon' is not a time"),
        ("bad.json", '{"fan.csv": []}', "has no entry for pump.csv"),
        ("bad.csv", "from,to\n1,2\n", "is neither JSON nor a CSV with the columns start and end"),
        ("column:oops", None, "oops"),
        ("column:c1", None, "labels are 0 or 1"),
    ],
)
def test_bad_labels_are_the_users_mistake(run: Run, labels: str, content: str | None, words: str) -> None:
    if content is not None:
        Path(labels).write_text(content)
    code, out, err = run("replay", "-c", "tocsin.yaml", "--monitor", "pump", "--labels", labels)
    assert (code, out) == (2, "")
    assert words in err


def test_a_window_that_ended_while_learning_is_no_miss() -> None:
    verdict = Verdict()
    verdict.add([(0, 10), (20, 30), (40, 50)], [25.0, 60.0, 26.0], armed_from=15.0)
    assert (verdict.windows, verdict.hits, verdict.misses, verdict.unjudged) == (3, 1, 1, 1)
    assert verdict.false_alarms == 1
    assert verdict.delays_s == [None, 5.0, None]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay"], "name a recording"),
        (["replay", "gone.csv"], "gone.csv: no such file"),
        (["replay", "pump.csv", "--baseline"], "--baseline needs a configuration"),
        (["replay", "-c", "tocsin.yaml", "--monitor", "pmup"], '"pmup" is not a monitor: did you mean pump?'),
        (["replay", "-c", "tocsin.yaml", "--monitor", "board"], "no monitor listens to a recording"),
        (
            ["replay", "-c", "tocsin.yaml", "pump.csv", "--sensor", "pmp"],
            '"pmp" is not a sensor: did you mean pump?',
        ),
        (
            ["replay", "-c", "tocsin.yaml", "--monitor", "pump", "--baseline"],
            "has no baseline: tocsin learn pump",
        ),
        (["replay", "pump.csv", "-o", "rate"], "write KEY=VALUE"),
        (["replay", "pump.csv", "-o", "rate_h=3"], "did you mean rate_hz"),
        (["replay", "pump.csv", "-o", "speed=60"], "only `tocsin run` keeps to a speed"),
        (["replay", "pump.csv", "-o", "repeat=true"], "is read once"),
        (["replay", "pump.csv", "-o", "file=fan.csv"], "an argument of its own"),
        (["replay", "pump.csv", "-o", "chunk=7"], "--chunk"),
        (["replay", "pump.csv", "--out", "no/such/folder"], "cannot be written"),
        (["replay", "-c", "gone.yaml"], "gone.yaml: no such file"),
        (["replay", "-c", "join.yaml"], "write one with tocsin record both, and name it"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_line(run: Run, arguments: list[str], words: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_what_came_before_a_bad_row_is_told_and_then_the_row(run: Run) -> None:
    lines = Path("pump.csv").read_text().splitlines()
    lines[891] = lines[890]
    Path("pump.csv").write_text("\n".join(lines) + "\n")
    code, out, err = run(
        "replay", "-c", "tocsin.yaml", "--monitor", "pump", "pump.csv", "-o", "on_error=stop"
    )
    assert code == 2
    assert "row 892" in err
    assert out == "" or events(out)[0]["kind"] == "raised"
    code, out, err = run("replay", "-c", "tocsin.yaml", "--monitor", "pump")
    assert code == 0
    assert "1 x duplicates" in err
    assert "row 892" in err


def test_several_recordings_without_a_configuration_each_get_a_monitor(run: Run) -> None:
    code, _, err = run("replay", "pump.csv", "fan.csv", "-o", "channels=[c1]")
    assert code == 0
    assert "monitor pump" in err
    assert "monitor fan" in err


def test_a_file_named_like_a_topic_can_be_replayed(run: Run) -> None:
    Path("pump.csv").rename("event.csv")
    code, _, err = run("replay", "event.csv")
    assert code == 0
    assert "monitor recordingevent" in err


def test_a_short_recording_says_what_is_missing(run: Run) -> None:
    write_csv(Path("short.csv"), *step(rows=200))
    code, out, err = run("replay", "short.csv")
    assert (code, out) == (0, "")
    assert "needs 400 more rows" in err


def alike(found: Any, expected: Any, where: str = "") -> None:
    """Equal, but for the last digits of figures: these differ from one kind of processor to the next."""
    if isinstance(expected, float) and isinstance(found, (int, float)):
        assert math.isclose(found, expected, rel_tol=1e-3, abs_tol=1e-3), f"{where}: {found}, was {expected}"
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            if key not in ("sentence", "digest"):  # made of the same figures, rounded
                alike(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            alike(one, other, f"{where}[{i}]")
    else:
        assert found == expected, where


@pytest.mark.parametrize("name", ["telemetry", "slow-channel", "vibration", "reconstruction", "knn"])
def test_golden_replays_stay_as_they_were(name: str, tmp_path: Path) -> None:
    """After a wanted change: `python -m tests.golden` writes them anew; look at the difference before you commit it."""
    out = tmp_path / "alerts.jsonl"
    assert main(["replay", "-c", str(GOLDEN / "tocsin.yaml"), "--monitor", name, "--out", str(out)]) == 0
    expected = (GOLDEN / f"{name}.jsonl").read_text()
    assert expected
    alike(events(out.read_text()), events(expected))


def test_nan_rows_are_counted_not_scored(run: Run) -> None:
    times, values = step()
    values[400:405] = np.nan
    write_csv(Path("pump.csv"), times, values)
    code, out, _ = run("replay", "-c", "tocsin.yaml", "--monitor", "pump", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["monitors"][0]["missing"] == 5
    assert report["skipped"] == {str(Path("pump.csv").absolute()): {"missing_values": 15}}
