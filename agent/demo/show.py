"""`tocsin demo`: the real daemon, a broker in its own process, and a subscriber that prints what it hears."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

HERE = Path(__file__).resolve().parent
RECORDING = "machine_temperature_system_failure.csv"
FAULT_AT_S = 90.0  # of the synthetic machine's time, as demo.yaml has it
LONGEST_S = 60.0  # of a demo that is not watched
BROKER_S = 10.0  # for the broker to answer

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
    machine's failure and the bearing were heard."""
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-demo-")))
        try:
            host, port = _address(broker) if broker else stack.enter_context(_embedded_broker())
        except (OSError, ValueError) as error:
            print(f"tocsin demo: {error}", file=sys.stderr)
            return 2
        print(INTRODUCTION, flush=True)
        device = f"demo-{os.getpid()}" if broker else "demo"
        began = float(int(time.time()))
        config = _configure(state, device, host, port, watch, began)
        try:
            ear = Ear(host, port, device)
        except OSError as error:
            print(f"tocsin demo: no MQTT broker at {host}:{port}: {error}", file=sys.stderr)
            return 2
        stack.callback(ear.close)
        print(f"  listening on mqtt://{host}:{port} to tocsin/{device}/event\n", flush=True)
        ended = _run_daemon(config, state / "daemon.log", None if watch else LONGEST_S)
        ear.settle()
        print(summary(ear, watch, ended, began), flush=True)
        if ended not in (0, None) and not watch:
            print((state / "daemon.log").read_text()[-2000:], file=sys.stderr)
        return 0 if watch or (ended == 0 and _heard_what_matters(ear, began)) else 1


class Ear:
    """A subscriber like any other: it knows the topics, and nothing of the agent."""

    def __init__(self, host: str, port: int, device: str) -> None:
        """Raises OSError when the broker does not answer."""
        self.events: list[dict[str, Any]] = []
        self.agent: dict[str, Any] = {}
        self.doubles = 0
        self.began = time.monotonic()
        self._root = f"tocsin/{device}"
        self._labels = labels()
        self._heard: set[str] = set()
        self._subscribed, self._offline = threading.Event(), threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"tocsin-demo-ear-{os.getpid()}")
        self._client.on_connect, self._client.on_message = self._on_connect, self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect(host, port, keepalive=30)
        self._client.loop_start()
        if not self._subscribed.wait(BROKER_S):
            self.close()
            raise TimeoutError("it accepts no subscription")
        self.began = time.monotonic()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def settle(self) -> None:
        """Wait for the agent's last word."""
        self._offline.wait(3.0)

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _more: Properties | None
    ) -> None:
        client.subscribe([(f"{self._root}/{topic}", 1) for topic in ("event", "state", "availability")])

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic.endswith("/availability"):
            if message.payload == b"offline" and self.agent:
                self._offline.set()
        elif message.topic.endswith("/event"):
            event = json.loads(message.payload)
            if event["id"] in self._heard:
                self.doubles += 1
                return
            self._heard.add(event["id"])
            self.events.append(event)
            print(self.line(event), flush=True)
        elif message.payload:
            self.agent = json.loads(message.payload)

    def line(self, event: dict[str, Any]) -> str:
        """One event in one line."""
        after = time.monotonic() - self.began
        mark = {"raised": "!", "updated": "^", "cleared": "-"}.get(event["kind"], " ")
        when = event["time"][:16].replace("T", " ")
        window = label_of(event, self._labels)
        aside = "" if window is None or event["kind"] == "cleared" else f"  [labelled anomaly {window + 1}]"
        return f"{after:5.1f} s  {mark} {when}  {event['sentence']}{aside}"


def labels() -> list[tuple[float, float]]:
    """The labelled windows of the real machine, Unix seconds."""
    pairs = json.loads((HERE / "recordings" / "labels.json").read_text())[RECORDING]
    return [(_seconds(start), _seconds(end)) for start, end in pairs]


