"""What boards take and how warm they get: figures that others measured, for a power model where no meter is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODEL = "proc/device-tree/model"


@dataclass(frozen=True, slots=True)
class Board:
    """A board's power as `idle_w` and `core_w` for each busy core at full clock, and its heat."""

    name: str
    model: str  # what its device tree says begins with this; "" fits any
    idle_w: float
    core_w: float
    rise_c: float  # kelvin above the room for each watt, without a fan, in the end
    source: str


BOARDS: dict[str, Board] = {
    "pi-zero-2-w": Board(
        "Raspberry Pi Zero 2 W",
        "Raspberry Pi Zero 2",
        idle_w=0.6,
        core_w=0.48,
        rise_c=15.0,
        source="idle 120 mA at 5 V (cnx-software.com, 2021-12-09), about 0.5 A with four busy cores (andrejacobs.org, "
        "2021); rise assumed",
    ),
    "pi-3b+": Board(
        "Raspberry Pi 3 B+",
        "Raspberry Pi 3 Model B Plus",
        idle_w=1.9,
        core_w=0.80,
        rise_c=10.0,
        source="idle 350 mA, four busy cores 980 mA (pidramble.com, power consumption benchmarks); rise assumed",
    ),
    "pi-4": Board(
        "Raspberry Pi 4",
        "Raspberry Pi 4",
        idle_w=2.9,
        core_w=0.88,
        rise_c=8.5,
        source="idle 575 mA, four busy cores 1280 mA (pidramble.com, power consumption benchmarks); rise so that four "
        "busy cores without a heat sink reach the 80 Cel at which it slows down in a room of 25 Cel",
    ),
    "pi-5": Board(
        "Raspberry Pi 5", "Raspberry Pi 5", idle_w=3.0, core_w=1.3, rise_c=6.0, source="assumed, not measured"
    ),
    "orin-nano": Board(
        "Jetson Orin Nano",
        "NVIDIA Jetson Orin Nano",
        idle_w=5.0,
        core_w=1.0,
        rise_c=3.0,
        source="assumed, not measured",
    ),
    "generic": Board(
        "generic", "", idle_w=3.0, core_w=1.0, rise_c=8.0, source="assumed, not measured: give core_power"
    ),
}
GENERIC = BOARDS["generic"]


def detect(root: Path = Path("/")) -> Board:
    """By its device tree; the generic one where it has none that is known."""
    try:
        model = (root / MODEL).read_text("utf-8", "replace").strip("\0\n ")
    except OSError:
        return GENERIC
    found = [board for board in BOARDS.values() if model.startswith(board.model)]
    return max(found, key=lambda board: len(board.model), default=GENERIC)
