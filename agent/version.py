"""Which version of Tocsin this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def tocsin_version() -> str:
    """As installed; "0+checkout" where it never was."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "0+checkout"
