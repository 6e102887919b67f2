"""`tocsin demo`: the real daemon, a broker in its own process, and a subscriber that prints what it hears."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn

import yaml

from agent.demo.ear import ANSWER_S, Ear, label_of, labels, seconds, sweep

HERE = Path(__file__).resolve().parent
FAULT_AT_S = 90.0  # of the synthetic machine's time, as demo.yaml has it
FEWEST_HITS = 3  # of the real machine's labelled anomalies; the last must be among them
NAMED = "outer race"  # what the bearing's fault is called in what moved

# A demo that is not watched ends within a minute, come what may. This, and ANSWER_S to sweep, is all it waits for.
PYTHON_S = 1.5  # to start, and to end
BROKER_S = 6.0  # for the embedded broker to come up
UNTIL_S = 51.0  # after the beginning, the broker included, the agent is told to end if it has not
STOP_S = 3.0  # for the agent to end when told to, then it is killed
LAST_WORD_S = 0.5  # for its last word to arrive
BROKER_STOP_S = 1.0  # for the embedded broker to end, then it is killed

Ended = int | Literal["too slow", "interrupted"]  # the agent's exit code, or why it was ended

INTRODUCTION = """\
Tocsin listens to two machines, and an MQTT subscriber prints what it hears. It ends by itself in under a minute.

  furnace  a real one: the temperature inside a large industrial machine, 79 days in 34 seconds
           (Numenta Anomaly Benchmark; four labelled anomalies, the last a catastrophic failure)
  motor    a synthetic one: two axes of vibration at 6.4 kHz, four times as fast as real time;
           a fault of the bearing's outer race begins after 22 seconds and grows for 5

Each learns what normal is from its own first rows; nothing has been trained before.
"""


def main(watch: bool = False, broker: str | None = None) -> int:
    """Run the demo. `watch`: until Ctrl-C; `broker`: HOST or HOST:PORT instead of the embedded one. 0 when the real
    machine's failures and the bearing's were heard, 130 when it was interrupted before its end."""
    until = time.monotonic() + UNTIL_S
    with contextlib.ExitStack() as stack:
        stack.enter_context(_signals_are_ctrl_c())
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-demo-")))
        try:
            host, port = _address(broker) if broker else stack.enter_context(_embedded_broker())
        except (OSError, ValueError) as error:
            print(f"tocsin demo: {error}", file=sys.stderr)
            return 2
        print(INTRODUCTION, flush=True)
        device = f"demo-{os.getpid()}" if broker else "demo"
        began = float(int(time.time()))
        config = _configure(state, device, (host, port), bool(broker), watch, began)
        try:
            ear = Ear(host, port, device)
        except OSError as error:
            print(f"tocsin demo: no MQTT broker at {host}:{port}: {error}", file=sys.stderr)
            return 2
        stack.callback(ear.close)
        if broker:
            stack.callback(_sweep, host, port, device)
        print(f"  listening on mqtt://{host}:{port} to tocsin/{device}/event\n", flush=True)
        command = [sys.executable, "-m", "agent", "run", "-c", str(config)]
        ended = _run_daemon(command, state / "daemon.log", None if watch else until)
        ear.settle(LAST_WORD_S)
        print(summary(ear, watch, ended, began), flush=True)
        if isinstance(ended, int) and ended:
            print((state / "daemon.log").read_text()[-2000:], file=sys.stderr)
        if ended == "interrupted":
            return 0 if watch else 130
        return 0 if ended == 0 and _heard_what_matters(ear, began) else 1


def summary(ear: Ear, watched: bool, ended: Ended, began: float) -> str:
    """What was heard, and no more; `began` is the time of the synthetic machine's first sample, Unix seconds."""
    windows = labels()
    raised = [
        event
        for event in ear.events
        if event["kind"] == "raised" and event["about"] in ("machine", "creeping")
    ]
    furnace = [event for event in raised if event["monitor"] == "furnace"]
    motor = [event for event in raised if event["monitor"] == "motor"]
    lines = [
        "",
        "What was heard",
        f"  furnace (real): {_hits(furnace, windows)} of {len(windows)} labelled anomalies",
    ]
    for i, (start, end) in enumerate(windows):
        inside = [event for event in furnace if label_of(event, windows) == i]
        name = f"    {i + 1}. {_day(start)} to {_day(end)}" + (", the catastrophic failure" if i == 3 else "")
        if inside:
            late = (seconds(inside[0]["time"]) - start) / (end - start)
            lines.append(f"{name}: heard {100 * late:.0f} % into the window, {inside[0]['time'][:16]}")
        else:
            lines.append(
                f"{name}: not heard" + (" (the benchmark calls it difficult to detect)" if i == 2 else "")
            )
    outside = [event for event in furnace if label_of(event, windows) is None]
    span = "in 79 days" if ended == 0 and not watched else "as far as it was heard"
    lines.append(f"    false alarms (outside every window): {len(outside)} {span}{_list(outside)}")
    lines.append(f"  motor (synthetic): {len(motor)} alarm{'s' if len(motor) != 1 else ''}")
    for event in motor[:1]:
        features = ", ".join(moved["feature"] for moved in event["moved"][:3])
        after = seconds(event["time"]) - began - FAULT_AT_S
        when = (
            f"{after:.1f} s of its time after the fault began" if after >= 0 else "before there was a fault"
        )
        lines.append(f"    heard {when}; what moved most: {features}")
    counters = ear.agent.get("counters", {})
    if counters:
        share = 100 * counters["cpu_seconds"] / max(counters["up_seconds"], 1e-9)
        lines.append(
            f"  the agent used {share:.0f} % of one core ({counters['cpu_seconds']:.1f} s in"
            f" {counters['up_seconds']:.0f} s, at these speeds) and {counters['rss_bytes'] / 1e6:.0f} MB"
        )
    if ear.doubles:
        lines.append(f"  {ear.doubles} events came twice, known by their id")
    if ended == "too slow":
        lines.append("  ended before a minute was over: this machine was too slow to hear all of it")
    elif ended == "interrupted" and not watched:
        lines.append("  interrupted: what is above is not the whole story")
    elif ended not in (0, "interrupted"):
        lines.append(f"  the agent failed (exit code {ended}): what is above is not the whole story")
    command = "tocsin"
    if shutil.which("tocsin") is None:
        mine = Path(sys.argv[0])
        command = os.path.relpath(mine) if mine.name == "tocsin" else "python -m agent"
    lines += [
        "",
        "Next",
        f"  {command} init -o tocsin.yaml          a configuration for what this machine has",
        f"  {command} replay YOUR-RECORDING.csv    what would it have heard in your data?",
        f"  {command} run -c tocsin.yaml           listen",
    ]
    return "\n".join(lines)


