"""What tests need of the real world: found, or the test is skipped, or it fails where that was asked for."""

from __future__ import annotations

import os
import shutil

import pytest


def find(binary: str) -> str | None:
    """The path of a program; None where it is not installed, or TOCSIN_WITHOUT, a list with commas, names it."""
    if binary in os.environ.get("TOCSIN_WITHOUT", "").split(","):
        return None
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    return shutil.which(binary, path=path)


def need(binary: str) -> str:
    """The path of a program. Without it: skip, or fail when TOCSIN_REQUIRE_REAL is set."""
    found = find(binary)
    require(found is not None, f"{binary} is not installed")
    assert found is not None
    return found


def need_root() -> None:
    """For tests that mount something."""
    require(os.geteuid() == 0, "only root can do this")


def require(claim: bool, why: str) -> None:
    """The claim holds, or the test is skipped, or fails when TOCSIN_REQUIRE_REAL is set (and not to 0)."""
    if claim:
        return
    if os.environ.get("TOCSIN_REQUIRE_REAL", "0") not in ("", "0"):
        pytest.fail(f"{why}, and TOCSIN_REQUIRE_REAL is set")
    pytest.skip(why)
