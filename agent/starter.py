"""The configuration to start from: what this machine has, annotated, and examples of what it could listen to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.broker import BrokerOptions
from agent.config import DEFAULT_STATE, ConfigError
from agent.hints import HERE, broker_command, hints
from agent.names import Host, host_name
from agent.scan import Look, look_at
from agent.visit import visit
from agent.yaml_lines import Mistake, flow, printable, quoted
from sensors import registry
from sensors.base import Found

# Figures of the board that say together how it is. The others stand still for days or follow these.
TELLING = ("cpu", "load", "memory", "pressure cpu", "pressure io", "power total")
# Zones of the chip itself. A radio's or an accelerator's comes and goes with its power, and a row that lacks a
# figure is not judged.
STEADY_ZONES = ("cpu", "soc", "pkg", "tj")
# Rates at which half an hour is enough to learn from and not too much (models.smoothing, agent.assemble.MOST_LEARNED).
LEARN_FROM_HZ, LEARN_TO_HZ = 0.5, 25.0

# A line that begins with "#" and no single space is a setting: take away the "#".
_TEXT = """\
# Tocsin on {model}. Written by `tocsin init` for what it found here.
# Every setting is in docs/configuration.md. Next:
# tocsin check -c FILE     tells every mistake, without touching hardware
# tocsin run -c FILE       listens
# Lines that begin with "#" alone are examples: take away the "#".

device: {device}

broker:
  # {answer}
  host: {host}
{port}#  username: tocsin
#  password_file: broker-password   # beside this file; its first line is the password
#  tls: true

# Everything the agent writes lies here{beside}.
{state}

