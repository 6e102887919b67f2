"""What sensors listen to, each in a process of its own that can be killed: `python -m tests.proof.senders KIND ...`.

Everything that is sent has a number, from 1 on. "go" on standard input begins, "pause" ends it and is answered with how
much was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import select
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from tests.agent.brokers import HOST
from tests.sensors.alsa_world import numbered
from tests.sensors.iio_pace import FRAME
from tests.sensors.iio_world import Node
from tests.sensors.sparkplug_reference import DOUBLE, payload

TURN_S = 0.1  # between two fillings of a FIFO
SOUND = 4800  # frames that are played at once


def pace(period_s: float, say: Callable[[int], None]) -> None:
    """From "go" on say the next number each so often, until "pause"; and so on, until it is killed."""
    sent = 0
    while sys.stdin.readline():
        first, began = sent, time.monotonic()
        while not _told(began + (sent - first) * period_s - time.monotonic()):
            sent += 1
            say(sent)
        _answer(sent)


def serial(link: str, hz: str) -> None:
    """An instrument on a pty, which says lines."""
    master = _port(Path(link))
    pace(1 / float(hz), lambda n: _write(master, f"{n};{n % 7}\r\n"))


def slcan(link: str, hz: str) -> None:
    """A serial CAN adapter on a pty, which hears frames; LAWICEL CANUSB manual."""
    master = _port(Path(link))
    pace(1 / float(hz), lambda n: _write(master, f"t1004{n.to_bytes(4, 'little').hex()}\r"))


def can(channel: str, port: str, hz: str) -> None:
    """Another node on a bus of python-can's."""
    import can as python_can

    with python_can.Bus(interface="udp_multicast", channel=channel, port=int(port)) as bus:
        pace(
            1 / float(hz),
            lambda n: bus.send(
                python_can.Message(arbitration_id=0x100, data=n.to_bytes(4, "little"), is_extended_id=False)
            ),
        )


def mqtt(port: str, hz: str) -> None:
    """Three devices at a broker: plain numbers, JSON, and a node of Sparkplug B, which answers whoever asks for its
    birth."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2, client_id="devices")
    order = threading.Lock()  # sequence numbers go up in the order of the messages
    state = {"seq": 0, "value": 0}

    def node(kind: str) -> None:
        state["seq"] = 0 if kind == "NBIRTH" else (state["seq"] + 1) % 256
        flow: dict[str, object] = {
            "name": "Flow",
            "datatype": DOUBLE_TYPE,
            "double_value": float(state["value"]),
        }
        session: list[dict[str, object]] = (
            [{"name": "bdSeq", "datatype": INT64_TYPE, "long_value": 1}] if kind == "NBIRTH" else []
        )
        client.publish(f"spBv1.0/Plant/{kind}/Edge", payload(state["seq"], *session, flow, timestamp=_ms()))

    def asked(*_: object) -> None:
        with order:
            node("NBIRTH")

    def say(number: int) -> None:
        with order:
            state["value"] = number
            client.publish("plain", str(number), qos=1)
            client.publish("json", json.dumps({"pumps": [{"flow": number}]}), qos=1)
            node("NDATA")

    client.on_message = asked
    client.connect(HOST, int(port))
    client.subscribe("spBv1.0/Plant/NCMD/Edge")
    client.loop_start()
    pace(1 / float(hz), say)


DOUBLE_TYPE, INT64_TYPE = 10, 4  # Sparkplug's own numbers of the types; chapter 6.4.16
assert DOUBLE == 1  # protobuf's


def opcua(port: str, hz: str) -> None:
    """A server whose one node counts."""
    asyncio.run(_serve_opcua(int(port), float(hz)))


async def _serve_opcua(port: int, hz: float) -> None:
    from asyncua import Server, ua

    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{HOST}:{port}")
    index = await server.register_namespace("urn:plant")
    node = await server.nodes.objects.add_variable(ua.NodeId("Count", index), "Count", 0.0)
    async with server:
        loop = asyncio.get_running_loop()

        def say(number: int) -> None:
            told = ua.DataValue(ua.Variant(float(number)), SourceTimestamp=datetime.now(timezone.utc))
            asyncio.run_coroutine_threadsafe(server.write_attribute_value(node.nodeid, told), loop).result()

        await loop.run_in_executor(None, pace, 1 / hz, say)


def modbus(*where: str) -> None:
    """A unit whose first register counts the answers: on a serial line, or at a TCP port."""
    asyncio.run(_serve_modbus(*where))


async def _serve_modbus(kind: str, where: str) -> None:
    from pymodbus.server import ModbusSerialServer, ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    answers = 0

    async def count(_function: int, _start: int, _address: int, _count: int, registers: Any, *_: Any) -> None:
        nonlocal answers
        answers += 1
        registers[0], registers[1] = answers >> 16, answers & 0xFFFF

    registers = [SimData(0, values=[0] * 10, datatype=DataType.REGISTERS)]
    unit = SimDevice(id=1, simdata=registers, action=count)
    server: Any = (
        ModbusSerialServer([unit], port=where, baudrate=19200)
        if kind == "rtu"
        else ModbusTcpServer([unit], address=(HOST, int(where)))
    )
    await server.serve_forever(background=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, _tell, lambda: answers)


def http_json(port: str) -> None:
    """A page that counts how often it was asked for."""
    answers = 0

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal answers
            answers += 1
            body = json.dumps({"meter": {"count": answers, "power": answers % 7}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((HOST, int(port)), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _tell(lambda: answers)
        server.shutdown()


def iio(root: str, hz: str) -> None:
    """A device of the kernel's that fills its buffer: frames of three axes and a time."""
    node, rate_hz = Node(Path(root)), int(hz)
    sent = 0
    while sys.stdin.readline():
        first, began, start = sent, time.monotonic(), time.time_ns()
        while not _told(TURN_S):
            number = np.arange(sent - first, int((time.monotonic() - began) * rate_hz))
            frames = np.zeros(len(number), FRAME)
            frames["axes"][:, 0] = number % 32768
            frames["stamp"] = start + number * 10**9 // rate_hz
            with contextlib.suppress(BlockingIOError):  # full: lost, and to be counted by the driver
                node.fill(frames.tobytes())
            sent += len(number)
        _answer(sent)


