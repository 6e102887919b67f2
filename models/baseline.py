"""What a monitor learned, on disk: one file, replaced whole, refused under another configuration."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.calibration import Calibration
from models.detector import Learned

FORMAT = 1
LARGEST_BYTES = 64 * 2**20  # of a file worth reading


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
        if path.stat().st_size > LARGEST_BYTES:
            raise BrokenBaseline(f"{path}: larger than any baseline ({path.stat().st_size} bytes)")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = msgspec.json.decode(arrays.pop("meta").tobytes(), type=Meta)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
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
