"""Recordings that stand for sensors, as asked for on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from agent.assemble import make_sensor
from agent.config import Config, SensorConfig
from agent.forms import nearest
from agent.monitor_config import MonitorConfig
from agent.names import RESERVED, Name
from sensors import registry
from sensors.base import SensorError
from sensors.recording import Recording

# Options of the driver that are not to choose here, and why.
SETTLED = {
    "speed": "a file given here is read as fast as it goes; only `tocsin run` keeps to a speed",
    "repeat": "a file given here is read once, to its end",
    "file": "the file is given as an argument of its own",
    "chunk": "give it with --chunk",
}


class Refusal(Exception):
    """What was asked for cannot be done, and why: the user's to mend."""


def recorded(
    config: Config | None,
    files: Sequence[str],
    *,
    monitors: Sequence[str] = (),
    sensors: Sequence[str] = (),
    options: Sequence[str] = (),
    chunk: int = 0,
) -> Config:
    """The configuration with recordings, as fast as they go, for sensors. Raises Refusal."""
    given = _parse_options(options) | {"speed": 0.0} | ({"chunk": chunk} if chunk else {})
    if config is None:
        if monitors or sensors:
            raise Refusal("--monitor and --sensor choose from a configuration: name it with -c")
        return _default(files, given)
    if options and not files:
        raise Refusal("--option is for the RECORDINGs given on the command line: there are none")
    chosen = {name: pick("monitor", name, config.monitors) for name in monitors} or dict(config.monitors)
    if files:
        stands_for = _stand_for(config, chosen, files, sensors)
    else:
        listened_to = {monitor.sensor for monitor in chosen.values()}
        heard = {name: sensor for name, sensor in config.sensors.items() if name in listened_to}
        stands_for = {
            name: sensor.options["file"] for name, sensor in heard.items() if sensor.driver == "recording"
        }
        joined = [name for name, sensor in heard.items() if sensor.replayed and name not in stands_for]
        if joined and not stands_for:
            raise Refusal(
                f"{joined[0]} joins recordings, and a replay reads one file for each sensor:"
                f" write one with tocsin record {joined[0]}, and name it, as in: tocsin replay FILE"
            )
        if not stands_for:
            raise Refusal("no monitor listens to a recording: name one, as in: tocsin replay FILE")
    found: dict[str, SensorConfig] = {}
    for name, file in stands_for.items():
        before = config.sensors[name]
        kept = before.options if before.driver == "recording" else {}
        now = {**kept, "repeat": False, "chunk": 0, **given, "file": str(file)}
        found[name] = msgspec.structs.replace(before, driver="recording", options=now)
    kept_monitors = {name: monitor for name, monitor in chosen.items() if monitor.sensor in found}
    left_out = [name for name in chosen if name not in kept_monitors]
    if left_out and monitors:
        raise Refusal(
            f"monitor {left_out[0]} listens to {chosen[left_out[0]].sensor}, which is no recording here"
        )
    if not kept_monitors:
        raise Refusal(f"no monitor listens to {', '.join(found)}")
    return msgspec.structs.replace(config, sensors=found, monitors=kept_monitors)


def _default(files: Sequence[str], given: Mapping[str, object]) -> Config:
    """A monitor on all channels of each file."""
    if not files:
        raise Refusal("name a recording, as in: tocsin replay pump.csv, or a configuration with --config")
    sensors: dict[str, SensorConfig] = {}
    monitors: dict[str, MonitorConfig] = {}
    for file in files:
        stem = re.sub(r"[^A-Za-z0-9_.-]", "-", Path(file).stem).lstrip(".-")[: Name.most - 4]
        stem = stem if stem and stem not in RESERVED else f"recording{stem}"
        name = next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, len(files) + 2))) if n not in sensors)
        sensors[name] = SensorConfig(name=name, driver="recording", options={**given, "file": file})
        monitors[name] = MonitorConfig(name=name, sensor=name)
    return Config(device="replay", sensors=sensors, monitors=monitors)


def _stand_for(
    config: Config, chosen: Mapping[str, MonitorConfig], files: Sequence[str], sensors: Sequence[str]
) -> dict[str, str]:
    """Which file stands for which sensor."""
    if sensors:
        for name in sensors:
            pick("sensor", name, config.sensors)
        if len(sensors) != len(files):
            raise Refusal(
                f"{len(files)} recordings and {len(sensors)} --sensor: give one for each recording, in order"
            )
        return dict(zip(sensors, files, strict=True))
    listened = list(dict.fromkeys(monitor.sensor for monitor in chosen.values()))
    if len(files) == len(listened) == 1:
        return {listened[0]: files[0]}
    by_name = {Path(file).stem: file for file in files}
    if set(by_name) <= set(listened) and len(by_name) == len(files):
        return by_name
    said = {_said_by(file): file for file in files}
    if set(said) <= set(config.sensors) and len(said) == len(files):
        return said
    raise Refusal(
        f"which sensor does {files[0]} stand for? Say it with --sensor, for each recording: {', '.join(listened)}"
    )


def _said_by(file: str) -> str:
    """The sensor that the file itself says it is of, as `tocsin record` writes it; "" where it says none."""
    options = {"file": file, "speed": 0.0}
    try:
        with make_recording(SensorConfig(name="recording", driver="recording", options=options)) as recording:
            return str(recording.about.get("sensor", ""))
    except (Refusal, SensorError):  # who reads it will say so
        return ""


def _parse_options(options: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise Refusal(f"--option {option}: write KEY=VALUE, e.g. rate_hz=3200")
        if (why := SETTLED.get(key.strip())) is not None:
            raise Refusal(f"--option {option}: {why}")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise Refusal(f"--option {option}: {value!r} is not a value") from None
    return found


def pick(what: str, name: str, known: Mapping[str, Any]) -> Any:
    """The entry of that name. Raises Refusal with the one that was perhaps meant."""
    if name not in known:
        raise Refusal(unknown(what, name, known))
    return known[name]


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The words for a name that is not there."""
    known = list(known)
    return f'"{name}" is not a {what}' + (nearest(name, known) or f": there are {', '.join(known) or 'none'}")


def make_recording(config: SensorConfig) -> Recording:
    """The recording, closed. Raises Refusal with all that is wrong in its options."""
    problems = registry.check(config.driver, config.options)
    if problems:
        raise Refusal("\n".join(f"{config.options['file']}: {p.path}: {p.message}" for p in problems))
    sensor = make_sensor(config)
    assert isinstance(sensor, Recording)
    return sensor
