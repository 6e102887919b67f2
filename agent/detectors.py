"""The detectors by name: what each is for, and how a monitor's settings make its head."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from agent.alerts import Rule
from agent.evidence import Measure
from models.detector import Head
from models.level import FEWEST, Level
from models.mahalanobis import Mahalanobis, fewest_rows

LEVEL_HOLD_ROWS = 100  # an alert of the level bank says nothing new for so long, unless twice as loud


@dataclass(frozen=True, slots=True)
class Shape:
    """What a monitor's settings come to at its sensor's rate; lengths in rows of what they are cut from."""

    kind: str  # "telemetry", "vibration"
    detector: str
    window: int
    hop: int
    smooth: int  # rows of features averaged
    every: int  # of which every so manieth average is scored
    max_gap_s: float
    learn: int  # rows of features
    unit: str  # what a row of features is called
    hop_s: float  # between two scores


@dataclass(frozen=True, slots=True)
class Detector:
    """One entry of the table."""

    signals: tuple[str, ...]  # the kinds of features it can judge: "telemetry", "vibration"
    head: Callable[[int, Shape], Head]  # of so many columns
    learn_rows: int  # of telemetry, unless more are asked for
    fewest: Callable[[int, int], int]  # rows to learn from, with averages over so many rows, every so many
    rule: Callable[[Shape, float], Rule]  # the alert's defaults, at the sensor's rate
    averages: bool = True  # `window` and `hop` are settings of it on telemetry
    measures: tuple[Measure, ...] = (  # what its scores are, in their order
        Measure(name="distance", adds_up="squared distance"),
        Measure(name="jump"),
    )


def _mahalanobis(width: int, shape: Shape) -> Head:
    span = shape.window if shape.kind == "vibration" else 0
    apart = math.ceil((span + (shape.smooth - 1) * shape.hop) / shape.hop) if span else 0
    return Mahalanobis(width, smooth=shape.smooth, every=shape.every, lag=apart)


def _usual_rule(shape: Shape, rate_hz: float) -> Rule:
    if shape.kind == "vibration":
        return Rule(on_delay_s=4 * shape.hop_s, off_delay_s=20 * shape.hop_s)
    return Rule()


def _level_rule(shape: Shape, rate_hz: float) -> Rule:
    period = 1 / rate_hz
    return Rule(
        on_delay_s=0.0,
        off_delay_s=3 * period,
        off_level=0.9,
        hold_s=LEVEL_HOLD_ROWS * period,
        critical_level=1.5,
    )


DETECTORS: dict[str, Detector] = {
    "mahalanobis": Detector(("telemetry", "vibration"), _mahalanobis, 600, fewest_rows, _usual_rule),
    "level": Detector(
        ("telemetry",),
        lambda width, _: Level(width),
        750,
        lambda *_: FEWEST,
        _level_rule,
        averages=False,
        measures=(Measure(name="mean excess"),),
    ),
}
SLOW_HZ = 1 / 60  # up to here a single channel goes to the level bank, which knows hours and weekdays
VIBRATION_WINDOWS = 120  # learned from


def default_detector(kind: str, channels: int, rate_hz: float) -> str:
    """What judges a signal when nobody says."""
    return "level" if kind == "telemetry" and channels == 1 and rate_hz <= SLOW_HZ else "mahalanobis"
