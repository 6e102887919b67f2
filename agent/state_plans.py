"""From the settings of operating states to how they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from agent.conditions import bounds
from agent.config import ConfigError
from agent.detectors import DETECTORS, VIBRATION_WINDOWS, Shape
from agent.monitor_config import MonitorConfig
from agent.operating import StatePlan
from agent.states_config import StatesConfig
from agent.yaml_lines import Mistake
from models.features import Feature
from models.states import Candidate

DWELL = 3  # spans of what is averaged into a score: a state lasts so long on average
PERSIST = 2  # dwells in one place, until it is a state
LESSON_SHARE = 4  # a state takes the fourth part of a whole lesson to learn
FEWEST = 2  # times as many rows as its detector needs


def state_plan(config: MonitorConfig, shape: Shape, columns: Sequence[Feature]) -> StatePlan | None:
    """None where a monitor has one state: by its settings, or because its channels alone cannot tell any. Raises
    ConfigError."""
    asked = config.states
    detector = DETECTORS[shape.detector]
    if asked is not None and asked.most > 1 and not detector.states:
        _refuse(
            config,
            "states",
            f"is not a setting of {shape.detector}: it follows each channel through its changes",
        )
    if (asked is not None and asked.most == 1) or not detector.states or (asked is None and len(columns) < 2):
        return None
    settings = asked or StatesConfig()
    candidates = _candidates(config, shape, columns, settings)
    conditions = []
    for index, condition in enumerate(settings.where):
        try:
            conditions.append(bounds(condition, candidates))
        except ValueError as error:
            _refuse(config, f"states.where[{index}]", str(error))
    if conditions and settings.channels:
        _refuse(config, "states.channels", "is not needed: `where` says what the states are")
    if conditions and len(conditions) > settings.most:
        _refuse(config, "states.where", f"has {len(conditions)} states: `most` allows {settings.most}")
    names = settings.names
    if conditions and len(names) < len(conditions):
        names = (*names, *settings.where[len(names) :])

    def rows(seconds: float) -> int:
        return max(1, round(seconds / shape.hop_s))

    dwell = DWELL * shape.smooth
    usual = detector.learn_rows or VIBRATION_WINDOWS
    fewest = FEWEST * detector.fewest(shape.smooth, shape.every)
    return StatePlan(
        candidates,
        tuple(conditions),
        names,
        settings.most,
        bool(settings.channels),
        dwell=dwell,
        settle=None if settings.settle_s is None else rows(settings.settle_s),
        bound=rows(settings.transition_s),
        patience=rows(settings.unknown_after_s),
        persist=max(PERSIST * dwell, rows(settings.transition_s)),
        least=max(fewest, min(shape.learn // LESSON_SHARE, usual)),
        later=max(fewest, min(shape.learn, usual)),
    )


def told_by(settings: StatesConfig) -> str:
    """What a baseline depends on, in words a person can compare."""
    if settings.most == 1:
        return "none"
    found = "; ".join(settings.where) or ", ".join(settings.channels) or "found"
    return f"{found}; at most {settings.most}"


def _candidates(
    config: MonitorConfig, shape: Shape, columns: Sequence[Feature], settings: StatesConfig
) -> tuple[Candidate, ...]:
    """The columns that may tell states: channels as they are, of a vibration its overall level."""
    vibration = shape.kind == "vibration"
    found = {
        column.channel: Candidate(i, column.name, column.unit, column.logarithm)
        for i, column in reversed([*enumerate(columns)])
        if not vibration or column.name == f"{column.channel} RMS"
    }
    for index, name in enumerate(settings.channels):
        if name not in found:
            known = ", ".join(reversed(found))
            _refuse(
                config, f"states.channels[{index}]", f"{name!r} is not a channel of this monitor: {known}"
            )
    chosen = settings.channels or tuple(reversed(found))
    return tuple(found[name] for name in chosen)


def _refuse(config: MonitorConfig, key: str, message: str) -> NoReturn:
    raise ConfigError([Mistake("", 0, f"monitors.{config.name}.{key}", message)])
