"""A monitor as its configuration has it, with the defaults that depend on the signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.assemble import baseline_path, load_baseline, make_monitor, shape_of
from agent.config import Config, ConfigError, load_text
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from models import baseline as baselines
from models.baseline import ForeignBaseline
from sensors.base import Channel, Kind, Reading, Sensor


class Rig(Sensor):
    """An opened sensor of some channels."""

    def __init__(self, width: int = 3, rate_hz: float = 1.0, kind: Kind = "telemetry") -> None:
        self.name, self.rate_hz, self.kind = "rig", rate_hz, kind
        self.channels = tuple(Channel(f"c{i}", "Cel") for i in range(width))

    def open(self) -> None: ...

    def read(self, timeout: float) -> Reading | None: ...

    def close(self) -> None: ...


def config_of(settings: str = "", state_dir: Path | None = None) -> Config:
    return load_text(
        f"device: shed\nstate_dir: {state_dir or 'state'}\n"
        "sensors: {rig: {driver: recording, file: rig.csv}}\n"
        f"monitors: {{pump: {{sensor: rig{', ' if settings else ''}{settings}}}}}\n"
    )


def monitor_of(settings: str = "", sensor: Sensor | None = None) -> Monitor:
    return make_monitor(config_of(settings).monitors["pump"], sensor or Rig())


def refused(settings: str, sensor: Sensor | None = None) -> str:
    with pytest.raises(ConfigError) as mistake:
        monitor_of(settings, sensor)
    return str(mistake.value)


@pytest.mark.parametrize(
    ("settings", "sensor", "detector", "learn", "hop_s"),
    [
        ("", Rig(), "mahalanobis", 600, 1.0),
        ("", Rig(1), "mahalanobis", 600, 1.0),
        ("", Rig(1, 1 / 60), "level", 750, 60.0),
        ("channels: [c1]", Rig(rate_hz=1 / 300), "level", 750, 300.0),
        ("detector: level", Rig(), "level", 750, 1.0),
        ("", Rig(2, 3200.0, "vibration"), "spectral", 120, 0.5),
        ("detector: autoencoder", Rig(2, 3200.0, "vibration"), "autoencoder", 120, 0.5),
        ("window: 300 rows", Rig(), "mahalanobis", 1499, 1.0),
        ("window: 60 s, hop: 10 s, learn: 20 min", Rig(rate_hz=0.5), "mahalanobis", 600, 10.0),
    ],
)
def test_what_is_not_said_follows_from_the_signal(
    settings: str, sensor: Rig, detector: str, learn: int, hop_s: float
) -> None:
    shape = shape_of(
        config_of(settings).monitors["pump"], sensor, 1 if "c1" in settings else len(sensor.channels)
    )
    assert (shape.detector, shape.learn, shape.hop_s) == (detector, learn, hop_s)
    one = monitor_of(settings, sensor)
    assert one.head.detector == detector
    assert one.learning == (learn, learn)
    assert one.plan.hop_s == hop_s


def test_an_off_level_that_was_written_is_used_as_it_is() -> None:
    assert monitor_of("alert: {off_level: 0.95}").rule.clear_level == 0.95
    assert monitor_of("alert: {off_level: 0.3}").rule.clear_level == 0.3


def test_the_shortest_lesson_asked_for_is_one_it_can_learn_from() -> None:
    rows = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    for settings in (
        "learn: 99 rows",
        "learn: 20 rows, detector: level",
        "window: 5 rows, hop: 2 rows, learn: 83 rows",
    ):
        one = monitor_of(settings)
        Pipeline([one]).push([Reading("rig", 0.0, 1.0, rows)])
        assert one.armed, one.status()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("learn: 98 rows", "comes to 98 rows: with these settings it takes at least 99"),
        ("learn: 19 s, detector: level", "comes to 19 rows: with these settings it takes at least 20"),
        ("channels: [c1, c7]", "sensor rig has no channel c7: it has c0, c1, c2"),
        ("smooth: 3", "smooth"),
        ("features: vibration", "leave no room for 12 bands"),
    ],
)
def test_settings_that_cannot_go_together_are_refused_with_their_place(settings: str, told: str) -> None:
    sensor = Rig(rate_hz=20.0) if "vibration" in settings else Rig()
    if "vibration" in settings:
        settings += ", window: 100 rows"
    message = refused(settings, sensor)
    assert "monitors.pump." in message
    assert told in message


def test_a_baseline_is_refused_when_what_it_depends_on_changes(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((600, 3)).astype(np.float32)
    config = config_of(state_dir=tmp_path)
    one = monitor_of()
    assert load_baseline(config, one) is None
    Pipeline([one]).push([Reading("rig", 0.0, 1.0, rows)])
    baseline = one.current_baseline()
    assert baseline is not None
    baselines.save(baseline_path(config, "pump"), baseline, one.belongs_to)
    assert load_baseline(config, monitor_of("sensitivity: quiet, learn: 700 rows")) is not None
    for settings, told in (
        ("window: 10 s", "window was 20 rows, is now 10 rows"),
        ("hop: 5 s", "hop was 1 rows, is now 5 rows"),
        (
            "channels: [c0, c2]",
            r"channels was c0 \[Cel\], c1 \[Cel\], c2 \[Cel\], is now c0 \[Cel\], c2 \[Cel\]",
        ),
        ("detector: level", "detector was mahalanobis, is now level"),
    ):
        with pytest.raises(ForeignBaseline, match=told):
            load_baseline(config, monitor_of(settings))
    with pytest.raises(ForeignBaseline, match="rate was 1 Hz, is now 2 Hz"):
        load_baseline(config, monitor_of(sensor=Rig(rate_hz=2.0)))


def test_a_lesson_longer_than_can_be_learned_in_the_watchdogs_time_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"comes to 604800 rows, and at most 50000 are learned from"):
        monitor_of("learn: 168 h")


SNAPSHOTS = "features: vibration, window: 100 ms, snapshots: 10 s"


def test_snapshots_are_a_window_each_and_averaged_over_twenty() -> None:
    rig = Rig(2, 25_600.0, "vibration")
    shape = shape_of(config_of(SNAPSHOTS).monitors["pump"], rig, 2)
    assert (shape.window, shape.hop, shape.smooth, shape.hop_s) == (2560, 2560, 20, 10.0)
    assert shape.pause_s == 30.0


@pytest.mark.parametrize(("learn", "smooth"), [("510 s", 10), ("870 s", 17), ("1 h", 20)])
def test_a_short_lesson_of_snapshots_is_averaged_over_fewer(learn: str, smooth: int) -> None:
    shape = shape_of(
        config_of(f"{SNAPSHOTS}, learn: {learn}").monitors["pump"], Rig(2, 25_600.0, "vibration"), 2
    )
    assert shape.smooth == smooth
    assert shape.learn == {"510 s": 51, "870 s": 87, "1 h": 360}[learn]


def test_snapshots_that_cannot_be_are_refused() -> None:
    rig = Rig(2, 25_600.0, "vibration")
    assert "needs a window" in refused("features: vibration, snapshots: 10 s", rig)
    assert "more seldom than their length" in refused("window: 1 s, snapshots: 1 s", rig)
    assert "are of vibration" in refused("snapshots: 10 s")


def test_averages_go_on_from_snapshot_to_snapshot() -> None:
    rig = Rig(1, 2560.0, "vibration")
    one = monitor_of("window: 100 ms, snapshots: 10 s, learn: 1000 s", rig)
    pipeline = Pipeline([one])
    random = np.random.default_rng(3)

    def snapshot(time: float, loudness: float) -> Reading:
        return Reading("rig", time, 2560.0, random.normal(0, loudness, (256, 1)).astype(np.float32))

    for i in range(130):
        assert pipeline.push([snapshot(1e9 + 10 * i, 1.0)]) == []
    assert one.armed
    assert one.windows == 130
    events = [event for i in range(130, 160) for event in pipeline.push([snapshot(1e9 + 10 * i, 3.0)])]
    assert events[0].kind == "raised"
    assert events[0].time < 1e9 + 10 * 150
