"""`tocsin bench`: the bare loop does the same work, the parts are of one whole, the table has its columns."""

from __future__ import annotations

import json
import random
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest

from agent import bare, weight
from agent.bench import STOCK, Report, _subject, report, table
from agent.cli import main
from agent.config import load_text
from agent.measure import Cost, Gauge, Road, measure, take_turns
from agent.monitor_config import MonitorConfig
from agent.stopwatch import Own, Part, Split, split, stopwatch
from agent.weight import Load, WeighingError, weigh
from models.calibration import Calibration
from tests.agent.recordings import START, write_csv

EVERY = (
    *STOCK,
    MonitorConfig(name="curve", sensor="telemetry", detector="reconstruction"),
    MonitorConfig(name="stretches", sensor="slow", detector="knn"),
)


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: entry.name)
def test_the_bare_loop_gives_the_same_levels_as_the_road(entry: MonitorConfig) -> None:
    """Else the comparison would be with something else."""
    subject = _subject(None, entry)
    assert not isinstance(subject, str)
    road = Road(subject)
    assert road.learn()
    monitor = road.monitor
    assert monitor.baseline is not None
    learned = monitor.baseline.learned
    count = 120  # so many that the oldest level of the jump is whole
    edge = monitor.aim.edge
    _, bare_level = bare.loop(monitor.head, learned, monitor.features, subject.windows(count))()
    monitor.arm(monitor.baseline)
    length = subject.shape.window if subject.shape.kind == "vibration" else subject.hop
    for reading in subject.readings(length + (count - 1) * subject.hop, 1, 0):
        road.pipeline.push([reading])
    assert monitor.level * monitor.aim.edge == pytest.approx(bare_level * edge, rel=1e-4)  # the edge moves


def burdened() -> float:
    """The clock of a computer on which something else takes a millisecond now and then, however often one looks."""
    burdened.stolen += 1e-3 if burdened.chance.random() < 0.002 else 0.0  # type: ignore[attr-defined]
    return process_time() + burdened.stolen  # type: ignore[attr-defined, no-any-return]