def _heard_what_matters(ear: Ear, began: float) -> bool:
    """What the demo promises: most labelled anomalies, the catastrophic failure among them, and the bearing by name.
    An alarm before there was a fault is none of it."""
    windows = labels()
    about_machines = [event for event in ear.events if event["about"] in ("machine", "creeping")]
    hits = {label_of(event, windows) for event in about_machines if event["kind"] == "raised"} - {None}
    return (
        len(hits) >= FEWEST_HITS
        and len(windows) - 1 in hits
        and any(
            event["monitor"] == "motor"
            and event["kind"] in ("raised", "updated")
            and seconds(event["time"]) >= began + FAULT_AT_S
            and any(NAMED in moved["feature"] for moved in event["moved"])
            for event in about_machines
        )
    )


def _configure(
    state: Path, device: str, address: tuple[str, int], foreign: bool, watch: bool, began: float
) -> Path:
    """demo.yaml with this run's broker and folder; what a foreign broker speaks is found out."""
    config = yaml.safe_load((HERE / "demo.yaml").read_text())
    config["device"], config["state_dir"] = device, str(state / "state")
    config["broker"] = ({} if foreign else config["broker"]) | {"host": address[0], "port": address[1]}
    furnace, motor = config["sensors"]["furnace"], config["sensors"]["motor"]
    furnace["file"] = str(HERE / furnace["file"])
    motor["start"] = began
    if watch:
        furnace["repeat"] = True
        del motor["duration_s"]
    path = state / "tocsin.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _run_daemon(command: Sequence[str], log: Path, until: float | None) -> Ended:
    """The agent in its own process, until it ends, Ctrl-C, or `until` (monotonic)."""
    with open(log, "wb") as out:
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=HERE.parent.parent
        )
        try:
            return daemon.wait(None if until is None else max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return "too slow"
        except KeyboardInterrupt:
            return "interrupted"
        finally:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                try:
                    daemon.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()


def _sweep(host: str, port: int, device: str) -> None:
    try:
        sweep(host, port, device, ANSWER_S)
    except OSError as error:
        print(
            f"tocsin demo: what is retained under tocsin/{device}/ stays on {host}:{port}: {error}",
            file=sys.stderr,
        )


@contextlib.contextmanager
def _signals_are_ctrl_c() -> Iterator[None]:
    """Told to end in another way, or its terminal gone: nothing stays behind then either."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    asked = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, interrupt) for number in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _embedded_broker() -> Iterator[tuple[str, int]]:
    """A broker on a free port of 127.0.0.1, in a process of its own. Raises OSError when it does not come up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    broker = subprocess.Popen(
        [sys.executable, "-m", "agent.demo.broker", "--port", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=HERE.parent.parent,
    )
    assert broker.stdin is not None
    assert broker.stderr is not None
    try:
        end = time.monotonic() + BROKER_S
        while True:
            if broker.poll() is not None:
                raise OSError(broker.stderr.read().decode().strip() or "the embedded broker ended at once")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield "127.0.0.1", port
    finally:
        broker.stdin.close()
        try:
            broker.wait(BROKER_STOP_S)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()
        broker.stderr.close()


def _address(broker: str) -> tuple[str, int]:
    host, _, port = broker.partition(":")
    if port and not port.isdecimal():
        raise ValueError(f"--broker {broker}: write HOST or HOST:PORT")
    return host, int(port or 1883)


def _hits(furnace: list[dict[str, Any]], windows: list[tuple[float, float]]) -> int:
    return len({label_of(event, windows) for event in furnace} - {None})


def _list(events: list[dict[str, Any]]) -> str:
    return ": " + ", ".join(event["time"][:10] for event in events) if events else ""


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")
