"""Prometheus' text of metrics: the values of chosen series. prometheus.io/docs/instrumenting/exposition_formats."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sensors.times import EPOCH_LIMITS, PER_SECOND

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))')
_OPENING, _CLOSING = re.compile(r"\s*\{"), re.compile(r"\s*\}")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Series:
    """A metric and its labels. As a selector it stands for all that have at least these labels."""

    name: str
    labels: Mapping[str, str]

    def __str__(self) -> str:
        return self.name + "{" + ", ".join(f'{key}="{value}"' for key, value in self.labels.items()) + "}"

    def covers(self, other: Series) -> bool:
        return self.name == other.name and self.labels.items() <= other.labels.items()


def parse_series(text: str) -> tuple[Series, str]:
    """A metric with labels or without, as in `up` or `up{job="pump"}`, and what stands behind it. Raises ValueError."""
    match = _NAME.match(text)
    if match is None:
        raise ValueError('is no metric: write a name, and labels where it needs them, such as up{job="pump"}')
    brace = _OPENING.match(text, match.end())
    if brace is None:
        rest = text[match.end() :]
        if rest and not rest[0].isspace():
            raise ValueError(f"cannot be read from {rest[:40]!r} on")
        return Series(match[0], {}), rest
    position, labels = brace.end(), {}
    while (end := _CLOSING.match(text, position)) is None:
        label = _LABEL.match(text, position)
        if label is None:
            raise ValueError('has labels that cannot be read: write them as {name="value", other="value"}')
        labels[label[1]] = _ESCAPED.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), label[2])
        position = label.end()
    return Series(match[0], labels), text[end.end() :]


class Selection:
    """Reads the values of some selectors out of each text."""

    def __init__(self, selectors: Sequence[str]) -> None:
        """Raises ValueError."""
        self._wanted: dict[str, list[tuple[int, Series]]] = {}
        self._size = len(selectors)
        for place, selector in enumerate(selectors):
            series, rest = parse_series(selector.strip())
            if rest:
                raise ValueError(f'cannot be read from {rest!r} on: write a metric such as up{{job="pump"}}')
            self._wanted.setdefault(series.name, []).append((place, series))

    def read(self, text: str) -> tuple[list[str | None], list[float | None], int]:
        """For each selector its value, as it is written, and its time where it has one (Unix seconds); None where there
        is no such series. And how many lines of them could not be read. Raises LookupError, in words, where a selector
        fits several series."""
        values: list[str | None] = [None] * self._size
        times: list[float | None] = [None] * self._size
        found: dict[int, Series] = {}
        unreadable = 0
        for line in text.split("\n"):
            name = _NAME.match(line)
            if name is None or name[0] not in self._wanted:
                continue
            try:
                series, rest = parse_series(line)
                value, time = _value_and_time(rest)
            except ValueError:
                unreadable += 1
                continue
            for place, selector in self._wanted[name[0]]:
                if selector.covers(series):
                    if place in found:
                        raise LookupError(
                            f"{selector} fits {found[place]} and {series}: say which by more labels"
                        )
                    found[place], values[place], times[place] = series, value, time
        return values, times, unreadable


def _value_and_time(rest: str) -> tuple[str, float | None]:
    words = rest.partition(" # ")[0].split()  # OpenMetrics puts examples behind that
    if not 1 <= len(words) <= 2:
        raise ValueError("is no value, and perhaps a time")
    if len(words) == 1:
        return words[0], None
    time = float(words[1])
    if not abs(time) < float("inf"):
        raise ValueError("is no time")
    form = next(form for limit, form in EPOCH_LIMITS if abs(time) < limit)  # ms, or s in OpenMetrics
    return words[0], time / PER_SECOND[form]
