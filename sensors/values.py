"""Options as people write them, converted to the types of a signature, with every mistake told."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from sensors.base import Above, AtLeast, OptionError, Slip

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0}
SECONDS |= {"min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0}
SECONDS |= {"d": 86400.0, "day": 86400.0, "days": 86400.0}
HERTZ = {"mHz": 1e-3, "Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "rpm": 1 / 60, "1/min": 1 / 60}
METRES = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "in": 0.0254}
# an option's last word says its unit: the units it may be written in, factor to SI, and an example
UNITS: dict[str, tuple[dict[str, float], str, str]] = {
    "s": (SECONDS, "a duration", '"5 min" or 300 (seconds)'),
    "hz": (HERTZ, "a frequency", '"100 Hz", "1480 rpm" or 100 (Hz)'),
    "m": (METRES, "a length", '"7.94 mm" or 0.00794 (metres)'),
}
_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)")
_LOOKS_LIKE_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[+-]?\d+(\.\d+)?")
# words for one thing: what a driver's option is called is said to whoever knows it by another's
SAME = (
    ("channels", "registers", "values", "nodes"),
    ("lowest", "min", "minimum"),
    ("highest", "max", "maximum"),
)
SHORTEST = 3  # letters of a word that say how those begin that may be meant
_BAD = object()  # stands for a value that a Problem was written about


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the options; `path` is relative to them: "speed", "faults[0].kind"."""

    path: str
    value: object
    message: str


