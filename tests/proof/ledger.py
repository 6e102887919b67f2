"""What an agent's sensors gave, written down as it went on its way, and what each of its threads took."""

from __future__ import annotations

import contextlib
import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.inbox import Inbox
from sensors.base import Reading

HEAD = struct.Struct("=ddII")  # time, rate, rows, channels


def write_down(folder: str) -> None:
    """From now on every Reading of this process that goes into an inbox is also written into a file of its sensor."""
    put, files = Inbox.put, dict[str, int]()

    def put_and_write(self: Inbox, reading: Reading, *, wait_s: float | None = None) -> bool:
        taken = put(self, reading, wait_s=wait_s)
        if taken:
            name = reading.sensor
            if name not in files:
                files[name] = os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT)
            head = HEAD.pack(reading.time, reading.rate_hz, *reading.values.shape)
            os.write(files[name], head + np.ascontiguousarray(reading.values).tobytes())
        return taken

    Inbox.put = put_and_write  # type: ignore[method-assign]


def read_back(folder: Path, sensor: str) -> list[Reading]:
    """What was written of a sensor."""
    return list(_readings(folder / sensor)) if (folder / sensor).exists() else []


def _readings(path: Path) -> Iterator[Reading]:
    content = path.read_bytes()
    at = 0
    while at < len(content):
        time, rate_hz, rows, channels = HEAD.unpack_from(content, at)
        at += HEAD.size
        values = np.frombuffer(content, np.float32, rows * channels, at).reshape(rows, channels)
        at += values.nbytes
        yield Reading(path.name, time, rate_hz, values)


@dataclass(frozen=True)
class Account:
    """Of one sensor: what was sent, what came of it, and what was counted as something else."""

    sent: int
    received: int
    counted: dict[str, int] = field(default_factory=dict)
    what: str = "samples"


def ticks(readings: Sequence[Reading], missed: int) -> Account:
    """Of a sensor that is asked at each tick: those from its first row to its last."""
    first, rate_hz = readings[0].time, readings[0].rate_hz
    late = [abs((reading.time - first) * rate_hz % 1.0) for reading in readings]
    last = max(i for i, share in enumerate(late) if share < 0.05 or share > 0.95)  # which was on time
    due = round((readings[last].time - first) * rate_hz) + 1
    return Account(due, last + 1, {"missed_ticks": missed} if missed else {}, "ticks")


def cpu_s(pid: int) -> dict[str, float]:
    """CPU seconds of each thread of a process, by its name, and of the children of each."""
    spent: defaultdict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            thread, seconds = _stat(task)
            spent[thread] += seconds
            for child in (task / "children").read_text().split():
                spent[f"child of {thread}"] += _stat(Path("/proc", child))[1]
    return spent


def _stat(folder: Path) -> tuple[str, float]:
    """proc(5): the name is in parentheses, user and system time are fields 14 and 15."""
    name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
    user, system = rest.split()[11:13]
    return name, (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
