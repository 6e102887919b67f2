"""Times as recordings write them, turned into Unix seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Form = Literal["auto", "iso", "day-first", "month-first", "s", "ms", "us", "ns"]
Times = NDArray[np.float64]

# an epoch in seconds stays below 1e11 until the year 5138; milliseconds since 1973 lie above it
EPOCH_LIMITS: tuple[tuple[float, Form], ...] = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (float("inf"), "ns"))
LAST_S = 253402300800.0  # the year 10000, where calendars and this program end
PER_SECOND: dict[str, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}

# each digit fits one place alone: what is no number in the end costs one look at each of its digits
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
LONGEST = 64  # characters of a time; the patterns below are slow on long runs of blanks
_CLOCK = (
    r"(?:[T ,]+(?P<h>\d{1,2}):(?P<mi>\d{1,2})(?::(?P<s>\d{1,2})(?:[.,](?P<f>\d{1,12}))?)?"
    r"\s*(?P<half>[AaPp][Mm])?)?"
    r"\s*(?P<zone>Z|z|UTC|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_ISO = re.compile(r"(?P<y>\d{4})[-/](?P<mo>\d{1,2})[-/](?P<d>\d{1,2})" + _CLOCK)
_COMPACT = re.compile(r"(?P<y>\d{4})(?P<mo>\d{2})(?P<d>\d{2})" + _CLOCK)
_COMPACT_CLOCK = re.compile(
    r"(?P<y>\d{4})(?P<mo>\d{2})(?P<d>\d{2})[T ]?(?P<h>\d{2})(?P<mi>\d{2})(?:(?P<s>\d{2})(?:[.,](?P<f>\d{1,12}))?)?"
    r"(?P<half>)\s*(?P<zone>Z|z|UTC|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_OTHER = re.compile(r"(?P<a>\d{1,2})(?P<sep>[-/.])(?P<b>\d{1,2})(?P=sep)(?P<y>\d{4})" + _CLOCK)
_ONLY_CLOCK = re.compile(
    r"\d{1,2}:\d{2}(:\d{2}([.,]\d{1,12})?)?\s*([AaPp][Mm])?\s*(Z|z|UTC|[+-]\d{2}(:?\d{2})?)?"
)
_COMPACT_YEARS = range(1900, 2200)  # digits of other years are numbers
# what every ISO time of the fast road looks like: digits at D, and these marks between them
_TEMPLATE = b"DDDD-DD-DD DD:DD:DD"
_COMPACT_DIGITS = [i for i, mark in enumerate(_TEMPLATE) if mark == ord("D")]


def is_number(text: str) -> bool:
    """Whether a cell is a plain decimal number."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_time(text: str) -> bool:
    """Whether a cell is a date (numbers do not count: they may be anything)."""
    text = text.strip()
    return (_match_iso(text) or _match(_OTHER, text)) is not None and not is_number(text)


def is_date(text: str) -> bool:
    """Whether a cell is a date without a time of day, digits alone included."""
    text = text.strip()
    match = _match(_ISO, text) or _match(_OTHER, text)
    return match["h"] is None if match else len(text) == 8 and _is_compact(text)


def is_clock(text: str) -> bool:
    """Whether a cell is a time of day without its date."""
    return _match(_ONLY_CLOCK, text.strip()) is not None


def find_form(samples: Sequence[str]) -> Form:
    """The form of a time column from its first cells. Raises ValueError when none or two forms fit."""
    filled = [text.strip() for text in samples if text.strip()]
    if not filled:
        raise ValueError("has no times")
    if 2 * sum(map(_is_compact, filled)) > len(filled):
        return "iso"
    numbers = [float(text) for text in filled if is_number(text)]
    if len(numbers) > sum(map(is_time, filled)):
        largest = float(np.median(np.abs(numbers)))
        if all(len(text) == 14 and text.isdigit() for text in filled):  # no milliseconds before the year 2286
            raise ValueError(
                f"{filled[0]!r} is neither a date like 20240331120000 nor a Unix time of this century: "
                "say what it is with `time_form`"
            )
        return next((form for limit, form in EPOCH_LIMITS if largest < limit), "ns")
    if any(map(_match_iso, filled)):
        return "iso"
    matches = [match for text in filled if (match := _match(_OTHER, text))]
    if not matches and is_clock(filled[0]):
        raise ValueError(f"{filled[0]!r} is a time of day without its date: write 2024-03-31T12:00:00Z")
    if not matches:
        raise ValueError(f"{filled[0]!r} is not a time: write 2024-03-31T12:00:00Z or Unix seconds")
    if any(int(match["a"]) > 12 for match in matches):
        return "day-first"
    if any(int(match["b"]) > 12 for match in matches):
        return "month-first"
    if matches[0]["sep"] == ".":
        return "day-first"  # dots are written only where the day comes first
    raise ValueError(
        f"{filled[0]!r} may begin with the day or with the month: "
        "say which with `time_form: day-first` or `time_form: month-first`"
    )