def sound(server: str) -> None:
    """Somebody who plays frames into a room of PulseAudio's, as fast as the room hears them."""
    told = ("--rate=48000", "--format=s16le", "--channels=2", "--latency-msec=1000")
    player = subprocess.Popen(
        ["pacat", "--playback", "--raw", f"--server={server}", *told], stdin=subprocess.PIPE, bufsize=0
    )
    assert player.stdin is not None
    sent, playing = 0, False
    while (
        True
    ):  # silence where nothing is sent: what begins or falls behind is lost in the room, and not by us
        player.stdin.write((numbered(SOUND, sent) if playing else np.zeros((SOUND, 2), np.int16)).tobytes())
        sent += SOUND if playing else 0
        if _told(0.0):
            playing = not playing
            if not playing:
                _answer(sent)


def lines(folder: str, hz: str) -> None:
    """What the driver exec starts. It is told by files, for nobody writes to it, and counts in one."""
    told, sent = Path(folder), 0
    while not (told / "broken").exists():
        time.sleep(1 / float(hz))
        if (told / "go").exists():
            sent += 1
            (told / "sent").write_text(str(sent))
            print(f"{sent},{sent % 7}", flush=True)
    sys.exit("it is broken")


def _tell(count: Callable[[], int]) -> None:
    """How much so far, each time it is asked."""
    while sys.stdin.readline():
        _answer(count())


def _told(timeout_s: float) -> bool:
    """Whether there is something on standard input, within so long; the "pause" is taken, the end is not."""
    if not select.select([sys.stdin], [], [], max(0.0, timeout_s))[0]:
        return False
    sys.stdin.readline()
    return True


def _answer(number: int) -> None:
    print(number, flush=True)


def _port(link: Path) -> int:
    master, slave = os.openpty()
    tty.setraw(slave)
    link.unlink(missing_ok=True)
    link.symlink_to(os.ttyname(slave))  # and it stays open: nothing is lost while nobody listens
    return master


def _write(master: int, text: str) -> None:
    os.write(master, text.encode())


def _ms() -> int:
    return time.time_ns() // 10**6


KINDS: dict[str, Callable[..., None]] = {
    "serial": serial,
    "slcan": slcan,
    "can": can,
    "mqtt": mqtt,
    "opcua": opcua,
    "modbus": modbus,
    "http": http_json,
    "iio": iio,
    "sound": sound,
    "lines": lines,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
