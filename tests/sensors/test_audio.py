"""Sound through arecord: from ALSA's file plugin, from a room of PulseAudio's, and from a card that loses samples."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensors import Reading, SensorError, check, create
from sensors.audio import Audio
from sensors.contract import PushedClock, SensorContract
from sensors.pcm import SIZES, Format, decode
from tests.real import need
from tests.sensors.alsa_world import Card, Room, define, numbers, of_file

AB = [{"name": "a"}, {"name": "b"}]
SOON_S = 20.0


def make(device: str, **options: object) -> Audio:
    sensor = create("ear", "audio", {"device": device, **options})
    assert isinstance(sensor, Audio)
    return sensor


def hear(sensor: Audio, rows: int) -> Reading:
    """The first so many rows, as one Reading."""
    found: list[Reading] = []
    while sum(len(reading.values) for reading in found) < rows:
        reading = sensor.read(SOON_S)
        assert reading is not None
        found.append(reading)
    values = np.concatenate([reading.values for reading in found])[:rows]
    return Reading(found[0].sensor, found[0].time, found[0].rate_hz, values)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is heard as the device `file`."""
    need("arecord")
    file = tmp_path / "sound.raw"
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(define(tmp_path, of_file("file", file))))
    return file


class TestContract(SensorContract):
    driver = "audio"

    @pytest.fixture
    def options(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, object]]:
        need("arecord")
        self.room = Room(tmp_path)
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(define(tmp_path, self.room.device)))
        self.mend()
        yield {"device": "room", "channels": AB}
        self.room.end()

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        need("arecord")
        return {"device": "hw:CARD=Nobody"}

    def lose(self) -> None:
        self.room.end()

    def mend(self) -> None:
        self.room.begin()


# What it hears.


@pytest.mark.parametrize("rate_hz", [8_000, 48_000, 192_000])
@pytest.mark.parametrize("form", SIZES)
def test_every_sample_of_every_format_is_heard_in_order(played: Path, form: Format, rate_hz: int) -> None:
    octets = np.random.default_rng(0).integers(0, 256, 2 * rate_hz * SIZES[form], np.uint8).tobytes()
    if form == "FLOAT_LE":
        octets = np.random.default_rng(0).normal(size=2 * rate_hz).astype("<f4").tobytes()
    played.write_bytes(octets)
    with make("file", channels=AB, format=form, rate_hz=rate_hz) as sensor:
        heard = hear(sensor, rate_hz)  # which is all of the file
    bits = {"S16_LE": 16, "S24_3LE": 24, "S24_LE": 24, "S32_LE": 32}.get(form)
    if bits is None:
        expected = np.frombuffer(octets, "<f4").astype(float)
    else:  # sample by sample, as a slow reference
        size = SIZES[form]
        cells = [octets[i : i + size][: (bits + 7) // 8] for i in range(0, len(octets), size)]
        expected = np.array([int.from_bytes(c, "little", signed=True) for c in cells]) / 2.0 ** (bits - 1)
    np.testing.assert_allclose(heard.values.ravel(), expected, rtol=1e-6)
    assert (sensor.kind, heard.rate_hz) == ("vibration", rate_hz)


def test_shares_of_full_scale_become_the_quantity_of_each_channel(played: Path) -> None:
    np.tile(np.array([[16384, 1, -32768]], "<i2"), (8000, 1)).tofile(played)
    channels = [
        {"name": "housing", "unit": "m/s2", "full_scale": -200, "input": 3},
        {"name": "sound", "unit": "Pa", "full_scale": 20, "input": 1},
    ]
    with make("file", channels=channels, inputs=3, rate_hz=8000) as sensor:
        heard = hear(sensor, 1600)
    assert [channel.unit for channel in sensor.channels] == ["m/s2", "Pa"]
    np.testing.assert_array_equal(np.unique(heard.values, axis=0), [[200.0, 10.0]])


def test_floats_that_are_no_sound_are_missing_and_counted(played: Path) -> None:
    block = np.full(4800, 0.5, "<f4")
    block[[7, 8, 9, 10]] = [np.nan, np.inf, -3e38, 1.5]
    played.write_bytes(block.tobytes())
    with make("file", format="FLOAT_LE") as sensor:
        heard = hear(sensor, 4800).values[:, 0]
        counted = dict(sensor.skipped)
    assert np.flatnonzero(np.isnan(heard)).tolist() == [7, 8, 9]
    assert heard[10] == 1.5
    assert counted["out_of_range"] == 2 * counted["not_a_number"] > 0


def test_a_sine_is_heard_in_its_band(played: Path) -> None:
    t = np.arange(48_000) / 48_000
    played.write_bytes((0.1 * 32768 * np.sin(2 * np.pi * 1000 * t)).astype("<i2").tobytes())
    channel = {"name": "sound", "unit": "Pa", "full_scale": 20}
    with make("file", channels=[channel], features="log_mel", mel={"bands": 24, "reference": 2e-5}) as sensor:
        heard = hear(sensor, 20)
        names = [channel.name for channel in sensor.channels]
    assert (sensor.kind, sensor.rate_hz, sensor.channels[0].unit) == ("telemetry", 10.0, "dB")
    assert len(set(names)) == heard.values.shape[1] == 24
    power = 10 ** (heard.values / 10)
    middles = np.array([float(name.split()[1]) for name in names])
    assert abs(middles[power[0].argmax()] - 1000) < 100
    total = 10 * np.log10(power.sum(1))
    np.testing.assert_allclose(total, 20 * np.log10(2.0 / np.sqrt(2) / 2e-5), atol=0.05)  # 97 dB SPL


def test_two_channels_have_bands_of_their_own(played: Path) -> None:
    sound = np.zeros((48_000, 2))
    sound[:, 1] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    played.write_bytes((32768 * sound).astype("<i2").tobytes())
    with make("file", channels=AB, features="log_mel", mel={"bands": 8}) as sensor:
        row = hear(sensor, 1).values[0]
        assert [c.name.split()[0] for c in sensor.channels] == ["a"] * 8 + ["b"] * 8
    assert (row[:8] == -200.0).all()
    assert row[8:].max() > -12.0


def test_what_is_whole_in_the_pipe_is_heard_and_the_rest_of_a_frame_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "for n in range(0, 24000, 1000): out(frames[4 * n + 3 : 4 * n + 4003])")
    with make("any", channels=AB) as sensor:
        assert len(hear(sensor, 4800).values) == 4800


# When it heard it, and what was lost.


def test_samples_have_the_time_at_which_they_were_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("arecord")
    room = Room(tmp_path)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(define(tmp_path, room.device)))
    with room, make("room", channels=AB) as sensor:
        times = []
        for _ in range(20):
            reading = sensor.read(SOON_S)
            assert reading is not None
            end = reading.time + len(reading.values) / reading.rate_hz
            times.append((reading.time, end, time.time()))
        assert sensor.skipped == {}
    begins, ends, told = np.array(times).T
    assert np.all(ends - told < 0.1)
    assert np.all(told - ends < 1.0)  # this machine may be busy
    np.testing.assert_allclose(begins[1:], ends[:-1], atol=0.01)


