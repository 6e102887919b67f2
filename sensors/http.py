"""Figures that a device or a program shows over HTTP on this network: as JSON, or as Prometheus' metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from sensors.base import OptionError, PolledSensor, Positive, Reading
from sensors.cells import Times, in_documents, number, sample
from sensors.http_fetch import Address, NoDocument, networks, on_premises, trust
from sensors.peers import Peer, Server
from sensors.prometheus import Selection
from sensors.quantity import Quantity
from sensors.times import Form
from sensors.values import check_names

ACCEPT = {"json": "application/json", "prometheus": "text/plain; version=0.0.4"}
Cells = tuple[
    list[object], float | None
]  # what stands at each place, None where nothing does; time, Unix seconds


@dataclass(frozen=True, slots=True)
class Figure(Quantity):
    """One figure of the document.

    Options:
        at: where it stands: in JSON its path, such as a.b[0].c; of Prometheus a metric with the labels that tell it
            from others, such as up{job="pump"}. Without it, the same as the name.
        per_s: it is a counter; the channel is its growth per second.
    """

    at: str | None = None
    per_s: bool = False


class Http(PolledSensor):
    """An endpoint on the local network, asked at each tick.

    Options:
        url: http://... or https://..., at an address of a private network.
        channels: what to read.
        form: json = a JSON document; prometheus = metrics as text.
        rate_hz: polls per second.
        timeout_s: how long an answer may take, to its last byte.
        time: of JSON, the path to when it was measured; without it, when it was asked for. Metrics may say it too.
        time_form: how that time is written, where it leaves it open; without a zone it is UTC.
        max_age_s: what was measured longer ago is stale, where the time is known.
        allow: addresses or networks, such as 203.0.113.7, that may be asked though they are not private.
        ca_file: certificates to believe for https; without it, those of the system.
    """

    def __init__(
        self,
        *,
        url: str,
        channels: Sequence[Figure],
        form: Literal["json", "prometheus"] = "json",
        rate_hz: Positive = 0.1,
        timeout_s: Positive = 3.0,
        time: str | None = None,
        time_form: Form = "auto",
        max_age_s: Positive | None = None,
        allow: Sequence[str] = (),
        ca_file: Path | None = None,
    ) -> None:
        check_names("channels[{}].name", [figure.name for figure in channels])
        if time is not None and form != "json":
            raise OptionError("time", time, "is for JSON; metrics that have a time say it themselves")
        self._allowed = networks(allow)
        self._endpoint = on_premises(url, self._allowed)
        self.channels = tuple(figure.channel for figure in channels)
        self.rate_hz = rate_hz
        self.skipped: Counter[str] = Counter()
        self._figures, self._form, self._timeout_s = tuple(channels), form, timeout_s
        self._max_age_s, self._ca_file = max_age_s, ca_file
        places = [(f"channels[{i}].at", figure.at or figure.name) for i, figure in enumerate(channels)]
        self._places = [place for _, place in places]
        self._find = self._json(places, time, time_form) if form == "json" else self._metrics(places)
        self._address: Address | None = None

    def peers(self) -> Sequence[Peer]:
        return (
            Server(self._endpoint.host, self._endpoint.port, partial(self._endpoint.find, self._allowed)),
        )

    def open(self) -> None:
        self.close()
        try:
            self._context = trust(self._endpoint.scheme, self._ca_file)
            self._address = self._endpoint.find(self._allowed)
        except OSError as error:
            raise self.error(str(error)) from None
        self._told: float | None = None  # the time that the newest document said
        self._counts: dict[int, tuple[float, float]] = {}  # of counters: time, count
        super().open()

    def read(self, timeout: float) -> Reading | None:
        """At the time that the document says, where it does."""
        reading = super().read(timeout)
        if reading is None or self._told is None:
            return reading
        return Reading(reading.sensor, self._told, reading.rate_hz, reading.values)

    def sample(self) -> tuple[float, ...] | None:
        """What the document holds, NaN for the rest; None where it is no news. Raises OSError when there is nothing."""
        cells, told = self._fetch()
        if told is not None and (told == self._told or self._stale(told)):
            self.skipped["stale"] += 1
            return None
        if all(cell is None for cell in cells):
            self.skipped["missing_values"] += len(cells)
            raise OSError(f"{self._endpoint.told} holds none of {', '.join(self._places)}")
        self._told = told
        now = self.clock.monotonic() if told is None else told
        values = tuple(self._value(i, cell, now) for i, cell in enumerate(cells))
        return None if all(math.isnan(value) for value in values) else values

    def close(self) -> None:
        self._address = None
        super().close()

    def _fetch(self) -> Cells:
        assert self._address is not None
        try:
            document = self._endpoint.get(self._address, self._timeout_s, ACCEPT[self._form], self._context)
            return self._find(document)
        except NoDocument as error:
            self.skipped[error.reason] += 1
            raise OSError(f"{self._endpoint.told} {error}") from None
        except OSError as error:
            raise OSError(f"{self._endpoint.told}: {error.strerror or error}") from None

    def _stale(self, told: float) -> bool:
        return self._max_age_s is not None and self.clock.now() - told > self._max_age_s

    def _value(self, place: int, cell: object, now: float) -> float:
        figure, found = self._figures[place], number(cell, self._places[place], self.skip)
        if figure.per_s and not math.isnan(found):
            found = self._growth(place, found, now)
        return sample(found, figure, self.skip)

    def _growth(self, place: int, count: float, now: float) -> float:
        """Per second since the document before; NaN for the first, and where the counter began anew."""
        before = self._counts.get(place)
        self._counts[place] = (now, count)
        if before is None or now <= before[0]:
            return math.nan
        if count < before[1]:
            self.skipped["counter_resets"] += 1
            return math.nan
        return (count - before[1]) / (now - before[0])

    def _json(
        self, places: Sequence[tuple[str, str]], time: str | None, form: Form
    ) -> Callable[[bytes], Cells]:
        """Raises OptionError."""
        in_document = in_documents(places if time is None else [*places, ("time", time)])
        times = Times(form)

        def find(document: bytes) -> Cells:
            try:
                cells = in_document(document)
            except ValueError:
                raise NoDocument("unreadable_answers", "answers what is no JSON") from None
            if time is None:
                return cells, None
            try:
                return cells, times.read(cells.pop())
            except ValueError:
                raise NoDocument("bad_times", "does not say when it was measured") from None

        return find

    def _metrics(self, places: Sequence[tuple[str, str]]) -> Callable[[bytes], Cells]:
        """Raises OptionError."""
        for option, selector in places:
            try:
                Selection([selector])
            except ValueError as error:
                raise OptionError(option, selector, str(error)) from None
        selection = Selection([selector for _, selector in places])

        def find(document: bytes) -> Cells:
            try:
                values, times, unreadable = selection.read(document.decode("utf-8", "replace"))
            except LookupError as error:
                raise NoDocument("ambiguous_series", f"shows more than one: {error.args[0]}") from None
            if unreadable:
                self.skipped["unreadable_lines"] += unreadable
            told = [time for time in times if time is not None]
            return list(values), max(told) if told else None

        return find
