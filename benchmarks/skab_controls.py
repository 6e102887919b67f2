"""What the scores of the pump recordings give to alarms that never look at the data, and to other detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.peers import MULTIVARIATE, averaged, over_lesson, tried
from benchmarks.scores import changepoints, points
from benchmarks.scores.points import Bools
from benchmarks.skab_files import TRAIN, Recording
from benchmarks.skab_scores import REST, Doubles, Said, Scored

SEEDS = 20
TIMERS = range(0, 900, 10)  # rows tried
PERIOD = 60  # rows of the metronome, as of the reference scores
EDGES = np.geomspace(0.3, 10.0, 60)  # of a peer's threshold, times the 0.99 quantile of its lesson
SPAN = 20  # rows a peer's scores are averaged over, as ours are


def controls(recordings: Sequence[Recording], ours: Sequence[Said]) -> dict[str, dict[str, Any]]:
    """Of each control the same figures; the timer is the one with the best F1 after the fact."""
    lengths = [len(one.times) - TRAIN for one in recordings]

    def scored(says: Callable[[int], Said]) -> dict[str, Any]:
        return Scored(recordings, [says(n) for n in lengths]).figures()

    best = max(TIMERS, key=lambda start: _f1(recordings, [np.arange(n) >= start for n in lengths]))
    emissions = max(1.0, float(np.mean([len(one.emitted) for one in ours])))
    slow = max(1, round(float(np.mean(lengths)) / emissions))
    random = np.random.default_rng(11)
    draws = [Scored(recordings, [_random(one, random) for one in ours]).figures() for _ in range(SEEDS)]
    return {
        "always": scored(lambda n: _alarm(np.ones(n, bool))),
        "timer": {**scored(lambda n: _alarm(np.arange(n) >= best)), "setting": best},
        "metronome": {**scored(lambda n: _metronome(n, PERIOD)), "setting": PERIOD},
        "metronome_at_our_rate": {**scored(lambda n: _metronome(n, slow)), "setting": slow},
        "random": {key: _mean([draw[key] for draw in draws]) for key in draws[0]},
    }


def peers(recordings: Sequence[Recording]) -> dict[str, dict[str, Any]]:
    """Of each peer F1, FAR and MAR at the threshold that is best after the fact, of its scores as they are or of their
    means over 20 rows, whichever is better, VUS-PR likewise, and what a row costs; `missing` where its library is not
    installed."""
    found: dict[str, dict[str, Any]] = {}
    for name, peer in tried(MULTIVARIATE, [(one.values.astype(np.float64), TRAIN) for one in recordings]):
        if peer.missing:
            found[name] = {"missing": peer.missing}
            continue
        ways = [
            _best(recordings, each) for each in (peer.scores, [averaged(one, SPAN) for one in peer.scores])
        ]
        found[name] = {**max(ways, key=lambda one: one["f1"]), "us_per_row": peer.us_per_row}
        found[name]["vus_pr"] = max(one["vus_pr"] for one in ways)
    return found


def _best(recordings: Sequence[Recording], scores: Sequence[Doubles]) -> dict[str, Any]:
    """At the best threshold, in units of what the file's own lesson scored."""
    scaled = [over_lesson(one, TRAIN)[REST] for one in scores]
    edge = max(EDGES, key=lambda edge: _f1(recordings, [one >= edge for one in scaled]))
    said = [Said(one >= edge, one, one >= edge) for one in scaled]
    figures = Scored(recordings, said).figures()
    return {key: figures[key] for key in ("f1", "far", "mar", "vus_pr", "false_per_hour", "median_delay_s")}


def _f1(recordings: Sequence[Recording], alarms: Sequence[Bools]) -> float:
    pairs = zip(recordings, alarms, strict=True)
    return points.total([points.count(one.anomaly[REST], alarm) for one, alarm in pairs]).f1


def _alarm(flags: Bools) -> Said:
    return Said(flags, flags.astype(np.float64), flags, tuple(changepoints.edges(flags)))


def _metronome(rows: int, period: int) -> Said:
    """Changepoints alone; each counts as an alarm of one row."""
    beats = np.zeros(rows, bool)
    beats[period - 1 :: period] = True
    return Said(np.zeros(rows, bool), beats.astype(np.float64), beats, tuple(np.flatnonzero(beats).tolist()))


def _random(ours: Said, random: np.random.Generator) -> Said:
    """As many rows called anomalous, as many alarms of the same lengths and as many changepoints, anywhere."""
    count = len(ours.rows)
    emitted = np.sort(random.choice(count, len(ours.emitted), replace=False)).tolist()
    rows = _moved(ours.rows, random)
    return Said(rows, rows.astype(np.float64), _moved(ours.alarm, random), tuple(emitted))


def _moved(flags: Bools, random: np.random.Generator) -> Bools:
    """Each stretch somewhere else."""
    moved = np.zeros(len(flags), bool)
    for start, stop in points.stretches(flags):
        first = int(random.integers(0, len(flags) - (stop - start) + 1))
        moved[first : first + stop - start] = True
    return moved


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
