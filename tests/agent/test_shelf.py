from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from agent import shelf
from models import baseline as baselines
from models.baseline import Baseline, Origin
from models.calibration import Calibration
from models.detector import Learned


def save(path: Path, what: str, age: int) -> None:
    """A baseline that belongs to `what`, last used `age` seconds ago."""
    arrays = {"mean": np.full(3, age, np.float32)}
    learned = Learned(arrays, Calibration((1.0,)), ())
    origin = Origin(rows=10, first=0.0, last=9.0)
    baselines.save(path, Baseline(parts={"": learned}, origin=origin, detector="level"), {"window": what})
    os.utime(path, (1e9 - age, 1e9 - age))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pump.npz"


def back(path: Path, what: str) -> int | None:
    found = shelf.take_back(path, {"window": what})
    return None if found is None else int(found.learned.arrays["mean"][0])


def names(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def test_neither_of_two_configurations_overwrites_the_other(path: Path) -> None:
    save(path, "A", 3)
    assert shelf.set_aside(path, broken=False).name == "pump.npz.foreign-1"
    assert back(path, "B") is None
    save(path, "B", 2)
    assert shelf.set_aside(path, broken=False).name == "pump.npz.foreign-2"
    assert back(path, "A") == 3
    assert names(path) == ["pump.npz", "pump.npz.foreign-2"]
    assert baselines.load(path, {"window": "A"}).learned.arrays["mean"][0] == 3
    assert shelf.set_aside(path, broken=False).name == "pump.npz.foreign-1"
    assert back(path, "B") == 2


def test_only_the_few_used_last_are_kept(path: Path) -> None:
    for age, what in ((9, "A"), (2, "B"), (5, "C"), (4, "D")):
        save(path, what, age)
        shelf.set_aside(path, broken=False)
    assert names(path) == ["pump.npz.foreign-2", "pump.npz.foreign-3", "pump.npz.foreign-4"]
    assert back(path, "A") is None
    assert [back(path, what) for what in "BCD"] == [2, 5, 4]


def test_of_two_that_fit_the_later_one_is_taken(path: Path) -> None:
    for age in (7, 3):
        save(path, "A", age)
        shelf.set_aside(path, broken=False)
    assert back(path, "A") == 3


def test_what_is_broken_or_another_monitors_is_never_taken_back(path: Path) -> None:
    save(path, "A", 3)
    assert shelf.set_aside(path, broken=True).name == "pump.npz.broken"
    save(path.with_name("pump.npz.foreign-1.npz"), "A", 3)
    path.with_name("pump.npz.foreign-2").write_text("garbage")
    assert back(path, "A") is None
    path.parent.joinpath("pump.npz.broken").unlink()
    assert back(path.parent / "nowhere" / "pump.npz", "A") is None
