"""`tocsin watch` as a person sees it, on a real terminal and without one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.screen import CLEAR_BELOW, ENTER, HOME, LEAVE
from tests.agent.brokers import until
from tests.agent.running import REPOSITORY
from tests.agent.terminal import Terminal
from tests.agent.test_record import LIVE, configure


def words(folder: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-W", "error", "-m", "agent", "watch", "-c", str(folder / "tocsin.yaml"), *more
    ]  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    configure(tmp_path, {**LIVE, "gone": {"driver": "host", "root": "/nowhere"}})
    return tmp_path


def test_telemetry_is_a_table_and_q_ends_it(config: Path) -> None:
    with Terminal(words(config, "board")) as terminal:
        until(lambda: terminal.shows("least") and terminal.shows("cpu"), "a table")
        until(lambda: re.search(r"board \(host\): [\d.]+ of 20 samples a second", terminal.said), "the rate")
        terminal.press("q")
        said = terminal.end()
        assert terminal.process.returncode == 0
        assert "of 20 samples a second" in said, "the last word stays"
        assert "Traceback" not in said


def test_a_waveform_has_a_spectrum_and_tab_goes_to_the_next_channel(config: Path) -> None:
    with Terminal(words(config, "motor")) as terminal:
        until(lambda: terminal.shows(">x rms") and terminal.shows("1600 Hz"), "a spectrum")
        terminal.press("\t")
        until(lambda: terminal.shows(">y rms"), "the next channel")
        pictures = [p.partition(CLEAR_BELOW)[0] for p in terminal.said.split(HOME)[1:-1]]
        for picture in pictures:
            lines = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", picture).split("\r\n")
            assert len(lines) <= 24
            assert max(map(len, lines)) <= 80
        terminal.press("q")
        terminal.end()
        assert terminal.said.count(ENTER) == terminal.said.count(LEAVE) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_leaves_the_terminal_as_it_was(config: Path, number: int) -> None:
    with Terminal(words(config, "board")) as terminal:
        until(lambda: terminal.shows("cpu"), "a table")
        terminal.process.send_signal(number)
        said = terminal.end()
        assert "Traceback" not in said
        assert terminal.said.endswith(LEAVE)


def test_a_sensor_that_cannot_be_read_says_why(config: Path) -> None:
    with Terminal(words(config, "gone")) as terminal:
        until(lambda: terminal.shows("gone (host): /nowhere: shows none of"), "the reason")
        terminal.press("q")
        terminal.end()
        assert terminal.process.returncode == 1


@contextmanager
def piped(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        list(arguments), cwd=REPOSITORY, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield process


@pytest.mark.parametrize("name", ["board", "motor"])
def test_without_a_terminal_it_is_a_line_a_second(config: Path, name: str) -> None:
    with piped(*words(config, name, "--for", "2.2 s")) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    lines = out.splitlines()
    assert 2 <= len(lines) <= 4
    sought = r"cpu \S+" if name == "board" else r"x rms [\d.]+ m/s2 peak [\d.]+ m/s2"
    for line in lines:
        assert re.fullmatch(rf"\d{{4}}-\S+Z {sought}.*; \S+ of \d+ samples a second.*", line)
    assert "\x1b" not in out


def test_a_terminal_that_can_do_nothing_gets_lines(config: Path) -> None:
    with Terminal(words(config, "motor", "--for", "1.2 s"), term="dumb") as terminal:
        terminal.end()
        assert "\x1b" not in terminal.said
        assert "x rms" in terminal.said


def test_a_channel_that_stays_silent_is_named_and_no_success(tmp_path: Path) -> None:
    code = "import time\nwhile True:\n print('1,', flush=True)\n time.sleep(0.05)"
    channels = [{"name": "bar"}, {"name": "flow"}]
    script = {"driver": "exec", "command": [sys.executable, "-c", code], "channels": channels}
    configure(tmp_path, {"script": {**script, "rate_hz": 20}})
    with piped(*words(tmp_path, "--for", "1.5 s")) as process:
        out, err = process.communicate(timeout=30)
    assert "bar 1" in out
    assert process.returncode == 1
    assert err.splitlines()[-1] == "no value of flow came, the whole time"


def test_a_recording_ends_by_itself(tmp_path: Path) -> None:
    sensor: dict[str, Any] = {"driver": "synthetic", "duration_s": 2, "speed": 0}
    configure(tmp_path, {"motor": sensor})
    with piped(*words(tmp_path)) as process:
        out, _ = process.communicate(timeout=30)
    assert len(out.splitlines()) == 1


def test_sensors_can_be_looked_at_before_there_are_monitors(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("sensors: {motor: {driver: synthetic, duration_s: 2, speed: 0}}\n")
    with piped(*words(tmp_path)) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "x rms" in out


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["bord"], '"bord" is not a sensor: did you mean board?'),
        (["board", "--for", "x"], '--for "x" is not'),
    ],
)
def test_what_makes_no_sense_is_refused(config: Path, asked: list[str], message: str) -> None:
    with piped(*words(config, *asked)) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert message in err


def test_without_a_configuration_what_is_found_can_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    with piped(sys.executable, "-m", "agent", "watch", "board", "--for", "1.5 s") as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "cpu" in out
