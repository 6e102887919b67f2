"""How a table writes its numbers: what marks the decimals, and what the thousands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sensors.times import is_number

_SPACES = " \u00a0\u2009\u202f"  # also those that do not break, as French and Swiss tables have them
_SPACED = re.compile(rf"[+-]?\d{{1,3}}(?:['’{_SPACES}]\d{{3}})+(?:[.,]\d+)?")
_SPACE = re.compile(rf"['’{_SPACES}]")
_BOTH = {  # thousands and decimals, so it is plain which is which; or two thousands, which is as plain
    ",": re.compile(r"[+-]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})"),
    ".": re.compile(r"[+-]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})"),
}
_EITHER = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}\{mark}\d{{3}}") for mark in ",."}
_DECIMAL = {mark: re.compile(rf"[+-]?(?:\d*\{mark}\d+|\d+\{mark})(?:[eE][+-]?\d+)?") for mark in ",."}
# a cell in a line that may be a thousand to the eye, and a fraction to numpy
_EITHER_DOT = re.compile(r'(?:^|[;\t"])\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*(?=[;\t"\r\n]|$)', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Decimals:
    """The marks of one table. `thousands` is empty where none were seen."""

    decimal: str = "."
    thousands: str = ""
    sure: bool = False  # some cell proves the decimal mark

    def number(self, cell: str) -> float | None:
        """What the cell says; None where it is no number, or may be one of two."""
        other = "," if self.decimal == "." else "."
        if self.sure and (_BOTH[other].fullmatch(cell) or _EITHER[other].fullmatch(cell)):
            if not self.thousands and _EITHER[other].fullmatch(cell):
                return None  # 1.234 beside 1,5
            cell = cell.replace(other, "")
        elif _SPACED.fullmatch(cell):
            cell = _SPACE.sub("", cell)
        if self.decimal == "," and _DECIMAL[","].fullmatch(cell):
            cell = cell.replace(",", ".")
        return float(cell) if is_number(cell) else None

    def unlike_numpy(self, text: str) -> bool:
        """Whether numpy would misread something in these lines."""
        if self.decimal == ".":
            return False
        return self.thousands == "." or (self.sure and "." in text and _EITHER_DOT.search(text) is not None)


def looks_numeric(cell: str) -> bool:
    """Whether a cell is a number in any way of writing."""
    return is_number(cell) or any(
        form.fullmatch(cell) for form in (_SPACED, *_BOTH.values(), _DECIMAL[","], _EITHER[","])
    )


def find_decimals(cells: Iterable[str], delimiter: str) -> Decimals:
    """The marks that fit these cells of a table. Raises ValueError where two readings of a number fit."""
    thousands: dict[str, str] = {}
    proofs: dict[str, str] = {}
    doubts: dict[str, str] = {}
    for cell in cells:
        for mark, other in ((",", "."), (".", ",")):
            if _BOTH[mark].fullmatch(cell):
                thousands.setdefault(mark, cell)
                proofs.setdefault(other, cell)
            elif _EITHER[mark].fullmatch(cell):
                doubts.setdefault(mark, cell)
            elif mark in cell and (_DECIMAL[mark].fullmatch(cell) or _SPACED.fullmatch(cell)):
                proofs.setdefault(mark, cell)
    if len(proofs) == 2 and (thousands or doubts):
        first, second = proofs.values()
        raise ValueError(f"{first!r} and {second!r} mark their decimals differently: write them all alike")
    if thousands:
        mark = next(iter(thousands))
        return Decimals("," if mark == "." else ".", mark, True)
    if "," in proofs:
        if "." in doubts:
            raise ValueError(f"{doubts['.']!r} beside {proofs[',']!r} may mean a thousand or a fraction: "
                             "write numbers without marks of thousands")  # fmt: skip
        return Decimals(",", "", "." not in proofs)
    if "." in proofs or "." in doubts:
        return Decimals(".", "," if "," in doubts else "", True)
    if delimiter != ",":  # where cells are not parted by commas, it is because numbers have them
        return Decimals(",")
    if "," in doubts:
        raise ValueError(f"{doubts[',']!r} may mean a thousand or a fraction: "
                         "write numbers without marks of thousands")  # fmt: skip
    return Decimals()
