"""Names that stand in topics and in the names of files, and what they may not have in them."""

from __future__ import annotations

import os
import re

RESERVED = ("availability", "state", "event", "request", "response")  # topics below <prefix>/<device>/


class Name:
    """The form of a name that stands in topics and in the names of files."""

    form = '"pump-2": letters, digits, - _ . and no spaces'
    most = 64  # bytes; a file's name may have 255, with what is added to it
    _illegal = re.compile(r"[\s+#/\\$*?\"'<>|:\x00]")

    def parse(self, value: object) -> str:
        text = str(value)
        if not text:
            raise ValueError(f"is empty: write e.g. {self.form}")
        if found := self._illegal.search(text):
            what = "a space" if found.group().isspace() else found.group()
            raise ValueError(f"is not a name: it has {what} in it, which topics or file names cannot carry")
        if not text.isprintable():
            raise ValueError("is not a name: it has a character in it that cannot be shown")
        if text[0] in ".-":
            raise ValueError(f"is not a name: it begins with {text[0]}")
        if len(text.encode()) > self.most:
            raise ValueError(f"is too long: at most {self.most} bytes")
        return text

    def show(self, value: str) -> str:
        return value


class EntryName(Name):
    """The form of a sensor's or monitor's name: one that is no topic of the agent's own."""

    def parse(self, value: object) -> str:
        if value in RESERVED:
            raise ValueError("is a name that the agent needs for a topic of its own: choose another")
        return super().parse(value)


class ChannelName:
    """The form of a channel's name: whatever its driver calls it."""

    form = '"temperature"'

    def parse(self, value: object) -> str:
        if not (text := str(value)):
            raise ValueError(f"is empty: write e.g. {self.form}")
        return text

    def show(self, value: str) -> str:
        return value


class Prefix(Name):
    """The form of the topics' beginning: names with slashes between them."""

    form = '"tocsin" or "site/hall-2"'

    def parse(self, value: object) -> str:
        for level in str(value).split("/"):
            super().parse(level)
        return str(value)


class Host(Name):
    """The form of a broker's name or address."""

    form = '"localhost", "broker.lan" or "192.168.1.10"'

    def parse(self, value: object) -> str:
        from sensors.values import host_trouble  # with what it imports, only where there is a broker to check

        if trouble := host_trouble(text := str(value)):
            raise ValueError(trouble)
        return text


def host_name() -> str:
    """This host's name, with what a topic cannot carry replaced."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", os.uname().nodename.split(".")[0]).lstrip(".-")
    return name[: Name.most] or "tocsin"
