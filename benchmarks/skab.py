"""SKAB: a pump's eight channels, learned from the first 400 rows of each file, one setting."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from agent.monitor_config import MonitorConfig
from agent.progress import Progress
from agent.quantities import Span
from benchmarks import settings, skab_controls
from benchmarks.changes import HOLD_S, MARGIN, changes
from benchmarks.drawing import Bar, bars, from_zero
from benchmarks.peers import absent
from benchmarks.recordings import folder, which
from benchmarks.road import Walk, walk
from benchmarks.scores import points
from benchmarks.skab_files import PATTERNS, TRAIN, Recording, read
from benchmarks.skab_scores import REST, WIDEST, Said, Scored, rate_hz
from benchmarks.tables import markdown, shown, within
from models.mahalanobis import JUMP_MARGIN

HELP = "Skoltech's water pump, 8 channels at 1 Hz: F1, false alarms, VUS-PR, changepoints, by the official protocol."
WALKED = (
    "Each file goes through a `Monitor` of its own, row by row: `learn: 400 rows`, as the official protocol "
    "has it, all else as it comes."
)
FILES = 34  # of the whole set
PUBLISHED = {  # F1, FAR, MAR; source: SKAB's leaderboard
    "Conv-AE": (0.78, 13.6, None),
    "MSET": (0.78, 39.7, None),
    "T²+Q": (0.76, 26.6, None),
}
PUBLISHED_CHANGES = {"MSCRED": 32.4, "isolation forest": 26.2}


def arguments(parser: argparse.ArgumentParser) -> None:
    settings.add(parser)
    parser.add_argument("--no-peers", action="store_true", help="without the other libraries' detectors")
    parser.add_argument("--per-file", action="store_true", help="add a list of what happened in each file")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    recordings, left_out = read(folder(arguments.data, "skab", PATTERNS))
    walks = walk_all(recordings, arguments.monitor.config)
    said = [said_of(one) for one in walks]
    ours = Scored(recordings, said)
    found = ours.figures()
    found["us_per_row"] = 1e6 * sum(one.cpu_s for one in walks) / sum(len(one.times) for one in recordings)
    found["alert"] = _alert_figures(recordings, said)
    found["intervals"] = ours.intervals()
    found["controls"] = skab_controls.controls(recordings, said)
    if not arguments.no_peers:
        found["peers"] = skab_controls.peers(recordings)
    found["published"] = {"f1_far_mar": PUBLISHED, "changepoint_nab": PUBLISHED_CHANGES}
    found["monitor"] = arguments.monitor.text
    found["files"] = [one.name for one in recordings]
    found["left_out"] = left_out
    if arguments.per_file:
        found["per_file"] = _per_file(ours)
    return found


def walk_all(recordings: Sequence[Recording], config: MonitorConfig) -> list[Walk]:
    """Every file through a monitor of its own, with these settings but for its lesson, row by row, as live."""
    config = msgspec.structs.replace(config, learn=Span(TRAIN, "rows"))
    rate = round(rate_hz(recordings), 3)
    total, done, walks = sum(len(one.times) for one in recordings), 0, []
    with Progress("SKAB") as progress:
        for one in recordings:

            def watch(rows: int, before: int = done, name: str = one.name) -> None:
                progress.tell(lambda: (before + rows) / total, lambda: name)

            walks.append(
                walk(one.values, one.times, channels=one.channels, rate_hz=rate, config=config, watch=watch)
            )
            done += len(one.times)
    return walks


def said_of(walked: Walk) -> Said:
    """A row is called anomalous where its level is at or beyond the edge of normal; a changepoint is a change that
    the change head tells."""
    levels = np.nan_to_num(walked.levels, nan=0.0)
    return Said(
        levels[REST] >= 1.0,
        levels[REST],
        walked.raised[REST],
        tuple(row - TRAIN for row in changes(walked) if row >= TRAIN),
    )


def table(result: dict[str, Any]) -> str:
    rows = [["**Tocsin**", *_row(result), result["us_per_row"]]]
    alert = result["alert"]
    rows.append(["Tocsin, rows under an alert", alert["f1"], alert["far"], alert["mar"], *[None] * 7])
    peers = result.get("peers", {})
    for name, peer in peers.items():
        here = "not installed" if "missing" in peer else "here"
        rows.append([f"{name}, {here}", *_row(peer), peer.get("us_per_row")])
    for name, (f1, far, mar) in result["published"]["f1_far_mar"].items():
        rows.append([f"{name}, published", f1, far, mar, *[None] * 7])
    for name, score in result["published"]["changepoint_nab"].items():
        rows.append([f"{name}, published", None, None, None, None, score, *[None] * 5])
    for name, control in result["controls"].items():
        setting = f", {control['setting']} rows" if "setting" in control else ""
        rows.append([f"control: {name.replace('_', ' ')}{setting}", *_row(control), None])
    head = [
        "",
        "F1",
        "FAR %",
        "MAR %",
        "VUS-PR",
        "NAB",
        "low FP",
        "emissions a file",
        "false an hour",
        "delay s",
    ]
    spread = result["intervals"]
    lines = [
        markdown([*head, "µs a row"], rows),
        "",
        f"{len(result['files'])} files{settings.told(result['monitor'])}. 95 % intervals over files (bootstrap):"
        f" F1 {within(spread['f1'])}, FAR {within(spread['far'], ' %')}, MAR {within(spread['mar'], ' %')}, VUS-PR"
        f" {within(spread['vus_pr'])}, changepoint NAB {within(spread['nab_standard'])}, low FP"
        f" {within(spread['nab_low_fp'])}.",
        "",
        "F1, FAR and MAR of the first row are of rows at or beyond the edge of normal (level 1), as other"
        " methods' are of rows beyond their threshold; an alert, which is what a person hears, outlasts them: the"
        f" second row. Of alerts are the false alarms an hour and the median delay; {result['anomalies_heard']} of"
        f" {result['anomalies']} anomalies were heard.",
        "",
        "Changepoints are scored here, and told by nobody: the product has no such event. They are taken from the"
        f" change head's raw score at {MARGIN:g} times the largest jump of the lesson, at most one in {HOLD_S:g}"
        f" s; in the level it counts from {JUMP_MARGIN:g} times on. NAB is the leaderboard's, with windows of 60"
        " s.",
        "",
        f"VUS-PR is pooled over files, with buffers to {WIDEST} rows. Peers stand at the threshold that is best"
        " after the fact, on their scores or on means of 20, whichever is better; the timer likewise. random: our"
        " alarms, rows and changepoints moved anywhere, mean of 20 draws.",
        *absent(peers),
    ]
    if len(result["files"]) < FILES or result["left_out"]:
        lines += ["", which(result["files"], result["left_out"])]
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    spread, controls = result["intervals"], result["controls"]
    peers = result.get("peers", {})
    published = result["published"]["f1_far_mar"]

    def panel(key: str) -> list[Bar]:
        return [
            Bar("Tocsin", result[key], "ours", spread.get(key)),
            *(Bar(name, peer.get(key), "peer") for name, peer in peers.items()),
            *(
                Bar(name, row[("f1", "far").index(key)], "published")
                for name, row in published.items()
                if key in ("f1", "far")
            ),
            *(Bar(name.replace("_", " "), from_zero(one[key]), "control") for name, one in controls.items()),
        ]

    changed = [
        Bar("Tocsin", result["nab_standard"], "ours", spread["nab_standard"]),
        *(Bar(name, score, "published") for name, score in result["published"]["changepoint_nab"].items()),
        *(
            Bar(
                f"{name.replace('_', ' ')}, {shown(one['emissions_per_file'])} a file",
                from_zero(one["nab_standard"]),
                "control",
            )
            for name, one in controls.items()
        ),
    ]
    bars(
        path,
        [
            ("F1", panel("f1")),
            ("false alarm rate, %", panel("far")),
            ("VUS-PR", panel("vus_pr")),
            ("changepoint NAB", changed),
        ],
    )


def _alert_figures(recordings: Sequence[Recording], said: Sequence[Said]) -> dict[str, float]:
    """Of rows while an alert stands: it outlasts the level, until that is well back."""
    pairs = zip(recordings, said, strict=True)
    counts = points.total([points.count(one.anomaly[REST], each.alarm) for one, each in pairs])
    return {"f1": counts.f1, "far": counts.far, "mar": counts.mar}


def _per_file(scored: Scored) -> dict[str, Any]:
    found = {}
    for one, said, delays in zip(scored.recordings, scored.said, scored.delays(), strict=True):
        counts = points.count(one.anomaly[REST], said.rows)
        found[one.name] = {
            "f1": counts.f1,
            "far": counts.far,
            "mar": counts.mar,
            "delays_s": delays,
            "emitted": list(said.emitted),
            "changepoints": np.flatnonzero(one.changepoint[REST]).tolist(),
        }
    return found


def _row(found: dict[str, Any]) -> list[Any]:
    keys = ("f1", "far", "mar", "vus_pr", "nab_standard", "nab_low_fp", "emissions_per_file")
    return [found.get(key) for key in (*keys, "false_per_hour", "median_delay_s")]
