"""What alarms, scores and emissions on the pump recordings come to, pooled over files: the same for all who try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.resampling import interval
from benchmarks.scores import changepoints, points
from benchmarks.scores.points import Bools
from benchmarks.scores.volume import vus_pr
from benchmarks.skab_files import TRAIN, Recording

WIDEST = 60  # rows of VUS-PR's buffer, as the changepoint score's window
HOUR_S = 3600.0
DRAWS = 200  # of VUS-PR, which takes a while
REST = slice(TRAIN, None)

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said of the rows of one file after those it learned from."""

    rows: Bools  # (n,) called anomalous
    scores: Doubles  # (n,)
    alarm: Bools  # (n,) an alert stands
    emitted: tuple[int, ...] = ()  # rows at which a changepoint was told


@dataclass(slots=True)
class Scored:
    """All files."""

    recordings: Sequence[Recording]
    said: Sequence[Said]

    def figures(self) -> dict[str, Any]:
        """The keys that every benchmark of these recordings has."""
        counts = points.total(self._counts())
        found = changepoints.total(self._found())
        delays = [delay for each in self.delays() for delay in each]
        heard = [delay for delay in delays if delay is not None]
        return {
            "f1": counts.f1,
            "far": counts.far,
            "mar": counts.mar,
            "vus_pr": self._volume(np.arange(len(self.said))),
            "nab_standard": found.score("nab_standard"),
            "nab_low_fp": found.score("nab_low_fp"),
            "nab_low_fn": found.score("nab_low_fn"),
            "emissions_per_file": float(np.mean([len(one.emitted) for one in self.said])),
            "false_per_hour": self.false_alarms() / self.normal_hours(),
            "median_delay_s": float(np.median(heard)) if heard else None,
            "anomalies": len(delays),
            "anomalies_heard": len(heard),
        }

    def intervals(self) -> dict[str, Any]:
        """95 % over files."""
        counts, found = self._counts(), self._found()

        def pooled(figure: Callable[[points.Counts], float]) -> tuple[float, float] | None:
            return interval(len(counts), lambda drawn: figure(points.total([counts[i] for i in drawn])))

        def changed(profile: str) -> tuple[float, float] | None:
            total = changepoints.total
            return interval(len(found), lambda drawn: total([found[i] for i in drawn]).score(profile))

        return {
            "f1": pooled(lambda total: total.f1),
            "far": pooled(lambda total: total.far),
            "mar": pooled(lambda total: total.mar),
            "vus_pr": interval(len(self.said), self._volume, DRAWS),
            "nab_standard": changed("nab_standard"),
            "nab_low_fp": changed("nab_low_fp"),
        }

    def delays(self) -> list[list[float | None]]:
        """Of each file's anomalies, until an alarm stands; None where none does."""
        return [
            points.delays_s(one.times[REST], one.anomaly[REST], said.alarm)
            for one, said in zip(self.recordings, self.said, strict=True)
        ]

    def false_alarms(self) -> int:
        """Alarms that began outside of anomalies."""
        pairs = zip(self.recordings, self.said, strict=True)
        return sum(points.false_alarms(one.anomaly[REST], said.alarm) for one, said in pairs)

    def normal_hours(self) -> float:
        """Of the rows that were judged and are not anomalous."""
        rows = sum(int((~one.anomaly[REST]).sum()) for one in self.recordings)
        return rows / rate_hz(self.recordings) / HOUR_S

    def _counts(self) -> list[points.Counts]:
        pairs = zip(self.recordings, self.said, strict=True)
        return [points.count(one.anomaly[REST], said.rows) for one, said in pairs]

    def _found(self) -> list[changepoints.Found]:
        return [
            changepoints.find(
                one.times[REST], np.flatnonzero(one.changepoint[REST]).tolist(), list(said.emitted)
            )
            for one, said in zip(self.recordings, self.said, strict=True)
        ]

    def _volume(self, drawn: NDArray[np.intp]) -> float:
        return vus_pr([(self.recordings[i].anomaly[REST], self.said[i].scores) for i in drawn], WIDEST)


def rate_hz(recordings: Sequence[Recording]) -> float:
    """From the median of all steps."""
    return float(1 / np.median(np.concatenate([np.diff(one.times) for one in recordings])))
