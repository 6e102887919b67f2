"""The zoo's bundles from their stored weights: the variants of each graph and the manifest that names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import ModelProto, numpy_helper

from models.build import network
from models.build.autoencoder import features, full, quantised
from models.build.network import Weights
from models.build.rig import FRAME
from models.bundle import FORMAT, Manifest, Variant

NAME = "autoencoder"
VERSION = 1
WEIGHTS = Path(__file__).resolve().parent / "weights" / f"{NAME}.npz"
DEFAULT = "int8"  # see card.md: faster, hot and cold, at the same quality


def train() -> None:
    """Train the autoencoder and store its weights and ranges; prints how it goes."""
    losses: list[float] = []

    def tell(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 250 == 0:
            print(f"step {step}: mean squared error {np.mean(losses[-250:]):.4f}", flush=True)

    weights, whole = network.train(tell=tell)
    store(WEIGHTS, {"fp32": weights, "int8": whole})


def store(path: Path, variants: Mapping[str, Weights]) -> None:
    """Weights and ranges as `<variant>/<name>`, uncompressed: the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        f"{v}/{name}": array for v, all_ in variants.items() for name, array in all_.items()
    }
    np.savez(path, **arrays)


def stored(path: Path = WEIGHTS) -> dict[str, Weights]:
    """What `store` wrote, by variant."""
    variants: dict[str, Weights] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            variant, _, name = key.partition("/")
            variants.setdefault(variant, {})[name] = arrays[key]
    return variants


def bundle() -> dict[str, bytes]:
    """The files of the bundle but for the card, by name: the same on every machine."""
    weights = stored()
    models = {"fp32": full(weights["fp32"]), "int8": quantised(weights["int8"])}
    files = {f"{name}.onnx": model.SerializeToString(deterministic=True) for name, model in models.items()}
    manifest = Manifest(
        format=FORMAT,
        name=NAME,
        version=VERSION,
        licence="Apache-2.0",
        frame=FRAME,
        features=features(),
        default=DEFAULT,
        variants={
            name: Variant(
                file=f"{name}.onnx",
                sha256=hashlib.sha256(files[f"{name}.onnx"]).hexdigest(),
                size_bytes=len(files[f"{name}.onnx"]),
                weight_bytes=_weight_bytes(model),
            )
            for name, model in models.items()
        },
    )
    files["manifest.json"] = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    return files


def _weight_bytes(model: ModelProto) -> int:
    return sum(numpy_helper.to_array(constant).nbytes for constant in model.graph.initializer)
