"""How soon to come back to a broker after a failure."""

from __future__ import annotations

from dataclasses import dataclass

from sensors.broker import BrokerOptions

__all__ = ["Backoff", "BrokerOptions"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the n-th try in a row, n from 1: doubling, with jitter, up to most_s.

    Jitter, so that a hundred agents do not come back to a restarted broker in the same second.
    """

    first_s: float = 0.5
    most_s: float = 60.0

    def delay_s(self, attempt: int, chance: float) -> float:
        """`chance` is uniform in 0..1."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return longest * (0.5 + 0.5 * chance)
