"""The frames of an IIO buffer: where each element lies, and what number its bits are.

Linux, Documentation/iio/iio_devbuf.rst and Documentation/ABI/testing/sysfs-bus-iio (scan_elements).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FORMAT = re.compile(r"(be|le):([fsu])(\d+)/(\d+)(?:X(\d+))?(?:>>(\d+))?")
FLOAT_BITS = (16, 32, 64)  # of IEEE 754's binary formats, those that numpy knows
MOST_BITS = 64
MOST_REPEAT = 64


@dataclass(frozen=True, slots=True)
class Format:
    """How an element is stored: the kernel's `[be|le]:[f|s|u]bits/storagebits[Xrepeat][>>shift]`."""

    big_endian: bool
    kind: str  # f, s or u: floating point, two's complement, unsigned
    bits: int
    storage_bits: int
    repeat: int
    shift: int

    @classmethod
    def parse(cls, text: str) -> Format:
        """Raises ValueError for what the kernel's documentation does not know."""
        match = _FORMAT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text.strip()!r} is not [be|le]:[f|s|u]bits/storagebits[Xrepeat][>>shift]")
        order, kind = match.group(1, 2)
        bits, storage, repeat, shift = (int(number or 0) for number in match.group(3, 4, 5, 6))
        if storage % 8 or not 8 <= storage <= MOST_BITS or not 1 <= bits <= storage - shift:
            raise ValueError(f"{text.strip()!r}: {bits} bits do not fit {storage} bits of storage")
        if repeat > MOST_REPEAT:
            raise ValueError(f"{text.strip()!r}: more than {MOST_REPEAT} repetitions")
        if kind == "f" and bits not in FLOAT_BITS:
            raise ValueError(f"{text.strip()!r}: no floating point of {bits} bits is known")
        return cls(order == "be", kind, bits, storage, max(1, repeat), shift)

    @property
    def size_bytes(self) -> int:
        """Of all its repetitions; also what it is aligned to."""
        return self.storage_bits // 8 * self.repeat


class Frames:
    """Elements in the order of their index, each aligned to its own size, and the whole to the largest of them
    (iio_compute_scan_bytes of the kernel's drivers/iio/industrialio-buffer.c)."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self.formats = tuple(formats)
        end, offsets = 0, []
        for each in self.formats:
            offsets.append(_align(end, each.size_bytes))
            end = offsets[-1] + each.size_bytes
        self.offsets = tuple(offsets)
        self.size_bytes = _align(end, max(each.size_bytes for each in self.formats))
        self._layout = np.dtype(
            {
                "names": [str(i) for i in range(len(self.formats))],
                "formats": [_stored(each) for each in self.formats],
                "offsets": offsets,
                "itemsize": self.size_bytes,
            }
        )

    def decode(self, frames: bytes) -> list[NDArray[Any]]:
        """Of each element its numbers, (frames, repeat), as integers of up to 64 bits or as floating point: `frames`
        is a whole number of them."""
        rows = np.frombuffer(frames, self._layout)
        return [_numbers(rows[str(i)], each) for i, each in enumerate(self.formats)]


def _align(offset: int, size: int) -> int:
    """The kernel's ALIGN(), which means it for powers of two and is a mask all the same."""
    return (offset + size - 1) & ~(size - 1)


def _stored(each: Format) -> tuple[str, tuple[int, ...]]:
    """The numpy type of an element in the frame: of its storage, or bytes where numpy has none of that size."""
    size = each.storage_bits // 8
    if size not in (1, 2, 4, 8):
        return "u1", (each.repeat, size)
    kind = "i" if each.kind == "s" else "u"
    return f"{'>' if each.big_endian else '<'}{kind}{size}", (each.repeat,)


def _numbers(stored: NDArray[Any], each: Format) -> NDArray[Any]:
    if stored.ndim == 3:
        stored = _widened(stored, each)
    width = 8 * stored.dtype.itemsize
    native = stored.astype(stored.dtype.newbyteorder("="))
    if each.bits < width:
        # Up until the topmost bit of the number is the topmost of all, and down again: what else the storage holds
        # falls off at both ends, and the sign is drawn along.
        np.left_shift(native, width - each.bits - each.shift, out=native)
        np.right_shift(native, width - each.bits, out=native)
    if each.kind == "f":
        return native.astype(f"u{each.bits // 8}").view(f"f{each.bits // 8}")
    return native


def _widened(stored: NDArray[Any], each: Format) -> NDArray[Any]:
    """Storage of 3, 5, 6 or 7 bytes in 8."""
    size = stored.shape[2]
    wide = np.zeros((*stored.shape[:2], 8), np.uint8)
    if each.big_endian:
        wide[..., 8 - size :] = stored
    else:
        wide[..., :size] = stored
    kind = "i" if each.kind == "s" else "u"
    words: NDArray[Any] = wide.view(f"{'>' if each.big_endian else '<'}{kind}8")[..., 0]
    return words
