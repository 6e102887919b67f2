"""The page about drivers says what is so."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
import yaml

from sensors import DRIVERS, SensorError, check, create, describe
from sensors.reference import update
from sensors.rows import OUT_OF_ORDER
from tests.sensors.world import PushedClock, make_board

PAGE = Path(__file__).parents[2] / "docs" / "drivers.md"
TEXT = PAGE.read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_tables_are_up_to_date() -> None:
    assert update(TEXT) == TEXT, "run: python -m sensors.reference docs/drivers.md"


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_every_driver_has_a_section_an_example_and_its_options(driver: str) -> None:
    section = TEXT.partition(f"\n## {driver}\n")[2].partition("\n## ")[0]
    assert f"driver: {driver}" in section
    for option in describe(driver):
        assert f"| `{option.name}` |" in section


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_example_is_right(text: str) -> None:
    for name, options in yaml.safe_load(text)["sensors"].items():
        driver = options.pop("driver")
        assert check(driver, options) == []
        assert create(name, driver, options).name == name


def test_every_count_is_explained() -> None:
    source = "".join(path.read_text("utf-8") for path in PAGE.parents[1].glob("sensors/*.py"))
    reasons = re.findall(r"tally\.add\(\s*\"(\w+)\"", source) + list(OUT_OF_ORDER)
    assert len(set(reasons)) >= 8
    reasons += re.findall(r"skipped\[\"(\w+)\"\]", source)
    for reason in reasons:
        assert f"`{reason}`" in TEXT


def test_the_driver_in_twenty_lines_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, registration, suite, *_ = blocks("python")
    body = [line for line in code.partition("class ")[2].splitlines() if line.strip()]
    assert len(body) <= 20
    module = types.ModuleType("sensors.onewire")
    monkeypatch.setitem(sys.modules, "sensors.onewire", module)
    monkeypatch.setattr("sensors.registry.DRIVERS", dict(DRIVERS))
    exec(code, module.__dict__)
    exec(registration, {"DRIVERS": sys.modules["sensors.registry"].DRIVERS})
    exec(suite, {})

    assert [p.path for p in check("onewire", {"rate_hz": "1 parsec"})] == ["device", "rate_hz"]
    sensor = create(
        "oven", "onewire", {"device": "28-0316a4e2c1ff", "rate_hz": "0.5 Hz", "root": str(tmp_path)}
    )
    sensor.clock = PushedClock()
    with sensor:
        with pytest.raises(SensorError, match=r"oven: .*No such file"):
            sensor.read(10.0)
        make_board(tmp_path, {"sys/bus/w1/devices/28-0316a4e2c1ff/temperature": "21437\n"})
        reading = sensor.read(10.0)
    assert reading is not None
    assert reading.values[0, 0] == pytest.approx(21.437)