def parse_one(text: str, form: Form) -> float:
    """One time in Unix seconds; without a zone it is UTC. Raises ValueError."""
    text = text.strip()
    if form in PER_SECOND:
        if not is_number(text):
            raise ValueError(f"{text!r} is not a time in {form}")
        seconds = float(text) / PER_SECOND[form]
        if abs(seconds) >= LAST_S:
            raise ValueError(f"{text!r} is not a time in {form}: it lies beyond the year 9999")
        return seconds
    match = _match_iso(text) if form == "iso" else _match(_OTHER, text)
    if match is None:
        raise ValueError(f"{text!r} is not a time like {_example(form)}")
    if form == "iso":
        month, day = match["mo"], match["d"]
    else:
        day, month = (match["a"], match["b"]) if form == "day-first" else (match["b"], match["a"])
    try:
        moment = datetime(
            int(match["y"]), int(month), int(day), _hour(match), int(match["mi"] or 0), tzinfo=timezone.utc
        )
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from None
    second = int(match["s"] or 0)
    if second > 60:  # 60 is a leap second
        raise ValueError(f"{text!r} is not a time: second must be in 0..59")
    fraction = match["f"] or ""
    whole = moment.timestamp() + second - _offset(match["zone"])
    return whole + int(fraction) / 10 ** len(fraction) if fraction else whole


def parse_iso(cells: NDArray[np.bytes_]) -> tuple[Times, NDArray[np.bool_]]:
    """Unix seconds of (n,) fixed-width ISO cells, and which of them it could read; no loops over rows.

    Reads `YYYY-MM-DD[T ]hh:mm:ss[.fraction][Z|±hh:mm]`, or the same without `-`, `:` and `T`;
    whatever else there is, is for `parse_one`.
    """
    width = cells.dtype.itemsize
    raw = np.ascontiguousarray(cells).view(np.uint8).reshape(len(cells), width)
    lengths = np.char.str_len(cells)
    seconds = np.full(len(cells), np.nan)
    good = np.zeros(len(cells), np.bool_)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        if length < len(_COMPACT_DIGITS) or length >= width:
            continue
        seconds[rows], good[rows] = _parse_iso_of_length(_spread(raw[rows, :length]))
    return seconds, good


