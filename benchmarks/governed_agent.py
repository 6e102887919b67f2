"""One agent on a simulated board: the real inbox, monitors and governor, charged for the CPU time that they really
take, times how much slower the board is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import merge
from time import process_time
from typing import Any, Literal

import numpy as np

from agent.alerts import Event, State
from agent.assemble import make_monitor
from agent.governor import Conversion, Limits, Telemetry
from agent.inbox import Inbox
from agent.ladders import Costs
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from agent.regulator import Regulator
from agent.work import work_of
from benchmarks.governed_board import Script, SimulatedBoard
from benchmarks.governed_streams import HOUR_S, START, Anomaly, Remembered, Stream
from benchmarks.pronostia_lives import EVERY_S
from models.cascade import Looks, Seen
from models.detector import Job
from models.features import Features
from models.window import Windows
from sensors.base import Reading

Policy = Literal["fixed", "naive", "thinned", "governed"]
STEP_S = 0.5
BASE_CORES = (
    0.0023  # what an idle agent takes on this computer: 9 ticks of 10 ms in 40 s, measured of `tocsin run`
)
HOT_MARGIN_C, NAIVE_EVERY_S, MOST_HALVED = 5.0, 60.0, 6  # of the naive rule
THINNED = 4  # a fixed rate at about the CPU of the governor
NAIVE_LIMIT_C = 75.0  # where none is set
MINUTE_S = 60.0
SETTLE_S = 300.0  # after a day begins, in which a budget may be exceeded: monitors learn


class Halved:
    """The naive rule: features of every so manieth window only, and nothing else looks."""

    def __init__(self, features: Features) -> None:
        self.features, self.every, self._number = features, 1, 0
        self.looks, self.longest_s, self.taught = Looks(), 0.0, False

    def heed(self, state: State) -> None: ...

    def hear(self, windows: Windows) -> list[Seen]:
        count = len(windows.times)
        chosen = [i for i in range(count) if (self._number + i) % self.every == 0]
        self._number += count
        self.looks.windows += count
        if len(chosen) == count:
            self.looks.extracted += count
            return [Seen(windows.times, self.features.extract(windows), windows.fresh, 0)]
        stacked = windows.stacked()
        seen: list[Seen] = []
        for i in chosen:
            alone = Windows([windows.times[i]], stacked[i], windows.length, windows.length, False)
            self.looks.extracted += 1
            seen.append(Seen(alone.times, self.features.extract(alone), windows.fresh and not seen, 0))
        return seen


@dataclass
class Heard:
    """What came of one monitor."""

    raised: list[tuple[float, float]] = field(
        default_factory=list
    )  # seconds of the day: of the sample, when told
    cleared: list[float] = field(default_factory=list)
    latest: float | None = None  # time of the newest sample that was judged
    broken: int = 0  # verdicts later than allowed
    worst_s: float = 0.0


class Agent:
    """One day of one policy."""

    def __init__(
        self,
        policy: Policy,
        script: Script,
        streams: Sequence[Stream],
        memories: Mapping[str, Remembered],
        costs: Mapping[str, Costs],
    ) -> None:
        self.policy, self.script, self.board = policy, script, SimulatedBoard(script)
        self._streams = {stream.sensor.name: stream for stream in streams}
        self.inbox = Inbox(lambda: self.board.time)
        self.pipeline = Pipeline([])
        self.monitors: dict[str, Monitor] = {}
        self.heard: dict[str, Heard] = defaultdict(Heard)
        self._memories = {
            name: Remembered(each.features, each.repeats_s, each.ahead_s, each.rows)
            for name, each in memories.items()
        }
        self._halved: list[Halved] = []
        self._halvings, self._halved_at = 0, 0.0
        self.cpu_s = self.monitors_s = 0.0  # of the board, at its full clock
        self._free_at = 0.0
        self._looked = (0.0, 0.0, 0.0)
        self.changes: list[tuple[float, str]] = []  # when, and why
        self._random = np.random.default_rng(11)
        limits = Limits(
            cores=script.cpu,
            power_w=script.power_w,
            temperature_c=script.limit_c,
            battery_s=None if script.battery_h is None else script.battery_h * HOUR_S,
        )
        self.limits = limits
        conversion = Conversion(self.board.board.core_w, self.board.board.rise_c)
        self.governor = Regulator(limits, conversion, self, self.inbox)
        for stream in streams:
            self._add(stream, costs[stream.name])

    def _add(self, stream: Stream, costs: Costs) -> None:
        monitor = make_monitor(stream.config, stream.sensor, governed=self.policy == "governed")
        name = stream.name
        if name in self._memories:
            remembered = self._memories[name]
            monitor.features = remembered
            if monitor.cascade is not None:
                monitor.cascade.features = remembered
        if self.policy in ("naive", "thinned"):
            halved = Halved(monitor.features)
            halved.every = THINNED if self.policy == "thinned" else 1
            monitor.cascade = halved  # type: ignore[assignment]
            self._halved.append(halved)
        self.pipeline.add(monitor)
        self.monitors[name] = monitor
        delay_s = stream.config.max_delay_s
        assert delay_s is not None

        def hear(job: Job, levels: Sequence[float]) -> None:
            heard, since = self.heard[name], job.times[0]
            if monitor.cascade is not None:  # from the newest that it looked at before
                since = since if heard.latest is None else heard.latest
            late_s = self.board.time + STEP_S - (since - START)
            heard.worst_s = max(heard.worst_s, late_s)
            heard.broken += late_s > delay_s + STEP_S
            heard.latest = job.times[-1]

        monitor.listener = hear
        if self.policy == "governed":
            work, _ = work_of(stream.config, stream.sensor, monitor)
            copies = self._copies(stream)
            here = Costs(
                *(
                    getattr(costs, part) * copies * self.script.slower * self.script.mistaken
                    for part in ("call", "hop", "window", "score", "sentinel")
                )
            )
            self.governor.add(monitor, replace(work, reading_s=_reading_s(stream)), here, 0.0)

    def _copies(self, stream: Stream) -> int:
        return self.script.copies if stream.family == "motor" else 1

    def run(self, watch: Callable[[float], None] = lambda share: None) -> dict[str, Any]:
        """The whole day."""
        end = self.script.hours * HOUR_S
        due = merge(
            *(stream.due(self.script.hours) for stream in self._streams.values()), key=lambda item: item[0]
        )
        upcoming = next(due, None)
        trace = _Trace(self)
        while self.board.time < end:
            watch(self.board.time / end)
            now = self.board.time + STEP_S
            while upcoming is not None and upcoming[0] <= now + 1e-9:
                began = process_time()
                self.inbox.put(upcoming[1])
                put_s = (process_time() - began) * self._copies(self._streams[upcoming[1].sensor])
                self.cpu_s += put_s * self.script.slower
                upcoming = next(due, None)
            self.cpu_s += BASE_CORES * self.script.slower * STEP_S
            busy = min(1.0, max(0.0, self._free_at - self.board.time) / STEP_S)
            if self._free_at <= now:
                self._work(now)
            if self.policy == "governed":
                self._govern(now)
            elif self.policy == "naive":
                self._halve(now)
            self._pass_by(busy)
            trace.note()
        return trace.figures()

    def _pass_by(self, busy: float) -> None:
        """A step of the board's time, of which the pipeline was at work for so great a part."""
        cores = busy * self.script.share(self.board.hour)
        self.board.pass_by(STEP_S, cores + BASE_CORES * self.script.slower / self.board.speed)

    def _work(self, now: float) -> None:
        began = process_time()
        readings = self.inbox.take(0.0)
        spent_s = (process_time() - began) * self.script.slower
        if not readings:
            self.cpu_s += spent_s
            return
        spent_s *= max(self._copies(self._streams[reading.sensor]) for reading in readings)
        by_sensor: dict[str, list[Reading]] = {}
        for reading in readings:
            by_sensor.setdefault(reading.sensor, []).append(reading)
        for sensor, of in by_sensor.items():
            stream = self._streams[sensor]
            memory = self._memories.get(stream.name)
            began = process_time()
            events = self.pipeline.push(of)
            took_s = process_time() - began
            if memory is not None:
                took_s += memory.owed_s
                memory.owed_s = 0.0
            spent_s += took_s * self._copies(stream) * self.script.slower
            self._tell(events, now)
        self.monitors_s += spent_s
        self.cpu_s += spent_s
        self.governor.spend(spent_s)
        speed = self.board.speed * self.script.share(self.board.hour)
        self._free_at = max(now, self._free_at) + spent_s / speed

    def _tell(self, events: Sequence[Event], now: float) -> None:
        for event in events:
            if event.about != "machine":
                continue
            if event.kind == "raised":
                self.heard[event.monitor].raised.append((event.time - START, now))
            elif event.kind == "cleared":
                self.heard[event.monitor].cleared.append(now)

    def _govern(self, now: float) -> None:
        began = process_time()
        change = self.governor.tick(now)
        self.cpu_s += (process_time() - began) * self.script.slower
        if change is not None:
            self.changes.append((now, change.reason))

    def look(self, monitors_s: float, overdue_s: float) -> Telemetry:
        """The governor's senses. What it reads as CPU time grows with a slower clock, as in a real board."""
        at, cpu_s, before_s = self._looked
        passed_s = max(self.board.time - at, STEP_S)
        self._looked = self.board.time, self.cpu_s, monitors_s
        speed, noise = self.board.speed, self.script.noise
        blur = 1 + noise * float(self._random.standard_normal())
        seen = self.board.telemetry(
            (self.cpu_s - cpu_s) / passed_s / speed * blur,
            (monitors_s - before_s) / passed_s / speed * blur,
            overdue_s,
        )
        degrees = 10 * noise * float(self._random.standard_normal())
        return replace(seen, temperature_c=(seen.temperature_c or 0.0) + degrees)

    def _halve(self, now: float) -> None:
        """Halve the rate when hot, double it when cool again."""
        if now - self._halved_at < NAIVE_EVERY_S:
            return
        limit_c = self.script.limit_c or NAIVE_LIMIT_C
        if (self.board.heat_c >= limit_c or self.board.throttled) and self._halvings < MOST_HALVED:
            self._halvings += 1
        elif self.board.heat_c < limit_c - HOT_MARGIN_C and self._halvings:
            self._halvings -= 1
        else:
            return
        self._halved_at = now
        self.changes.append((now, "hot" if self.board.heat_c >= limit_c else "cool"))
        for halved in self._halved:
            halved.every = 2**self._halvings


