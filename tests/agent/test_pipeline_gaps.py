"""What a gap, a late sample and a channel that is no number do to a monitor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.alerts import Event, Plan, Rule
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from models.features import telemetry
from models.mahalanobis import Mahalanobis
from models.window import Windower
from sensors.base import Reading

NAMES = ("a", "b", "c")
LEARN = 300


def rig(rows: int, seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(10.0, 1.0, (rows, len(NAMES))).astype(np.float32)


def listening(on_delay_s: float = 60.0) -> tuple[Pipeline, Monitor]:
    """Armed with what `rig` teaches, at time LEARN."""
    monitor = Monitor(
        "pump",
        "pump",
        columns=None,
        windower=Windower(1, 1, len(NAMES), 5.0),
        features=telemetry([(name, "1") for name in NAMES]),
        head=Mahalanobis(len(NAMES), smooth=5),
        rule=Rule(on_delay_s=on_delay_s),
        learn_rows=LEARN,
        plan=Plan(1.0),
    )
    pipeline = Pipeline([monitor])
    pipeline.push([Reading("pump", 0.0, 1.0, rig(LEARN))])
    assert monitor.armed
    return pipeline, monitor


def strange(pipeline: Pipeline, start: float, rows: int) -> list[Event]:
    return pipeline.push([Reading("pump", start, 1.0, rig(rows, seed=4) + np.float32(8.0))])


def test_what_was_pending_before_a_gap_has_not_lasted_through_it() -> None:
    pipeline, monitor = listening()
    assert strange(pipeline, LEARN, 20) == []
    assert monitor.alert.state == "pending"
    assert strange(pipeline, LEARN + 3 * 3600.0, 20) == []
    assert monitor.alert.state == "pending"
    assert [event.kind for event in strange(pipeline, LEARN + 3 * 3600.0 + 20, 60)] == ["raised"]


def test_an_alert_lives_on_through_a_gap() -> None:
    pipeline, monitor = listening(on_delay_s=10.0)
    assert [event.kind for event in strange(pipeline, LEARN, 40)] == ["raised"]
    assert strange(pipeline, LEARN + 3600.0, 40) == []
    assert monitor.alert.state == "active"


def test_a_late_sample_and_one_on_time_after_it_break_nothing() -> None:
    pipeline, monitor = listening()
    for moment in (0, 1, 2, 3.6, 4, 5, 6):
        pipeline.push([Reading("pump", LEARN + moment, 1.0, rig(1))])
    assert monitor.status().restarts == 0


def test_a_sample_given_twice_starts_afresh() -> None:
    pipeline, monitor = listening()
    for moment in (0, 1, 1, 2):
        pipeline.push([Reading("pump", LEARN + moment, 1.0, rig(1))])
    assert monitor.status().restarts == 1


def test_a_channel_that_is_no_number_is_named_until_a_row_is_whole_again() -> None:
    pipeline, monitor = listening()
    rows = rig(10)
    rows[4:, 1] = np.nan
    pipeline.push([Reading("pump", float(LEARN), 1.0, rows)])
    assert monitor.absent == ("b",)
    assert monitor.status().missing == 6
    pipeline.push([Reading("pump", LEARN + 10.0, 1.0, rig(1))])
    assert not monitor.absent
