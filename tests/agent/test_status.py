from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import status
from agent.config import load_text
from agent.health import Lock
from tests.agent.running import REPOSITORY
from tests.real import need_root

CONFIG = """
device: pi-7
state_dir: {folder}
sensors:
  pump: {{driver: host}}
monitors:
  pump: {{sensor: pump}}
"""

SNAPSHOT: dict[str, Any] = {
    "agent": {
        "device": "pi-7",
        "health": "degraded",
        "version": "0.1.0",
        "problems": ["sensor pump: the wire came off"],
        "broker": {"connected": False, "protocol": "", "last_error": "nothing listens", "delivered": 3},
        "outbox": {"waiting": 2, "lost": 1, "bytes": 4000},
        "counters": {"up_seconds": 10.0, "cpu_seconds": 0.5, "rss_bytes": 62_000_000},
    },
    "sensors": {
        "pump": {
            "driver": "recording",
            "phase": "failed",
            "error": "the wire came off",
            "rows": 7,
            "rate_hz": 1.0,
            "delivered_hz": 0.98765,
            "dropped": 5,
            "left_out": {"not_a_number": 2},
        }
    },
    "monitors": {
        "pump": {"health": "learning", "level": None, "needs": "needs 240 more rows", "state": "inactive"},
        "fan": {"health": "armed", "level": 0.25, "needs": "", "state": "active"},
    },
}

# Holds the lock like an agent, and answers when it is asked for the `n`th time.
DEAF = """
import json, os, signal, sys
from pathlib import Path
from agent import status
from agent.health import Lock
folder, deaf_for = Path(sys.argv[1]), int(sys.argv[2])
asked = 0
def answer(number, frame):
    global asked
    asked += 1
    if asked > deaf_for:
        status.write(folder / "run", {"asked": asked})
signal.signal(signal.SIGUSR1, answer)
with Lock(folder, folder / "run" / status.FILE):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def deaf(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF, str(tmp_path), str(request.param)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    yield process.pid
    process.communicate(timeout=10)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ANSWER_S", 0.5)
    monkeypatch.setattr(status, "AGAIN_S", 0.1)


@pytest.mark.parametrize("deaf", [0], indirect=True)
def test_each_question_gets_an_answer_of_its_own(tmp_path: Path, deaf: int) -> None:
    answers = [status.ask(tmp_path) for _ in range(5)]
    assert answers == [{"asked": i + 1} for i in range(5)]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("deaf", [2], indirect=True)
def test_who_did_not_hear_is_asked_again(tmp_path: Path, deaf: int) -> None:
    assert status.ask(tmp_path) == {"asked": 3}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("deaf", [1000], indirect=True)
def test_an_agent_that_stands_still_is_not_waited_for(tmp_path: Path, deaf: int) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / status.FILE).write_text('{"asked": "an old answer"}')
    answer = status.ask(tmp_path)
    assert isinstance(answer, str)
    assert "did not answer within 0.5 s" in answer


# Root asks, and the user the agent runs as has written lock and answer.


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("deaf", [0], indirect=True)
def test_a_process_of_another_user_than_the_locks_gets_no_signal(tmp_path: Path, deaf: int) -> None:
    need_root()
    os.chown(tmp_path / "lock", 65534, -1)
    answer = status.ask(tmp_path)
    assert isinstance(answer, str)
    assert f"process {deaf} is not that of the user who has locked it" in answer
    assert not (tmp_path / "run" / status.FILE).exists(), "it was not asked"
    os.chown(tmp_path / "lock", 0, -1)
    assert status.ask(tmp_path) == {"asked": 1}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("deaf", [1000], indirect=True)
@pytest.mark.parametrize("kind", ["link", "pipe", "huge", "deep", "list", "another's"])
def test_only_a_plain_file_of_the_locks_owner_is_read_as_an_answer(
    tmp_path: Path, deaf: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"root": "$6$salt$hash"}')
    answer = tmp_path / "run" / status.FILE
    answer.parent.mkdir()
    beside = tmp_path / "beside"

    def lay(process: int, owner: int) -> None:
        """What the agent's user does when it is asked."""
        if kind == "link":
            beside.symlink_to(secret)
        elif kind == "pipe":
            os.mkfifo(beside)
        elif kind == "huge":
            beside.write_text(f'"{"x" * status.MOST_BYTES}"')
        elif kind == "deep":
            beside.write_text("[" * 100_000)
        elif kind == "list":
            beside.write_text("[]")
        else:
            need_root()
            beside.write_text("{}")
            os.chown(beside, 65534, -1)
        beside.replace(answer)

    monkeypatch.setattr(status, "_signal", lay)
    said = status.ask(tmp_path)
    assert isinstance(said, str), said
    assert "cannot be asked" in said or "makes no sense" in said
    assert "salt" not in said


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    agent = SNAPSHOT["agent"] | {"problems": ["\x1b]0;rm -rf\x07"]}
    shown = status.lines(SNAPSHOT | {"agent": agent})
    assert "problem: ?]0;rm -rf?" in shown


def test_an_answer_of_another_version_is_said_not_to_be_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_text(CONFIG.format(folder=tmp_path), tmp_path / "tocsin.yaml")
    for answer in ({}, {"agent": 1}, SNAPSHOT | {"monitors": {"pump": {}}}):
        monkeypatch.setattr(status, "ask", lambda state_dir, answer=answer: answer)
        assert status.command(config, False) == 1
        assert "is not understood" in capsys.readouterr().err


def test_where_no_agent_runs_that_is_said(tmp_path: Path) -> None:
    assert status.ask(tmp_path) == f"no agent is running on {tmp_path}"
    with Lock(tmp_path):
        pass
    assert status.ask(tmp_path) == f"no agent is running on {tmp_path}"


def test_who_learns_is_no_agent_and_gets_no_signal(tmp_path: Path) -> None:
    with Lock(tmp_path):
        assert status.ask(tmp_path) == (
            f"process {os.getpid()} holds {tmp_path}, but it is no agent (tocsin learn?)"
        )


def test_a_state_directory_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = status.ask(tmp_path / "file")
    assert isinstance(answer, str)
    assert "cannot be asked" in answer


def test_a_folder_that_takes_no_answer_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    status.write(tmp_path / "file", SNAPSHOT)
    assert "cannot answer into" in caplog.text


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"failing_s": 300.4, "next_try_s": 59.7}, " (for 5 min, next try in 1 min)"),
        ({"failing_s": 3.2, "next_try_s": None}, " (for 3 s)"),
        ({"failing_s": None, "next_try_s": None}, ""),
    ],
)
def test_since_when_a_sensor_fails_and_when_it_is_tried_again_is_told(
    known: dict[str, Any], told: str
) -> None:
    sensor = {**SNAPSHOT["sensors"]["pump"], **known}
    line = status.lines({**SNAPSHOT, "sensors": {"pump": sensor}})[3]
    assert line.startswith(f"sensor pump (recording): failed: the wire came off{told}, 7 rows")


def test_the_answer_for_a_person_says_what_is_wrong_and_what_is_missing() -> None:
    assert status.lines(SNAPSHOT) == [
        "pi-7: degraded, tocsin 0.1.0, up 10 s, 5.0 % of a core, 62 MB",
        "broker: nothing listens; 3 events delivered, 2 waiting, 1 lost",
        "problem: sensor pump: the wire came off",
        "sensor pump (recording): failed: the wire came off, 7 rows, 0.988 a second (configured: 1),"
        " 2 x not a number, 5 x rows dropped",
        "monitor pump: learning, no level yet, alert inactive, needs 240 more rows",
        "monitor fan: armed, level 0.25, alert active",
    ]
