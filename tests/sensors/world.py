"""A clock that is pushed, a board made of files, and a driver of each kind to try things on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensors import Clock, Reading, Sensor, create
from sensors.contract import PushedClock as PushedClock

# as the kernel writes them: proc(5), Documentation/driver-api/thermal, admin-guide/pm/cpufreq, accounting/psi
BOARD = {
    "proc/stat": "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 100 0 100 700 100 0 0 0 0 0\nintr 1 2\n",
    "proc/loadavg": "0.20 0.18 0.12 1/80 11206\n",
    "proc/meminfo": "MemTotal:        4000000 kB\nMemFree:          500000 kB\nMemAvailable:    3000000 kB\n",
    "proc/pressure/cpu": "some avg10=1.50 avg60=0.00 avg300=0.00 total=123\n",
    "proc/pressure/io": "some avg10=0.25 avg60=0.00 avg300=0.00 total=1\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "600000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
}


def make_board(root: Path, files: Mapping[str, str]) -> Path:
    """A file system with these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def make_csv(path: Path, rows: int = 50) -> Path:
    """Two channels at 1 Hz."""
    lines = ["time,a [Cel],b"]
    lines += [f"2024-03-01T12:{i // 60:02d}:{i % 60:02d}Z,{20 + i % 7},{i / 8}" for i in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def make(driver: str, options: Mapping[str, object], clock: Clock | None = None) -> Sensor:
    """A sensor on a pushed clock."""
    sensor = create("it", driver, options)
    sensor.clock = clock or PushedClock()
    return sensor


def read_all(sensor: Sensor) -> list[Reading]:
    """Every Reading of a finite sensor, opened and closed here."""
    readings: list[Reading] = []
    with sensor:
        while not sensor.finished:
            reading = sensor.read(1e9)
            if reading is not None:
                readings.append(reading)
    return readings


def times_of(readings: list[Reading]) -> NDArray[np.float64]:
    """Each sample's time."""
    return np.concatenate([r.time + np.arange(len(r.values)) / r.rate_hz for r in readings])


def values_of(readings: list[Reading]) -> NDArray[np.float32]:
    """All samples, (rows, channels)."""
    return np.concatenate([r.values for r in readings])
