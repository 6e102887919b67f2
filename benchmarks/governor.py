"""The governor: scripted days of a board that does not exist, at a fixed rate, by the naive rule, and governed."""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from agent.alerts import Plan
from agent.assemble import make_monitor, shape_of
from agent.costs import touchstone
from agent.governor import DECIDE_S, Conversion, Limits, Plans, Telemetry, decide, served
from agent.ladders import Costs, Menu, Work, ladder
from agent.pipeline import Pipeline
from agent.progress import Progress
from agent.senses import Senses
from agent.work import work_of
from benchmarks.drawing import Bar, bars
from benchmarks.governed_agent import BASE_CORES, Agent, Policy
from benchmarks.governed_board import SCRIPTS, Script
from benchmarks.governed_streams import HOUR_S, Remembered, Stream, motors, recorded
from benchmarks.tables import markdown, shown
from models.cascade import PASSES, RESTLESS
from models.mahalanobis import Mahalanobis
from models.sentinel import LESSON, Edge, Sentinel
from models.window import Array, Windower

HELP = (
    "The governor on simulated days of a board: CPU, recall and delay beside a fixed rate and the naive rule."
)
WALKED = (
    "The real inbox, monitors and governor on a simulated board; budgets by the day, all else at its default."
)
POLICIES: tuple[Policy, ...] = ("fixed", "naive", "governed")
DECISIONS = 300


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--script", action="append", choices=[script.name for script in SCRIPTS], help="only this day"
    )
    parser.add_argument("--hours", type=float, help="of each day, instead of all of it")
    parser.add_argument("--jobs", type=int, default=2, help="days at a time, each in a process of its own")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    scripts = [script for script in SCRIPTS if not arguments.script or script.name in arguments.script]
    scripts = [_shortened(script, arguments.hours) for script in scripts]
    with Progress("governor") as progress:
        progress.tell(lambda: 0.0, lambda: "making the motor's stream")
        streams, missing = recorded(arguments.data)
        streams = [*motors(max(script.hours for script in scripts)), *streams]
        memories, costs = remember(streams)
        _SHARED.update(streams=streams, memories=memories, costs=costs, scripts={s.name: s for s in scripts})
        tasks = [(script.name, policy) for script in scripts for policy in POLICIES]
        tasks += [(script.name, "thinned") for script in scripts[:1]]
        days: dict[str, dict[str, Any]] = {script.name: {} for script in scripts}
        with multiprocessing.get_context("fork").Pool(arguments.jobs) as pool:
            for done, (name, policy, figures) in enumerate(pool.imap_unordered(_day, tasks), 1):
                progress.tell(lambda: done / len(tasks), lambda: f"{name}, {policy}")  # noqa: B023
                days[name][policy] = figures
    found = [summary(script, days[script.name]) for script in scripts]
    return {
        "scripts": found,
        "all": together(found, days),
        "cost": own_cost(),
        "base_cores": BASE_CORES,
        "touchstone_us": 1e6 * touchstone(process_time),
        "missing": missing,
        "monitors": len(streams),
        "hears": hears(streams[0], memories[streams[0].name]),
    }


_SHARED: dict[str, Any] = {}  # made before the processes are, and theirs by fork


def _day(task: tuple[str, Policy]) -> tuple[str, Policy, dict[str, Any]]:
    script, policy = _SHARED["scripts"][task[0]], task[1]
    agent = Agent(policy, script, _SHARED["streams"], _SHARED["memories"], _SHARED["costs"])
    return script.name, policy, agent.run()


def _shortened(script: Script, hours: float | None) -> Script:
    return script if hours is None else replace(script, hours=min(hours, script.hours))


