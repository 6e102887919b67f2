"""The agent as a process, as systemd would start it, for tests that watch it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from agent.status import ask
from tests.agent.brokers import HOST, Subscriber, until

REPOSITORY = Path(__file__).parents[2]


class Agent:
    """One `tocsin run` in a folder of its own; may be started again."""

    def __init__(self, folder: Path, config: Mapping[str, Any], *, port: int, before: str = "") -> None:
        """`before` is Python that runs in the process first."""
        self.folder, self.state_dir = folder, folder / "state"
        self.config = folder / "tocsin.yaml"
        self.log_file = folder / "agent.log"
        broker = {"host": HOST, "port": port, **config.get("broker", {})}
        whole = {"device": "pi-7", "state_dir": str(self.state_dir), **config, "broker": broker}
        self.config.write_text(yaml.safe_dump(whole))
        self._before = before
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        if not self._before:
            return [sys.executable, "-W", "error", "-m", "agent", "run", "-c", str(self.config)]
        run = f"raise SystemExit(main(['run', '-c', {str(self.config)!r}]))"
        code = f"{self._before}\nfrom agent.cli import main\n{run}"
        return [sys.executable, "-W", "error", "-c", code]

    def start(self, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Agent:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.command()],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def wait(self, timeout_s: float = 30.0) -> int:
        """The exit code."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent did not end within {timeout_s:g} s:\n{self.log}") from None

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        self.signal(number)
        return self.wait(timeout_s)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def ask(self) -> dict[str, Any]:
        """What `tocsin status --json` shows."""
        answer = ask(self.state_dir)
        assert isinstance(answer, dict), f"{answer}\n{self.log}"
        return answer

    def until(self, words: str, timeout_s: float = 20.0) -> None:
        """Wait for words in its log."""
        until(lambda: words in self.log or self._over(), f"{words!r} in the log", timeout_s)
        assert words in self.log, f"it ended without a word of {words!r}:\n{self.log}"

    def _over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def __enter__(self) -> Agent:
        return self if self.process is not None and not self._over() else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            print(self.log)


def tocsin(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Another command, to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "agent", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def events(ears: Subscriber) -> list[dict[str, Any]]:
    """Those heard so far, doubles and all."""
    return [json.loads(payload) for topic, payload, _ in ears.heard if topic.endswith("/event")]


def news(ears: Subscriber) -> list[dict[str, Any]]:
    """Those heard so far, each once: an agent that is killed may not know that it was understood, and says it again."""
    heard = events(ears)
    return [event for i, event in enumerate(heard) if event not in heard[:i]]


def states(ears: Subscriber, monitor: str = "") -> list[dict[str, Any]]:
    """The states heard so far: of a monitor, or of the agent itself."""
    ending = f"pi-7/{monitor}/state" if monitor else "pi-7/state"
    return [json.loads(payload) for topic, payload, _ in ears.heard if topic.endswith(ending)]
