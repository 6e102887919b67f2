"""`tocsin sensors`: what drivers there are, what they lack, and what they find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent import drivers, extras
from agent.cli import main
from sensors import DRIVERS, check, registry
from tests.agent.running import tocsin
from tests.sensors.packages import FINDS, install
from tests.sensors.world import BOARD, make_board


def test_the_command_lists_drivers_and_what_is_here() -> None:
    done = tocsin("sensors")
    assert done.returncode == 0, done.stderr
    for driver in DRIVERS:
        assert f"  {driver} " in done.stdout
    assert "board: this computer itself\n    {driver: host}" in done.stdout


def test_all_of_it_comes_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "tocsin.sensors/1"
    assert {driver["name"] for driver in told["drivers"]} >= set(DRIVERS)
    (recording,) = (driver for driver in told["drivers"] if driver["name"] == "recording")
    assert recording["options"][0]["name"] == "file"
    assert recording["options"][0]["required"]
    for one in told["found"]:
        assert check(one["driver"], one["options"]) == []


def test_the_options_of_a_driver_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "synthetic"]) == 0
    said = capsys.readouterr().out
    assert "rate_hz: a frequency above 0 (default none)" in said
    assert "faults in turn:" in said
    assert max(map(len, said.splitlines())) <= 110


def test_a_driver_that_does_not_exist_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sensors", "hots"]) == 2
    assert capsys.readouterr().err == '"hots" is not a driver: did you mean host?\n'


def test_a_board_elsewhere_is_looked_at_and_not_this_one(tmp_path: Path) -> None:
    assert registry.find(tmp_path) == ([], [])
    found, _ = registry.find(make_board(tmp_path, BOARD))
    assert [(one.driver, one.options) for one in found] == [("host", {"root": str(tmp_path)})]


def test_plug_ins_are_told_and_look_too(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "acme_ten", FINDS, "flow = acme_ten:Flow")
    install(site, "acme_broken", "import nothing_of_this_name", "broken = acme_broken:Flow")
    assert main(["sensors"]) == 0
    said = capsys.readouterr()
    assert "  flow       What flows. From acme_ten 1.2." in said.out
    assert (
        "flow: a meter\n    {driver: flow, port: 1}\n    first: sudo usermod -aG dialout tocsin" in said.out
    )
    assert "flow-2: a meter\n    {driver: flow, port: 2}" in said.out
    assert "broken     driver broken of acme_broken 1.2 cannot be loaded" in said.out
    assert "No module named 'nothing_of_this_name'" in said.err


def test_a_plug_in_that_fails_to_look_does_not_keep_the_others_from_it(site: Path) -> None:
    install(site, "acme_eleven", FINDS.replace("(1, 2)", "7"), "flow = acme_eleven:Flow")
    found, problems = registry.find()
    assert "host" in {one.driver for one in found}
    assert problems == ["driver flow of acme_eleven 1.2 cannot look: TypeError: 'int' object is not iterable"]


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about = site / "tocsin-9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tocsin\nVersion: 9\nRequires-Dist: numpy>=1\n"
        'Provides-Extra: host\nRequires-Dist: no-such-library<4,>=3.8; extra == "host"\n'
        "Requires-Dist: msgspec; extra == 'host'\n"
    )
    assert extras.packages("host") == ["no-such-library", "msgspec"]
    assert extras.lacking("host") == ["no-such-library"]
    assert extras.lacking("recording") == []
    assert drivers.describe("host").install.endswith("pip install 'tocsin[host]'")
    monkeypatch.setattr("sys.prefix", "/opt/no such")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert main(["sensors", "host"]) == 0
    assert "not installed: sudo pip install 'tocsin[host]'" in capsys.readouterr().out
