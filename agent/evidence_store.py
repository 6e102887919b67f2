"""Evidence on disk: a file for each alert in one bounded folder, the oldest of which make room for the newest."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.evidence import Account, Evidence, Scene
from agent.payloads import Event

FORMAT = "tocsin.evidence/1"
LARGEST_BYTES = 64 * 2**20  # of a file worth reading
NAME = re.compile(r"(?P<monitor>.+)-(?P<time>\d{8}T\d{6}\.\d{3}Z)-(?P<id>[0-9a-f]{8})\.npz")
DAMAGE = (  # what a damaged zip, and a sound one that holds no evidence, make of being read
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    msgspec.MsgspecError,
)


class BrokenEvidence(Exception):
    """A file that holds no whole evidence; the message says why."""


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an evidence file that is not arrays."""

    format: str
    event: Event  # as published, without the clock
    time: float  # of the event, Unix seconds
    account: Account
    scene: Scene
    rate_hz: float
    waveform_end: float
    whole: bool
    arrays: tuple[str, ...]  # their names: a damaged index hides some


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of evidence holds."""

    meta: Meta
    arrays: dict[str, NDArray[Any]]


class Store:
    """One folder, bounded in bytes and in files. Belongs to one thread."""

    def __init__(self, folder: Path, max_size_bytes: int, max_files: int) -> None:
        self.folder, self._most_bytes, self._most_files = folder, max_size_bytes, max_files
        self.written = self.removed = 0

    def put(self, evidence: Evidence, event: Event) -> None:
        """Write it, or write it anew now that it is whole; `event` as published. Raises OSError.

        A power cut leaves the old file, the new one, or none, and never half of one. Where it alone is larger than the
        folder may be, it is counted as removed and not written.
        """
        content = encode(evidence, event)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._make_room(evidence.name, len(content)):
            self.removed += 1
            return
        beside = self.folder / f"{evidence.name}.new"
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / evidence.name)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.written += 1

    def _make_room(self, name: str, size_bytes: int) -> bool:
        """For one file more, or a larger one of this name. What a power cut left half written goes too."""
        kept: list[tuple[int, str, int]] = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                if path.name.endswith(".npz.new"):
                    path.unlink()
                elif path.name.endswith(".npz") and path.name != name:
                    status = path.lstat()
                    kept.append((status.st_mtime_ns, path.name, status.st_size))
        kept.sort()
        total = size_bytes + sum(size for _, _, size in kept)
        while kept and (total > self._most_bytes or len(kept) >= self._most_files):
            _, oldest, size = kept.pop(0)
            with suppress(FileNotFoundError):
                (self.folder / oldest).unlink()
                self.removed += 1
            total -= size
        return total <= self._most_bytes


def encode(evidence: Evidence, event: Event) -> bytes:
    """The content of the file: an NPZ without pickles, the same bytes for the same evidence."""
    meta = Meta(
        format=FORMAT,
        event=event,
        time=evidence.event.time,
        account=evidence.account,
        scene=evidence.scene,
        rate_hz=evidence.rate_hz,
        waveform_end=evidence.waveform_end,
        whole=evidence.whole,
        arrays=tuple(evidence.arrays),
    )
    content = io.BytesIO()
    arrays: dict[str, Any] = {
        "meta": np.frombuffer(msgspec.json.encode(meta), np.uint8),
        **evidence.arrays,
    }
    np.savez(content, **arrays)
    return content.getvalue()


def read(path: Path) -> Stored:
    """The evidence in `path`. Raises FileNotFoundError, and BrokenEvidence for all else that is wrong with it."""
    try:
        meta, arrays = _read(path)
        _check(meta, arrays)
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BrokenEvidence(f"{path}: no whole evidence ({words or type(error).__name__})") from None
    return Stored(meta=meta, arrays=arrays)


def _read(path: Path) -> tuple[Meta, dict[str, NDArray[Any]]]:
    """Every member is read whole first, for only then has its checksum been compared."""
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes are larger than any evidence")
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST_BYTES:
            raise ValueError("unpacked it is larger than any evidence")
        for member in archive.infolist():
            content = io.BytesIO(archive.read(member))
            arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(
                content, allow_pickle=False
            )
    packed = arrays.pop("meta", None)
    if packed is None:
        raise ValueError("it has no meta: not written by tocsin")
    return msgspec.json.decode(packed.tobytes(), type=Meta), arrays


def _check(meta: Meta, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raises ValueError where what is there does not go together."""
    if meta.format != FORMAT:
        raise ValueError(f"form {meta.format}, this version reads {FORMAT}")
    if set(arrays) != set(meta.arrays):
        raise ValueError(f"{', '.join(arrays) or 'nothing'} instead of {', '.join(meta.arrays)}")
    wide = {"values": len(meta.scene.channels), "rows": len(meta.scene.features)}
    for times, name in (("level_times", "levels"), ("value_times", "values"), ("row_times", "rows")):
        if (times in arrays) != (name in arrays):
            raise ValueError(f"{name} and {times}: one without the other")
        if name in arrays:
            width = () if name == "levels" else (wide[name],)
            if arrays[times].ndim != 1 or arrays[name].shape != (len(arrays[times]), *width):
                raise ValueError(f"{name} {arrays[name].shape} do not fit {times} {arrays[times].shape}")
    wave = arrays.get("waveform")
    if wave is not None and (wave.ndim != 2 or wave.shape[1] != wide["values"] or not meta.rate_hz > 0):
        raise ValueError(f"waveform {wave.shape} at {meta.rate_hz} Hz")
    if any(array.dtype.kind != "f" for array in arrays.values()) or "levels" not in arrays:
        raise ValueError("arrays that are no numbers, or no levels")