def _reading_s(stream: Stream) -> float:
    if stream.family == "pronostia":
        return EVERY_S
    return len(stream.readings[0][1]) / stream.sensor.rate_hz


class _Trace:
    """What the day cost, by the minute."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._cpu = [0.0]
        self._cores: list[float] = []
        self._degrees: list[float] = []
        self._speeds: list[float] = []
        self._next = MINUTE_S

    def note(self) -> None:
        agent, time = self._agent, self._agent.board.time
        if time + 1e-9 < self._next:
            return
        self._next += MINUTE_S
        self._cores.append((agent.cpu_s - self._cpu[-1]) / MINUTE_S)
        self._cpu.append(agent.cpu_s)
        self._degrees.append(agent.board.heat_c)
        self._speeds.append(agent.board.speed)

    def figures(self) -> dict[str, Any]:
        agent = self._agent
        settled = np.arange(len(self._cores)) * MINUTE_S >= SETTLE_S
        cores = np.array(self._cores) / np.array(self._speeds)
        watts = np.array(self._cores) * agent.board.board.core_w
        limit_c = agent.limits.temperature_c
        over_c = 0.0 if limit_c is None else max(0.0, float(np.max(np.array(self._degrees)) - limit_c))
        later = [(at, why) for at, why in agent.changes if at > HOUR_S]
        own = np.array([at for at, why in later if not why.startswith("learned")])
        worst = max(
            (int(np.count_nonzero((own >= at) & (own < at + HOUR_S))) for at in own.tolist()), default=0
        )
        found = [
            _found(anomaly, agent.heard[stream.name], stream.config.max_delay_s or 0.0)
            for stream in agent._streams.values()
            for anomaly in stream.happening(agent.script.hours)
        ]
        delays = [delay_s for heard, delay_s in found if heard and delay_s is not None]
        return {
            "cpu_s": agent.cpu_s,
            "joules": agent.cpu_s * agent.board.board.core_w,
            "over_cpu_share": float(np.mean(cores[settled] > (agent.limits.cores or np.inf))),
            "over_cpu_s": MINUTE_S * float(np.sum(cores[settled] > (agent.limits.cores or np.inf))),
            "over_power_s": MINUTE_S * float(np.sum(watts[settled] > (agent.limits.power_w or np.inf))),
            "over_temperature_s": 0.0
            if limit_c is None
            else MINUTE_S * float(np.sum(np.array(self._degrees) > limit_c)),
            "over_power_share": float(np.mean(watts[settled] > (agent.limits.power_w or np.inf))),
            "over_temperature_c": over_c,
            "max_temperature_c": float(np.max(self._degrees)),
            "recall": float(np.mean([heard for heard, _ in found])),
            "anomalies": len(found),
            "heard": [bool(heard) for heard, _ in found],
            "by_kind": _by_kind(agent, found),
            "median_delay_s": float(np.median(delays)) if delays else None,
            "false_per_day": _false(agent) * 24 / agent.script.hours,
            "max_delay_broken": sum(heard.broken for heard in agent.heard.values()),
            "worst_delay_s": {
                family: max(
                    (agent.heard[s.name].worst_s for s in agent._streams.values() if s.family == family),
                    default=0.0,
                )
                for family in sorted({s.family for s in agent._streams.values()})
            },
            "dropped_rows": sum(agent.inbox.dropped(name) for name in agent._streams),
            "changes": len(agent.changes),
            "changes_per_hour": worst,
            "changes_mean": len(own) / max(agent.script.hours - 1, 1e-9),
            "changes_learned": len(later) - len(own),
            "reasons": dict(Counter(why.partition(":")[0] for _, why in later)),
            "inferences": sum(_looked(monitor) for monitor in agent.monitors.values()),
            "windows": sum(monitor.windows for monitor in agent.monitors.values()),
            "empty_after_h": None if agent.board.empty_at is None else agent.board.empty_at / HOUR_S,
            "broken": list(agent.governor.problems),
        }


def _by_kind(agent: Agent, found: Sequence[tuple[bool, float | None]]) -> dict[str, float]:
    """Recall of each family of streams, and of each kind of the motors' faults."""
    heard: dict[str, list[bool]] = defaultdict(list)
    names = (
        anomaly.name.split()[0] if stream.family == "motor" else stream.family
        for stream in agent._streams.values()
        for anomaly in stream.happening(agent.script.hours)
    )
    for name, (yes, _) in zip(names, found, strict=True):
        heard[name].append(yes)
    return {name: float(np.mean(each)) for name, each in heard.items()}


def _looked(monitor: Monitor) -> int:
    return monitor.windows if monitor.cascade is None else monitor.cascade.looks.extracted


def _found(anomaly: Anomaly, heard: Heard, grace_s: float) -> tuple[bool, float | None]:
    """Whether an alert stood at some time from the anomaly's start until as long after its end as is allowed, and how
    long after the start it was told, where it was raised then."""
    until = anomaly.stop + grace_s
    for _, told in heard.raised:
        if anomaly.start <= told <= until:
            return True, told - anomaly.start
    standing = sum(told < anomaly.start for _, told in heard.raised) - sum(
        at < anomaly.start for at in heard.cleared
    )
    return standing > 0, None


def _false(agent: Agent) -> int:
    """Alerts whose samples lie in no anomaly, nor so shortly after one as is allowed."""
    count = 0
    for stream in agent._streams.values():
        grace_s = stream.config.max_delay_s or 0.0
        spans = [(each.start, each.stop + grace_s) for each in stream.happening(agent.script.hours)]
        for at, _ in agent.heard[stream.name].raised:
            count += not any(start <= at <= stop for start, stop in spans)
    return count
