"""Recordings one after the other: cut where they must be, bounded together, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.record import HIDDEN, without_secrets
from agent.reel import Limits, Reel, prune, remove_torn
from sensors.base import Channel, Reading
from sensors.recording import Recording
from tests.sensors.world import read_all, times_of, values_of

T0 = 1_709_294_400.0
CHANNELS = (Channel("a", "Cel"), Channel("b"))


def reading(time: float, rows: int = 100, rate_hz: float = 100.0) -> Reading:
    values = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2) + np.float32(time - T0)
    return Reading("pump", time, rate_hz, values)


def reel(folder: Path, limits: Limits, form: str = "npz") -> Reel:
    return Reel(folder, "pump", form, CHANNELS, {"sensor": "pump"}, limits)


LARGE = Limits(10**9, None, 10**9)


@pytest.mark.parametrize("form", ["npz", "csv", "parquet"])
def test_all_files_together_hold_every_row_once(tmp_path: Path, form: str) -> None:
    given = [reading(T0 + i) for i in range(20)]
    made = reel(tmp_path, Limits(10**9, 5.0, 10**9), form)
    for one in given:
        made.put(one)
    made.close()
    assert [path.name for path in made.files] == [
        f"pump-20240301T12000{i}Z.{form}" if i < 10 else f"pump-20240301T1200{i}Z.{form}"
        for i in (0, 5, 10, 15)
    ]
    found = [read_all(Recording(file=str(path), speed=0, rate_hz=100.0)) for path in made.files]
    np.testing.assert_array_equal(np.concatenate([values_of(f) for f in found]), values_of(given))
    np.testing.assert_allclose(
        np.concatenate([times_of(f) for f in found]), times_of(given), rtol=0, atol=1e-6
    )
    assert made.rows == 2000


def test_a_file_stays_below_its_size(tmp_path: Path) -> None:
    made = reel(tmp_path, Limits(2000, None, 10**9))
    for i in range(6):
        made.put(reading(T0 + i))  # 800 bytes
    made.close()
    assert len(made.files) == 3
    assert [len(values_of(read_all(Recording(file=str(p), speed=0)))) for p in made.files] == [200] * 3


def test_another_rate_or_a_clock_set_back_begins_a_new_file(tmp_path: Path) -> None:
    made = reel(tmp_path, LARGE)
    for one in (reading(T0), reading(T0 + 1, rate_hz=50.0), reading(T0, rate_hz=50.0)):
        made.put(one)
    made.close()
    assert [path.name for path in made.files] == [
        "pump-20240301T120000Z.npz",
        "pump-20240301T120001Z.npz",
        "pump-20240301T120000Z-2.npz",
    ]
    with Recording(file=str(made.files[1]), speed=0) as sensor:
        assert sensor.rate_hz == sensor.about["rate_hz"] == 50.0
        assert sensor.about["start"] == "2024-03-01T12:00:01.000Z"


def test_the_oldest_go_when_all_together_are_too_large(tmp_path: Path) -> None:
    others = [tmp_path / "notes.txt", tmp_path / "pump.npz", tmp_path / "pump-july.csv"]
    for other in others:
        other.write_bytes(b"x" * 10_000)
    made = reel(tmp_path, Limits(1000, None, 8000))
    for i in range(20):
        made.put(reading(T0 + i))
    made.close()
    left = sorted(path for path in tmp_path.glob("pump-2*"))
    assert left == sorted(made.files)[-len(left) :]
    assert 3 <= len(left) < 20
    assert sum(path.stat().st_size for path in left[:-1]) <= 8000
    assert all(other.exists() for other in others), "what is not ours is not touched"
    assert prune(tmp_path, 0) == left


def test_what_was_cut_off_is_removed_and_nothing_else(tmp_path: Path) -> None:
    torn = ["pump-20240301T120000Z.npz.values", "pump-20240301T120000Z-2.parquet.part"]
    kept = ["pump-20240301T120000Z.npz", "pump.part", "x.values", "lock"]
    for name in (*torn, *kept):
        (tmp_path / name).write_bytes(b"x")
    assert sorted(path.name for path in remove_torn(tmp_path)) == sorted(torn)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_options_are_kept_without_their_secrets() -> None:
    options = {
        "host": "10.0.0.7",
        "password_file": "/etc/x",
        "url": "http://pump:s3cret@10.0.0.7/metrics",
        "headers": {"Authorization": "Bearer s3cret"},
        "of": {"a": {"api_key": "s3cret", "port": 7}},
        "command": ["read", "--token=s3cret", "password: s3cret"],
        "axes": (1, 2),
    }
    kept = without_secrets(options)
    assert "s3cret" not in str(kept)
    assert kept["host"] == "10.0.0.7"
    assert kept["url"] == f"http://{HIDDEN}@10.0.0.7/metrics"
    assert kept["of"]["a"]["port"] == 7
    assert kept["command"][0] == "read"
    assert kept["axes"] == [1, 2]


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (
            ["curl", "-H", "Authorization: Bearer s3cret", "x"],
            ["curl", "-H", f"Authorization: {HIDDEN}", "x"],
        ),
        (["curl", "-H", "Cookie: a=s3cret; b=s3cret"], ["curl", "-H", f"Cookie: {HIDDEN}"]),
        (["curl", "-H", "X-Api-Key: s3cret"], ["curl", "-H", f"X-Api-Key: {HIDDEN}"]),
        (["curl", "-u", "admin:s3cret", "x"], ["curl", "-u", HIDDEN, "x"]),
        (
            ["read", "--password", "s3cret", "-p", "s3cret", "x"],
            ["read", "--password", HIDDEN, "-p", HIDDEN, "x"],
        ),
        (["read", "--auth-token", "s3cret", "--rate", "5"], ["read", "--auth-token", HIDDEN, "--rate", "5"]),
        (["sh", "-c", "read --token s3cret --rate 5"], ["sh", "-c", f"read --token {HIDDEN} --rate 5"]),
        (["python3", "-u", "read.py", "--port", "7"], ["python3", "-u", "read.py", "--port", "7"]),
    ],
)
def test_a_command_is_kept_without_its_secrets(command: list[str], kept: list[str]) -> None:
    assert without_secrets({"command": command}) == {"command": kept}
