"""`tocsin record`: what the sensors give, written into files that `recording` reads back."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from agent.assemble import make_sensor
from agent.config import Config, SensorConfig
from agent.health import AlreadyRunning, Lock
from agent.inbox import Inbox
from agent.pace import per_second
from agent.progress import Progress, span
from agent.quantities import DURATION, SIZE, Quantity
from agent.reader import Reader
from agent.recordings import Refusal, pick
from agent.reel import Limits, Reel, remove_torn
from agent.version import tocsin_version
from sensors.base import Sensor, SensorError

TAKE_S, STOP_S = 0.2, 3.0
FORMS = ("npz", "parquet", "csv")
OPEN_TIMES = {"npz": 2}  # how often a file lies on the disk while it is finished
SECRET_WORDS = r"pass(?:word|wd|phrase)?|pwd|token|secret|credential|api[_-]?key|auth\w*|cookie|header"
SECRET = re.compile(SECRET_WORDS, re.IGNORECASE)
# After Authorization: and Cookie: come several words, after others one.
IN_TEXT = re.compile(
    rf"((?:auth\w*|cookie)s?\s*[=:]\s*).+"
    rf"|((?:{SECRET_WORDS})s?\s*[=:]\s*|(?<!\S)--[\w-]*(?:{SECRET_WORDS})[\w-]*\s+)\S+",
    re.IGNORECASE | re.DOTALL,
)
OPTION = re.compile(rf"--?[\w-]*(?:{SECRET_WORDS})[\w-]*|-[pP]", re.IGNORECASE)  # its word is the next
USER = re.compile(r"-u|--user")  # its too, where that is NAME:PASSWORD, as curl's: python's -u is none
IN_URL = re.compile(r"(\w+://)[^/@\s]*@")
HIDDEN = "(not kept)"


class SensorReport(msgspec.Struct, kw_only=True):
    """What became of one sensor."""

    rows: int = 0
    files: list[str] = []
    delivered_hz: float | None = None
    dropped: int = 0
    left_out: dict[str, int] = {}
    error: str = ""


class Report(msgspec.Struct, kw_only=True, tag_field="schema", tag="tocsin.record/1"):
    """What was recorded."""

    folder: str
    seconds: float
    sensors: dict[str, SensorReport]


def command(
    config: Config,
    names: Sequence[str],
    *,
    folder: str,
    form: str,
    lasting: str | None,
    file_size: str,
    file_span: str | None,
    keep: str,
    as_json: bool,
) -> int:
    """Record until told to stop, or the time is over, or the sensors have come to their end.

    Raises Refusal, and SensorError where the disk refuses.
    """
    chosen = {name: pick("sensor", name, config.sensors) for name in names} or dict(config.sensors)
    for_s = None if lasting is None else _quantity("--for", lasting, DURATION)
    file_bytes = int(_quantity("--size", file_size, SIZE))
    # While a file is finished it lies there once more.
    open_bytes = len(chosen) * OPEN_TIMES.get(form, 1) * file_bytes
    total = int(_quantity("--keep", keep, SIZE)) - open_bytes
    if total < file_bytes:
        raise Refusal(
            f"--keep {keep} is too little for {len(chosen)} x --size {file_size}:"
            f" at least {SIZE.show(open_bytes + file_bytes)}"
        )
    limits = Limits(
        file_bytes, None if file_span is None else _quantity("--every", file_span, DURATION), total
    )
    try:
        with Lock(Path(folder)):
            for path in remove_torn(Path(folder)):
                print(f"{path} was cut off while it was written, and is removed", file=sys.stderr)
            report = Recording(chosen, Path(folder), form, limits).run(for_s)
    except AlreadyRunning as error:
        raise Refusal(str(error)) from None
    except OSError as error:
        raise Refusal(f"{folder} cannot be used: {error.strerror or error}") from None
    print(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else "\n".join(lines(report)))
    return 0 if all(sensor.rows for sensor in report.sensors.values()) else 1


class Recording:
    """All sensors at once: a thread reads each, and this one writes."""

    def __init__(self, sensors: Mapping[str, SensorConfig], folder: Path, form: str, limits: Limits) -> None:
        self._entries, self._folder, self._form, self._limits = sensors, folder, form, limits
        self._inbox = Inbox()
        self._readers = {
            name: Reader(make_sensor(entry), self._inbox, self._opened) for name, entry in sensors.items()
        }
        self._reels: dict[str, Reel] = {}
        self._shapes: dict[str, tuple[object, ...]] = {}
        self._stop = threading.Event()

    def run(self, for_s: float | None) -> Report:
        """Raises SensorError when the disk refuses."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stop.set())
        began = time.monotonic()
        with ExitStack() as stack:
            stack.callback(self._finish)  # whatever happens, what was written is a file
            stack.callback(self._end)
            for reader in self._readers.values():
                reader.start()
            with Progress("record", patience_s=0.0) as bar:
                share = None if for_s is None else lambda: (time.monotonic() - began) / for_s
                while not self._over(began, for_s):
                    self._write(TAKE_S)
                    bar.tell(share, lambda: self._words(began))
        return self._report(time.monotonic() - began)

    def _opened(self, sensor: Sensor) -> None:
        """Called in the reader's thread, each time before its first reading. Raises SensorError."""
        before = self._shapes.setdefault(sensor.name, sensor.channels)
        if before != sensor.channels:
            raise SensorError("it came back with other channels: record it anew")
        if sensor.name not in self._reels:
            entry = self._entries[sensor.name]
            about = {
                "schema": "tocsin.recording/1",
                "sensor": sensor.name,
                "driver": entry.driver,
                "options": without_secrets(entry.options),
                "channels": [{"name": channel.name, "unit": channel.unit} for channel in sensor.channels],
                "kind": sensor.kind,
                "host": os.uname().nodename,
                "tocsin": tocsin_version(),
            }
            self._reels[sensor.name] = Reel(
                self._folder, sensor.name, self._form, sensor.channels, about, self._limits
            )

    def _write(self, timeout_s: float) -> bool:
        readings = self._inbox.take(timeout_s)
        for reading in readings:
            self._reels[reading.sensor].put(reading)
        return bool(readings)

    def _over(self, began: float, for_s: float | None) -> bool:
        return (
            self._stop.is_set()
            or (for_s is not None and time.monotonic() - began >= for_s)
            or (all(reader.ended for reader in self._readers.values()) and self._inbox.idle)
        )

    def _end(self) -> None:
        """Stop the readers, and write what they have read."""
        for reader in self._readers.values():
            reader.stop()
        end = time.monotonic() + STOP_S
        for reader in self._readers.values():
            reader.join(max(0.0, end - time.monotonic()))
        self._inbox.hurry()
        while self._write(0.0):
            pass

    def _finish(self) -> None:
        with ExitStack() as stack:
            for reel in self._reels.values():
                stack.callback(reel.close)

    def _words(self, began: float) -> str:
        rows = sum(reel.rows for reel in list(self._reels.values()))
        lost = sum(self._inbox.dropped(name) for name in self._entries)
        failed = [name for name, reader in self._readers.items() if reader.error]
        parts = [f"{rows} rows in {span(time.monotonic() - began)}"]
        parts += [f"{lost} dropped"] if lost else []
        parts += [f"{', '.join(failed)} cannot be read"] if failed else []
        return ", ".join(parts)

    def _report(self, seconds: float) -> Report:
        found = {}
        for name, reader in self._readers.items():
            reel = self._reels.get(name)
            found[name] = SensorReport(
                rows=reel.rows if reel else 0,
                files=[str(path) for path in reel.files] if reel else [],
                delivered_hz=reader.delivered_hz(),
                dropped=self._inbox.dropped(name),
                left_out=reader.sensor.left_out(),
                error=reader.error,
            )
        return Report(folder=str(self._folder), seconds=round(seconds, 3), sensors=found)


