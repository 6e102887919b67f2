"""`tocsin learn` and `tocsin check`: what is learned, saved, kept, refused, and told beforehand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.assemble import baseline_path, load_baseline, make_monitor
from agent.cli import main
from agent.config import load
from agent.health import Lock
from agent.progress import Progress, line, span
from models.baseline import Baseline
from sensors import registry
from tests.agent.recordings import START, step, write_csv

Run = Callable[..., tuple[int, str, str]]

CONFIG = """
device: hall
state_dir: state
sensors:
  pump: {driver: recording, file: pump.csv, speed: 10, repeat: true}
  motor: {driver: synthetic, rate_hz: 1 kHz}
  board: {driver: host}
monitors:
  pump: {sensor: pump, learn: 300 rows}
  motor: {sensor: motor, learn: 30 s}
  board: {sensor: board}
"""
LIVE = """
state_dir: state
sensors:
  left: {driver: ticker}
  right: {driver: ticker, level: 7}
monitors:
  left: {sensor: left, learn: 100 rows}
  right: {sensor: right, learn: 400 rows}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command beside a recording and a configuration; exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "pump.csv", *step())
    (tmp_path / "tocsin.yaml").write_text(CONFIG)

    def tocsin(command: str, *arguments: str) -> tuple[int, str, str]:
        code = main([command, "-c", "tocsin.yaml", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return tocsin


def saved(name: str) -> Baseline | None:
    config = load("tocsin.yaml")
    told = config.sensors[config.monitors[name].sensor]
    with registry.create(told.name, told.driver, told.options) as sensor:
        return load_baseline(config, make_monitor(config.monitors[name], sensor))


def test_what_was_learned_is_saved_and_told(run: Run) -> None:
    code, out, _ = run("learn", "pump")
    assert code == 0
    assert "monitor pump learned from 300 rows, 2023-11-14T22:13:20.000Z to" in out
    assert str(baseline_path(load("tocsin.yaml"), "pump")) in out
    baseline = saved("pump")
    assert baseline is not None
    assert baseline.origin.rows == 300
    assert baseline.origin.first == START


def test_a_simulated_machine_is_learned_faster_than_it_runs(run: Run) -> None:
    code, out, _ = run("learn", "motor")
    assert code == 0
    assert "monitor motor learned from 60 rows" in out


def test_live_sensors_are_listened_to_all_at_once(run: Run, live: None) -> None:
    code, out, err = run("learn", "left", "right")
    assert code == 0
    assert "listening to left, right: left needs 100 more rows, right needs 400 more rows" in err
    assert "monitor left learned from 100 rows" in out
    assert "monitor right learned from 400 rows" in out


def test_who_has_learned_is_done_however_long_the_others_of_its_sensor_take(run: Run) -> None:
    both = CONFIG.replace(
        "  pump: {sensor: pump, learn",
        "  slow: {sensor: pump, learn: 700 rows}\n  pump: {sensor: pump, learn",
    )
    assert run("learn", "pump")[0] == 0
    path = baseline_path(load("tocsin.yaml"), "pump")
    alone = path.read_bytes()
    Path("tocsin.yaml").write_text(both)
    code, out, _ = run("learn", "slow", "pump", "--again")
    assert code == 0
    assert path.read_bytes() == alone
    pump = out.partition("monitor pump learned")[2]
    assert re.search(r"seen (4\.\d+) min of normal", pump)  # of 5 min learned from


def test_a_live_sensor_that_fails_is_said_and_nothing_is_saved(run: Run, live: None) -> None:
    Path("tocsin.yaml").write_text(Path("tocsin.yaml").read_text().replace("level: 7", "breaks_after: 200"))
    code, out, err = run("learn", "right")
    assert (code, out) == (2, "")
    assert "right: the wire came off" in err


@pytest.mark.parametrize("rows", [0, 50])
def test_a_live_sensor_that_gives_nothing_is_not_waited_for_for_ever(run: Run, live: None, rows: int) -> None:
    told = Path("tocsin.yaml").read_text()
    Path("tocsin.yaml").write_text(told.replace("level: 7", f"silent_after: 100 ms, mute_after: {rows}"))
    code, out, err = run("learn", "left", "right")
    assert (code, out) == (2, "")
    assert re.search(r"right: gave nothing for 0\.\d+ s", err)


def test_what_the_system_does_to_a_live_sensor_is_said_as_the_sensors_own(run: Run, live: None) -> None:
    told = Path("tocsin.yaml").read_text()
    Path("tocsin.yaml").write_text(told.replace("level: 7", "breaks_after: 200, fault: os"))
    code, out, err = run("learn", "right")
    assert (code, out) == (2, "")
    assert "right: Remote I/O error" in err
    assert "state_dir" not in err


def test_a_bug_of_a_driver_ends_the_command_as_a_bug(run: Run, live: None) -> None:
    told = Path("tocsin.yaml").read_text()
    Path("tocsin.yaml").write_text(told.replace("level: 7", "breaks_after: 200, fault: bug"))
    with pytest.raises(ZeroDivisionError):
        run("learn", "right")


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two live sensors in the configuration."""
    monkeypatch.setitem(registry.DRIVERS, "ticker", "tests.agent.ticker:Ticker")
    (tmp_path / "tocsin.yaml").write_text(LIVE)


def test_another_recording_can_be_learned_from(run: Run) -> None:
    times, values = step()
    write_csv(Path("week.csv"), times + 1e6, values)
    code, _, _ = run("learn", "pump", "--recording", "week.csv")
    assert code == 0
    baseline = saved("pump")
    assert baseline is not None
    assert baseline.origin.first == START + 1e6


def test_how_much_to_learn_from_can_be_said(run: Run) -> None:
    assert run("learn", "pump", "--for", "200 s")[0] == 0
    baseline = saved("pump")
    assert baseline is not None
    assert baseline.origin.rows == 200
    code, _, err = run("learn", "pump", "--for", "200")
    assert code == 2
    assert '--for "200": has no unit' in err


def test_a_lesson_that_is_too_short_is_the_options_mistake(run: Run) -> None:
    code, _, err = run("learn", "pump", "--for", "12 rows")
    assert code == 2
    assert (
        err == '--for "12 rows": monitors.pump: comes to 12 rows: with these settings it takes at least 99\n'
    )


def test_too_short_a_recording_is_refused_and_nothing_is_saved(run: Run) -> None:
    write_csv(Path("short.csv"), *step(rows=60))
    code, out, err = run("learn", "pump", "--recording", "short.csv")
    assert (code, out) == (2, "")
    assert "monitor pump needs 240 more rows" in err
    assert saved("pump") is None


def test_a_good_baseline_is_kept_unless_told_otherwise(run: Run) -> None:
    assert run("learn", "pump")[0] == 0
    first = baseline_path(load("tocsin.yaml"), "pump").read_bytes()
    code, _, err = run("learn", "pump", "--for", "200 rows")
    assert code == 2
    assert "has a good baseline" in err
    assert "--again replaces it" in err
    assert baseline_path(load("tocsin.yaml"), "pump").read_bytes() == first
    assert run("learn", "pump", "--for", "200 rows", "--again")[0] == 0
    assert baseline_path(load("tocsin.yaml"), "pump").read_bytes() != first


def test_a_baseline_of_another_configuration_or_a_broken_one_is_replaced(run: Run) -> None:
    assert run("learn", "pump")[0] == 0
    Path("tocsin.yaml").write_text(CONFIG.replace("learn: 300 rows", "learn: 300 rows, window: 10 rows"))
    code, _, err = run("learn", "pump")
    assert code == 0
    assert "learned under another configuration" in err
    assert "it will be replaced" in err
    baseline_path(load("tocsin.yaml"), "pump").write_bytes(b"PK\x03\x04 no more")
    code, _, err = run("learn", "pump")
    assert code == 0
    assert "not a whole baseline" in err


def test_stuck_rows_are_left_out_and_told(run: Run) -> None:
    times, values = step()
    values[100:150, 1] = values[100, 1]
    write_csv(Path("pump.csv"), times, values)
    code, out, err = run("learn", "pump")
    assert code == 0
    assert "pump: sensor pump: c2 is stuck at " in err
    assert "learned from 300 rows, 2023-11-14T22:13:20.000Z to 2023-11-14T22:19:10.000Z" in out


def test_constants_teach_nothing_and_the_command_ends(run: Run) -> None:
    times, values = step()
    write_csv(Path("pump.csv"), times, np.ones_like(values))
    code, _, err = run("learn", "pump")
    assert code == 2
    assert "no channel moved while learning" in err


def test_while_the_agent_runs_learn_refuses(run: Run) -> None:
    config = load("tocsin.yaml")
    with Lock(config.state_dir):
        code, _, err = run("learn", "pump")
    assert code == 2
    assert "already works in" in err
    assert "systemctl stop tocsin" in err


def test_a_state_directory_that_cannot_be_written_is_said(run: Run) -> None:
    Path("state").write_text("not a folder")
    code, _, err = run("learn", "pump")
    assert code == 2
    assert "cannot be used" in err


def test_replay_with_the_saved_baseline_is_armed_from_the_first_row(run: Run) -> None:
    assert run("learn", "pump")[0] == 0
    code, _, err = run("replay", "--monitor", "pump", "--baseline", "--json")
    assert (code, err) == (0, "")


def test_unknown_monitors_are_met_with_the_nearest(run: Run) -> None:
    code, _, err = run("learn", "pumpe")
    assert code == 2
    assert '"pumpe" is not a monitor: did you mean pump?' in err


def test_check_tells_what_would_run(run: Run) -> None:
    code, out, err = run("check")
    assert (code, err) == (0, "")
    assert "mahalanobis on 3 of telemetry" in out
    assert "check needs no hardware" in out
    assert run("learn", "pump")[0] == 0
    report = json.loads(run("check", "--json")[1])
    assert report["schema"] == "tocsin.check/1"
    assert [monitor["baseline"] for monitor in report["monitors"]] == ["good", "none", "none"]
    Path("tocsin.yaml").write_text(CONFIG.replace("learn: 300 rows", "learn: 300 rows, window: 10 rows"))
    report = json.loads(run("check", "--json")[1])
    assert report["monitors"][0]["baseline"] == "foreign"
    assert "window was 20 rows, is now 10 rows" in report["monitors"][0]["baseline_words"]


def test_check_tells_of_a_lesson_too_short_for_sudden_changes_before_it_is_spent(run: Run) -> None:
    _, out, _ = run("check")
    assert "sudden changes" not in out
    for rows, note in (
        ("159", []),
        ("158", ["learns too little to judge sudden changes, only levels: that takes 159 rows"]),
    ):
        Path("tocsin.yaml").write_text(CONFIG.replace("learn: 300 rows", f"learn: {rows} rows"))
        monitor = json.loads(run("check", "--json")[1])["monitors"][0]
        assert [text.rpartition(",")[0] for text in monitor["notes"]] == note
        assert run("learn", "pump", "--again")[0] == 0
        baseline = saved("pump")
        assert baseline is not None
        assert bool(note) == any("only levels are judged" in text for text in baseline.origin.notes)
    assert "pump: learns too little to judge sudden changes" in run("check")[1]


def test_check_promises_no_fewer_rows_than_states_take(run: Run) -> None:
    learn = {}
    for rows in (197, 300):
        Path("tocsin.yaml").write_text(CONFIG.replace("learn: 300 rows", f"learn: {rows} rows"))
        learn[rows] = json.loads(run("check", "--json")[1])["monitors"][0]["learn"]
    assert learn[197].startswith("at least 197 rows, ")
    assert learn[300].startswith("300 rows, ")


def test_check_tells_every_mistake_at_once(run: Run) -> None:
    Path("tocsin.yaml").write_text(CONFIG.replace("hall", "ha/ll").replace("sensor: motor", "sensor: moter"))
    code, out, err = run("check")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert "did you mean motor?" in err
    code, out, err = run("check", "--json")
    assert (code, err) == (2, "")
    assert len(json.loads(out)["problems"]) == 2


def test_check_opens_recordings_and_tells_what_would_be_refused(run: Run) -> None:
    changed = CONFIG.replace("sensor: pump, learn", "sensor: pump, channels: [c1, c9], learn")
    Path("tocsin.yaml").write_text(changed)
    code, out, err = run("check")
    assert code == 2
    assert "c9" in err
    Path("pump.csv").write_text("")
    Path("tocsin.yaml").write_text(CONFIG)
    code, out, err = run("check")
    assert code == 2
    assert "pump.csv: is empty" in err
    Path("pump.csv").unlink()
    code, out, err = run("check")
    assert (code, err) == (0, "")
    assert "does not exist here" in out


class Terminal:
    """A terminal that keeps what is written to it."""

    def __init__(self, seen: list[str], tty: bool = True) -> None:
        self.seen, self._tty = seen, tty

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> int:
        self.seen.append(text)
        return len(text)

    def flush(self) -> None: ...


def test_a_bar_is_drawn_on_a_terminal_after_two_seconds_and_wiped_at_the_end() -> None:
    now = [0.0]
    seen: list[str] = []
    with Progress("replay", Terminal(seen), lambda: now[0]) as bar:  # type: ignore[arg-type]
        bar.tell(lambda: 0.1, lambda: "early")
        assert seen == []
        now[0] = 2.5
        bar.tell(lambda: 0.25, lambda: "1,000 rows")
        bar.tell(lambda: 0.26, lambda: "too soon")
    assert seen == ["\rreplay [######..................]  25 % 1,000 rows, 8 s left\x1b[K", "\r\x1b[K"]


def test_no_bar_is_drawn_into_a_file() -> None:
    now = [0.0]
    seen: list[str] = []
    with Progress("replay", Terminal(seen, tty=False), lambda: now[0]) as bar:  # type: ignore[arg-type]
        now[0] = 100.0
        bar.tell(lambda: 0.5, lambda: "")
    assert seen == []


def test_spans_are_said_as_people_do() -> None:
    assert [span(s) for s in (5, 300, 7200, 300_000)] == ["5 s", "5 min", "2.0 h", "3.5 d"]
    assert "left" not in line("learn", 0.0, "0 rows", 3.0)
