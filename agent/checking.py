"""What a configuration comes to, before it runs and without hardware: `tocsin check`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.assemble import load_baseline, make_monitor, make_sensor, shape_of
from agent.config import Config, ConfigError, SensorConfig
from agent.detectors import Shape
from agent.messages import rfc3339
from agent.monitor_config import MonitorConfig
from agent.quantities import DURATION
from agent.state_plans import state_plan
from models.baseline import BaselineError, BrokenBaseline
from models.detector import LearningError
from models.smoothed import SmoothedHead
from sensors.base import OptionError, Sensor, SensorError


class SensorReport(msgspec.Struct, kw_only=True):
    """What is known of a sensor."""

    name: str
    driver: str
    rate_hz: float | None = None  # None: known only when it is opened
    channels: list[str] = []
    unchecked: str = ""  # what was not looked at, and why


class MonitorReport(msgspec.Struct, kw_only=True):
    """What a monitor's settings come to."""

    name: str
    sensor: str
    detector: str | None = None
    features: str | None = None
    columns: int | None = None  # figures that each window gives
    window_s: float | None = None
    hop_s: float | None = None
    learn: str | None = None
    notes: list[str] = []  # what it will not judge as it is set
    baseline: str = "none"  # "good", "foreign", "broken", "none"
    baseline_words: str = ""
    unchecked: str = ""


class Report(msgspec.Struct, kw_only=True, tag_field="schema", tag="tocsin.check/1"):
    """The whole configuration, and what would be refused when it runs."""

    device: str
    broker: str
    state_dir: str
    sensors: list[SensorReport]
    monitors: list[MonitorReport]
    problems: list[str]


def command(config: Config, *, as_json: bool) -> int:
    """`tocsin check`; 2 where something would be refused."""
    found = report(config)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print(table(found))
        for problem in found.problems:
            print(problem, file=sys.stderr)
    return 2 if found.problems else 0


def mistakes_as_json(mistakes: ConfigError) -> str:
    """What `tocsin check --json` prints of a configuration that cannot be read."""
    content = {"schema": "tocsin.check/1", "problems": [str(mistake) for mistake in mistakes.mistakes]}
    return msgspec.json.format(msgspec.json.encode(content)).decode()


def report(config: Config) -> Report:
    """All that can be known without hardware; the files of recordings are opened where they exist."""
    problems: list[str] = []
    sensors: list[SensorReport] = []
    monitors: list[MonitorReport] = []
    for entry in config.sensors.values():
        listening = [monitor for monitor in config.monitors.values() if monitor.sensor == entry.name]
        told, sensor = _look(entry, problems)
        if sensor is not None:
            told.channels = [channel.name for channel in sensor.channels]
            told.rate_hz = sensor.rate_hz or None
        if not listening:
            told.unchecked = told.unchecked or "no monitor listens to it"
        sensors.append(told)
        for monitor in listening:
            monitors.append(_monitor(config, monitor, sensor, told, problems))
        if sensor is not None:
            sensor.close()
    order = list(config.monitors)
    return Report(
        device=config.device,
        broker=f"{config.broker.host}:{config.broker.port}",
        state_dir=str(config.state_dir),
        sensors=sensors,
        monitors=sorted(monitors, key=lambda monitor: order.index(monitor.name)),
        problems=problems,
    )


def _look(entry: SensorConfig, problems: list[str]) -> tuple[SensorReport, Sensor | None]:
    """The sensor as far as it is known: opened only where it is a file."""
    told = SensorReport(name=entry.name, driver=entry.driver)
    if entry.driver == "recording":
        file = Path(str(entry.options.get("file")))
        if not file.exists():
            told.unchecked = f"{file} does not exist here"
            return told, None
        entry = msgspec.structs.replace(entry, options={**entry.options, "speed": 0.0})
    try:
        sensor = make_sensor(entry)
        if entry.driver == "recording":
            sensor.open()
    except (SensorError, OptionError) as error:
        problems.append(f"sensors.{entry.name}: {error}")
        told.unchecked = str(error)
        return told, None
    if entry.driver not in ("recording", "synthetic"):
        told.unchecked = "the device itself: check needs no hardware"
    return told, sensor


