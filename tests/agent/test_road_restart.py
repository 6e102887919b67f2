"""The road of an agent that was stopped or killed and starts again: which alerts stand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sensors import registry
from tests.agent.test_road import CONFIG, Bench

LIVE = CONFIG.replace("driver: recording, file: somewhere.csv", "driver: troubled").replace(
    "publish_state: 10 s", "alert: {{on_delay: 2 s, off_delay: 5 s}}"
)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """Starts an agent on a sensor that is no recording; one more each time, after the one before was killed."""
    monkeypatch.setitem(registry.DRIVERS, "troubled", "tests.agent.troubled:Troubled")
    made: list[Bench] = []

    def start(config: str = LIVE) -> Bench:
        if made:
            made[-1].outbox.close()
        made.append(Bench(tmp_path, monkeypatch, config))
        if len(made) > 1:
            made[-1].wall, made[-1].rows = made[-2].wall + 60.0, made[-2].rows + 60
        made[-1].road._thread.run = lambda: None  # type: ignore[method-assign]
        made[-1].road.start()
        return made[-1]

    yield start
    made[-1].outbox.close()


def ill(bench: Bench) -> None:
    """Armed, and in alert."""
    bench.assemble()
    bench.hear(300)
    bench.pass_by(1)
    bench.hear(30, level=20.0)
    assert ("pump", "raised", 1) in bench.events()


def test_an_alert_goes_on_where_it_was_after_kill_9(live: Callable[..., Bench]) -> None:
    ill(before := live())
    retained = before.retained("pump/alert")
    again = live()
    assert again.retained("pump/alert") == retained
    assert again.retained("pump/sensor_alert") == b""
    again.pass_by(1)
    assert (again.health("pump"), again.road.states["pump"].state) == ("blind", "active"), "before it opens"
    again.assemble()
    again.hear(30, level=20.0)
    assert again.road._monitors["pump"].alert.raised
    assert {kind for _, kind, _ in again.events()} == {"raised"}, "nothing new"
    again.hear(100)
    cleared = next(e for e in again.payloads() if (e["monitor"], e["kind"]) == ("pump", "cleared"))
    assert cleared["since"] == json.loads(retained or b"")["since"]
    assert cleared["note"] == ""
    assert again.retained("pump/alert") == b""
    over = live()
    assert over.retained("pump/alert") == b""
    over.assemble()
    assert not over.road._monitors["pump"].alert.raised


def test_an_alert_whose_monitor_learns_afresh_is_given_up_and_says_so(
    live: Callable[..., Bench], tmp_path: Path
) -> None:
    ill(live())
    (tmp_path / "baselines" / "pump.npz").unlink()
    again = live()
    again.assemble()
    (cleared,) = (e for e in again.payloads() if e["kind"] == "cleared")
    assert cleared["monitor"] == "pump"
    assert cleared["note"] == "its monitor learns afresh, and knows nothing of it any more"
    assert cleared["sentence"].startswith("pump: an alert is over after ")
    assert again.retained("pump/alert") == b""


def test_an_alert_whose_monitor_is_gone_is_given_up_and_says_so(live: Callable[..., Bench]) -> None:
    ill(live())
    again = live(LIVE.replace("pump: {{sensor: pump, learn", "press: {{sensor: pump, learn"))
    cleared = [e for e in again.payloads() if e["kind"] == "cleared"]
    assert [(e["monitor"], e["seq"]) for e in cleared] == [("pump", 2)]
    assert cleared[0]["note"] == "its monitor is gone from the configuration"
    assert again.retained("pump/alert") == b""


def test_a_silent_sensor_is_no_news_after_a_restart_and_clears_when_it_is_heard(
    live: Callable[..., Bench],
) -> None:
    live().pass_by(31)
    again = live()
    assert again.retained("pump/sensor_alert") not in (None, b"")
    again.pass_by(40)
    assert [kind for _, kind, _ in again.events()] == ["raised", "raised"]
    again.assemble()
    again.hear(1)
    again.pass_by(1)
    assert [kind for _, kind, _ in again.events()] == ["raised", "raised", "cleared", "cleared"]
    assert again.retained("pump/sensor_alert") == b""


def test_an_end_that_no_disk_took_is_told_after_the_restart(live: Callable[..., Bench]) -> None:
    ill(before := live())
    before.outbox.close()
    before.hear(100)
    assert "outbox" in before.road.trouble
    before.outbox.open()
    again = live()
    again.assemble()
    again.hear(100)
    assert ("pump", "cleared", 2) in again.events()


@pytest.mark.parametrize("content", ["", "[1]", "[" * 100_000, '[{"monitor": "pump"}]', "\xff"])
def test_alerts_that_cannot_be_read_are_forgotten_and_that_is_said(
    live: Callable[..., Bench], tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    ill(live())
    (tmp_path / "alerts.json").write_bytes(content.encode("latin-1"))
    again = live()
    assert "alerts of the earlier run are forgotten" in caplog.text
    assert again.retained("pump/alert") == b""


def test_a_recording_begins_anew_and_so_do_its_alerts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, monkeypatch)
    ill(bench)
    bench.outbox.close()
    assert not (tmp_path / "alerts.json").exists()


def test_alerts_that_cannot_be_written_are_said_once(
    live: Callable[..., Bench], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts.json.new").mkdir()
    ill(bench := live())
    bench.pass_by(3)
    assert "alerts.json cannot be written" in bench.road.trouble["alerts"]
    assert caplog.text.count("a restart would forget alerts") == 1
    (tmp_path / "alerts.json.new").rmdir()
    bench.hear(1, level=20.0)
    bench.pass_by(1)
    assert "alerts" not in bench.road.trouble
    assert (tmp_path / "alerts.json").exists()
