"""Runs every shipped graph once: `python -m models.trial`. A processor that lacks an instruction ends it with a signal.

Each graph is named before it runs, so that whoever started this knows which one was the end of it.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.session import GRAPHS, VERSION, open_model, providers

TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


def main() -> int:
    """Nought when all ran."""
    began = time.perf_counter()
    paths = [*sorted(GRAPHS.glob("*.onnx")), *sorted(GRAPHS.parent.glob("zoo/*/*.onnx"))]
    for path in paths:
        print(f"graph {path.parent.name}/{path.name}", flush=True)
        session = open_model(str(path))
        feeds: dict[str, NDArray[Any]] = {
            wanted.name: np.zeros(
                [size if isinstance(size, int) else 1 for size in wanted.shape], TYPES[wanted.type]
            )
            for wanted in session.get_inputs()
        }
        session.run(None, feeds)
    offered = [name.removesuffix("ExecutionProvider") for name in providers()]
    seconds = time.perf_counter() - began
    print(f"onnxruntime {VERSION} ran {len(paths)} graphs in {seconds:.2f} s; it offers {', '.join(offered)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
