"""What is seen of a stream is what was in it, and fits where it is shown."""

from __future__ import annotations

import numpy as np
import pytest

from agent.charts import Pen
from agent.scope import Scope, peaks, spectrum
from sensors.base import Channel, Reading

T0 = 1_709_294_400.0


def stream(*times: float, rows: int = 10, rate_hz: float = 10.0) -> Scope:
    scope = Scope((Channel("a", "Cel"), Channel("b")), "telemetry", rate_hz)
    for time in times:
        values = np.stack([np.arange(rows), np.full(rows, 0.5)], axis=1).astype(np.float32)
        scope.push(Reading("pump", time, rate_hz, values))
    return scope


def sine(frequency_hz: float, amplitude: float, rate_hz: float = 1000.0, rows: int = 1000) -> Scope:
    scope = Scope((Channel("x", "m/s2"), Channel("y", "m/s2")), "vibration", rate_hz)
    wave = 9.81 + amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(rows) / rate_hz)
    for i in range(0, rows, 100):
        block = np.stack([wave, 0 * wave], axis=1)[i : i + 100].astype(np.float32)
        scope.push(Reading("pump", T0 + i / rate_hz, rate_hz, block))
    return scope


def test_gaps_are_counted_with_what_is_missing_in_them() -> None:
    assert stream(T0, T0 + 1, T0 + 2).trouble() == ""
    assert stream(T0, T0 + 1.04, T0 + 2.05).trouble() == "", "late is not missing"
    assert stream(T0, T0 + 2, T0 + 4).trouble() == "2 gaps (2 s)"
    assert stream(T0, T0 - 100, T0 - 99).trouble() == "", "a clock set back is no gap"


def test_values_that_are_no_numbers_are_counted_and_shown_as_such() -> None:
    scope = stream(T0)
    scope.push(Reading("pump", T0 + 1, 10.0, np.array([[np.nan, 1.0]], np.float32)))
    assert scope.trouble() == "1 value missing"
    assert scope.sentence() == "a -, b 1"
    assert scope.picture(Pen(80), 10)[1].split()[:2] == ["a", "-"]


def test_a_table_has_the_newest_the_least_and_the_most() -> None:
    head, a, b = stream(T0).picture(Pen(80), 10)
    assert head.split() == ["channel", "now", "least", "most"]
    assert a.split()[:3] == ["a", "9", "Cel"]
    assert a.split()[3:] == ["▁▁▂▃▄▅▆▇██", "0", "9"]
    assert b.split()[1:] == ["0.5", "▄▄▄▄▄▄▄▄▄▄", "0.5", "0.5"]
    assert stream(T0).sentence() == "a 9 Cel, b 0.5"


def test_the_spectrum_of_a_sine_has_its_height_where_it_is() -> None:
    frequencies, amplitudes = spectrum(np.sin(2 * np.pi * 50 * np.arange(1000) / 1000) * 3.0, 1000.0)
    assert peaks(frequencies, amplitudes)[0] == 50.0
    assert amplitudes.max() == pytest.approx(3.0, rel=1e-3)
    assert frequencies[-1] == 500.0
    assert sine(50.0, 3.0).sentence() == "x rms 2.12 m/s2 peak 3 m/s2, y rms 0 m/s2 peak 0 m/s2"


def test_a_waveform_is_shown_one_channel_at_a_time_with_its_spectrum() -> None:
    scope = sine(50.0, 3.0)
    first, second = scope.picture(Pen(80), 24), scope.picture(Pen(80), 24, chosen=3)
    assert first[0].startswith(">x rms 2.12 m/s2 peak 3 m/s2   y rms")
    assert second[0].startswith(" x rms 2.12 m/s2 peak 3 m/s2  >y rms")
    assert any("▲ 50 Hz" in line for line in first)
    assert not any("▲ 50 Hz" in line for line in second)
    assert first[-1].endswith("500 Hz")


def test_no_spectrum_goes_across_a_gap() -> None:
    scope = sine(50.0, 3.0)
    scope.push(Reading("pump", T0 + 60, 1000.0, np.zeros((100, 2), np.float32)))
    assert scope.picture(Pen(80), 24)[-1] == "too little without a gap for a spectrum"


@pytest.mark.parametrize(("width", "height"), [(40, 4), (40, 12), (80, 24), (200, 60)])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("kind", ["wave", "table", "wide"])
def test_a_picture_fits_its_place(width: int, height: int, plain: bool, kind: str) -> None:
    if kind == "wide":
        names = tuple(Channel(f"a channel with a long name {i}", "m/s2") for i in range(30))
        scope = Scope(names, "telemetry", 1.0)
        scope.push(Reading("pump", T0, 1.0, np.full((3, 30), -1234.5, np.float32)))
    else:
        scope = stream(T0) if kind == "table" else sine(50.0, 3.0)
    lines = scope.picture(Pen(width, plain), height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if plain:
        "".join(lines).encode("ascii")


def test_nothing_is_kept_for_ever() -> None:
    scope = stream(*(T0 + i for i in range(200)))
    assert scope.rows == 2000
    assert len(scope._rows) == 600
    assert len(sine(50.0, 1.0, rate_hz=3200.0, rows=9600)._rows) == 3200
    assert stream().picture(Pen(80), 24) == ["nothing yet"]
    assert stream().sentence() == "nothing yet"
