"""Driver names, and their options checked against the constructor's signature."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import itertools
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensors.base import Found, OptionError, Sensor, sensor_name
from sensors.plugins import PluginError, at_fault, guarded, plugins
from sensors.values import Problem, convert, named_fields, show_type, unknown_names

DRIVERS: dict[str, str] = {
    "adxl345": "sensors.adxl345:Adxl345",
    "audio": "sensors.audio:Audio",
    "camera": "sensors.camera:Camera",
    "can": "sensors.can:Can",
    "exec": "sensors.exec_lines:ExecLines",
    "host": "sensors.host:Host",
    "http": "sensors.http:Http",
    "iio": "sensors.iio:Iio",
    "join": "sensors.join:Join",
    "modbus": "sensors.modbus:Modbus",
    "mqtt": "sensors.mqtt:Mqtt",
    "opcua": "sensors.opcua:Opcua",
    "recording": "sensors.recording:Recording",
    "serial": "sensors.serial_lines:SerialLines",
    "synthetic": "sensors.synthetic:Synthetic",
    "sysfs": "sensors.sysfs:Sysfs",
}


@dataclass(frozen=True, slots=True)
class OptionDoc:
    """One option as a person needs it. `default` is None both for "required" and for a default of None."""

    name: str
    type: str
    default: object
    required: bool
    doc: str
    fields: tuple[OptionDoc, ...] = ()  # of the structure, or of each one in the list


def names() -> list[str]:
    """Every driver there is: built in, then those of plug-ins. No plug-in takes the place of one built in."""
    return [*DRIVERS, *(name for name in sorted(plugins()) if name not in DRIVERS)]


def known(driver: str) -> bool:
    """Whether there is one of that name; plug-ins are looked for only where it is not built in."""
    return driver in DRIVERS or driver in plugins()


def load(driver: str) -> type[Sensor]:
    """The class of a driver, imported now. Raises KeyError for an unknown name, PluginError for a broken plug-in."""
    if driver not in DRIVERS:
        offers = plugins()[driver]
        if len(offers) > 1:
            packages = " and ".join(offer.package for offer in offers)
            raise PluginError(f"driver {driver} comes with {packages}: uninstall all but one")
        return offers[0].load()
    module, _, name = DRIVERS[driver].partition(":")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, type), DRIVERS[driver]
    assert issubclass(found, Sensor), DRIVERS[driver]
    return found


def options(driver: str) -> dict[str, inspect.Parameter]:
    """The driver's options: its constructor's parameters, with annotations resolved."""
    return _parameters(load(driver))


def check(driver: str, options: Mapping[str, object]) -> list[Problem]:
    """Every unknown, missing or wrong option at once; touches no hardware."""
    return _prepare(driver, options)[1]


def create(name: str, driver: str, options: Mapping[str, object]) -> Sensor:
    """The sensor, not yet open. Raises OptionError with the first problem that `check` would list."""
    sensor, problems = _prepare(driver, options)
    if sensor is None:
        first = problems[0]
        raise OptionError(first.path, first.value, first.message)
    sensor.name = name
    return sensor


def describe(driver: str) -> list[OptionDoc]:
    """The driver's options in the order of its signature; texts from the "Options:" of its docstring."""
    cls = load(driver)
    texts = _texts(inspect.getdoc(cls.__init__) or "") or _texts(inspect.getdoc(cls) or "")
    return [_describe(name, p.annotation, p.default, texts) for name, p in _parameters(cls).items()]


def find(root: Path = Path("/")) -> tuple[list[Found], list[str]]:
    """What is on this machine, by the word of each driver, and what went wrong with those of plug-ins.

    Harmless: only lists and reads files of the kernel's. Names differ from each other.
    """
    found: list[Found] = []
    troubles: list[str] = []
    for driver in names():
        try:
            for one in _look(driver, root):
                taken = {other.name for other in found}
                name = next(name for name in _numbered(one.name) if name not in taken)
                found.append(dataclasses.replace(one, name=name))
        except PluginError as error:
            troubles.append(str(error))
    return found, troubles


def _look(driver: str, root: Path) -> Sequence[Found]:
    """What one driver finds. Raises PluginError."""
    cls = load(driver)

    def look() -> list[Found]:
        return [
            dataclasses.replace(one, name=sensor_name(one.name, driver), driver=driver)
            for one in cls.find(root)
        ]

    if driver in DRIVERS:
        return look()
    with at_fault(f"driver {driver} of {plugins()[driver][0].package} cannot look", PluginError, through=()):
        return look()


