from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import load
from agent.demo import show
from agent.demo.show import FAULT_AT_S, Ear, labels, main, summary
from agent.messages import rfc3339
from tests.agent.brokers import free_port
from tests.agent.running import REPOSITORY
from tests.real import require

BEGAN = 1_800_000_000.0


def raised(monitor: str, at: float, about: str = "machine") -> dict[str, Any]:
    moved = [{"feature": "y outer race (BPFO) 107 Hz"}, {"feature": "x band 757-1224 Hz"}]
    return {"kind": "raised", "about": about, "monitor": monitor, "time": rfc3339(at), "moved": moved}


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
    for ended, words in ((None, "too slow to hear all of it"), (1, "the agent failed (exit code 1)")):
        said = summary(ear(FAILURE), False, ended, BEGAN)
        assert words in said
        assert "in 79 days" not in said


def test_events_that_came_twice_are_told() -> None:
    heard = ear(FAILURE)
    heard.doubles = 2
    assert "2 events came twice, known by their id" in summary(heard, False, 0, BEGAN)


@pytest.mark.parametrize(
    ("events", "enough"),
    [
        ((FAILURE, BEARING), True),
        ((FAILURE,), False),
        ((BEARING,), False),
        ((FAILURE, raised("motor", BEGAN + FAULT_AT_S - 1)), False),
        ((FAILURE, BEARING | {"about": "sensor"}), False),
        ((FAILURE | {"about": "sensor"}, BEARING), False),
        ((raised("furnace", middle(2)), BEARING), False),
    ],
)
def test_it_succeeds_only_when_both_machines_were_heard(
    events: tuple[dict[str, Any], ...], enough: bool
) -> None:
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
    path = show._configure(tmp_path, "demo", "127.0.0.1", 1883, True, BEGAN)
    config = yaml.safe_load(path.read_text())
    assert config["sensors"]["furnace"]["repeat"] is True
    assert "duration_s" not in config["sensors"]["motor"]
    load(path)


def test_the_whole_demo_ends_by_itself_with_what_it_promises() -> None:
    """As a newcomer types it: the real daemon, the embedded broker, 40 seconds."""
    import importlib.util

    require(importlib.util.find_spec("iotcore") is not None, "iotcore is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "agent", "demo"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    heard = re.search(r"furnace \(real\): (\d) of 4 labelled anomalies", done.stdout)
    assert heard is not None
    assert int(heard[1]) >= 3
    assert re.search(r"the catastrophic failure: heard \d+ % into the window", done.stdout)
    assert re.search(r"motor: \w outer race \(BPFO\) \d+ Hz rose .* sigma above normal", done.stdout)
    assert "after the fault began" in done.stdout
    assert "came twice" not in done.stdout
