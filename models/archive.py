"""Arrays and their description in one file, which is whole or not there, and of which nothing is believed when read."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

LARGEST_BYTES = 64 * 2**20  # of a file worth reading, and of what it holds
DAMAGE = (  # what a damaged zip, and a sound one that holds something else, make of being read
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    msgspec.MsgspecError,
)
META = "meta"


def pack(meta: msgspec.Struct, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An NPZ without pickles, the same bytes for the same content."""
    content = io.BytesIO()
    members: dict[str, Any] = {META: np.frombuffer(msgspec.json.encode(meta), np.uint8), **arrays}
    np.savez(content, **members)
    return content.getvalue()


def unpack(path: Path, what: str) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The description, as JSON, and the arrays, of a file that should hold `what`. Raises one of DAMAGE, among them
    FileNotFoundError.

    Every member is read whole first, for only then has its checksum been compared.
    """
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes are larger than any {what}")
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST_BYTES:
            raise ValueError(f"unpacked it is larger than any {what}")
        for member in archive.infolist():
            content = io.BytesIO(archive.read(member))
            arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(
                content, allow_pickle=False
            )
    if META not in arrays:
        raise ValueError("it has no meta: not written by tocsin")
    return arrays.pop(META).tobytes(), arrays


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of the file: a power cut leaves the old one or the new one. Raises OSError."""
    beside = path.with_name(f"{path.name}.new")
    with open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
