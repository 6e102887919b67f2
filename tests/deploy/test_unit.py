"""The systemd unit and the udev rules, as systemd itself judges them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.real import need

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT = DEPLOY / "tocsin.service"
MOST_EXPOSURE = 2.0


def _settings() -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            settings.setdefault(key, []).append(value)
    return settings


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "tocsin"  # verify wants the program to be there
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / "tocsin.service"
    copy.write_text(UNIT.read_text().replace("/opt/tocsin/bin/tocsin", str(program)))
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    about_ours = [line for line in done.stderr.splitlines() if "tocsin" in line]
    assert (done.returncode, about_ours) == (0, [])


def test_the_sandbox_is_tight_although_sensors_are_allowed() -> None:
    done = subprocess.run(
        [need("systemd-analyze"), "security", "--offline=yes", f"--threshold={MOST_EXPOSURE * 10:.0f}", str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    score = re.search(r"exposure level for tocsin.service: ([0-9.]+)", done.stdout)
    assert score, done.stdout + done.stderr
    print(f"exposure {score[1]}")
    assert float(score[1]) <= MOST_EXPOSURE
    allowed = _settings()["DeviceAllow"]
    for device in ("char-i2c", "char-iio", "char-gpiochip", "char-ttyUSB", "char-alsa", "char-video4linux"):
        assert f"{device} rw" in allowed


def test_it_may_write_only_under_its_state_and_runtime_directories() -> None:
    settings = _settings()
    assert settings["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in settings
    assert settings["StateDirectory"] == settings["RuntimeDirectory"] == ["tocsin"]


def test_a_mistake_of_the_user_is_not_tried_again_and_a_fault_is() -> None:
    settings = _settings()
    assert settings["Type"] == ["notify"]
    assert settings["Restart"] == ["on-failure"]
    assert settings["RestartPreventExitStatus"] == ["2"]
    assert float(settings["WatchdogSec"][0]) >= 10


def test_onnxruntime_is_told_to_keep_quiet() -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in _settings()["Environment"][0]


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh", "mosquitto/certificates.sh"])
def test_the_scripts_are_posix_shell(script: str) -> None:
    done = subprocess.run(["sh", "-n", str(DEPLOY / script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--frobnicate"], ["--wheels"], ["one", "two"]])
def test_the_installer_refuses_what_it_does_not_understand(arguments: list[str]) -> None:
    done = subprocess.run(
        ["sh", str(DEPLOY / "install.sh"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.rstrip().splitlines()[-1].startswith("tocsin: ")


def test_udev_rules_have_only_matches_and_assignments() -> None:
    for line in (DEPLOY / "99-tocsin.rules").read_text().splitlines():
        if line and not line.startswith("#"):
            for part in line.split(", "):
                assert re.fullmatch(r'[A-Z]+(\{\w+\})?(==|!=|\+?=)"[^"]*"', part), part
                assert not re.match(r"(GROUP|MODE|OWNER|RUN)[=!]=", part), f"{part}: udev only sets that"
