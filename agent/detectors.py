"""The detectors by name: what each is for, and how a monitor's settings make its head."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from agent.alerts import Rule
from agent.evidence import Measure
from models.detector import Head
from models.smoothing import fewest_rows

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
    pause_s: float = 0.0  # between bursts of samples, at most; 0 where they come all the time
    bridge: int = 0  # rows left out of a lesson, across which it goes on


@dataclass(frozen=True, slots=True)
class Detector:
    """One entry of the table."""

    signals: tuple[str, ...]  # the kinds of features it can judge: "telemetry", "vibration"
    head: Callable[[int, Shape], Head]  # of so many columns
    learn_rows: int  # of telemetry, unless more are asked for
    fewest: Callable[[int, int], int]  # rows to learn from, with averages over so many rows, every so many
    rule: Callable[[Shape, float], Rule]  # the alert's defaults, at the sensor's rate
    averages: bool = True  # `window` and `hop` are settings of it on telemetry
    fewest_in_window: int = 1  # rows, whatever its features need
    bundle: str = (
        ""  # in models/zoo, whose model makes its features of vibration; empty: models.vibration does
    )
    measures: tuple[Measure, ...] = (  # what its scores are, in their order
        Measure(name="distance", adds_up="squared distance"),
        Measure(name="jump"),
    )
    states: bool = True  # a machine may have several operating states, each with a head of its own


# Heads are imported where they are made: a configuration is checked without onnxruntime.


def _mahalanobis(width: int, shape: Shape) -> Head:
    from models.mahalanobis import Mahalanobis

    return Mahalanobis(width, smooth=shape.smooth, every=shape.every, lag=_apart(shape))


def _spectral(width: int, shape: Shape) -> Head:
    from models.mahalanobis import Spectral

    return Spectral(width, smooth=shape.smooth, every=shape.every, lag=_apart(shape))


def _autoencoder(width: int, shape: Shape) -> Head:
    from models.waveform import Autoencoder

    return Autoencoder(width, smooth=shape.smooth, every=shape.every, lag=_apart(shape))


def _apart(shape: Shape) -> int:
    """Levels from one to the next that shares no sample with it; 0 where rows of features share none."""
    if shape.kind != "vibration":
        return 0
    return math.ceil((shape.window + (shape.smooth - 1) * shape.hop) / shape.hop)


def _reconstruction(width: int, shape: Shape) -> Head:
    from models.reconstruction import Reconstruction

    return Reconstruction(width, smooth=shape.smooth, every=shape.every)


def _level(width: int, shape: Shape) -> Head:
    from models.level import Level

    return Level(width)


def _neighbours(width: int, shape: Shape) -> Head:
    from models.neighbours import Neighbours

    return Neighbours(width)


def _fewest_of_level(smooth: int, every: int) -> int:
    from models.level import FEWEST

    return FEWEST


def _fewest_of_neighbours(smooth: int, every: int) -> int:
    from models.neighbours import FEWEST

    return FEWEST


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


TELEMETRY, VIBRATION = ("telemetry",), ("vibration",)
DETECTORS: dict[str, Detector] = {
    "mahalanobis": Detector(TELEMETRY + VIBRATION, _mahalanobis, 600, fewest_rows, _usual_rule),
    "reconstruction": Detector(
        TELEMETRY,
        _reconstruction,
        600,
        fewest_rows,
        _usual_rule,
        measures=(Measure(name="error", adds_up="squared error"),),
    ),
    "level": Detector(
        TELEMETRY,
        _level,
        750,
        _fewest_of_level,
        _level_rule,
        averages=False,
        measures=(Measure(name="mean excess"),),
        states=False,
    ),
    "knn": Detector(
        TELEMETRY,
        _neighbours,
        750,
        _fewest_of_neighbours,
        _level_rule,
        averages=False,
        measures=(Measure(name="distance from the most similar"),),
        states=False,
    ),
    "spectral": Detector(VIBRATION, _spectral, 0, fewest_rows, _usual_rule),
    "autoencoder": Detector(
        VIBRATION,
        _autoencoder,
        0,
        fewest_rows,
        _usual_rule,
        fewest_in_window=1024,
        bundle="autoencoder",
    ),
}
SLOW_HZ = 1 / 60  # up to here a single channel goes to the level bank, which knows hours and weekdays
VIBRATION_WINDOWS = 120  # learned from


def default_detector(kind: str, channels: int, rate_hz: float) -> str:
    """What judges a signal when nobody says."""
    if kind == "vibration":
        return "spectral"
    return "level" if channels == 1 and rate_hz <= SLOW_HZ else "mahalanobis"


def whose(name: str, kind: str) -> str:
    """That a detector is not for this kind of signal, and which are."""
    others = " or ".join(f'"{other}"' for other, entry in DETECTORS.items() if kind in entry.signals)
    return f'"{name}" is for {" and ".join(DETECTORS[name].signals)}: {kind} needs {others}'
