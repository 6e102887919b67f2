"""Bundles of ready models: what is shipped is sound, and what is not sound is refused before it runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.bundle import LARGEST_MODEL, ZOO, Bundle, BundleError, shipped

Change = Callable[[Path, dict[str, Any]], None]


def bundle(tmp_path: Path, change: Change) -> Path:
    """A copy of the shipped autoencoder whose files and manifest were changed."""
    folder = tmp_path / "autoencoder"
    shutil.copytree(ZOO / "autoencoder", folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    change(folder, manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def test_every_shipped_bundle_is_what_its_manifest_says() -> None:
    folders = [path for path in ZOO.iterdir() if path.is_dir()]
    assert [path.name for path in folders] == ["autoencoder"]
    for folder in folders:
        found = shipped(folder.name)
        named = {variant.file for variant in found.manifest.variants.values()}
        assert {path.name for path in folder.iterdir()} == named | {"manifest.json", "card.md"}
        for name in found.manifest.variants:
            session = found.open(name)
            assert found.open(name) is session
            assert [output.name for output in session.get_outputs()] == ["reconstruction", "features"]
            assert session.get_modelmeta().producer_name == "tocsin"


def test_int8_takes_a_third_and_a_half_of_the_weights_memory_or_less() -> None:
    variants = shipped("autoencoder").manifest.variants
    assert variants["fp32"].weight_bytes >= 3.5 * variants["int8"].weight_bytes
    assert variants["fp32"].size_bytes >= 3.5 * variants["int8"].size_bytes


def test_auto_is_the_default_and_an_unknown_variant_is_refused_with_those_there_are() -> None:
    found = shipped("autoencoder")
    assert found.choose("auto") == found.manifest.default
    assert found.choose("fp32") == "fp32"
    with pytest.raises(BundleError, match=r"no variant int4: it has fp32, int8"):
        found.choose("int4")


@pytest.mark.parametrize("name", ["../graphs", "", "a/b", "Autoencoder", ".", "x" * 80])
def test_a_name_that_could_be_a_path_is_none(name: str) -> None:
    with pytest.raises(BundleError, match="is no name of a bundle"):
        shipped(name)


def test_a_bundle_that_is_not_there_is_said_so() -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: no such file"):
        shipped("nothing")


def test_a_model_that_was_changed_is_refused(tmp_path: Path) -> None:
    def flip(folder: Path, manifest: dict[str, Any]) -> None:
        content = bytearray((folder / "int8.onnx").read_bytes())
        content[len(content) // 2] ^= 1
        (folder / "int8.onnx").write_bytes(content)

    folder = bundle(tmp_path, flip)
    with pytest.raises(BundleError, match="not what the manifest was written for"):
        Bundle(folder).open("int8")
    Bundle(folder).open("fp32")


def test_a_model_cut_short_is_refused_by_its_size(tmp_path: Path) -> None:
    def cut(folder: Path, manifest: dict[str, Any]) -> None:
        (folder / "int8.onnx").write_bytes((folder / "int8.onnx").read_bytes()[:-1])

    with pytest.raises(BundleError, match=r"\d+ bytes, the manifest says \d+"):
        Bundle(bundle(tmp_path, cut)).content("int8")


def test_a_model_larger_than_believable_is_not_read(tmp_path: Path) -> None:
    def grow(folder: Path, manifest: dict[str, Any]) -> None:
        with open(folder / "int8.onnx", "r+b") as file:
            file.truncate(LARGEST_MODEL + 1)  # sparse

    with pytest.raises(BundleError, match="more than the"):
        Bundle(bundle(tmp_path, grow)).content("int8")


def test_a_link_out_of_the_bundle_is_not_followed(tmp_path: Path) -> None:
    def link(folder: Path, manifest: dict[str, Any]) -> None:
        (folder / "int8.onnx").rename(tmp_path / "elsewhere.onnx")
        (folder / "int8.onnx").symlink_to(tmp_path / "elsewhere.onnx")

    with pytest.raises(BundleError, match="no such file, or a link"):
        Bundle(bundle(tmp_path, link)).content("int8")


def test_a_sound_model_of_another_shape_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    def swap(folder: Path, manifest: dict[str, Any]) -> None:
        content = (ZOO.parent / "graphs" / "level.onnx").read_bytes()
        (folder / "int8.onnx").write_bytes(content)
        variant = manifest["variants"]["int8"]
        variant |= {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}

    with pytest.raises(BundleError, match="takes and gives something else"):
        Bundle(bundle(tmp_path, swap)).open("int8")


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("format", 2, "format 2, this version reads 1"),
        ("name", "other", "is the manifest of other"),
        ("name", "../autoencoder", "is no plain name"),
        ("default", "int4", "its default int4 is none of its variants"),
        ("features", [], "between 1 and"),
        ("features", ["a", "a"], "between 1 and"),
        ("frame", 0, "a frame of 0 samples"),
        ("frame", "1024", "Expected `int`"),
        ("executable", "run.sh", "unknown field `executable`"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    tmp_path: Path, key: str, value: Any, complaint: str
) -> None:
    def change(folder: Path, manifest: dict[str, Any]) -> None:
        manifest[key] = value

    with pytest.raises(BundleError, match=complaint):
        Bundle(bundle(tmp_path, change))


@pytest.mark.parametrize("file", ["../graphs/level.onnx", "/etc/passwd", "a\\b.onnx", "int8.onnx\n", ""])
def test_a_variant_outside_of_the_bundle_is_refused(tmp_path: Path, file: str) -> None:
    def change(folder: Path, manifest: dict[str, Any]) -> None:
        manifest["variants"]["int8"]["file"] = file

    with pytest.raises(BundleError, match="is no plain name"):
        Bundle(bundle(tmp_path, change))
