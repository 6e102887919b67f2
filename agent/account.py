"""How a level came about: each feature's share of the score, and the scores against what they are measured by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from agent.evidence import Account, Contribution, Measure, Scene, Score, Spread
from models.baseline import SPREAD, Origin
from models.detector import Job, Learned, Shift
from models.features import Feature

PLAIN = (Measure(name="distance", adds_up="squared distance"), Measure(name="jump"))


def scores(
    job: Job, index: int, references: Sequence[float], measures: Sequence[Measure]
) -> tuple[Score, ...]:
    """Those of row `index`, the one that makes the level first."""
    raws = job.raw[: len(references), index].tolist()
    found = sorted(
        zip(measures, raws, references, strict=False), key=lambda score: score[1] / score[2], reverse=True
    )
    return tuple(
        Score(name=measure.name, adds_up=measure.adds_up, raw=raw, reference=reference)
        for measure, raw, reference in found
    )


def shares(shifts: Sequence[Shift], made: Score) -> list[float]:
    """Of the score that made the level, in the order of the shifts; they add up to 1. Where it is the largest of its
    columns and no sum, that one makes it alone."""
    total = sum(shift.share for shift in shifts)
    if made.adds_up and 0 < total < math.inf:
        return [shift.share / total for shift in shifts]
    return [float(i == 0) for i in range(len(shifts))]


def account(
    found: tuple[Score, ...],
    shifts: Sequence[Shift],
    columns: Sequence[Feature],
    *,
    edge: float,
    words: str,
) -> Account:
    """All of it; `words` say what the edge stands for."""
    parts = zip(shifts, shares(shifts, found[0]), strict=True)
    return Account(
        contributions=tuple(_contribution(shift, share, columns[shift.column]) for shift, share in parts),
        scores=found,
        edge=edge,
        notes=(words,),
    )


def _contribution(shift: Shift, share: float, column: Feature) -> Contribution:
    value, normal = shift.value, shift.normal
    if column.logarithm:
        value, normal = math.exp(value), math.exp(normal)
    return Contribution(
        feature=column.name,
        channel=column.channel,
        unit=column.unit,
        sigma=shift.sigma,
        share=share,
        value=value,
        normal=normal,
        fault=column.fault,
    )


def learned_scene(scene: Scene, origin: Origin, learned: Learned) -> Scene:
    """The scene with what was learned, and from what."""
    spread = learned.arrays.get(SPREAD)
    return replace(
        scene,
        learned_rows=origin.rows,
        learned_from=origin.first,
        learned_until=origin.last,
        learned=()
        if spread is None
        else tuple(Spread(low=low, median=mid, high=high) for low, mid, high in spread.T.tolist()),
    )