def _monitor(
    config: Config, entry: MonitorConfig, sensor: Sensor | None, told: SensorReport, problems: list[str]
) -> MonitorReport:
    found = MonitorReport(name=entry.name, sensor=entry.sensor)
    if sensor is None or not sensor.channels or not sensor.rate_hz:
        found.unchecked = f"channels and rate of {entry.sensor} are known only when it is opened"
        return found
    try:
        monitor = make_monitor(entry, sensor)
        shape = shape_of(entry, sensor, len(entry.channels) or len(sensor.channels))
    except ConfigError as mistakes:
        problems += [str(mistake) for mistake in mistakes.mistakes]
        found.unchecked = "would be refused"
        return found
    found.detector, found.features = shape.detector, shape.kind
    found.columns = monitor.head.width
    found.window_s, found.hop_s = shape.window / sensor.rate_hz, shape.hop_s
    states = state_plan(entry, shape, monitor.features.columns)
    least = "at least " if states is not None and states.least > shape.learn else ""
    found.learn = least + _lesson(shape.learn, shape, sensor.rate_hz)
    if isinstance(monitor.head, SmoothedHead):
        rows = monitor.head.averaging.rows_for_changes
        if shape.learn < rows:
            takes = _lesson(rows, shape, sensor.rate_hz)
            found.notes.append(f"learns too little to judge sudden changes, only levels: that takes {takes}")
    try:
        baseline = load_baseline(config, monitor)
        if baseline is not None:
            monitor.arm(baseline)
            found.baseline = "good"
            found.baseline_words = f"of {baseline.origin.rows} rows until {rfc3339(baseline.origin.last)}"
    except (BaselineError, LearningError) as error:
        found.baseline = "broken" if isinstance(error, (BrokenBaseline, LearningError)) else "foreign"
        found.baseline_words = f"{error}: it would be set aside, and the monitor would learn afresh"
    except OSError as error:
        found.baseline, found.baseline_words = "none", f"cannot be read: {error.strerror}"
    return found


def _lesson(rows: int, shape: Shape, rate_hz: float) -> str:
    """How much it learns from, or would."""
    return f"{rows} {shape.unit}, {DURATION.show(round(rows * shape.hop / rate_hz, 1))}"


def table(found: Report) -> str:
    """The report for a person."""
    lines = [f"device {found.device}, broker {found.broker}, state in {found.state_dir}", ""]
    rows: list[tuple[str, ...]] = [("SENSOR", "DRIVER", "RATE", "CHANNELS", "NOT CHECKED")]
    for sensor in found.sensors:
        rate = f"{sensor.rate_hz:.6g} Hz" if sensor.rate_hz else "?"
        rows.append(
            (sensor.name, sensor.driver, rate, _some(sensor.channels) or "?", sensor.unchecked or "-")
        )
    lines += [*side_by_side(rows), ""]
    rows = [("MONITOR", "SENSOR", "DETECTOR", "WINDOW", "EVERY", "LEARNS FROM", "BASELINE")]
    remarks = []
    for monitor in found.monitors:
        if monitor.detector is None:
            rows.append((monitor.name, monitor.sensor, "?", "?", "?", "?", "?"))
            remarks.append(f"{monitor.name}: not checked: {monitor.unchecked}")
            continue
        rows.append(
            (
                monitor.name,
                monitor.sensor,
                f"{monitor.detector} on {monitor.columns} of {monitor.features}",
                DURATION.show(monitor.window_s or 0.0),
                DURATION.show(monitor.hop_s or 0.0),
                monitor.learn or "",
                monitor.baseline,
            )
        )
        remarks += [f"{monitor.name}: {note}" for note in monitor.notes]
        if monitor.baseline_words:
            remarks.append(f"{monitor.name}: baseline {monitor.baseline_words}")
    return "\n".join([*lines, *side_by_side(rows), *remarks])


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def side_by_side(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Columns side by side."""
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
