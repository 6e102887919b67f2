"""What lines and documents hold, cell by cell: figures, times, and where in JSON they stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sensors.base import OptionError
from sensors.json_path import compile_path, figure, parse
from sensors.quantity import Quantity
from sensors.times import Form, find_form, parse_one

EARLIEST_S = 946_684_800.0  # the year 2000: a clock that says an earlier time was never set


SHOWN = 80  # characters of a line that are told

Skip = Callable[
    [str, str], None
]  # told what cannot be used: the reason that it is counted as, and the case in words


def shown(line: str) -> str:
    """A line in quotes, shortened, and without what a terminal would obey."""
    told = repr(line[:SHOWN])
    return told if len(line) <= SHOWN else f"{told}..."


def number(cell: object, where: str, skip: Skip) -> float:
    """The figure in a cell; NaN, and skipped, where there is none. None and an empty text are a missing one. `where`
    says in words where it stands."""
    if cell is None or cell == "":
        skip("missing_values", f"nothing stands at {where}")
        return math.nan
    try:
        return figure(cell)
    except ValueError as error:
        skip("not_a_number", f"{where}: {error}")
        return math.nan


def sample(number: float, quantity: Quantity, skip: Skip) -> float:
    """A number as its channel's; missing, and skipped, where it is outside of its limits."""
    try:
        return quantity.of(number)
    except ValueError as error:
        skip("out_of_range", f"{quantity.name}: {error}")
        return math.nan


class Times:
    """Reads the times of a source, in one form. What `auto` means is found from the first."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def read(self, cell: object) -> float:
        """Unix seconds; without a zone it is UTC. Raises ValueError."""
        text = cell if isinstance(cell, str) else repr(cell) if isinstance(cell, (int, float)) else ""
        form = find_form([text]) if self._form == "auto" else self._form
        time = parse_one(text, form)
        if time < EARLIEST_S:
            raise ValueError(f"{text} is before the year 2000")
        self._form = form
        return time


def in_documents(places: Sequence[tuple[str, str]]) -> Callable[[str | bytes], list[object]]:
    """What finds the cells of a JSON document, given the option and the path of each; None where there is nothing.

    Raises OptionError. What is returned raises ValueError for what is no JSON.
    """
    finders = []
    for option, path in places:
        try:
            finders.append(compile_path(path))
        except ValueError as error:
            raise OptionError(option, path, str(error)) from None

    def cells(text: str | bytes) -> list[object]:
        document = parse(text)
        return [_found(find, document) for find in finders]

    return cells


def _found(find: Callable[[object], object], document: object) -> object:
    try:
        return find(document)
    except LookupError:
        return None
