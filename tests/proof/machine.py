"""A machine with systemd as its init, booted from a tree in a second or two."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.real import need, need_root

BOOT_S = 90.0


class Machine:
    """A booted tree with a network of its own: loopback and nothing else. A context manager."""

    def __init__(self, tree: Path) -> None:
        need_root()
        self.tree = tree
        self._nspawn = [need("systemd-nspawn"), "-q", "-D", str(tree), "--register=no", "--keep-unit"]
        self._nspawn += ["--private-network", "--link-journal=no"]
        self._log = tree.with_name(tree.name + ".console")
        self._init = 0

    def run_unbooted(self, *command: str) -> str:
        """Run a command in the tree with no init and no network, as in a chroot; what it said."""
        return _run([*self._nspawn, "--pipe", *command], timeout_s=600.0)

    def __enter__(self) -> Machine:
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._nspawn, "--boot", "--console=pipe"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        try:
            self._init = wait_for("the machine's init", self._find_init, BOOT_S)
            wait_for("systemd's answer", self._booted, BOOT_S)
        except BaseException:
            self._power_off()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._power_off()

    def enter(self, *command: str) -> list[str]:
        """The command that runs `command` inside."""
        return ["nsenter", "--target", str(self._init), "--all", "--root", "--wd", "--", *command]

    def run(self, *command: str, timeout_s: float = 120.0, accept: tuple[int, ...] = (0,)) -> str:
        """Run a command inside; what it said. Raises AssertionError when it ends with another code."""
        return _run(self.enter(*command), timeout_s, accept)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, unit: str) -> str:
        """What a unit said, for the report of a failure."""
        return self.run("journalctl", "--no-pager", "-o", "short-monotonic", "-u", unit)

    def _find_init(self) -> int:
        assert self._process.poll() is None, f"systemd-nspawn ended:\n{self._log.read_text(errors='replace')}"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for child in children:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"systemd" in command and b"nspawn" not in command:
                return int(child)
        return 0

    def _booted(self) -> bool:
        asked = subprocess.run(
            self.enter("systemctl", "is-system-running"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return asked.stdout.strip() in ("running", "degraded")

    def _power_off(self) -> None:
        if self._init:
            try:
                os.kill(self._init, signal.SIGRTMIN + 4)  # systemd(1): power off
                self._process.wait(30)
                return
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def wait_for(what: str, look: Callable[[], int], timeout_s: float) -> int:
    """Look until there is something to see; it. Raises AssertionError after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < end, f"{what}: not seen in {timeout_s:.0f} s"
        time.sleep(0.1)
    return seen


def _run(command: list[str], timeout_s: float, accept: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", timeout=timeout_s, check=False,
    )  # fmt: skip
    assert done.returncode in accept, (
        f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}"
    )
    return done.stdout
