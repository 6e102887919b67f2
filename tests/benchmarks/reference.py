"""The recordings with reference scores, where somebody has them: TOCSIN_DATA names their folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recordings import NoRecordings, folder


def reference(name: str, patterns: list[str]) -> tuple[Path, dict[str, Any]]:
    """The folder of recordings and the scores beside them; skips where there are none."""
    data = os.environ.get("TOCSIN_DATA")
    if not data:
        pytest.skip("TOCSIN_DATA names no folder of recordings")
    try:
        path = folder(data, name, patterns)
    except NoRecordings as error:
        pytest.skip(str(error))
    file = path / "reference_scores.json"
    if not file.is_file():
        pytest.skip(f"no {file}")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return path, found
