"""`python -m models.build [--check]`: write the graphs, or say whether the shipped ones are up to date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.build.level import level
from models.build.mahalanobis import mahalanobis
from models.build.neighbours import neighbours
from models.build.reconstruction import reconstruction

GRAPHS = {
    "mahalanobis.onnx": mahalanobis,
    "level.onnx": level,
    "reconstruction.onnx": reconstruction,
    "neighbours.onnx": neighbours,
}
FOLDER = Path(__file__).resolve().parent.parent / "graphs"


def main() -> int:
    """Build every graph; with --check write nothing and return 1 when a shipped graph differs by a byte."""
    parser = argparse.ArgumentParser(prog="python -m models.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the shipped graphs, write none")
    arguments = parser.parse_args()
    stale = []
    for name, build in GRAPHS.items():
        built, path = build().SerializeToString(deterministic=True), FOLDER / name
        if not arguments.check:
            path.write_bytes(built)
        elif not path.exists() or path.read_bytes() != built:
            stale.append(name)
            continue
        print(f"{name}: {len(built)} bytes")
    if stale:
        print(f"differ from what models.build makes: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
