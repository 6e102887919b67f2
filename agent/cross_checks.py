"""Mistakes that no setting shows alone: names that point nowhere, a window shorter than its features need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.forms import nearest
from agent.quantities import DURATION, Span
from agent.yaml_lines import Located, Mistake, quoted, step

if TYPE_CHECKING:  # the configuration itself imports us
    from agent.config import BrokerConfig, Config, SensorConfig
    from agent.detectors import Detector
    from agent.monitor_config import BearingConfig, MonitorConfig
    from sensors.base import Sensor

WIDEST_SPEEDS = 2.5  # between bounds further apart half or twice a speed is taken for it


def cross_check(
    config: Config, document: Located, folders: dict[str, Path], mistakes: list[Mistake]
) -> Config:
    """The configuration with its sensors' paths made absolute; what does not fit is added to `mistakes`."""
    _check_broker(config.broker, document, mistakes)
    sensors: dict[str, Sensor] = {}
    entries: dict[str, SensorConfig] = {}
    for name, entry in config.sensors.items():
        place = _place(document, "sensors", name)
        entries[name] = msgspec.structs.replace(entry, options=_absolute(entry.options, place, folders))
        if (sensor := _made(entries[name], place, mistakes)) is not None:
            sensors[name] = sensor
    names = [name for name, _ in _place(document, "sensors").items()]
    for name, monitor in config.monitors.items():
        place = _place(document, "monitors", name)
        if monitor.sensor not in names:
            hint = nearest(monitor.sensor, names) or f": there are {', '.join(names) or 'none'}"
            message = f"{quoted(monitor.sensor)} is not a sensor{hint}"
            _wrong(place, "sensor", f"monitors.{step(name)}", message, mistakes)
        _check_monitor(monitor, sensors.get(monitor.sensor), place, mistakes)
        for key in ("max_delay", "priority") if config.budgets is None else ():
            if place.get(key) is not None:
                message = (
                    "is for the governor, and there are no budgets: write budgets, if only `budgets: true`"
                )
                _wrong(place, key, f"monitors.{step(name)}", message, mistakes)
    return msgspec.structs.replace(config, sensors=entries)


def check_sections(document: Located, mistakes: list[Mistake], *, monitors: bool) -> None:
    """A configuration without sensors or monitors would be an agent that does nothing."""
    purposes = {"sensors": "nothing would be read", "monitors": "nothing would be watched"}
    for section, purpose in purposes.items():
        if section == "monitors" and not monitors:
            continue
        entry = document.get(section)
        if entry is None or entry.value is None or entry.value == {}:
            place = entry or document
            mistakes.append(Mistake(place.file, place.line, section, f"there are none: {purpose}"))


def _check_broker(broker: BrokerConfig, document: Located, mistakes: list[Mistake]) -> None:
    place = _place(document, "broker")
    if broker.password_file is not None and broker.password_env is not None:
        message = "is not needed: password_file is there already"
        _wrong(place, "password_env", "broker", message, mistakes)
    for key in ("password_file", "password_env"):
        if getattr(broker, key) is not None and broker.username is None and place.get("username") is None:
            _wrong(place, key, "broker", "needs a username beside it", mistakes)
    if broker.tls is not None:
        for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if getattr(broker.tls, key) is not None and getattr(broker.tls, other) is None:
                message = f"needs a {other} beside it"
                _wrong(_place(document, "broker", "tls"), key, "broker.tls", message, mistakes)


def _absolute(options: dict[str, object], place: Located, folders: dict[str, Path]) -> dict[str, object]:
    """Options with the paths in `file` and `..._file` starting at the folder of the YAML file; those of a join's parts
    too."""
    found = dict(options)
    for key, value in options.items():
        entry = place.get(key)
        if entry is None:
            continue
        if isinstance(value, dict):
            found[key] = _absolute(value, entry, folders)
        elif (key == "file" or key.endswith("_file")) and isinstance(value, str) and value:
            found[key] = str(Path(folders.get(entry.file, Path()), value).absolute())
    return found


def _made(config: SensorConfig, place: Located, mistakes: list[Mistake]) -> Sensor | None:
    """The sensor, not opened, which knows its kind and perhaps its rate; None where its options are wrong."""
    from sensors import registry

    path = f"sensors.{step(config.name)}"
    if not registry.known(config.driver):
        hint = nearest(config.driver, registry.names()) or f": there are {', '.join(registry.names())}"
        _wrong(place, "driver", path, f"{quoted(config.driver)} is not a driver{hint}", mistakes)
        return None
    problems = registry.check(config.driver, config.options)
    for problem in problems:
        value = "" if problem.value is None else f"{quoted(problem.value)}: "
        entry = _deepest(place, problem.path)
        mistakes.append(
            Mistake(entry.file, entry.line, f"{path}.{problem.path}", f"{value}{problem.message}")
        )
    return None if problems else registry.create(config.name, config.driver, config.options)


