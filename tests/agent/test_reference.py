"""docs/configuration.md says every setting and every driver's option, and is in step with the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args, get_origin

import msgspec
import pytest

from agent.assemble import MOST_LEARNED
from agent.config import Config, load_text
from agent.forms import settings
from agent.monitor_config import MonitorConfig
from agent.reference import EXAMPLE, TARGET, configuration_markdown
from sensors import registry


def shapes(shape: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """A struct and all below it."""
    yield shape
    for setting in settings(shape):
        for part in (setting.base, *get_args(setting.base)):
            if isinstance(part, type) and issubclass(part, msgspec.Struct) and setting.form is None:
                yield from shapes(part)


def test_the_page_is_in_step_with_the_code() -> None:
    assert TARGET.read_text("utf-8") == configuration_markdown(), "run: python -m agent.reference"


def test_the_page_says_how_much_can_be_learned_from() -> None:
    learn = next(setting for setting in settings(MonitorConfig) if setting.key == "learn")
    assert f"at most {MOST_LEARNED} rows" in learn.about.text


@pytest.mark.parametrize("shape", list(shapes(Config)), ids=lambda shape: shape.__name__)
def test_every_setting_is_there_and_says_what_it_means(shape: type[msgspec.Struct]) -> None:
    page = configuration_markdown()
    for setting in settings(shape):
        if setting.about.role in ("", "switch"):
            assert setting.about.text.endswith("."), setting.key
            assert f"\n| `{setting.key}` | " in page
            assert setting.about.default or setting.default is not None, (
                f"{setting.key}: what is its default?"
            )


@pytest.mark.parametrize("driver", list(registry.DRIVERS))
def test_every_option_of_every_driver_is_there(driver: str) -> None:
    page = configuration_markdown()
    assert f"### Options of `driver: {driver}`" in page
    for option in registry.describe(driver):
        assert f"\n| `{option.name}` | " in page
        assert option.doc, f"{driver}: {option.name} says nothing"


def test_every_table_has_its_four_cells() -> None:
    for line in configuration_markdown().splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") == 5, line


def test_the_example_on_the_page_loads() -> None:
    config = load_text(EXAMPLE)
    assert {sensor.driver for sensor in config.sensors.values()} <= set(registry.DRIVERS)


def test_the_mistakes_on_the_page_are_what_is_said() -> None:
    text = EXAMPLE.replace("window: 20 rows", "window: 20 parsec")
    message = configuration_markdown().partition("monitors.pump.window: ")[2].partition("\n")[0]
    with pytest.raises(Exception, match="parsec") as caught:
        load_text(text)
    assert message in str(caught.value)


def test_every_choice_is_named() -> None:
    page = configuration_markdown()
    for shape in shapes(Config):
        for setting in settings(shape):
            if str(get_origin(setting.base)).endswith("Literal"):
                assert all(f"`{choice}`" in page for choice in get_args(setting.base))
