"""`tocsin record` as a command: what it writes is what the sensors gave, however it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sensors.recording import Recording
from tests.agent.brokers import until
from tests.agent.running import REPOSITORY, tocsin
from tests.real import need_root
from tests.sensors.world import make_csv, read_all, times_of, values_of

LIVE: dict[str, dict[str, Any]] = {
    "board": {"driver": "host", "rate_hz": 20},
    "motor": {"driver": "synthetic", "seed": 7},
}


def configure(folder: Path, sensors: dict[str, dict[str, Any]]) -> str:
    path = folder / "tocsin.yaml"
    monitors = {name: {"sensor": name} for name in sensors}
    path.write_text(
        yaml.safe_dump({"state_dir": str(folder / "state"), "sensors": sensors, "monitors": monitors})
    )
    return str(path)


def command(folder: Path, *words: str) -> list[str]:
    out = ["-c", str(folder / "tocsin.yaml"), "--out", str(folder / "out")]
    return [sys.executable, "-W", "error", "-m", "agent", "record", *out, *words]


@contextmanager
def recording(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, once it writes."""
    process = subprocess.Popen(
        command(folder, *words), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        until(lambda: len(list(folder.glob("out/*.values"))) == 2 or process.poll() is not None, "it writes")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_recording_is_written_row_by_row_and_replayed(tmp_path: Path) -> None:
    source = make_csv(tmp_path / "pump.csv", rows=500)
    configure(tmp_path, {"pump": {"driver": "recording", "file": str(source), "speed": 0}})
    done = tocsin(*command(tmp_path, "--json")[5:])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == "tocsin.record/1"
    assert told["sensors"]["pump"]["rows"] == 500
    assert told["sensors"]["pump"]["dropped"] == 0
    (file,) = told["sensors"]["pump"]["files"]
    before = read_all(Recording(file=str(source), speed=0))
    after = read_all(Recording(file=file, speed=0))
    np.testing.assert_array_equal(values_of(after), values_of(before))
    np.testing.assert_array_equal(times_of(after), times_of(before))
    with Recording(file=file, speed=0) as sensor:
        assert sensor.about["sensor"] == "pump"
        assert sensor.about["driver"] == "recording"
        assert sensor.about["options"] == {"file": str(source), "speed": 0}
        assert sensor.about["channels"] == [{"name": "a", "unit": "Cel"}, {"name": "b", "unit": "1"}]
        assert sensor.about["host"] == os.uname().nodename
    assert "500 rows in" in tocsin("replay", file, "--out", str(tmp_path / "alerts.jsonl")).stderr


@pytest.mark.parametrize("form", ["npz", "parquet", "csv"])
def test_live_sensors_are_recorded_side_by_side_for_so_long(tmp_path: Path, form: str) -> None:
    configure(tmp_path, LIVE)
    done = subprocess.run(
        command(tmp_path, "--for", "1.5 s", "--form", form), cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (board,), (motor,) = (list(tmp_path.glob(f"out/{name}-*.{form}")) for name in LIVE)
    assert f"  {motor}" in done.stdout
    values = values_of(read_all(Recording(file=str(motor), speed=0)))
    assert 3200 <= len(values) <= 3200 * 4
    with Recording(file=str(board), speed=0, rate_hz=20.0) as sensor:
        assert sensor.rate_hz == 20.0
        assert sensor.channels[0].unit == "%"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_finishes_its_files(tmp_path: Path, number: int) -> None:
    configure(tmp_path, LIVE)
    with recording(tmp_path) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert b"Traceback" not in err
    files = sorted(tmp_path.glob("out/*-*"))
    assert [path.suffix for path in files] == [".npz", ".npz"]
    for path in files:
        assert str(path) in out.decode()
        assert read_all(Recording(file=str(path), speed=0))


def test_killed_it_leaves_no_file_under_its_own_name_that_is_not_whole(tmp_path: Path) -> None:
    configure(tmp_path, LIVE)
    with recording(tmp_path, "--every", "0.3 s") as process:
        until(lambda: list(tmp_path.glob("out/motor-*.npz")), "a file is full")
        process.kill()
        process.wait()
    for path in tmp_path.glob("out/*.npz"):
        assert read_all(Recording(file=str(path), speed=0))
    assert list(tmp_path.glob("out/*.values"))
    done = subprocess.run(command(tmp_path, "--for", "1 s"), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0
    assert "was cut off while it was written, and is removed" in done.stderr
    assert not list(tmp_path.glob("out/*.values"))


def test_two_do_not_write_into_one_folder(tmp_path: Path) -> None:
    configure(tmp_path, LIVE)
    with recording(tmp_path) as process:
        done = subprocess.run(command(tmp_path), cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.startswith(f"process {process.pid} already works in {tmp_path}/out")


def test_a_full_disk_is_said_and_what_was_whole_stays(tmp_path: Path) -> None:
    need_root()
    configure(tmp_path, LIVE)
    (tmp_path / "out").mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path / "out")]
    subprocess.run(mounted, check=True)
    try:
        asked = command(tmp_path, "--every", "0.5 s", "--for", "60 s")
        done = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 2
        assert "cannot be written: No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        whole = list(tmp_path.glob("out/motor-*.npz"))
        assert whole
        for path in whole:
            assert read_all(Recording(file=str(path), speed=0))
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=True)


def test_a_sensor_that_gave_nothing_is_told(tmp_path: Path) -> None:
    configure(tmp_path, {**LIVE, "gone": {"driver": "host", "root": "/nowhere"}})
    done = subprocess.run(command(tmp_path, "--for", "1 s"), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert "gone: 0 rows, /nowhere: shows none of" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pmp"], '"pmp" is not a sensor'),
        (["--for", "soon"], '--for "soon" is not a duration'),
        (["--for", "0 s"], '--for "0 s" is nothing: write e.g. "20 s"'),
        (["--size", "64"], '--size "64" has no unit'),
        (["--keep", "100 MB"], "--keep 100 MB is too little for 2 x --size 64 MB: at least 320 MB"),
        (["--out", "/proc/none"], "/proc/none cannot be used"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: list[str], message: str) -> None:
    configure(tmp_path, LIVE)
    done = subprocess.run(command(tmp_path, *words), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.glob("out/*-*"))


def test_on_a_terminal_it_says_how_far_it_is(tmp_path: Path) -> None:
    configure(tmp_path, LIVE)
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            command(tmp_path, "--for", "1.5 s"), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=theirs
        ) as process:
            process.communicate(timeout=30)
        os.set_blocking(ours, False)
        said = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "record [##" in said
    assert "rows in 1 s" in said
    assert said.rstrip("\r\n").endswith("\x1b[K"), "the line is taken away at the end"
