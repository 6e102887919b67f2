"""Numbers as sources tell them, made the quantities of channels: the same for every driver that is told of some."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sensors import check
from sensors.base import Channel, OptionError
from sensors.quantity import Quantity
from sensors.registry import describe

# a channel of each driver whose channels are described one by one
DRIVERS: dict[str, tuple[str, dict[str, Any], dict[str, object]]] = {
    "exec": ("channels", {"command": ["true"]}, {"name": "a"}),
    "http": ("channels", {"url": "http://127.0.0.1/"}, {"name": "a"}),
    "modbus": ("registers", {"host": "plc"}, {"name": "a", "address": 40001}),
    "mqtt": ("values", {}, {"name": "a", "topic": "a"}),
    "opcua": ("nodes", {"url": "opc.tcp://plc:4840"}, {"name": "a", "node": "i=1"}),
    "serial": ("channels", {"port": "/dev/ttyUSB0"}, {"name": "a"}),
    "sysfs": ("channels", {}, {"path": "/proc/uptime", "name": "a"}),
}


def test_the_number_is_scaled_and_what_is_outside_of_its_limits_is_refused() -> None:
    oven = Quantity("oven", unit="Cel", scale=0.1, offset=-40, lowest=-20, highest=300)
    assert oven.channel == Channel("oven", "Cel")
    assert oven.of(640) == pytest.approx(24)
    assert math.isnan(oven.of(math.nan))
    for number, why in ((100, "-30 is below -20"), (8500, "810 is above 300"), (1e300, "is too large")):
        with pytest.raises(ValueError, match=why):
            oven.of(number)


@pytest.mark.parametrize(
    ("scale", "offset", "counts"), [(0.1, 0, 1023), (0.1, 0, 63), (0.01, 0, 255), (0.1, -40, 400)]
)
def test_a_limit_itself_is_within_whatever_its_rounding(scale: float, offset: float, counts: int) -> None:
    limit = round(counts * scale + offset, 6)
    assert counts * scale + offset != limit or limit == 0
    quantity = Quantity("a", scale=scale, offset=offset, lowest=limit, highest=limit)
    assert quantity.of(counts) == pytest.approx(limit)
    with pytest.raises(ValueError, match="is above"):
        Quantity("a", scale=scale, offset=offset, highest=limit).of(counts + 1)


def test_limits_that_leave_nothing_are_refused() -> None:
    with pytest.raises(OptionError, match="must not be above highest"):
        Quantity("oven", lowest=2, highest=1)


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver_that_is_told_its_channels_takes_the_same_words_for_them(driver: str) -> None:
    option, rest, channel = DRIVERS[driver]
    whole = {"unit": "Cel", "scale": 0.1, "offset": 1, "lowest": 0, "highest": 9}
    assert check(driver, {**rest, option: [{**channel, **whole}]}) == []
    for wrong, path, why in (
        ([], option, "is empty: say what to read"),
        ([channel, channel], f"{option}[1].name", "is the name of two channels"),
        ([{**channel, "lowest": 2, "highest": 1}], f"{option}[0].lowest", "must not be above highest"),
    ):
        (problem,) = check(driver, {**rest, option: wrong})
        assert problem.path == path
        assert why in problem.message


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_shared_is_told_of_each(driver: str) -> None:
    (told,) = (option for option in describe(driver) if option.name == DRIVERS[driver][0])
    texts = {field.name: field.doc for field in told.fields}
    assert {"name", "unit", "scale", "offset", "lowest", "highest"} <= set(texts)
    assert all(texts.values())
    required = [field.required for field in told.fields]
    assert required == sorted(required, reverse=True), "what must be given comes first"
