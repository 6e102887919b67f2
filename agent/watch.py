"""`tocsin watch`: one sensor live in the terminal."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Iterator

from agent.assemble import make_sensor
from agent.charts import pen
from agent.config import Config, SensorConfig
from agent.ids import rfc3339
from agent.inbox import Inbox
from agent.quantities import DURATION
from agent.reader import Reader
from agent.recordings import Refusal, pick
from agent.scope import Scope
from agent.screen import QUIT, Screen, drawable
from agent.yaml_lines import printable
from sensors import registry
from sensors.base import Sensor, SensorError

TURN_S = 0.1  # longest before a key is noticed
FRAME_S = 0.5  # between two pictures
LINE_S = 1.0  # between two lines where there is no terminal
STOP_S = 2.0
NEXT = "\t "


def command(config: Config | None, name: str | None, *, lasting: str | None) -> int:
    """Show the sensor until a key or the time ends it. Without a configuration: one found here. Raises Refusal."""
    known = found_here() if config is None else dict(config.sensors)
    if name is None and len(known) != 1:
        raise Refusal(f"say which sensor: {', '.join(known) or 'there is none'}")
    entry = pick("sensor", next(iter(known)) if name is None else name, known)
    try:
        for_s = float("inf") if lasting is None else DURATION.parse(lasting)
    except ValueError as error:
        raise Refusal(f'--for "{lasting}" {error}') from None
    watch = Watch(entry)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal is to be left as it was
    try:
        with watch:
            if drawable():
                watch.draw(for_s)
            else:
                watch.tell(for_s)
    except KeyboardInterrupt:
        pass
    print(watch.head(), file=sys.stderr)
    if watch.rows and (silent := watch.silent):
        print(printable(f"no value of {', '.join(silent)} came, the whole time"), file=sys.stderr)
    return 0 if watch.rows and not silent else 1


def found_here() -> dict[str, SensorConfig]:
    """What could be watched without a configuration."""
    found, _ = registry.find()
    return {
        one.name: SensorConfig(name=one.name, driver=one.driver, options=dict(one.options)) for one in found
    }


class Watch:
    """A sensor read by its thread, and what is seen of it."""

    def __init__(self, entry: SensorConfig) -> None:
        self._entry = entry
        self._inbox = Inbox()
        self._scope: Scope | None = None
        self._chosen = 0  # channel of a waveform
        self._reader = Reader(make_sensor(entry), self._inbox, self._opened)

    def __enter__(self) -> Watch:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.stop()
        self._reader.join(STOP_S)

    @property
    def rows(self) -> int:
        """Samples seen so far."""
        return self._scope.rows if self._scope else 0

    @property
    def silent(self) -> list[str]:
        """The channels of which no value was seen."""
        return self._scope.silent() if self._scope else []

    def draw(self, for_s: float) -> None:
        """Pictures on the terminal, one over the other."""
        logging.disable()  # it would write into the picture, whose first line says what is wrong
        try:
            with Screen() as screen:
                for _ in self._turns(for_s, FRAME_S, screen):
                    screen.draw(self.frame(*screen.size))
        finally:
            logging.disable(logging.NOTSET)

    def tell(self, for_s: float) -> None:
        """A line each second."""
        for _ in self._turns(for_s, LINE_S, None):
            if self._scope is not None:
                print(
                    printable(f"{rfc3339(time.time())} {self._scope.sentence()}; {self._pace()}"), flush=True
                )

    def frame(self, width: int, height: int) -> list[str]:
        """All lines of one picture."""
        ways = (
            "q ends"
            if self._scope is None or self._scope.kind == "telemetry"
            else "q ends, tab: next channel"
        )
        lines = [self.head(), ways, ""]
        if self._scope is not None:
            ink = pen(width, sys.stdout.encoding)
            lines += self._scope.picture(ink, max(4, height - len(lines)), self._chosen)
        return lines[:height]

    def head(self) -> str:
        """Who it is, at what rate it comes, and what was missing."""
        return printable(f"{self._entry.name} ({self._entry.driver}): {self._pace()}")

    def _pace(self) -> str:
        reader = self._reader
        delivered, told = reader.delivered_hz(), reader.sensor.rate_hz
        parts = [f"{'?' if delivered is None else f'{delivered:.5g}'} of {told:.5g} samples a second"]
        if self._scope is not None and (trouble := self._scope.trouble()):
            parts.append(trouble)
        if dropped := self._inbox.dropped(self._entry.name):
            parts.append(f"{dropped} rows dropped")
        parts += [
            f"{count} x {reason.replace('_', ' ')}" for reason, count in reader.sensor.left_out().items()
        ]
        return ", ".join([reader.error] if reader.error else parts)

    def _opened(self, sensor: Sensor) -> None:
        """In the reader's thread. Raises SensorError."""
        if self._scope is None:
            self._scope = Scope(sensor.channels, sensor.kind, sensor.rate_hz)
        elif self._scope.channels != sensor.channels:
            raise SensorError("it came back with other channels: watch it anew")

    def _turns(self, for_s: float, period_s: float, screen: Screen | None) -> Iterator[None]:
        """Take in what comes; yields each time something is to be shown."""
        end = time.monotonic() + for_s
        due = time.monotonic() + (period_s if screen is None else 0.0)
        while True:
            for reading in self._inbox.take(min(TURN_S, max(0.0, end - time.monotonic()))):
                if self._scope is not None:
                    self._scope.push(reading)
            over = time.monotonic() >= end or (self._reader.ended and self._inbox.idle)
            if time.monotonic() >= due or over:
                due = time.monotonic() + period_s
                yield
            pressed = "" if screen is None else screen.pressed()
            if over or any(key in QUIT for key in pressed):
                return
            self._chosen += sum(key in NEXT for key in pressed)
