from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent import health
from agent.health import AlreadyRunning, Holder, Lock, Notifier, holder, read_clock
from agent.memory import resident

ANOTHER = """
import sys
from pathlib import Path
from agent.health import Lock
with Lock(Path(sys.argv[1]), Path("/run/answer.json")):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def another(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ANOTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=10)


def test_a_second_agent_is_refused_and_told_who_is_there(
    tmp_path: Path, another: subprocess.Popen[str]
) -> None:
    assert holder(tmp_path) == Holder(another.pid, Path("/run/answer.json"), os.geteuid())
    with pytest.raises(AlreadyRunning, match=f"process {another.pid} already works in"), Lock(tmp_path):
        pass
    end(another)
    assert holder(tmp_path) is None
    with Lock(tmp_path):
        pass


def test_kill_9_leaves_no_lock(tmp_path: Path, another: subprocess.Popen[str]) -> None:
    another.kill()
    end(another)
    assert (tmp_path / "lock").exists()
    assert holder(tmp_path) is None
    with Lock(tmp_path):
        pass


def test_asking_who_is_there_does_not_keep_an_agent_from_starting(tmp_path: Path) -> None:
    with Lock(tmp_path):
        pass
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            holder(tmp_path)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(50):
            with Lock(tmp_path):
                pass
    finally:
        stop.set()
        asker.join()


def test_a_lock_that_is_being_written_has_a_holder_without_a_name(
    tmp_path: Path, another: subprocess.Popen[str]
) -> None:
    nonsense = ('{"pid": 0, "answer": null}', '{"pid": -1, "answer": null}', '{"pid": 1e999, "answer": null}')
    for content in ("", '{"pid": 1', "[]", '{"pid": null, "answer": null}', "[" * 60_000, *nonsense):
        (tmp_path / "lock").write_text(content)
        assert holder(tmp_path) == Holder(None, None, os.geteuid()), content
    with pytest.raises(AlreadyRunning, match="another process already works in"), Lock(tmp_path):
        pass
    end(another)


def test_nobody_holds_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "nowhere") is None


def test_a_directory_that_cannot_be_used_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError), Lock(tmp_path / "file"):
        pass


@pytest.mark.parametrize("kind", ["link", "name", "pipe"])
def test_a_lock_that_is_no_plain_file_of_its_own_is_refused_and_left_as_it_is(
    tmp_path: Path, kind: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("not to be emptied")
    lock = tmp_path / "lock"
    if kind == "link":
        lock.symlink_to(precious)
    elif kind == "name":
        lock.hardlink_to(precious)
    else:
        os.mkfifo(lock)
    with pytest.raises(OSError), Lock(tmp_path):
        pass
    with pytest.raises(OSError):
        holder(tmp_path)
    assert precious.read_text() == "not to be emptied"


@pytest.mark.parametrize("abstract", [False, True])
def test_notices_arrive_where_systemd_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = f"@tocsin-test-{os.getpid()}" if abstract else str(tmp_path / "user@1000.notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(5.0)
        systemd.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        Notifier().tell("READY=1", "STATUS=all is well")
        assert systemd.recv(4096) == b"READY=1\nSTATUS=all is well"


def test_without_systemd_nothing_is_told_and_a_systemd_that_has_gone_is_borne(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().tell("READY=1")


def test_a_systemd_that_does_not_listen_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "NOTICE_S", 0.001)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = Notifier()
        for _ in range(300):  # net.unix.max_dgram_qlen is 10 to 512; then the sender blocks
            notifier.tell("WATCHDOG=1")


def test_the_watchdog_is_fed_by_whom_it_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert Notifier().watchdog_s == 30.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().watchdog_s == 30.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert Notifier().watchdog_s is None
    monkeypatch.delenv("WATCHDOG_PID")
    for nonsense in ("", "soon", "-1"):
        monkeypatch.setenv("WATCHDOG_USEC", nonsense)
        assert Notifier().watchdog_s is None


def test_the_clocks_and_the_memory_are_read_from_this_machine() -> None:
    before, after = read_clock(), read_clock()
    assert after.monotonic >= before.monotonic
    assert after.boot_id == before.boot_id != ""
    assert 1e6 < resident()[0] < 4e9