def remember(streams: Sequence[Stream]) -> tuple[dict[str, Remembered], dict[str, Costs]]:
    """The features of every window of the vibrations, and what the parts of each monitor's work cost."""
    memories, costs = {}, {}
    shared: dict[int, dict[int, tuple[Array, float]]] = {}
    for stream in streams:
        monitor = make_monitor(stream.config, stream.sensor, governed=True)
        work, costs[stream.name] = work_of(stream.config, stream.sensor, monitor)
        if not work.cascaded:
            continue
        rows = shared.setdefault(id(stream.readings), {})
        memory = Remembered(monitor.features, stream.repeats_s, stream.ahead_s, rows)
        memories[stream.name] = memory
        if rows:
            continue
        windower = _windower(stream)
        for _, reading in stream.due(stream.repeats_s / HOUR_S if stream.repeats_s else 24.0):
            for windows in windower.push(reading.time, reading.rate_hz, reading.values):
                memory.extract(windows)
    return memories, costs


def _windower(stream: Stream) -> Windower:
    shape = shape_of(stream.config, stream.sensor, len(stream.sensor.channels))
    return Windower(shape.window, shape.hop, len(stream.sensor.channels), shape.max_gap_s, shape.pause_s)


def hears(stream: Stream, memory: Remembered) -> dict[str, float]:
    """Of the motor's faults for which an alert stands when the whole model looks all the time, the share that stirs the
    sentinel while they last, and that a single window shows; of those made to be hidden from the sentinel apart."""
    monitor = make_monitor(stream.config, stream.sensor)
    monitor.features = Remembered(memory.features, memory.repeats_s, memory.ahead_s, memory.rows)
    pipeline, windower = Pipeline([monitor]), _windower(stream)
    span = shape_of(stream.config, stream.sensor, len(stream.sensor.channels)).smooth
    sentinel, passes, first = Sentinel(len(stream.sensor.channels), span), Edge(PASSES), list[float]()
    head = monitor.head
    assert isinstance(head, Mahalanobis)
    happening = stream.happening(stream.repeats_s / HOUR_S)
    heard: dict[str, set[int]] = {"model": set(), "sentinel": set(), "lite": set()}
    for at, reading in stream.due(stream.repeats_s / HOUR_S):
        pipeline.push([reading])
        inside = next((i for i, each in enumerate(happening) if each.start <= at <= each.stop), -1)
        for windows in windower.push(reading.time, reading.rate_hz, reading.values):
            means, rows = sentinel.hear(windows), monitor.features.extract(windows)
            if not monitor.armed or not len(means):
                continue
            distance, glanced = sentinel.distances(means[-1:])[0], head.glance(rows[-1])
            if monitor.level < RESTLESS:
                sentinel.teach(means[-1])
                first.append(glanced)
                if len(first) == LESSON:
                    passes.begin(np.array(first))
            if inside >= 0:
                heard["model"] |= {inside} if monitor.alert.raised else set()
                heard["sentinel"] |= {inside} if sentinel.ready and sentinel.stirs(distance) else set()
                heard["lite"] |= {inside} if glanced > passes.value else set()
    hidden = {i for i, each in enumerate(happening) if each.name.startswith("hidden")}
    of = heard["model"]
    return {
        name + kind: len(heard[name] & among) / max(1, len(among))
        for name in ("sentinel", "lite")
        for kind, among in (("", of - hidden), ("_hidden", of & hidden))
    }


