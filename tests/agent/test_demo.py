from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import load
from agent.demo import show
from agent.demo.ear import ANSWER_S, Ear, label_of, labels, sweep
from agent.demo.show import FAULT_AT_S, Ended, main, summary
from agent.messages import rfc3339
from tests.agent.brokers import Broker, Iotcore, Mosquitto, Subscriber, free_port, until
from tests.agent.running import REPOSITORY
from tests.agent.test_daemon import any_broker
from tests.real import require

BEGAN = 1_800_000_000.0


def raised(monitor: str, at: float, about: str = "machine") -> dict[str, Any]:
    moved = [{"feature": "y outer race (BPFO) 107 Hz"}, {"feature": "x band 757-1224 Hz"}]
    return {"kind": "raised", "about": about, "monitor": monitor, "time": rfc3339(at), "moved": moved}


BAND = [{"feature": "x band 757-1224 Hz"}]


def ear(*events: dict[str, Any], **agent: Any) -> Ear:
    """One that has heard this, without a broker."""
    made = Ear.__new__(Ear)
    made.events, made.agent, made.doubles = list(events), agent, 0
    return made


def middle(window: int) -> float:
    start, end = labels()[window]
    return (start + end) / 2


FAILURE, BEARING = raised("furnace", middle(3)), raised("motor", BEGAN + FAULT_AT_S + 3.5)


def test_the_summary_of_all_says_when_and_how_much() -> None:
    counters = {"cpu_seconds": 3.6, "up_seconds": 36.0, "rss_bytes": 62e6}
    heard = ear(*(raised("furnace", middle(i)) for i in range(4)), BEARING, counters=counters)
    said = summary(heard, False, 0, BEGAN)
    assert "4 of 4 labelled anomalies" in said
    assert said.count("heard 50 % into the window") == 4
    assert "false alarms (outside every window): 0 in 79 days" in said
    assert "motor (synthetic): 1 alarm\n" in said
    assert "heard 3.5 s of its time after the fault began; what moved most: y outer race" in said
    assert "10 % of one core (3.6 s in 36 s, at these speeds) and 62 MB" in said


def test_what_was_not_heard_is_said() -> None:
    said = summary(ear(FAILURE, raised("furnace", labels()[0][0] - 86_400)), False, 0, BEGAN)
    assert "1 of 4 labelled anomalies" in said
    assert said.count(": not heard") == 3
    assert "not heard (the benchmark calls it difficult to detect)" in said
    assert "false alarms (outside every window): 1 in 79 days: 2013-12-09" in said
    assert "motor (synthetic): 0 alarms" in said
    assert "what moved most" not in said
    assert "one core" not in said, "the agent never said what it used"


def test_two_alarms_in_one_window_are_one_anomaly() -> None:
    said = summary(ear(FAILURE, raised("furnace", middle(3) + 3600)), False, 0, BEGAN)
    assert "1 of 4 labelled anomalies" in said
    assert "outside every window): 0" in said


def test_a_silent_sensor_is_no_anomaly_heard() -> None:
    silent = raised("furnace", middle(3), about="sensor")
    assert "0 of 4 labelled anomalies" in summary(ear(silent), False, 0, BEGAN)


def test_an_alarm_before_the_fault_is_not_the_fault_heard() -> None:
    early = raised("motor", BEGAN + FAULT_AT_S - 30)
    assert "heard before there was a fault" in summary(ear(early), False, 0, BEGAN)


def test_a_demo_cut_short_does_not_claim_79_days() -> None:
    cut: list[tuple[Ended, str]] = [
        ("too slow", "too slow to hear all of it"),
        ("interrupted", "interrupted: what is above is not the whole story"),
        (1, "the agent failed (exit code 1)"),
    ]
    for ended, words in cut:
        said = summary(ear(FAILURE), False, ended, BEGAN)
        assert words in said
        assert "in 79 days" not in said


