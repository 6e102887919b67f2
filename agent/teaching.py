"""What normal is, learned in one go and saved: `tocsin learn`."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType

import msgspec

from agent.assemble import baseline_path, load_baseline, make_monitor, make_sensor
from agent.config import Config, ConfigError, unusable
from agent.health import AlreadyRunning, Lock
from agent.messages import rfc3339
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.offline import next_reading
from agent.progress import Progress, span
from agent.quantities import SPAN
from agent.recordings import Refusal, make_recording, pick, recorded
from agent.sentences import sentence
from agent.yaml_lines import Mistake
from models import baseline as baselines
from models.baseline import Baseline, BaselineError
from sensors.base import Reading, Sensor, SensorError

PATIENCE = 20  # times the rows needed: who has not learned from so many will not
READ_S = 0.2  # a live sensor is left alone for at most so long after the end
STOP_S = 2.0
SIMULATED = ("recording", "synthetic")  # go as fast as they are read


def command(
    config: Config,
    names: Sequence[str],
    *,
    recording: str | None,
    options: Sequence[str],
    lesson: str | None,
    again: bool,
) -> int:
    """`tocsin learn`. Raises Refusal, ConfigError, SensorError."""
    for name in names:
        pick("monitor", name, config.monitors)
    if recording is not None:
        config = recorded(config, [recording], monitors=names, options=options)
    elif options:
        raise Refusal("--option is for the file given with --recording: there is none")
    chosen = [monitor for name, monitor in config.monitors.items() if not names or name in names]
    if lesson is not None:
        try:
            much = SPAN.parse(lesson)
        except ValueError as error:
            raise Refusal(f'--for "{lesson}": {error}') from None
        chosen = [msgspec.structs.replace(monitor, learn=much) for monitor in chosen]
    try:
        with Lock(config.state_dir):
            return _teach(config, chosen, named=bool(names), again=again)  # names its sensors' own OSErrors
    except AlreadyRunning as error:
        raise Refusal(
            f"{error}: stop it first (sudo systemctl stop tocsin), or let it learn by itself: to make it learn anew,"
            " stop it, remove the baseline and start it"
        ) from None
    except ConfigError as error:
        if lesson is None:
            raise
        raise ConfigError(_of_the_option(mistake, lesson) for mistake in error.mistakes) from None
    except OSError as error:
        raise Refusal(unusable(config.state_dir, error.strerror)) from None


def _of_the_option(mistake: Mistake, lesson: str) -> Mistake:
    """What is wrong with a monitor's `learn` is wrong with --for, which took its place."""
    monitor, _, key = mistake.path.rpartition(".")
    return Mistake("", 0, f'--for "{lesson}": {monitor}', mistake.message) if key == "learn" else mistake


def _teach(config: Config, chosen: Sequence[MonitorConfig], *, named: bool, again: bool) -> int:
    sensors: dict[str, Sensor] = {}
    try:
        for name in dict.fromkeys(monitor.sensor for monitor in chosen):
            sensors[name] = _open(config, name)
        pupils = []
        for entry in chosen:
            monitor = make_monitor(entry, sensors[entry.sensor])
            if again or _may_learn(config, monitor, named):
                pupils.append(monitor)
        if pupils:
            heard = [sensor for name, sensor in sensors.items() if name in {m.sensor for m in pupils}]
            patience_s = {
                sensor.name: config.sensors[sensor.name].silence_s(
                    1 / sensor.rate_hz if sensor.rate_hz else 0.0
                )
                for sensor in heard
            }
            _study(pupils, heard, patience_s)
    finally:
        for sensor in sensors.values():
            with _named(sensor):
                sensor.close()
    late = []
    for monitor in pupils:
        if monitor.baseline is None:
            late.append(f"monitor {monitor.name} {monitor.status().needs}: nothing is saved for it")
            continue
        path = baseline_path(config, monitor.name)
        baselines.save(path, monitor.baseline, monitor.belongs_to)
        print(f"monitor {monitor.name} {learned(monitor.baseline)}")
        for state in monitor.status().states:
            print(f"  {state.words}")
        print(f"  false alarms: {monitor.aim.words()}\n  saved as {path}")
    if late:
        raise Refusal("\n".join(late))
    return 0


def _open(config: Config, name: str) -> Sensor:
    entry = config.sensors[name]
    if entry.driver in SIMULATED:
        entry = msgspec.structs.replace(entry, options={**entry.options, "speed": 0.0})
    if entry.driver == "recording":
        entry = msgspec.structs.replace(entry, options={**entry.options, "repeat": False})
        sensor: Sensor = make_recording(entry)
    else:
        sensor = make_sensor(entry)
    with _named(sensor):
        sensor.open()
    return sensor


@contextmanager
def _named(sensor: Sensor) -> Iterator[None]:
    """What the world does to a driver, said as the sensor's own. Raises SensorError for OSError."""
    try:
        yield
    except OSError as error:
        raise sensor.error(error.strerror or str(error)) from error


