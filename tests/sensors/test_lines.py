"""Lines of text, and the values in them."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors import OptionError
from sensors.cells import Skip
from sensors.lines import LONGEST, Line, LineForm, Splitter, Unreadable, Value

AB = (Value("a"), Value("b"))
NAN = math.nan


def counted(skipped: Counter[str]) -> Skip:
    return lambda reason, _: skipped.update([reason])


def told(text: str, line: Line, *values: Value) -> list[tuple[str, str]]:
    """What is skipped of a line, and why in words."""
    skipped: list[tuple[str, str]] = []
    try:
        LineForm(line, values or AB, lambda *case: skipped.append(case)).read(text)
    except Unreadable as error:
        skipped.append((error.reason, str(error)))
    return skipped


def read(text: str, line: Line, *values: Value) -> tuple[list[float], dict[str, int]]:
    """The values of a line, and what was counted."""
    skipped = Counter[str]()
    return LineForm(line, values or AB, counted(skipped)).read(text)[1], dict(skipped)


# Forms.


@pytest.mark.parametrize(
    ("text", "line", "values"),
    [
        ("1,2", Line(), [1, 2]),
        (' 1.5 , "2" ,x', Line(), [1.5, 2]),
        ("1;2,5", Line(separator=";", decimal=","), [1, 2.5]),
        ("  1 \t 2  ", Line(separator=" "), [1, 2]),
        ("1\t2", Line(separator="\t"), [1, 2]),
        ('{"a": 1, "b": "2.5"}', Line("json"), [1, 2.5]),
        ('{"a": true, "b": null}', Line("json"), [1, NAN]),
        ("T= 1.5 C  P=-2 bar", Line("pattern", pattern=r"T=\s*(?P<a>\S+) C.*P=(?P<b>\S+)"), [1.5, -2]),
        ("T=1,5", Line("pattern", decimal=",", pattern="T=(?P<a>.+)|P=(?P<b>.+)"), [1.5, NAN]),
    ],
)
def test_each_form_finds_its_values(text: str, line: Line, values: list[float]) -> None:
    assert read(text, line)[0] == pytest.approx(values, nan_ok=True)


def test_values_stand_where_they_are_said_to() -> None:
    columns = (Value("a", at=3), Value("b", at=1, scale=0.1, offset=-1))
    assert read("10,x,30", Line(), *columns)[0] == [30, 0]
    paths = (Value("a", at="s[1].v"), Value("b", at="n"))
    assert read('{"s": [0, {"v": 4}], "n": 5}', Line("json"), *paths)[0] == [4, 5]
    groups = (Value("a", at="t"), Value("b", at="p"))
    assert read("4/5", Line("pattern", pattern=r"(?P<t>\d)/(?P<p>\d)"), *groups)[0] == [4, 5]


@pytest.mark.parametrize(
    ("text", "values", "counted"),
    [
        ("1,", [1, NAN], {"missing_values": 1}),
        ("1,nan", [1, NAN], {"not_a_number": 1}),
        ("1,0x10", [1, NAN], {"not_a_number": 1}),
        ("1,1e39", [1, NAN], {"not_a_number": 1}),
        ("1,1e38", [1, NAN], {"out_of_range": 1}),
    ],
)
def test_a_value_that_is_none_is_missing_and_counted(
    text: str, values: list[float], counted: dict[str, int]
) -> None:
    found = read(text, Line(), Value("a"), Value("b", scale=1e3))
    assert found[0] == pytest.approx(values, nan_ok=True)
    assert found[1] == counted


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a,b", Line(), "unreadable_lines"),
        ("1", Line(), "missing_columns"),
        ("", Line(), "missing_columns"),
        ('"1,2', Line(), "missing_columns"),
        ("{", Line("json"), "unreadable_lines"),
        ("[1, 2]", Line("json"), "unreadable_lines"),
        ("[" * 60_000, Line("json"), "unreadable_lines"),
        ("nothing", Line("pattern", pattern="T=(?P<a>.+)|P=(?P<b>.+)"), "unreadable_lines"),
    ],
)
def test_a_line_without_any_value_is_no_sample(text: str, line: Line, reason: str) -> None:
    with pytest.raises(Unreadable) as told:
        read(text, line)
    assert told.value.reason == reason
    assert len(str(told.value)) < 250


T = Line("pattern", pattern=r"T=(?P<a>\S+)")


@pytest.mark.parametrize(
    ("text", "line", "case"),
    [
        ("t: 20.5", T, ("unreadable_lines", r"'t: 20.5' does not match the pattern T=(?P<a>\S+)")),
        ("x" * 90, T, ("unreadable_lines", f"'{'x' * 80}'... does not match the pattern T=(?P<a>\\S+)")),
        ("T=hot", T, ("unreadable_lines", "group a: 'hot' is not a number in 'T=hot'")),
        ("T=12.3", T, ("out_of_range", "a: 12.3 is above 6 in 'T=12.3'")),
        ("", Line(), ("missing_columns", "'' has 1 column, not 2")),
        ("1", Line(), ("missing_columns", "'1' has 1 column, not 2")),
        (
            "1;2",
            Line(),
            ("missing_columns", "'1;2' has 1 column, not 2: line.separator \";\" would find them"),
        ),
        (
            "1 2",
            Line(),
            ("missing_columns", "'1 2' has 1 column, not 2: line.separator \" \" would find them"),
        ),
        ("4,", Line(), ("missing_values", "nothing stands at column 2 in '4,'")),
        ('{"a": 1}', Line("json"), ("missing_values", "nothing stands at b in '{\"a\": 1}'")),
        ("{", Line("json"), ("unreadable_lines", "'{' is no JSON: Expecting property name")),
        ("what,1,2", Line(time=1), ("bad_times", "'what' is not a time")),
        ("\x1b[2J", T, ("unreadable_lines", r"'\x1b[2J' does not match the pattern T=(?P<a>\S+)")),
    ],
)
def test_what_cannot_be_used_is_told_with_the_line(text: str, line: Line, case: tuple[str, str]) -> None:
    values: tuple[Value, ...] = (Value("a", highest=6),) if line is T else ()
    if line.time:
        values = (Value("a", at=2), Value("b", at=3))
    ((reason, words),) = told(text, line, *values)
    assert reason == case[0]
    assert words.startswith(case[1])


def test_a_value_out_of_range_is_missing_from_a_line_that_was_read() -> None:
    values, skipped = read("12.3", Line(), Value("a", highest=6))
    assert math.isnan(values[0])
    assert skipped == {"out_of_range": 1}


# Times.


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1700000000.25,1,2", 1_700_000_000.25),
        ("1700000000250,1,2", 1_700_000_000.25),
        ("2023-11-14T22:13:20.25Z,1,2", 1_700_000_000.25),
        ("2023-11-14 23:13:20.25+01:00,1,2", 1_700_000_000.25),
    ],
)
def test_the_time_of_a_line_is_read_in_the_form_of_the_first(text: str, time: float) -> None:
    form = LineForm(Line(time=1), (Value("a", at=2), Value("b", at=3)), counted(Counter()))
    with pytest.raises(Unreadable, match=r"not a time|before the year 2000"):
        form.read("5,1,2")  # a clock that was never set: 1970
    assert form.read(text) == (time, [1.0, 2.0])
    with pytest.raises(Unreadable, match="not a time"):
        form.read("what,1,2")


def test_a_document_says_its_time_as_a_number_or_a_text() -> None:
    form = LineForm(Line("json", time="t"), [Value("a")], counted(Counter()))
    assert form.read('{"t": 1700000000250, "a": 1}') == (1_700_000_000.25, [1.0])
    for wrong in ("null", "true", "[]", "{}", "-1", '""', "1e999", "9" * 400):
        with pytest.raises(Unreadable) as told:
            form.read(f'{{"t": {wrong}, "a": 1}}')
        assert told.value.reason in ("bad_times", "unreadable_lines")


# Whole lines.


def test_lines_are_whole_however_their_bytes_come() -> None:
    text = b"1,2\r\n3,4\r5,6\n\n7,8\n"
    for size in range(1, len(text)):
        splitter = Splitter(Counter(), whole=True)
        found = [line for i in range(0, len(text), size) for line in splitter.feed(text[i : i + size])]
        assert found == ["1,2", "3,4", "5,6", "7,8"]


def test_what_may_be_the_rest_of_a_line_is_dropped() -> None:
    skipped = Counter[str]()
    assert Splitter(skipped, whole=False).feed(b"3.5\n123.5\n") == ["123.5"]
    assert skipped == {"partial_lines": 1}
    assert Splitter(skipped, whole=False).feed(b"\n123.5\n") == ["123.5"]
    assert skipped == {"partial_lines": 1}


def test_what_has_begun_at_the_end_is_no_line() -> None:
    skipped = Counter[str]()
    for chunk in (b"1\n2", b"1\n"):
        splitter = Splitter(skipped, whole=True)
        splitter.feed(chunk)
        splitter.end()
    assert skipped == {"partial_lines": 1}


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    skipped = Counter[str]()
    splitter = Splitter(skipped, whole=True)
    for _ in range(100):
        assert splitter.feed(b"x" * LONGEST) == []
        assert len(splitter._rest) <= LONGEST
    assert splitter.feed(b"\n1\n" + b"y" * (LONGEST + 1) + b"\n2\n") == ["1", "2"]
    assert skipped == {"too_long_lines": 2}


# Hostile lines.


@given(
    st.sampled_from(
        [
            Line(),
            Line(separator=" "),
            Line(separator=";", decimal=","),
            Line("json"),
            Line("json", time="t"),
            Line(time=1),
            Line("pattern", pattern=r"(?P<a>[^,]*),(?P<b>.*)"),
        ]
    ),
    st.lists(
        st.binary(max_size=40)
        | st.text(alphabet='0123456789.,;-+eE"{}[]: ab\\tnulNa', max_size=40).map(str.encode),
        max_size=6,
    ),
)
def test_no_bytes_do_worse_than_being_counted(line: Line, chunks: list[bytes]) -> None:
    skipped = Counter[str]()
    form, splitter = LineForm(line, AB, counted(skipped)), Splitter(skipped, whole=True)
    for chunk in chunks:
        for text in splitter.feed(chunk + b"\n"):
            before = sum(skipped.values())
            try:
                _, values = form.read(text)
            except Unreadable:
                continue
            assert all(math.isnan(v) or abs(v) < 3.5e38 for v in values)
            assert sum(map(math.isnan, values)) == sum(skipped.values()) - before


# Options.


@pytest.mark.parametrize(
    ("make", "path", "words"),
    [
        (lambda: Line(separator=""), "separator", "one character"),
        (lambda: Line(decimal=","), "decimal", "separator too"),
        (lambda: Line(pattern="x"), "pattern", "belongs to"),
        (lambda: Line("pattern"), "pattern", "belongs to"),
        (lambda: Line("pattern", pattern="(?P<a>"), "pattern", "no regular expression"),
        (lambda: read("", Line("pattern", pattern="(?P<a>.)")), "channels[1].at", "it has a"),
        (lambda: read("", Line("pattern", pattern=".")), "channels[0].at", "write (?P<name>...)"),
        (lambda: read("", Line(), Value("a", at="b")), "channels[0].at", "must be a column"),
        (lambda: read("", Line(), Value("a", at=0)), "channels[0].at", "must be a column"),
        (lambda: read("", Line("json"), Value("a", at="b..c")), "channels[0].at", "write a path"),
        (lambda: read("", Line(time=0)), "line.time", "must be a column"),
    ],
)
def test_options_that_do_not_fit_are_told(make: object, path: str, words: str) -> None:
    assert callable(make)
    with pytest.raises(OptionError) as raised:
        make()
    assert raised.value.path == path
    assert words in raised.value.message
