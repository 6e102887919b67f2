"""The versions that install.sh installs: those that were tested, for each Python."""

from __future__ import annotations

import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OF_3_10 = ("coloredlogs", "humanfriendly", "mpmath", "sympy")  # what onnxruntime needs there besides


def _pins(python: str) -> dict[str, str]:
    """Version by name, as the constraints have it for one Python. Raises AssertionError where a name comes twice."""
    pins: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate({"python_version": python}):
                (exactly,) = pin.specifier
                assert exactly.operator == "=="
                assert pins.setdefault(canonicalize_name(pin.name), exactly.version) == exactly.version
    return pins


def _needed(name: str, python: str) -> dict[str, list[Requirement]]:
    """What a distribution and all that it needs asks for, by name; extras are for developers."""
    found: dict[str, list[Requirement]] = {}
    for text in requires(name) or []:
        asked = Requirement(text)
        if asked.marker is None or asked.marker.evaluate({"python_version": python, "extra": ""}):
            found.setdefault(canonicalize_name(asked.name), []).append(asked)
            for further, askings in _needed(asked.name, python).items():
                found.setdefault(further, []).extend(askings)
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_each_package_of_the_agent_is_pinned_to_one_version_that_fits(python: str) -> None:
    pins, needed = _pins(python), _needed("tocsin", python)
    assert {"onnxruntime", "numpy", "paho-mqtt", "pyyaml", "psutil", "msgspec", "protobuf"} <= set(needed)
    for name, askings in needed.items():
        for asked in askings:
            assert asked.specifier.contains(pins[name]), (
                f"{asked} on Python {python}, but {name}=={pins[name]}"
            )
    if python == "3.10":
        assert set(OF_3_10) <= set(pins)


def test_what_is_pinned_is_what_these_tests_run_with() -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    pins = _pins(python)
    needed = _needed("tocsin", python)
    assert {name: version(name) for name in needed} == {name: pins[name] for name in needed}
