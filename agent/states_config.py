"""Settings of a monitor's operating states."""

from __future__ import annotations

from typing import Annotated, ClassVar

from agent.forms import About, Frozen
from agent.quantities import DURATION

MOST = 6  # models.state_finding.MOST, which costs numpy to import


class StatesConfig(Frozen, frozen=True, kw_only=True):
    """The ways a machine is run: stopped, at idle, at several loads. Each has a baseline of its own."""

    off: ClassVar[dict[str, object]] = {"most": 1}

    channels: Annotated[
        tuple[str, ...],
        About(
            "The channels that tell the states, as a list: speed, load, a switch.",
            default="found while learning, if states are clearly apart",
        ),
    ] = ()
    where: Annotated[
        tuple[str, ...],
        About(
            "The states themselves, as a list of conditions such as `speed >= 20 Hz and load < 50 %`.",
            default="found while learning",
        ),
    ] = ()
    names: Annotated[
        tuple[str, ...],
        About("What the states are called, in their order.", default="`state 1`, ... with their values"),
    ] = ()
    most: Annotated[int, About("Most states there may be; with 1 none are looked for.", least=1, most=12)] = (
        MOST
    )
    settle_s: Annotated[
        float | None,
        DURATION,
        About(
            "For so long after a change of state nothing is judged.",
            default="learned, of each state; at most `transition`",
            most=86_400,
        ),
    ] = None
    transition_s: Annotated[
        float, DURATION, About("Longer than that no change of state takes.", least=0.01, most=86_400)
    ] = 60.0
    unknown_after_s: Annotated[
        float, DURATION, About("In no known state for so long: an alert.", least=1, most=2_592_000)
    ] = 600.0
