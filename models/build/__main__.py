"""`python -m models.build [--check | --train]`: write graphs and zoo, or say whether those shipped are up to date."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Products of matrices are summed in another order by another number of threads: training must not depend on it.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

from models.build import zoo
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
FOLDER = Path(__file__).resolve().parent.parent


def main() -> int:
    """Build every graph; with --check write nothing and return 1 when a shipped file differs by a byte."""
    parser = argparse.ArgumentParser(prog="python -m models.build", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare with the shipped files, write none")
    what.add_argument(
        "--train", action="store_true", help="train the autoencoder anew first: some ten minutes"
    )
    arguments = parser.parse_args()
    if arguments.train:
        zoo.train()
    made = {f"graphs/{name}": build().SerializeToString(deterministic=True) for name, build in GRAPHS.items()}
    made |= {f"zoo/{zoo.NAME}/{name}": content for name, content in zoo.bundle().items()}
    stale = []
    for name, built in made.items():
        path = FOLDER / name
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(built)
        elif not path.exists() or path.read_bytes() != built:
            stale.append(name)
            continue
        print(f"{name}: {len(built)} bytes")
    if stale:
        print(f"differ from what models.build makes: {', '.join(stale)}", file=sys.stderr)
    elif not arguments.check:
        from models.build.card import card

        text = card()
        (FOLDER / "zoo" / zoo.NAME / "card.md").write_text(text, "utf-8")
        print(text)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
