from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent import road as roads
from agent.config import Config, ConfigError, load_text
from agent.inbox import Inbox
from agent.messages import Topics
from agent.outbox import Outbox
from agent.publisher import BrokerOptions, Publisher
from agent.reader import Reader
from agent.road import Road
from sensors.base import Channel, Reading, Sensor, SensorError

START = 1_700_000_000.0

CONFIG = """
device: pi-7
state_dir: {folder}
sensors:
  pump: {{driver: recording, file: somewhere.csv, silent_after: 30 s}}
monitors:
  pump: {{sensor: pump, learn: 100 rows, window: 5 rows, publish_state: 10 s}}
  fan: {{sensor: pump, channels: [b], detector: mahalanobis, learn: 200 rows, window: 5 rows}}
"""


class Device(Sensor):
    """Two channels at 1 Hz, that somebody else reads."""

    def __init__(self, *names: str) -> None:
        self.name, self.rate_hz = "pump", 1.0
        self.channels = tuple(Channel(name) for name in names or ("a", "b"))

    def open(self) -> None: ...

    def read(self, timeout: float) -> Reading | None:
        return None

    def close(self) -> None: ...


class Bench:
    """A road whose turns the test makes, on a clock that the test pushes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, config: str = CONFIG) -> None:
        self.config: Config = load_text(config.format(folder=folder), folder / "tocsin.yaml")
        self.now, self.wall = time.monotonic(), START
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time", lambda: self.wall)
        self.outbox = Outbox(folder / "outbox.db")
        self.outbox.open()
        topics = Topics(self.config.broker.prefix, self.config.device)
        self.publisher = Publisher(BrokerOptions(), self.outbox, topics)
        self.device = Device()
        self.reader = Reader(self.device, Inbox(), lambda sensor: None)
        self.road = Road(self.config, Inbox(), self.outbox, self.publisher, {"pump": self.reader})
        self.rows = 0

    def pass_by(self, seconds: float) -> None:
        """Time, in ticks; nothing is heard meanwhile."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            self.wall += 0.5
            self.road._tick(self.now, False)

    def come_back(self, rows: int = 1) -> None:
        """The reader hears something, which does not reach the road yet."""
        self.reader.heard, self.reader.phase = self.now, "reading"
        self.reader.rows += rows

    def hear(self, rows: int, level: float = 0.0, lost: str = "") -> None:
        """`lost` names channels that are no numbers."""
        random = np.random.default_rng(self.rows)
        values = random.normal(level, 1.0, (rows, 2)).astype(np.float32)
        for name in lost.split():
            values[:, ["a", "b"].index(name)] = math.nan
        reading = Reading("pump", START + self.rows, 1.0, values)
        self.rows += rows
        self.come_back(rows)
        self.road._emit(self.road._pipeline.push([reading]))

    def assemble(self, *names: str) -> None:
        self.road._assemble(Device(*names) if names else self.device)

    def payloads(self) -> list[dict[str, Any]]:
        return [json.loads(stored.message.payload) for stored in self.outbox.pending(1000)]

    def events(self) -> list[tuple[str, str, int]]:
        return [(event["monitor"], event["kind"], event["seq"]) for event in self.payloads()]

    def health(self, monitor: str) -> str:
        return self.road.states[monitor].health

    def level(self, monitor: str) -> float | None:
        return self.road.states[monitor].level

    def retained(self, topic: str) -> bytes | None:
        found = self.publisher._retained.get(f"tocsin/pi-7/{topic}")
        return None if found is None else found.payload


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.outbox.close()


def test_events_before_the_sensor_opened_have_numbers_of_their_own(bench: Bench) -> None:
    bench.outbox.close()  # the disk refuses: nothing on it tells which numbers were given
    bench.pass_by(31)
    bench.come_back()
    bench.pass_by(1)
    bench.pass_by(31)
    assert "4 events wait in memory" not in bench.road.trouble["outbox"]
    assert "6 events wait in memory" in bench.road.trouble["outbox"]
    bench.outbox.open()
    bench.pass_by(1)
    assert "outbox" not in bench.road.trouble
    kinds = ("raised", "cleared", "raised")
    assert [event for event in bench.events() if event[0] == "pump"] == [
        ("pump", kind, i + 1) for i, kind in enumerate(kinds)
    ]
    bench.assemble()
    assert bench.road._monitors["pump"].seq == 3, "and the monitor goes on from there"
    assert bench.road.counters["events"] == 6


def test_what_memory_cannot_hold_either_is_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roads, "MOST_UNSAVED", 3)
    bench.outbox.close()
    for _ in range(3):
        bench.pass_by(31)
        bench.come_back()
        bench.pass_by(1)
    assert bench.road.counters["events_lost_to_memory"] == 12 - 3
    assert caplog.text.count("events wait in memory") == 1, "said once, not at every try"
    bench.outbox.open()
    bench.pass_by(1)
    assert [seq for _, _, seq in bench.events()] == [5, 6, 6], "the newest were kept"


