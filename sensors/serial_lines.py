"""Instruments that speak lines of text over a serial port or USB."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from sensors.base import AtLeast, OptionError, Positive
from sensors.line_sensor import LineSensor
from sensors.lines import Line, Value
from sensors.peers import Peer, PortFile
from sensors.serial_port import Parity, Port

CHUNK = 4096  # bytes: what a tty holds at most
UNANSWERED = 3  # questions in a row, over
SILENT_S = 10.0  # at least, are an error: a board that starts when its port is opened takes 2 s
MOST_CHUNKS = 16  # that came unasked and are thrown away before the next question


class SerialLines(LineSensor):
    """An instrument on a serial port that sends lines, by itself or when it is asked.

    Options:
        port: the serial port, such as /dev/serial/by-id/usb-Arduino_...
        channels: what a line holds.
        line: how a line is read; without it, as columns with commas between them.
        rate_hz: how many lines come per second; with `ask` or `align`, samples per second.
        ask: what to send before each sample, as it is, with the end of line that the instrument wants: "MEAS?\\n" in
            double quotes. Without it, the instrument sends by itself.
        timeout_s: how long an answer may take.
        align: a sample at each tick of `rate_hz`, of the newest values, instead of one for each line.
        stale_s: with `align`, a value older than this is missing; without it, after 3 ticks.
        baud: bits per second.
        data_bits: of each byte.
        parity: of each byte.
        stop_bits: of each byte.
    """

    def __init__(
        self,
        *,
        port: str,
        channels: Sequence[Value],
        line: Line | None = None,
        rate_hz: Positive = 1.0,
        ask: str | None = None,
        timeout_s: Positive = 1.0,
        align: bool = False,
        stale_s: Positive | None = None,
        baud: Annotated[int, AtLeast(50)] = 9600,
        data_bits: Literal[7, 8] = 8,
        parity: Parity = "none",
        stop_bits: Literal[1, 2] = 1,
    ) -> None:
        if ask is not None and align:
            raise OptionError("align", align, "is of no use with ask: an answer is a sample")
        if ask is not None and not ask:
            raise OptionError("ask", ask, 'is empty: say what to send, such as "MEAS?\\n"')
        super().__init__(line, channels, rate_hz, align, stale_s, asks=ask is not None)
        self._ask = ask
        self._timeout_s = timeout_s
        self._wire = Port(port, baud, parity, stop_bits, data_bits)
        self._port: Any = None
        self._unanswered = 0  # questions in a row
        self._silent_since = 0.0  # when the first of them was sent

    def peers(self) -> Sequence[Peer]:
        return (PortFile(self._wire.path),)

    def open(self) -> None:
        self.close()
        try:
            self._port = self._wire.open(0.0, "serial")
        except OSError as error:
            raise self.error(str(error)) from None
        self._begin(whole=False)
        self._unanswered = 0
        super().open()

    def receive(self, timeout: float) -> bytes:
        ready, _, _ = select.select([self._port.fileno()], [], [], timeout)
        if not ready:
            return b""
        try:
            chunk = os.read(self._port.fileno(), CHUNK)
        except BlockingIOError:  # another took it, such as a console that was left open on the port
            return b""
        if not chunk:
            raise OSError(f"{self._wire.path} is gone: was it unplugged?")
        return chunk

    def sample(self) -> tuple[float, ...] | None:
        return super().sample() if self._ask is None else self._asked(self._ask)

    def close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            port.close()
        super().close()

    def _asked(self, ask: str) -> tuple[float, ...] | None:
        """The first line of the answer that can be read; None when none comes in time. Raises OSError when that has
        gone on for a while, not at once: a board that starts anew when its port is opened would never get to answer."""
        for _ in range(MOST_CHUNKS):
            if not self.receive(0.0):
                break
        self._begin(whole=True)
        self._port.write(ask.encode())
        asked = self.clock.monotonic()
        end = asked + self._timeout_s
        while (left := end - self.clock.monotonic()) > 0.0:
            chunk = self.receive(left)
            if not chunk:
                break
            for _, values in self.rows(chunk):
                self._unanswered = 0
                return tuple(values)
        self.skipped["time_outs"] += 1
        if not self._unanswered:
            self._silent_since = asked
        self._unanswered += 1
        silent_s = self.clock.monotonic() - self._silent_since
        if self._unanswered >= UNANSWERED and silent_s >= SILENT_S:
            raise OSError(
                f"no answer to {ask!r} on {self._wire.path} for {silent_s:.0f} s: check baud and wiring"
            )
        return None