def _spread(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same cells with the marks that compact ones leave out; a cell unlike the first is made unreadable."""
    digits = 8 if bytes(raw[0, 8:9]) == b"T" else 0  # before the T
    compact = np.delete(raw, digits, axis=1) if digits else raw
    head = compact[:, : len(_COMPACT_DIGITS)]
    if not bytes(head[0]).isdigit() or head.shape[1] < len(_COMPACT_DIGITS):
        return raw
    spread = np.empty((len(raw), len(_TEMPLATE) + compact.shape[1] - head.shape[1]), np.uint8)
    spread[:, : len(_TEMPLATE)] = np.frombuffer(_TEMPLATE, np.uint8)
    spread[:, _COMPACT_DIGITS] = head
    spread[:, len(_TEMPLATE) :] = compact[:, head.shape[1] :]
    if digits:
        spread[raw[:, digits] != ord("T"), 0] = ord("?")
    return spread


def _parse_iso_of_length(raw: NDArray[np.uint8]) -> tuple[Times, NDArray[np.bool_]]:
    n, length = raw.shape
    if length < len(_TEMPLATE):
        return np.full(n, np.nan), np.zeros(n, np.bool_)
    digits = raw.astype(np.int64) - ord("0")
    is_digit = (digits >= 0) & (digits <= 9)
    good = np.ones(n, np.bool_)
    for i, mark in enumerate(_TEMPLATE):
        if mark == ord("D"):
            good &= is_digit[:, i]
        elif mark == ord(" "):
            good &= (raw[:, i] == ord(" ")) | (raw[:, i] == ord("T"))
        else:
            good &= raw[:, i] == mark
    first = bytes(raw[0])  # the tail's form is the first row's; other rows must agree
    end = len(_TEMPLATE)
    fraction = np.zeros(n)
    if length > end and first[end : end + 1] in (b".", b","):
        stop = end + 1
        while stop < length and first[stop : stop + 1].isdigit():
            stop += 1
        places = stop - end - 1
        if not 1 <= places <= 12:
            return np.full(n, np.nan), np.zeros(n, np.bool_)
        good &= (raw[:, end] == first[end]) & is_digit[:, end + 1 : stop].all(axis=1)
        fraction = (digits[:, end + 1 : stop] @ 10 ** np.arange(places - 1, -1, -1)) / 10**places
        end = stop
    offset = np.zeros(n, np.int64)
    rest = first[end:]
    if rest == b"Z":
        good &= raw[:, end] == ord("Z")
    elif len(rest) == 6 and rest[:1] in (b"+", b"-") and rest[3:4] == b":":
        good &= (raw[:, end + 3] == ord(":")) & is_digit[:, [end + 1, end + 2, end + 4, end + 5]].all(axis=1)
        negative = raw[:, end] == ord("-")
        good &= negative | (raw[:, end] == ord("+"))
        offset = _two(digits, end + 1) * 3600 + _two(digits, end + 4) * 60
        offset = np.where(negative, -offset, offset)
    elif rest:
        return np.full(n, np.nan), np.zeros(n, np.bool_)
    year = _two(digits, 0) * 100 + _two(digits, 2)
    month, day = _two(digits, 5), _two(digits, 8)
    hour, minute, second = _two(digits, 11), _two(digits, 14), _two(digits, 17)
    good &= (
        (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second <= 60) & (year > 0)
    )
    good &= day <= _month_days(year, np.clip(month, 1, 12))
    whole = _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
    return np.where(good, whole + fraction, np.nan), good


def _two(digits: NDArray[np.int64], at: int) -> NDArray[np.int64]:
    two: NDArray[np.int64] = digits[:, at] * 10 + digits[:, at + 1]
    return two


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970-01-01; H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil."""
    y = year - (month <= 2)
    era = y // 400
    of_era = y - era * 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    days: NDArray[np.int64] = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    return days


def _month_days(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month - 1]
    days: NDArray[np.int64] = lengths + (leap & (month == 2))
    return days


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return pattern.fullmatch(text) if len(text) <= LONGEST else None


def _match_iso(text: str) -> re.Match[str] | None:
    return _match(_ISO, text) or _match(_COMPACT, text) or _match(_COMPACT_CLOCK, text)


def _is_compact(text: str) -> bool:
    """Whether a cell of digits is a date, with or without a time of day."""
    match = _match(_COMPACT, text) or _match(_COMPACT_CLOCK, text)
    if match is None or int(match["y"]) not in _COMPACT_YEARS:
        return False
    try:
        parse_one(text, "iso")
    except ValueError:
        return False
    return True


def _hour(match: re.Match[str]) -> int:
    hour = int(match["h"] or 0)
    half = (match["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError("hour must be in 1..12 before AM or PM")
    return hour % 12 + 12 * (half == "pm") if half else hour


def _offset(zone: str | None) -> int:
    """Seconds east of Greenwich."""
    if zone is None or zone.upper() in ("Z", "UTC"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1 if zone[0] == "-" else 1)


def _example(form: Form) -> str:
    return {"day-first": "31/03/2024 12:00:00", "month-first": "03/31/2024 12:00:00"}.get(
        form, "2024-03-31T12:00:00Z"
    )
