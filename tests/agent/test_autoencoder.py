"""The autoencoder as a detector: chosen by its name, armed on the machine, with a baseline for each variant."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.alerts import Event
from agent.assemble import make_monitor
from agent.config import ConfigError, load_text
from agent.detectors import DETECTORS
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.pipeline import Pipeline
from models import baseline as baselines
from models.baseline import ForeignBaseline
from models.bundle import shipped
from sensors.base import Reading
from sensors.machine import Fault
from sensors.synthetic import Synthetic

RATE_HZ, HEALTHY_S, SICK_S = 3200.0, 120.0, 15.0
START = 1_700_000_000.0


def config(settings: str = "detector: autoencoder") -> MonitorConfig:
    text = (
        "device: shed\nsensors: {motor: {driver: synthetic}}\n"
        f"monitors: {{pump: {{sensor: motor, states: none, {settings}}}}}\n"
    )
    return load_text(text).monitors["pump"]


@cache
def recorded() -> NDArray[np.float32]:
    """Healthy vibration of two axes, then an outer race that fails."""
    fault = Fault("bearing_outer", at_s=HEALTHY_S, severity=0.2)
    sensor = sensor_of(fault)
    sensor.open()
    pieces = []
    while (reading := sensor.read(0.0)) is not None:
        pieces.append(reading.values)
    return np.concatenate(pieces)


def sensor_of(*faults: Fault) -> Synthetic:
    sensor = Synthetic(
        rate_hz=RATE_HZ,
        seed=3,
        duration_s=HEALTHY_S + SICK_S,
        start=START,
        speed=0,
        faults=faults,
        block_s=1.0,
    )
    sensor.name = "motor"
    return sensor


def run(monitor: Monitor, *cuts: int) -> list[Event]:
    """The events of the whole recording, handed over in pieces that begin at these rows."""
    pipeline, events, rows = Pipeline([monitor]), list[Event](), recorded()
    for a, b in zip((0, *cuts), (*cuts, len(rows)), strict=True):
        events += pipeline.push([Reading("motor", START + a / RATE_HZ, RATE_HZ, rows[a:b])])
    return events


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_a_bearing_that_fails_raises_an_alert_and_its_health_none(variant: str) -> None:
    monitor = make_monitor(config(f"detector: autoencoder, variant: {variant}"), sensor_of())
    event, *_ = run(monitor)
    assert event.kind == "raised"
    assert HEALTHY_S < event.time - START < HEALTHY_S + 8
    assert event.model is not None
    assert (event.model.detector, event.model.variant) == ("autoencoder", variant)
    assert event.plan is not None
    assert event.plan.variant == variant
    assert any("residual" in moved.feature for moved in event.moved)


def test_the_same_levels_come_of_the_same_rows_however_they_are_cut() -> None:
    monitors = [make_monitor(config(), sensor_of()) for _ in range(2)]
    whole, pieces = run(monitors[0]), run(monitors[1], 7, 1000, 100_001, 399_999, 400_000)
    assert whole == pieces
    assert monitors[0].level == monitors[1].level


def test_a_baseline_belongs_to_its_variant(tmp_path: Path) -> None:
    int8, fp32 = (
        make_monitor(config(f"detector: autoencoder, variant: {variant}"), sensor_of())
        for variant in ("int8", "fp32")
    )
    run(int8)
    baseline = int8.current_baseline()
    assert baseline is not None
    baselines.save(tmp_path / "pump.npz", baseline, int8.belongs_to)
    assert baselines.load(tmp_path / "pump.npz", int8.belongs_to).parts.keys() == baseline.parts.keys()
    with pytest.raises(
        ForeignBaseline, match=r"model was autoencoder 1 int8 \w{16}, is now autoencoder 1 fp32 \w{16}"
    ):
        baselines.load(tmp_path / "pump.npz", fp32.belongs_to)


def test_without_a_word_the_variant_is_the_one_the_card_found_best() -> None:
    monitor = make_monitor(config(), sensor_of())
    assert monitor.plan.variant == shipped("autoencoder").manifest.default
    assert monitor.head.detector == "autoencoder"


def test_a_rate_at_which_a_second_is_shorter_than_a_frame_needs_a_longer_window() -> None:
    slow = Synthetic(rate_hz=500, speed=0)
    slow.name = "motor"
    with pytest.raises(ConfigError, match=r"monitors\.pump\.window: .*at least 1024 rows, not 500"):
        make_monitor(config(), slow)
    assert make_monitor(config("detector: autoencoder, window: 3 s"), slow).head.width == 40


def test_the_table_knows_the_length_of_a_frame() -> None:
    entry = DETECTORS["autoencoder"]
    assert entry.fewest_in_window == shipped(entry.bundle).manifest.frame