burdened.stolen, burdened.chance = 0.0, random.Random(1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("clock", [process_time, burdened])
@pytest.mark.parametrize("entry", STOCK, ids=lambda entry: entry.name)
def test_the_parts_add_up_to_the_whole(entry: MonitorConfig, clock: Any) -> None:
    subject = _subject(None, entry)
    assert not isinstance(subject, str)
    cost = measure(subject, 0.1, clock)
    assert isinstance(cost, Cost)
    parts = (cost.features_us, cost.session_us, cost.calibration_us, cost.rest_us)
    assert sum(parts) == pytest.approx(cost.live_us, abs=1e-6)
    assert all(part > 0 for part in parts)
    assert cost.ratio == pytest.approx(cost.live_us / cost.bare_us, rel=0.01)
    if clock is process_time:
        assert 0.5 < cost.ratio < 5  # the road's own toll; what it is, the bench says
    for figure in (cost.watched_us, cost.bare_us, cost.chunked_us, cost.rows_per_s):
        assert 0 < figure < 1e9


def test_what_the_watching_costs_is_taken_from_the_whole_and_its_parts() -> None:
    parts = {"a": Part(), "b": Part()}
    parts["a"].spent_s, parts["a"].calls = 3.0, 10
    parts["b"].spent_s, parts["b"].calls = 1.0, 5
    found = split(8.0, parts, Own(inside_s=0.1, around_s=0.2))
    assert found.whole_s == pytest.approx(8.0 - 15 * 0.3)
    assert found.parts_s == pytest.approx({"a": 2.0, "b": 0.5})
    assert found.rest_s == pytest.approx(1.0)


def test_the_best_pass_counts_whole_with_its_parts_and_all_take_turns() -> None:
    took: dict[str, list[float]] = {"left": [9, 9, 5, 3, 4], "right": [9, 9, 2, 3, 1]}
    turns: list[str] = []

    def gauge(name: str) -> Gauge:
        def one_pass(count: int) -> Split:
            turns.append(name)
            seconds = took[name].pop(0)
            return Split(seconds * count, {"part": seconds * count / 2})

        return Gauge(one_pass, 20.0, most=1)

    left, right = gauge("left"), gauge("right")
    took["left"] += [8] * 9
    took["right"] += [8] * 9
    take_turns((left, right))
    assert turns[:6] == ["left", "right"] * 3
    assert left.best == Split(3.0, {"part": 1.5})
    assert left.best_us == 3e6
    assert right.best_us < 3e6


def test_the_stopwatch_puts_everything_back() -> None:
    before = Calibration.apply
    with stopwatch():
        assert Calibration.apply is not before
    assert Calibration.apply is before


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `tocsin bench --json` says of a configuration; it starts two agents and weighs them."""
    folder = tmp_path_factory.mktemp("bench")
    rows = np.random.default_rng(5).normal(20.0, 0.5, (900, 8)).astype(np.float32)
    write_csv(folder / "pump.csv", START + np.arange(900), rows)
    (folder / "tocsin.yaml").write_text(
        """
state_dir: state
sensors:
  pump: {driver: recording, file: pump.csv}
  board: {driver: host}
monitors:
  pump: {sensor: pump, learn: 200 rows}
  long: {sensor: pump, learn: 3 h}
  board: {sensor: board}
"""
    )
    with redirect_stdout(StringIO()) as out:
        assert main(["bench", "-c", str(folder / "tocsin.yaml"), "--seconds", "0.02", "--json"]) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_a_configuration_is_measured_on_its_own_rows(measured: dict[str, Any]) -> None:
    assert measured["schema"] == "tocsin.bench/1"
    assert {cost["name"]: cost["input"] for cost in measured["monitors"]} == {
        "pump": "recorded rows",
        "board": "noise",
    }
    assert "pump has 900 whole rows" in measured["left_out"]["long"]


def test_a_real_agent_keeps_within_70_mb_with_one_monitor_and_80_mb_with_32(measured: dict[str, Any]) -> None:
    """Once it has learned; memory, unlike time, does not depend on what else runs here."""
    memory = measured["memory"]
    assert measured["memory_unknown"] == ""
    assert memory["many"] == 32
    for found, most_mb in ((memory["one_monitor"], 70), (memory["many_monitors"], 80)):
        assert 20 < found["anonymous_mb"] < found["resident_mb"] <= most_mb
        assert found["resident_mb"] < found["peak_mb"] < 2 * most_mb


def test_the_table_shows_all_that_was_measured() -> None:
    found = report(None, 0.01, weighed=False)
    assert isinstance(found, Report)
    shown = table(found)
    for cost in found.monitors:
        assert cost.name in shown
        assert f"{cost.ratio:.2f}" in shown
    assert "rows/s" in shown
    assert "memory: not measured: not asked for" in shown


def test_an_agent_that_does_not_start_is_not_weighed_and_that_is_said() -> None:
    load = Load(
        monitor=MonitorConfig(name="m", sensor="s", channels=("c",)),
        channels=["a", "b"],
        rate_hz=1.0,
        lesson_s=600.0,
        copies=1,
    )
    with pytest.raises(WeighingError, match=r"the agent ended: .*monitors\.m0\.channels"):
        weigh(load, np.zeros((10, 2), np.float32))


def test_the_agent_that_is_weighed_has_the_monitor_as_it_is_configured(tmp_path: Path) -> None:
    text = """
sensors: {sensor: {driver: synthetic}}
monitors:
  m0:
    sensor: sensor
    window: 1.5 s
    learn: 90 s
    sensitivity: quiet
    bearing: {balls: 9, ball_diameter: 7.94 mm, pitch_diameter: 39.04 mm, speed: 1482 rpm}
    alert: {on_delay: 3 s, critical: 4, flood: 6 per hour}
"""
    asked = load_text(text).monitors["m0"]
    load = Load(monitor=asked, channels=["a"], rate_hz=1.0, lesson_s=1.0, copies=1)
    written = weight._configuration(load, tmp_path)
    again = load_text(json.dumps({**written, "sensors": {"sensor": {"driver": "synthetic"}}}))
    assert again.monitors["m0"] == asked
