"""Modbus devices to talk to: pymodbus's own server, in a thread, over TCP or on the other end of a serial line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

SOON_S = 10.0
HOLDING = 100  # where the registers of each unit begin
Registers = list[int]


def device(
    unit: int, registers: Registers, gap_at: int | None = None, refuses: Mapping[int, ExcCodes] | None = None
) -> SimDevice:
    """A unit with holding registers from HOLDING but none at `gap_at`, input registers from 0 that are each one more,
    coils 1, 0, 0, 1, ... and discrete inputs of the opposite. What it refuses is said by address."""

    async def action(*request: Any) -> ExcCodes | None:
        return (refuses or {}).get(request[2])

    holding = [
        SimData(HOLDING + i, values=value, datatype=DataType.REGISTERS)
        for i, value in enumerate(registers)
        if HOLDING + i != gap_at
    ]
    inputs = [SimData(0, values=[(value + 1) & 0xFFFF for value in registers], datatype=DataType.REGISTERS)]
    bits = [True, False, False, True] * 8
    coils = [SimData(0, values=bits, datatype=DataType.BITS)]
    discrete = [SimData(0, values=[not bit for bit in bits], datatype=DataType.BITS)]
    return SimDevice(id=unit, simdata=(coils, discrete, holding, inputs), action=action)


class Peer:
    """A server with these units. `requests` are the packets it got; `spoil` may change what it sends."""

    def __init__(self, *devices: SimDevice, line: Path | None = None, port: int = 0) -> None:
        self.requests: list[bytes] = []
        self.spoil: Callable[[bytes], bytes] = lambda packet: packet
        self._devices, self._line, self.port = list(devices), line, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: Any = None
        self._do(self._start())

    def stop(self) -> None:
        """Gone, with every connection."""
        if not self._loop.is_closed():
            self._do(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(SOON_S)
            self._loop.close()

    def write(self, unit: int, address: int, values: Registers) -> None:
        """Change holding registers."""
        self._do(self._server.async_setValues(unit, 16, address, values))

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _start(self) -> None:
        if self._line is not None:
            self._server = ModbusSerialServer(
                self._devices, port=str(self._line), baudrate=19200, trace_packet=self._trace
            )
        else:
            self._server = ModbusTcpServer(
                self._devices, address=("127.0.0.1", self.port), trace_packet=self._trace
            )
        await self._server.serve_forever(background=True)
        if self._line is None:
            self.port = self._server.transport.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        await asyncio.sleep(0.01)  # asyncio forgets the socket of a connection that is being accepted
        await self._server.shutdown()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _trace(self, sending: bool, packet: bytes) -> bytes:
        if sending:
            return self.spoil(packet)
        if packet:
            self.requests.append(packet)
        return packet

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SOON_S)
