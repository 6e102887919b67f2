"""The configuration may lie in several files, and a mistake names the one it is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import Config, ConfigError, load

MAIN = """\
device: shed
broker: {host: one, keepalive: 10 s}
sensors: {pump: {driver: recording, file: pump.csv}}
monitors: {pump: {sensor: pump}}
"""


def write(folder: Path, **files: str) -> Path:
    """tocsin.yaml from `main`, the rest in tocsin.d."""
    (folder / "tocsin.d").mkdir()
    for name, text in files.items():
        target = "tocsin.yaml" if name == "main" else f"tocsin.d/{name}.yaml"
        (folder / target).write_text(text)
    return folder / "tocsin.yaml"


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).splitlines()


def test_later_files_add_sensors_and_override_settings(tmp_path: Path) -> None:
    config: Config = load(
        write(
            tmp_path,
            main=MAIN,
            b="broker: {host: three}\nlog_level: debug\n",
            a="broker: {host: two}\nsensors: {fan: {driver: recording, file: fan.csv}}\n",
            c="monitors: {fan: {sensor: fan}}\n",
        )
    )
    assert (config.broker.host, config.broker.keepalive_s, config.log_level) == ("three", 10.0, "debug")
    assert list(config.sensors) == ["pump", "fan"]
    assert list(config.monitors) == ["pump", "fan"]
    assert config.sensors["pump"].options["file"] == str(tmp_path / "pump.csv")
    assert config.sensors["fan"].options["file"] == str(tmp_path / "tocsin.d" / "fan.csv")


def test_one_name_in_two_files_is_a_mistake_that_names_both(tmp_path: Path) -> None:
    path = write(tmp_path, main=MAIN, a="sensors:\n  pump: {driver: recording, file: b.csv}\n")
    assert mistakes(path) == [
        "tocsin.d/a.yaml:2: sensors.pump: is defined twice: here and in tocsin.yaml:3",
    ]


def test_of_one_name_in_two_files_the_mistakes_of_both_are_told(tmp_path: Path) -> None:
    a = "sensors:\n  pump: {driver: recordin}\n"
    b = "sensors:\n  pump: {driver: recording, file: b.csv, chunk: many}\n"
    found = mistakes(write(tmp_path, main=MAIN, a=a, b=b))
    assert [line.split(": ")[:2] for line in found if "defined twice" not in line] == [
        ["tocsin.d/a.yaml:2", "sensors.pump.driver"],
        ["tocsin.d/b.yaml:2", "sensors.pump.chunk"],
    ]
    assert sum("defined twice" in line for line in found) == 2


def test_mistakes_come_in_the_order_of_the_files_and_lines(tmp_path: Path) -> None:
    path = write(tmp_path, main=MAIN + "x: 1\n", a="\ny: 1\n", b="log_level: loud\n", c="a: [")
    assert [line.split(" ")[0] for line in mistakes(path)] == [
        "tocsin.yaml:5:",
        "tocsin.d/a.yaml:2:",
        "tocsin.d/b.yaml:1:",
        "tocsin.d/c.yaml:1:",
    ]


def test_a_file_beside_the_main_one_may_be_empty_but_must_be_a_mapping(tmp_path: Path) -> None:
    path = write(tmp_path, main=MAIN, a="# nothing yet\n")
    assert load(path).device == "shed"
    (tmp_path / "tocsin.d" / "b.yaml").write_text("- a\n")
    assert mistakes(path)[0].startswith("tocsin.d/b.yaml:1: a list is not a mapping")


def test_what_is_no_yaml_file_beside_it_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path, main=MAIN)
    (tmp_path / "tocsin.d" / "a.yaml~").write_text("[")
    (tmp_path / "tocsin.d" / ".a.yaml").write_text("[")
    (tmp_path / "tocsin.d" / "README").write_text("[")
    assert load(path).device == "shed"


def test_a_missing_file_is_named_with_what_makes_one(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path / "tocsin.yaml")
    assert line == f'tocsin.yaml: no such file: {tmp_path}/tocsin.yaml (make one with "tocsin init")'


def test_a_missing_file_is_named_with_the_one_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, main=MAIN)
    monkeypatch.chdir(tmp_path)
    (line,) = mistakes(tmp_path / "etc" / "tocsin.yaml")
    assert line.endswith("/etc/tocsin.yaml (there is a tocsin.yaml here: -c tocsin.yaml)")


def test_a_folder_or_a_huge_file_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    assert mistakes(tmp_path / "a.yaml") == ["a.yaml: cannot be read: Is a directory"]
    (tmp_path / "b.yaml").write_text("#" * 1_000_001)
    assert mistakes(tmp_path / "b.yaml") == ["b.yaml: is larger than 1000000 bytes"]
