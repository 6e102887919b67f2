"""Settings of what the agent may use."""

from __future__ import annotations

from typing import Annotated, Literal

from agent.forms import About, Frozen
from agent.quantities import CORES, DURATION, POWER, SIZE, TEMPERATURE


class BudgetsConfig(Frozen, frozen=True, kw_only=True):
    """What the whole agent may use; the governor decides how often and how deeply each monitor looks. What keeps every
    monitor's `max_delay` is done whatever the budgets say, and where they cannot be kept, that is said."""

    cpu_cores: Annotated[
        float | None,
        CORES,
        About("Processor time, mean of a minute; `100%` is one core.", default="none", least=0.001, most=64),
    ] = None
    power_w: Annotated[
        float | None,
        POWER,
        About(
            "Electrical power above that of the idle board; reckoned from processor time where it cannot be measured.",
            default="none",
            least=0.001,
            most=1000,
        ),
    ] = None
    temperature_cel: Annotated[
        float | None,
        TEMPERATURE,
        About("Of the board's processor.", default="none", least=20, most=120),
    ] = None
    battery_s: Annotated[
        float | None,
        DURATION,
        About("That a full battery shall last.", default="none", least=600, most=31_536_000),
    ] = None
    memory_bytes: Annotated[
        int | None,
        SIZE,
        About("Resident memory of the agent.", default="none", least=20_000_000, most=1e12),
    ] = None
    board: Annotated[
        Literal["auto", "pi-zero-2-w", "pi-3b+", "pi-4", "pi-5", "orin-nano", "generic"],
        About("Whose power and heat are reckoned with; `auto`: by its device tree."),
    ] = "auto"
    core_power_w: Annotated[
        float | None,
        POWER,
        About(
            "What one busy core adds, measured: `tocsin bench --power` tells.",
            default="that of `board`",
            least=0.01,
            most=200,
        ),
    ] = None
