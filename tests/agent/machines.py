"""Machines to listen to and monitors that do, for the tests of the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agent.alerts import Event, Plan, Rule
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from models.baseline import Baseline
from models.detector import Head
from models.features import telemetry
from models.level import Level
from models.mahalanobis import Mahalanobis
from models.window import Windower
from sensors.base import Reading

Array = NDArray[np.float32]
START = 1700000000.0
CHANNELS = (("pressure", "Pa"), ("temperature", "Cel"), ("current", "A"), ("flow", "m3/h"))
RULE = Rule(on_delay_s=5, off_delay_s=10)


def healthy(rows: int, width: int = 3, seed: int = 0) -> Array:
    """Rows of a machine that is well."""
    noise = np.random.default_rng(seed).standard_normal((rows, width))
    return (noise * [100, 0.5, 0.1, 2][:width] + [2e5, 60, 4, 30][:width]).astype(np.float32)


def monitor(
    name: str = "pump",
    sensor: str = "rig",
    *,
    columns: Sequence[int] | None = None,
    width: int = 3,
    head: Head | None = None,
    rule: Rule = RULE,
    learn_rows: int = 200,
    max_gap_s: float = 10.0,
    baseline: Baseline | None = None,
    seq: int = 0,
    hop_s: float = 1.0,
) -> Monitor:
    """Of some channels of a sensor with `width`."""
    chosen = [CHANNELS[i] for i in (range(width) if columns is None else columns)]
    return Monitor(
        name,
        sensor,
        columns=columns,
        windower=Windower(1, 1, len(chosen), max_gap_s),
        features=telemetry(chosen),
        head=head or Mahalanobis(len(chosen), smooth=5),
        rule=rule,
        learn_rows=learn_rows,
        plan=Plan(hop_s),
        belongs_to={
            "sensor": sensor,
            "channels": ", ".join(f"{channel} [{unit}]" for channel, unit in chosen),
        },
        baseline=baseline,
        seq=seq,
    )


def level(name: str = "pump", *, rule: Rule | None = None, **options: object) -> Monitor:
    """A monitor of one channel by the level bank, or of several."""
    columns = options.pop("columns", [1])
    assert isinstance(columns, list)
    rule = rule or Rule(on_delay_s=0, off_delay_s=3, hold_s=100)
    return monitor(name, columns=columns, head=Level(len(columns)), rule=rule, **options)  # type: ignore[arg-type]


def reading(values: Array, first: int = 0, sensor: str = "rig", rate_hz: float = 1.0) -> Reading:
    """Rows of a sensor, the first of which is its row number `first`."""
    return Reading(sensor, START + first / rate_hz, rate_hz, values)


def pieces(values: Array, cuts: Iterable[int], first: int = 0, sensor: str = "rig") -> Iterator[Reading]:
    """Cut into readings."""
    for a, b in pairwise([0, *sorted({cut for cut in cuts if 0 < cut < len(values)}), len(values)]):
        yield reading(values[a:b], first + a, sensor)


def heard(pipeline: Pipeline, readings: Iterable[Reading]) -> list[Event]:
    """Everything it says, one reading at a time."""
    return [event for one in readings for event in pipeline.push([one])]


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind for event in events]
