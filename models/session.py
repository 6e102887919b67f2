"""Sessions of the shipped graphs: the only place that imports onnxruntime."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# On by default in the Linux wheels since 1.29; nothing leaves this device.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

if onnxruntime.__version__.startswith("1.21."):
    raise ImportError("onnxruntime 1.21 dies of an illegal instruction on a Raspberry Pi 4: install another")

VERSION: str = onnxruntime.__version__
GRAPHS = Path(__file__).resolve().parent / "graphs"


Session = onnxruntime.InferenceSession


@cache
def open_graph(name: str) -> Session:
    """The one session of this process for `graphs/<name>`."""
    return open_model(str(GRAPHS / name))


def open_model(model: str | bytes) -> Session:
    """A session of the model in a file, or of its bytes. Sized for a small board: one thread, no arena."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return Session(model, options, providers=["CPUExecutionProvider"])


def providers() -> list[str]:
    """What the installed onnxruntime could run on: its execution providers."""
    return list(onnxruntime.get_available_providers())


@cache
def digest(name: str) -> str:
    """SHA-256 in hex of the graph's bytes."""
    return hashlib.sha256((GRAPHS / name).read_bytes()).hexdigest()


class Bound:
    """A session bound to arrays: fill the inputs, `run()`, read the outputs. Saves 3-5 us a call."""

    def __init__(
        self,
        session: Session,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
    ) -> None:
        self._session, self._binding = session, session.io_binding()
        self._arrays = (inputs, outputs)  # the binding holds their memory, not them
        for name, array in inputs.items():
            self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def run(self) -> None:
        """Score what the inputs hold now."""
        self._session.run_with_iobinding(self._binding)


def aligned(*shape: int) -> NDArray[np.float32]:
    """Zeros at a 64-byte boundary: vector code then takes the same path in every process."""
    count = int(np.prod(shape))
    raw = np.zeros(count * 4 + 64, np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + count * 4].view(np.float32).reshape(shape)
