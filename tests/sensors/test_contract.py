"""Every driver keeps the contract: those without a peer here, the others beside the tests of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from sensors import DRIVERS, create
from sensors.contract import PushedClock, SensorContract, refused
from tests.sensors.world import BOARD, make_board, make_csv


class TestRecording(SensorContract):
    driver = "recording"
    clock = PushedClock

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, object]:
        return {"file": str(make_csv(tmp_path / "machine.csv"))}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"file": str(tmp_path / "no.csv")}


class TestHost(SensorContract):
    driver = "host"
    clock = PushedClock

    @pytest.fixture
    def options(self, tmp_path: Path) -> Mapping[str, object]:
        return {"root": str(make_board(tmp_path / "board", BOARD))}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"root": str(tmp_path / "no")}


class TestSynthetic(SensorContract):
    driver = "synthetic"
    clock = PushedClock

    @pytest.fixture
    def options(self) -> Mapping[str, object]:
        return {"duration_s": 3}


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_every_driver_is_held_to_the_contract(driver: str) -> None:
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert re.search(rf'SensorContract\):\n.*?^    driver = "{driver}"', tests, re.DOTALL | re.MULTILINE)


def test_a_driver_that_raises_nothing_is_told_what_is_wanted() -> None:
    with pytest.raises(pytest.fail.Exception, match="it raised nothing: read raises SensorError"):
        with refused("read raises SensorError once its source is gone"):
            pass
    nowhere = create("it", "recording", {"file": "/no.csv"})
    with refused("open raises SensorError") as said:
        nowhere.open()
    assert "/no.csv" in said[0]