def test_silence_is_measured_on_a_clock_that_never_jumps(bench: Bench) -> None:
    bench.assemble()
    bench.hear(5)
    bench.wall += 3600.0
    bench.pass_by(1)
    assert bench.events() == [], "the wall clock was set forward: that is no silence"
    bench.wall -= 7200.0
    bench.pass_by(31)
    assert {kind for _, kind, _ in bench.events()} == {"raised"}
    bench.wall -= 7200.0
    bench.hear(5)
    bench.pass_by(1)
    assert [kind for monitor, kind, _ in bench.events() if monitor == "pump"] == ["raised", "cleared"]


def test_a_sensor_that_comes_and_goes_is_counted_after_a_dozen(bench: Bench) -> None:
    for _ in range(15):
        bench.pass_by(31)
        bench.come_back()
        bench.pass_by(1)
    kinds = [kind for monitor, kind, _ in bench.events() if monitor == "pump"]
    assert kinds.count("raised") == kinds.count("cleared") == 12
    assert kinds.count("flooded") == 1


def test_a_sensor_that_ended_or_was_stopped_is_not_silent(bench: Bench) -> None:
    bench.assemble()
    bench.reader.phase = "finished"
    bench.pass_by(100)
    assert bench.events() == []
    bench.reader.phase = "reading"
    bench.pass_by(1)
    assert len(bench.events()) == 2
    bench.reader.phase = "stopped"
    bench.pass_by(1)
    assert len(bench.events()) == 2, "being stopped is not being well again"


def test_what_an_earlier_run_left_is_taken_away_before_anything_is_said(bench: Bench) -> None:
    bench.road._thread.run = lambda: None  # type: ignore[method-assign]
    bench.road.start()
    for monitor in ("pump", "fan"):
        assert bench.retained(f"{monitor}/alert") == b""
        assert bench.retained(f"{monitor}/sensor_alert") == b""
    bench.pass_by(31)
    assert bench.retained("pump/sensor_alert") not in (None, b"")
    bench.assemble()
    assert bench.retained("pump/sensor_alert") not in (None, b""), "opening it does not make it well"
    bench.hear(1)
    bench.pass_by(1)
    assert bench.retained("pump/sensor_alert") == b""


@pytest.mark.parametrize("learned", [False, True])
def test_a_channel_that_is_no_number_is_an_alert_about_the_sensor(bench: Bench, learned: bool) -> None:
    bench.assemble()
    bench.hear(300 if learned else 10)
    bench.pass_by(1)
    health = "armed" if learned else "learning"
    assert (bench.health("pump"), bench.health("fan")) == (health, health)
    for _ in range(31):
        bench.hear(1, lost="a")
        bench.pass_by(1)
    assert [event[:2] for event in bench.events()] == [("pump", "raised")], "the fan does not need channel a"
    (event,) = (json.loads(stored.message.payload) for stored in bench.outbox.pending(10))
    assert (event["about"], event["fault"], event["note"]) == ("signal", "dropout", "a drops out")
    assert bench.health("pump") == "blind"
    assert bench.level("pump") is None
    assert (bench.level("fan") is not None) is learned
    assert bench.road.states["pump"].needs == "sensor pump: a drops out"
    assert [(fault.fault, fault.channel) for fault in bench.road.states["pump"].faults] == [("dropout", "a")]
    assert bench.road.deaf == {"pump": "a: dropout"}
    assert bench.health("fan") == health
    assert bench.retained("pump/signal_alert") not in (None, b"")
    bench.hear(30)
    bench.pass_by(1)
    assert [event[:2] for event in bench.events()] == [("pump", "raised"), ("pump", "cleared")]
    assert bench.health("pump") == health
    assert bench.road.deaf == {}
    assert bench.retained("pump/signal_alert") == b""


def test_a_channel_that_never_was_a_number_is_one_too(bench: Bench) -> None:
    bench.assemble()
    for _ in range(31):
        bench.hear(1, lost="a b")
        bench.pass_by(1)
    assert {event[:2] for event in bench.events()} == {("pump", "raised"), ("fan", "raised")}
    assert bench.road.deaf == {
        "pump": "a: dropout, b: dropout",
        "fan": "b: dropout",
    }


def test_a_monitor_that_waits_for_its_first_row_is_neither_well_nor_ill(bench: Bench) -> None:
    bench.assemble()
    bench.pass_by(20)
    assert bench.events() == []
    assert bench.road.deaf == {}
    bench.pass_by(11)
    assert {kind for _, kind, _ in bench.events()} == {"raised"}
    assert bench.road.deaf == {"pump": "no data", "fan": "no data"}
    bench.come_back()
    bench.pass_by(1)
    assert {kind for _, kind, _ in bench.events()} == {"raised"}, "readings alone are not enough"
    bench.hear(1)
    bench.pass_by(1)
    assert [event[:2] for event in bench.events()].count(("pump", "cleared")) == 1