def convert(annotation: Any, value: object, path: str, problems: list[Problem]) -> Any:
    """`value` as the annotated type; what is wrong is added to `problems`.

    A dataclass whose other keys are not known in advance reads itself: `read_options(value, path, problems)`; how a
    mapping of it is written, it may say in `written`.
    """
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        return _limited(arguments, value, path, problems)
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, path, problems)
    if origin is Literal:
        if value in arguments and not isinstance(value, bool):
            return value
        return _wrong(problems, path, value, _choices(value, [str(choice) for choice in arguments]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(arguments[1], value, path, problems)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _sequence(arguments[0], value, path, problems)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        read_options = getattr(annotation, "read_options", None)
        return (read_options or partial(structure, annotation))(value, path, problems)
    return _scalar(annotation, value, path, problems)


def check_names(path: str, names: Sequence[str]) -> None:
    """There is a channel, and no two have one name: `path` is that of each name, with {} for its place. Raises
    OptionError."""
    if not names:
        raise OptionError(path.partition("[")[0], [], "is empty: say what to read")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise OptionError(
                path.format(i), name, "is the name of two channels: give each a name of its own"
            )


def host_trouble(text: str) -> str:
    """Why a text is not the name or address of a host; "" where it is."""
    alone = "is not a host: write the name or address alone, e.g. "
    form = '"localhost", "broker.lan" or "192.168.1.10"'
    if not text or not text.isprintable() or re.search(r"[\s/@]", text):
        return alone + form
    if text.count(":") == 1:  # an address of IPv6 has more
        return f"{alone}{form}; the port is a setting of its own"
    return ""


def unknown_names(
    given: Iterable[str], known: Sequence[str], noun: str, path: str, inside: Mapping[str, str] | None = None
) -> list[Problem]:
    """A Problem for each given name that is not known, with the nearest one that is. `inside` says of names that are of
    a structure which one that is."""
    return [
        Problem(
            f"{path}.{name}" if path else str(name),
            name,
            f"unknown {noun}: {_elsewhere(str(name), known, inside or {}) or _choices(name, known)}",
        )
        for name in given
        if name not in known
    ]


def _elsewhere(name: str, known: Sequence[str], inside: Mapping[str, str]) -> str:
    """Where a name belongs that is known, but not here."""
    if name == "password" and "password_file" in known:
        return "it would be read by whoever reads this: name a file with it as password_file"
    if name in inside:
        return f"it belongs into {inside[name]}"
    same = [word for words in SAME if name in words for word in words if word in known]
    return f"it is called {same[0]} here" if same else ""


def named_fields(structure: type) -> dict[str, tuple[Any, object]]:
    """Name -> (annotation, default or inspect's empty) of a dataclass."""
    hints = typing.get_type_hints(structure, include_extras=True)
    return {
        field.name: (
            hints[field.name],
            inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
        )
        for field in dataclasses.fields(structure)
    }


def show_type(annotation: Any, name: str = "") -> str:
    """A type in words: "a number above 0", "a list of texts", "skip or stop"."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        limits = filter(None, map(_limit_words, arguments[1:]))
        return " ".join([show_type(arguments[0], name), *limits])
    if origin in (typing.Union, types.UnionType):
        rest = [argument for argument in arguments if argument is not type(None)]
        return " or ".join(show_type(argument, name) for argument in rest)
    if origin is Literal:
        return " or ".join(str(choice) for choice in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"names, and for each {show_type(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of {_plural(show_type(arguments[0]).removeprefix('a '))}"
    quantity = UNITS.get(name.rpartition("_")[2]) if annotation is float else None
    if quantity is not None:
        return quantity[1]
    words = {float: "a number", int: "a whole number", str: "a text", bool: "true or false", Path: "a path"}
    return words.get(annotation, f"a {getattr(annotation, '__name__', str(annotation)).lower()}")


def _plural(noun: str) -> str:
    if " or " in noun:  # a choice
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def _scalar(annotation: Any, value: object, path: str, problems: list[Problem]) -> Any:
    name = re.split(r"[.\[]", path)[-1]
    quantity = UNITS.get(name.rpartition("_")[2]) if "_" in name else None
    if annotation is float and quantity is not None and isinstance(value, str):
        return _quantity(quantity, value, path, problems)
    if annotation is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
        return _wrong(problems, path, value, "is not a finite number")
    if annotation is int and isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value) and value == int(value):
            return int(value)
        return _wrong(problems, path, value, "is not a whole number")
    if annotation is bool and isinstance(value, bool):
        return value
    if annotation is str and isinstance(value, str):
        return value
    if annotation is str and isinstance(value, date):  # YAML makes dates of unquoted times
        return value.isoformat()
    if annotation is Path and isinstance(value, (str, Path)):
        return Path(value)
    if annotation is type(None) and value is None:
        return None
    example = f", e.g. {quantity[2]}" if annotation is float and quantity is not None else ""
    if annotation in (int, float) and isinstance(value, str) and _LOOKS_LIKE_NUMBER.fullmatch(value.strip()):
        example = f": write {value.strip()} without quotes"
    return _wrong(problems, path, value, f"is not {show_type(annotation, name)}{example}")


def _quantity(
    quantity: tuple[dict[str, float], str, str], value: str, path: str, problems: list[Problem]
) -> Any:
    units, noun, example = quantity
    match = _QUANTITY.fullmatch(value.strip())
    if match is None:
        return _wrong(problems, path, value, f"is not {noun}, e.g. {example}")
    number, unit = float(match.group(1)), match.group(2)
    if not unit:
        return number
    if unit not in units:
        return _wrong(problems, path, value, f"unit {unit!r} is not {noun}: {_choices(unit, list(units))}")
    return number * units[unit]


def _limited(arguments: Sequence[Any], value: object, path: str, problems: list[Problem]) -> Any:
    for mark in arguments[1:]:
        if isinstance(mark, Slip) and isinstance(value, (int, str)) and re.search(mark.given, str(value)):
            return _wrong(problems, path, value, mark.write)
    converted = convert(arguments[0], value, path, problems)
    if isinstance(converted, (int, float)):
        for mark in arguments[1:]:
            if (isinstance(mark, Above) and not converted > mark.limit) or (
                isinstance(mark, AtLeast) and not converted >= mark.limit
            ):
                return _wrong(problems, path, value, f"must be {_limit_words(mark)}")
    return converted


def _limit_words(mark: object) -> str:
    if isinstance(mark, Above):
        return f"above {mark.limit:g}"
    return f"of at least {mark.limit:g}" if isinstance(mark, AtLeast) else ""


def _one_of(arguments: Sequence[Any], value: object, path: str, problems: list[Problem]) -> Any:
    if value is None and type(None) in arguments:
        return None
    best: list[Problem] | None = None
    for argument in arguments:
        if argument is type(None):
            continue
        found: list[Problem] = []
        converted = convert(argument, value, path, found)
        if not found:
            return converted
        best = best or found  # the first alternative is the usual one: its words are the best help
    problems += best or []
    return _BAD


def _sequence(item: Any, value: object, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        example = ': begin each with "- "' if isinstance(value, Mapping) else ""
        if isinstance(value, str) and value:
            example = f": write [{', '.join(map(_plain, value.split()))}]"
        return _wrong(problems, path, value, f"is not {show_type(Sequence[item])}{example}")
    return [convert(item, element, f"{path}[{i}]", problems) for i, element in enumerate(value)]


def _mapping(item: Any, value: object, path: str, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        form = getattr(item, "written", f"it takes {show_type(Mapping[str, item])}")  # in its own words
        return _wrong(problems, path, value, f"is no mapping: {form}")
    return {name: convert(item, element, f"{path}.{name}", problems) for name, element in value.items()}


def structure(made: type, value: object, path: str, problems: list[Problem]) -> Any:
    """`value`, a mapping, as a dataclass; what is wrong is added to `problems`."""
    if isinstance(value, made):
        return value
    fields = named_fields(made)
    if not isinstance(value, Mapping):
        example = _field_for(made, fields, value) if isinstance(value, str) else ""
        return _wrong(problems, path, value, f"is not a structure with {', '.join(fields)}{example}")
    found = unknown_names(value, list(fields), "option", path)
    converted: dict[str, Any] = {}
    for name, (annotation, default) in fields.items():
        if name in value:
            converted[name] = convert(annotation, value[name], f"{path}.{name}", found)
        elif isinstance(default, type):  # inspect's empty
            found.append(Problem(f"{path}.{name}", None, f"is missing: {show_type(annotation, name)}"))
    problems += found
    if found:
        return _BAD
    try:
        return made(**converted)
    except OptionError as error:
        return _wrong(problems, f"{path}.{error.path}", error.value, error.message)


def _field_for(made: type, fields: Mapping[str, tuple[Any, object]], value: str) -> str:
    """How a text is written as a field of the structure: of the first that takes it, and is no mere addition."""
    for name, (annotation, default) in fields.items():
        needed = [
            other for other, (_, without) in fields.items() if isinstance(without, type) and other != name
        ]
        found: list[Problem] = []
        converted = convert(annotation, value, name, found)
        if default is None or found:
            continue
        try:
            if not needed:
                made(**{name: converted})
        except OptionError:
            continue
        return (
            f": write {{{', '.join([f'{name}: {_plain(value)}', *(f'{other}: ...' for other in needed)])}}}"
        )
    return ""


def _plain(text: str) -> str:
    """A text as it is written in YAML's brackets."""
    return text if re.fullmatch(r"[A-Za-z/.-][\w/.=-]*", text) else json.dumps(text, ensure_ascii=False)


def _choices(given: object, known: Sequence[str]) -> str:
    begun = [word for word in known if word.startswith(str(given)) and len(str(given)) >= SHORTEST]
    if len(begun) > 1:
        return f"did you mean {', '.join(begun[:-1])} or {begun[-1]}?"
    near = difflib.get_close_matches(str(given), known, 1)
    return f"did you mean {near[0]}?" if near else f"must be one of {', '.join(known)}"


def _wrong(problems: list[Problem], path: str, value: object, message: str) -> Any:
    problems.append(Problem(path, value, message))
    return _BAD
