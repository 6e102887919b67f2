"""A monitor learns, arms itself, raises, and clears."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts import Plan, Rule
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from agent.teller import MOST_MOVED
from models import baseline as baselines
from models.baseline import Baseline, ForeignBaseline
from models.bearing import Bearing
from models.detector import LearningError
from models.features import telemetry
from models.mahalanobis import Mahalanobis
from models.session import digest
from models.vibration import Vibration
from models.window import Windower
from sensors.base import Reading
from tests.agent.machines import RULE, START, healthy, kinds, level, monitor, pieces, reading


def taught(width: int = 3, **options: object) -> Monitor:
    """A monitor that has learned its 200 rows."""
    one = monitor(width=width, **options)  # type: ignore[arg-type]
    Pipeline([one]).push([reading(healthy(200, width))])
    assert one.armed
    return one


def baseline_of(one: Monitor) -> Baseline:
    baseline = one.current_baseline()
    assert baseline is not None
    return baseline


def test_a_monitor_says_what_it_still_needs_and_arms_itself() -> None:
    one = monitor()
    pipeline = Pipeline([one])
    assert one.status().health == "learning"
    assert one.status().needs == "needs 200 more rows"
    assert math.isnan(one.status().level)
    pipeline.push([reading(healthy(200)[:60])])
    assert one.status().needs == "needs 140 more rows"
    assert (one.learning, one.unsaved) == ((140, 200), False)
    pipeline.push([reading(healthy(200)[60:], 60)])
    assert one.status().health == "armed"
    assert one.status().needs == ""
    assert (one.learning, one.unsaved) == ((0, 0), True)
    pipeline.push([reading(healthy(50, seed=1), 200)])
    assert 0 < one.level < 1
    assert one.status().rows == one.status().windows == 250


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=20))
def test_it_arms_at_the_same_row_with_the_same_weights_however_the_stream_is_cut(cuts: list[int]) -> None:
    rows = healthy(400)
    rows[50:60, 1] = 500  # abnormal: who is choosy needs ten more rows
    rows[120] = np.nan
    for make, strays in ((monitor, 10), (level, 0)):
        whole, cut = make(), make()
        Pipeline([whole]).push([reading(rows)])
        pipeline = Pipeline([cut])
        for piece in pieces(rows, cuts):
            pipeline.push([piece])
            end = round(piece.time - START) + len(piece.values)
            assert cut.armed == (end >= 201 + strays)
        assert whole.baseline is not None
        assert cut.baseline is not None
        assert whole.baseline.origin == cut.baseline.origin
        assert cut.baseline.origin.last == START + 200 + strays
        assert cut.baseline.origin.strays == strays
        assert whole.baseline.digest("") == cut.baseline.digest("")
        assert whole.level == cut.level


def test_what_is_abnormal_while_learning_is_not_learned() -> None:
    rows = healthy(230)
    rows[100:110, 2] = 40
    one = monitor()
    Pipeline([one]).push([reading(rows)])
    clean = monitor()
    Pipeline([clean]).push([reading(rows[:100]), reading(rows[110:], 200)])
    assert one.baseline is not None
    assert clean.baseline is not None
    assert one.baseline.origin.strays == 10
    for name, array in clean.baseline.learned.arrays.items():
        assert (one.baseline.learned.arrays[name] == array).all()


def test_a_channel_that_never_moved_is_told() -> None:
    rows = healthy(200)
    rows[:, 2] = 4
    one, other = monitor(), level(columns=[1, 2])
    Pipeline([one, other]).push([reading(rows)])
    assert one.status().notes == ("current never moved while learning: cannot be judged",)
    assert other.status().notes == ("current never moved while learning: any movement is strange",)


def test_what_cannot_be_learned_from_is_told_and_it_tries_again() -> None:
    one = monitor()
    pipeline = Pipeline([one])
    pipeline.push([reading(np.full((230, 3), 7, np.float32))])
    assert one.status().needs == (
        "needs 170 more rows (last try: no channel moved while learning: nothing can be learned from constants)"
    )
    pipeline.push([reading(healthy(170), 230)])
    assert one.status().needs.startswith("needs 30 more rows")  # the constant ones are stuck now
    pipeline.push([reading(healthy(30, seed=1), 400)])
    assert one.armed


@pytest.mark.parametrize(("column", "shift"), [(0, 900.0), (0, -900.0), (1, 5.0), (2, -1.0)])
def test_an_alert_names_the_channel_that_moved_by_how_much_and_where_to(column: int, shift: float) -> None:
    one = taught()
    rows = healthy(100, seed=1)
    rows[50:, column] += shift
    (event,) = Pipeline([one]).push([reading(rows, 200)])
    assert (event.kind, event.monitor, event.sensor, event.seq) == ("raised", "pump", "rig", 1)
    assert START + 255 <= event.time <= START + 260
    assert event.level >= 1
    assert event.alert.state == "active"
    moved = event.moved[0]
    name, unit, normal = [("pressure", "Pa", 2e5), ("temperature", "Cel", 60), ("current", "A", 4)][column]
    assert (moved.feature, moved.channel, moved.unit) == (name, name, unit)
    assert moved.direction == ("up" if shift > 0 else "down")
    assert abs(moved.sigma) > 5
    assert moved.normal == pytest.approx(normal, abs=abs(shift) / 4)
    assert moved.value == pytest.approx(normal + shift, abs=abs(shift) / 4)


def test_an_event_tells_what_scored_it_and_under_which_plan() -> None:
    one = taught()
    (event,) = Pipeline([one]).push([reading(healthy(50, seed=1) + np.float32(9000), 200)])
    assert event.plan == Plan(1.0)
    assert event.model is not None
    assert (event.model.detector, event.model.graph) == ("mahalanobis", "mahalanobis.onnx")
    assert event.model.digest == baseline_of(one).digest(digest("mahalanobis.onnx"))
    assert event.model == one.model


def test_no_more_than_the_most_important_features_are_named() -> None:
    channels = [(f"c{i}", "1") for i in range(3 * MOST_MOVED)]
    rows = np.random.default_rng(0).standard_normal((260, len(channels))).astype(np.float32)
    rows[220:] += 9
    one = Monitor(
        "many",
        "rig",
        columns=None,
        windower=Windower(1, 1, len(channels), 10.0),
        features=telemetry(channels),
        head=Mahalanobis(len(channels), smooth=1),
        rule=RULE,
        learn_rows=200,
        plan=Plan(1.0),
    )
    (event,) = Pipeline([one]).push([reading(rows)])
    assert len(event.moved) == MOST_MOVED


def test_an_alert_clears_after_its_off_delay_and_not_before() -> None:
    one = taught()
    rows = healthy(200, seed=1)
    rows[50:80, 1] += 20
    raised, *updates, cleared = Pipeline([one]).push([reading(rows, 200)])
    assert (raised.kind, cleared.kind) == ("raised", "cleared")
    assert set(kinds(updates)) <= {"updated"}
    assert cleared.moved == ()
    calm = START + 280 + 5 - 1  # rows after which no average holds any of it
    assert calm <= cleared.time - RULE.off_delay_s <= calm + 60
    assert not one.alert.raised
    assert [event.seq for event in (raised, *updates, cleared)] == list(range(1, 3 + len(updates)))


def test_a_moment_shorter_than_the_on_delay_raises_nothing() -> None:
    one = taught(rule=replace(RULE, on_delay_s=30))
    rows = healthy(200, seed=1)
    rows[50:60, 1] += 20
    assert Pipeline([one]).push([reading(rows, 200)]) == []


def test_during_the_hold_only_twice_the_level_raises_again() -> None:
    rule = Rule(on_delay_s=0, off_delay_s=1, hold_s=500)
    rows = healthy(300, seed=1)
    rows[50:60, 1] += 10
    rows[150:160, 1] += 10
    again = rows.copy()
    again[150:160, 1] += 400
    for stream, count in ((rows, 1), (again, 2)):
        events = Pipeline([taught(rule=rule, head=Mahalanobis(3, smooth=1))]).push([reading(stream, 200)])
        assert kinds(events).count("raised") == count


@pytest.mark.parametrize("state", ["inactive", "pending", "active", "clearing"])
@pytest.mark.parametrize("hole", [4, 400])
def test_rows_that_did_not_arrive_neither_raise_nor_clear(state: str, hole: int) -> None:
    rows = healthy(100, seed=1)
    rows[20:40, 1] += 20
    one = taught(max_gap_s=30.0)
    pipeline = Pipeline([one])
    upto = 0
    while one.alert.state != state or upto < 10:
        pipeline.push([reading(rows[upto : upto + 1], 200 + upto)])
        upto += 1
    before, counted = one.alert, one.status()
    assert pipeline.push([reading(np.full((hole, 3), np.nan, np.float32), 200 + upto)]) == []
    assert one.alert == before
    assert one.level == counted.level
    assert one.status().missing == counted.missing + hole
    pipeline.push([reading(healthy(40, seed=2), 200 + upto + hole)])
    assert one.status().restarts == counted.restarts + (hole > 30)
    assert one.alert.state == "inactive"


def test_numbers_go_on_from_the_last_event_sent() -> None:
    one = monitor(baseline=baseline_of(taught()), seq=41)
    assert one.armed
    assert not one.unsaved
    (event,) = Pipeline([one]).push([reading(healthy(50, seed=1) + np.float32(9000), 200)])
    assert event.seq == 42


@pytest.mark.parametrize("make", [monitor, level])
def test_a_baseline_from_disk_gives_the_very_alerts_of_the_one_that_learned_it(
    make: type[Monitor], tmp_path: Path
) -> None:
    first: Monitor = make("pump")  # type: ignore[call-arg]
    Pipeline([first]).push([reading(healthy(200))])
    baselines.save(tmp_path / "pump.npz", baseline_of(first), first.belongs_to)
    rows = healthy(300, seed=1)
    rows[100:150, 1] += 10
    again: Monitor = make("pump", baseline=baselines.load(tmp_path / "pump.npz", first.belongs_to))  # type: ignore[call-arg]
    expected = Pipeline([first]).push([reading(rows, 200)])
    assert "raised" in kinds(expected)
    assert Pipeline([again]).push([reading(rows, 200)]) == expected


def test_the_level_banks_state_goes_on_where_it_was_saved() -> None:
    rows = healthy(1500, seed=1)
    rows[600:, 1] += 1
    first = level()
    pipeline = Pipeline([first])
    pipeline.push([reading(healthy(200))])
    pipeline.push([reading(rows[:500], 200)])
    second = level(baseline=baseline_of(first))
    expected = pipeline.push([reading(rows[500:], 700)])
    found = Pipeline([second]).push([reading(rows[500:], 700)])
    assert "raised" in kinds(expected)
    assert [(e.kind, e.time, e.level, e.moved, e.model) for e in found] == [
        (e.kind, e.time, e.level, e.moved, e.model) for e in expected
    ]


def test_a_baseline_of_another_shape_is_refused() -> None:
    with pytest.raises(LearningError, match=r"learned array mean: expected finite \(2, 1\), found \(3, 1\)"):
        monitor(columns=[0, 1], baseline=baseline_of(taught()))
    with pytest.raises(LearningError, match="learned array median"):
        level(baseline=baseline_of(taught()))


def test_a_baseline_of_another_configuration_is_refused_in_words(tmp_path: Path) -> None:
    first, other = taught(), monitor(columns=[0, 1])
    baselines.save(tmp_path / "pump.npz", baseline_of(first), first.belongs_to)
    with pytest.raises(
        ForeignBaseline, match=r"channels was pressure \[Pa\], temperature \[Cel\], current \[A\], is now"
    ):
        baselines.load(tmp_path / "pump.npz", other.belongs_to)


def test_a_monitor_listens_to_its_own_channels_of_its_own_sensor() -> None:
    one = monitor(columns=[1, 0])
    pipeline = Pipeline([one])
    rows = healthy(200)
    pipeline.push([Reading("another", START, 1.0, rows)])
    assert one.status().rows == 0
    pipeline.push([reading(rows)])
    rows = healthy(60, seed=1)
    rows[:, 2] = 1e6
    rows[40:50, 2] = np.nan  # not its own either
    assert pipeline.push([reading(rows, 200)]) == []
    assert one.status().missing == 0
    rows[30:, 0] += 2000
    (event,) = pipeline.push([reading(rows, 260)])
    assert event.moved[0].channel == "pressure"


@pytest.mark.parametrize("offset", [0.0, 9.81])
def test_a_vibration_sensor_that_falls_silent_is_heard_and_never_learned_from(offset: float) -> None:
    features = Vibration([("x", "m/s2")], 1000.0, 256)
    one = Monitor(
        "motor",
        "shaker",
        columns=None,
        windower=Windower(256, 128, 1, 0.1),
        features=features,
        head=Mahalanobis(len(features.columns), smooth=5, lag=6),
        rule=Rule(on_delay_s=1),
        learn_rows=120,
        plan=Plan(0.128),
        unit="windows",
    )
    pipeline = Pipeline([one])
    silence = np.full((20000, 1), offset, np.float32)
    noise = np.random.default_rng(0).standard_normal((30000, 1)).astype(np.float32)
    assert pipeline.push([Reading("shaker", START, 1000.0, silence)]) == []
    assert "nothing can be learned from constants" in one.status().needs
    assert pipeline.push([Reading("shaker", START + 20, 1000.0, noise)]) == []
    assert one.armed
    events = pipeline.push([Reading("shaker", START + 50, 1000.0, silence)])
    assert kinds(events)[0] == "raised"
    assert ("x RMS", "down") in {(moved.feature, moved.direction) for moved in events[0].moved}


def test_a_bearing_that_fails_is_named() -> None:
    rate_hz, length = 3200.0, 1600
    bearing = Bearing(8, 0.011, 0.050, 0.0, 24.7)
    features = Vibration([("x", "m/s2")], rate_hz, length, bearing)
    one = Monitor(
        "motor",
        "shaker",
        columns=None,
        windower=Windower(length, length // 2, 1, 0.1),
        features=features,
        head=Mahalanobis(len(features.columns), smooth=5, lag=6),
        rule=Rule(on_delay_s=2, off_delay_s=10),
        learn_rows=150,
        plan=Plan(0.25),
        unit="windows",
    )
    pipeline = Pipeline([one])
    healthy_s, failing_s = 45, 20
    random = np.random.default_rng(1)
    x = random.standard_normal(round((healthy_s + failing_s) * rate_hz))
    hz = bearing.frequencies()["outer race (BPFO)"]
    strikes = (
        np.arange(failing_s * hz) + 0.01 * random.standard_normal(int(failing_s * hz) + 1)
    ) / hz + healthy_s
    seconds = np.arange(len(x)) / rate_hz
    latest = np.searchsorted(np.sort(strikes), seconds, side="right") - 1
    since = np.where(latest >= 0, seconds - np.sort(strikes)[np.maximum(latest, 0)], 1.0)
    x += 6 * np.exp(-since / 0.0007) * np.sin(2 * np.pi * 1200 * since)
    events = []
    for at in range(0, len(x), 1000):
        piece = x[at : at + 1000].astype(np.float32)[:, None]
        events += pipeline.push([Reading("shaker", START + at / rate_hz, rate_hz, piece)])
    assert one.status().needs == ""
    raised = events[0]
    assert raised.kind == "raised"
    assert START + healthy_s < raised.time < START + healthy_s + 15
    assert raised.moved[0].feature == "x outer race (BPFO) 77 Hz"
    assert raised.moved[0].direction == "up"
    value, normal = raised.moved[0].value, raised.moved[0].normal
    assert value is not None
    assert normal is not None
    assert value > 1.25 * normal > 1.25  # ratios, not their logarithms
