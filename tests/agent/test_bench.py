"""`tocsin bench`: the bare loop does the same work, the parts are of one whole, the table has its columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent import bare
from agent.bench import STOCK, Report, _Road, _subject, measure, report, table
from agent.cli import main
from agent.config import MonitorConfig
from agent.stopwatch import stopwatch
from agent.weight import Load, weigh
from models.calibration import Calibration
from tests.agent.recordings import step, write_csv


@pytest.mark.parametrize("entry", STOCK, ids=lambda entry: entry.name)
def test_the_bare_loop_gives_the_same_levels_as_the_road(entry: MonitorConfig) -> None:
    """Else the comparison would be with something else."""
    subject = _subject(None, entry)
    assert not isinstance(subject, str)
    road = _Road(subject)
    assert road.learn()
    monitor = road.monitor
    assert monitor.baseline is not None
    learned = monitor.baseline.learned
    count = 120  # so many that the oldest level of the jump is whole
    _, bare_level = bare.loop(monitor.head, learned, monitor._features, subject.windows(count))()
    monitor.arm(monitor.baseline)
    length = subject.shape.window if subject.shape.kind == "vibration" else subject.hop
    for reading in subject.readings(length + (count - 1) * subject.hop, 1, 0):
        road.push(reading)
    assert monitor.level == pytest.approx(bare_level, rel=1e-4)


def test_every_figure_is_there_and_the_parts_do_not_exceed_the_whole() -> None:
    subject = _subject(None, STOCK[0])
    assert not isinstance(subject, str)
    cost = measure(subject, 0.05)
    assert not isinstance(cost, str)
    for figure in (cost.live_us, cost.session_us, cost.bare_us, cost.chunked_us, cost.rows_per_s):
        assert 0 < figure < 1e9
    assert cost.chunked_us < cost.live_us
    assert cost.ratio == pytest.approx(cost.live_us / cost.bare_us, rel=0.01)


def test_the_stopwatch_puts_everything_back() -> None:
    before = Calibration.apply
    with stopwatch():
        assert Calibration.apply is not before
    assert Calibration.apply is before


def test_a_configuration_is_measured_on_its_own_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    (tmp_path / "tocsin.yaml").write_text(
        """
state_dir: state
sensors:
  pump: {driver: recording, file: pump.csv}
  board: {driver: host}
monitors:
  pump: {sensor: pump, learn: 200 rows}
  long: {sensor: pump, learn: 1 d}
  board: {sensor: board}
"""
    )
    assert main(["bench", "-c", str(tmp_path / "tocsin.yaml"), "--seconds", "0.02", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "tocsin.bench/1"
    assert {cost["name"]: cost["input"] for cost in found["monitors"]} == {
        "pump": "recorded rows",
        "board": "noise",
    }
    assert "pump has 900 whole rows" in found["left_out"]["long"]
    assert 20 < found["memory"]["one_monitor_mb"] <= found["memory"]["many_monitors_mb"] < 200


def test_the_table_shows_all_that_was_measured() -> None:
    found = report(None, 0.01, weighed=False)
    assert isinstance(found, Report)
    shown = table(found)
    for cost in found.monitors:
        assert cost.name in shown
        assert f"{cost.ratio:.2f}" in shown
    assert "rows/s" in shown


def test_a_fresh_process_tells_its_weight() -> None:
    load = Load(
        monitor=MonitorConfig(name="m", sensor="s", channels=("b",)),
        channels=["a", "b"],
        rate_hz=1.0,
        kind="telemetry",
        hop=1,
        copies=2,
    )
    assert 20e6 < weigh(load) < 200e6
