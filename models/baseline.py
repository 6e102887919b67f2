"""What a monitor learned, on disk: one file, replaced whole, refused under another configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models import archive
from models.calibration import Calibration
from models.detector import Learned
from models.drift import NAMES as DRIFT
from models.tail import Growth, Tail

GUARD = "guard"  # the part that knows the sensor's own habits, and scores nothing
FORMAT = 2
STREAMING = (
    "table",
    "memory",
    "past",
    "unlike",
    "tail",
    "seen",
    *DRIFT,
)  # arrays that move on with every row
SPREAD = "spread"  # 5, 50 and 95 % of each column of what was learned from: for explanations, and no part of the model


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


class PartMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What one part has besides its arrays."""

    arrays: tuple[str, ...]  # their names: a damaged index hides some
    edges: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    tail: Tail | None = None
    growth: Growth | None = None


class Version(msgspec.Struct, frozen=True):
    """What can be read of any format."""

    format: int


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a baseline that is not arrays."""

    format: int
    detector: str
    belongs_to: dict[str, str]  # what the configuration was, in words: sensor, channels, window, graph ...
    parts: dict[str, PartMeta]
    origin: Origin


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned, in parts, with where it came from. The part "" is the detector's own; what else was learned
    has a name: that of an operating state, or of what it is for."""

    parts: dict[str, Learned]
    origin: Origin
    detector: str

    @property
    def learned(self) -> Learned:
        """The detector's part, or that of the first operating state."""
        return next(iter(self.parts.values()))

    def digest(self, graph_digest: str) -> str:
        """SHA-256 in hex of the graph and of what was learned first: the streaming state is left out."""
        h = hashlib.sha256(graph_digest.encode())
        h.update(repr((self.detector, self.origin.rows, self.origin.last)).encode())
        for part, learned in self.parts.items():
            if part == GUARD:
                continue
            h.update(repr((part, learned.calibration.edges)).encode())
            for name, array in learned.arrays.items():
                if name not in STREAMING and name != SPREAD:
                    h.update(np.ascontiguousarray(array).tobytes())
        return h.hexdigest()


def save(path: Path, baseline: Baseline, belongs_to: Mapping[str, str]) -> None:
    """Replace `path` whole: a power cut leaves the old file or the new one. Raises OSError."""
    meta = Meta(
        format=FORMAT,
        detector=baseline.detector,
        belongs_to=dict(belongs_to),
        parts={
            name: PartMeta(
                arrays=tuple(part.arrays),
                edges=part.calibration.edges,
                notes=part.notes,
                tail=part.tail,
                growth=part.growth,
            )
            for name, part in baseline.parts.items()
        },
        origin=baseline.origin,
    )
    arrays = {
        _member(name, array): values
        for name, part in baseline.parts.items()
        for array, values in part.arrays.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    archive.replace(path, archive.pack(meta, arrays))


def load(path: Path, belongs_to: Mapping[str, str]) -> Baseline:
    """The baseline in `path`. Raises FileNotFoundError, BrokenBaseline, and ForeignBaseline when it was
    learned under another configuration than `belongs_to`."""
    try:
        meta, arrays = _read(path)
    except FileNotFoundError:
        raise
    except archive.DAMAGE as error:
        raise BrokenBaseline(f"{path}: not a whole baseline ({error})") from None
    differences = [
        f"{key} was {meta.belongs_to.get(key, 'not set')}, is now {belongs_to.get(key, 'not set')}"
        for key in {**meta.belongs_to, **belongs_to}
        if meta.belongs_to.get(key) != belongs_to.get(key)
    ]
    if differences:
        told = "; ".join(differences)
        raise ForeignBaseline(f"{path}: learned under another configuration: {told}: learn again")
    parts = {
        name: Learned(
            {array: arrays[_member(name, array)] for array in part.arrays},
            Calibration(part.edges),
            part.notes,
            part.tail,
            part.growth,
        )
        for name, part in meta.parts.items()
    }
    return Baseline(parts=parts, origin=meta.origin, detector=meta.detector)


def _member(part: str, array: str) -> str:
    """The name of an array in the file."""
    return f"{part}/{array}" if part else array


def _read(path: Path) -> tuple[Meta, dict[str, NDArray[Any]]]:
    packed, arrays = archive.unpack(path, "baseline")
    found = msgspec.json.decode(packed, type=Version).format
    if found != FORMAT:
        raise ForeignBaseline(f"{path}: format {found}, this version reads {FORMAT}: learn again")
    meta = msgspec.json.decode(packed, type=Meta)
    if not meta.parts:
        raise ValueError("it has no parts")
    for part in meta.parts.values():
        if any(not edge > 0 for edge in part.edges):
            raise ValueError(f"edges {part.edges}")
        if part.tail is not None and not (part.tail.seconds > 0 and part.tail.threshold > 0):
            raise ValueError(f"tail {part.tail}")
    named = {_member(name, array) for name, part in meta.parts.items() for array in part.arrays}
    if set(arrays) != named:
        raise ValueError(f"{', '.join(arrays) or 'nothing'} instead of {', '.join(sorted(named))}")
    strange = [name for name, array in arrays.items() if array.dtype != np.float32]
    if strange:
        raise ValueError(f"{', '.join(strange)} not in single precision")
    return meta, arrays
