"""The options of the drivers as Markdown: `python -m sensors.reference docs/drivers.md` brings the page up to date."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sensors.registry import OptionDoc, describe

_TABLE = re.compile(r"(<!-- options: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(driver: str) -> str:
    """A driver's options, and those of the structures in them."""
    options = describe(driver)
    parts = [_rows(options)]
    parts += [f"`{option.name}` in turn:\n\n{_rows(option.fields)}" for option in options if option.fields]
    return "\n".join(parts)


def update(page: str) -> str:
    """The page with each table between `<!-- options: driver -->` and `<!-- end -->` written anew."""
    return _TABLE.sub(lambda match: f"{match[1]}{table(match[2])}{match[3]}", page)


def _rows(options: Sequence[OptionDoc]) -> str:
    lines = ["| option | what to write | default | meaning |", "|---|---|---|---|"]
    for option in options:
        lines.append(f"| `{option.name}` | {option.type} | {_default(option)} | {option.doc} |")
    return "\n".join(lines) + "\n"


def _default(option: OptionDoc) -> str:
    if option.required:
        return "must be given"
    if option.default in (None, (), ""):
        return ""
    return f"`{str(option.default).lower() if isinstance(option.default, bool) else option.default}`"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(update(path.read_text("utf-8")), "utf-8")