def _may_learn(config: Config, monitor: Monitor, named: bool) -> bool:
    """Whether there is no good baseline yet; says what it finds."""
    try:
        found = load_baseline(config, monitor)
    except BaselineError as error:
        print(f"{error}: it will be replaced", file=sys.stderr)
        return True
    if found is None:
        return True
    words = f"monitor {monitor.name} has a good baseline: it {learned(found)}; --again replaces it"
    if named:
        raise Refusal(words)
    print(words, file=sys.stderr)
    return False


def _study(pupils: Sequence[Monitor], sensors: Sequence[Sensor], patience_s: Mapping[str, float]) -> None:
    needed = sum(monitor.learning[1] for monitor in pupils)
    live = any(not sensor.waits for sensor in sensors)
    if live:
        rows = ", ".join(f"{monitor.name} {monitor.status().needs}" for monitor in pupils)
        print(f"listening to {', '.join(sensor.name for sensor in sensors)}: {rows}", file=sys.stderr)

    def missing() -> int:
        return sum(monitor.learning[0] for monitor in pupils)

    def wanted(sensor: str) -> bool:
        return any(
            not monitor.armed and monitor.windows <= PATIENCE * monitor.learning[1]
            for monitor in pupils
            if monitor.sensor == sensor
        )

    with Progress("learn") as bar:
        for reading in _readings(sensors, wanted, patience_s):
            for monitor in pupils:
                if monitor.sensor != reading.sensor or monitor.armed:
                    continue  # whoever has learned is done, however long the others take
                monitor.take(reading)  # what it gives to score is for `run` and `replay`
                for event in monitor.tell():
                    if event.about == "signal":  # which is not learned from
                        bar.clear()
                        print(sentence(event), file=sys.stderr)
            bar.tell(lambda: 1 - missing() / needed, lambda: f"{needed - missing()} of {needed} rows")


Heard = tuple[str, "Reading | BaseException | None"]  # by which sensor; None: no more will come


def _readings(
    sensors: Sequence[Sensor], wanted: Callable[[str], bool], patience_s: Mapping[str, float]
) -> Iterator[Reading]:
    """What the sensors give while it is wanted: one after the other where they can wait, else all at once.

    Raises SensorError, also when a live one is silent for longer than its patience, and whatever ends its thread.
    """
    patient = [sensor for sensor in sensors if sensor.waits]
    live = [sensor for sensor in sensors if not sensor.waits]
    for sensor in patient:
        with _named(sensor):
            while wanted(sensor.name) and (reading := next_reading(sensor)) is not None:
                yield reading
    if not live:
        return
    heard: queue.Queue[Heard] = queue.Queue(maxsize=1024)
    stop = threading.Event()
    threads = [
        threading.Thread(target=_listen, args=(sensor, heard, stop), name=f"read:{sensor.name}", daemon=True)
        for sensor in live
    ]
    since = {sensor.name: time.monotonic() for sensor in live}  # when each gave something
    for thread in threads:
        thread.start()
    try:
        while any(wanted(name) for name in since):
            try:
                name, item = heard.get(timeout=READ_S)
            except queue.Empty:
                pass
            else:
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    del since[name]
                    continue
                since[name] = time.monotonic()
                yield item
            _complain_of_silence(since, wanted, patience_s)
    finally:
        stop.set()
        for thread in threads:
            thread.join(STOP_S)


def _complain_of_silence(
    since: Mapping[str, float], wanted: Callable[[str], bool], patience_s: Mapping[str, float]
) -> None:
    """Raises SensorError: who is still wanted and has given nothing for too long will hardly give more."""
    now = time.monotonic()
    for name, at in since.items():
        if now - at > patience_s[name] and wanted(name):
            raise SensorError(f"{name}: gave nothing for {now - at:.3g} s")


def _listen(sensor: Sensor, heard: queue.Queue[Heard], stop: threading.Event) -> None:
    """Read until told to stop."""
    with _Last(sensor.name, heard, stop), _named(sensor):
        while not (stop.is_set() or sensor.finished):
            reading = sensor.read(READ_S)
            if reading is not None:
                _put(heard, (sensor.name, reading), stop)


class _Last:
    """The last word of a thread: what ended it, passed on to the one who would wait for it for ever."""

    def __init__(self, name: str, heard: queue.Queue[Heard], stop: threading.Event) -> None:
        self._name, self._heard, self._stop = name, heard, stop

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        _put(self._heard, (self._name, error), self._stop)
        return True


def _put(heard: queue.Queue[Heard], item: Heard, stop: threading.Event) -> None:
    """Wait for room, but not for one who has gone."""
    while not stop.is_set():
        try:
            heard.put(item, timeout=READ_S)
            return
        except queue.Full:
            continue


def learned(baseline: Baseline) -> str:
    """What a baseline was learned from, in words."""
    origin = baseline.origin
    left_out = [
        f"{count} {what}"
        for count, what in (
            (origin.stuck, "in which a channel was stuck"),
            (origin.strays, "far from the others"),
        )
        if count
    ]
    return "".join(
        (
            f"learned from {origin.rows} rows, {rfc3339(origin.first)} to {rfc3339(origin.last)}",
            f" ({span(origin.last - origin.first)})",
            f", left out {' and '.join(left_out)}" if left_out else "",
            *(f"\n  note: {note}" for note in origin.notes),
        )
    )
