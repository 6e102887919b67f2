"""From a configuration to sensors and monitors, with the defaults that depend on the signal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NoReturn

from agent.alerts import Plan, Rule
from agent.budget import Budget
from agent.config import Config, ConfigError, SensorConfig
from agent.detectors import DETECTORS, VIBRATION_WINDOWS, Shape, default_detector, whose
from agent.diagnosis import Diagnosis
from agent.evidence import Column, Scene
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.quantities import Span
from agent.signal import Signal
from agent.state_plans import state_plan, told_by
from agent.yaml_lines import Mistake
from models import baseline as baselines
from models.baseline import Baseline
from models.bearing import Bearing
from models.bundle import BundleError, shipped
from models.detector import Head
from models.drift import DriftPlan
from models.features import Features, telemetry
from models.guard import KINDS, Guard
from models.session import digest
from models.severity import ACCELERATIONS, VELOCITIES, Scale
from models.smoothing import fewest_rows
from models.states import Candidate
from models.vibration import Vibration
from models.waveform import Waveform
from models.window import Windower
from sensors import registry
from sensors.base import Sensor

TELEMETRY_ROWS = 20  # averaged into a level: what worked best on pump rigs at 1 Hz
TELEMETRY_GAP_ROWS = 10
VIBRATION_WINDOW_S, VIBRATION_SMOOTH, VIBRATION_GAP_S = 1.0, 5, 0.02
SNAPSHOTS = (
    20  # averaged at most, as seconds of vibration: as many of 0.1 s worked best on bearings run to failure
)
BRIDGED = 2  # snapshots left out of a lesson, across which it goes on
PAUSES = 3.0  # snapshots missed in a row, after which averages begin afresh
SLOW_HZ = 1 / 60  # up to here a row stands for a minute or more: one far from its neighbours may be true
MOST_LEARNED = (
    50_000  # rows: what the level bank steps through in 3 s here, and so in the watchdog's time on a board
)


def make_sensor(config: SensorConfig) -> Sensor:
    """The sensor, closed."""
    return registry.create(config.name, config.driver, config.options)


def make_monitor(
    config: MonitorConfig,
    sensor: Sensor,
    baseline: Baseline | None = None,
    seq: int = 0,
    *,
    governed: bool = False,
) -> Monitor:
    """A monitor on an opened sensor; `governed`: it may be told to look at some windows only. Raises ConfigError, and
    LearningError when the baseline does not fit."""
    names = [channel.name for channel in sensor.channels]
    unknown = [name for name in config.channels if name not in names]
    if unknown:
        _refuse(
            config,
            "channels",
            f"sensor {sensor.name} has no channel {', '.join(unknown)}: it has {', '.join(names)}",
        )
    columns = [names.index(name) for name in config.channels] if config.channels else list(range(len(names)))
    channels = [(sensor.channels[i].name, sensor.channels[i].unit) for i in columns]
    shape = shape_of(config, sensor, len(channels))
    features: Features
    if shape.kind == "vibration":
        try:
            features = _of_vibration(config, shape, channels, sensor.rate_hz)
        except ValueError as error:
            _refuse(config, "window", str(error))
        except BundleError as error:
            _refuse(config, "detector", str(error))
        windower = Windower(shape.window, shape.hop, len(columns), shape.max_gap_s, shape.pause_s)
    else:
        features = telemetry(channels)
        windower = Windower(1, 1, len(columns), shape.max_gap_s)
    detector = DETECTORS[shape.detector]

    def head() -> Head:
        return detector.head(len(features.columns), shape)

    return Monitor(
        config.name,
        sensor.name,
        columns=None if columns == list(range(len(names))) else columns,
        windower=windower,
        features=features,
        head=head(),
        states=state_plan(config, shape, features.columns),
        another=head,
        span=shape.smooth if governed and shape.kind == "vibration" else 0,
        rule=_rule(config, shape, sensor.rate_hz),
        learn_rows=shape.learn,
        plan=Plan(shape.hop_s, _variant(config, shape)),
        budget=Budget(config.false_alarms_hz, config.sensitivity),
        drift=DriftPlan(config.drift.limit, config.drift.follow_s),
        scene=Scene(
            channels=tuple(Column(name=name, channel=name, unit=unit) for name, unit in channels),
            features=tuple(
                Column(name=f.name, channel=f.channel, unit=f.unit, logarithm=f.logarithm)
                for f in features.columns
            ),
            waveform=shape.kind == "vibration",
            span_s=((shape.window if shape.kind == "vibration" else 1) + (shape.smooth - 1) * shape.hop)
            / sensor.rate_hz,
            measures=detector.measures,
            lines=_lines(config),
        ),
        signal=_signal(config, shape, sensor.rate_hz, channels),
        unit=shape.unit,
        bridge=shape.bridge,
        diagnosis=_diagnosis(config, features),
        belongs_to=_belonging(config, sensor, channels, shape, head()),
        baseline=baseline,
        seq=seq,
    )


def _signal(
    config: MonitorConfig, shape: Shape, rate_hz: float, channels: list[tuple[str, str]]
) -> Signal | None:
    """What watches the sensor's signal. Raises ConfigError for a range of a channel that is not there."""
    names = [name for name, _ in channels]
    for name in config.range:
        if name not in names:
            _refuse(config, f"range.{name}", f"is not a channel that it listens to: {', '.join(names)}")
    asked = config.sensor_faults
    kinds = [
        kind
        for kind in KINDS
        if (set_ := getattr(asked, kind)) or (set_ is None and not (kind == "spikes" and rate_hz <= SLOW_HZ))
    ]
    if not kinds:
        return None
    ranges = [config.range[name].limits if name in config.range else None for name in names]
    waveform = shape.kind == "vibration"
    guard = Guard(
        len(names),
        rate_hz,
        lesson=shape.learn * (shape.hop if waveform else 1),
        waveform=waveform,
        ranges=ranges,
        kinds=kinds,
        resting=[i for i, (name, unit) in enumerate(channels) if Candidate(i, name, unit).driving],
    )
    return Signal(guard, channels, rate_hz)


