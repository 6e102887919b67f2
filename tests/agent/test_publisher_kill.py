"""No alert is lost: not when the broker dies, not when the agent dies, not when both do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.agent.brokers import SAVE, Mosquitto, Subscriber, until

REPOSITORY = Path(__file__).parents[2]
MONITORS = ("pump", "fan", "press", "mill")
EACH = 250

# An agent whose machines all go wrong at once. It goes on where it stood when it is started again.
AGENT = f"""
import sys, time
from pathlib import Path
from agent.alerts import Alert, Event, Moved
from agent.messages import Clock, Topics, encode
from agent.outbox import Outbox
from agent.publisher import Backoff, BrokerOptions, Publisher

folder, port = Path(sys.argv[1]), int(sys.argv[2])
topics = Topics("tocsin", "pi-7")
moved = (Moved("temperature", "temperature", -7.3, 43.1, 86.0, "Cel"),)
with Outbox(folder / "outbox.db") as outbox:
    publisher = Publisher(BrokerOptions("127.0.0.1", port), outbox, topics, backoff=Backoff(0.2, 1.0))
    publisher.start()
    first = min(outbox.last_seq(monitor) for monitor in {MONITORS!r}) + 1
    for seq in range(first, {EACH} + 1):
        for monitor in {MONITORS!r}:
            if seq > outbox.last_seq(monitor):
                event = Event("raised", monitor, 1.7e9 + seq, seq, Alert("active"), 1.5, moved, None, None, "s")
                outbox.put(encode(event, "pi-7", "tocsin", Clock(time.monotonic(), "", None)))
    print("all put", flush=True)
    sys.stdin.read()
    publisher.stop()
"""


class Child:
    """The agent above, in a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", AGENT, str(folder), str(port)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


def test_a_thousand_alerts_survive_kill_9_of_the_broker_and_of_the_agent(tmp_path: Path) -> None:
    # The broker remembers its subscriber over its death: what is measured is the agent, not mosquitto's memory.
    with Mosquitto(
        tmp_path,
        "persistence true",
        f"persistence_location {tmp_path}/",
        "autosave_interval 1",
        "autosave_on_changes true",
        "max_inflight_messages 0",
        "max_queued_messages 0",
    ) as broker:
        with Subscriber(broker.port, topic="tocsin/pi-7/event", durable=True) as ears:
            broker.signal(SAVE)
            until(lambda: (tmp_path / "mosquitto.db").exists(), "the subscription is on disk")
            unique: set[bytes] = set()

            def heard(count: int) -> bool:
                return len(ears.heard) >= count

            agent = Child(tmp_path, broker.port)
            until(lambda: heard(150), "the burst has begun")
            broker.kill()
            before = len(ears.heard)
            broker.start()
            until(lambda: heard(before + 150), "it goes on after the broker's death")
            assert len(ears.heard) < 1000, "the kills came in the middle"
            agent.kill()
            agent = Child(tmp_path, broker.port)
            until(lambda: heard(before + 250), "it goes on after the agent's death")
            agent.kill()
            broker.kill()
            agent = Child(tmp_path, broker.port)
            broker.start()

            def all_heard() -> bool:
                unique.update(payload for _, payload, _ in ears.heard)
                return len({json.loads(payload)["id"] for payload in unique}) >= len(MONITORS) * EACH

            until(all_heard, "all have arrived", 60.0)
            assert agent.end() == 0

        events = [json.loads(payload) for _, payload, _ in ears.heard]
        first_heard: dict[str, list[int]] = {monitor: [] for monitor in MONITORS}
        ids: dict[tuple[str, int], str] = {}
        for event in events:
            key = (event["monitor"], event["seq"])
            if key not in ids:
                first_heard[event["monitor"]].append(event["seq"])
            assert ids.setdefault(key, event["id"]) == event["id"], "doubles carry the same id"
        for monitor in MONITORS:
            assert first_heard[monitor] == list(range(1, EACH + 1)), "every one, in order"
        assert len(set(ids.values())) == len(MONITORS) * EACH
        doubles = len(events) - len(ids)
        assert doubles <= 4 * 20 + 20, "at most what was under way is sent again at each interruption"
