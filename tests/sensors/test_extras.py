"""Libraries that only some drivers need."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sensors import SensorError
from sensors.extras import require


def test_what_is_installed_is_imported() -> None:
    assert require("json", extra="any") is json


def test_what_is_missing_is_named_with_what_installs_it() -> None:
    with pytest.raises(
        SensorError, match=r"^nosuchthing is not installed: pip install 'tocsin\[thing\]' .*pip\)$"
    ):
        require("nosuchthing.client", extra="thing")


def test_a_broken_installation_is_not_called_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_library.py").write_text("import its_other_half\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="its_other_half"):
        require("half_a_library", extra="thing")
    assert "half_a_library" not in sys.modules
