"""The shipped graphs: reproducible, of known shape, run by a session sized for a small board."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.level import CARRIED
from models.session import GRAPHS, Bound, aligned, digest, open_graph
from tests.real import require

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {
    "mahalanobis.onnx": (
        {
            "level": ["monitors", "width", "windows"],
            "change": ["monitors", "width", "windows"],
            "mean": ["monitors", "width", 1],
            "inverse_scale": ["monitors", "width", 1],
            "inverse_change": ["monitors", "width", 1],
            "precision": ["monitors", "width", "width"],
            "ones": ["monitors", 1, "width"],
        },
        {"distance": ["monitors", 1, "windows"], "jump": ["monitors", 1, "windows"]},
    ),
    "level.onnx": (
        {
            **{name: ["channels", 1] for name in ("value", "median", "inverse_scale")},
            **{name: ["channels", *shape] for name, shape in CARRIED.items()},
        },
        {
            **{f"{name}_next": ["channels", *shape] for name, shape in CARRIED.items()},
            "score": ["channels", 1],
            "distance": ["channels", 8],
            "apart": ["channels", 6],
        },
    ),
    "reconstruction.onnx": (
        {
            "level": ["monitors", "width", "windows"],
            **{name: ["monitors", "width", 1] for name in ("mean", "inverse_scale", "centre")},
            "projection": ["monitors", "features", "width"],
            "offset": ["monitors", "features", 1],
            "readout": ["monitors", "width", "features"],
            "precision": ["monitors", "width", "width"],
            "ones": ["monitors", 1, "width"],
        },
        {"distance": ["monitors", 1, "windows"]},
    ),
    "neighbours.onnx": (
        {
            "stretch": ["channels", "length", "windows"],
            "memory": ["channels", "kept", "length"],
            "energy": ["channels", "kept", 1],
            "inverse_edge": ["channels", 1, 1],
            "ones": ["channels", 1, "length"],
        },
        {"score": ["channels", 1, "windows"]},
    ),
}


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env={**env, **environment}, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_building_again_gives_the_very_bytes_that_are_shipped() -> None:
    require(importlib.util.find_spec("onnx") is not None, "onnx is not installed")
    code = (
        "from hashlib import sha256; from models.build.__main__ import GRAPHS\n"
        "for build in GRAPHS.values():\n"
        "    print(sha256(build().SerializeToString(deterministic=True)).hexdigest())"
    )
    for seed in ("1", "2"):
        lines = python(code, PYTHONHASHSEED=seed).splitlines()
        assert lines == [hashlib.sha256((GRAPHS / name).read_bytes()).hexdigest() for name in SHAPES]


def test_the_check_says_so_and_tells_a_graph_that_differs(tmp_path: Path) -> None:
    require(importlib.util.find_spec("onnx") is not None, "onnx is not installed")
    code = (
        "import sys, pathlib; import models.build.__main__ as m; sys.argv = ['build', '--check']\n"
        f"print(m.main()); m.FOLDER = pathlib.Path({str(tmp_path)!r}); print(m.main())"
    )
    lines = python(code).splitlines()
    assert lines[-2:] == ["0", "1"]
    assert not list(tmp_path.iterdir())


def test_every_shipped_graph_is_known_and_small() -> None:
    assert {path.name for path in GRAPHS.glob("*")} == set(SHAPES)
    assert all((GRAPHS / name).stat().st_size < 10_000 for name in SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_graph_has_its_inputs_and_outputs(name: str) -> None:
    session, (inputs, outputs) = open_graph(name), SHAPES[name]
    assert {node.name: node.shape for node in session.get_inputs()} == inputs
    assert {node.name: node.shape for node in session.get_outputs()} == outputs
    kinds = {node.name: node.type for node in (*session.get_inputs(), *session.get_outputs())}
    assert set(kinds.values()) == {"tensor(float)"}
    assert session.get_modelmeta().producer_name == "tocsin"


@pytest.mark.parametrize("name", SHAPES)
def test_a_process_has_one_session_a_graph_and_one_thread_a_session(name: str) -> None:
    session = open_graph(name)
    assert open_graph(name) is session
    assert session.get_providers() == ["CPUExecutionProvider"]
    code = (
        "import os; from models.session import open_graph; import models.session\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        f"open_graph({name!r}); print(len(os.listdir('/proc/self/task')) - before)"
    )
    if Path("/proc/self/task").is_dir():
        assert python(code) == "0"


def test_a_digest_is_that_of_the_bytes() -> None:
    for name in SHAPES:
        assert digest(name) == hashlib.sha256((GRAPHS / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("before", ["", "0"])
def test_telemetry_is_off_before_onnxruntime_is_imported(before: str) -> None:
    code = (
        "import sys, os\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import models.session\n"
    )
    assert python(code, **({"ORT_DISABLE_TELEMETRY": before} if before else {})) == "1"


def test_nothing_but_the_session_brings_onnxruntime_in() -> None:
    light = "models.window, models.vibration, models.calibration, models.learning, models.detector, models.baseline"
    assert python(f"import sys, {light}; print('onnxruntime' in sys.modules)") == "False"
    sources = [path for folder in ("models", "agent", "sensors") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in sources if "import onnxruntime" in path.read_text()] == ["session.py"]


def test_a_version_that_kills_a_pi_is_refused() -> None:
    code = (
        "import sys, types\n"
        "sys.modules['onnxruntime'] = fake = types.ModuleType('onnxruntime'); fake.__version__ = '1.21.1'\n"
        "try: import models.session\n"
        "except ImportError as error: print(error)\n"
    )
    assert "illegal instruction on a Raspberry Pi 4" in python(code)


def test_a_bound_session_reads_and_writes_the_arrays_it_was_given() -> None:
    inputs = {"level": aligned(2, 3, 4), "change": aligned(2, 3, 4)}
    for name, width in (("mean", 1), ("inverse_scale", 1), ("inverse_change", 1), ("precision", 3)):
        inputs[name] = aligned(2, 3, width)
    inputs["inverse_scale"][:] = inputs["inverse_change"][:] = 1
    inputs["precision"][:] = np.eye(3)
    inputs["ones"] = aligned(2, 1, 3)
    inputs["ones"][:] = 1
    outputs = {"distance": aligned(2, 1, 4), "jump": aligned(2, 1, 4)}
    bound = Bound(open_graph("mahalanobis.onnx"), inputs, outputs)
    for scale in (1, 2):
        inputs["level"][1, :, 2] = np.array([3, 4, 12]) * scale
        inputs["change"][0, 2, 1] = -7 * scale
        bound.run()
        assert outputs["distance"][1, 0].tolist() == [0, 0, 13 * scale, 0]
        assert outputs["jump"][0, 0].tolist() == [0, 7 * scale, 0, 0]


def test_aligned_arrays_are_zeros_at_a_64_byte_boundary() -> None:
    for shape in ((1, 1), (3, 5), (7, 384)):
        array = aligned(*shape)
        assert array.shape == shape
        assert array.ctypes.data % 64 == 0
        assert not array.any()
