"""Conditions that tell an operating state: "speed >= 20 Hz and load < 50 %"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from agent.forms import nearest
from agent.quantities import FREQUENCY
from models.states import Bounds, Candidate

_TERM = re.compile(r"(.+?)\s*(<=|>=|<|>)\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)")


def bounds(condition: str, candidates: Iterable[Candidate]) -> Bounds:
    """What a condition asks of each channel it names, from and to. Raises ValueError saying what is wrong."""
    known = {candidate.name: candidate for candidate in candidates}
    found: dict[Candidate, tuple[float, float]] = {}
    for term in re.split(r"\s+and\s+", condition.strip()):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f'{term!r} is not a condition: write e.g. "speed >= 20 Hz and load < 50 %"')
        name, sign, number, unit = match.groups()
        if name not in known:
            raise ValueError(
                f"there is no channel {name!r} here{nearest(name, known) or ': ' + ', '.join(known)}"
            )
        channel = known[name]
        value = float(number) * _factor(channel, unit)
        if channel.logarithm:
            if value <= 0:
                raise ValueError(f"{term!r} is always so or never: {name} is above 0")
            value = math.log(value)
        low, high = found.get(channel, (-math.inf, math.inf))
        found[channel] = (max(low, value), high) if sign.startswith(">") else (low, min(high, value))
        if found[channel][0] > found[channel][1]:
            raise ValueError(f"{condition!r} is never so")
    return found


def _factor(channel: Candidate, unit: str) -> float:
    if unit in ("", channel.unit):
        return 1.0
    if channel.unit == "Hz" and unit in FREQUENCY.units:
        return FREQUENCY.units[unit]
    raise ValueError(f"the unit of {channel.name} is {channel.unit or '1'}, not {unit}")
