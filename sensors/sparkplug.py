"""Sparkplug B: what edge nodes publish of their metrics, read without protobuf's library.

Topics, order and life cycle: Eclipse Sparkplug 3.0.0, chapters 4 to 6. Fields: sparkplug_b.proto of Eclipse Tahu. Their
encoding: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sensors.json_path import figure

NAMESPACE = "spBv1.0"
KINDS = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")  # of messages that nodes send
REBIRTH = "Node Control/Rebirth"  # 6.4.18: what a node is asked by to be born again
# 6.4.16, data types: bits and sign of the whole numbers, which are sent as if they had no sign
WHOLE = {1: (8, True), 2: (16, True), 3: (32, True), 4: (64, True)}
WHOLE |= {5: (8, False), 6: (16, False), 7: (32, False), 8: (64, False)}
BOOLEAN = 11
GOOD = 192  # 6.4.14, the property "Quality": 0 bad, 192 good, 500 stale
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # wire types
VALUE = {(10, VARINT), (11, VARINT), (12, FOUR_BYTES), (13, EIGHT_BYTES), (14, VARINT), (15, LENGTH)}

Metric = tuple[str, str]  # of a node: the device ("": the node's own) and the name
Count = Callable[[str, str], None]  # a reason, and the case in words


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric in a message. `raw` is as it was sent, None where there is no value or none that could be a figure."""

    name: str = ""  # "": only the alias is given
    alias: int | None = None
    time: float | None = None  # Unix seconds
    datatype: int = 0  # 0: as the birth said
    historical: bool = False
    null: bool = False
    quality: int = GOOD
    raw: int | float | str | None = None

    def value(self, born_as: int) -> float:
        """As a number; `born_as` is the birth's data type. Raises ValueError."""
        datatype = self.datatype or born_as
        if datatype not in WHOLE and datatype != BOOLEAN:
            return figure(self.raw)
        if not isinstance(self.raw, int):
            raise ValueError(f"{self.raw!r} is not a whole number")
        if datatype == BOOLEAN:
            return float(self.raw != 0)
        bits, signed = WHOLE[datatype]
        number = self.raw & ((1 << bits) - 1)
        return float(number - (1 << bits) if signed and number >> (bits - 1) else number)


@dataclass(frozen=True, slots=True)
class Payload:
    """One message."""

    time: float | None
    seq: int | None
    samples: tuple[Sample, ...]


def decode(data: bytes) -> Payload:
    """Raises ValueError for what is no Sparkplug B payload."""
    time, seq, samples = None, None, []
    for number, wire, value in _fields(data):
        if (number, wire) == (1, VARINT):
            time = int(value) / 1000
        elif (number, wire) == (2, LENGTH):
            samples.append(_sample(_bytes(value)))
        elif (number, wire) == (3, VARINT):
            seq = int(value)
    return Payload(time, seq, tuple(samples))


def rebirth(now: float) -> bytes:
    """The command that asks a node to be born again."""
    time = round(now * 1000)
    metric = _field(1, REBIRTH.encode()) + _field(3, time) + _field(4, BOOLEAN) + _field(14, 1)
    return _field(1, time) + _field(2, metric)


