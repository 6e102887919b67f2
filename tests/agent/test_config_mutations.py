"""Whatever is done to a good configuration, it loads or its mistakes are told; nothing else ever happens."""

from __future__ import annotations

import copy
import re
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agent.config import Config, ConfigError, load_text
from agent.yaml_lines import Mistake

GOOD: dict[str, Any] = {
    "device": "pump-house",
    "broker": {
        "host": "localhost",
        "username": "me",
        "password_file": "secret",
        "tls": {"ca_file": "ca.pem"},
    },
    "state_dir": "state",
    "outbox": {"max_size": "16 MB"},
    "log_level": "info",
    "sensors": {
        "pump": {
            "driver": "recording",
            "file": "pump.csv",
            "speed": 60,
            "rate_hz": "1 Hz",
            "silent_after": "1 min",
        },
        "motor": {"driver": "synthetic", "faults": [{"kind": "imbalance", "at_s": 5, "severity": 2.0}]},
    },
    "monitors": {
        "pump": {
            "sensor": "pump",
            "channels": ["temperature"],
            "window": "20 rows",
            "alert": {"flood": "6 per hour"},
        },
        "motor": {
            "sensor": "motor",
            "window": "1 s",
            "learn": "10 min",
            "bearing": {"balls": 9, "ball_diameter": "8 mm", "pitch_diameter": "39 mm", "speed": "1800 rpm"},
        },
    },
}
LINE = re.compile(r"tocsin\.yaml(:\d+)?: \S.*")

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(
        ["20 s", "-1 s", "0 rows", "1e999 s", "5 min", "nan", "auto", "level", "vibration", "pump", "on"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in the tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


PLACES = [place for place in places(GOOD) if place]


def loads_or_tells(text: str) -> Config | None:
    try:
        return load_text(text)
    except ConfigError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(LINE.fullmatch(line) for line in lines), lines
        str(error).encode()
        return None


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """The good configuration with up to three things replaced, removed, renamed or added."""
    tree = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(PLACES))
        holder: Any = tree
        for key in above:
            holder = holder[key] if isinstance(holder, dict) and key in holder else None
        if not isinstance(holder, dict) or last not in holder:
            continue
        deed = draw(st.sampled_from(["replace", "remove", "rename", "add"]))
        if deed == "replace":
            holder[last] = draw(values)
        elif deed == "remove":
            del holder[last]
        elif deed == "rename":
            holder[draw(scalars | st.text(max_size=6))] = holder.pop(last)
        else:
            holder[draw(st.text(max_size=6))] = draw(values)
    return yaml.safe_dump(tree, allow_unicode=True)


def test_the_good_configuration_is_good() -> None:
    assert loads_or_tells(yaml.safe_dump(GOOD)) is not None


@given(mutations())
def test_a_mutated_configuration_loads_or_its_mistakes_are_told(text: str) -> None:
    loads_or_tells(text)


@given(st.data())
def test_a_mangled_text_loads_or_its_mistakes_are_told(data: st.DataObject) -> None:
    text = yaml.safe_dump(GOOD)
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 20)))
    noise = data.draw(
        st.text(st.characters() | st.sampled_from(list(":-[]{}&*!|>'\"%@`#\n\t ?,<=")), max_size=5)
    )
    loads_or_tells(text[:start] + noise + text[stop:])


@given(st.text())
@example("<<: 3")
@example("<<: [*a]")
@example("&a {<<: *a}")
@example("a: 2024-02-31")
@example('a: "\\UFFFFFFFF"')
@example('device: "\\ud800"')
@example("a: !!int x")
@example("a: !!float {}")
@example("!!set {a, b}")
@example("a: 1:99999999999999999999")
@example("a: 0b")
@example("' ': 1")
@example("'': 1")
@example("=: =")
@example(f"outbox: {{max_size: 0x{'F' * 5000}}}")
@example(f"sensors: {{a: {{driver: synthetic, rate_hz: 0x{'F' * 400}}}}}")
@example("sensors: {<<: {a: {driver: host}}, <<: {a: {}}}")
def test_any_text_loads_or_its_mistakes_are_told(text: str) -> None:
    loads_or_tells(text)


@given(st.sampled_from(PLACES), st.sampled_from(["", "x"]))
def test_a_missing_or_renamed_key_is_told_by_its_path_or_has_a_default(
    place: tuple[Any, ...], end: str
) -> None:
    tree = copy.deepcopy(GOOD)
    holder: Any = tree
    for key in place[:-1]:
        holder = holder[key]
    value = holder[place[-1]]
    if isinstance(holder, list):
        return
    del holder[place[-1]]
    if end:
        holder[f"{place[-1]}{end}"] = value
    told: tuple[Mistake, ...] = ()
    try:
        load_text(yaml.safe_dump(tree))
    except ConfigError as error:
        told = error.mistakes
    assert all(mistake.path for mistake in told)
