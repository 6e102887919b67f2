"""Ready models in models/zoo: a folder of manifest, variants and card, looked through before it is believed."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import msgspec

from models.session import Session, open_model

ZOO = Path(__file__).resolve().parent / "zoo"
FORMAT = 1
LARGEST_MANIFEST, LARGEST_MODEL = 64 * 1024, 16 * 2**20  # bytes
MOST_FEATURES, LONGEST_FRAME = 256, 1 << 20
NAME = re.compile(
    r"[a-z0-9][a-z0-9_-]{0,63}(\.onnx)?"
)  # of a bundle, a variant, a file: no path can hide in it


class BundleError(Exception):
    """A bundle that cannot be trusted or read; the message says why."""


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One form of the model: the same inputs and outputs, other weights."""

    file: str  # beside the manifest
    sha256: str  # in hex
    size_bytes: int
    weight_bytes: int  # the constants alone


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle says of itself."""

    format: int
    name: str
    version: int
    licence: str
    frame: int  # samples of one channel that the model sees at a time
    features: tuple[str, ...]  # columns of its output
    default: str  # the variant to run where nobody asks for another
    variants: dict[str, Variant]


class Bundle:
    """A bundle whose manifest was found sound; its variants are read, and checked, when they are opened."""

    def __init__(self, folder: Path) -> None:
        """Raises BundleError."""
        self.folder = folder
        self.manifest = _manifest(folder)

    def content(self, variant: str) -> bytes:
        """The bytes of a variant's graph, of the size and digest that the manifest names. Raises BundleError."""
        entry = self.entry(variant)
        content = _read(self.folder, entry.file, LARGEST_MODEL)
        if len(content) != entry.size_bytes:
            raise BundleError(
                f"{self.folder / entry.file}: {len(content)} bytes, the manifest says {entry.size_bytes}"
            )
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry.sha256:
            raise BundleError(f"{self.folder / entry.file}: not what the manifest was written for ({digest})")
        return content

    def entry(self, variant: str) -> Variant:
        """What the manifest says of a variant. Raises BundleError where there is none of that name."""
        if variant not in self.manifest.variants:
            known = ", ".join(self.manifest.variants)
            raise BundleError(f"{self.folder}: no variant {variant}: it has {known}")
        return self.manifest.variants[variant]

    def choose(self, asked: str) -> str:
        """The variant that `asked` means: "auto" is the default. Raises BundleError."""
        variant = self.manifest.default if asked == "auto" else asked
        self.entry(variant)
        return variant

    def open(self, variant: str) -> Session:
        """A session of this variant: one in the process. Raises BundleError."""
        return _open(self.folder, variant)


@cache
def shipped(name: str) -> Bundle:
    """The bundle of this name in models/zoo. Raises BundleError."""
    if not NAME.fullmatch(name):
        raise BundleError(f"{name!r} is no name of a bundle")
    return Bundle(ZOO / name)


@cache
def _open(folder: Path, variant: str) -> Session:
    bundle = Bundle(folder)
    session = open_model(bundle.content(variant))
    manifest = bundle.manifest
    inputs = [(node.name, node.type, node.shape[1:]) for node in session.get_inputs()]
    outputs = {node.name: (node.type, node.shape[1:]) for node in session.get_outputs()}
    expected = ("tensor(float)", [len(manifest.features)])
    if inputs != [("frames", "tensor(float)", [1, manifest.frame])] or outputs.get("features") != expected:
        raise BundleError(f"{folder}: {variant} takes and gives something else than its manifest says")
    return session


def _manifest(folder: Path) -> Manifest:
    path = folder / "manifest.json"
    try:
        manifest = msgspec.json.decode(_read(folder, "manifest.json", LARGEST_MANIFEST), type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleError(f"{path}: {error}") from None
    if manifest.format != FORMAT:
        raise BundleError(f"{path}: format {manifest.format}, this version reads {FORMAT}")
    wrong = [
        name
        for name in (manifest.name, *manifest.variants, *(v.file for v in manifest.variants.values()))
        if not NAME.fullmatch(name)
    ]
    if wrong:
        raise BundleError(f"{path}: {wrong[0]!r} is no plain name")
    if manifest.name != folder.name:
        raise BundleError(f"{path}: is the manifest of {manifest.name}")
    if manifest.default not in manifest.variants:
        raise BundleError(f"{path}: its default {manifest.default} is none of its variants")
    if not 1 <= len(manifest.features) <= MOST_FEATURES or len(set(manifest.features)) < len(
        manifest.features
    ):
        raise BundleError(f"{path}: between 1 and {MOST_FEATURES} features of different names are expected")
    if not 1 <= manifest.frame <= LONGEST_FRAME:
        raise BundleError(f"{path}: a frame of {manifest.frame} samples")
    return manifest


def _read(folder: Path, name: str, most: int) -> bytes:
    """A file that lies in the folder itself, not behind a link, and is not larger than believable."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path}: no such file, or a link")
    if path.stat().st_size > most:
        raise BundleError(f"{path}: {path.stat().st_size} bytes are more than the {most} that are read")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
