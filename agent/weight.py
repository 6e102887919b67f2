"""How much memory the agent takes: a real `tocsin run` that learns, scores, and is then looked at from outside."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from agent.forms import settings
from agent.monitor_config import MonitorConfig
from models.window import Array
from sensors.base import Channel, Reading
from sensors.recorder import write

ROOT = Path(__file__).resolve().parent.parent
START = 1_700_000_000.0
LESSON_S = 3.0  # the sensor runs so fast that the lesson takes about this long
MOST_ROWS_PER_S = 20_000.0  # but not faster than this, or than it is
MOST_VALUES = 300_000  # of the recording that the sensor plays again and again
PATIENCE_S = 90.0  # for an agent that does not come so far
SCORED_S = 2.0  # of scoring between the release of memory and the look at it
RELEASED = "memory is released"  # what road.py says at level debug
MB = 1e6


class Load(msgspec.Struct, kw_only=True):
    """What the agent carries: copies of a monitor on one sensor, at the pace of the sensor or faster."""

    monitor: MonitorConfig
    channels: list[str]
    rate_hz: float
    lesson_s: float  # of the sensor's time
    copies: int


class Weight(msgspec.Struct, kw_only=True):
    """Memory of a process as the kernel counts it, in MB of a million bytes."""

    resident_mb: float  # VmRSS, once it has learned and scores
    anonymous_mb: float  # RssAnon: the part of it that no file backs
    peak_mb: float  # VmHWM: the most that was ever resident, while it started and learned


class WeighingError(Exception):
    """The agent did not come so far that it could be weighed, and why."""


def weigh(load: Load, rows: Array) -> Weight:
    """A fresh agent with this load, on `rows` of its sensor. It listens to the sensor as a recording and has no broker
    (nobody listens on its port). Raises WeighingError."""
    with tempfile.TemporaryDirectory(prefix="tocsin-weight-") as name:
        folder = Path(name)
        rows = rows[: max(1, MOST_VALUES // rows.shape[1])]
        channels = [Channel(channel) for channel in load.channels]
        write(folder / "sensor.npz", channels, [Reading("sensor", START, load.rate_hz, rows)])
        (folder / "tocsin.yaml").write_text(json.dumps(_configuration(load, folder)))
        command = [sys.executable, "-m", "agent", "run", "-c", str(folder / "tocsin.yaml")]
        with (folder / "log").open("wb") as log:
            agent = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_for_release(agent, folder / "log", load.copies)
            time.sleep(SCORED_S)
            return _look_at(agent.pid)
        finally:
            agent.kill()
            agent.wait()


def _configuration(load: Load, folder: Path) -> dict[str, Any]:
    """As a person would write it; JSON is YAML."""
    rows_per_s = max(load.rate_hz, min(MOST_ROWS_PER_S, load.rate_hz * load.lesson_s / LESSON_S))
    monitor = {**_written(load.monitor), "sensor": "sensor"}
    return {
        "device": "scales",
        "state_dir": str(folder / "state"),
        "runtime_dir": str(folder / "run"),
        "log_level": "debug",
        "broker": {"host": "127.0.0.1", "port": _closed_port()},
        "sensors": {
            "sensor": {
                "driver": "recording",
                "file": "sensor.npz",
                "repeat": True,
                "speed": rows_per_s / load.rate_hz,
            }
        },
        "monitors": {f"m{i}": monitor for i in range(load.copies)},
    }


def _written(section: msgspec.Struct) -> dict[str, Any]:
    """The settings that are not at their defaults, as they stand in a file."""
    found: dict[str, Any] = {}
    for setting in settings(type(section)):
        value = getattr(section, setting.field)
        if value == setting.default or setting.about.role == "name":
            continue
        if setting.form is not None:
            found[setting.key] = setting.form.show(value)
        else:
            found[setting.key] = _written(value) if isinstance(value, msgspec.Struct) else value
    return found


def _closed_port() -> int:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_release(agent: subprocess.Popen[bytes], log: Path, copies: int) -> None:
    """Until all monitors are armed and what only starting and learning needed has been given back."""
    end = time.monotonic() + PATIENCE_S
    while True:
        said = log.read_text(errors="replace")
        armed = [match.end() for match in re.finditer(r"^.* and is armed$", said, re.M)]
        if len(armed) == copies and RELEASED in said[armed[-1] :]:
            return
        if agent.poll() is not None:
            grave = [line for line in said.splitlines() if not re.search(" (DEBUG|INFO) ", line)]
            raise WeighingError(f"the agent ended: {(grave or ['without a word'])[-1]}")
        if time.monotonic() > end:
            raise WeighingError(f"{len(armed)} of {copies} monitors had learned within {PATIENCE_S:g} s")
        time.sleep(0.1)


def _look_at(process: int) -> Weight:
    """What /proc says of a process."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError as error:
        raise WeighingError(f"/proc cannot be read: {error.strerror}") from None
    figures = {key: int(kb) for key, kb in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.M)}

    def mb(key: str) -> float:
        return round(figures.get(key, 0) * 1024 / MB, 1)

    return Weight(resident_mb=mb("VmRSS"), anonymous_mb=mb("RssAnon"), peak_mb=mb("VmHWM"))
