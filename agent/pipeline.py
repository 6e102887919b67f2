"""All monitors together: what is due is scored in one call per graph. No threads, no clock, no input or output."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from heapq import merge

from agent.alerts import Event
from agent.monitor import Monitor
from models.detector import Bank, Job
from sensors.base import Reading


class Pipeline:
    """All monitors; what is due is scored in one call per graph."""

    def __init__(self, monitors: Iterable[Monitor]) -> None:
        self.monitors: list[Monitor] = []
        self._of_sensor: dict[str, list[Monitor]] = {}
        self._banks: dict[Hashable, Bank] = {}
        for monitor in monitors:
            self.add(monitor)

    def add(self, monitor: Monitor) -> None:
        """Take a monitor in; heads that can be scored together share a bank."""
        head = monitor.head
        if head.shares not in self._banks:
            self._banks[head.shares] = head.make_bank()
        monitor.join(self._banks[head.shares])
        self.monitors.append(monitor)
        self._of_sensor.setdefault(monitor.sensor, []).append(monitor)

    def push(self, readings: Sequence[Reading]) -> list[Event]:
        """The events these readings bring. Several at a time let monitors of several sensors share a call."""
        taken = [
            (monitor, job)
            for reading in readings
            for monitor in self._of_sensor.get(reading.sensor, ())
            for job in monitor.take(reading)
        ]
        if len(taken) == 1:  # as usual, live
            monitor, job = taken[0]
            self._score([job])
            events = monitor.settle(job)
            return events + self._told(readings) if any(self._telling(readings)) else events
        events = []
        while taken:
            now, later = list[tuple[Monitor, Job]](), list[tuple[Monitor, Job]]()
            seen: set[Monitor] = set()  # a bank has one seat for each
            for monitor, job in taken:
                (later if monitor in seen else now).append((monitor, job))
                seen.add(monitor)
            self._score([job for _, job in now])
            for monitor, job in now:
                events += monitor.settle(job)
            taken = later
        events += self._told(readings)
        return self._in_order(events) if len(events) > 1 else events

    def flush(self, sensor: str | None = None) -> list[Event]:
        """The events of windows that were passed over, of one sensor's monitors or of all: nothing comes after them."""
        events: list[Event] = []
        for monitor in self.monitors if sensor is None else self._of_sensor.get(sensor, ()):
            for job in monitor.flush():
                self._score([job])
                events += monitor.settle(job)
        return self._in_order(events) if len(events) > 1 else events

    def _telling(self, readings: Sequence[Reading]) -> Iterator[Monitor]:
        """Monitors that have something to say besides what was scored."""
        return (
            monitor
            for reading in readings
            for monitor in self._of_sensor.get(reading.sensor, ())
            if monitor.tells_from < math.inf
        )

    def _told(self, readings: Sequence[Reading]) -> list[Event]:
        return [event for monitor in self._telling(readings) for event in monitor.tell()]

    def _in_order(self, events: Sequence[Event]) -> list[Event]:
        """By time, at one time by the monitors' order, of one monitor as they happened: however the stream was cut."""
        of: dict[str, list[Event]] = {monitor.name: [] for monitor in self.monitors}
        for event in events:
            of[event.monitor].append(event)
        return list(merge(*of.values(), key=lambda event: event.time))

    def _score(self, jobs: Sequence[Job]) -> None:
        if len(jobs) == 1:
            bank = jobs[0].head.bank
            assert bank is not None
            bank.score(jobs)
            return
        groups: dict[int, list[Job]] = {}
        for job in jobs:
            groups.setdefault(id(job.head.bank), []).append(job)
        for group in groups.values():
            bank = group[0].head.bank
            assert bank is not None
            bank.score(group)