class Node:
    """One edge node with its devices, as its messages tell of them.

    Of devices that nobody wants nothing is kept. Of the others: the types of wanted metrics, and the aliases of the
    latest birth of each, which the size of a message bounds.
    """

    def __init__(self, wanted: set[Metric], count: Count) -> None:
        """`count(reason, words)` hears of all that cannot be used."""
        self._wanted, self._count = wanted, count
        self._devices = {device for device, _ in wanted}
        self._born: set[str] = set()  # "" for the node itself, and each device that is wanted
        self._seq: int | None = None  # of the latest message
        self._session: float | None = None  # bdSeq of the birth: the death that follows has the same
        self._names: dict[int, Metric] = {}  # by alias; of a metric that nobody wants only whose it is
        self._types: dict[Metric, int] = {}
        self.unsure = True  # a birth is missing: without it nobody knows what the aliases mean

    def hear(self, kind: str, device: str, payload: Payload) -> Iterator[tuple[Metric, float, float | None]]:
        """The wanted metrics that a message says something of: value, NaN where there is none now, and Unix time."""
        if kind == "NBIRTH":
            self._names, self._types, self._seq = {}, {}, payload.seq
            self._session = next((_whole(s.raw) for s in payload.samples if s.name == "bdSeq"), None)
            self._born, self.unsure = {""}, False
        elif kind == "NDEATH":
            session = next((_whole(s.raw) for s in payload.samples if s.name == "bdSeq"), None)
            if self._session is not None and session != self._session:
                self._count("old_deaths", f"a death of session {session} in session {self._session}")
                return
            self._born = set()
            yield from ((metric, math.nan, None) for metric in sorted(self._wanted))
            return
        known = kind == "NBIRTH" or self._follows(kind, device, payload.seq)
        if kind == "DDEATH":
            self._born.discard(device)
            yield from ((metric, math.nan, None) for metric in sorted(self._wanted) if metric[0] == device)
            return
        if device not in self._devices:
            return
        for sample in payload.samples:
            if not known and not (sample.name and sample.datatype):
                self._count("unborn", f"{kind} before the birth that says what its aliases mean")
                return
            metric = self._metric(kind, device, sample)
            if metric in self._wanted:
                yield from self._taken(metric, sample, payload.time)

    def _follows(self, kind: str, device: str, seq: int | None) -> bool:
        """Whether the birth is known that a message builds on."""
        node_born = "" in self._born
        if node_born and self._seq is not None and seq != (self._seq + 1) % 256:
            self.unsure = True
            self._count("sequence_gaps", f"message {seq} after message {self._seq}")
        self._seq = seq
        if kind == "DBIRTH":
            self._names = {alias: metric for alias, metric in self._names.items() if metric[0] != device}
            self._born |= {device} & self._devices
        known = device in self._born or device not in self._devices
        self.unsure = self.unsure or not (known and node_born)
        return known

    def _metric(self, kind: str, device: str, sample: Sample) -> Metric | None:
        if sample.name:
            metric = (device, sample.name)
            if kind.endswith("BIRTH"):
                if metric in self._wanted:
                    self._types[metric] = sample.datatype
                if sample.alias is not None:
                    self._names[sample.alias] = metric if metric in self._wanted else (device, "")
            return metric
        found = None if sample.alias is None else self._names.get(sample.alias)
        if found is None:
            self.unsure = True
            self._count("unknown_aliases", f"{kind} with alias {sample.alias}, which no birth named")
        return found

    def _taken(
        self, metric: Metric, sample: Sample, sent: float | None
    ) -> Iterator[tuple[Metric, float, float | None]]:
        name, time = "/".join(filter(None, metric)), sent if sample.time is None else sample.time
        if sample.historical:
            self._count("historical", f"{name}: a value of the past")
            return
        value = math.nan
        if sample.null:
            self._count("missing_values", f"{name} is null")
        elif sample.quality != GOOD:
            self._count("bad_quality", f"{name} has quality {sample.quality}")
        else:
            try:
                value = sample.value(self._types.get(metric, 0))
            except ValueError as error:
                self._count("not_a_number", f"{name}: {error}")
        yield metric, value, time


def _sample(data: bytes) -> Sample:
    found: dict[str, object] = {}
    for number, wire, value in _fields(data):
        if (number, wire) == (1, LENGTH):
            found["name"] = _text(value)
        elif (number, wire) == (3, VARINT):
            found["time"] = int(value) / 1000
        elif (number, wire) in ((2, VARINT), (4, VARINT), (5, VARINT), (7, VARINT)):
            found[{2: "alias", 4: "datatype", 5: "historical", 7: "null"}[number]] = int(value)
        elif (number, wire) == (9, LENGTH):
            found["quality"] = _quality(_bytes(value))
        elif (number, wire) in VALUE:
            found["raw"] = _text(value) if wire == LENGTH else value
        elif 10 <= number <= 19:  # the last of the values counts, and it is no figure
            found["raw"] = None
    return Sample(**found)  # type: ignore[arg-type]  # by its fields above


def _quality(data: bytes) -> int:
    """The property "Quality" of a PropertySet: keys and values are two lists of one length."""
    keys, values = [], []
    for number, wire, value in _fields(data):
        if (number, wire) == (1, LENGTH):
            keys.append(_text(value))
        elif (number, wire) == (2, LENGTH):
            values.append(_bytes(value))
    for key, value in zip(keys, values, strict=False):
        if key == "Quality":
            for number, wire, code in _fields(value):
                if wire == VARINT and number in (3, 4):  # int_value, long_value
                    return int(code)
    return GOOD


def _fields(data: bytes) -> Iterator[tuple[int, int, int | float | bytes]]:
    """Number, wire type and value of each field of a message. Raises ValueError."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: int | float | bytes
        if wire == VARINT:
            value, at = _varint(data, at)
        elif wire == LENGTH:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire == EIGHT_BYTES:
            value, at = data[at : at + 8], at + 8
        elif wire == FOUR_BYTES:
            value, at = data[at : at + 4], at + 4
        else:
            raise ValueError(f"wire type {wire} is none")
        if at > len(data):
            raise ValueError("it is cut off")
        if isinstance(value, bytes) and wire != LENGTH:
            value = float(struct.unpack("<d" if wire == EIGHT_BYTES else "<f", value)[0])
        if number == 0:
            raise ValueError("field 0 is none")
        yield number, wire, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, and where it ends."""
    found = shift = 0
    while at < len(data):
        byte = data[at]
        found |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return found & (2**64 - 1), at
        if shift >= 70:
            raise ValueError("a number is longer than ten bytes")
    raise ValueError("it is cut off")


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _number(number << 3 | VARINT) + _number(value)
    return _number(number << 3 | LENGTH) + _number(len(value)) + value


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(found) + bytes((value,))


def _text(value: object) -> str:
    return _bytes(value).decode("utf-8")  # UnicodeDecodeError is a ValueError


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _whole(raw: object) -> float | None:
    return raw if isinstance(raw, int) else None
