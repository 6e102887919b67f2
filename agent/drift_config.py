"""Settings of how far a machine's normal may drift."""

from __future__ import annotations

from typing import Annotated, ClassVar

from agent.forms import About, Frozen
from agent.quantities import DURATION


class DriftConfig(Frozen, frozen=True, kw_only=True):
    """How far the machine's normal may creep from where it was commissioned, and how fast it is followed."""

    off: ClassVar[dict[str, object]] = {"limit": 0.0}

    limit: Annotated[
        float,
        About(
            "So many deviations of normal movement, in the mean of a day; further away is an alert; 0 is no limit, and "
            "nothing is followed.",
            least=0,
            most=1000,
        ),
    ] = 4.0
    follow_s: Annotated[
        float,
        DURATION,
        About(
            "Time constant with which the mean of several channels follows normal operation, up to the limit; "
            "`0 s` follows nothing.",
            most=31_536_000,
        ),
    ] = 259_200.0
