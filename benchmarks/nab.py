"""NAB 1.1: the level bank on each file, one setting, alarms by the product's own rule."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.budget import MARGIN
from agent.monitor_config import MonitorConfig
from agent.progress import Progress
from agent.quantities import Span
from benchmarks import nab_controls, nab_peers, settings
from benchmarks.drawing import Bar, bars, from_zero
from benchmarks.nab_files import LABELS, Recording, read
from benchmarks.nab_scores import WIDEST, alarm_figures, volume
from benchmarks.nab_sweep import SPLITS, THRESHOLDS, Sweep, sweep, transfer
from benchmarks.peers import absent
from benchmarks.recordings import folder, which
from benchmarks.resampling import interval
from benchmarks.road import Walk, walk
from benchmarks.scores import nab as scores
from benchmarks.scores.nab import PROFILES
from benchmarks.tables import markdown, shown, within
from sensors.base import Channel

HELP = "Numenta's 58 slow channels: NAB scores, one setting, and with a threshold carried from half to half."
WALKED = (
    "Each file goes through a `Monitor` of its own: `detector: level`, `learn` what NAB calls probation (the "
    "first 15 %, at most 750 rows), all else as it comes. That is the row *as it ships*: each file has an "
    "edge of its own, from its budget. NAB scores one threshold for all files, chosen after the fact; for "
    "that, and for `sensitivity`, the raw scores over the reference edge of each file are put through the "
    "monitor's own alert rule at every threshold, an alert clearing at 0.9 of it. No setting of the product "
    "moves that threshold freely."
)
HEAD = ["", "standard", "low FP", "low FN", "VUS-PR", "false an hour", "delay h", "µs a row"]
FILES = 58  # of the whole set
BLOCK = 256  # rows a Reading: the same scores as one by one, see tests/benchmarks/test_road.py
PUBLISHED = {  # standard score; sources: NAB's scoreboard, and each method's own paper
    "ARTime": 74.9,
    "HTM": 70.1,
    "CAD OSE": 69.9,
    "random cut forest": 51.7,
    "windowed Gaussian": 39.7,
}

Doubles = NDArray[np.float64]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--splits", type=int, default=SPLITS, help="random halves for the transferred threshold"
    )
    settings.add(parser)
    parser.add_argument("--no-peers", action="store_true", help="without the other libraries' detectors")
    parser.add_argument("--per-file", action="store_true", help="add a list of what happened in each file")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    path = folder(arguments.data, "nab", [LABELS])
    recordings, weights, left_out = read(path)
    walks = walk_all(recordings, arguments.monitor.config)
    files = [recording.file for recording in recordings]
    rules = [replace(each.monitor.rule, clear_level=0.0) for each in walks]  # clears at 0.9 of the edge
    swept = sweep(recordings, [strangeness(each) for each in walks], rules, weights)
    best = {profile: swept.best(profile) for profile in weights}
    found: dict[str, Any] = {profile: swept.score(profile, row) for profile, row in best.items()}
    found["transfer"] = transfer(swept, "standard", arguments.splits)
    found["transfer_low_fp"] = transfer(swept, "low_fp", arguments.splits)
    found["transfer_low_fn"] = transfer(swept, "low_fn", arguments.splits)
    alarms = [each.rows("raised") for each in walks]
    found["at_default"] = {
        **{profile: scores.score(files, alarms, weight) for profile, weight in weights.items()},
        **alarm_figures(recordings, alarms),
        "vus_pr": volume(recordings, [each.levels for each in walks]),
    }
    found |= alarm_figures(recordings, alarms)  # of what ships
    found["vus_pr"] = volume(recordings, [strangeness(each) for each in walks])
    rows = {"best": best["standard"]}
    rows |= {str(name): _row_of(margin) for name, margin in MARGIN.items()}
    for name, row in rows.items():
        found[f"at_{name}"] = {
            **{profile: swept.score(profile, row) for profile in weights},
            **alarm_figures(recordings, swept.alarms[row]),
            "vus_pr": found["vus_pr"],
        }
    found["thresholds"] = {profile: float(THRESHOLDS[row]) for profile, row in best.items()}
    found["intervals"] = {
        profile: interval(len(files), lambda drawn, p=profile, r=row: swept.score(p, r, drawn))  # type: ignore[misc]
        for profile, row in best.items()
    }
    found["us_per_row"] = 1e6 * sum(each.cpu_s for each in walks) / sum(file.rows for file in files)
    found["controls"] = nab_controls.controls(recordings, swept.alarms[best["standard"]], weights)
    if not arguments.no_peers:
        found["peers"] = nab_peers.peers(recordings, weights)
    found["monitor"] = arguments.monitor.text
    found["splits"] = arguments.splits
    found["files"] = [recording.name for recording in recordings]
    found["left_out"] = left_out
    found["published"] = PUBLISHED
    if arguments.per_file:
        found["per_file"] = _per_file(recordings, swept, best["standard"])
    return found


def walk_all(recordings: Sequence[Recording], config: MonitorConfig) -> list[Walk]:
    """Every file through a monitor of its own."""
    total = sum(recording.file.rows for recording in recordings)
    done = 0
    walks = []
    with Progress("NAB") as progress:
        for recording in recordings:

            def watch(rows: int, before: int = done, name: str = recording.name) -> None:
                progress.tell(lambda: (before + rows) / total, lambda: name)

            walks.append(walk_one(recording, config, watch))
            done += recording.file.rows
    return walks


def strangeness(walked: Walk) -> Doubles:
    """`(n,)` scores in units of the reference edge, as `sensitivity` has them: one threshold for all files, where a
    budget of false alarms puts one for each. NaN where nothing was judged."""
    baseline = walked.monitor.baseline
    if baseline is None or not len(walked.raw):
        return np.full(len(walked.times), np.nan)
    edges = np.array(baseline.learned.calibration.edges)
    highest: Doubles = (walked.raw[: len(edges)] / edges[:, None]).max(axis=0)
    return highest


def walk_one(recording: Recording, config: MonitorConfig, watch: Any = lambda rows: None) -> Walk:
    """One file, with these settings but for its lesson, which is what NAB calls probation, and for the level bank
    where no detector is asked for."""
    detector = "level" if config.detector == "auto" else config.detector
    config = msgspec.structs.replace(config, detector=detector, learn=Span(recording.file.probation, "rows"))
    return walk(
        recording.values.astype(np.float32)[:, None],
        recording.times,
        channels=[Channel("value")],
        rate_hz=recording.rate_hz,
        config=config,
        block=BLOCK,
        watch=watch,
    )


def table(result: dict[str, Any]) -> str:
    best = {**result["at_best"], **{name: result[name] for name in PROFILES}}
    rows: list[list[Any]] = [
        [
            "**Tocsin**, one threshold, best after the fact as published rows",
            *_row(best),
            result["us_per_row"],
        ],
        ["**Tocsin as it ships**, a budget of false alarms", *_row(result["at_default"]), None],
        ["Tocsin, threshold from the other half of the files", *_transferred(result), *[None] * 4],
        *(
            [f"Tocsin, `sensitivity: {name}`", *_row(result[f"at_{name}"]), None]
            for name in ("sensitive", "normal", "quiet")
        ),
    ]
    peers = result.get("peers", {})
    for name, peer in peers.items():
        here = "not installed" if "missing" in peer else "here"
        rows.append([f"{name}, {here}", *_row(peer), peer.get("us_per_row")])
    rows += [[f"{name}, published", score, *[None] * 6] for name, score in result["published"].items()]
    for name, control in result["controls"].items():
        setting = f", {shown(control['setting'])}" if "setting" in control else ""
        rows.append([f"control: {name}{setting}", *_row(control), None])
    intervals = result["intervals"]
    lines = [
        markdown(HEAD, rows),
        "",
        f"{len(result['files'])} files{settings.told(result['monitor'])}. 95 % intervals over files (bootstrap,"
        f" threshold kept): standard {within(intervals['standard'])}, low FP {within(intervals['low_fp'])}, low FN"
        f" {within(intervals['low_fn'])}. Thresholds: {_thresholds(result['thresholds'])} times the reference edge"
        " (`sensitivity: normal` is 1.5).",
        "",
        f"As it ships: {result['alarms']} alarms, {result['hits']} of {result['windows']} windows. False alarms an"
        " hour are those outside of windows; the delay is the median from a window's start; VUS-PR is pooled,"
        f" with buffers to {WIDEST} rows: of ours the scores over the reference edge, as it ships the level. A"
        " timer rings once in each file at a share of it, a metronome every so many rows, both at the setting"
        " that is best after the fact; random: as many alarms as the first row, mean of 20 draws.",
        *absent(peers),
    ]
    if len(result["files"]) < FILES or result["left_out"]:
        lines += ["", which(result["files"], result["left_out"])]
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    every = [
        Bar("Tocsin", result["standard"], "ours", result["intervals"]["standard"]),
        Bar("Tocsin, other half's threshold", result["transfer"], "ours"),
        Bar("Tocsin, sensitivity: normal", result["at_normal"]["standard"], "ours"),
        Bar("Tocsin, default budget", result["at_default"]["standard"], "ours"),
    ]
    every += [Bar(name, peer.get("standard"), "peer") for name, peer in result.get("peers", {}).items()]
    every += [Bar(name, score, "published") for name, score in result["published"].items()]
    every += [Bar(name, from_zero(one["standard"]), "control") for name, one in result["controls"].items()]
    bars(path, [("NAB, standard profile", every)])


def _per_file(recordings: Sequence[Recording], swept: Sweep, row: int) -> dict[str, Any]:
    """What each file brings to the standard score at this threshold, from 0 (silence) to 2 a window."""
    return {
        recording.name: {
            "windows": int(swept.windows[i]),
            "alarms": len(swept.alarms[row][i]),
            "score": float(swept.raw["standard"][row, i] + swept.windows[i]),
        }
        for i, recording in enumerate(recordings)
    }


def _row_of(margin: float) -> int:
    """The threshold that is this one."""
    return int(np.argmin(np.abs(THRESHOLDS - margin)))


def _row(scored: dict[str, Any]) -> list[Any]:
    """Cells of the table, None for what is not known."""
    delay_s = scored.get("median_delay_s")
    figures = [scored.get(key) for key in (*PROFILES, "vus_pr", "false_per_hour")]
    return [*figures, None if delay_s is None else delay_s / 3600]


def _transferred(result: dict[str, Any]) -> list[Any]:
    return [result["transfer" if name == "standard" else f"transfer_{name}"] for name in PROFILES]


def _thresholds(found: dict[str, float]) -> str:
    return ", ".join(shown(found[name]) for name in ("standard", "low_fp", "low_fn"))
