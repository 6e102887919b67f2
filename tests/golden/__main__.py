"""Writes the golden recordings' alerts anew: `python -m tests.golden`, and with `recordings` those too."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from agent.cli import main
from tests.agent.recordings import slow, write_csv

HERE = Path(__file__).parent
RATE_HZ = 1600.0


def recordings() -> None:
    """A pump at 1 Hz with all that goes wrong in a file, a temperature each 5 min, and a motor whose bearing fails."""
    write_csv(HERE / "telemetry.csv", *slow(seed=11))
    random = np.random.default_rng(12)
    rows = 2000
    values = 60 + random.normal(0, 0.8, rows)
    values[1200:1260] -= 20
    values[1700:] += 15
    write_csv(
        HERE / "slow-channel.csv", 1_700_000_000.0 + 300 * np.arange(rows), values.astype(np.float32)[:, None]
    )
    rows = int(30 * RATE_HZ)
    time = np.arange(rows) / RATE_HZ
    shake = (
        np.sin(2 * np.pi * 24.7 * time)
        + 0.3 * np.sin(2 * np.pi * 49.4 * time + 1)
        + random.normal(0, 0.4, rows)
    )
    shake[int(22 * RATE_HZ) :] += (
        2
        * random.normal(0, 1, rows - int(22 * RATE_HZ))
        * (np.sin(2 * np.pi * 88 * time[int(22 * RATE_HZ) :]) > 0.9)
    )
    np.savez_compressed(
        HERE / "vibration.npz",
        time=np.array([1_700_000_000.0]),
        values=shake.astype(np.float16).astype(np.float32)[:, None],
        channels=np.array(["x"]),
        units=np.array(["m/s2"]),
        rate_hz=RATE_HZ,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["recordings"]:
        recordings()
    for name in ("telemetry", "slow-channel", "vibration", "reconstruction", "knn"):
        out = ["--out", str(HERE / f"{name}.jsonl")]
        code = main(["replay", "-c", str(HERE / "tocsin.yaml"), "--monitor", name, *out])
        assert code == 0, name
