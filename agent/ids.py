"""What an event is known by, and how its time is written: the same live and replayed."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone

# The name space of event ids: uuid5(NAMESPACE_DNS, "event.tocsin"). Changing it changes every id.
NAMESPACE = uuid.UUID("e10539f6-16a6-5e04-8afe-1b71469ef768")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def event_id(device: str, monitor: str, about: str, kind: str, time: float) -> str:
    """A UUID made of these, `time` in Unix seconds."""
    return str(uuid.uuid5(NAMESPACE, f"{device}/{monitor}/{about}/{kind}/{microseconds(time)}"))


def microseconds(time: float) -> int:
    """Unix seconds as whole microseconds, which a float holds exactly enough until the year 2242."""
    return round(time * 1e6)


def rfc3339(time: float) -> str:
    """Unix seconds in UTC, to the millisecond; what is finer is cut off."""
    moment = EPOCH + timedelta(microseconds=microseconds(time))
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
