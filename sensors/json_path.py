"""Where in a JSON document a figure stands: `a.b[0].c`, and what counts as a figure there."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import reduce

from sensors.base import LARGEST
from sensors.times import is_number

# a key, plain or in brackets and quotes, or the place in a list; a dot stands before plain keys but the first
_STEP = re.compile(
    r"""(?P<dot>\.)?(?P<key>[^.\[\]"'\s](?:[^.\[\]"']*[^.\[\]"'\s])?)"""
    r"""|\[(?P<place>-?\d{1,9})\]|\["(?P<quoted>[^"]+)"\]|\['(?P<single>[^']+)'\]"""
)


def compile_path(text: str) -> Callable[[object], object]:
    """What finds a value in a document that was read from JSON.

    `a.b[0].c`; `[-1]` is the last of a list; `["a.b"]` a key with dots; `$` the document itself, which may also stand
    before a path. Raises ValueError that says what is wrong with the path. What is returned raises LookupError where
    the document has nothing there.
    """
    steps = _steps(text)
    return lambda document: reduce(_inside, steps, document)


def parse(text: str | bytes) -> object:
    """A JSON document. Raises ValueError for whatever is none, however it was made: not UTF-8, NaN and Infinity,
    which JSON does not have, nested too deep, numbers without end."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("is nested too deep") from None


def figure(value: object) -> float:
    """A value as a number: numbers, numbers in quotes, true and false. Raises ValueError for what is none, and for what
    float32 cannot hold."""
    if isinstance(value, str) and is_number(value):
        number = float(value)
    elif isinstance(value, (bool, int, float)):
        number = math.inf if isinstance(value, int) and abs(value) > LARGEST else float(value)
    else:
        raise ValueError(f"{_short(value)} is not a number")
    if not abs(number) <= LARGEST:
        raise ValueError(f"{_short(value)} is too large")
    return number


def _inside(found: object, step: str | int) -> object:
    if isinstance(step, str):
        if isinstance(found, dict):
            return found[step]
    elif isinstance(found, list):
        return found[step]
    raise LookupError(step)


def _steps(text: str) -> list[str | int]:
    rest = text.strip()
    if rest == "$":
        return []
    rest = rest.removeprefix("$.") if rest.startswith("$.") else rest.removeprefix("$")
    if not rest:
        raise ValueError("is an empty path: write a.b[0].c, or $ for the whole document")
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None or (match["key"] is not None and bool(match["dot"]) != bool(steps)):
            raise ValueError(f"cannot be read from {rest[position:]!r} on: write a path such as a.b[0].c")
        name = match["key"] or match["quoted"] or match["single"]
        steps.append(int(match["place"]) if name is None else name)
        position = match.end()
    return steps


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _short(value: object) -> str:
    """A value's beginning; `repr` of a hostile number would take its time."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a whole number of hundreds of digits"
    shown = repr(value) if isinstance(value, (str, int, float)) or value is None else type(value).__name__
    return shown if len(shown) <= 40 else shown[:37] + "..."
