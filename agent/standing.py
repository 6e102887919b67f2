"""Alerts that stand, on disk: what a restart must not forget."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec

from agent.alerts import About, Alert, Event
from models import archive

LARGEST_BYTES = 16 * 2**20  # of a file worth reading: thousands of alerts


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An alert between "raised" and "cleared"."""

    monitor: str
    about: About
    sensor: str
    alert: Alert
    payload: str  # what its retained topic holds

    def given_up(self, why: str, time: float, seq: int) -> Event:
        """The end of an alert that nobody can follow any further."""
        return Event(
            kind="cleared",
            monitor=self.monitor,
            time=time,
            seq=seq,
            alert=replace(self.alert, state="inactive", since=time),
            level=self.alert.level,
            moved=(),
            model=None,
            plan=None,
            sensor=self.sensor,
            about=self.about,
            note=why,
        )


class Standing:
    """One file, replaced whole. Belongs to one thread.

    An alert is written down before its event is kept, and removed after the event that ends it is: whenever the
    power fails, what was raised will be cleared, at worst twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[tuple[str, str], Entry] = {}
        self._over: set[tuple[str, str]] = set()  # cleared, but the event that says so is not on disk yet
        self._changed = False

    def load(self) -> None:
        """What an earlier run wrote. Raises OSError and ValueError when it cannot be read."""
        try:
            if self.path.stat().st_size > LARGEST_BYTES:
                raise ValueError(f"{self.path} is larger than any such file")
            found = msgspec.convert(json.loads(self.path.read_bytes()), list[Entry])
        except FileNotFoundError:
            return
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValueError(f"{self.path}: {error}") from None
        self._entries = {
            (entry.monitor, entry.about): msgspec.structs.replace(
                entry, alert=replace(entry.alert, state="active")
            )
            for entry in found
        }

    def entries(self) -> list[Entry]:
        """Those that stand."""
        return [entry for key, entry in self._entries.items() if key not in self._over]

    def get(self, monitor: str, about: About) -> Entry | None:
        return None if (monitor, about) in self._over else self._entries.get((monitor, about))

    def take(self, event: Event, payload: bytes) -> None:
        """What happened, before it is kept; `payload` is what the retained topic holds afterwards."""
        key = event.monitor, event.about
        if event.kind == "cleared":
            self._over.add(key)
            return
        self._over.discard(key)
        self._entries[key] = Entry(
            monitor=event.monitor,
            about=event.about,
            sensor=event.sensor,
            alert=event.alert,
            payload=payload.decode(),
        )
        self._changed = True

    def renew(self, monitor: str, alert: Alert) -> None:
        """The alert of a machine as it is now: its peak may have grown without an event."""
        entry = self.get(monitor, "machine")
        if entry is not None and alert.raised and alert != entry.alert:
            self._entries[monitor, "machine"] = msgspec.structs.replace(entry, alert=alert)
            self._changed = True

    def settle(self) -> None:
        """All events taken so far are kept."""
        for key in self._over:
            self._changed |= self._entries.pop(key, None) is not None
        self._over.clear()

    def save(self) -> None:
        """Where anything has changed. Raises OSError."""
        if not self._changed:
            return
        # Not msgspec's own encoder, which makes null of an infinite level.
        content = json.dumps(msgspec.to_builtins(list(self._entries.values())))
        archive.replace(self.path, content.encode())
        self._changed = False
