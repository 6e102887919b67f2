"""What a monitor learned, on disk: one file, replaced whole, refused under another configuration."""

from __future__ import annotations

import hashlib
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

from models.calibration import Calibration
from models.detector import Learned

FORMAT = 1
LARGEST_BYTES = 64 * 2**20  # of a file worth reading
DAMAGE = (  # what a damaged zip, and a sound one that holds no baseline, make of being read
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


class BaselineError(Exception):
    """A baseline that cannot be used; the message says why."""


class BrokenBaseline(BaselineError):
    """The file is damaged: set it aside."""


class ForeignBaseline(BaselineError):
    """The file is sound, but was learned under another configuration."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """When and from what a baseline was learned."""

    rows: int
    first: float  # Unix seconds of the first row
    last: float
    stuck: int = 0  # rows left out because a channel stood still
    strays: int = 0  # rows left out because they lay far from the others
    notes: tuple[str, ...] = ()


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a baseline that is not arrays."""

    format: int
    detector: str
    belongs_to: dict[str, str]  # what the configuration was, in words: sensor, channels, window, graph ...
    edges: tuple[float, ...]
    arrays: tuple[str, ...]  # their names: a damaged index hides some
    origin: Origin


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A detector's arrays with where they came from."""

    learned: Learned
    origin: Origin
    detector: str

    def digest(self, graph_digest: str) -> str:
        """SHA-256 in hex of the graph and of what was learned first: the streaming state is left out."""
        h = hashlib.sha256(graph_digest.encode())
        edges = self.learned.calibration.edges
        h.update(repr((self.detector, edges, self.origin.rows, self.origin.last)).encode())
        for name in ("mean", "inverse_scale", "inverse_change", "precision", "median"):
            if name in self.learned.arrays:
                h.update(np.ascontiguousarray(self.learned.arrays[name]).tobytes())
        return h.hexdigest()


def save(path: Path, baseline: Baseline, belongs_to: Mapping[str, str]) -> None:
    """Replace `path` whole: a power cut leaves the old file or the new one. Raises OSError."""
    meta = Meta(
        format=FORMAT,
        detector=baseline.detector,
        belongs_to=dict(belongs_to),
        edges=baseline.learned.calibration.edges,
        arrays=tuple(baseline.learned.arrays),
        origin=baseline.origin,
    )
    content = io.BytesIO()
    packed = np.frombuffer(msgspec.json.encode(meta), np.uint8)
    arrays: dict[str, Any] = {"meta": packed, **baseline.learned.arrays}
    np.savez(content, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with open(beside, "wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path, belongs_to: Mapping[str, str]) -> Baseline:
    """The baseline in `path`. Raises FileNotFoundError, BrokenBaseline, and ForeignBaseline when it was
    learned under another configuration than `belongs_to`."""
    try:
        meta, arrays = _read(path)
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise BrokenBaseline(f"{path}: not a whole baseline ({error})") from None
    if meta.format != FORMAT:
        raise ForeignBaseline(f"{path}: format {meta.format}, this version reads {FORMAT}: learn again")
    differences = [
        f"{key} was {meta.belongs_to.get(key, 'not set')}, is now {belongs_to.get(key, 'not set')}"
        for key in {**meta.belongs_to, **belongs_to}
        if meta.belongs_to.get(key) != belongs_to.get(key)
    ]
    if differences:
        told = "; ".join(differences)
        raise ForeignBaseline(f"{path}: learned under another configuration: {told}: learn again")
    learned = Learned(arrays, Calibration(meta.edges), meta.origin.notes)
    return Baseline(learned=learned, origin=meta.origin, detector=meta.detector)


def _read(path: Path) -> tuple[Meta, dict[str, NDArray[Any]]]:
    """What the file holds. Every member is read whole first, for only then has its checksum been compared."""
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes are larger than any baseline")
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST_BYTES:
            raise ValueError("unpacked it is larger than any baseline")
        for member in archive.infolist():
            content = io.BytesIO(archive.read(member))
            arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(
                content, allow_pickle=False
            )
    meta = msgspec.json.decode(arrays.pop("meta").tobytes(), type=Meta)
    if not meta.edges or min(meta.edges) <= 0:
        raise ValueError(f"edges {meta.edges}")
    if set(arrays) != set(meta.arrays):
        raise ValueError(f"{', '.join(arrays) or 'nothing'} instead of {', '.join(meta.arrays)}")
    strange = [name for name, array in arrays.items() if array.dtype != np.float32]
    if strange:
        raise ValueError(f"{', '.join(strange)} not in single precision")
    return meta, arrays