def without_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without what may be a password, as far as its name, or its place in a text or a URL, tells."""

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                str(key): HIDDEN if SECRET.search(str(key)) else clean(inner) for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [
                HIDDEN if _asked(before, inner) else clean(inner) for before, inner in pairwise(("", *value))
            ]
        if isinstance(value, str):
            return IN_TEXT.sub(rf"\1\2{HIDDEN}", IN_URL.sub(rf"\1{HIDDEN}@", value))
        return value

    cleaned: dict[str, Any] = clean(options)
    return cleaned


def _asked(before: object, word: object) -> bool:
    """Whether a word of a command may be a password by the option before it."""
    option = str(before)
    return bool(OPTION.fullmatch(option) or (USER.fullmatch(option) and ":" in str(word)))


def lines(report: Report) -> list[str]:
    """The report for a person."""
    out = []
    for name, sensor in report.sensors.items():
        pace = [] if sensor.delivered_hz is None else [f"{per_second(sensor.delivered_hz)} at the end"]
        counts = {**sensor.left_out, "rows dropped": sensor.dropped}
        told = [f"{count} x {reason.replace('_', ' ')}" for reason, count in counts.items() if count]
        told += [sensor.error] if sensor.error else []
        out.append(f"{name}: {', '.join([f'{sensor.rows} rows', *pace, *told])}")
        out += [f"  {file}" for file in sensor.files]
    return out


def _quantity(option: str, text: str, quantity: Quantity) -> float:
    try:
        found = quantity.parse(text)
    except ValueError as error:
        raise Refusal(f'{option} "{text}" {error}') from None
    if not found > 0:
        raise Refusal(f'{option} "{text}" is nothing: write e.g. {quantity.form}')
    return found
