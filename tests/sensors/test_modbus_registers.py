"""Registers: where they are, what their words mean, and how few requests read them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusTcpClient

from sensors import OptionError
from sensors.modbus_registers import FORMATS, MOST_BITS, Order, Register, Table, Type, plan

REGISTERS = st.builds(
    Register,
    name=st.just("r"),
    address=st.integers(0, 300),
    table=st.sampled_from(["holding", "input"]),
    type=st.sampled_from(list(FORMATS)),
)
BITS = st.builds(
    Register,
    name=st.just("b"),
    address=st.integers(0, 5000),
    table=st.sampled_from(["coil", "discrete"]),
)


@pytest.mark.parametrize(
    ("address", "table", "place"),
    [
        (0, "holding", ("holding", 0)),
        (40001, "holding", ("holding", 40001)),
        (40001, None, ("holding", 0)),
        (400001, None, ("holding", 0)),
        (465536, None, ("holding", 65535)),
        (30012, None, ("input", 11)),
        (10001, None, ("discrete", 0)),
        (7, "coil", ("coil", 7)),
    ],
)
def test_an_address_is_of_the_wire_or_of_a_manual(
    address: int, table: Table | None, place: tuple[Table, int]
) -> None:
    assert Register("r", address, table).place == place


@pytest.mark.parametrize("address", [0, 1, 9999, 20001, 40000, 50001, 465537, -40001])
def test_an_address_that_leaves_the_table_open_asks_for_it(address: int) -> None:
    with pytest.raises(OptionError, match="in which table"):
        Register("r", address)


def test_what_ends_past_the_last_address_and_bits_with_a_type_are_refused() -> None:
    with pytest.raises(OptionError, match="ends past 65535"):
        Register("r", 65535, "holding", "int32")
    with pytest.raises(OptionError, match="a coil is a bit"):
        Register("r", 0, "coil", "int32")


@given(st.sampled_from(list(FORMATS)), st.binary(min_size=8, max_size=8))
def test_numbers_are_those_that_pymodbus_packs(kind: Type, packed: bytes) -> None:
    packed = packed[: struct.calcsize(FORMATS[kind])]
    (value,) = struct.unpack(FORMATS[kind], packed)
    if value != value:
        return
    client: Any = ModbusTcpClient
    datatype = getattr(client.DATATYPE, kind.upper())
    for order, word_order in (("ABCD", "big"), ("CDAB", "little")):
        words = client.convert_to_registers(value, datatype, word_order=word_order)
        assert Register("r", 0, "holding", kind, order).number(words) == float(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_an_order_is_how_the_bytes_come(order: Order) -> None:
    letters = dict(zip("ABCD", struct.pack(">f", 230.25), strict=True))
    words = struct.unpack(">HH", bytes(letters[letter] for letter in order))
    assert Register("r", 0, "holding", "float32", order).number(words) == 230.25


def test_scale_then_offset() -> None:
    register = Register("r", 0, "holding", "int16", scale=0.1, offset=-40)
    number = register.number([0xFFFF])
    assert number is not None
    assert register.of(number) == pytest.approx(-40.1)


@pytest.mark.parametrize(
    ("kind", "missing", "words"),
    [
        ("int16", 0x8000, [0x8000]),
        ("int16", -32768, [0x8000]),
        ("uint16", 0xFFFF, [0xFFFF]),
        ("uint16", -1, [0xFFFF]),
        ("int32", 0x7FFFFFFF, [0x7FFF, 0xFFFF]),
        ("float32", -9999, list(struct.unpack(">HH", struct.pack(">f", -9999.0)))),
    ],
)
def test_the_devices_own_word_for_missing_is_no_number(kind: Type, missing: int, words: list[int]) -> None:
    register = Register("r", 0, "holding", kind, scale=0.1, missing=missing)
    assert register.number(words) is None
    assert register.number([1] * len(words)) is not None


@given(
    st.lists(REGISTERS | BITS, min_size=1, max_size=30),
    st.integers(0, 20),
    st.integers(min_value=4, max_value=125),
)
def test_a_plan_reads_each_register_once_and_no_more_than_is_allowed(
    registers: list[Register], bridge: int, most: int
) -> None:
    blocks = plan(registers, bridge, most)
    assert sorted(place for block in blocks for place, _ in block.members) == list(range(len(registers)))
    for block in blocks:
        bits = block.table in ("coil", "discrete")
        assert block.count <= (min(16 * most, MOST_BITS) if bits else most)
        reached = block.first
        for place, register in block.members:
            assert register is registers[place]
            table, first = register.place
            assert table == block.table
            assert first - reached <= (16 * bridge if bits else bridge)
            reached = max(reached, first + register.size)
        assert reached == block.first + block.count
        for piece in block.unbridged():
            covered = {a for _, r in piece.members for a in range(r.place[1], r.place[1] + r.size)}
            assert covered == set(range(piece.first, piece.first + piece.count))


def test_neighbours_are_one_request_across_small_gaps() -> None:
    registers = [Register(f"r{i}", address, "holding") for i, address in enumerate([9, 0, 1, 30])]
    assert [block.words for block in plan(registers, 8, 125)] == ["holding 0 to 9", "holding 30"]
    assert [block.words for block in plan(registers, 0, 125)] == ["holding 0 to 1", "holding 9", "holding 30"]
    assert len(plan(registers, 100, 5)) == 3
