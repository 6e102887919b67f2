"""`tocsin top`: what the running agent uses, what it was given and how each monitor looks, live in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from agent import status
from agent.alerts import Plan
from agent.checking import side_by_side
from agent.config import Config
from agent.governor import in_words
from agent.quantities import DURATION
from agent.screen import QUIT, Screen, drawable

CELLS = 20
WORST_FIRST = ("blind", "learning", "armed")


def command(config: Config, *, every_s: float, once: bool) -> int:
    """Show the agent until q or Ctrl-C; where standard output is no terminal, or once, as plain lines. 1 when there is
    no agent to ask."""
    try:
        if once or not drawable():
            return _print(config, every_s, once)
        with Screen() as screen:
            answer = _draw(config, every_s, screen)
        return _absent(answer) if answer else 0
    except KeyboardInterrupt:
        return 0


def _print(config: Config, every_s: float, once: bool) -> int:
    while not isinstance(shown := _look(config), str):
        print("\n".join(shown), flush=True)
        if once:
            return 0
        time.sleep(every_s)
    return _absent(shown)


def _draw(config: Config, every_s: float, screen: Screen) -> str:
    """Until a key ends it, or the agent: then why it does not answer."""
    while not isinstance(shown := _look(config), str):
        screen.draw(shown)
        end = time.monotonic() + every_s
        while (left := end - time.monotonic()) > 0:
            if any(key in QUIT for key in screen.pressed(left)):
                return ""
    return shown


def _look(config: Config) -> list[str] | str:
    """What is to be shown; words where there is no agent to ask."""
    answer = status.ask(config.state_dir)
    return answer if isinstance(answer, str) else [status.printable(line) for line in lines(answer)]


def _absent(why: str) -> int:
    print(f"tocsin: {why}", file=sys.stderr)
    return 1


def lines(answer: Mapping[str, Any]) -> list[str]:
    """The answer of `tocsin status` for a person who looks at budgets."""
    agent = answer["agent"]
    governor, counters = agent["governor"], agent["counters"]
    up = DURATION.show(float(round(counters["up_seconds"])))
    shown = [f"{agent['device']}: {agent['health']}, up {up}"]
    shown += [f"problem: {problem}" for problem in agent["problems"]]
    if governor:
        shown += ["", *_budgets(governor, counters), "", *_plan(governor)]
    else:
        shown += [
            "",
            f"{counters['cpu_seconds'] / max(counters['up_seconds'], 1e-9):.2%} of a core,"
            f" {counters['rss_bytes'] / 1e6:.0f} MB; no budgets are set: every monitor looks at everything",
        ]
    return [*shown, "", *side_by_side(_monitors(answer["monitors"], governor))]


def _budgets(governor: Mapping[str, Any], counters: Mapping[str, Any]) -> list[str]:
    given, rows = governor["budgets"], []

    def row(name: str, used: float | None, limit: float | None, form: str, scale: float = 1.0) -> None:
        if used is None and limit is None:
            return
        shown = "unknown" if used is None else form.format(used * scale)
        of = "" if limit is None else f" of {form.format(limit * scale)}"
        share = 0.0 if used is None or not limit else min(1.0, used / limit)
        bar = ("#" * round(share * CELLS)).ljust(CELLS, ".") if limit else " " * CELLS
        mark = "  <- tightest" if governor["binding"] == name else ""
        rows.append(f"{name:12} {bar} {shown}{of}{mark}")

    row("cpu", governor["cores"], given.get("cores"), "{:.2f} % of a core", 100.0)
    row("power", governor["power_w"], given.get("power_w"), "{:.0f} mW", 1000.0)
    row("temperature", governor["temperature_c"], given.get("temperature_c"), "{:.1f} Cel")
    row("memory", counters["rss_bytes"], given.get("memory_bytes"), "{:.0f} MB", 1e-6)
    if "battery_s" in given:
        left = governor["battery_left_s"]
        rows.append(
            f"{'battery':12} {'':{CELLS}} {'not on battery' if left is None else DURATION.show(left) + ' to last'}"
        )
    return rows


def _plan(governor: Mapping[str, Any]) -> list[str]:
    windows, looked = governor["windows"], governor["inferences"]
    joules = governor["joules_per_inference"]
    said = [
        f"setting {governor['setting']} of {governor['settings']}"
        + (f": {governor['reason']}" if governor["reason"] else ""),
        f"{looked:,} inferences for {windows:,} windows: {governor['saved']:,} saved"
        + (f"; {1000 * joules:.2g} mJ each, {governor['power']}" if joules else ""),
    ]
    return said


def _monitors(monitors: Mapping[str, Any], governor: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("MONITOR", "HEALTH", "LEVEL", "ALERT", "DELAY, 1 H", "HOW IT LOOKS")]
    delays, most = (governor.get(key, {}) for key in ("delay_s", "max_delay_s")) if governor else ({}, {})
    order = sorted(monitors.items(), key=lambda item: (WORST_FIRST.index(item[1]["health"]), item[0]))
    for name, monitor in order:
        level = "-" if monitor["level"] is None else f"{monitor['level']:.2f}"
        delay = f"{delays[name]:.1f} of {most[name]:g} s" if name in delays else "-"
        plan = "-" if monitor["plan"] is None else in_words(_plan_of(monitor["plan"]))
        rows.append((name, monitor["health"], level, monitor["state"], delay, plan))
    return rows


def _plan_of(told: Mapping[str, Any]) -> Plan:
    spans = {name: told.get(name, 0.0) for name in ("full_s", "lite_s", "gather_s")}
    return Plan(told["hop_s"], told["variant"], **spans, rests=told.get("look") == "none")