def shape_of(config: MonitorConfig, sensor: Sensor, channels: int) -> Shape:
    """The settings with their defaults. Raises ConfigError where they cannot go together."""
    rate = sensor.rate_hz
    kind = sensor.kind if config.features == "auto" else config.features
    name = default_detector(kind, channels, rate) if config.detector == "auto" else config.detector
    detector = DETECTORS[name]
    if kind not in detector.signals:
        _refuse(config, "detector", whose(name, kind))

    def rows(span: Span | None, default: int) -> int:
        return default if span is None else max(1, span.rows(rate))

    if kind == "vibration":
        return _vibration_shape(config, name, rate)
    for key in ("smooth",) if detector.averages else ("window", "hop", "smooth"):
        if getattr(config, key) is not None:
            _refuse(config, key, f"is not a setting of {name} on telemetry")
    if config.snapshots_s is not None:
        _refuse(config, "snapshots", "are of vibration: features are telemetry here")
    window, every = rows(config.window, TELEMETRY_ROWS), rows(config.hop, 1)
    if not detector.averages:
        window = every = 1
    gap_s = (TELEMETRY_GAP_ROWS if config.max_gap is None else config.max_gap.rows(rate)) / rate
    least = detector.fewest(window, every)
    asked = None if config.learn is None else config.learn.rows(rate)
    learn = _learn(config, asked, detector.learn_rows, least, "rows")
    return Shape(kind, name, window, 1, window, every, gap_s, learn, "rows", every / rate)