def _check_monitor(
    monitor: MonitorConfig, sensor: Sensor | None, place: Located, mistakes: list[Mistake]
) -> None:
    """What must fit together in one monitor, as far as it is known before the sensor is opened."""
    from agent.detectors import DETECTORS
    from models.vibration import shortest

    path = f"monitors.{step(monitor.name)}"
    rate_hz = sensor.rate_hz if sensor is not None else 0.0
    features = monitor.features
    if features == "auto" and sensor is not None and rate_hz > 0:
        features = sensor.kind
    if sensor is not None and sensor.channels:
        known = [channel.name for channel in sensor.channels]
        for index, channel in enumerate(monitor.channels):
            if channel not in known:
                hint = nearest(channel, known) or f": there are {', '.join(known)}"
                entry = _deepest(place, f"channels[{index}]")
                message = f"{quoted(channel)} is not a channel of {monitor.sensor}{hint}"
                mistakes.append(Mistake(entry.file, entry.line, f"{path}.channels[{index}]", message))
    rows = _rows(monitor.window, rate_hz)
    detector = DETECTORS.get(monitor.detector)  # None: chosen by the signal
    own = 1 if detector is None else detector.fewest_in_window
    fewest = max(shortest(features) if features != "auto" else 1, own)
    if rows is not None and rows < fewest:
        needing = f"the detector {monitor.detector} needs" if fewest == own else f"{features} features need"
        message = f"{monitor.window} is too short: {needing} at least {fewest} rows"
        if rate_hz > 0:
            message += f", {DURATION.show(fewest / rate_hz)} at {rate_hz:g} Hz"
        _wrong(place, "window", path, message, mistakes)
    learn_rows = _rows(monitor.learn, rate_hz)
    if rows is not None and learn_rows is not None and learn_rows < rows:
        message = f"{monitor.learn} is too short: a window alone has {monitor.window}"
        _wrong(place, "learn", path, message, mistakes)
    if monitor.variant is not None and (detector is None or not detector.bundle):
        message = 'is a setting of the detector "autoencoder": the others have one form only'
        _wrong(place, "variant", path, message, mistakes)
    if features == "telemetry" and monitor.smooth is not None and (detector is None or detector.averages):
        message = "is a setting for vibration: on telemetry the window itself is averaged"
        _wrong(place, "smooth", path, message, mistakes)
    if monitor.false_alarms_hz is not None and monitor.sensitivity is not None:
        message = "is not needed: false_alarms says where the edge of normal lies"
        _wrong(place, "sensitivity", path, message, mistakes)
    if detector is not None:
        _check_detector(monitor, detector, features, place, path, mistakes)
    if monitor.bearing is not None and detector is not None and detector.bundle:
        message = 'is heard by "spectral": the features of "autoencoder" do not name frequencies'
        _wrong(place, "bearing", path, message, mistakes)
    if monitor.bearing is not None:
        _check_bearing(monitor.bearing, features, place, path, mistakes)
    if monitor.iso is not None and features == "telemetry":
        _wrong(place, "iso", path, "is judged in a vibration only: features are telemetry here", mistakes)


def _check_detector(
    monitor: MonitorConfig,
    detector: Detector,
    features: str,
    place: Located,
    path: str,
    mistakes: list[Mistake],
) -> None:
    name = monitor.detector
    if features != "auto" and features not in detector.signals:
        from agent.detectors import whose

        _wrong(place, "detector", path, whose(name, features), mistakes)
    for key in ("window", "hop", "smooth") if not detector.averages else ():
        if getattr(monitor, key) is not None:
            message = f'is not a setting of the detector "{name}": it takes each row by itself'
            _wrong(place, key, path, message, mistakes)


def _check_bearing(
    bearing: BearingConfig, features: str, place: Located, path: str, mistakes: list[Mistake]
) -> None:
    if features == "telemetry":
        message = "is heard in a vibration only: features are telemetry here"
        _wrong(place, "bearing", path, message, mistakes)
    if bearing.ball_diameter_m >= bearing.pitch_diameter_m:
        message = "is not larger than ball_diameter: the balls would not fit"
        _wrong(place.get("bearing") or place, "pitch_diameter", f"{path}.bearing", message, mistakes)
    entry, path = place.get("bearing") or place, f"{path}.bearing"
    slowest, fastest = bearing.slowest_hz, bearing.fastest_hz
    if bearing.speed_hz is not None:
        for key in ("slowest", "fastest"):
            if getattr(bearing, f"{key}_hz") is not None:
                _wrong(entry, key, path, "is not needed: speed says how fast the shaft is", mistakes)
    elif slowest is None or fastest is None:
        message = (
            "is missing: give it, or slowest and fastest, between which it is estimated from the spectrum"
        )
        _wrong(entry, "speed", path, message, mistakes)
    elif not slowest < fastest <= WIDEST_SPEEDS * slowest:
        message = f"must be above slowest, and at most {WIDEST_SPEEDS:g} times as fast"
        _wrong(entry, "fastest", path, message, mistakes)


def _rows(span: Span | None, rate_hz: float) -> int | None:
    if span is None or (span.unit == "s" and rate_hz <= 0):
        return None
    return span.rows(rate_hz)


def _place(document: Located, *keys: str) -> Located:
    """The entry at a path; the last one that is there."""
    place = document
    for key in keys:
        place = place.get(key) or place
    return place


def _deepest(place: Located, path: str) -> Located:
    """The entry at a path like "faults[0].kind", or the deepest that is there."""
    for part in re.findall(r"[^.\[\]]+", path):
        entry = place.get(part) or (place.get(int(part)) if part.isdecimal() else None)
        if entry is None:
            break
        place = entry
    return place


def _wrong(place: Located, key: str, path: str, message: str, mistakes: list[Mistake]) -> None:
    entry = place.get(key) or place
    mistakes.append(Mistake(entry.file, entry.line, f"{path}.{key}", message))
