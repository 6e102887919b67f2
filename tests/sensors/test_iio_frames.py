"""Every format of the kernel's documentation, bit for bit."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensors.iio_frames import Format, Frames

WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)


def slowly(text: str, stored: bytes) -> float:
    """One number of one element, one bit after the other, as the documentation words it."""
    order, _, rest = text.partition(":")
    kind, sizes = rest[0], rest[1:].partition("X")[0].partition(">>")[0]
    bits = int(sizes.partition("/")[0])
    shift = int(text.partition(">>")[2] or 0)
    octets = list(stored) if order == "le" else list(reversed(stored))
    every = [octet >> i & 1 for octet in octets for i in range(8)]  # least first
    mine = every[shift : shift + bits]
    number = sum(bit << i for i, bit in enumerate(mine))
    if kind == "s" and mine[-1]:
        number -= 1 << bits
    if kind == "f":
        (real,) = struct.unpack({16: "<e", 32: "<f", 64: "<d"}[bits], number.to_bytes(bits // 8, "little"))
        return float(real)
    return number


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def aligned(offset: int, size: int) -> int:
    while offset % size:
        offset += 1
    return offset


@st.composite
def formats(draw: st.DrawFn, *, natural: bool) -> str:
    """Any that is well formed; `natural`: only sizes that are powers of two, as in the kernel's drivers."""
    kind = draw(st.sampled_from("fsu"))
    storage = draw(st.sampled_from((8, 16, 32, 64) if natural else WIDTHS))
    if kind == "f":
        storage = max(16, storage)
        bits = draw(st.sampled_from([size for size in (16, 32, 64) if size <= storage]))
    else:
        bits = draw(st.integers(1, storage))
    shift = draw(st.integers(0, storage - bits))
    repeat = draw(st.sampled_from((0, 1, 2, 4, 8) if natural else (0, 1)))
    text = f"{draw(st.sampled_from(('be', 'le')))}:{kind}{bits}/{storage}"
    text += f"X{repeat}" if repeat else ""
    return text + (f">>{shift}" if shift or draw(st.booleans()) else "")


@given(st.data(), formats(natural=False))
@example(None, "le:s12/16>>4")
@example(None, "be:s24/24>>0")
def test_one_element_of_any_format_is_what_its_bits_say(data: st.DataObject | None, text: str) -> None:
    frames = Frames([Format.parse(text)])
    size = frames.size_bytes
    raw = data.draw(st.binary(min_size=3 * size, max_size=3 * size)) if data else bytes(range(3 * size))
    width = int(text.partition("/")[2].partition("X")[0].partition(">>")[0]) // 8
    (found,) = frames.decode(raw)
    assert found.shape == (3, frames.formats[0].repeat)
    for row in range(3):
        for i, number in enumerate(found[row].tolist()):
            assert same(number, slowly(text, raw[row * size + i * width :][:width]))


@given(st.data(), st.lists(formats(natural=True), min_size=1, max_size=6))
def test_elements_lie_where_the_kernel_puts_them(data: st.DataObject, texts: list[str]) -> None:
    sizes: list[tuple[int, int]] = []
    for text in texts:
        storage, _, times = text.partition("/")[2].partition(">>")[0].partition("X")
        sizes.append((int(storage) // 8, int(times or 1)))
    end, places = 0, []
    for width, repeat in sizes:
        places.append(aligned(end, width * repeat))
        end = places[-1] + width * repeat
    whole = aligned(end, max(width * repeat for width, repeat in sizes))
    rows = data.draw(st.integers(1, 3))
    raw = data.draw(st.binary(min_size=rows * whole, max_size=rows * whole))

    frames = Frames([Format.parse(text) for text in texts])
    assert frames.size_bytes == whole
    for text, place, (width, repeat), found in zip(texts, places, sizes, frames.decode(raw), strict=True):
        assert found.shape == (rows, repeat)
        for row in range(rows):
            for i in range(repeat):
                number = slowly(text, raw[row * whole + place + i * width :][:width])
                assert same(found[row, i].item(), number)


def test_the_examples_of_the_documentation() -> None:
    """iio_devbuf.rst: 12 bits in the upper part of 16, and padding before wider channels."""
    assert Frames([Format.parse("le:s12/16>>4")]).decode(bytes([0xF0, 0xFF]))[0].tolist() == [[-1]]
    assert Frames([Format.parse("le:s12/16>>4")]).decode(bytes([0x10, 0x00]))[0].tolist() == [[1]]
    every = [Format.parse(text) for text in ("be:u16/16>>0", "be:u32/32>>0", "be:u32/32>>0", "be:u64/64>>0")]
    assert Frames(every).offsets == (0, 4, 8, 16)
    assert Frames(every).size_bytes == 24
    assert Frames([every[0], every[3]]).offsets == (0, 8)
    assert Frames([every[0], every[3]]).size_bytes == 16
    # sysfs-bus-iio: "s48/64>>2 will be a signed 48 bit integer stored in a 64 bit location"
    (found,) = Frames([Format.parse("be:s48/64>>2")]).decode(
        (-5 << 2 & 2**50 - 1 | 3 << 60).to_bytes(8, "big")
    )
    assert found.tolist() == [[-5]]


def test_a_quaternion_fills_its_storage_and_the_time_after_it_is_padded_to_it() -> None:
    frames = Frames([Format.parse("le:s32/32X4>>0"), Format.parse("le:s64/64>>0")])
    assert (frames.offsets, frames.size_bytes) == ((0, 16), 32)
    raw = struct.pack("<4iq8x", 1, -2, 3, -4, 5)
    assert [found.tolist() for found in frames.decode(raw)] == [[[1, -2, 3, -4]], [[5]]]


def test_a_time_keeps_every_nanosecond() -> None:
    frames = Frames([Format.parse("le:s16/16>>0"), Format.parse("le:s64/64>>0")])
    stamp = 1_700_000_000_123_456_789
    assert frames.decode(struct.pack("<h6xq", -7, stamp))[1].tolist() == [[stamp]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "le:s16",
        "xe:s16/16>>0",
        "le:q16/16",
        "le:s17/16",
        "le:s12/16>>5",
        "le:s8/12",
        "le:s64/128",
        "le:f24/32",
    ],
)
def test_what_the_documentation_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Format.parse(text)
