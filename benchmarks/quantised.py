"""The autoencoder in float32 and in int8: detection kept, memory and time, beside the plain spectral features."""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cwru_files import read
from benchmarks.recordings import NoRecordings, folder
from models.build import cost
from models.bundle import shipped
from models.features import Features
from models.mahalanobis import Mahalanobis
from models.vibration import Vibration
from models.waveform import BUNDLE, Waveform
from models.window import Array, Windows
from sensors.bearing import Bearing
from sensors.machine import NOISE_RMS, Fault, FaultKind, Machine

HELP = "the int8 autoencoder against float32: AUC kept, KB, microseconds hot and cold"
WALKED = (
    "No `Monitor`: windows go through the features and a Mahalanobis head one at a time, without averages, "
    "edges or alerts."
)
FAULTS: tuple[FaultKind, ...] = (
    "imbalance",
    "misalignment",
    "looseness",
    "bearing_outer",
    "bearing_inner",
    "bearing_ball",
)
SNR_DB = (0, 5, 10, 15, 20)  # the healthy machine's tones over its noise
SWINGS = {"steady load": 0.05, "swinging load": 0.3}
SEVERITY = 0.02  # of 1, at which a machine must be stopped: at 0.05 and steady load every AUC is 1
RATE_HZ, SPEED_HZ, AXES = 3200.0, 24.7, 2
LEARN_S, TEST_S = 120.0, 60.0
WINDOW_S, HOPS = 1.0, 2  # hops in a window
CWRU_WINDOW_S, CWRU_HOPS, CWRU_LEARN = 0.1, 4, 0.6  # of the healthy recording
CWRU_NOISE_DB = (None, -5)  # as recorded, and with white noise so far under (here: over) the healthy machine
SPECTRAL, VARIANTS = "spectral", ("fp32", "int8")
KINDS = (SPECTRAL, *VARIANTS)
Doubles = NDArray[np.float64]
Make = Callable[[str], Features]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=2, help="machines of each kind (default: 2)")
    parser.add_argument(
        "--severity", type=float, default=SEVERITY, help=f"of the faults (default: {SEVERITY})"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """CWRU is left out, and said so, where its folder is not there; the synthetic machine needs none."""
    synthetic: list[dict[str, Any]] = [
        {"machine": name, "snr_db": snr, "auc": _machine(swing, snr, arguments.seeds, arguments.severity)}
        for name, swing in SWINGS.items()
        for snr in SNR_DB
    ]
    try:
        place = folder(arguments.data, "cwru", ["*.npz"])
        cwru: list[dict[str, Any]] = [
            {"noise_db": noise, "auc": _cwru(place, noise)} for noise in CWRU_NOISE_DB
        ]
        missing = ""
    except NoRecordings as error:
        cwru, missing = [], str(error)
    bundle = shipped(BUNDLE)
    costs = {name: asdict(found) for name, found in cost.costs(bundle.folder).items()}
    result = {
        "severity": arguments.severity,
        "seeds": arguments.seeds,
        "synthetic": synthetic,
        "cwru": cwru,
        "missing": missing,
        "batches": cost.BATCHES,
        "costs": costs,
        "weights_ratio": costs["fp32"]["weight_bytes"] / costs["int8"]["weight_bytes"],
        "file_ratio": costs["fp32"]["file_bytes"] / costs["int8"]["file_bytes"],
    }
    kept = [_kept(row["auc"]) for row in (*synthetic, *cwru)]
    result["least_kept_of_mean"] = min(kept)
    result["least_kept_of_a_fault"] = min(
        fault["int8"] / fault["fp32"] for row in (*synthetic, *cwru) for fault in row["auc"].values()
    )
    result["summary"] = _summary(result)
    return result


def table(result: dict[str, Any]) -> str:
    """Mean AUC over the faults in each row; `kept` is int8 over fp32."""
    parts = [f"{result['summary']}\n", "| healthy against | " + " | ".join((*KINDS, "kept")) + " |"]
    parts.append("|---" * (len(KINDS) + 2) + "|")
    for row in result["synthetic"]:
        parts.append(_line(f"six faults, {row['machine']}, SNR {row['snr_db']} dB", row["auc"]))
    for row in result["cwru"]:
        noise = "as recorded" if row["noise_db"] is None else f"in white noise, SNR {row['noise_db']} dB"
        parts.append(_line(f"CWRU, {len(row['auc'])} faulty recordings, {noise}", row["auc"]))
    if result["missing"]:
        parts.append(f"\nCWRU was left out: {result['missing']}.")
    costs = {name: cost.Cost(**result["costs"][name]) for name in VARIANTS}
    rows = cost.rows(costs)
    parts += ["", "| " + " | ".join(rows[0]) + " |", "|---" * len(rows[0]) + "|"]
    parts += ["| " + " | ".join(row) + " |" for row in rows[1:]]
    return "\n".join(parts)


def plot(result: dict[str, Any], path: Path) -> None:
    """Mean AUC against the signal to noise ratio, one panel for each machine."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(SWINGS), figsize=(9, 3.5), sharey=True)
    for panel, name in zip(axes, SWINGS, strict=True):
        rows = [row for row in result["synthetic"] if row["machine"] == name]
        for kind in KINDS:
            heights = [_mean(row["auc"], kind) for row in rows]
            panel.plot([row["snr_db"] for row in rows], heights, marker="o", label=kind)
        panel.set_title(name)
        panel.set_xlabel("signal to noise, dB")
    axes[0].set_ylabel("mean AUC over six faults")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def auc(healthy: Doubles, faulty: Doubles) -> float:
    """Area under the receiver's curve: how often a faulty window scores above a healthy one, ties by half."""
    both = np.concatenate([healthy, faulty])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = float(ranks[inverse[len(healthy) :]].sum()) - len(faulty) * (len(faulty) + 1) / 2
    return total / (len(healthy) * len(faulty))


def distances(
    features: Features, lesson: Array, tests: Sequence[Array], length: int, hop: int
) -> list[Doubles]:
    """Scores of the windows of each test by a Mahalanobis head that learned from `lesson`; no window averaged
    with another. All are samples `(rows, channels)`."""
    head = Mahalanobis(len(features.columns), smooth=1, lag=2)
    rows = _rows(features, lesson, length, hop)
    head.arm(head.learn(np.arange(len(rows), dtype=np.float64), rows, (0,)))
    bank = head.make_bank()
    head.seat = bank.seat(head)
    found = []
    for test in tests:
        rows = _rows(features, test, length, hop)
        job = head.take([float(i) for i in range(len(rows))], rows, True)
        assert job is not None
        bank.score([job])
        found.append(job.raw[0].astype(np.float64))
    return found


def _rows(features: Features, samples: Array, length: int, hop: int) -> Array:
    count = (len(samples) - length) // hop + 1
    samples = np.ascontiguousarray(samples[: (count - 1) * hop + length])
    return features.extract(Windows([0.0] * count, samples, length, hop, True))


def _machine(swing: float, snr_db: float, seeds: int, severity: float) -> dict[str, dict[str, float]]:
    """By fault: the AUC of each kind of features, a mean over machines. What is tested comes after the lesson."""
    length = round(WINDOW_S * RATE_HZ)
    make = _maker([(name, "m/s2") for name in "xyz"[:AXES]], RATE_HZ, length)
    found: dict[str, dict[str, list[float]]] = {fault: {kind: [] for kind in KINDS} for fault in FAULTS}
    for seed in range(1, seeds + 1):
        tones = float(_samples(_rig(swing, 0.0, seed), 20.0).var(axis=0).mean())
        noise = math.sqrt(tones / 10 ** (snr_db / 10)) / NOISE_RMS
        machine = _rig(swing, noise, seed)
        lesson = _samples(machine, LEARN_S)
        healthy, *faulty = (
            _samples(copy.deepcopy(machine), TEST_S, *faults)
            for faults in ((), *((Fault(kind, severity=severity),) for kind in FAULTS))
        )
        for kind in KINDS:
            normal, *strange = distances(make(kind), lesson, [healthy, *faulty], length, length // HOPS)
            for fault, scores in zip(FAULTS, strange, strict=True):
                found[fault][kind].append(auc(normal, scores))
    return {f: {kind: float(np.mean(values)) for kind, values in row.items()} for f, row in found.items()}


def _rig(swing: float, noise: float, seed: int) -> Machine:
    return Machine(
        vibration=True,
        rate_hz=RATE_HZ,
        speed_hz=SPEED_HZ,
        load=0.7,
        load_swing=swing,
        noise=noise,
        axes=AXES,
        seed=seed,
        bearing=Bearing(),
        resonance_hz=0.35 * RATE_HZ,
    )


def _samples(machine: Machine, seconds: float, *faults: Fault) -> Array:
    """Whole pages of what it gives next, at least so long."""
    pages = [machine.page(faults) for _ in range(math.ceil(seconds * RATE_HZ / machine.page_rows))]
    return np.concatenate(pages)


def _cwru(place: Path, noise_db: float | None) -> dict[str, dict[str, float]]:
    """By faulty recording: the AUC of each kind of features, learned on the first part of the healthy one."""
    recordings, _ = read(place, CWRU_WINDOW_S)
    normal = next((one for one in recordings if not one.part), None)
    hurt = [one for one in recordings if one.part and normal and one.rate_hz == normal.rate_hz]
    if normal is None or not hurt:
        raise NoRecordings(f"{place} has no recording of a healthy machine beside those of faulty ones")
    rate = normal.rate_hz
    spread = 0.0 if noise_db is None else float(normal.values.std()) * 10 ** (-noise_db / 20)
    length = round(CWRU_WINDOW_S * rate)
    make = _maker([("drive end", "g")], rate, length)
    healthy = _noisy(normal.values.reshape(-1, 1), spread, 0)
    cut = round(CWRU_LEARN * len(healthy))
    names = [one.name.removesuffix(".npz") for one in hurt]
    faulty = [_noisy(one.values.reshape(-1, 1), spread, i) for i, one in enumerate(hurt, start=1)]
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for kind in KINDS:
        tests = [healthy[cut:], *faulty]
        rest, *strange = distances(make(kind), healthy[:cut], tests, length, length // CWRU_HOPS)
        for name, scores in zip(names, strange, strict=True):
            found[name][kind] = auc(rest, scores)
    return found


def _noisy(samples: Array, spread: float, seed: int) -> Array:
    random = np.random.Generator(np.random.Philox(key=[seed, 7]))
    return samples + (spread * random.standard_normal(samples.shape)).astype(np.float32)


def _maker(channels: list[tuple[str, str]], rate_hz: float, length: int) -> Make:
    def make(kind: str) -> Features:
        if kind == SPECTRAL:
            return Vibration(channels, rate_hz, length)
        return Waveform(channels, rate_hz, length, shipped(BUNDLE), kind)

    return make


def _mean(row: dict[str, dict[str, float]], kind: str) -> float:
    return float(np.mean([fault[kind] for fault in row.values()]))


def _kept(row: dict[str, dict[str, float]]) -> float:
    return _mean(row, "int8") / _mean(row, "fp32")


def _line(name: str, row: dict[str, dict[str, float]]) -> str:
    return f"| {name} | " + " | ".join(f"{_mean(row, kind):.3f}" for kind in KINDS) + f" | {_kept(row):.1%} |"


def _summary(result: dict[str, Any]) -> str:
    """For the card and the page."""
    fp32, int8 = (result["costs"][name] for name in VARIANTS)
    speed = []
    for how in ("hot", "cold"):
        ratios = [a / b for a, b in zip(fp32[f"{how}_us"], int8[f"{how}_us"], strict=True)]
        speed.append(f"{how} {min(ratios):.2f} to {max(ratios):.2f} times as fast")
    tests = "the synthetic machine at SNR 0 to 20 dB" + (" and CWRU" if result["cwru"] else "")
    return (
        f"Faults of severity {result['severity']:g} on {tests}, one window at a time: int8 keeps at least "
        f"{result['least_kept_of_mean']:.1%} of fp32's mean AUC in every row, and at least "
        f"{result['least_kept_of_a_fault']:.1%} of any single fault's; its weights take "
        f"1/{result['weights_ratio']:.2f} of the memory (the file 1/{result['file_ratio']:.2f}); "
        f"it is {' and '.join(speed)}."
    )
