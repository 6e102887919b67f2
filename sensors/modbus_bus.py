"""A Modbus line or connection that all sensors of this process share: one request at a time, each with its answer."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensors.extras import require
from sensors.modbus_registers import Block, Table
from sensors.serial_port import Port

BUSY_S = 5.0  # longest that a sensor waits for others on its line: a few units that do not answer, one after the other
# Modbus Application Protocol V1.1b3, 6 and 7
READS: dict[Table, tuple[int, str]] = {
    "coil": (1, "read_coils"),
    "discrete": (2, "read_discrete_inputs"),
    "holding": (3, "read_holding_registers"),
    "input": (4, "read_input_registers"),
}
EXCEPTIONS = {
    1: "illegal_function",
    2: "illegal_data_address",
    3: "illegal_data_value",
    4: "server_device_failure",
    5: "acknowledge",
    6: "server_device_busy",
    8: "memory_parity_error",
    10: "gateway_path_unavailable",
    11: "gateway_target_failed_to_respond",
}
SHORTEST = 5  # bytes of an answer on a line: unit, function, exception, two of checksum


@dataclass(frozen=True, slots=True)
class Wire:
    """How a bus is reached: a port, or a host where there is none; and how long it may take to answer."""

    port: Port | None
    host: str
    host_port: int
    timeout_s: float

    @property
    def where(self) -> str:
        return self.port.path if self.port else f"{self.host}:{self.host_port}"

    @property
    def key(self) -> str:
        """The same for two names of one port: those in /dev/serial/by-id are links."""
        return str(Path(self.port.path).resolve()) if self.port else self.where

    @property
    def settings(self) -> str:
        if self.port is None:
            return f"timeout_s: {self.timeout_s:g}"
        port = self.port
        return f"baud: {port.baud}, parity: {port.parity}, stop_bits: {port.stop_bits}, timeout_s: {self.timeout_s:g}"


class NoAnswer(Exception):
    """Instead of an answer. `reason` is what it is counted as; `refused`: the unit said so itself."""

    def __init__(self, reason: str, refused: bool = False) -> None:
        super().__init__(reason.replace("_", " "))
        self.reason = reason
        self.refused = refused


class Bus:
    """One line, from `join` to `leave`. Threads may ask at the same time."""

    def __init__(self, wire: Wire, key: str) -> None:
        self.wire, self.key = wire, key
        self.users = 0
        self._mine = threading.Lock()
        self._client: Any = None
        self._heard = b""  # since the latest request was sent
        self._late_until: dict[
            int, float
        ] = {}  # unit -> until when an answer to an earlier request may still come

    def ask(self, unit_id: int, block: Block) -> Sequence[int]:
        """The registers or bits of a block. Raises NoAnswer, and OSError when the line itself fails."""
        self._let_late_answers_pass(unit_id)
        with self._alone():
            self._connect()
            return self._ask(unit_id, block)

    def connect(self) -> None:
        """Connect, where that is not done. Raises OSError, and SensorError when pymodbus is missing."""
        with self._alone():
            self._connect()

    def close(self) -> None:
        """Let go of the line; who asks then connects again."""
        if self._client is not None:
            self._client.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._mine.acquire(timeout=BUSY_S):
            raise OSError(f"{self.wire.where} is busy: other sensors wait there for units that do not answer")
        try:
            yield
        finally:
            self._mine.release()

    def _connect(self) -> None:
        """pymodbus could connect by itself, but would keep to itself why it could not."""
        wire = self.wire
        if self._client is None:
            self._client = self._make_client()
        if self._client.socket is not None:
            return
        if wire.port is not None:
            self._client.socket = wire.port.open(wire.timeout_s, "modbus")
            self._client.socket.inter_byte_timeout = self._client.inter_byte_timeout
            return
        try:
            self._client.socket = socket.create_connection((wire.host, wire.host_port), wire.timeout_s)
        except OSError as error:
            raise OSError(f"no connection to {wire.where}: {error}") from None

    def _make_client(self) -> Any:
        wire = self.wire
        client = require("pymodbus.client", "modbus")
        logging.getLogger("pymodbus").setLevel(
            logging.CRITICAL
        )  # what it says of each answer is counted here
        # asking again is the sensor's business: only what it knows of is counted
        common = {"timeout": wire.timeout_s, "retries": 0, "trace_packet": self._trace}
        if wire.port is None:
            return client.ModbusTcpClient(wire.host, port=wire.host_port, **common)
        return client.ModbusSerialClient(wire.port.path, baudrate=wire.port.baud, **common)

    def _trace(self, sending: bool, packet: bytes) -> bytes:
        self._heard = b"" if sending else packet
        return packet

    def _ask(self, unit_id: int, block: Block) -> Sequence[int]:
        from pymodbus.exceptions import ConnectionException, ModbusException

        function, name = READS[block.table]
        try:
            answer = getattr(self._client, name)(block.first, count=block.count, device_id=unit_id)
        except (ConnectionException, OSError):
            self.close()
            raise OSError(f"the connection to {self.wire.where} is lost") from None
        except (ModbusException, struct.error, ValueError, LookupError):  # no answer, or what is none
            raise self._failed(unit_id) from None
        if answer.isError():
            code = int(answer.exception_code)
            raise NoAnswer(EXCEPTIONS.get(code, f"exception_{code}"), refused=True)
        bits = block.table in ("coil", "discrete")
        values: Sequence[int] = answer.bits if bits else answer.registers
        expected = -(-block.count // 8) * 8 if bits else block.count  # bits come in whole bytes
        if answer.function_code != function or len(values) != expected:
            raise self._failed(unit_id)
        return values

    def _failed(self, unit_id: int) -> NoAnswer:
        """Why, from what was heard; and nothing of it may be taken for the answer to another request."""
        if self.wire.port is None:
            self.close()  # where the next answer begins in the stream is not known any more
            return NoAnswer("wrong_answers" if self._heard else "time_outs")
        self._late_until[unit_id] = time.monotonic() + self.wire.timeout_s
        if not self._heard:
            return NoAnswer("time_outs")
        from pymodbus.framer.rtu import FramerRTU

        if len(self._heard) < SHORTEST:
            return NoAnswer("short_answers")
        checksum = int.from_bytes(self._heard[-2:], "big")
        sound = FramerRTU.check_CRC(self._heard[:-2], checksum)
        return NoAnswer("wrong_answers" if sound else "crc_errors")

    def _let_late_answers_pass(self, unit_id: int) -> None:
        """On a line no answer says to which request it belongs. What comes meanwhile is thrown away before the next."""
        wait = self._late_until.pop(unit_id, 0.0) - time.monotonic()
        if wait > 0.0:
            time.sleep(wait)


_buses: dict[str, Bus] = {}
_joining = threading.Lock()


def join(wire: Wire) -> Bus:
    """The bus of this wire, connected; the same for all who name the same port or host. Raises OSError, and SensorError
    when pymodbus is missing."""
    with _joining:
        key = wire.key  # as it is now: after a plug was pulled the link leads elsewhere
        bus = _buses.setdefault(key, Bus(wire, key))
        if bus.wire.settings != wire.settings:
            raise OSError(
                f"{wire.where} is in use by another sensor with {bus.wire.settings}, here it has {wire.settings}:"
                " they must be the same"
            )
        bus.users += 1
    try:
        bus.connect()
    except BaseException:
        leave(bus)
        raise
    return bus


def leave(bus: Bus) -> None:
    """Give the bus back; the last to leave closes it."""
    with _joining:
        bus.users -= 1
        if bus.users == 0:
            del _buses[bus.key]
            bus.close()
