"""`tocsin status`: asks the running agent with a signal, and shows what it answers. No socket is opened."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Config
from agent.health import answer_path, holder

ANSWER_S = 5.0  # an agent that has not answered by then stands still


def write(folder: Path, snapshot: Mapping[str, object]) -> None:
    """Answer into `folder` (on a tmpfs under systemd). A folder that cannot be written is the asker's problem."""
    path = folder / "status.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name("status.json.new")
        beside.write_bytes(msgspec.json.encode(snapshot))
        beside.replace(path)
    except OSError as error:
        print(f"tocsin: cannot answer into {path}: {error.strerror}", file=sys.stderr)


def ask(state_dir: Path) -> dict[str, Any] | str:
    """The running agent's snapshot, or why there is none."""
    try:
        process = holder(state_dir)
        if process is None:
            return f"no agent is running on {state_dir}"
        answer = answer_path(state_dir)
        if answer is None:
            return f"process {process} holds {state_dir}, but it is no agent (tocsin learn?)"
        before = answer.stat().st_mtime_ns if answer.exists() else 0
        os.kill(process, signal.SIGUSR1)
    except PermissionError as error:
        return f"the agent on {state_dir} belongs to another user: try again with sudo ({error})"
    except OSError as error:
        return f"the agent on {state_dir} cannot be asked: {error}"
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        if answer.exists() and answer.stat().st_mtime_ns != before:
            found: dict[str, Any] = json.loads(answer.read_bytes())
            return found
        time.sleep(0.02)
    return f"process {process} runs on {state_dir}, but did not answer within {ANSWER_S:g} s"


def command(config: Config, as_json: bool) -> int:
    """Print the answer; 0 when the agent is well, 1 when it is not or does not run."""
    answer = ask(config.state_dir)
    if isinstance(answer, str):
        print(f"tocsin: {answer}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(lines(answer)))
    return 0 if answer["agent"]["health"] == "ok" else 1


def lines(answer: Mapping[str, Any]) -> list[str]:
    """The answer for a person."""
    agent, broker, outbox = answer["agent"], answer["agent"]["broker"], answer["agent"]["outbox"]
    counters = agent["counters"]
    up = counters["up_seconds"]
    share = 100 * counters["cpu_seconds"] / max(up, 1e-9)
    shown = [
        f"{agent['device']}: {agent['health']}, tocsin {agent['version']}, up {up:.0f} s,"
        f" {share:.1f} % of a core, {counters['rss_bytes'] / 1e6:.0f} MB",
        f"broker: {'connected, MQTT ' + broker['protocol'] if broker['connected'] else broker['last_error'] or 'connecting'};"
        f" {broker['delivered']} events delivered, {outbox['waiting']} waiting, {outbox['lost']} lost",
    ]
    shown += [f"problem: {problem}" for problem in agent["problems"]]
    for name, sensor in answer["sensors"].items():
        trouble = f": {sensor['error']}" if sensor["error"] else ""
        shown.append(f"sensor {name} ({sensor['driver']}): {sensor['phase']}{trouble}, {sensor['rows']} rows")
    for name, monitor in answer["monitors"].items():
        level = "no level yet" if monitor["level"] is None else f"level {monitor['level']:.2f}"
        needs = f", {monitor['needs']}" if monitor["needs"] else ""
        shown.append(f"monitor {name}: {monitor['health']}, {level}, alert {monitor['state']}{needs}")
    return shown
