"""Meters, drives and PLCs that speak Modbus, over a serial line or a network."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from sensors.base import AtLeast, OptionError, PolledSensor, Positive, Slip
from sensors.cells import sample
from sensors.modbus_bus import Bus, NoAnswer, Wire, join, leave
from sensors.modbus_registers import MOST_REGISTERS, Block, Register, plan
from sensors.peers import Peer, PortFile, Server
from sensors.serial_port import Parity, Port
from sensors.values import check_names, host_trouble

logger = logging.getLogger(__name__)

LAST_UNIT = 247  # on a line (Modbus over Serial Line V1.02, 2.2); a host may also be asked as 0 or 255
TCP_PORT = Slip(
    r"^\d+$",
    "is a number, and port is a serial port, such as /dev/ttyUSB0: the TCP port of host is host_port",
)


class Modbus(PolledSensor):
    """One unit on a Modbus line (RTU) or behind a host (TCP); never writes.

    Sensors of the same port or host share it, each unit with its own options `unit_id` and `registers`.

    Options:
        registers: what to read; each is a channel.
        port: the serial port, such as /dev/serial/by-id/usb-FTDI_...; or ...
        host: ... the host's name or address.
        host_port: the host's TCP port.
        unit_id: the unit's address, 1 to 247; with `host` also 0 and 255.
        rate_hz: polls per second.
        baud: bits per second of the line; this and the next two as all units on it are set.
        parity: of the line.
        stop_bits: of the line.
        timeout_s: how long an answer may take.
        retries: how often a unit that has answered before is asked again for what came broken or not at all.
        bridge: neighbours with at most so many registers between them are read at once; 0 for none.
        most_registers: no more registers than this at once, for devices that allow fewer than the standard.
    """

    def __init__(
        self,
        *,
        registers: Sequence[Register],
        port: Annotated[str | None, TCP_PORT] = None,
        host: str | None = None,
        host_port: Annotated[int, AtLeast(1)] = 502,
        unit_id: Annotated[int, AtLeast(0)] = 1,
        rate_hz: Positive = 1.0,
        baud: Annotated[int, AtLeast(50)] = 9600,
        parity: Parity = "none",
        stop_bits: Literal[1, 2] = 1,
        timeout_s: Positive = 1.0,
        retries: Annotated[int, AtLeast(0)] = 1,
        bridge: Annotated[int, AtLeast(0)] = 8,
        most_registers: Annotated[int, AtLeast(1)] = MOST_REGISTERS,
    ) -> None:
        if bool(port) == bool(host):
            raise OptionError("port", port, "give either port or host")
        if host and (trouble := host_trouble(host)):
            raise OptionError("host", host, trouble)
        if not (1 <= unit_id <= LAST_UNIT or (host and unit_id in (0, 255))):
            raise OptionError("unit_id", unit_id, f"must be 1 to {LAST_UNIT}, or, with host, also 0 or 255")
        check_names("registers[{}].name", [register.name for register in registers])
        if most_registers > MOST_REGISTERS:
            raise OptionError(
                "most_registers", most_registers, f"must be at most {MOST_REGISTERS}, as the standard"
            )
        for register in registers:
            if register.size > most_registers:
                raise OptionError(
                    "most_registers", most_registers, f"{register.name} takes {register.size} registers"
                )
        self.channels = tuple(register.channel for register in registers)
        self.rate_hz = rate_hz
        self.skipped: Counter[str] = Counter()
        self._unit_id = unit_id
        line = Port(port, baud, parity, stop_bits) if port else None
        self._wire = Wire(line, host or "", host_port, timeout_s)
        self._retries = retries
        self._blocks = plan(registers, bridge, most_registers)
        self._bus: Bus | None = None
        self._told: set[str] = set()  # troubles of some of its registers
        self._answers = False  # since it was opened

    def peers(self) -> Sequence[Peer]:
        wire = self._wire
        return (PortFile(wire.port.path) if wire.port else Server(wire.host, wire.host_port),)

    def open(self) -> None:
        self.close()
        try:
            self._bus = join(self._wire)
        except OSError as error:
            raise self.error(str(error)) from None
        self._answers = False
        super().open()

    def sample(self) -> tuple[float, ...]:
        """What could be read, NaN for the rest. Raises OSError when nothing could."""
        values = [math.nan] * len(self.channels)
        troubles: list[str] = []
        waiting, had = list(self._blocks), 0
        while waiting:
            block = waiting.pop(0)
            try:
                answer = self._ask(block)
            except NoAnswer as error:
                pieces = self._without_bridges(block) if error.reason == "illegal_data_address" else []
                if not pieces:
                    troubles.append(f"{block.words}: {error}{self._hint(error)}")
                if not error.refused:
                    break  # the unit or the line is in trouble: the rest would only wait as long
                waiting[:0] = pieces
                continue
            had += 1
            for place, register, number in block.numbers(answer):
                values[place] = self._sound(register, number)
        if not had:
            raise OSError(f"unit {self._unit_id} at {self._wire.where}: {troubles[0]}")
        for trouble in troubles:
            if trouble not in self._told:
                logger.warning("sensor %s: %s; counted from now on", self.name, trouble)
                self._told.add(trouble)
        return tuple(values)

    def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            leave(bus)
        super().close()

    def _ask(self, block: Block) -> Sequence[int]:
        """Raises NoAnswer when no try brought one; each try is counted."""
        assert self._bus is not None
        tries = 1 + self._retries if self._answers else 1
        while True:
            try:
                answer = self._bus.ask(self._unit_id, block)
            except NoAnswer as error:
                self.skipped[error.reason] += 1
                self._answers = self._answers or error.refused
                tries -= 1
                if error.refused or not tries:
                    raise
            else:
                self._answers = True
                return answer

    def _hint(self, error: NoAnswer) -> str:
        """What is most often wrong where this is the answer."""
        if error.reason == "illegal_data_address":
            return " (is its table right, and its address not one off?)"
        if error.reason in ("crc_errors", "short_answers"):
            return " (are baud, parity and stop_bits those of the unit?)"
        if error.reason == "time_outs" and not self._answers:
            line = ", and baud and parity?" if self._wire.port else "?"
            return f" (is unit_id {self._unit_id} right{line})"
        return ""

    def _without_bridges(self, block: Block) -> list[Block]:
        """The block in pieces, from now on: the device may lack what lies between. [] where it is whole."""
        pieces = block.unbridged()
        if len(pieces) == 1:
            return []
        place = self._blocks.index(block)
        self._blocks[place : place + 1] = pieces
        logger.info(
            "sensor %s: %s is not all there, and is read in %d pieces", self.name, block.words, len(pieces)
        )
        return pieces

    def _sound(self, register: Register, number: float | None) -> float:
        """The number as a sample; what is none is counted."""
        if number is None:
            self.skipped["missing_values"] += 1
        elif not math.isfinite(number):
            self.skipped["not_finite"] += 1
        else:
            return sample(number, register, self.skip)
        return math.nan
