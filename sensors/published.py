"""Values as devices publish them: in words, as plain numbers, in JSON, or as Sparkplug B."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sensors.base import OptionError, Positive
from sensors.json_path import compile_path, figure, parse
from sensors.quantity import Quantity
from sensors.times import EPOCH_LIMITS, PER_SECOND, is_number, parse_one

WORDS = {
    "on": 1.0,
    "off": 0.0,
    "true": 1.0,
    "false": 0.0,
}  # as Tasmota, ESPHome, Shelly and zigbee2mqtt say them
# what last wills and availability topics say of a device that is gone: Tasmota, ESPHome, zigbee2mqtt, Shelly, Homie
GONE = ("offline", "false", "lost", "disconnected")
_ZONE = re.compile(r"(Z|UTC|[+-]\d{2}:?\d{2})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Value(Quantity):
    """One channel.

    Options:
        topic: where it is published; `+` and `#` are wildcards, the newest of all that match counts.
        path: where in a JSON payload the number stands, such as `ENERGY.Power` or `a.b[0]`; without it the payload is
            the number. ON and OFF, true and false are 1 and 0.
        sparkplug: group/node or group/node/device that publishes it as Sparkplug B, instead of `topic`.
        metric: the metric's name there.
        stale_after_s: how old it may become; without it 15 min, and of Sparkplug B until its death is told.
        availability: topic of its device's last will; a word such as offline there, and the value is gone.
        time: where in the JSON payload its time stands; Unix seconds or more, or ISO with its zone.
        retained: take what the broker kept, though nobody knows its age, when the agent connects.
    """

    topic: str = ""
    path: str = ""
    sparkplug: str = ""
    metric: str = ""
    stale_after_s: Positive | None = None
    availability: str = ""
    time: str = ""
    retained: bool = False

    def __post_init__(self) -> None:
        Quantity.__post_init__(
            self
        )  # super() does not know a class with slots that is derived (python/cpython#90562)
        if bool(self.topic) == bool(self.sparkplug):
            both = (
                "and sparkplug cannot both be where it comes from"
                if self.topic
                else "or sparkplug is missing"
            )
            raise OptionError("topic", self.topic or None, both)
        for name in ("topic", "availability"):
            if (text := getattr(self, name)) and not _is_pattern(text):
                raise OptionError(
                    name, text, "is not a topic: + and # stand for whole levels, # for the last"
                )
        if self.sparkplug and not (2 <= len(levels := self.sparkplug.split("/")) <= 3 and all(levels)):
            raise OptionError("sparkplug", self.sparkplug, "is not group/node or group/node/device")
        for name in ("path", "availability", "time"):
            if self.sparkplug and getattr(self, name):
                raise OptionError(name, getattr(self, name), "belongs to a topic, not to Sparkplug B")
        if bool(self.sparkplug) != bool(self.metric):
            raise OptionError("metric", self.metric or None, "and sparkplug belong together")
        for name in ("path", "time"):
            if getattr(self, name):
                try:
                    compile_path(getattr(self, name))
                except ValueError as error:
                    raise OptionError(name, getattr(self, name), str(error)) from None


def number_of(raw: object) -> float:
    """A number, or a word that means one. Raises ValueError."""
    if isinstance(raw, str) and raw.strip().lower() in WORDS:
        return WORDS[raw.strip().lower()]
    return figure(raw)


def time_of(raw: object) -> float:
    """Unix seconds of a number by its size, or of an ISO time. Raises ValueError, also for a time without a zone."""
    if isinstance(raw, str) and not is_number(raw):
        if _ZONE.search(raw.strip()) is None:  # Tasmota's, which is of the zone that the device is set to
            raise ValueError(f"{raw!r} has no zone")
        return parse_one(raw, "iso")
    number = figure(raw)
    form = next(form for limit, form in EPOCH_LIMITS if number < limit)
    return number / PER_SECOND[form]


def is_gone(payload: bytes) -> bool:
    """Whether a last will, or an availability topic, says that its device is not there: a word, or {"state": word}."""
    word = payload.decode("utf-8", "replace").strip().lower()
    try:
        state = parse(payload)
    except ValueError:
        state = None
    if isinstance(state, dict):
        word = str(state.get("state", "")).lower()
    return word in GONE


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is one that a subscription hears; MQTT 5.0, 4.7."""
    wanted, levels = pattern.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(
        level in ("+", given) for level, given in zip(wanted, levels, strict=True)
    )


def _is_pattern(text: str) -> bool:
    """Whether it may be subscribed to: wildcards stand for whole levels, # for the last."""
    levels = text.split("/")
    return (
        "\0" not in text
        and len(text.encode()) <= 65535
        and all(level in ("+", "#") or not set(level) & {"+", "#"} for level in levels)
        and "#" not in levels[:-1]
    )