@given(st.lists(st.floats(0.0, 4.0), min_size=5, max_size=30))
@settings(max_examples=40)
def test_every_sample_is_heard_or_counted_as_lost_at_its_time(pauses: list[float]) -> None:
    clock = PushedClock()
    card = Card(clock, 8000)
    began = clock.now()
    readings: list[Reading] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sensors.audio.Program", card)
        patch.setattr("sensors.audio.shutil.which", lambda program: program)
        sensor = make("any", channels=AB, rate_hz=8000)
        sensor.clock = clock
        with sensor:
            for pause in [0.0, *pauses, *[0.0] * 20]:
                clock.push(pause)  # somebody kept this thread from running
                reading = sensor.read(0.5)
                readings += [] if reading is None else [reading]
    heard = [number for reading in readings for number in numbers(reading.values)]
    assert np.all(np.diff(heard) > 0)
    passed_over = heard[-1] + 1 - len(heard)
    overruns = sensor.skipped["overruns"]
    assert passed_over == card.lost
    slack = 8000 * Card.PERIOD_S * overruns
    assert sensor.skipped["lost_samples"] == pytest.approx(card.lost, abs=slack)
    for reading in readings:
        own = numbers(reading.values)
        assert own == list(range(own[0], own[0] + len(own))), "no hole is inside of a reading"
        late = reading.time - began - own[0] / 8000
        assert abs(late) < 2 * Card.PERIOD_S


def test_bands_begin_afresh_after_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = PushedClock()
    monkeypatch.setattr("sensors.audio.Program", Card(clock, 8000))
    monkeypatch.setattr("sensors.audio.shutil.which", lambda program: program)
    sensor = make("any", channels=AB, rate_hz=8000, features="log_mel", mel={"bands": 4})
    sensor.clock = clock
    with sensor:
        first = sensor.read(1.0)
        clock.push(6.0)
        times = [reading.time for _ in range(40) if (reading := sensor.read(1.0)) is not None]
    assert first is not None
    assert sensor.skipped["overruns"] == 1
    gap = max(np.diff([first.time, *times]))
    assert gap > 1.0


