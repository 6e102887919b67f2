"""docs/configuration.md, written from the structs and the drivers' signatures.

`python -m agent.reference` writes it; a test keeps it in step.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import msgspec

from agent.config import Config
from agent.forms import Setting, settings

if TYPE_CHECKING:
    from sensors.registry import OptionDoc

TARGET = Path(__file__).parent.parent / "docs" / "configuration.md"

EXAMPLE = """\
device: pump-house                  # in every topic: tocsin/pump-house/...
broker:
  host: broker.lan
  username: tocsin
  password_file: broker-password    # beside this file; its first line is the password
  tls: true
outbox: {max_size: 16 MB}
sensors:
  board: {driver: host}             # this computer's own temperature, load, memory
  pump:                             # a recording, played 60 times faster than it was made
    driver: recording
    file: pump.csv
    speed: 60
  motor:                            # a machine that does not exist, to try things out
    driver: synthetic
monitors:
  board:
    sensor: board
  pump:
    sensor: pump
    window: 20 rows
    learn: 10 min
    false_alarms: 1 per month
    alert: {on_delay: 10 s, off_delay: 1 min, flood: 6 per hour}
  motor:
    sensor: motor
    features: vibration
    window: 1 s
    hop: 500 ms
    bearing: {balls: 9, ball_diameter: 7.94 mm, pitch_diameter: 39.04 mm, speed: 1482 rpm}
"""

_HEAD = """\
# Configuration

<!-- Written by `python -m agent.reference` from the structs in agent/config.py and its neighbours: change it there. -->

The agent reads `/etc/tocsin/tocsin.yaml` (`--config` names another) and then, in the order of their names,
the `*.yaml` files in the folder `tocsin.d` beside it. Later files add sensors and monitors and override
single settings; one sensor or monitor defined in two files is a mistake. `tocsin init` writes a file to start
from, and `tocsin check` tells every mistake at once, without touching hardware:

```
tocsin.yaml:14: monitors.pump.window: "20 parsec" is not a duration: write e.g. "20 s", "5 min" or "20 rows"
tocsin.yaml:17: monitors.fan.sensor: "fna" is not a sensor: did you mean fan?
```

Quantities carry their unit: `20 s`, `16 MB`, `7.94 mm`; only zero needs none. A relative path starts at the
folder of the file that it is written in. An empty value means the default. Passwords are never written here.

```yaml
"""

_NAMES = """\
Names of sensors, monitors and the device stand in topics and in the names of files: letters, digits, `-`,
`_`, `.` and what else can be shown, but no spaces, none of `+ # / \\ $ * ? " ' < > | :`, no `.` or `-` at the
beginning, and at most 64 bytes. `availability`, `state`, `event`, `request` and `response` are taken.
"""


def configuration_markdown() -> str:
    """The whole of docs/configuration.md."""
    from sensors import registry

    parts = [_HEAD + EXAMPLE + "```\n", _NAMES]
    for path, shape in _sections(Config, ""):
        title = f"## `{path}`" if path else "## Top level"
        parts.append(f"{title}\n\n{_says(shape)}\n\n{_table(shape)}")
        if path == "sensors.<name>":
            parts += [_driver(name, registry.describe(name)) for name in registry.DRIVERS]
    return "\n".join(parts)


def _sections(shape: type[msgspec.Struct], path: str) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    yield path, shape
    for setting in settings(shape):
        inner, below = _inner(setting)
        if inner is not None:
            yield from _sections(inner, ".".join(part for part in (path, setting.key + below) if part))


def _inner(setting: Setting) -> tuple[type[msgspec.Struct] | None, str]:
    """The struct below a setting, and what stands between the two in a path."""
    if setting.about.role in ("name", "rest"):
        return None, ""
    if get_origin(setting.base) is dict:
        return get_args(setting.base)[1], ".<name>"
    if setting.form is None and isinstance(setting.base, type) and issubclass(setting.base, msgspec.Struct):
        return setting.base, ""
    return None, ""


def _says(shape: type[msgspec.Struct]) -> str:
    return " ".join((shape.__doc__ or "").split())


def _table(shape: type[msgspec.Struct]) -> str:
    rows = ["| key | form | default | meaning |", "|---|---|---|---|"]
    for setting in settings(shape):
        if setting.about.role in ("", "switch"):
            rows.append(_row(f"`{setting.key}`", _form(setting), _default(setting), setting.about.text))
    return "\n".join(rows) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _form(setting: Setting) -> str:
    words: dict[Any, str] = {
        int: "whole number",
        float: "number",
        str: "text",
        bool: "`true`, `false`",
        Path: "path",
    }
    if setting.form is not None:
        text = setting.form.form.replace('"', "`")
    elif get_origin(setting.base) is Literal:
        text = ", ".join(f"`{choice}`" for choice in get_args(setting.base))
    elif get_origin(setting.base) is dict:
        text = "mapping, by name"
    elif get_origin(setting.base) is tuple:
        text = "list of names"
    else:
        text = words.get(setting.base, _switch(setting) if setting.about.role == "switch" else "mapping")
    return text + _limits(setting)


def _switch(setting: Setting) -> str:
    return "`none` or mapping" if hasattr(setting.base, "off") else "`true` or mapping"


def _limits(setting: Setting) -> str:
    show = setting.form.show if setting.form is not None else lambda limit: f"{limit:g}"
    least, most = setting.about.least, setting.about.most
    said = [f"at least {show(least)}"] if least is not None else []
    said += [f"at most {show(most)}"] if most is not None else []
    return f" ({', '.join(said)})" if said else ""


def _default(setting: Setting) -> str:
    if setting.about.default:
        return setting.about.default
    if setting.required:
        return "required"
    if _inner(setting)[0] is not None:
        return "see below"
    return f"`{setting.form.show(setting.default) if setting.form is not None else setting.default}`"


def _driver(name: str, options: list[OptionDoc]) -> str:
    from sensors import registry

    says = (registry.load(name).__doc__ or "").strip().partition("\n\n")[0]
    parts = [f"### Options of `driver: {name}`\n", " ".join(says.split()) + "\n"]
    rows = ["| option | form | default | meaning |", "|---|---|---|---|"]
    for option in options:
        rows.append(_option(option.name, option))
        rows += [_option(f"{option.name}.{field.name}", field) for field in option.fields]
    return "\n".join(parts) + "\n" + "\n".join(rows) + "\n"


def _option(path: str, option: OptionDoc) -> str:
    if option.required:
        default = "required"
    elif isinstance(option.default, bool):
        default = f"`{str(option.default).lower()}`"
    elif option.default is None or option.default == ():
        default = "none"
    elif isinstance(option.default, (int, float, str)):
        default = f"`{option.default}`"
    else:
        default = "as in the fields below"
    return _row(f"`{path}`", option.type, default, option.doc)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(configuration_markdown(), encoding="utf-8")
    print(f"wrote {TARGET}")
