"""The configuration to start from: what this machine has, annotated, and examples of what it could listen to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent.config import ConfigError
from agent.names import host_name
from agent.yaml_lines import Mistake, flow, printable

# Figures of the board that say together how it is. The others stand still for days or follow these.
TELLING = ("cpu", "load", "memory", "pressure cpu", "pressure io", "power total")
# Zones of the chip itself. A radio's or an accelerator's comes and goes with its power, and a row that lacks a
# figure is not judged.
STEADY_ZONES = ("cpu", "soc", "pkg", "tj")
PROBE_S = 0.5  # a broker on this host answers in a millisecond or two

# A line that begins with "#" and no single space is a setting: take away the "#".
_TEXT = """\
# Tocsin on {model}. Written by `tocsin init` for what it found here.
# Every setting is in docs/configuration.md. Next:
# tocsin check -c FILE     tells every mistake, without touching hardware
# tocsin run -c FILE       listens
# Lines that begin with "#" alone are examples: take away the "#".

device: {device}

broker:
  host: localhost                # {broker}
#  username: tocsin
#  password_file: broker-password   # beside this file; its first line is the password
#  tls: true

# Everything the agent writes lies here.
{state}

sensors:
  board:                         # this computer itself
    driver: host
    rate_hz: 1
    silent_after: 30 s
# A recording, heard as if it happened now: a CSV with a column of times and one for each channel.
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
  board:
    sensor: board
    channels: {channels}
    learn: 30 min                # of normal operation, from the first start
    false_alarms: 1 per week     # what it has learned says how surely that can be kept
    alert: {{on_delay: 30 s, flood: 6 per hour}}
#  pump:
#    sensor: pump
#    false_alarms: 1 per month   # by default 1 per week, as soon as it has seen enough to keep that
#  motor:
#    sensor: motor
#    features: vibration
#    learn: 2 min
#    bearing: {{balls: 9, ball_diameter: 7.94 mm, pitch_diameter: 39.04 mm, speed: 1482 rpm}}
"""


def command(out: str | None, *, force: bool) -> int:
    """`tocsin init`: the configuration in the file `out`, or printed. Raises ConfigError where it cannot be."""
    text = starter_yaml(probe=True, state_dir=None if os.geteuid() == 0 else _own_state_dir())
    if out is None:
        sys.stdout.write(text)
        return 0
    try:
        with Path(out).open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError([Mistake(out, 0, "", "is there already: --force replaces it")]) from None
    except OSError as error:
        raise ConfigError([Mistake(out, 0, "", f"cannot be written: {error.strerror}")]) from None
    print(f"wrote {out}. Next: tocsin check -c {out}, then tocsin run -c {out}")
    return 0


def starter_yaml(*, root: str = "/", probe: bool = False, state_dir: Path | None = None) -> str:
    """An annotated configuration for the machine whose files are under `root`.

    Only reads files; with `probe` it also asks whether something listens on port 1883 of this host.
    `state_dir` is where the agent may write, None for the installed agent's own folder.
    """
    if not probe:
        broker = "name or address of your broker"
    elif _broker_here():
        broker = "a broker answers here"
    else:
        broker = "nothing answers here: install mosquitto, or name your broker"
    return _TEXT.format(
        model=_model(Path(root)),
        device=host_name(),
        broker=broker,
        state="#state_dir: /var/lib/tocsin" if state_dir is None else f"state_dir: {flow(str(state_dir))}",
        others=_without_driver(Path(root)),
        channels=flow(_telling(root)),
    )


def _model(root: Path) -> str:
    """What kind of board this is, as its device tree says, or its firmware."""
    for name in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
        if text := printable(_line(root / name)):
            return text
    return host_name()


def _telling(root: str) -> list[str]:
    """The channels that this board shows now and that say together how it is."""
    from sensors import registry
    from sensors.base import SensorError

    try:
        with registry.create("board", "host", {"root": root}) as board:
            names = [channel.name for channel in board.channels]
    except SensorError:
        return ["cpu"]
    zones = [name for name in names if name.startswith("temperature ")]
    steady = [name for name in zones if any(word in name.lower() for word in STEADY_ZONES)] or zones[:1]
    return [name for name in names if name in TELLING or name in steady] or names[:1]


def _without_driver(root: Path) -> str:
    """Comments on the sensors that the kernel shows and no driver of ours reads yet."""
    found = []
    for device in sorted(root.glob("sys/bus/iio/devices/iio:device*")):
        inputs = sorted({path.name.removesuffix("_raw") for path in device.glob("in_*_raw")})
        found.append(f"# {device.name}: {_line(device / 'name')} ({', '.join(inputs) or 'no inputs'})")
    if not found:
        return ""
    return "\n".join(["# Also here, but there is no driver for them yet:", *map(printable, found), ""])


def _broker_here() -> bool:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", 1883), PROBE_S):
            return True
    except OSError:
        return False


def _own_state_dir() -> Path:
    """Where a user without rights keeps a program's state; XDG Base Directory Specification 0.8."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".local" / "state") / "tocsin"


def _line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").replace("\0", "").strip()
    except OSError:
        return ""
