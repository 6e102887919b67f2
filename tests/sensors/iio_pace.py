"""What buffered capture costs: `python -m tests.sensors.iio_pace --rate 25600 --seconds 60`.

Another process fills a FIFO with frames of three axes and a time, at the rate, as a device would; here they are read by
the driver. Tells the share of one core that took, and accounts for every sample.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sensors import create
from tests.sensors.iio_world import ACCEL, Node, make_device

ELEMENTS = {
    "accel_x": "le:s16/16>>0",
    "accel_y": "le:s16/16>>0",
    "accel_z": "le:s12/16>>4",
    "timestamp": "le:s64/64>>0",
}
FRAME = np.dtype([("axes", "<i2", 3), ("pad", "u2"), ("stamp", "<i8")])
TURN_S = 0.1  # between two fillings: a block, at which the kernel would wake its reader


def measure(rate_hz: int, seconds: float) -> dict[str, float]:
    """Samples sent, received and counted as lost; the share of a core; the largest error of a Reading's time."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_device(
            root,
            ACCEL | {"sampling_frequency": f"{rate_hz}\n", "sampling_frequency_available": f"{rate_hz}\n"},
            ELEMENTS,
        )
        node = Node(root)
        sensor = create(
            "it", "iio", {"device": "iio:device0", "capture": "buffered", "trigger": "none", "root": folder}
        )
        sensor.open()
        total = round(seconds * rate_hz)
        command = [
            sys.executable,
            "-m",
            "tests.sensors.iio_pace",
            "--rate",
            f"{rate_hz}",
            "--fill",
            f"{root}",
            "--rows",
            f"{total}",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as filler:
            received, readings, worst_s, began = 0, 0, 0.0, time.process_time()
            first: float | None = None
            lost: dict[str, int] = sensor.__dict__["skipped"]
            while received + lost.get("lost_samples", 0) < total:
                reading = sensor.read(5.0)
                assert reading is not None, f"{received} of {total} came"
                first = reading.time if first is None else first
                at = received + lost.get("lost_samples", 0)
                worst_s = max(worst_s, abs(reading.time - first - at / rate_hz))
                received += len(reading.values)
                readings += 1
            spent = time.process_time() - began
            assert filler.stdout is not None
            full = int(filler.stdout.read())
        sensor.close()
        node.close()
    return {
        "sent": total,
        "received": received,
        "lost": lost.get("lost_samples", 0),
        "fifo_full": full,
        "readings": readings,
        "core_share": spent / seconds,
        "worst_time_s": worst_s,
    }


def fill(root: Path, rate_hz: int, rows: int) -> None:
    """Be the device."""
    node, done, full = Node(root), 0, 0
    began, start = time.monotonic(), time.time_ns()
    while done < rows:
        time.sleep(TURN_S)
        due = min(rows, int((time.monotonic() - began) * rate_hz)) - done
        number = np.arange(done, done + due)
        frames = np.zeros(due, FRAME)
        frames["axes"] = np.stack([number, -number, number % 2048 << 4], 1)
        frames["stamp"] = start + number * 10**9 // rate_hz
        try:
            node.fill(frames.tobytes())
        except BlockingIOError:
            full += due
        done += due
    print(full)
    node.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=3200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fill is not None:
        fill(given.fill, given.rate, given.rows)
    else:
        print(json.dumps(measure(given.rate, given.seconds)))
