"""What the autoencoder's variants cost and keep, measured where this runs: the card of the bundle."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.build import network, zoo
from models.build.cost import HELD_OUT, costs, rows
from models.build.rig import FRAME, frames
from models.bundle import Bundle
from models.session import VERSION, open_model

FOLDER = Path(__file__).resolve().parent.parent / "zoo" / zoo.NAME
QUALITY = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "quantised.json"


def card(folder: Path = FOLDER) -> str:
    """The card as Markdown. Takes about a minute."""
    bundle = Bundle(folder)
    variants = tuple(bundle.manifest.variants)
    table = rows(costs(folder))
    contents = {name: bundle.content(name) for name in variants}
    features = _features(contents)
    agree = _rank_correlations(features["fp32"], features["int8"])
    weakest = int(np.argmin(agree))
    now = datetime.now(timezone.utc)
    return TEXT.format(
        features=len(bundle.manifest.features),
        frame=FRAME,
        version=bundle.manifest.version,
        parameters=sum(int(np.prod(shape)) for shape in network.shapes().values()),
        steps=network.STEPS,
        batch=network.BATCH,
        whole_steps=network.WHOLE_STEPS,
        seed=network.SEED,
        table=_markdown(table),
        mean=f"{float(np.mean(agree)):.4f}",
        least=f"{agree[weakest]:.4f}",
        which=bundle.manifest.features[weakest],
        errors=", ".join(f"{v} {float(features[v][:, 0].mean()):.3f}" for v in variants),
        quality=_quality(),
        default=bundle.manifest.default,
        where=f"{_processor()}, one thread, Python {platform.python_version()}, numpy {np.__version__}, "
        f"onnxruntime {VERSION}",
        date=f"{now:%Y-%m-%d}",
    )


def _features(contents: dict[str, bytes]) -> dict[str, NDArray[np.float32]]:
    """`(512, features)` of each variant on frames of machines that nobody saw."""
    held_out = frames(512, HELD_OUT)[:, None]
    return {
        name: open_model(content).run(["features"], {"frames": held_out})[0]
        for name, content in contents.items()
    }


def _rank_correlations(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Spearman's, of each column."""
    ranks = [np.argsort(np.argsort(table, axis=0), axis=0).astype(np.float64) for table in (a, b)]
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(ranks[0].T, ranks[1].T, strict=True)])


def _quality() -> str:
    """What `python -m benchmarks quantised` found, where it has been run."""
    try:
        found: dict[str, Any] = json.loads(QUALITY.read_text("utf-8"))
    except FileNotFoundError:
        return "Not measured yet: run `python -m benchmarks quantised --data DIR --out docs/benchmarks`, then build."
    return str(found["summary"])


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


TEXT = """# Autoencoder of healthy machines, version {version}

A convolutional autoencoder for windows of vibration: {parameters:,} weights, from {frame} samples of one axis through
an eighth as many numbers and back. Its {features} features, what it cannot rebuild and how loud it finds its
patterns, go into the ordinary Mahalanobis head, which is learned on the device from the machine's own normal windows.
The network never learns there.

**Trained on** frames of a rig that does not exist (`models/build/rig.py`): healthy rotating machines at random speeds,
loads, gears, resonances, noise and rates, none with a fault; {steps:,} batches of {batch} frames, seed {seed}.
No recording of a real machine was used, so none is in it. Licence: Apache-2.0, as the project.

**Variants.** `fp32`, and `int8`: static, whole integers from the frames to the reconstruction, activations in 8 bits
and weights, with a scale per channel, in 7 of theirs, so that processors without VNNI or a dot product never saturate.
Ranges are those of 512 frames of the rig; {whole_steps} more batches taught these weights to bear the rounding. Each
variant has a baseline of its own. The default is **`{default}`**; who asks for the other gets it with `variant`.

{table}

CPU time. Hot: the same call again and again, the best. Cold: after something else has filled all caches, the median.
Mean squared error on 512 machines never seen, each at about unit power: {errors}. Spearman's rank correlation of
int8's features with fp32's there: mean {mean}, least {least} (`{which}`).

**Detection kept.** {quality}

**Does badly** where speed or load change beyond what was learned; where a fault shows in a few low lines of the
spectrum only (misalignment), of which the plain spectral features see more; on windows below {frame} samples, which
are refused. Not measured on a board.

Measured {date} by `python -m models.build` on {where};
other programs were running.
"""
