"""Registers of a Modbus device: where they are, what their words mean, and how few requests read them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sensors.base import OptionError
from sensors.quantity import Quantity

Table = Literal["coil", "discrete", "input", "holding"]
Type = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]

# Modbus Application Protocol V1.1b3, 6.1 to 6.4: what one answer may hold
MOST_REGISTERS, MOST_BITS = 125, 2000
LAST_ADDRESS = 65535
# the first digit of a number such as 40001, from the manuals of Modicon's PLCs; what follows counts from 1
DIGITS: dict[int, Table] = {1: "discrete", 3: "input", 4: "holding"}
FORMATS: dict[Type, str] = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
WHICH = (
    "in which table? write `table: holding` with the address on the wire, from 0, or a number such as 40001"
)


@dataclass(frozen=True, slots=True)
class Register(Quantity):
    """One quantity of a device, in one register or several, or one bit.

    Options:
        address: with `table`, the address on the wire, from 0; without it, a number as in manuals of PLCs, 40001 or
            400001, whose first digit says the table (1 discrete, 3 input, 4 holding) and whose others count from 1.
        table: which of the device's tables; coils and discrete inputs are bits, 0 or 1.
        type: what the words are; a bit has none.
        order: the bytes of a 32-bit number as they come, A the highest: ABCD highest first, CDAB with the low word
            first, BADC with the bytes of each word swapped, DCBA both; numbers of 64 bits in the same sense.
        missing: the number, before scale and offset, with which the device says that it has none, such as 0x8000.
    """

    address: int
    table: Table | None = None
    type: Type = "uint16"
    order: Order = "ABCD"
    missing: int | None = None

    def __post_init__(self) -> None:
        Quantity.__post_init__(
            self
        )  # super() does not know a class with slots that is derived (python/cpython#90562)
        table, first = self.place  # which raises where there is none
        if first + self.size - 1 > LAST_ADDRESS:
            raise OptionError("address", self.address, f"ends past {LAST_ADDRESS}, the last that Modbus has")
        if table in ("coil", "discrete") and (self.type, self.order) != ("uint16", "ABCD"):
            raise OptionError("type", self.type, f"a {table} is a bit: it has no type and no order")

    @property
    def place(self) -> tuple[Table, int]:
        """The table, and the address on the wire. Raises OptionError."""
        if self.table is not None:
            if not 0 <= self.address <= LAST_ADDRESS:
                raise OptionError("address", self.address, f"must be 0 to {LAST_ADDRESS} with a table")
            return self.table, self.address
        for base in (10_000, 100_000):  # 40001 and 400001
            digit, number = divmod(self.address, base)
            if digit in DIGITS and 1 <= number <= LAST_ADDRESS + 1:
                return DIGITS[digit], number - 1
        raise OptionError("address", self.address, WHICH)

    @property
    def size(self) -> int:
        """In registers, or bits."""
        return struct.calcsize(FORMATS[self.type]) // 2

    def number(self, words: Sequence[int]) -> float | None:
        """What its words, or its bit, say; None is the device's own word for missing."""
        number = self._decoded(words)
        return None if self.missing is not None and self._same(number, self.missing) else float(number)

    def _decoded(self, words: Sequence[int]) -> int | float:
        if self.place[0] in ("coil", "discrete"):
            return int(words[0])
        ordered = words[::-1] if self.order in ("CDAB", "DCBA") else words
        endian = "<" if self.order in ("BADC", "DCBA") else ">"
        packed = struct.pack(f"{endian}{len(ordered)}H", *ordered)
        number: int | float = struct.unpack(FORMATS[self.type], packed)[0]
        return number

    def _same(self, number: int | float, asked: int) -> bool:
        """0x8000 is what an int16 of -32768 looks like, and datasheets write it so."""
        if isinstance(number, float):
            return number == asked
        return (number - asked) % (1 << 16 * self.size) == 0


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbours that one request reads, and where in the sample each of them belongs."""

    table: Table
    first: int
    count: int
    members: tuple[tuple[int, Register], ...]  # place in the sample, register; by address

    @property
    def words(self) -> str:
        """The block as messages name it."""
        last = self.first + self.count - 1
        return f"{self.table} {self.first}" if self.count == 1 else f"{self.table} {self.first} to {last}"

    def numbers(self, answer: Sequence[int]) -> Iterator[tuple[int, Register, float | None]]:
        """Of an answer with `count` registers or bits: place in the sample, register, number."""
        for place, register in self.members:
            start = register.place[1] - self.first
            yield place, register, register.number(answer[start : start + register.size])

    def unbridged(self) -> list[Block]:
        """The same registers, with nothing between them read; this block alone where it bridges no gap."""
        return _blocks(self.table, self.members, bridge=0, most=self.count)


def plan(registers: Sequence[Register], bridge: int, most: int) -> list[Block]:
    """As few requests as read them all: across gaps of at most `bridge` registers (16 times as many bits), and with at
    most `most` registers each. The tables in the order of their first register in the list."""
    tables: dict[Table, list[tuple[int, Register]]] = {}
    for place, register in enumerate(registers):
        tables.setdefault(register.place[0], []).append((place, register))
    blocks: list[Block] = []
    for table, members in tables.items():
        bits = table in ("coil", "discrete")
        limit = min(16 * most, MOST_BITS) if bits else most
        blocks += _blocks(table, members, 16 * bridge if bits else bridge, limit)
    return blocks


def _blocks(table: Table, members: Sequence[tuple[int, Register]], bridge: int, most: int) -> list[Block]:
    blocks: list[Block] = []
    for place, register in sorted(members, key=lambda member: member[1].place[1]):
        first, end = register.place[1], register.place[1] + register.size
        if blocks:
            open_ = blocks[-1]
            reach = max(end, open_.first + open_.count) - open_.first
            if first - open_.first - open_.count <= bridge and reach <= most:
                blocks[-1] = Block(table, open_.first, reach, (*open_.members, (place, register)))
                continue
        blocks.append(Block(table, first, register.size, ((place, register),)))
    return blocks