def test_a_demo_watched_claims_no_days_and_is_cut_short_by_nobody() -> None:
    said = summary(ear(FAILURE), True, "interrupted", BEGAN)
    assert "in 79 days" not in said
    assert "not the whole story" not in said


def test_an_event_lies_in_a_window_with_its_ends_and_only_the_real_machines_does() -> None:
    windows = labels()
    start, end = windows[1]
    for at, window in ((start - 1, None), (start, 1), (end, 1), (end + 1, None), (middle(3), 3)):
        assert label_of(raised("furnace", at), windows) == window
    assert label_of(raised("motor", middle(1)), windows) is None


def test_a_line_names_the_labelled_anomaly_of_an_alarm_and_of_no_all_clear() -> None:
    listening = ear()
    listening.began, listening._labels = 0.0, labels()
    alarm = FAILURE | {"sentence": "furnace: temperature fell."}
    assert listening.line(alarm).endswith("furnace: temperature fell.  [labelled anomaly 4]")
    assert "labelled" not in listening.line(alarm | {"kind": "cleared"})


def test_events_that_came_twice_are_told() -> None:
    heard = ear(FAILURE)
    heard.doubles = 2
    assert "2 events came twice, known by their id" in summary(heard, False, 0, BEGAN)


THREE = tuple(raised("furnace", middle(i)) for i in (0, 1, 3))


@pytest.mark.parametrize(
    ("events", "enough"),
    [
        ((*THREE, BEARING), True),
        ((*THREE, BEARING | {"moved": BAND}, BEARING | {"kind": "updated"}), True),
        (THREE, False),
        ((BEARING,), False),
        ((FAILURE, BEARING), False),
        ((*THREE[:2], FAILURE | {"about": "sensor"}, BEARING), False),
        ((*THREE[:2], FAILURE | {"kind": "cleared"}, BEARING), False),
        ((*THREE[1:], raised("furnace", middle(3) + 3600), BEARING), False),
        ((*(raised("furnace", middle(i)) for i in (0, 1, 2)), BEARING), False),
        ((*THREE, raised("motor", BEGAN + FAULT_AT_S - 1)), False),
        ((*THREE, BEARING | {"about": "sensor"}), False),
        ((*THREE, BEARING | {"moved": BAND}), False),
        ((*THREE, BEARING | {"kind": "cleared"}), False),
        ((*THREE, BEARING | {"monitor": "furnace"}), False),
    ],
)
def test_it_succeeds_only_when_it_heard_what_it_promises(
    events: tuple[dict[str, Any], ...], enough: bool
) -> None:
    """Three of four labelled anomalies, the last among them, and the bearing's fault by name."""
    assert show._heard_what_matters(ear(*events), BEGAN) is enough


def test_what_it_says_of_the_fault_is_what_the_configuration_does() -> None:
    config = load(REPOSITORY / "agent" / "demo" / "demo.yaml")
    (fault,) = config.sensors["motor"].options["faults"]
    assert fault["at_s"] == FAULT_AT_S
    speed = config.sensors["motor"].options["speed"]
    assert f"begins after {FAULT_AT_S / speed:.0f} seconds and grows for {fault['ramp_s'] / speed:.0f}" in (
        show.INTRODUCTION
    )


def test_no_broker_where_one_was_named_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(broker=f"127.0.0.1:{free_port()}") == 2
    assert "no MQTT broker at 127.0.0.1" in capsys.readouterr().err
    assert main(broker="127.0.0.1:mqtt") == 2
    assert "write HOST or HOST:PORT" in capsys.readouterr().err


def test_the_demo_watched_goes_on_where_its_machines_would_end(tmp_path: Path) -> None:
    path = show._configure(tmp_path, "demo", ("127.0.0.1", 1883), False, True, BEGAN)
    config = yaml.safe_load(path.read_text())
    assert config["sensors"]["furnace"]["repeat"] is True
    assert "duration_s" not in config["sensors"]["motor"]
    load(path)