def _numbered(name: str) -> Iterator[str]:
    """ "oven", "oven-2", "oven-3", ..."""
    yield name
    yield from (f"{name}-{n}" for n in itertools.count(2))


def _prepare(driver: str, given: Mapping[str, object]) -> tuple[Sensor | None, list[Problem]]:
    if not known(driver):
        return None, unknown_names([driver], names(), "driver", "")
    try:
        cls = load(driver)
        parameters = _parameters(cls)
    except PluginError as error:
        return None, [Problem("driver", None, str(error))]
    problems = unknown_names(given, list(parameters), "option", "", _inside(parameters))
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in given:
            values[name] = convert(parameter.annotation, given[name], name, problems)
        elif parameter.default is inspect.Parameter.empty:
            problems.append(Problem(name, None, f"is missing: {show_type(parameter.annotation, name)}"))
    if problems:
        return None, problems
    try:
        sensor = _made(driver, cls, values)
    except OptionError as error:
        # as it was written, and not what was made of it
        value = error.value if isinstance(error.value, str | int | float | list) else None
        return None, [Problem(error.path, value, error.message)]
    except PluginError as error:
        return None, [Problem("driver", None, str(error))]
    return sensor, []


def _made(driver: str, cls: type[Sensor], values: dict[str, Any]) -> Sensor:
    """A constructor only stores, and raises OptionError for what does not fit together; whatever else a plug-in's
    raises is a PluginError."""
    if driver in DRIVERS:
        return cls(**values)
    package = plugins()[driver][0].package
    with at_fault(f"driver {driver} of {package} cannot be made", PluginError, through=(OptionError,)):
        return guarded(cls, package)(**values)


def _inside(parameters: Mapping[str, inspect.Parameter]) -> dict[str, str]:
    """Of each option that is one of a structure's: which structure takes it."""
    found: dict[str, str] = {}
    for name, parameter in parameters.items():
        if (structure := _structure(parameter.annotation)) is not None:
            several = show_type(parameter.annotation).startswith("a list")
            for field in named_fields(structure):
                found.setdefault(
                    field, f"{name}: [{{{field}: ...}}]" if several else f"{name}: {{{field}: ...}}"
                )
    return found


def _parameters(cls: type[Sensor]) -> dict[str, inspect.Parameter]:
    hints = typing.get_type_hints(cls.__init__, include_extras=True)
    signature = inspect.signature(cls)
    return {
        name: parameter.replace(annotation=hints.get(name, str))
        for name, parameter in signature.parameters.items()
    }


def _describe(name: str, annotation: Any, default: object, texts: Mapping[str, str]) -> OptionDoc:
    required = default is inspect.Parameter.empty
    inner: tuple[OptionDoc, ...] = ()
    structure = _structure(annotation)
    if structure is not None:
        inner_texts: dict[str, str] = {}
        for cls in reversed(structure.__mro__):  # what it has from another is told there
            inner_texts |= _texts(inspect.cleandoc(cls.__doc__ or ""))
        fields = [
            _describe(field, kind, fallback, inner_texts)
            for field, (kind, fallback) in named_fields(structure).items()
        ]
        own = inspect.get_annotations(
            structure
        )  # what must be given comes first, what it shares with others last
        inner = tuple(sorted(fields, key=lambda field: (not field.required, field.name not in own)))
    return OptionDoc(
        name,
        show_type(annotation, name),
        None if required else default,
        required,
        texts.get(name, ""),
        inner,
    )


def _structure(annotation: Any) -> type | None:
    """The dataclass in an annotation such as `Sequence[Fault]` or `Bearing | None`."""
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return annotation
    arguments = (
        typing.get_args(annotation) if not isinstance(annotation, types.UnionType) else annotation.__args__
    )
    for argument in arguments:
        found = _structure(argument)
        if found is not None:
            return found
    return None


def _texts(docstring: str) -> dict[str, str]:
    """The entries of an "Options:" section: `name: text`, continued on deeper lines."""
    _, found, section = docstring.partition("Options:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines() if found else []:
        if line.strip() and not line.startswith(" "):
            break
        entry = re.match(r"    (\w+): (.*)", line)
        if entry:
            name = entry.group(1)
            texts[name] = entry.group(2).strip()
        elif name and line.strip():
            texts[name] += " " + line.strip()
    return texts
