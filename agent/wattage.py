"""What one busy core of this board adds in watts: `tocsin bench --power`, by the board's own meter or one that a person
reads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from statistics import fmean

from agent.boards import detect
from agent.progress import Progress
from sensors.base import SensorError
from sensors.host import Host

SETTLE_S, LOOK_S = 5.0, 0.5  # before the first look at most, and between two


def command(seconds: float) -> int:
    """Measure the board at rest and with one core busy, so many seconds each, and print what to write. A person's meter
    is to be read when each of them is over."""
    read = _own_meter()
    board = detect()
    print(
        f"{board.name}: reckoned with {board.idle_w:g} W and {board.core_w:g} W for a core ({board.source})"
    )
    if read is None and not sys.stdin.isatty():
        print(
            "tocsin: this board has no meter of its own: run it on a terminal, and read one", file=sys.stderr
        )
        return 1
    idle_w = _watts("at rest", seconds, read)
    busy = get_context("spawn").Process(target=spin, daemon=True)
    busy.start()
    try:
        busy_w = _watts("with one core busy", seconds, read)
    finally:
        busy.kill()
        busy.join()
    if not busy_w > idle_w > 0:
        print(f"tocsin: {busy_w:g} W busy and {idle_w:g} W at rest cannot be: try again", file=sys.stderr)
        return 1
    print(f"at rest {idle_w:.3g} W, with one core busy {busy_w:.3g} W; in the configuration:")
    print("budgets:")
    print(f"  core_power: {busy_w - idle_w:.3g} W")
    return 0


def spin() -> None:
    """Keep one core busy, until it is killed."""
    while True:
        pass


def _own_meter() -> Callable[[], float] | None:
    host = Host(include=["power"])
    try:
        host.open()
    except SensorError:
        return None
    names = [channel.name for channel in host.channels]
    if "power total" not in names:
        return None
    index = names.index("power total")
    return lambda: host.sample()[index]


def _watts(when: str, seconds: float, read: Callable[[], float] | None) -> float:
    settle_s = min(SETTLE_S, seconds)
    with Progress(f"power {when}") as bar:
        looks, began = [], time.monotonic()
        while (passed := time.monotonic() - began) < settle_s + seconds:
            share = passed / (settle_s + seconds)
            bar.tell(lambda: share, lambda: when)  # noqa: B023
            time.sleep(LOOK_S)
            if read is not None and passed > settle_s:
                looks.append(read())
    if read is not None:
        return fmean(looks)
    while True:
        said = input(f"watts that your meter shows {when}: ").replace(",", ".").removesuffix("W").strip()
        try:
            return float(said)
        except ValueError:
            print(f"{said!r} is not a number of watts", file=sys.stderr)