def test_a_state_is_sent_at_once_when_it_is_news_and_else_now_and_then(bench: Bench) -> None:
    bench.assemble()
    bench.hear(10)
    bench.pass_by(1)
    first = bench.retained("pump/state")
    bench.hear(10)
    bench.pass_by(5)
    assert bench.retained("pump/state") == first
    bench.pass_by(5)
    assert bench.retained("pump/state") != first
    bench.hear(100)
    bench.pass_by(0.5)
    assert json.loads(bench.retained("pump/state") or b"")["health"] == "armed"


def test_a_baseline_that_cannot_be_saved_is_said_once_and_tried_again_in_a_minute(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    baselines = tmp_path / "baselines"
    bench.assemble()
    baselines.write_text("in the way")
    bench.hear(150)
    bench.pass_by(25)
    assert bench.health("pump") == "armed", "it listens all the same"
    assert "cannot be written" in bench.road.trouble["baseline of pump"]
    assert caplog.text.count("cannot be written") == 1
    baselines.unlink()
    bench.pass_by(30)
    assert not baselines.exists()
    bench.pass_by(10)
    assert (baselines / "pump.npz").exists()
    assert "baseline of pump" not in bench.road.trouble
    assert caplog.text.count("monitor pump has learned from") == 1


def test_the_streams_state_is_saved_every_hour(bench: Bench, tmp_path: Path) -> None:
    bench.assemble()
    bench.hear(150)
    bench.pass_by(1)
    saved = tmp_path / "baselines" / "pump.npz"
    before = saved.stat().st_ino, saved.stat().st_mtime_ns
    bench.pass_by(60)
    assert (saved.stat().st_ino, saved.stat().st_mtime_ns) == before
    bench.now += roads.SAVE_S
    bench.pass_by(1)
    assert (saved.stat().st_ino, saved.stat().st_mtime_ns) != before


def test_a_configuration_tried_and_taken_back_costs_no_learning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(window: str) -> Bench:
        made = Bench(tmp_path, monkeypatch, CONFIG.replace("window: 5 rows", f"window: {window} rows"))
        made.assemble()
        made.pass_by(1)
        return made

    def stop(bench: Bench) -> None:
        bench.road._save(everything=True)
        bench.outbox.close()

    first = start("5")
    assert "baseline of pump" not in first.road.trouble
    first.hear(300)
    stop(first)
    for learned in (0, 300):  # the other configuration has not learned yet, or has
        other = start("6")
        if not learned:
            assert "set aside as pump.npz.foreign-1" in other.road.trouble["baseline of pump"]
        assert other.health("pump") == "learning"
        other.hear(learned + 1)
        stop(other)
        again = start("5")
        assert (again.health("pump"), again.health("fan")) == ("armed", "armed")
        assert again.road.trouble == {}
        stop(again)
    other = start("6")
    assert other.health("pump") == "armed", "and so is that of the other"
    stop(other)


def test_a_baseline_that_cannot_be_set_aside_is_no_reason_to_stop(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "pump.npz").write_text("garbage")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    bench.assemble()
    assert "cannot be set aside: Read-only file system" in bench.road.trouble["baseline of pump"]
    bench.hear(10)
    bench.pass_by(1)
    assert bench.health("pump") == "learning"


def test_a_mistake_at_the_start_names_every_monitor_and_later_stops_only_its_own(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"monitors\.fan\.channels: sensor pump has no channel b"):
        bench.assemble("a", "c")
    bench.road._monitors.clear()
    bench.road.underway = True
    bench.assemble("a", "c")
    bench.pass_by(1)
    assert set(bench.road._monitors) == {"pump"}
    assert "has no channel b" in bench.road.states["fan"].needs
    assert bench.health("fan") == "blind"


def test_a_sensor_may_come_back_but_only_as_itself(bench: Bench) -> None:
    bench.road.opened(Device())
    bench.road.opened(Device())
    with pytest.raises(SensorError, match="it came back as another"):
        bench.road.opened(Device("a", "b", "c"))
    other = Device()
    other.rate_hz = 2.0
    with pytest.raises(SensorError, match=r"at 2 Hz, before .* at 1 Hz"):
        bench.road.opened(other)


def test_a_level_that_is_unknown_is_null_in_the_state(bench: Bench) -> None:
    bench.assemble()
    bench.pass_by(1)
    assert bench.level("pump") is None
    bench.hear(150)
    bench.pass_by(1)
    level = bench.level("pump")
    assert level is not None
    assert math.isfinite(level)


def test_evidence_that_the_disk_refuses_holds_no_alert_back(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.assemble()
    bench.hear(300)
    (tmp_path / "evidence").write_text("in the way")
    bench.hear(40, level=50.0)
    bench.road._keep_evidence()
    assert "raised" in {kind for _, kind, _ in bench.events()}
    assert "evidence cannot be written" in bench.road.trouble["evidence"]
    assert bench.road.counters["evidence_written"] == 0
    (tmp_path / "evidence").unlink()
    bench.hear(200)  # clears, which completes what the alert left
    bench.pass_by(1)
    assert "evidence" not in bench.road.trouble
    raised = next(event for event in bench.payloads() if event["kind"] == "raised")
    assert (tmp_path / "evidence" / raised["evidence"]).is_file()
    assert bench.road.counters["evidence_written"] > 0
