"""What a variant of a bundle costs here: microseconds hot and cold, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np

from models.build.rig import FRAME, frames
from models.bundle import Bundle
from models.session import Bound, Session, aligned, open_model

BATCHES = (1, 3, 9, 48)  # frames in a call: 1 s at 3.2 kHz has 3 an axis, at 25.6 kHz 16 are looked at
HELD_OUT = 2_000_003  # seed of frames that neither training nor calibration saw
CALLS, PASSES = 20, 60
FLUSHED_BYTES = 96 * 2**20  # written before a cold call: three times the largest cache here
MEMORY = """
import sys, psutil
from pathlib import Path
import numpy as np
from models.bundle import Bundle
from models.session import open_graph, open_model
open_graph("mahalanobis.onnx")
bundle, count = Bundle(Path(sys.argv[1])), int(sys.argv[3])
content, rows = bundle.content(sys.argv[2]), np.zeros((9, 1, bundle.manifest.frame), np.float32)
before = psutil.Process().memory_info().rss
kept = [open_model(content) for _ in range(count)]
for session in kept:
    session.run(["features"], {"frames": rows})
print(psutil.Process().memory_info().rss - before)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one variant."""

    file_bytes: int
    weight_bytes: int
    hot_us: tuple[float, ...]  # a call of so many frames as BATCHES says: one model, again and again
    cold_us: tuple[
        float, ...
    ]  # MANY models in rotation, so that no cache holds its weights when its turn comes
    first_rss_bytes: int  # the first session and a run of 9 frames add so much
    further_rss_bytes: int  # each further one


def costs(folder: Path) -> dict[str, Cost]:
    """Of all variants, measured here and in turns, in CPU time; takes about half a minute. Raises BundleError."""
    bundle = Bundle(folder)
    sessions = {name: open_model(bundle.content(name)) for name in bundle.manifest.variants}
    took = [_took({name: _bind(session, count) for name, session in sessions.items()}) for count in BATCHES]
    found = {}
    for name, entry in bundle.manifest.variants.items():
        first = _rss_bytes(folder, name, 1)
        found[name] = Cost(
            file_bytes=entry.size_bytes,
            weight_bytes=entry.weight_bytes,
            hot_us=tuple(hot[name] for hot, _ in took),
            cold_us=tuple(cold[name] for _, cold in took),
            first_rss_bytes=first,
            further_rss_bytes=(_rss_bytes(folder, name, 33) - first) // 32,
        )
    return found


def rows(costs: dict[str, Cost]) -> list[list[str]]:
    """A table of two variants, its head first; the last column is the first over the second."""
    found = list(costs.values())
    table = [
        ["", *costs, " / ".join(costs)],
        _row("file, KB", [each.file_bytes / 1000 for each in found], 1),
        _row("weights, KB", [each.weight_bytes / 1000 for each in found], 1),
        _row("first session, RSS, KB", [each.first_rss_bytes / 1000 for each in found], 0),
        _row("each further session, RSS, KB", [each.further_rss_bytes / 1000 for each in found], 0),
    ]
    for how in ("hot", "cold"):
        for i, count in enumerate(BATCHES):
            took = [each.hot_us[i] if how == "hot" else each.cold_us[i] for each in found]
            table.append(_row(f"{count} frame{'s' * (count > 1)} in a call, {how}, us", took, 0))
    return table


def _row(name: str, values: Sequence[float], digits: int) -> list[str]:
    return [name, *(f"{value:,.{digits}f}" for value in values), f"{values[0] / max(values[1], 1e-9):.2f}"]


def _took(bounds: dict[str, Bound]) -> tuple[dict[str, float], dict[str, float]]:
    """Microseconds a call, hot and cold."""
    hot, cold = {name: float("inf") for name in bounds}, {name: list[float]() for name in bounds}
    junk = np.zeros(FLUSHED_BYTES // 8)
    for turn in range(PASSES):
        for name, bound in bounds.items():
            bound.run()
            began = process_time()
            for _ in range(CALLS):
                bound.run()
            hot[name] = min(hot[name], (process_time() - began) / CALLS)
            if turn % 2:
                continue
            junk += 1
            began = process_time()
            bound.run()
            cold[name].append(process_time() - began)
    return (
        {name: 1e6 * value for name, value in hot.items()},
        {name: 1e6 * float(np.median(values)) for name, values in cold.items()},
    )


def _bind(session: Session, count: int) -> Bound:
    rows, found = aligned(count, 1, FRAME), aligned(count, session.get_outputs()[-1].shape[-1])  # type: ignore[arg-type]
    rows[:, 0] = frames(count, HELD_OUT)
    return Bound(session, {"frames": rows}, {"features": found})


def _rss_bytes(folder: Path, variant: str, sessions: int) -> int:
    """What so many sessions add to a process of their own that already has onnxruntime and one small graph."""
    command = [sys.executable, "-c", MEMORY, str(folder), variant, str(sessions)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
