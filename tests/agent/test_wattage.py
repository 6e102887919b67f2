"""What one busy core adds in watts, by a meter that a person reads."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from agent.wattage import _own_meter
from tests.agent.brokers import until
from tests.agent.running import REPOSITORY, tocsin

pytestmark = pytest.mark.skipif(_own_meter() is not None, reason="this computer has a meter of its own")
COMMAND = [sys.executable, "-W", "error", "-m", "agent", "bench", "--power", "--seconds", "0.5"]


def test_without_a_meter_and_a_terminal_it_says_what_is_needed() -> None:
    done = tocsin("bench", "--power", "--seconds", "0.5")
    assert done.returncode == 1
    assert "no meter of its own: run it on a terminal" in done.stderr


@pytest.mark.parametrize(
    ("busy", "code", "said"), [("3,82 W", 0, "core_power: 0.92 W"), ("2.0", 1, "cannot be: try again")]
)
def test_it_asks_for_what_the_meter_shows_and_prints_what_to_write(busy: str, code: int, said: str) -> None:
    ours, theirs = pty.openpty()
    heard = ""

    def hears(words: str) -> bool:
        nonlocal heard
        heard += os.read(ours, 4096).decode()
        return words in heard

    with subprocess.Popen(COMMAND, cwd=REPOSITORY, stdin=theirs, stdout=theirs, stderr=theirs) as command:
        os.close(theirs)
        until(lambda: hears("at rest: "), "the first question")
        os.write(ours, b"none\n2.9\n")
        until(lambda: hears("busy: "), "the second question")
        os.write(ours, busy.encode() + b"\n")
        until(lambda: hears(said), "the answer")
        assert command.wait(20.0) == code
    os.close(ours)
    assert "'none' is not a number of watts" in heard
    assert ("at rest 2.9 W" in heard) == (code == 0)
