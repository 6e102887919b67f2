"""Whole boards, read by the real code."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sensors.host import Host
from sensors.power import Pmic, Rapl, rails_watts
from tests.boards import BATTERY, BOARDS, LAPTOP, ORIN_NANO, PI_4, PI_5, PI_ZERO_2_W, PMIC, make
from tests.sensors.world import PushedClock


def figures(root: Path, files: dict[str, str]) -> dict[str, float]:
    host = Host(root=str(make(root, files)))
    host.clock = PushedClock()
    with host:
        reading = host.read(2.0)
    assert reading is not None
    names = [channel.name for channel in host.channels]
    return dict(zip(names, reading.values[0].tolist(), strict=True))


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_shows_its_processor_memory_and_temperature(name: str, tmp_path: Path) -> None:
    found = figures(tmp_path, BOARDS[name])
    assert {"load", "frequency", "frequency cap", "memory", "memory available"} <= set(found)
    assert any(channel.startswith("temperature ") for channel in found)
    assert all(math.isfinite(value) for channel, value in found.items() if channel != "cpu")
    assert "agent cpu" not in found, "of this process, which is not on that board"


def test_a_pi_zero_2_w_has_no_meter_and_no_pressure(tmp_path: Path) -> None:
    found = figures(tmp_path, PI_ZERO_2_W)
    assert not [name for name in found if name.startswith(("power", "pressure", "battery"))]
    assert found["under-voltage"] == found["throttled"] == 0.0
    assert found["frequency cap"] == 1e9


def test_a_pi_4_tells_what_throttles_it(tmp_path: Path) -> None:
    found = figures(tmp_path, PI_4)
    assert (found["under-voltage"], found["frequency capped"], found["throttled"]) == (1.0, 0.0, 1.0)


def test_a_pi_5_tells_the_power_of_its_rails(tmp_path: Path) -> None:
    found = figures(tmp_path, PI_5)
    rails = 0.0897994 * 3.721479 + 0.0663648 * 3.311494 + 0.1775964 * 1.801258
    rails += 0.01268767 * 1.106222 + 0.6122 * 0.7203141
    assert found["power pmic"] == found["power total"] == pytest.approx(rails, rel=1e-5)


def test_the_pmic_is_asked_once_a_second_at_most(tmp_path: Path) -> None:
    log = tmp_path / "log"
    make(tmp_path, {"vcgencmd": PMIC.replace("cat <<", f"echo asked >>{log}\ncat <<")})
    clock = PushedClock()
    pmic = Pmic(tmp_path / "vcgencmd", clock.monotonic)
    for push_s in (0.0, 0.3, 0.3, 0.3, 0.3, 1.0):
        clock.push(push_s)
        assert pmic.watts() > 0.5
    assert log.read_text().count("asked") == 3


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nothing of the kind\n", "no program"]
)
def test_a_pmic_that_says_nothing_is_unknown(script: str, tmp_path: Path) -> None:
    make(tmp_path, {"vcgencmd": script})
    assert math.isnan(Pmic(tmp_path / "vcgencmd").watts())


def test_a_rail_without_its_voltage_is_not_counted() -> None:
    assert rails_watts("A_A current(0)=1.0A\nA_V volt(1)=2.0V\nB_A current(2)=9.0A\n") == 2.0


def test_an_orin_nano_tells_its_whole_input_its_mode_and_when_it_is_slowed_down(tmp_path: Path) -> None:
    found = figures(tmp_path, ORIN_NANO)
    assert found["power total"] == found["power VDD_IN"] == pytest.approx(5.080 * 0.960)
    assert found["power mode"] == 0.0
    assert "temperature cv0-thermal" not in found, "switched off"
    assert not [name for name in found if "ucsi" in name or "shunt" in name]
    assert Host(root=str(tmp_path)).trips()["temperature tj-thermal"] == 99.0


def test_a_laptop_tells_its_battery_and_the_power_of_its_processor(tmp_path: Path) -> None:
    found = figures(tmp_path, LAPTOP)
    assert found["battery energy BAT0"] == 40.0
    assert found["battery full BAT0"] == 50.0
    assert found["battery power BAT0"] == 8.0
    assert found["discharging BAT0"] == 1.0
    assert found["power package-0"] == 0.0, "the counter of this tree stands still"
    assert not [name for name in found if "mouse" in name or name == "power core"]


def test_a_battery_that_tells_charge_is_worth_what_its_design_voltage_says(tmp_path: Path) -> None:
    files = {name: text for name, text in LAPTOP.items() if "energy" not in name and "power_now" not in name}
    files |= {
        f"{BATTERY}/charge_now": "3000000\n",
        f"{BATTERY}/charge_full": "4000000\n",
        f"{BATTERY}/voltage_min_design": "11100000\n",
        f"{BATTERY}/voltage_now": "12000000\n",
        f"{BATTERY}/current_now": "-500000\n",
    }
    found = figures(tmp_path, files)
    assert found["battery energy BAT0"] == pytest.approx(33.3)
    assert found["battery full BAT0"] == pytest.approx(44.4)
    assert found["battery power BAT0"] == pytest.approx(6.0)


def test_rapl_is_the_mean_power_since_the_last_look_and_its_counter_may_wrap(tmp_path: Path) -> None:
    clock = PushedClock()
    zone = make(tmp_path, {"energy_uj": "9000000\n", "max_energy_range_uj": "10000000\n"})
    rapl = Rapl(zone, clock.monotonic)
    assert math.isnan(rapl.watts())
    clock.push(2.0)
    make(tmp_path, {"energy_uj": "3000000\n"})
    assert rapl.watts() == pytest.approx(2.0)


def test_the_agents_own_use_is_of_this_process() -> None:
    host = Host(include=["agent"])
    host.clock = PushedClock()
    with host:
        sum(i * i for i in range(200_000))
        reading = host.read(2.0)
    assert reading is not None
    cpu, memory = reading.values[0].tolist()
    assert 0 < cpu < 200
    assert 10e6 < memory < 2e9