def test_what_the_embedded_broker_speaks_is_known_and_of_another_it_is_found_out(tmp_path: Path) -> None:
    for foreign, protocol in ((False, "3.1.1"), (True, "auto")):
        path = show._configure(tmp_path, "demo", ("127.0.0.1", 1883), foreign, False, BEGAN)
        assert load(path).broker.protocol == protocol


def test_all_that_the_demo_ever_waits_for_is_less_than_a_minute() -> None:
    last = show.STOP_S + show.LAST_WORD_S + max(ANSWER_S, show.BROKER_STOP_S)
    assert show.PYTHON_S + show.UNTIL_S + last <= 60
    assert show.BROKER_S + 2 * ANSWER_S < show.UNTIL_S


def test_an_agent_that_will_not_end_is_ended(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    log, began = tmp_path / "log", time.monotonic()
    ended = show._run_daemon([sys.executable, "-c", deaf], log, began + 1)
    assert log.read_bytes(), "it was deaf in time"
    assert ended == "too slow"
    assert time.monotonic() - began < 1 + show.STOP_S + 1


LEFT = ("availability", "state", "pump/state", "pump/alert")


def leave(port: int, root: str) -> None:
    """What an agent leaves retained."""
    with Subscriber(port, topic="nothing") as mouth:
        for topic in LEFT:
            mouth.publish(f"{root}/{topic}", b"left", retain=True)


def retained(port: int) -> list[str]:
    """The topics that one who comes later hears something on."""
    with Subscriber(port, client_id="late") as late:
        late.publish("that/is/all", b"")
        until(lambda: late.on("that/is/all"), "the end of what is retained")
        return sorted(topic for topic, _, kept in late.heard if kept)


@pytest.mark.parametrize("kind", [Mosquitto, Iotcore])
def test_a_sweep_takes_away_what_one_device_left_and_nothing_else(tmp_path: Path, kind: type[Broker]) -> None:
    with kind(tmp_path) as broker:
        leave(broker.port, "tocsin/demo-1")
        leave(broker.port, "tocsin/pump")
        assert sweep("127.0.0.1", broker.port, "demo-1", 10.0) == len(LEFT)
        assert sweep("127.0.0.1", broker.port, "demo-1", 10.0) == 0
        assert retained(broker.port) == sorted(f"tocsin/pump/{topic}" for topic in LEFT)


def test_a_broker_that_went_away_is_said_by_the_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    show._sweep("127.0.0.1", free_port(), "demo-1")
    assert "what is retained under tocsin/demo-1/ stays" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_told_to_end_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-W", "error", "-m", "agent", "demo", "--broker"]
    with any_broker(tmp_path) as broker, Subscriber(broker.port) as ears:
        command.append(f"127.0.0.1:{broker.port}")
        demo = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )  # fmt: skip
        try:
            until(
                lambda: any(topic.endswith("/furnace/state") for topic, _, _ in ears.heard), "its states", 40
            )
            demo.send_signal(number)
            out, err = demo.communicate(timeout=20)
        finally:
            demo.kill()
            demo.wait()
        left = retained(broker.port)
    assert err == b""
    assert b"interrupted: what is above is not the whole story" in out
    assert demo.returncode == 130
    assert left == []
    assert list(tmp_path.glob("tocsin-demo-*")) == []


def test_the_whole_demo_ends_by_itself_with_what_it_promises() -> None:
    """As a newcomer types it: the real daemon, the embedded broker, 40 seconds."""
    import importlib.util

    require(importlib.util.find_spec("iotcore") is not None, "iotcore is not installed")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "agent", "demo"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert time.monotonic() - began <= 60
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    heard = re.search(r"furnace \(real\): (\d) of 4 labelled anomalies", done.stdout)
    assert heard is not None
    assert int(heard[1]) >= 2
    assert re.search(r"the catastrophic failure: heard \d+ % into the window", done.stdout)
    assert re.search(
        r"motor: outer race \(BPFO\) 107 Hz, confidence 0\.9\d; \w .* rose .* sigma above", done.stdout
    )
    assert "after the fault began" in done.stdout
    assert "came twice" not in done.stdout
