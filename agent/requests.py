"""What somebody asks over the broker: a JSON object, or a refusal in words."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from agent import payloads

REQUEST_BYTES = 64 * 1024

Transaction: TypeAlias = "str | int | msgspec.UnsetType"


class RequestError(Exception):
    """A request nobody can fulfil: an unknown verb, a missing field. Its words go into the response."""


def parsed(payload: bytes) -> tuple[dict[str, object], Transaction]:
    """A request, which is a JSON object or nothing at all, and its transaction. Raises RequestError."""
    if len(payload) > REQUEST_BYTES:
        raise RequestError(f"a request has at most {REQUEST_BYTES} bytes")
    try:
        found = msgspec.json.decode(payload or b"{}", type=dict[str, Any])
        transaction = msgspec.convert(found, payloads.Request).transaction
        msgspec.json.encode(found)  # what came must be able to go back
    except (ValueError, OverflowError, RecursionError) as error:
        raise RequestError(f"not a request, which is a JSON object: {error}") from None
    return found, transaction
