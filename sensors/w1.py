"""The answer of a 1-Wire thermometer, as the kernel's w1_therm shows it, and whether it is to be believed."""

from __future__ import annotations

import re
from pathlib import Path

# Linux, Documentation/w1/slaves/w1_therm.rst: nine bytes, whether their checksum is right, and millidegrees
_ANSWER = re.compile(r"((?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (YES|NO)\n.*t=(-?\d+)\s*")
# what the scratchpad holds before the first conversion: 85 degC with COUNT REMAIN 0Ch and COUNT PER C 10h, as the
# DS18S20's datasheet (19-5474) has it, "Memory"; a DS18B20 that has converted 85 degC says 10h in the first of them
_POWER_ON = ({"50 05", "aa 00"}, "0c 10")


class WrongAnswer(Exception):
    """What was read is no measurement. Its text is the reason that it is counted by."""


def celsius(folder: Path) -> float:
    """The temperature now; converting it takes the thermometer up to 0.75 s. Raises WrongAnswer and OSError."""
    slave = folder / "w1_slave"
    if not slave.exists():
        return _millidegrees(_told(folder / "temperature"))
    match = _ANSWER.fullmatch(_told(slave))
    if match is None:
        raise WrongAnswer("not_a_number")
    octets, verdict, number = match.groups()
    if verdict == "NO":
        raise WrongAnswer("bad_crc")
    if not octets.replace("0", "").strip():
        raise WrongAnswer("no_answer")  # a shorted line: zeros, whose checksum is right
    if octets[:5] in _POWER_ON[0] and octets[18:23] == _POWER_ON[1]:
        raise WrongAnswer("power_on")
    return _millidegrees(number)


def _told(path: Path) -> str:
    text = path.read_text("utf-8", "replace")
    if not text.strip():
        raise WrongAnswer("no_answer")  # the kernel tried thrice
    return text


def _millidegrees(text: str) -> float:
    try:
        return int(text) / 1000
    except (ValueError, OverflowError):
        raise WrongAnswer("not_a_number") from None
