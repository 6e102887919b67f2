"""The road from files: recordings walked through the very monitors of `run`, without threads or clocks."""

from __future__ import annotations

import heapq
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import IO

import msgspec

from agent import labels as notes
from agent.alerts import Event
from agent.assemble import load_baseline, make_monitor
from agent.config import Config
from agent.evidence_store import Store
from agent.labels import COLUMN, LabelError, Verdict, Window
from agent.listing import Listing
from agent.messages import encode, event_payload
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from agent.progress import Progress
from agent.recordings import Refusal, make_recording, recorded
from agent.replayed import LabelReport, ReplayReport, Tally, hours_of, report_of, summary
from models.baseline import BaselineError
from models.detector import Job, LearningError
from sensors.base import Reading, Sensor, SensorError
from sensors.recording import Recording

MICROSECOND = 1e-6  # what the times of events are rounded to


# Walking.


def walk(
    pipeline: Pipeline,
    sensors: Sequence[Sensor],
    tallies: Mapping[str, Tally],
    watch: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """The events of opened sensors that end, in the order of time, whatever pieces their samples come in.

    Readings of several sensors are taken in the order of their times. An event is held until no earlier one can come.
    What a sensor gave before it failed is walked; then its SensorError is raised.
    """
    order = {monitor.name: i for i, monitor in enumerate(pipeline.monitors)}
    ahead: list[tuple[float, int, Reading]] = []
    failure: SensorError | None = None
    held: list[Event] = []

    def fetch(i: int) -> None:
        nonlocal failure
        try:
            reading = next_reading(sensors[i])
        except SensorError as error:
            failure = failure or error
            return
        if reading is not None:
            heapq.heappush(ahead, (reading.time, i, reading))

    for i in range(len(sensors)):
        fetch(i)
    while ahead:
        time, i, reading = heapq.heappop(ahead)
        if held:
            held.sort(key=lambda event: (event.time, order[event.monitor], event.seq))
            while held and held[0].time < time - MICROSECOND:
                yield held.pop(0)
        held += pipeline.push([reading])
        tally = tallies[sensors[i].name]
        tally.rows += len(reading.values)
        tally.first = time if tally.first is None else tally.first
        tally.last = time + (len(reading.values) - 1) / reading.rate_hz
        fetch(i)
        watch()
    yield from sorted(held, key=lambda event: (event.time, order[event.monitor], event.seq))
    if failure is not None:
        raise failure


def next_reading(sensor: Sensor) -> Reading | None:
    """The next Reading of a sensor that ends; None at its end."""
    while not sensor.finished:
        reading = sensor.read(1.0)
        if reading is not None:
            return reading
    return None


# The command.


def replay_command(
    config: Config | None,
    files: Sequence[str],
    *,
    monitors: Sequence[str],
    sensors: Sequence[str],
    options: Sequence[str],
    chunk: int,
    labels: str | None,
    out: str | None,
    as_json: bool,
    saved: bool,
    evidence: str | None = None,
    table: bool = False,
    config_file: str | None = None,
) -> int:
    """`tocsin replay`; `config_file` is where `config` was read from; `table`: lines for a person, as on a
    terminal. Raises Refusal, ConfigError, SensorError."""
    if saved and config is None:
        raise Refusal("--baseline needs a configuration: give it with --config")
    config = recorded(config, files, monitors=monitors, sensors=sensors, options=options, chunk=chunk)
    if out is not None:
        read = [sensor.options["file"] for sensor in config.sensors.values()]
        _spare(out, [*read, *(file for file in (labels, config_file) if file)])
    opened: list[Recording] = []
    try:
        for entry in config.sensors.values():
            opened.append(make_recording(entry))
            opened[-1].open()
        made = [
            make_monitor(monitor, next(sensor for sensor in opened if sensor.name == monitor.sensor))
            for monitor in config.monitors.values()
        ]
        if saved:
            for monitor in made:
                _arm(config, monitor)
        kept = config.evidence
        store = None if evidence is None else Store(Path(evidence), kept.max_size_bytes, kept.max_files)
        for monitor in made:
            if kept.max_size_bytes:
                monitor.remember(config.device, None if store is None else kept.memory_bytes)
        windows = None if labels is None else _read_labels(labels, config)
        if out is None:
            listing = Listing([monitor.name for monitor in made]) if table or sys.stdout.isatty() else None
            printed = None if as_json else sys.stdout.buffer
            report = _replay(config, opened, made, windows, printed, store, listing)
        else:
            try:
                with _whole(Path(out)) as file:
                    report = _replay(config, opened, made, windows, file, store)
            except OSError as error:
                raise Refusal(f"{out}: cannot be written: {error.strerror}") from None
    finally:
        for sensor in opened:
            sensor.close()
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        print(summary(report), file=sys.stderr)
    return 0


def _spare(out: str, read: Iterable[str | Path]) -> None:
    """Refuse to write over what is read, under whatever name."""
    for file in read:
        try:
            same = Path(out).samefile(file)
        except OSError:  # one of them is not there
            continue
        if same:
            raise Refusal(f"--out {out}: that is {file}, which is read: the alerts would destroy it")


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when all is written; what fails leaves `path` as it was. A pipe or a
    device is written as it is. Raises OSError."""
    path = Path(os.path.realpath(path))  # a link goes on pointing there
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            yield file
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _replay(
    config: Config,
    sensors: Sequence[Recording],
    monitors: Sequence[Monitor],
    windows: Mapping[str, list[Window]] | None,
    out: IO[bytes] | None,
    store: Store | None,
    listing: Listing | None = None,
) -> ReplayReport:
    pipeline = Pipeline(monitors)
    tallies = {sensor.name: Tally() for sensor in sensors}
    kinds: dict[str, int] = {}
    raised: dict[str, list[float]] = {monitor.name: [] for monitor in monitors}
    ailments = dict.fromkeys(raised, 0)  # alerts about the sensor's signal
    prefix = config.broker.prefix
    judged = dict.fromkeys((monitor.name for monitor in monitors), 0)
    for monitor in monitors:
        monitor.listener = _counter(judged, monitor.name)
    began = perf_counter()

    def words() -> str:
        rows = sum(tally.rows for tally in tallies.values())
        return f"{rows:,} rows, {rows / (perf_counter() - began):,.0f} rows/s"

    with Progress("replay") as bar:

        def watch() -> None:
            if store is not None:
                _keep_evidence(store, monitors, config.device)
            bar.tell(lambda: sum(sensor.progress() for sensor in sensors) / len(sensors), words)

        for event in walk(pipeline, sensors, tallies, watch):
            kinds[event.kind] = kinds.get(event.kind, 0) + 1
            if event.kind == "raised" and event.about == "signal":
                ailments[event.monitor] += 1
            elif event.kind == "raised":
                raised[event.monitor].append(event.time)
            if out is not None and listing is None:
                out.write(encode(event, config.device, prefix).payload + b"\n")
            elif out is not None and listing is not None:
                bar.clear()
                if len(kinds) == 1 and kinds[event.kind] == 1:
                    out.write(listing.head().encode() + b"\n")
                out.write(listing.line(event).encode() + b"\n")
                out.flush()
    if store is not None:
        _keep_evidence(store, monitors, config.device, last=True)
    if out is not None:
        out.flush()
    seconds = perf_counter() - began
    rows = sum(tally.rows for tally in tallies.values())
    hours = hours_of(tallies.values())
    alerts = sum(len(times) for times in raised.values())
    return ReplayReport(
        device=config.device,
        rows=rows,
        seconds=round(seconds, 6),
        rows_per_s=round(rows / seconds, 1),
        windows=sum(monitor.windows for monitor in monitors),
        alerts=alerts,
        signal_alerts=sum(ailments.values()),
        events=dict(sorted(kinds.items())),
        hours=round(hours, 6),
        alarms_per_hour=round(alerts / hours, 9) if hours else None,
        monitors=[
            report_of(
                monitor,
                len(raised[monitor.name]),
                ailments[monitor.name],
                tallies[monitor.sensor],
                judged[monitor.name],
            )
            for monitor in monitors
        ],
        skipped={str(sensor.file): dict(sensor.skipped) for sensor in sensors if sensor.skipped},
        examples={str(sensor.file): dict(sensor.examples) for sensor in sensors if sensor.examples},
        labels=None if windows is None else _judge(windows, monitors, raised),
    )


def _keep_evidence(store: Store, monitors: Iterable[Monitor], device: str, *, last: bool = False) -> None:
    """Raises Refusal: whoever asked for a folder wants it written."""
    for monitor in monitors:
        for evidence in monitor.evidence(last=last):
            try:
                store.put(evidence, event_payload(evidence.event, device))
            except OSError as error:
                raise Refusal(f"{store.folder}: cannot be written: {error.strerror}") from None


def _counter(judged: dict[str, int], name: str) -> Callable[[Job, Sequence[float]], None]:
    """Counts the levels of a monitor."""

    def count(_: Job, levels: Sequence[float]) -> None:
        judged[name] += len(levels)

    return count


def _arm(config: Config, monitor: Monitor) -> None:
    try:
        baseline = load_baseline(config, monitor)
        if baseline is None:
            raise Refusal(f"monitor {monitor.name} has no baseline: tocsin learn {monitor.name}")
        monitor.arm(baseline)
    except (BaselineError, LearningError) as error:
        raise Refusal(f"monitor {monitor.name}: {error}") from None


def _read_labels(labels: str, config: Config) -> dict[str, list[Window]]:
    """Windows of each sensor."""
    try:
        if not labels.startswith(COLUMN):
            files = {name: Path(sensor.options["file"]) for name, sensor in config.sensors.items()}
            return notes.read(labels, files)
        column = labels.removeprefix(COLUMN)
        return {
            name: notes.from_column(
                make_recording(
                    msgspec.structs.replace(
                        sensor, options={**sensor.options, "channels": [column], "chunk": 0}
                    )
                ),
                column,
            )
            for name, sensor in config.sensors.items()
        }
    except LabelError as error:
        raise Refusal(str(error)) from None


def _judge(
    windows: Mapping[str, list[Window]], monitors: Sequence[Monitor], raised: Mapping[str, list[float]]
) -> LabelReport:
    """All monitors of a sensor together; a window is unjudged when none of them had learned by its end."""
    verdict = Verdict()
    for sensor, spans in windows.items():
        listening = [monitor for monitor in monitors if monitor.sensor == sensor]
        times = [time for monitor in listening for time in raised[monitor.name]]
        armed = [monitor.baseline.origin.last for monitor in listening if monitor.baseline is not None]
        verdict.add(spans, times, min(armed, default=float("inf")))
    return LabelReport(
        windows=verdict.windows,
        hits=verdict.hits,
        misses=verdict.misses,
        unjudged=verdict.unjudged,
        false_alarms=verdict.false_alarms,
        delays_s=verdict.delays_s,
    )
