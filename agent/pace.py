"""How many samples a second a sensor really gives, over the last minute."""

from __future__ import annotations

SPAN_S = 60.0
MARK_S = 1.0  # between two marks at least: sixty of them tell a minute


class Pace:
    """Filled by one thread; others may ask at any time, for what they see is replaced whole."""

    def __init__(self) -> None:
        self._marks: tuple[tuple[float, int], ...] = ()  # when readings came, and the rows until then

    def mark(self, rows: int, now: float) -> None:
        """A reading has come: `rows` samples so far. `now` is monotonic."""
        if self._marks and now - self._marks[-1][0] < MARK_S:
            return
        kept = [mark for mark in self._marks[:-1] if now - mark[0] <= SPAN_S]
        self._marks = (*kept, *self._marks[-1:], (now, rows))

    def rate_hz(self, now: float) -> float | None:
        """Samples per second; None until two readings, a second apart, have come.

        From one reading to another, so that it does not depend on when it is asked. When one is overdue, until now.
        """
        marks = self._marks
        if len(marks) < 2:
            return None
        (begin, before), (end, after) = marks[0], marks[-1]
        usual = (end - begin) / (len(marks) - 1)
        if now - end > 2 * usual:
            end = now
        return float(f"{(after - before) / (end - begin):.6g}")

    def restart(self) -> None:
        """The sensor is opened anew: what it gave before says nothing of now."""
        self._marks = ()


def per_second(rate_hz: float) -> str:
    """A measured rate as a person reads it: three digits, the others are those of a clock."""
    return f"{float(f'{rate_hz:.3g}'):g} a second"
