"""`tocsin doctor`: what could keep the agent from its work on this very machine, each with what mends it."""

from __future__ import annotations

import platform
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from shlex import quote

import msgspec

from agent import extras
from agent.assemble import make_sensor
from agent.config import DEFAULT_PATH, Config, ConfigError, load
from agent.doctor_board import buses, clock, disk, power
from agent.doctor_broker import broker
from agent.doctor_peers import peers
from agent.doctor_rights import UNIT, devices, opened, runs_as, service_user, state_folder
from agent.finding import Finding, ill, unknown, well
from agent.version import tocsin_version
from agent.yaml_lines import printable

TRIAL_S = 120.0  # for all graphs once: 0.3 s here, a few seconds on a small board that does other things too
OLDEST, NEWEST = (3, 10), (3, 13)
WIDTH, LABEL = 110, 14
MARKS = {True: "ok", False: "WRONG", None: "?"}
HARDWARE = {
    signal.SIGILL: "an instruction that this processor does not have",
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGBUS: "a bus error",
    signal.SIGKILL: "the kernel, which perhaps had no memory left",
}


class Report(msgspec.Struct, kw_only=True, tag_field="schema", tag="tocsin.doctor/1"):
    """All that was looked at."""

    well: bool
    findings: list[Finding]


def command(file: str | None, *, as_json: bool, root: Path = Path("/")) -> int:
    """Look at everything; 1 where something is wrong."""
    findings = []
    for finding in look(file, root):
        findings.append(finding)
        if not as_json:
            print("\n".join(printable(line) for line in lines(finding)), flush=True)
    wrong = [finding for finding in findings if finding.well is False]
    if as_json:
        report = Report(well=not wrong, findings=findings)
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        print(f"{len(wrong)} of {len(findings)} wrong" if wrong else f"all well ({len(findings)} looked at)")
    return 1 if wrong else 0


def look(file: str | None, root: Path = Path("/")) -> Iterator[Finding]:
    """What is found, one by one: the quick ones first."""
    yield python()
    yield libraries()
    path = file or str(DEFAULT_PATH)
    config, found = configuration(path, asked=file is not None)
    yield found
    yield from service_user(root)
    if config is not None:
        yield from of_drivers(config)
        yield from devices(config, runs_as(root), root)
        yield from peers(config)
        yield from buses(needed_buses(config, root), root)
    yield clock()
    yield power(root)
    if config is not None:
        yield from disk(config.state_dir, config.outbox.max_size_bytes + config.evidence.max_size_bytes, root)
        yield state_folder(config, runs_as(root))
    yield from service(root)
    yield processor()
    if config is not None:
        yield from broker(config, path)


def lines(finding: Finding) -> Iterator[str]:
    """A finding for a person; the command below it can be copied as it is."""
    start = f"{MARKS[finding.well]:<6} {finding.about:<{LABEL}} "
    yield from textwrap.wrap(
        start + finding.says, WIDTH, subsequent_indent=" " * len(start), break_long_words=False
    )
    if finding.mend:
        yield " " * len(start) + finding.mend


def python() -> Finding:
    """One that this program is tested on."""
    bits = 8 * struct.calcsize("P")
    says = f"Python {platform.python_version()}, {bits} bit, on {platform.machine()}"
    if bits != 64:
        return ill("python", f"{says}: onnxruntime has no 32-bit wheels", "install a 64-bit system")
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return unknown("python", f"{says}: tested with 3.10 to 3.13")
    return well("python", says)


def libraries() -> Finding:
    """What the agent itself needs is installed."""
    try:
        asked = requires("tocsin") or []
    except PackageNotFoundError:
        return unknown("libraries", "tocsin is not installed here: it runs from a checkout")
    missing = []
    for name in extras.names(line for line in asked if "extra" not in line):
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return ill("libraries", f"{', '.join(missing)} not installed", extras.pip(*missing))
    return well("libraries", f"tocsin {tocsin_version()} has what it needs")


def configuration(file: str, *, asked: bool) -> tuple[Config | None, Finding]:
    """The configuration, where it can be read."""
    if not asked and not Path(file).exists():
        mend = f"sudo tocsin init -o {quote(file)}"
        return None, unknown("configuration", f"there is none at {file}: the rest is looked at without", mend)
    try:
        config = load(file, monitors=False)
    except ConfigError as error:
        more = f" and {len(error.mistakes) - 1} more" if len(error.mistakes) > 1 else ""
        return None, ill("configuration", f"{error.mistakes[0]}{more}", f"tocsin check -c {file}")
    return config, well(
        "configuration", f"{file}: {len(config.sensors)} sensors, {len(config.monitors)} monitors"
    )


def of_drivers(config: Config) -> Iterator[Finding]:
    """What the configured drivers need beside the agent is installed."""
    wanted: dict[str, set[str]] = {}
    for sensor in config.sensors.values():
        wanted.setdefault(sensor.driver, set()).add(make_sensor(sensor).extra or sensor.driver)
    for driver, extras_of_it in wanted.items():
        lacks = [(extra, missing) for extra in sorted(extras_of_it) if (missing := extras.lacking(extra))]
        for extra, missing in lacks:
            yield ill(f"driver {driver}", f"{', '.join(missing)} not installed", extras.command(extra))
        if not lacks:
            yield well(f"driver {driver}", "has what it needs")


def needed_buses(config: Config, root: Path) -> set[str]:
    """Buses that the configured sensors speak on, as far as their options and drivers tell."""
    needed = set()
    for sensor in config.sensors.values():
        told = " ".join([str(sensor.options), *map(str, opened(sensor.driver, sensor.options, root))])
        for bus, sign in (("i2c", "i2c-"), ("spi", "spidev"), ("1-wire", "/w1/"), ("serial", "serial0")):
            if sign in told:
                needed.add(bus)
    return needed


def service(root: Path) -> Iterator[Finding]:
    """The unit, where it is installed and systemd runs."""
    if not (root / UNIT).exists() or not (root / "run/systemd/system").is_dir():
        return
    asked = ["systemctl", "is-active", "tocsin.service"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield unknown("service", f"systemctl does not answer: {error}")
        return
    state = done.stdout.strip() or done.stderr.strip()
    if state == "active":
        yield well("service", "tocsin.service is active")
    elif state == "failed":
        yield ill("service", "tocsin.service has failed", "journalctl -u tocsin -n 30 --no-pager")
    else:
        yield ill("service", f"tocsin.service is {state}", "sudo systemctl enable --now tocsin")


def processor(
    command: tuple[str, ...] = (sys.executable, "-m", "models.trial"), timeout_s: float = TRIAL_S
) -> Finding:
    """Every shipped graph runs on this processor: in a process of its own, which an illegal instruction may end."""
    about, another = "processor", extras.pip(f"onnxruntime!={_installed('onnxruntime')}")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=Path(__file__).parents[1],
        )
    except subprocess.TimeoutExpired:
        return ill(
            about, f"onnxruntime has not run the graphs within {timeout_s:g} s", extras.pip("onnxruntime")
        )
    said = done.stdout.splitlines()
    if done.returncode == 0 and said:
        return well(about, said[-1])
    at = f" at {said[-1]}" if said else ""
    if done.returncode < 0:
        number = signal.Signals(-done.returncode)
        why = HARDWARE.get(number, number.name)
        return ill(about, f"onnxruntime{at} was ended by {why} ({number.name})", another)
    why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return ill(about, f"onnxruntime{at} does not run here: {why}", another)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "0"
