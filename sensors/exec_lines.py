"""A program that writes lines: whatever can be read by a script is a sensor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from sensors.base import OptionError, Positive, Slip
from sensors.line_sensor import LineSensor
from sensors.lines import Line, Value
from sensors.peers import Peer
from sensors.program import Program, ProgramFile

NO_SHELL = Slip(
    r"[|<>&;$`*'\"\\]",
    "is a line for a shell, and no shell reads it: write that line into a script and name it as a list, "
    "such as [sh, count.sh]",
)


class ExecLines(LineSensor):
    """A program that runs as long as it is listened to, and writes a line for each sample.

    Options:
        command: the program and its arguments, each a word of a list; no shell reads them.
        channels: what a line holds.
        line: how a line is read; without it, as columns with commas between them.
        rate_hz: how many lines come per second; with `align`, samples per second.
        align: a sample at each tick of `rate_hz`, of the newest values, instead of one for each line.
        stale_s: with `align`, a value older than this is missing; without it, after 3 ticks.
        folder: where the program is started; without it, where the agent is.
    """

    def __init__(
        self,
        *,
        command: Annotated[Sequence[str], NO_SHELL],
        channels: Sequence[Value],
        line: Line | None = None,
        rate_hz: Positive = 1.0,
        align: bool = False,
        stale_s: Positive | None = None,
        folder: Path | None = None,
    ) -> None:
        if not command or not command[0]:
            raise OptionError("command", command, "is empty: give the program and its arguments as a list")
        for i, word in enumerate(command):
            if "\0" in word:
                raise OptionError(f"command[{i}]", word, "holds a character that no argument may hold")
        super().__init__(line, channels, rate_hz, align, stale_s)
        self._command, self._folder = list(command), folder
        self._program: Program | None = None

    def peers(self) -> Sequence[Peer]:
        return (ProgramFile(tuple(self._command), self._folder),)

    def open(self) -> None:
        self.close()
        try:
            self._program = Program(self.name, self._command, folder=self._folder)
        except OSError as error:
            raise self.error(str(error)) from None
        self._begin(whole=True)
        super().open()

    def receive(self, timeout: float) -> bytes:
        assert self._program is not None
        return self._program.receive(timeout)

    def close(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.end()
        super().close()