sensors:
{sensors}# A recording, heard as if it happened now: a CSV with a column of times and one for each channel.
#  pump:
#    driver: recording
#    file: pump.csv              # beside this file
#    speed: 60                   # times faster than it was; 0: as fast as it goes
# A machine that does not exist, with a bearing that begins to fail, to see what an alert looks like.
#  motor:
#    driver: synthetic
#    faults: [{{kind: bearing_outer, at_s: 5 min, ramp_s: 1 min}}]
{others}
monitors:
{monitors}#  pump:
#    sensor: pump
#    false_alarms: 1 per month   # by default 1 per week, as soon as it has seen enough to keep that
#  motor:
#    sensor: motor
#    features: vibration
#    learn: 2 min
#    bearing: {{balls: 9, ball_diameter: 7.94 mm, pitch_diameter: 39.04 mm, speed: 1482 rpm}}
"""


def command(out: str | None, *, force: bool, broker: str = "localhost", root: Path = Path("/")) -> int:
    """`tocsin init`: the configuration in the file `out`, or printed. Raises ConfigError where it cannot be."""
    if out is not None and not force and Path(out).exists():
        raise ConfigError([_there_already(out)])
    host, port = _address(broker)
    print("looking at what this machine has; nothing is written to it", file=sys.stderr)
    found, troubles = registry.find(root)
    looks = []
    for look in look_at(found):
        looks.append(look)
        print(printable(f"  {look.found.name} ({look.found.driver}): {look.sentence()}"), file=sys.stderr)
    for trouble in troubles:
        print(printable(f"  {trouble}"), file=sys.stderr)
    for hint in hints(root):
        print(printable(f"  also here: {hint}"), file=sys.stderr)
    answer = _ask(host, port)
    print(printable(f"  broker {host}:{port}: {answer}"), file=sys.stderr)
    text = starter_yaml(
        looks,
        root=root,
        host=host,
        port=port,
        answer=answer,
        state_dir=None if _writable(DEFAULT_STATE) else Path("state"),
    )
    if out is None:
        sys.stdout.write(text)
        return 0
    try:
        with Path(out).open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError([_there_already(out)]) from None
    except OSError as error:
        raise ConfigError([Mistake(out, 0, "", f"cannot be written: {error.strerror}")]) from None
    print(f"wrote {out}. Next: tocsin check -c {out}, then tocsin run -c {out}")
    return 0


def starter_yaml(
    looks: Sequence[Look],
    *,
    root: Path = Path("/"),
    host: str = "localhost",
    port: int = 1883,
    answer: str = "name or address of your broker",
    state_dir: Path | None = None,
) -> str:
    """An annotated configuration of what was looked at on the machine whose files are under `root`.

    `state_dir` is where the agent may write, None for the installed agent's own folder.
    """
    good = [look for look in looks if look.shown]
    if not good:  # a configuration without any sensor would be refused
        good = [Look(Found("board", "this computer itself", {}, driver="host"))]
    return _TEXT.format(
        model=_model(root),
        device=host_name(),
        answer=printable(answer),
        host=flow(host),
        port="" if port == 1883 else f"  port: {port}\n",
        state=f"#state_dir: {DEFAULT_STATE}" if state_dir is None else f"state_dir: {flow(str(state_dir))}",
        beside="" if state_dir is None else f", beside this file; an installed agent has {DEFAULT_STATE}",
        sensors="".join(map(_sensor, good)) + "".join(_example(look) for look in looks if not look.shown),
        others=_also_here(root),
        monitors="".join(map(_monitor, good)),
    )


def _there_already(out: str) -> Mistake:
    return Mistake(out, 0, "", "is there already: --force replaces it")


def _address(broker: str) -> tuple[str, int]:
    host, colon, port = broker.rpartition(":")
    if colon and port.isdecimal() and 0 < int(port) < 65536 and host:
        return host, int(port)
    try:
        return Host().parse(broker.removesuffix(":")), 1883
    except ValueError as error:
        raise ConfigError([Mistake("--broker", 0, "", f"{quoted(broker)} {error}")]) from None


def _ask(host: str, port: int) -> str:
    """What the broker says to a client that it does not know yet."""
    answer = visit(BrokerOptions(host, port), f"tocsin-{host_name()}")
    if answer.protocol:
        return f"a broker answers here, MQTT {answer.protocol}"
    if "refuses" in answer.why:
        return f"{answer.why}; give a username and a password_file"
    if host not in HERE:
        return f"{answer.why}; name yours, or start it there"
    verb = "start it" if "systemctl" in (mend := broker_command()) else "install one"
    return f"{answer.why}; {verb} ({mend}), or name yours"


def _sensor(look: Look) -> str:
    """A sensor that was read, as it stands in the file."""
    lines = [f"  {flow(look.found.name)}:", f"    driver: {look.found.driver}"]
    lines[0] = f"{lines[0]:<32} # {printable(look.found.what)}"
    lines += [f"    {flow(name)}: {flow(value)}" for name, value in look.found.options.items()]
    if look.shown:
        lines.append(f"    # at {look.rate_hz:g} Hz; now {printable(look.sentence())}")
    return "\n".join([*lines, ""])


def _example(look: Look) -> str:
    """One that could not be read, as an example to come back to."""
    note = f"; first: {look.found.note}" if look.found.note else ""
    about = f"# {look.found.name}, {look.found.what}: {look.sentence()}{note}"
    lines = _sensor(replace(look, error="", values=(), channels=())).splitlines()
    return "\n".join([printable(about), *(f"#{line}" for line in lines), ""])


def _monitor(look: Look) -> str:
    name = flow(look.found.name)
    lines = [f"  {name}:", f"    sensor: {name}"]
    channels = _telling(look)
    if look.found.driver == "host" or len(channels) < len(look.channels):
        lines.append(f"    channels: {flow(channels)}")
    if look.kind == "telemetry" and LEARN_FROM_HZ <= (look.rate_hz or 1.0) <= LEARN_TO_HZ:
        lines.append("    learn: 30 min                # of normal operation, from the first start")
    lines.append("    false_alarms: 1 per week     # what it has learned says how surely that can be kept")
    if look.kind == "telemetry":
        lines.append("    alert: {on_delay: 30 s, flood: 6 per hour}")
    return "\n".join([*lines, ""])


def _model(root: Path) -> str:
    """What kind of board this is, as its device tree says, or its firmware."""
    for name in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
        if text := printable(_line(root / name)):
            return text
    return host_name()


def _telling(look: Look) -> list[str]:
    """The channels that have a value; of a board those that say together how it is."""
    names = list(look.shown)
    if look.found.driver != "host":
        return names
    zones = [name for name in names if name.startswith("temperature ")]
    steady = [name for name in zones if any(word in name.lower() for word in STEADY_ZONES)] or zones[:1]
    return [name for name in names if name in TELLING or name in steady] or names[:1] or ["cpu"]


def _also_here(root: Path) -> str:
    """Comments on what could be listened to, once its driver is told more."""
    found = hints(root)
    if not found:
        return ""
    head = "# Also here; what their drivers must be told besides, docs/drivers.md says:"
    return "\n".join([head, *(f"# {printable(line)}" for line in found), ""])


def _writable(folder: Path) -> bool:
    """Whether whoever runs this may write there; where it is missing, make it."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return os.access(there, os.W_OK | os.X_OK)


def _line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").replace("\0", "").strip()
    except OSError:
        return ""