def label_of(event: dict[str, Any], windows: list[tuple[float, float]]) -> int | None:
    """Which labelled window the event lies in; None for none, and for the other machine."""
    if event["monitor"] != "furnace":
        return None
    at = _seconds(event["time"])
    return next((i for i, (start, end) in enumerate(windows) if start <= at <= end), None)


def summary(ear: Ear, watched: bool, ended: int | None, began: float) -> str:
    """What was heard, and no more; `began` is the time of the synthetic machine's first sample, Unix seconds."""
    windows = labels()
    raised = [event for event in ear.events if event["kind"] == "raised" and event["about"] == "machine"]
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
            late = (_seconds(inside[0]["time"]) - start) / (end - start)
            lines.append(f"{name}: heard {100 * late:.0f} % into the window, {inside[0]['time'][:16]}")
        else:
            lines.append(
                f"{name}: not heard" + (" (the benchmark calls it difficult to detect)" if i == 2 else "")
            )
    outside = [event for event in furnace if label_of(event, windows) is None]
    span = "in 79 days" if ended == 0 else "as far as it was heard"
    lines.append(f"    false alarms (outside every window): {len(outside)} {span}{_list(outside)}")
    lines.append(f"  motor (synthetic): {len(motor)} alarm{'s' if len(motor) != 1 else ''}")
    for event in motor[:1]:
        features = ", ".join(moved["feature"] for moved in event["moved"][:3])
        after = _seconds(event["time"]) - began - FAULT_AT_S
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
    if ended is None and not watched:
        lines.append(f"  stopped after {LONGEST_S:.0f} s: this machine was too slow to hear all of it")
    if ended and not watched:
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
    """The catastrophic failure, and the bearing: an alarm before there was a fault is none of it."""
    windows = labels()
    raised = [event for event in ear.events if event["kind"] == "raised" and event["about"] == "machine"]
    hits = {label_of(event, windows) for event in raised}
    return 3 in hits and any(
        event["monitor"] == "motor" and _seconds(event["time"]) >= began + FAULT_AT_S for event in raised
    )


def _configure(state: Path, device: str, host: str, port: int, watch: bool, began: float) -> Path:
    """demo.yaml with this run's broker and folder."""
    config = yaml.safe_load((HERE / "demo.yaml").read_text())
    config["device"], config["state_dir"] = device, str(state / "state")
    config["broker"] = {"host": host, "port": port}
    furnace, motor = config["sensors"]["furnace"], config["sensors"]["motor"]
    furnace["file"] = str(HERE / furnace["file"])
    motor["start"] = began
    if watch:
        furnace["repeat"] = True
        del motor["duration_s"]
    path = state / "tocsin.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _run_daemon(config: Path, log: Path, most_s: float | None) -> int | None:
    """The agent in its own process, until it ends, Ctrl-C, or the time is up (None)."""
    with open(log, "wb") as out:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=HERE.parent.parent,
        )
        try:
            return daemon.wait(most_s)
        except subprocess.TimeoutExpired:
            return None
        except KeyboardInterrupt:
            return 0
        finally:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                try:
                    daemon.wait(10)
                except subprocess.TimeoutExpired:
                    daemon.kill()


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
            broker.wait(5)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()
        broker.stderr.close()


def _address(broker: str) -> tuple[str, int]:
    host, _, port = broker.partition(":")
    if port and not port.isdigit():
        raise ValueError(f"--broker {broker}: write HOST or HOST:PORT")
    return host, int(port or 1883)


def _hits(furnace: list[dict[str, Any]], windows: list[tuple[float, float]]) -> int:
    return len({label_of(event, windows) for event in furnace} - {None})


def _list(events: list[dict[str, Any]]) -> str:
    return ": " + ", ".join(event["time"][:10] for event in events) if events else ""


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=timezone.utc).timestamp()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M")
