"""Evidence on disk: a file for each alert in one bounded folder, the oldest of which make room for the newest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from agent.evidence import Account, Evidence, Scene
from agent.payloads import Event
from models import archive

FORMAT = "tocsin.evidence/1"
NAME = re.compile(r"(?P<monitor>.+)-(?P<time>\d{8}T\d{6}\.\d{3}Z)-(?P<id>[0-9a-f]{8})\.npz")


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
        archive.replace(self.folder / evidence.name, content)
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
    return archive.pack(meta, evidence.arrays)


def read(path: Path) -> Stored:
    """The evidence in `path`. Raises FileNotFoundError, and BrokenEvidence for all else that is wrong with it."""
    try:
        packed, arrays = archive.unpack(path, "evidence")
        meta = msgspec.json.decode(packed, type=Meta)
        _check(meta, arrays)
    except FileNotFoundError:
        raise
    except archive.DAMAGE as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BrokenEvidence(f"{path}: no whole evidence ({words or type(error).__name__})") from None
    return Stored(meta=meta, arrays=arrays)


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
