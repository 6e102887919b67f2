"""Values as devices publish them, and the options that say where."""

from __future__ import annotations

import pytest

from sensors import OptionError, check, create
from sensors.published import GONE, is_gone, matches, time_of

VALUES = [{"name": "a", "topic": "a"}]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([], "values"),
        ([{"name": "a"}], "values[0].topic"),
        ([{"name": "a", "topic": "a", "sparkplug": "g/n", "metric": "m"}], "values[0].topic"),
        ([{"name": "a", "topic": "a/#/b"}], "values[0].topic"),
        ([{"name": "a", "topic": "a+"}], "values[0].topic"),
        ([{"name": "a", "topic": "a", "availability": "#a"}], "values[0].availability"),
        ([{"name": "a", "topic": "a", "path": "b["}], "values[0].path"),
        ([{"name": "a", "topic": "a", "time": "b["}], "values[0].time"),
        ([{"name": "a", "topic": "a", "metric": "m"}], "values[0].metric"),
        ([{"name": "a", "sparkplug": "g/n"}], "values[0].metric"),
        ([{"name": "a", "sparkplug": "g", "metric": "m"}], "values[0].sparkplug"),
        ([{"name": "a", "sparkplug": "g/n", "metric": "m", "path": "b"}], "values[0].path"),
        ([{"name": "a", "topic": "a"}, {"name": "a", "topic": "b"}], "values[1].name"),
        ([{"name": "a", "topic": "a", "stale_after_s": 0}], "values[0].stale_after_s"),
    ],
)
def test_values_that_make_no_sense_are_told_with_their_path(
    values: list[dict[str, object]], path: str
) -> None:
    assert [problem.path for problem in check("mqtt", {"values": values})] == [path]


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"ca_file": "ca.pem"}, "ca_file", "needs tls: true"),
        ({"tls": True, "cert_file": "us.pem"}, "cert_file", "belong together"),
        ({"password_env": "A"}, "username", "is missing"),
        ({"username": "a", "password_env": "A", "password_file": "b"}, "password_env", "is not needed"),
        ({"password": "secret"}, "password", "name a file with it as password_file"),
        ({"port": 0}, "port", "must be of at least 1"),
    ],
)
def test_options_that_do_not_go_together_are_told(options: dict[str, object], path: str, words: str) -> None:
    (problem,) = check("mqtt", {"values": VALUES, **options})
    assert problem.path == path
    assert words in problem.message


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (1_700_000_000, 1_700_000_000.0),
        (1_700_000_000_250, 1_700_000_000.25),
        ("1700000000", 1_700_000_000.0),
        ("2024-03-31T12:00:00Z", 1_711_886_400.0),
        ("2024-03-31T12:00:00+02:00", 1_711_879_200.0),
    ],
)
def test_times_in_payloads_are_unix_or_have_their_zone(given: object, meant: float) -> None:
    assert time_of(given) == meant


@pytest.mark.parametrize("given", ["2024-03-31T12:00:00", "2024-03-31", "soon", None, [], ""])
def test_a_time_that_may_be_of_any_zone_is_none(given: object) -> None:
    with pytest.raises(ValueError):
        time_of(given)


@pytest.mark.parametrize(
    ("pattern", "topic", "heard"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/b", "a/b", True),
        ("a", "b", False),
    ],
)
def test_wildcards_stand_for_levels(pattern: str, topic: str, heard: bool) -> None:
    assert matches(pattern, topic) is heard


def test_a_device_that_is_gone_is_known_by_its_word() -> None:
    assert all(is_gone(word.encode()) and is_gone(word.upper().encode()) for word in GONE)
    assert is_gone(b'{"state":"offline"}')
    assert not any(
        is_gone(said)
        for said in (
            b"online",
            b'{"state":"online"}',
            b"true",
            b"[]",
            b"{}",
            b"",
            b"\xff",
            b'{"state":"\\ud800"}',
        )
    )


def test_a_constructor_refuses_what_check_refuses() -> None:
    with pytest.raises(OptionError, match="values: is empty"):
        create("shop", "mqtt", {"values": []})
