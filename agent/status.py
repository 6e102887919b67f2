"""`tocsin status`: asks the running agent with a signal, and shows what it answers. No socket is opened."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import stat
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.config import Config
from agent.health import holder
from agent.pace import per_second
from agent.quantities import DURATION

FILE = "status.json"
ANSWER_S = 5.0  # an agent that has not answered by then stands still
MOST_BYTES = 4 * 2**20  # of an answer: thousands of monitors
AGAIN_S = 0.5  # an agent that is just starting does not hear the first signal

logger = logging.getLogger(__name__)


def write(folder: Path, snapshot: Mapping[str, object]) -> None:
    """Answer into `folder` (on a tmpfs under systemd). A folder that cannot be written is the asker's problem."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{FILE}.new")
        beside.write_bytes(msgspec.json.encode(snapshot))
        beside.replace(path)
    except OSError as error:
        logger.warning("cannot answer into %s: %s", path, error.strerror)


def ask(state_dir: Path) -> dict[str, Any] | str:
    """The running agent's snapshot, or why there is none."""
    end, signal_at = time.monotonic() + ANSWER_S, 0.0
    before: tuple[int, int] | None = None
    first = True
    try:
        while (now := time.monotonic()) < end:
            found = holder(state_dir)
            if found is None:
                return (
                    f"no agent is running on {state_dir}"
                    if first
                    else f"the agent on {state_dir} has just ended"
                )
            if found.process is not None:
                if found.answer is None:
                    return f"process {found.process} holds {state_dir}, but it is no agent (tocsin learn?)"
                if first:
                    before, first = _age(found.answer), False
                elif _age(found.answer) not in (before, None):
                    return _read(found.answer, found.owner)
                if now >= signal_at:
                    _signal(found.process, found.owner)
                    signal_at = now + AGAIN_S
            time.sleep(0.02)
    except PermissionError as error:
        return f"the agent on {state_dir} belongs to another user: try again with sudo ({error})"
    except (ProcessLookupError, FileNotFoundError):
        return f"the agent on {state_dir} has just ended"
    except OSError as error:
        return f"the agent on {state_dir} cannot be asked: {error}"
    except (ValueError, RecursionError) as error:
        return f"the agent on {state_dir} gave an answer that makes no sense ({error})"
    return f"an agent works on {state_dir}, but did not answer within {ANSWER_S:g} s: see its log"


# Root may ask, and the lock file is the word of the user that the agent runs as: it must not make root signal or read
# what that user could not.


def _signal(process: int, owner: int) -> None:
    """Ask the process to answer. Raises OSError, also when it is not its owner's."""
    handle = os.pidfd_open(process)  # whatever takes its number afterwards gets no signal
    try:
        if Path(f"/proc/{process}").stat().st_uid != owner:
            raise OSError(errno.EINVAL, f"process {process} is not that of the user who has locked it")
        signal.pidfd_send_signal(handle, signal.SIGUSR1)
    finally:
        os.close(handle)


def _read(answer: Path, owner: int) -> dict[str, Any]:
    """The answer. Raises OSError when it is not a plain file of its owner, and ValueError when it is no answer."""
    file = os.open(answer, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(file, "rb") as content:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != owner:
            raise OSError(errno.EINVAL, "no plain file of the user who has locked it", str(answer))
        said = content.read(MOST_BYTES + 1)
    if len(said) > MOST_BYTES:
        raise ValueError(f"{answer} is larger than any answer")
    decoded = json.loads(said)
    if not isinstance(decoded, dict):
        raise ValueError(f"{answer} holds no object")
    return decoded


def _age(answer: Path) -> tuple[int, int] | None:
    """Changes with every answer; None where there is none yet."""
    try:
        found = answer.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def command(config: Config, as_json: bool) -> int:
    """Print the answer; 0 when the agent is well, 1 when it is not or does not run."""
    answer = ask(config.state_dir)
    if isinstance(answer, str):
        print(f"tocsin: {answer}", file=sys.stderr)
        return 1
    try:
        shown, well = lines(answer), answer["agent"]["health"] == "ok"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        print(
            f"tocsin: the agent's answer is not understood ({error!r}): is it of this version?",
            file=sys.stderr,
        )
        return 1
    print(json.dumps(answer, indent=2) if as_json else "\n".join(shown))
    return 0 if well else 1


def lines(answer: Mapping[str, Any]) -> list[str]:
    """The answer for a person."""
    agent, broker, outbox = answer["agent"], answer["agent"]["broker"], answer["agent"]["outbox"]
    counters = agent["counters"]
    up = counters["up_seconds"]
    share = 100 * counters["cpu_seconds"] / max(up, 1e-9)
    connection = broker["last_error"] or "connecting"
    if broker["connected"]:
        connection = f"connected, MQTT {broker['protocol']}"
    shown = [
        f"{agent['device']}: {agent['health']}, tocsin {agent['version']}, up {up:.0f} s,"
        f" {share:.1f} % of a core, {counters['rss_bytes'] / 1e6:.0f} MB",
        f"broker: {connection};"
        f" {broker['delivered']} events delivered, {outbox['waiting']} waiting, {outbox['lost']} lost",
    ]
    shown += [f"problem: {problem}" for problem in agent["problems"]]
    for name, sensor in answer["sensors"].items():
        trouble = f": {sensor['error']}{_tries(sensor)}" if sensor["error"] else ""
        shown.append(f"sensor {name} ({sensor['driver']}): {sensor['phase']}{trouble}, {_rows(sensor)}")
    for name, monitor in answer["monitors"].items():
        level = "no level yet" if monitor["level"] is None else f"level {monitor['level']:.2f}"
        needs = f", {monitor['needs']}" if monitor["needs"] else ""
        shown.append(f"monitor {name}: {monitor['health']}, {level}, alert {monitor['state']}{needs}")
    return [printable(line) for line in shown]


def printable(line: str) -> str:
    """Without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in line)


def _tries(sensor: Mapping[str, Any]) -> str:
    """For how long it has failed, and when it is tried again, where that is known."""
    failing_s, next_s = sensor.get("failing_s"), sensor.get("next_try_s")
    told = [] if failing_s is None else [f"for {DURATION.show(float(round(failing_s)))}"]
    told += [] if next_s is None else [f"next try in {DURATION.show(float(round(next_s)))}"]
    return f" ({', '.join(told)})" if told else ""


def _rows(sensor: Mapping[str, Any]) -> str:
    counts = {**sensor["left_out"], "rows dropped": sensor["dropped"]}
    told = [f"{count} x {reason.replace('_', ' ')}" for reason, count in counts.items() if count]
    delivered = sensor.get("delivered_hz")
    pace = [f"{per_second(delivered)} (configured: {sensor['rate_hz']:.5g})"] if delivered is not None else []
    return ", ".join([f"{sensor['rows']} rows", *pace, *told])