def test_a_clock_that_is_set_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = PushedClock()
    monkeypatch.setattr("sensors.audio.Program", Card(clock, 8000))
    monkeypatch.setattr("sensors.audio.shutil.which", lambda program: program)
    sensor = make("any", channels=AB, rate_hz=8000)
    sensor.clock = clock
    with sensor:
        hear(sensor, 8000)
        clock.unix += 3600.0
        assert hear(sensor, 8000).time == pytest.approx(clock.now(), abs=2.0)
    assert sensor.skipped == {}


# How it ends.


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str, rate_hz: int = 48_000) -> None:
    """Stand this in for arecord."""
    path = folder / "bin" / "arecord"
    path.parent.mkdir()
    lines = f"""\
        #!{sys.executable}
        import os, sys, time
        out = lambda octets: os.write(1, octets)
        complain = lambda words: print(words, file=sys.stderr, flush=True)
        frames = bytes(4 * 48000)
        complain("  exact rate   : {rate_hz} ({rate_hz}/1)")
    """
    path.write_text(textwrap.dedent(lines) + code + "\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ("audio open error: Device or resource busy", "another program has it"),
        ("audio open error: Permission denied", "into the group audio"),
        ("audio open error: No such file or directory", "arecord -l"),
        ("Sample format non available", "a `format` that it has: S16_LE, S32_LE"),
        ("Channels count non available", "inputs"),
    ],
)
def test_a_card_that_cannot_be_opened_is_an_error_that_says_what_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, advice: str
) -> None:
    formats = "Available formats:\\n- S16_LE\\n- S32_LE" if "format" in complaint else ""
    code = f"complain('arecord: main:831: {complaint}\\n{formats}'); sys.exit(1)"
    program(tmp_path, monkeypatch, code)
    sensor = make("hw:1")
    with pytest.raises(SensorError, match=rf"ear: hw:1: .*{complaint}: .*{advice}"), sensor:
        hear(sensor, 1)


def test_a_card_that_runs_at_another_rate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "time.sleep(100)", rate_hz=44_100)
    with pytest.raises(SensorError, match="hw:1: runs at 44100 Hz, not 48000"):
        make("hw:1").open()


def test_a_card_that_falls_silent_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "out(frames); time.sleep(100)")
    with make("hw:1", channels=AB) as sensor:
        hear(sensor, 48_000)
        sensor.clock = clock = PushedClock(0.0)
        clock.seconds = sensor._heard
        with pytest.raises(SensorError, match="hw:1: gives no samples any more"):  # noqa: PT012
            while True:
                clock.push(0.5)
                sensor.read(0.0)


def test_a_card_that_is_unplugged_is_an_error_and_what_it_said_last_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "arecord: pcm_read:2221: read error: No such device"
    program(tmp_path, monkeypatch, f"out(frames); complain('{words}'); sys.exit(1)")
    with make("hw:1", channels=AB) as sensor:
        hear(sensor, 48_000)
        with pytest.raises(
            SensorError, match=r"ended with exit code 1: read error: No such device: is it plugged"
        ):
            hear(sensor, 1)


def test_a_missing_arecord_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SensorError, match="arecord is not installed: apt install alsa-utils"):
        make("hw:1").open()


# Options.


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({}, "device", "is missing"),
        ({"device": "--version"}, "device", "is no name of a device"),
        ({"device": "hw:0", "rate_hz": 44_100.5}, "rate_hz", "a whole number"),
        ({"device": "hw:0", "rate_hz": 1e6}, "rate_hz", "at most 384000"),
        ({"device": "hw:0", "channels": []}, "channels", "is empty"),
        (
            {"device": "hw:0", "channels": [{"name": "a", "full_scale": 0}]},
            "channels[0].full_scale",
            "must be",
        ),
        ({"device": "hw:0", "channels": AB, "inputs": 1}, "channels[1].input", "is beyond inputs: 1"),
        ({"device": "hw:0", "format": "S8"}, "format", "must be one of S16_LE"),
        ({"device": "hw:0", "mel": {}}, "mel", "goes with features"),
        ({"device": "hw:0", "features": "log_mel", "mel": {"frame_hz": 7}}, "mel.frame_hz", "must divide"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, object], path: str, words: str) -> None:
    (problem,) = check("audio", options)
    assert problem.path == path
    assert words in problem.message


@given(st.binary(max_size=400), st.sampled_from(list(SIZES)), st.integers(1, 3))
def test_no_bytes_are_more_than_samples(octets: bytes, form: Format, channels: int) -> None:
    whole = len(octets) - len(octets) % (SIZES[form] * channels)
    shares = decode(form, octets[:whole], channels)
    assert shares.shape == (whole // SIZES[form] // channels, channels)
    assert form == "FLOAT_LE" or (np.abs(shares) <= 1.0).all()
