"""Drivers in packages of their own: found by name, held to the contract, and no danger to the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sensors import OptionError, PluginError, check, create, describe, registry
from tests.sensors.packages import FLOW, install

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "drivers.md"


def test_the_template_is_installed_by_pip_found_by_name_and_keeps_the_contract(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name, text in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (source / name).write_text(text)
    driver = (source / "acme_flow.py").read_text()
    assert sum(bool(line.strip()) for line in driver.partition("class ")[2].splitlines()) < 30
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(site), str(source)], check=True)

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    suite = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "test_acme_flow.py",
    ]
    done = subprocess.run(suite, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^1[0-9] passed", done.stdout, re.MULTILINE), done.stdout

    (tmp_path / "tocsin.yaml").write_text(
        "sensors: {pump: {driver: acme_flow, host: 10.0.0.7}}\nmonitors: {pump: {sensor: pump, channels: [flw]}}\n"
    )
    asked = [sys.executable, "-m", "agent", "check", "-c", str(tmp_path / "tocsin.yaml")]
    done = subprocess.run(asked, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean flow?" in done.stderr


def test_a_plug_in_is_a_driver_like_any_other(site: Path) -> None:
    install(site, "flow_one", FLOW, "flow = flow_one:Flow")
    assert registry.names()[-1] == "flow"
    assert registry.known("flow")
    assert [option.doc for option in describe("flow")] == ["where."]
    assert [problem.path for problem in check("flow", {"prot": 1})] == ["prot", "port"]
    sensor = create("pump", "flow", {"port": 1})
    assert sensor.origin == "flow_one 1.2"
    assert create("board", "host", {}).origin == ""


def test_a_name_that_is_built_in_stays_with_what_is_built_in(site: Path) -> None:
    install(site, "flow_two", FLOW, "host = flow_two:Flow")
    assert registry.names().count("host") == 1
    assert registry.load("host").__module__ == "sensors.host"


def test_a_name_that_two_packages_offer_is_neithers(site: Path) -> None:
    install(site, "flow_three", FLOW, "flow = flow_three:Flow")
    install(site, "flow_four", FLOW, "flow = flow_four:Flow")
    (problem,) = check("flow", {"port": 1})
    assert problem.message == "driver flow comes with flow_four 1.2 and flow_three 1.2: uninstall all but one"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise RuntimeError('only on\\n Mondays')", "RuntimeError: only on Mondays"),
        ("Flow = 7", "is no class derived from sensors.base.Sensor"),
        ("class Flow: pass", "is no class derived from sensors.base.Sensor"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        (FLOW.replace("port: int", "port: Nowhere"), "NameError: name 'Nowhere' is not defined"),
        (FLOW.replace("sample", "smaple"), "cannot be made: TypeError: Can't instantiate abstract class"),
        (FLOW.replace("= port", "= 1 / port"), "cannot be made: ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_plug_in_is_an_error_about_that_plug_in_only(site: Path, code: str, words: str) -> None:
    package = f"broken_{abs(hash(code))}"
    install(site, package, code, f"flow = {package}:Flow")
    (problem,) = check("flow", {"port": 0})
    assert problem.path == "driver"
    assert f"driver flow of {package} 1.2" in problem.message
    assert words in problem.message
    with pytest.raises(OptionError, match="driver flow of broken_"):
        create("pump", "flow", {"port": 0})
    assert check("host", {}) == []


def test_what_a_broken_plug_in_offers_cannot_be_described(site: Path) -> None:
    install(site, "flow_five", "", "flow = flow_five:Flow")
    with pytest.raises(PluginError, match="AttributeError"):
        describe("flow")


def test_nobody_who_has_no_plug_in_pays_for_looking() -> None:
    code = "import sys, sensors; sensors.check('host', {}); print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
