"""IIO devices made of files, as the kernel shows them, with a FIFO for the node that frames are read from."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.sensors.world import make_board

DEVICES = "sys/bus/iio/devices"
ACCEL = {  # of an LIS2DH, whose three axes are 12 bits in the upper part of 16
    "name": "lis2dh12_accel\n",
    "sampling_frequency": "1600\n",
    "sampling_frequency_available": "1 10 25 50 100 200 400 1600\n",
    "current_timestamp_clock": "realtime\n",
    "in_accel_x_raw": "-12\n",
    "in_accel_y_raw": "1\n",
    "in_accel_z_raw": "1024\n",
    "in_accel_scale": "0.009582\n",
    "trigger/current_trigger": "\n",
}
SCALE = 0.009582
AXES = {"accel_x": "le:s12/16>>4", "accel_y": "le:s12/16>>4", "accel_z": "le:s12/16>>4"}
FRAME = struct.Struct("<hhh2xq")


def make_device(
    root: Path, files: Mapping[str, str], elements: Mapping[str, str] | None = None, number: int = 0
) -> Path:
    """The device's folder. `elements` are the formats of what its buffer can hold, in the order of the frame."""
    folder = f"{DEVICES}/iio:device{number}"
    every = dict(files)
    if elements is not None:
        every |= {"buffer/enable": "0\n", "buffer/length": "2\n", "buffer/watermark": "1\n"}
        for i, (name, text) in enumerate(elements.items()):
            every |= {
                f"scan_elements/in_{name}_{end}": text for end, text in (("en", "0\n"), ("index", f"{i}\n"))
            }
            every[f"scan_elements/in_{name}_type"] = f"{text}\n"
    make_board(root, {f"{folder}/{name}": text for name, text in every.items()})
    return root / folder


def make_accelerometer(root: Path, **files: str) -> Path:
    """One that captures at its own 1600 Hz, with times."""
    return make_device(root, ACCEL | files, AXES | {"timestamp": "le:s64/64>>0"})


def make_trigger(root: Path, name: str, number: int = 0, rate: str | None = None) -> Path:
    files = {"name": f"{name}\n"} | ({} if rate is None else {"sampling_frequency": f"{rate}\n"})
    make_board(root, {f"{DEVICES}/trigger{number}/{end}": text for end, text in files.items()})
    return root / DEVICES / f"trigger{number}"


class Node:
    """The node of a device: what is written here the driver reads there. While it is open, the device is there."""

    def __init__(self, root: Path, number: int = 0) -> None:
        path = root / "dev" / f"iio:device{number}"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            os.mkfifo(path)
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, 1 << 20)  # as much as the kernel's buffer would hold

    def fill(self, frames: bytes) -> None:
        os.write(self._file, frames)

    def close(self) -> None:
        os.close(self._file)


def frames_of(rows: Sequence[Sequence[int]], stamps_ns: Sequence[int]) -> bytes:
    """Frames of the accelerometer: three axes in counts, and when."""
    return b"".join(
        FRAME.pack(*(axis << 4 for axis in row), stamp) for row, stamp in zip(rows, stamps_ns, strict=True)
    )


class Running(Node):
    """Fills itself at 1600 Hz, from a thread."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        period = 625_000
        stamp = time.time_ns()
        while not self._stop.wait(0.01):
            rows = (time.time_ns() - stamp) // period
            try:
                self.fill(frames_of([(1, 2, 3)] * rows, [stamp + i * period for i in range(rows)]))
            except BlockingIOError:  # nobody reads
                pass
            stamp += rows * period

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        super().close()
