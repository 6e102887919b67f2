"""Programs that write lines."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors import SensorError, check, create
from sensors.contract import SensorContract
from sensors.exec_lines import ExecLines
from sensors.lines import LONGEST
from sensors.program import MOST_WORDS

AB = [{"name": "a"}, {"name": "b"}]
SOON_S = 10.0


def make(*command: str, **options: object) -> ExecLines:
    sensor = create("script", "exec", {"command": list(command), "channels": AB, "rate_hz": 100, **options})
    assert isinstance(sensor, ExecLines)
    return sensor


def python(code: str, **options: object) -> ExecLines:
    return make(sys.executable, "-c", code, **options)


def next_row(sensor: ExecLines) -> list[float]:
    reading = sensor.read(SOON_S)
    assert reading is not None
    return [float(value) for value in reading.values[0]]


def rows_until_its_end(sensor: ExecLines, words: str) -> list[list[float]]:
    """All its samples; the error that ends them says these words."""
    rows = []
    with pytest.raises(SensorError, match=words):  # noqa: PT012
        while True:
            rows.append(next_row(sensor))
    return rows


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(claim: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.005)


class TestContract(SensorContract):
    driver = "exec"

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, object]:
        self.plug = tmp_path / "plug"
        self.mend()
        code = 'n=0; while [ -e "$1" ]; do echo $n,2; n=$((n + 1)); sleep 0.01; done'
        return {"command": ["sh", "-c", code, "meter", str(self.plug)], "channels": AB, "rate_hz": 100}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"command": ["true"], "folder": str(tmp_path / "no"), "channels": AB}

    def lose(self) -> None:
        self.plug.unlink()

    def mend(self) -> None:
        self.plug.touch()


# What it says.


def test_each_line_is_a_sample_from_the_first_on() -> None:
    with make("printf", r"1,2\n3,x\nhello\n\n5,6\n7") as sensor:
        rows = rows_until_its_end(sensor, "script: printf ended with exit code 0")
        np.testing.assert_array_equal(rows, [[1, 2], [3, math.nan], [5, 6]])
        assert sensor.skipped == {"not_a_number": 1, "missing_columns": 1, "partial_lines": 1}


def test_the_first_line_of_each_kind_that_cannot_be_used_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with make("printf", r"1;2\n3;4\n5,x\n6,x\n") as sensor:
        rows_until_its_end(sensor, "exit code 0")
    assert [record.getMessage() for record in caplog.records if "counted" in record.getMessage()] == [
        "sensor script: '1;2' has 1 column, not 2: line.separator \";\" would find them;"
        " counted as missing_columns from now on",
        "sensor script: column 2: 'x' is not a number in '5,x'; counted as not_a_number from now on",
    ]


def test_every_line_is_a_sample_or_counted() -> None:
    code = """if True:
        import random
        kinds = ["%d,1", "%d,1,2", "%d,x", "%d", "# %d", "x,%d", "%d,", "\\x00%d"]
        for n in range(20_000):
            print(random.choice(kinds) % n)
        print("5", end="")
    """
    with python(code) as sensor:
        rows = rows_until_its_end(sensor, "exit code 0")
    dropped = sum(
        sensor.skipped[reason] for reason in ("missing_columns", "unreadable_lines", "partial_lines")
    )
    assert len(rows) + dropped == 20_001
    assert np.isnan(rows).sum() == sensor.skipped["missing_values"] + sensor.skipped["not_a_number"]


def test_documents_are_read_by_their_paths() -> None:
    channels = [{"name": "cpu", "unit": "Cel", "at": "temps[0].value"}]
    document = '{"at": "2023-11-14T22:13:20Z", "temps": [{"value": 51.5}]}'
    with make("echo", document, channels=channels, line={"form": "json", "time": "at"}) as sensor:
        reading = sensor.read(SOON_S)
        assert reading is not None
        assert (reading.time, reading.values.tolist()) == (1_700_000_000.0, [[51.5]])


def test_words_are_not_read_by_a_shell() -> None:
    with make("echo", "1,2;", "$(touch never)") as sensor:
        sensor.read(SOON_S)
    assert not Path("never").exists()


def test_at_each_tick_the_newest_line_is_a_sample() -> None:
    code = "import time\nfor n in range(10**6): print(n, 2, sep=',', flush=True); time.sleep(0.002)"
    with python(code, rate_hz=20, align=True, stale_s=1) as sensor:
        until(lambda: sensor.read(SOON_S) is not None)  # at the first tick nothing was said yet
        rows = [next_row(sensor) for _ in range(3)]
        assert rows[0][0] < rows[1][0] < rows[2][0]
        assert sensor.skipped.keys() <= {"stale"}


def test_a_line_without_end_is_dropped_and_counted() -> None:
    code = f"print('9' * {3 * LONGEST}); print('1,2', flush=True); input()"
    with python(code) as sensor:
        assert next_row(sensor) == [1, 2]
        assert sensor.skipped == {"too_long_lines": 1}


def test_complaints_are_told_in_the_log_up_to_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    code = (
        "import sys\nfor n in range(5000): print(f'no bus {n}\\a' + 'x' * 500, file=sys.stderr)\nsys.exit(7)"
    )
    with python(code) as sensor:
        assert rows_until_its_end(sensor, r"python.* ended with exit code 7: no bus 4999 x") == []
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == MOST_WORDS
    assert all(len(line) < 400 and line.isprintable() for line in told)
    assert told[-1].endswith("(the last that is told)")


# How it ends.


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("exit 3", "ended with exit code 3"),
        ("kill -SEGV $$", "was ended by signal 11"),
        ("exec >&-; sleep 100", "has closed its output"),
    ],
)
def test_a_program_that_ends_is_an_error_that_says_how(code: str, words: str) -> None:
    with make("sh", "-c", code) as sensor:
        with pytest.raises(SensorError, match=words):
            sensor.read(SOON_S)


def test_it_and_all_that_it_started_end_with_close() -> None:
    code = "trap '' TERM; sleep 1000 & echo $$,$!; wait"
    sensor = make("sh", "-c", code)
    sensor.open()
    pids = [int(pid) for pid in next_row(sensor)]
    assert all(map(alive, pids))
    sensor.close()
    until(lambda: not any(map(alive, pids)))


def test_a_program_left_by_one_that_ended_is_ended_too() -> None:
    sensor = make("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!,0")
    sensor.open()
    pid = int(next_row(sensor)[0])
    with pytest.raises(SensorError, match="exit code 0"):
        sensor.read(SOON_S)
    assert alive(pid)
    sensor.close()
    until(lambda: not alive(pid))


def test_a_program_ends_at_its_next_line_when_the_agent_is_killed() -> None:
    agent = """if True:
        import sys, time
        from sensors import create
        code = "import os, time\\nwhile True: print(os.getpid(), 0, sep=',', flush=True); time.sleep(0.01)"
        sensor = create("script", "exec", {"command": [sys.executable, "-c", code], "channels": [{"name": "pid"}]})
        sensor.open()
        print(int(sensor.read(10).values[0, 0]), flush=True)
        time.sleep(1000)
    """
    with subprocess.Popen([sys.executable, "-c", agent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid))


def test_a_program_does_not_hear_what_systemd_tells_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/tocsin.service")
    names = "'NOTIFY_SOCKET', 'CREDENTIALS_DIRECTORY', 'PATH'"
    code = f"import os; print(*(int(name in os.environ) for name in ({names})), sep=',')"
    with python(code, channels=[{"name": name} for name in "abc"]) as sensor:
        assert next_row(sensor) == [0, 0, 1]


def test_a_program_that_cannot_be_started_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match="script: there is no program /no/such: give its whole path"):
        make("/no/such").open()
    (tmp_path / "text").write_text("1,2\n")
    (tmp_path / "text").chmod(0o644)
    with pytest.raises(SensorError, match=r"text may not be executed: chmod \+x it"):
        make(str(tmp_path / "text")).open()
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(SensorError, match="text cannot be started: Exec format error"):
        make(str(tmp_path / "text")).open()


def test_an_interrupt_at_the_terminal_is_for_the_agent_alone() -> None:
    sensor = make("sh", "-c", "echo $$,$$; sleep 1000")
    with sensor:
        pid = int(next_row(sensor)[0])
        assert os.getpgid(pid) == pid != os.getpgid(0)
        assert os.getsid(pid) == pid


# Hostile.


@given(st.binary(max_size=300))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_of_a_program_do_worse_than_being_counted(tmp_path: Path, noise: bytes) -> None:
    file = tmp_path / "noise"
    file.write_bytes(noise + b"\n77,88\n")
    with make("cat", str(file)) as sensor:
        rows = rows_until_its_end(sensor, "exit code 0")
    assert rows[-1] == [77, 88]
    assert not np.isinf(rows).any()


# Options.


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"command": "vcgencmd measure_temp"}, "command", "is not a list of text"),
        ({"command": []}, "command", "is empty"),
        ({"command": ["a\0b"]}, "command[0]", "no argument may hold"),
        ({"command": ["a"], "channels": []}, "channels", "is empty"),
        ({"command": ["a"], "line": {"form": "xml"}}, "line.form", "must be one of"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, object], path: str, words: str) -> None:
    problems = check("exec", {"channels": AB, **options})
    assert [problem.path for problem in problems] == [path]
    assert words in problems[0].message
