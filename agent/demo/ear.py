"""The demo's subscriber: prints what it hears, and knows in which labelled window that lies."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

HERE = Path(__file__).resolve().parent
RECORDING = "machine_temperature_system_failure.csv"
ANSWER_S = 3.0  # for a broker to answer


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
        self._client.connect_timeout = ANSWER_S
        self._client.connect(host, port, keepalive=30)
        self._client.loop_start()
        if not self._subscribed.wait(ANSWER_S):
            self.close()
            raise TimeoutError("it accepts no subscription")
        self.began = time.monotonic()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def settle(self, timeout_s: float) -> None:
        """Wait for the agent's last word."""
        self._offline.wait(timeout_s)

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


def sweep(host: str, port: int, device: str, timeout_s: float) -> int:
    """Take away what the device left retained on a broker that goes on without us; how many topics that were.

    Raises OSError when the broker does not answer in time.
    """
    end = time.monotonic() + timeout_s
    root, last = f"tocsin/{device}", f"tocsin/{device}/swept"
    left: set[str] = set()
    ready, all_seen = threading.Event(), threading.Event()

    def heard(_client: Client, _data: object, message: MQTTMessage) -> None:
        if message.retain:
            left.add(message.topic)
        elif message.topic == last:
            all_seen.set()

    def subscribe(
        client: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _more: Properties | None
    ) -> None:
        client.subscribe(f"{root}/#", 1)

    client = Client(CallbackAPIVersion.VERSION2, client_id=f"tocsin-demo-broom-{os.getpid()}")
    client.on_message = heard
    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.connect_timeout = timeout_s
    client.connect(host, port, keepalive=30)
    client.loop_start()
    try:
        if not ready.wait(max(0.0, end - time.monotonic())):
            raise TimeoutError("it accepts no subscription")
        client.publish(last, b"", 1)  # comes back after what is retained
        all_seen.wait(max(0.0, end - time.monotonic()))
        emptied = [client.publish(topic, b"", 1, retain=True) for topic in sorted(left)]
        for sent in emptied:
            sent.wait_for_publish(max(0.0, end - time.monotonic()))
        if not (all_seen.is_set() and all(sent.is_published() for sent in emptied)):
            raise TimeoutError("it does not confirm")
    finally:
        client.disconnect()
        client.loop_stop()
    return len(emptied)


def labels() -> list[tuple[float, float]]:
    """The labelled windows of the real machine, Unix seconds."""
    pairs = json.loads((HERE / "recordings" / "labels.json").read_text())[RECORDING]
    return [(seconds(start), seconds(end)) for start, end in pairs]


def label_of(event: dict[str, Any], windows: list[tuple[float, float]]) -> int | None:
    """Which labelled window the event lies in; None for none, and for the other machine."""
    if event["monitor"] != "furnace":
        return None
    at = seconds(event["time"])
    return next((i for i, (start, end) in enumerate(windows) if start <= at <= end), None)


def seconds(text: str) -> float:
    """Unix seconds of a time without a zone, or in UTC."""
    return datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=timezone.utc).timestamp()