def _vibration_shape(config: MonitorConfig, detector: str, rate_hz: float) -> Shape:
    every_s = config.snapshots_s

    def rows(span: Span | None, default: int) -> int:
        return default if span is None else max(1, span.rows(rate_hz))

    if every_s is not None and config.window is None:
        _refuse(config, "snapshots", "needs a window, as long as a snapshot: not known here")
    window = rows(config.window, round(VIBRATION_WINDOW_S * rate_hz))
    hop = rows(config.hop, window if every_s is not None else max(1, window // 2))
    if every_s is not None and every_s <= window / rate_hz:
        _refuse(config, "snapshots", f"come more seldom than their length, {window / rate_hz:g} s")
    hop_s = hop / rate_hz if every_s is None else every_s
    asked = None
    if config.learn is not None:
        rowwise = every_s is None or config.learn.unit == "rows"
        asked = math.ceil(config.learn.rows(rate_hz) / hop if rowwise else config.learn.value / hop_s)
    smooth = config.smooth or VIBRATION_SMOOTH
    if every_s is not None and config.smooth is None:
        smooth = max(n for n in range(1, SNAPSHOTS + 1) if n == 1 or fewest_rows(n) <= (asked or math.inf))
    learn = _learn(config, asked, VIBRATION_WINDOWS, fewest_rows(smooth), "windows")
    gap_s = VIBRATION_GAP_S if config.max_gap is None else config.max_gap.rows(rate_hz) / rate_hz
    pause_s = 0.0 if every_s is None else PAUSES * every_s
    return Shape(
        kind="vibration",
        detector=detector,
        window=window,
        hop=hop,
        smooth=smooth,
        every=1,
        max_gap_s=gap_s,
        pause_s=pause_s,
        bridge=0 if every_s is None else BRIDGED,
        learn=learn,
        unit="windows",
        hop_s=hop_s,
    )


def _learn(config: MonitorConfig, asked: int | None, default: int, least: int, unit: str) -> int:
    """How many rows or windows to learn from; the default grows with what is averaged."""
    if asked is None:
        return max(default, least)
    if asked < least:
        _refuse(config, "learn", f"comes to {asked} {unit}: with these settings it takes at least {least}")
    if (asked or 0) > MOST_LEARNED:
        message = (
            f"comes to {asked} {unit}, and at most {MOST_LEARNED} are learned from: learn for a shorter time"
        )
        _refuse(config, "learn", f"{message}, or give the sensor a lower rate_hz")
    return asked


def baseline_path(config: Config, monitor: str) -> Path:
    """Where a monitor's baseline lies."""
    return config.state_dir / "baselines" / f"{monitor}.npz"


def load_baseline(config: Config, monitor: Monitor) -> Baseline | None:
    """The monitor's baseline on disk, None where there is none. Raises BrokenBaseline and ForeignBaseline."""
    path = baseline_path(config, monitor.name)
    try:
        return baselines.load(path, monitor.belongs_to)
    except FileNotFoundError:
        return None


def _rule(config: MonitorConfig, shape: Shape, rate_hz: float) -> Rule:
    default = DETECTORS[shape.detector].rule(shape, rate_hz)
    asked = config.alert

    def pick(value: float | None, otherwise: float) -> float:
        return otherwise if value is None else value

    return Rule(
        on_delay_s=pick(asked.on_delay_s, default.on_delay_s),
        off_delay_s=pick(asked.off_delay_s, default.off_delay_s),
        off_level=pick(asked.off_level, default.off_level),
        clear_level=asked.off_level or 0.0,
        hold_s=pick(asked.hold_s, default.hold_s),
        critical_level=pick(asked.critical_level, default.critical_level),
        flood_per_hour=math.ceil(asked.flood_per_hour),
    )


def _bearing(config: MonitorConfig) -> Bearing | None:
    b = config.bearing
    if b is None:
        return None
    return Bearing(
        b.balls,
        b.ball_diameter_m,
        b.pitch_diameter_m,
        b.contact_angle_deg,
        b.speed_hz or 0.0,
        b.slowest_hz or 0.0,
        b.fastest_hz or 0.0,
    )


def _diagnosis(config: MonitorConfig, features: Features) -> Diagnosis | None:
    if not isinstance(features, Vibration):
        if config.iso is not None:
            _refuse(config, "iso", f"is judged from spectra, which {config.detector} does not make")
        return None
    if config.iso is None:
        return Diagnosis(features)
    if not features.velocities:
        known = ", ".join((*ACCELERATIONS, *VELOCITIES))
        _refuse(config, "iso", f"needs a channel that is an acceleration or a velocity: in {known}")
    return Diagnosis(features, Scale(config.iso.machine, config.iso.mounting))


def _of_vibration(
    config: MonitorConfig, shape: Shape, channels: list[tuple[str, str]], rate_hz: float
) -> Features:
    """Raises ValueError where the windows are too short, or the rate too low, and BundleError."""
    if bundle := DETECTORS[shape.detector].bundle:
        return Waveform(channels, rate_hz, shape.window, shipped(bundle), _variant(config, shape))
    return Vibration(channels, rate_hz, shape.window, _bearing(config))


def _variant(config: MonitorConfig, shape: Shape) -> str:
    """Of the model that makes the features; where none does, all is computed in float32."""
    bundle = DETECTORS[shape.detector].bundle
    return shipped(bundle).choose(config.variant or "auto") if bundle else "fp32"


def _lines(config: MonitorConfig) -> dict[str, float]:
    bearing = _bearing(config)
    return {} if bearing is None or bearing.estimated else bearing.frequencies()


def _belonging(
    config: MonitorConfig, sensor: Sensor, channels: list[tuple[str, str]], shape: Shape, head: Head
) -> dict[str, str]:
    """What a baseline depends on, in words a person can compare."""
    belongs_to = {
        "sensor": sensor.name,
        "channels": ", ".join(f"{name} [{unit}]" for name, unit in channels),
        "rate": f"{sensor.rate_hz:.9g} Hz",
        "features": shape.kind if shape.kind == "telemetry" else f"{shape.kind}, {head.width} columns",
        "detector": shape.detector,
        "window": f"{shape.window} rows",
        "hop": f"{shape.hop * shape.every} rows",
        "smooth": f"{shape.smooth} rows",
        "graph": digest(head.graph)[:16],
    }
    if bundle := DETECTORS[shape.detector].bundle:
        manifest, variant = shipped(bundle).manifest, _variant(config, shape)
        made_by = manifest.variants[variant].sha256[:16]
        belongs_to["model"] = f"{bundle} {manifest.version} {variant} {made_by}"
    if config.bearing is not None:
        belongs_to["bearing"] = repr(_bearing(config))
    if config.states is not None:
        belongs_to["states"] = told_by(config.states)
    return belongs_to


def _refuse(config: MonitorConfig, key: str, message: str) -> NoReturn:
    raise ConfigError([Mistake("", 0, f"monitors.{config.name}.{key}", message)])
