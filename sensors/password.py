"""A password for a driver: in a file of its own or in the environment, never in the configuration."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sensors.base import OptionError, SensorError


@dataclass(frozen=True, slots=True)
class Password:
    """Where it is: the first line of `password_file`, or the variable `password_env`."""

    username: str
    file: Path | None
    variable: str

    def __post_init__(self) -> None:
        if self.file is not None and self.variable:
            raise OptionError("password_env", self.variable, "is not needed: password_file is there already")
        if (self.file is not None or self.variable) and not self.username:
            raise OptionError("username", None, "is missing: a password needs one beside it")

    def read(self) -> str:
        """ "" where there is none. Raises SensorError."""
        if self.variable:
            word = os.environ.get(self.variable, "")
            if not word:
                raise SensorError(f"the environment variable {self.variable} is not set, or empty")
            return word
        if self.file is None:
            return ""
        try:
            lines = self.file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SensorError(f"{self.file}: cannot be read: {why}") from None
        if not lines or not lines[0]:
            raise SensorError(f"{self.file}: is empty: its first line must be the password")
        return lines[0]


def as_told(url: str) -> str:
    """A URL as it may be told: what stands before its host may be a password, and so may its query."""
    return re.sub(r"\?.+", "?...", re.sub(r"//[^/]*@", "//...@", url), flags=re.DOTALL)