def summary(script: Script, day: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One script: ratios to fixed-rate work, and each policy's own figures."""
    fixed, naive, governed = (day[policy] for policy in POLICIES)
    found: dict[str, Any] = {"script": script.name, "words": script.words, "hours": script.hours}
    found |= _ratios(fixed, naive, governed)
    for key in (
        "over_cpu_share",
        "over_power_share",
        "over_temperature_c",
        "changes_per_hour",
        "max_delay_broken",
    ):
        found[key] = governed[key]
    for policy in POLICIES:
        found[policy] = {key: value for key, value in day[policy].items() if key != "heard"}
    return found


def _ratios(fixed: dict[str, Any], naive: dict[str, Any], governed: dict[str, Any]) -> dict[str, Any]:
    return {
        "cpu_ratio": governed["cpu_s"] / fixed["cpu_s"],
        "energy_ratio": governed["joules"] / fixed["joules"],
        "cpu_ratio_naive": naive["cpu_s"] / fixed["cpu_s"],
        "recall_fixed": fixed["recall"],
        "recall_naive": naive["recall"],
        "recall_governed": governed["recall"],
        "of_fixed_governed": _also(governed, fixed),
        "of_fixed_naive": _also(naive, fixed),
    }


def _also(one: dict[str, Any], fixed: dict[str, Any]) -> float:
    """Of what fixed-rate work heard, the share that another way heard too."""
    both = [also for also, heard in zip(one["heard"], fixed["heard"], strict=True) if heard]
    return float(np.mean(both)) if both else 1.0


def together(found: Sequence[dict[str, Any]], days: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All days: sums, and of violations the worst."""
    sums: dict[str, dict[str, Any]] = {
        policy: {
            key: sum(day[policy][key] for day in days.values())
            for key in ("cpu_s", "joules", "max_delay_broken")
        }
        | {"heard": [heard for day in days.values() for heard in day[policy]["heard"]]}
        for policy in POLICIES
    }
    for each in sums.values():
        each["recall"] = float(np.mean(each["heard"]))
    worst = {
        key: max(each[key] for each in found)
        for key in ("over_cpu_share", "over_power_share", "over_temperature_c", "changes_per_hour")
    }
    return {
        **_ratios(sums["fixed"], sums["naive"], sums["governed"]),
        **worst,
        "max_delay_broken": sums["governed"]["max_delay_broken"],
        "max_delay_broken_fixed": sums["fixed"]["max_delay_broken"],
        "max_delay_broken_naive": sums["naive"]["max_delay_broken"],
    }


def own_cost() -> dict[str, Any]:
    """What deciding costs, on this computer: for 256 monitors, and of the agent's CPU time with ten."""
    each = Costs(60e-6, 25e-6, 570e-6, 60e-6, 12e-6)
    limits, board = Limits(cores=0.1, power_w=0.2, temperature_c=70.0), Conversion(0.88, 8.5)
    took: dict[str, float] = {}
    for monitors in (10, 256):
        ladders = [ladder(f"m{i}", Work(Plan(0.5), 0.1, 5, True, 30.0 + i), each) for i in range(monitors)]
        began = process_time()
        menu = Menu(ladders)
        took[f"menu_{monitors}_us"] = 1e6 * (process_time() - began)
        plans = served(Plans(menu), menu, limits, board, 0.0)
        began = process_time()
        for i in range(DECISIONS):
            at = 100.0 + DECIDE_S * i
            plans = decide(
                Telemetry(at, agent_cores=0.05 + 0.06 * (i % 2), monitor_cores=0.04, temperature_c=50.0),
                plans,
                limits,
                board,
            )
            menu.points(plans.dial)
        took[f"decide_{monitors}_us"] = 1e6 * (process_time() - began) / DECISIONS
    senses = Senses()
    senses.open()
    began = process_time()
    for _ in range(DECISIONS):
        senses.look(0.0, 0.0)
    took["look_us"] = 1e6 * (process_time() - began) / DECISIONS
    cheapest = Work(Plan(0.5), 0.1, 5, True, 60.0)
    agent_cores = BASE_CORES + 10 * ladder("m", cheapest, each).points[-1].cores
    took["share_of_agent_at_10"] = 1e-6 * (took["decide_10_us"] + took["look_us"]) / DECIDE_S / agent_cores
    return took


def table(result: dict[str, Any]) -> str:
    rows = []
    for each in [*result["scripts"], {"script": "**all**", **result["all"]}]:
        rows.append(
            [
                each["script"],
                100 * each["cpu_ratio"],
                100 * each["cpu_ratio_naive"],
                100 * each["recall_fixed"],
                100 * each["recall_naive"],
                100 * each["recall_governed"],
                100 * each["of_fixed_governed"],
                each["max_delay_broken"],
                100 * each["over_cpu_share"],
                100 * each["over_power_share"],
                each["over_temperature_c"],
                each["changes_per_hour"],
            ]
        )
    head = [
        "day",
        "CPU, % of fixed",
        "naive",
        "recall %: fixed",
        "naive",
        "governed",
        "of fixed's",
        "delays broken",
        "% over CPU",
        "% over power",
        "K over limit",
        "changes in the worst hour",
    ]
    others = [
        [
            f"{each['script']}, {policy}",
            each[policy]["cpu_s"],
            each[policy]["joules"],
            each[policy]["median_delay_s"],
            each[policy]["false_per_day"],
            each[policy]["max_delay_broken"],
            100 * each[policy]["over_cpu_share"],
            each[policy]["over_temperature_s"],
            each[policy]["max_temperature_c"],
            each[policy]["dropped_rows"],
        ]
        for each in result["scripts"]
        for policy in (*POLICIES, "thinned")
        if policy in each
    ]
    cost, days = (
        result["cost"],
        "; ".join(f"*{each['script']}*: {each['words']}" for each in result["scripts"]),
    )
    left_out = f" Not there: {', '.join(result['missing'])}." if result["missing"] else ""
    parts = [
        markdown(head, rows),
        f"{result['monitors']} monitors: four synthetic motors that stand for 10 each (in the crowd 16), SKAB's pumps"
        " one after the other, PRONOSTIA's bearings side by side, NAB's `realKnownCause` drawn together into a day."
        f"{left_out}"
        " Fixed: every window at once, whatever happens. Naive: half the rate each minute that the board is hot, up to"
        " a 64th, and back. An anomaly is heard when an alert stands from its start until `max_delay` after its end."
        " *Of fixed's*: the share of what the fixed rate heard that was heard governed too. Energy is CPU time at 0.88"
        " W a core, so that its ratio is no second result. CWRU's recordings of 10 s are too short to learn from and"
        " save in. The worst hour is the one with most changes of plan after the first hour, but for those that follow"
        " a lesson.",
        f"Days: {days}.",
        markdown(
            [
                "day, policy",
                "CPU s",
                "J",
                "median delay s",
                "false a day",
                "delays broken",
                "% over CPU",
                "s over limit",
                "max Cel",
                "rows dropped",
            ],
            others,
        ),
        f"Deciding for 256 monitors takes {shown(cost['decide_256_us'])} us, once in {DECIDE_S:g} s; making the menu"
        f" that it chooses from {shown(cost['menu_256_us'])} us, when a monitor has learned. With ten monitors of"
        f" vibration, looks at the board included, it is {100 * cost['share_of_agent_at_10']:.2g} % of the agent's CPU"
        f" time. Of the motor's faults that the whole model hears, {_percent(result['hears']['sentinel'])} stir the"
        f" sentinel and {_percent(result['hears']['lite'])} show in a single window; of those made so that RMS and"
        f" slope stay as they were, {_percent(result['hears']['sentinel_hidden'])} and"
        f" {_percent(result['hears']['lite_hidden'])}.",
        "Measured: CPU time of every call of inbox, monitors and governor, on this core, of features once for each"
        " window. Modelled: that the board is 6 (crowd: 10) times slower, its heat (8.5 K/W, 300 s), power, clock and"
        " supply.",
    ]
    return "\n\n".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def plot(result: dict[str, Any], path: Path) -> None:
    panels = []
    for title, key in (
        ("CPU and joules, % of fixed-rate work", "cpu_ratio"),
        ("anomalies heard, %", "recall"),
    ):
        drawn = []
        for each in [*result["scripts"], {"script": "all", **result["all"]}]:
            if key == "cpu_ratio":
                drawn.append(Bar(each["script"], 100 * each["cpu_ratio"]))
                drawn.append(Bar(f"{each['script']}, naive", 100 * each["cpu_ratio_naive"], "peer"))
            else:
                drawn.append(Bar(each["script"], 100 * each["recall_governed"]))
                drawn.append(Bar(f"{each['script']}, naive", 100 * each["recall_naive"], "peer"))
                drawn.append(Bar(f"{each['script']}, fixed", 100 * each["recall_fixed"], "control"))
        panels.append((title, drawn))
    bars(path, panels)
