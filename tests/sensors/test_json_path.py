"""Paths into JSON documents, and figures at their ends."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors.json_path import compile_path, figure, parse

DOCUMENT = {"a": {"b": [{"c": 7}, 8]}, "DS18B20-1": {"Temperature": 21.5}, "x.y": 1, "two words": 2, "é": 3}
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b[0].c", 7),
        ("$.a.b[0].c", 7),
        ("a.b[-1]", 8),
        ("a['b'][1]", 8),
        ("DS18B20-1.Temperature", 21.5),
        ('["x.y"]', 1),
        ("$['x.y']", 1),
        ("two words", 2),
        ("é", 3),
        (" $ ", DOCUMENT),
    ],
)
def test_a_path_finds_its_value(path: str, value: object) -> None:
    assert compile_path(path)(DOCUMENT) == value


def test_a_list_at_the_top_is_counted_into() -> None:
    assert compile_path("[1].v")([0, {"v": 4}]) == 4
    assert compile_path("$[1].v")([0, {"v": 4}]) == 4


@pytest.mark.parametrize("path", ["b", "a.c", "a.b[2]", "a.b.c", "a[0]", "a.b[0].c.d", "a.b[-3]"])
def test_what_is_not_there_is_a_lookup_error(path: str) -> None:
    with pytest.raises(LookupError):
        compile_path(path)(DOCUMENT)


@pytest.mark.parametrize(
    "path", ["", "  ", "$.", "a.", ".a", "a..b", "a[", "a[x]", "a]", "[0]b", "a[0]b", 'a["']
)
def test_a_path_that_is_none_is_refused_with_words(path: str) -> None:
    with pytest.raises(ValueError, match=r"write .*a\.b\[0\]\.c"):
        compile_path(path)


@given(DOCUMENTS, st.text(max_size=12))
def test_no_path_does_worse_than_finding_nothing(document: object, path: str) -> None:
    try:
        find = compile_path(path)
    except ValueError:
        return
    try:
        find(document)
    except LookupError:
        pass


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), (-2.5, -2.5), ("21.5", 21.5), (True, 1.0), (False, 0.0), (" -1e3 ", -1000)],
)
def test_numbers_are_figures_in_quotes_or_not_and_so_are_true_and_false(value: object, number: float) -> None:
    assert figure(value) == number


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "off",
        "nan",
        "inf",
        "1_000",
        "0x10",
        [],
        {},
        [1],
        math.nan,
        math.inf,
        1e39,
        -(10**400),
        "1e999",
    ],
)
def test_what_is_no_figure_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a number|is too large"):
        figure(value)


@given(DOCUMENTS)
def test_a_figure_always_fits_a_sample(document: object) -> None:
    try:
        number = figure(document)
    except ValueError:
        return
    assert np.isfinite(np.float32(number))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nul",
        b"\xff\xfe\x00",
        b"NaN",
        b'{"a": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
    ],
)
def test_hostile_documents_are_value_errors(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse(text)


@given(
    st.binary(max_size=64) | st.text(max_size=64).map(str.encode) | DOCUMENTS.map(json.dumps).map(str.encode)
)
def test_no_bytes_do_worse_than_a_value_error(text: bytes) -> None:
    try:
        parse(text)
    except ValueError:
        pass
