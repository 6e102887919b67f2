"""A monitor's settings on the command line, as in a configuration: what is walked other than as it comes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import yaml

from agent.config import ConfigError, load_text
from agent.monitor_config import MonitorConfig


@dataclass(frozen=True, slots=True)
class Settings:
    """As they were written, and what they come to."""

    text: str
    config: MonitorConfig


def add(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument(
        "--monitor",
        metavar="SETTINGS",
        type=settings,
        default="",
        help="of the monitor, as in a configuration: 'detector: knn', '{false_alarms: 1 per day, window: 30 s}'",
    )


def settings(text: str) -> Settings:
    """Raises argparse.ArgumentTypeError with every mistake."""
    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no YAML: {error}") from None
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError(f"{text!r} has no settings: write e.g. 'detector: knn'")
    document = {
        "sensors": {"recording": {"driver": "host"}},
        "monitors": {"recording": {**given, "sensor": "recording"}},
    }
    try:
        config = load_text(yaml.safe_dump(document)).monitors["recording"]
    except ConfigError as error:
        said = (f"{each.path.removeprefix('monitors.recording.')} {each.message}" for each in error.mistakes)
        raise argparse.ArgumentTypeError("; ".join(said)) from None
    return Settings(text, config)


def told(text: str) -> str:
    """What differs from how it comes, for a sentence."""
    return f", `{text}`" if text else ""
