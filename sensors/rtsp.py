"""What a camera answers over RTSP (RFC 2326) before ffmpeg meets it, which would follow it anywhere."""

from __future__ import annotations

import time
from typing import BinaryIO

from sensors.http_fetch import Address, Endpoint, connect
from sensors.password import as_told

LONGEST_LINE, MOST_LINES = 8192, 100  # of the head of an answer
LARGEST_BODY = 2**16  # bytes; a description has a few hundred


def refuse_redirection(endpoint: Endpoint, address: Address, timeout_s: float) -> None:
    """Ask as ffmpeg will, without user and password. Raises OSError in words where the camera sends us elsewhere."""
    try:
        with connect(address, time.monotonic() + timeout_s, None, endpoint.host) as sock:
            with sock.makefile("rb") as answers:
                for number, method in enumerate(("OPTIONS", "DESCRIBE"), start=1):
                    about = f"{method} {endpoint.at(address)} RTSP/1.0\r\nCSeq: {number}\r\n"
                    sock.sendall(f"{about}Accept: application/sdp\r\n\r\n".encode())
                    status, place = _answer(answers)
                    if status.startswith("3"):
                        where = f" to {as_told(place)[:100]!r}" if place else ""
                        raise OSError(
                            f"answers {status}{where}: give the URL that is meant, none is followed"
                        )
    except TimeoutError:
        raise OSError(f"no answer within {timeout_s:g} s") from None


def _answer(answers: BinaryIO) -> tuple[str, str]:
    """Its status with what it says of it, and the place that it names. Raises OSError for what is no answer."""
    first, *head = _head(answers)
    version, _, status = first.partition(" ")
    if not version.startswith("RTSP/"):
        raise OSError("answers what is no RTSP")
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head)
    }
    length = fields.get("content-length", "0")
    answers.read(min(int(length), LARGEST_BODY) if length.isdecimal() else 0)
    return status, fields.get("location", "")


def _head(answers: BinaryIO) -> list[str]:
    lines: list[str] = []
    while len(lines) < MOST_LINES:
        line = answers.readline(LONGEST_LINE).decode("utf-8", "replace").strip()
        if not line:
            break
        lines.append(line)
    return lines or [""]
