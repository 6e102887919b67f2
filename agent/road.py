"""The thread "pipeline": owns every monitor, takes what the readers heard, and puts what happened into the outbox."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Mapping

from agent import memory, messages, shelf
from agent.alerts import ABOUT, About, Event, Rule, advance, happened
from agent.assemble import baseline_path, make_monitor, shape_of
from agent.config import Config, ConfigError
from agent.evidence_store import Store
from agent.health import read_clock
from agent.inbox import Inbox
from agent.messages import Message, MonitorState, Topics
from agent.monitor import Monitor
from agent.monitor_states import state_of, without_a_sensor
from agent.outbox import Outbox, OutboxError
from agent.pipeline import Pipeline
from agent.publisher import Publisher
from agent.reader import Reader
from agent.regulator import Regulator
from agent.sentences import sentence
from agent.silence import Silence
from agent.standing import Entry, Standing
from agent.work import make_regulator, work_of
from agent.yaml_lines import Mistake
from models import baseline as baselines
from sensors.base import Sensor, SensorError
from sensors.named_thread import NamedThread

logger = logging.getLogger(__name__)

TICK_S = 0.5  # longest a turn waits for readings
STATES_S = 2.0  # between two looks at how all monitors stand, unless something happens
SAVE_S = 3600.0  # between two saves of a streaming state: a few KB an hour
SAVE_AGAIN_S = 60.0  # after a save that the disk refused
MOST_UNSAVED = 10_000  # events kept in memory while the disk refuses them
SPARE_S = 600.0  # between two times that memory is given back because its budget is exceeded
LEAN_S = 5.0  # after the latest monitor was assembled, or has learned
SILENCE = Rule(on_delay_s=0.0, off_delay_s=0.0, off_level=1.0, critical_level=10.0, flood_per_hour=12)


class Road:
    """Readings in, events out. All state is this thread's; others see `states`, `beat`, `trouble`, `assembled`."""

    def __init__(
        self,
        config: Config,
        inbox: Inbox,
        outbox: Outbox,
        publisher: Publisher,
        readers: Mapping[str, Reader],
    ) -> None:
        """Raises OutboxError."""
        self._config, self._inbox, self._outbox, self._publisher = config, inbox, outbox, publisher
        self._readers = readers
        self._topics = Topics(config.broker.prefix, config.device)
        self._pipeline = Pipeline([])
        self._monitors: dict[str, Monitor] = {}
        self._standing = Standing(config.state_dir / "alerts.json")
        try:
            self._standing.load()
        except (OSError, ValueError) as error:
            logger.warning("alerts of the earlier run are forgotten: %s", error)
        named = {entry.monitor for entry in self._standing.entries()}.union(config.monitors)
        self._seqs = {name: outbox.last_seq(name) for name in named}  # of those not assembled yet
        self._shapes: dict[str, tuple[object, float]] = {}  # what each opened sensor looked like
        self._opened: deque[Sensor] = deque()  # filled by the readers' threads
        self._silences: dict[str, Silence] = {}  # of each monitor
        # Monitors of recordings, which begin anew at each start, and raise their alerts anew.
        self._replayed = {
            name for name, monitor in config.monitors.items() if config.sensors[monitor.sensor].replayed
        }
        kept = config.evidence
        self._evidence = Store(config.state_dir / "evidence", kept.max_size_bytes, kept.max_files)
        self._unsaved: list[Message] = []
        self.governor = None if config.budgets is None else make_regulator(config.budgets, inbox)
        self._plan_seq = outbox.last_seq("")  # of the latest change of plan
        self._flushed: set[str] = set()  # sensors at their end, with nothing left to look at
        self._spare_at = -math.inf  # when memory was given back for the sake of its budget
        self._states_at = 0.0  # when to look again at how all monitors stand
        self._newest: dict[str, tuple[object, ...]] = {}  # what was new of each at the latest look
        self._published: dict[str, tuple[float, tuple[object, ...]]] = {}
        self._saved_at, self._save_after = time.monotonic(), 0.0
        self._lean_at = math.inf  # when to give back what starting and learning needed
        self._stop = threading.Event()
        self._stop_by = 0.0
        self._thread = NamedThread(target=self._run, name="pipeline", daemon=True)
        self.states: dict[str, MonitorState] = {}
        self.trouble: dict[str, str] = {}  # what is wrong, by what it is wrong with
        self.counters = {"events": 0, "events_lost_to_memory": 0, "readings": 0}
        self.counters |= {"evidence_written": 0, "evidence_removed": 0}
        self.beat = time.monotonic()
        self.assembled: set[str] = set()  # sensors whose monitors listen
        self.underway = (
            False  # set by the daemon: a mistake found from now on stops its monitor, not the agent
        )
        self.mistake: ConfigError | None = None  # the user's, found only when a sensor was opened

    def opened(self, sensor: Sensor) -> None:
        """A reader's word that its sensor is open; called in the reader's thread. Raises SensorError when it is not
        the sensor that its monitors were made for."""
        shape = ([(channel.name, channel.unit) for channel in sensor.channels], sensor.rate_hz)
        before = self._shapes.setdefault(sensor.name, shape)
        if before != shape:
            raise SensorError(
                f"it came back as another: {_words(shape)}, before {_words(before)};"
                " start the agent again to listen to it as it is"
            )
        self._opened.append(sensor)

    def start(self) -> None:
        """Call when the readers are there. Alerts of an earlier run stand, each until something is known of it; what
        else it left on the retained topics is taken away."""
        over = []
        for entry in self._standing.entries():
            if entry.monitor not in self._config.monitors or entry.monitor in self._replayed:
                over.append(self._given_up(entry, "its monitor is gone from the configuration"))
            elif entry.about == "sensor":
                self._silence(entry.monitor).alert = entry.alert
        for name in self._config.monitors:
            for about in ABOUT:
                standing = self._standing.get(name, about)
                message = messages.alert_cleared(name, self._topics, about)
                if standing is not None:
                    message = dataclasses.replace(message, payload=standing.payload.encode())
                self._publisher.retain(message)
        self._emit(over)
        self._thread.start()

    def _given_up(self, entry: Entry, why: str) -> Event:
        return entry.given_up(why, round(time.time(), 6), self._next(entry.monitor))

    def stop(self, timeout_s: float) -> bool:
        """Deal with what has arrived, save, end; call when the readers have ended. False when it hangs."""
        self._stop_by = time.monotonic() + timeout_s / 2
        self._stop.set()
        self._inbox.hurry()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        tick_at = 0.0
        while True:
            last = self._stop.is_set()  # before the take: what comes after it is in the take
            readings = self._inbox.take(TICK_S)
            self.beat = now = time.monotonic()
            try:
                while self._opened:
                    self._assemble(self._opened.popleft())
            except ConfigError as mistake:
                self.mistake = mistake
                return
            if readings:
                self.counters["readings"] += len(readings)
                began = time.thread_time()
                events = self._pipeline.push(readings)
                if self.governor is not None:
                    self.governor.spend(time.thread_time() - began)
                if events:
                    self._emit(events)
                    self._keep_evidence()
            if now >= tick_at or last:
                tick_at = now + TICK_S
                self._tick(now, last)
            if last and (not readings or now > self._stop_by):
                break
        if left := self._inbox.abandon():
            logger.warning("no time to judge the last %d rows before the stop: they are dropped", left)
            for name in self._config.monitors:
                self._state(name, now, last=True)
        self._emit(self._pipeline.flush())
        self._keep_evidence(last=True)
        self._save(everything=True)
        if self._unsaved:
            logger.error("%d events could not be put on disk and are lost", len(self._unsaved))

    def _assemble(self, sensor: Sensor) -> None:
        """Monitors for a sensor that has just been opened. Raises ConfigError with all that is wrong with them."""
        if sensor.name in self.assembled:
            return
        mistakes: list[Mistake] = []
        for config in self._config.monitors.values():
            if config.sensor != sensor.name:
                continue
            try:
                monitor = make_monitor(
                    config, sensor, seq=self._seqs[config.name], governed=self.governor is not None
                )
            except ConfigError as error:
                mistakes += error.mistakes
                if self.underway:
                    logger.error("%s", error)
                    self.trouble[f"monitor {config.name}"] = str(error)
                continue
            if self._config.evidence.max_size_bytes:
                monitor.remember(self._config.device, self._config.evidence.memory_bytes)
            self._arm(monitor)
            self._pipeline.add(monitor)
            self._monitors[config.name] = monitor
            if self.governor is not None:
                self.governor.add(monitor, *work_of(config, sensor, monitor), time.monotonic())
            self._go_on(monitor)
            shape = shape_of(config, sensor, len(config.channels or sensor.channels))
            length = shape.window if shape.kind == "vibration" else 1  # a row of telemetry is a window
            span_s = (length + 3 * shape.hop) / sensor.rate_hz
            self._silence(config.name).expect(monitor, span_s, shape.unit[:-1], time.monotonic())
            self._lean_at = time.monotonic() + LEAN_S
            status = monitor.status()
            logger.info(
                "monitor %s on sensor %s: %s %s", monitor.name, sensor.name, status.health, status.needs
            )
        if mistakes and not self.underway:
            raise ConfigError(mistakes)
        self.assembled.add(sensor.name)

    def _go_on(self, monitor: Monitor) -> None:
        """With the alerts that the machine and its sensor's signal were in when an earlier run ended."""
        ailment = self._standing.get(monitor.name, "signal")
        if ailment is not None and monitor.signal is not None:
            monitor.signal.resume(ailment.alert)
        elif ailment is not None:
            self._emit([self._given_up(ailment, "nobody watches its signal any more")])
        entry = self._standing.get(monitor.name, "state")
        if entry is not None and not monitor.resume(entry.alert):
            self._emit([self._given_up(entry, "its monitor tells no operating states any more")])
        known: dict[About, bool] = {"machine": monitor.armed, "creeping": monitor.commissioned}
        for about, armed in known.items():
            entry = self._standing.get(monitor.name, about)
            if entry is None:
                continue
            if armed:
                monitor.alerts[about] = entry.alert
            else:
                why = "its monitor learns afresh, and knows nothing of it any more"
                self._emit([self._given_up(entry, why)])

    def _arm(self, monitor: Monitor) -> None:
        """From a baseline on disk, if there is one to use."""
        trouble = shelf.arm(monitor, baseline_path(self._config, monitor.name))
        if trouble:
            self.trouble[f"baseline of {monitor.name}"] = trouble

    def _emit(self, events: list[Event]) -> None:
        """Onto the disk, then to whoever watches the retained topic; [] tries again what the disk refused."""
        clock = read_clock() if events else None
        retained: list[Message] = []
        for event in events:
            logger.warning("%s", sentence(event))
            self._unsaved.append(
                messages.encode(event, self._config.device, self._config.broker.prefix, clock)
            )
            message = messages.alert_retained(event, self._topics, clock)
            if message is not None:
                retained.append(message)
                if event.monitor not in self._replayed:
                    self._standing.take(event, message.payload)
        self._note_standing()
        if self._unsaved:
            self._keep()
        for message in retained:
            self._publisher.retain(message)

    def _keep(self) -> None:
        """Put on disk what is not there yet. While the disk refuses, events wait in memory, and the oldest go."""
        try:
            self._outbox.put_all(self._unsaved)
        except OutboxError as error:
            if "outbox" not in self.trouble:
                logger.error("%s; events wait in memory", error)
            lost = len(self._unsaved) - MOST_UNSAVED
            if lost > 0:
                self.counters["events_lost_to_memory"] += lost
                del self._unsaved[:lost]
            self.trouble["outbox"] = f"{error}; {len(self._unsaved)} events wait in memory"
            return
        self.counters["events"] += len(self._unsaved)
        if self.trouble.pop("outbox", None):
            logger.info("the disk takes events again: %d waited in memory", len(self._unsaved))
        self._unsaved.clear()
        self._standing.settle()
        self._note_standing()

    def _note_standing(self) -> None:
        try:
            self._standing.save()
        except OSError as error:
            words = f"{self._standing.path} cannot be written: {error.strerror}"
            if self.trouble.get("alerts") != words:
                logger.error("%s; a restart would forget alerts", words)
            self.trouble["alerts"] = words
            return
        self.trouble.pop("alerts", None)

    def _keep_evidence(self, *, last: bool = False) -> None:
        """Onto the disk, after the alerts that name it; what the disk refuses is given up."""
        for name, monitor in self._monitors.items():
            for evidence in monitor.evidence(last=last):
                payload = messages.event_payload(evidence.event, self._config.device)
                try:
                    self._evidence.put(evidence, payload)
                except OSError as error:
                    words = f"{self._evidence.folder} cannot be written: {error.strerror}"
                    if self.trouble.get("evidence") != words:
                        logger.error("%s; the evidence of %s is not kept", words, name)
                    self.trouble["evidence"] = words
                    continue
                if self.trouble.pop("evidence", None):
                    logger.info("evidence is kept again")
        self.counters["evidence_written"] = self._evidence.written
        self.counters["evidence_removed"] = self._evidence.removed

    # Once every TICK_S.

    def _tick(self, now: float, last: bool) -> None:
        if now >= self._lean_at:
            self._lean_at = math.inf
            memory.release()
            logger.debug("memory is released that only starting and learning needed")
        self._emit(self._listen_for_silence(now))
        self._keep_evidence()
        if self.governor is not None:
            self._govern(self.governor, now)
        for sensor in self.assembled - self._flushed:
            if self._readers[sensor].phase == "finished" and self._inbox.idle:
                self._flushed.add(sensor)
                self._emit(self._pipeline.flush(sensor))
        due = last or now >= self._states_at
        if due:
            self._states_at = now + STATES_S
        for name in self._config.monitors:
            news = self._news(name)
            if due or news != self._newest.get(name):
                self._newest[name] = news
                self._state(name, now, last)
        if now - self._saved_at >= SAVE_S:
            self._save(everything=True)
        elif now >= self._save_after and any(monitor.unsaved for monitor in self._monitors.values()):
            self._save()

    def _govern(self, governor: Regulator, now: float) -> None:
        """Have the monitors work as the budgets let them."""
        change = governor.tick(now)
        if change is not None:
            logger.info("%s", change.sentence)
            self._plan_seq += 1
            self._unsaved.append(
                messages.plan_change(
                    change, self._plan_seq, round(time.time(), 6), self._topics, read_clock()
                )
            )
            self._keep()
        if governor.short_of_memory and now - self._spare_at > SPARE_S:
            self._spare_at = now
            memory.release()

    def _listen_for_silence(self, now: float) -> list[Event]:
        """A monitor that has nothing to judge is an alert about its sensor, on the ordinary road."""
        events = []
        for name, monitor in self._config.monitors.items():
            silence = self._silence(name)
            level = silence.level(now)
            if self._readers[monitor.sensor].phase == "stopped":  # by us, which is no news about the sensor
                continue
            at = round(time.time(), 6)
            before, silence.alert = silence.alert, advance(silence.alert, SILENCE, level, at)
            kind = happened(before, silence.alert)
            if kind == "raised":  # nothing comes behind what was passed over
                events += self._pipeline.flush(monitor.sensor)
            if kind is None or kind == "updated":
                continue
            events.append(
                Event(
                    kind=kind,
                    monitor=name,
                    time=at,
                    seq=self._next(name),
                    alert=silence.alert,
                    level=level,
                    moved=(),
                    model=None,
                    plan=None,
                    sensor=monitor.sensor,
                    about="sensor",
                    note=silence.note,
                )
            )
        return events

    def _silence(self, monitor: str) -> Silence:
        if monitor not in self._silences:
            sensor = self._config.monitors[monitor].sensor
            self._silences[monitor] = Silence(self._readers[sensor], self._config.sensors[sensor].silence_s)
        return self._silences[monitor]

    @property
    def deaf(self) -> dict[str, str]:
        """Monitors that have had nothing to judge for too long, or whose sensor's signal is faulty, and why; without
        those whose sensor says it itself."""
        silent = {
            name: silence.problem
            for name, silence in list(self._silences.items())
            if silence.problem and not self._readers[self._config.monitors[name].sensor].error
        }
        faulty = {
            name: ", ".join(f"{channel or 'samples'}: {kind}" for kind, channel, _ in monitor.signal.faults)
            for name, monitor in list(self._monitors.items())
            if monitor.signal is not None and monitor.signal.ailing
        }
        return {**faulty, **silent}

    def _next(self, monitor: str) -> int:
        """The next number of this monitor, also before it could be assembled."""
        if monitor in self._monitors:
            return self._monitors[monitor].number()
        self._seqs[monitor] += 1
        return self._seqs[monitor]

    def _news(self, name: str) -> tuple[object, ...]:
        """What others should see at once: cheaper than to make a state that says the same as the one before."""
        monitor, reader = self._monitors.get(name), self._readers[self._config.monitors[name].sensor]
        of_reader = (reader.phase, reader.error, self._silence(name).problem)
        if monitor is None:
            return of_reader
        return (*of_reader, monitor.armed, monitor.alert, monitor.ailing)

    def _state(self, name: str, now: float, last: bool) -> None:
        config, device = self._config.monitors[name], self._config.device
        monitor, reader = self._monitors.get(name), self._readers[config.sensor]
        dropped = self._inbox.dropped(config.sensor)
        if monitor is None:
            standing = self._standing.get(name, "machine")
            alert = None if standing is None else standing.alert
            not_open = f"sensor {config.sensor}: {reader.error or 'not open yet'}"
            why = self.trouble.get(f"monitor {name}", not_open)
            state = without_a_sensor(name, config.sensor, device, time.time(), alert, why, dropped)
        else:
            state = state_of(monitor, device, time.time(), self._blind(name, reader), dropped)
        self.states[name] = state
        # What is news at once; a level that hovers is not.
        what = (state.health, state.severity, bool(state.faults))
        at, before = self._published.get(name, (-math.inf, ()))
        if what != before or last or now - at >= config.publish_state_s:
            self._published[name] = (now, what)
            self._publisher.retain(messages.monitor_state(state, self._topics))

    def _blind(self, name: str, reader: Reader) -> str:
        """Why nothing can be judged; "" where something can."""
        if reader.ended:
            return ""
        if reader.error:
            return f"sensor {reader.sensor.name}: {reader.error}"
        monitor = self._monitors.get(name)
        if monitor is not None and monitor.signal is not None and monitor.signal.ailing and monitor.absent:
            return f"sensor {reader.sensor.name}: {monitor.signal.note(time.time())}"
        return self._silence(name).note

    def _save(self, *, everything: bool = False) -> None:
        """Baselines just learned; with `everything` the streaming state of all that are armed."""
        if everything:
            self._saved_at = time.monotonic()
        for monitor in self._monitors.values():
            self._standing.renew(monitor.name, monitor.alert)
            baseline = monitor.current_baseline()
            if baseline is None or not (everything or monitor.unsaved):
                continue
            path = baseline_path(self._config, monitor.name)
            trouble = f"baseline of {monitor.name}"
            try:
                baselines.save(path, baseline, monitor.belongs_to)
            except OSError as error:
                words = f"{path} cannot be written: {error.strerror}"
                if self.trouble.get(trouble) != words:
                    logger.error("%s", words)
                self.trouble[trouble] = words
                self._save_after = time.monotonic() + SAVE_AGAIN_S
                continue
            if monitor.unsaved:
                rows = baseline.origin.rows
                logger.info("monitor %s has learned from %d rows and is armed", monitor.name, rows)
            monitor.unsaved = False
            self._lean_at = time.monotonic() + LEAN_S
            self.trouble.pop(trouble, None)
        self._note_standing()


def _words(shape: tuple[object, float]) -> str:
    return f"{shape[0]} at {shape[1]:.9g} Hz"
