"""Whatever a Modbus device answers is counted, and never more than that."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from sensors import SensorError, create
from sensors.contract import PushedClock
from sensors.modbus import Modbus

QUICK_S = 0.02
REGISTERS = [
    {"name": "a", "table": "holding", "address": 0, "type": "float64"},
    {"name": "b", "table": "holding", "address": 200, "type": "int16"},
    {"name": "c", "table": "coil", "address": 0},
]
# function and what follows, as it might be meant and as it cannot be
PDUS = st.one_of(
    st.binary(max_size=260),
    st.builds(
        lambda code, rest: bytes([code]) + rest, st.sampled_from([1, 3, 0x81, 0x83]), st.binary(max_size=260)
    ),
    st.builds(lambda rest: bytes([3, len(rest)]) + rest, st.binary(min_size=2, max_size=250)),
    st.binary(min_size=8, max_size=8).map(lambda rest: b"\x03\x08" + rest),
    st.builds(lambda code, n: bytes([3, n]) + bytes(code), st.integers(0, 30), st.integers(0, 255)),
)
Answer = Callable[[bytes], bytes]


class Hostile:
    """Answers each request on a socket or a pty with what `answer` makes of it."""

    def __init__(self) -> None:
        self.answer: Answer = lambda request: b""

    def on_socket(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while request := self._received(lambda: connection.recv(300)):  # noqa: B023
                    connection.sendall(self.answer(request))

    def on_pty(self, master: int) -> None:
        while request := self._received(lambda: os.read(master, 300)):
            os.write(master, self.answer(request))

    @staticmethod
    def _received(receive: Callable[[], bytes]) -> bytes:
        try:
            return receive()
        except OSError:
            return b""


@pytest.fixture(scope="module")
def hostile_host() -> Iterator[tuple[Hostile, Modbus]]:
    hostile = Hostile()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hostile.on_socket, args=[listener], daemon=True).start()
        yield hostile, make(host="127.0.0.1", host_port=listener.getsockname()[1])


@pytest.fixture(scope="module")
def hostile_unit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hostile, Modbus]]:
    hostile = Hostile()
    master, slave = os.openpty()
    threading.Thread(target=hostile.on_pty, args=[master], daemon=True).start()
    port = tmp_path_factory.mktemp("line") / "port"
    port.symlink_to(Path(os.ttyname(slave)))
    yield hostile, make(port=str(port), baud=115200)
    os.close(slave)
    os.close(master)


def make(**options: object) -> Modbus:
    sensor = create(
        "meter", "modbus", {"registers": REGISTERS, "timeout_s": QUICK_S, "retries": 0, **options}
    )
    assert isinstance(sensor, Modbus)
    sensor.clock = PushedClock()
    return sensor


@given(
    pdu=PDUS,
    length=st.none() | st.integers(0, 0xFFFF),
    tid=st.booleans(),
    protocol=st.sampled_from([0, 0, 0, 9]),
)
@example(pdu=b"\x03\x08" + struct.pack(">d", 1e300), length=None, tid=True, protocol=0)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_answer_of_a_host_does_worse_than_being_counted(
    hostile_host: tuple[Hostile, Modbus], pdu: bytes, length: int | None, tid: bool, protocol: int
) -> None:
    hostile, sensor = hostile_host

    def answer(request: bytes) -> bytes:
        told = len(pdu) + 1 if length is None else length
        return (request[:2] if tid else b"\xff\xff") + struct.pack(">HHB", protocol, told, 1) + pdu

    hostile.answer = answer
    assert_counted(sensor)


@given(pdu=PDUS, unit=st.sampled_from([1, 1, 1, 7]), sound=st.booleans(), before=st.binary(max_size=3))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_answer_on_a_line_does_worse_than_being_counted(
    hostile_unit: tuple[Hostile, Modbus], pdu: bytes, unit: int, sound: bool, before: bytes
) -> None:
    hostile, sensor = hostile_unit
    frame = bytes([unit]) + pdu
    checksum = FramerRTU.compute_CRC(frame).to_bytes(2, "big") if sound else b"??"
    hostile.answer = lambda request: before + frame + checksum
    assert_counted(sensor)


def assert_counted(sensor: Modbus) -> None:
    sensor.skipped.clear()
    with sensor:
        try:
            reading = sensor.read(10.0)
        except SensorError:
            assert sensor.skipped
            return
    assert reading is not None
    values = reading.values[0]
    assert np.isfinite(values[~np.isnan(values)]).all()
    if np.isnan(values).any():
        assert sensor.skipped
