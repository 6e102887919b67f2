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
    limit_c: float  # from here on it slows itself down
    source: str


RASPBERRY_LIMIT = "slows down from 80 to 85 Cel (raspberrypi.com, documentation of config.txt)"
BOARDS: tuple[Board, ...] = (
    Board(
        "Raspberry Pi Zero 2 W",
        "Raspberry Pi Zero 2",
        0.6,
        0.48,
        15.0,
        80.0,
        f"idle 120 mA at 5 V (cnx-software.com, 2021-12-09); about 0.5 A with four busy cores (andrejacobs.org, 2021); "
        f"{RASPBERRY_LIMIT}; rise assumed",
    ),
    Board(
        "Raspberry Pi 3 B+",
        "Raspberry Pi 3 Model B Plus",
        1.9,
        0.80,
        10.0,
        80.0,
        f"idle 350 mA, four busy cores 980 mA (pidramble.com, power consumption benchmarks); {RASPBERRY_LIMIT}; "
        "rise assumed",
    ),
    Board(
        "Raspberry Pi 4",
        "Raspberry Pi 4",
        2.9,
        0.88,
        8.5,
        80.0,
        f"idle 575 mA, four busy cores 1280 mA (pidramble.com, power consumption benchmarks); {RASPBERRY_LIMIT}; rise "
        "so that four busy cores without a heat sink reach that in a room of 25 Cel, as is widely seen",
    ),
    Board(
        "Raspberry Pi 5", "Raspberry Pi 5", 3.0, 1.3, 6.0, 80.0, f"assumed, not measured; {RASPBERRY_LIMIT}"
    ),
    Board("Jetson Orin Nano", "NVIDIA Jetson Orin Nano", 5.0, 1.0, 3.0, 97.0, "assumed, not measured"),
)
GENERIC = Board("generic", "", 3.0, 1.0, 8.0, 80.0, "assumed, not measured: give core_power, or calibrate")


def known(name: str) -> Board | None:
    """By its short name: "pi4"."""
    return SHORT.get(name)


SHORT: dict[str, Board] = dict(
    zip(("pi-zero-2-w", "pi-3b+", "pi-4", "pi-5", "orin-nano"), BOARDS, strict=True)
) | {"generic": GENERIC}


def detect(root: Path = Path("/")) -> Board:
    """By its device tree; the generic one where it has none that is known."""
    try:
        model = (root / MODEL).read_text("utf-8", "replace").strip("\0\n ")
    except OSError:
        return GENERIC
    found = [board for board in BOARDS if model.startswith(board.model)]
    return max(found, key=lambda board: len(board.model), default=GENERIC)
