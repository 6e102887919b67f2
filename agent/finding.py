"""One thing that was looked at, how it is, and what mends it."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What `tocsin doctor` says about one thing."""

    about: str
    well: bool | None  # None: it cannot be known here
    says: str
    mend: str = ""  # the one command, or the one act


def well(about: str, says: str) -> Finding:
    """Nothing is to be done."""
    return Finding(about=about, well=True, says=says)


def ill(about: str, says: str, mend: str) -> Finding:
    """Something is wrong, and this mends it."""
    return Finding(about=about, well=False, says=says, mend=mend)


def unknown(about: str, says: str, mend: str = "") -> Finding:
    """It cannot be known here, or need not be wrong."""
    return Finding(about=about, well=None, says=says, mend=mend)
