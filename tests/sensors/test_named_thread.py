"""Threads that the kernel knows by name."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sensors.named_thread import NamedThread


def told(name: str) -> list[str]:
    """What the kernel calls a thread of this name, and one that is started in it."""
    names: list[str] = []

    def tell() -> None:
        names.append(Path("/proc/thread-self/comm").read_text().rstrip("\n"))

    def run() -> None:
        tell()
        inner = threading.Thread(target=tell)
        inner.start()
        inner.join()

    thread = NamedThread(target=run, name=name)
    thread.start()
    thread.join()
    return names


@pytest.mark.parametrize(
    ("name", "known"),
    [("read:pump", "read:pump"), ("read:a-long-name-of-a-pump", "read:a-long-nam"), ("ö", "?")],
)
def test_the_kernel_knows_a_thread_and_those_it_starts_by_its_name(name: str, known: str) -> None:
    mine = Path("/proc/thread-self/comm").read_text()
    assert told(name) == [known, known]
    assert Path("/proc/thread-self/comm").read_text() == mine
