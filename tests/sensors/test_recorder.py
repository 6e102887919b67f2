"""What is recorded comes back: CSV and NPZ, whole and damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sensors import Channel, Reading, SensorError, create
from sensors.recorder import Recorder, write
from sensors.recording import FAST_ROWS, Recording
from tests.sensors.world import read_all, times_of, values_of

CHANNELS = (Channel("x", "m/s2"), Channel("temperature, inside", "Cel"))
T0 = 1_709_294_400.0


def blocks(rate_hz: float = 3200.0) -> list[Reading]:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(1000, 2)).astype(np.float32)
    values[17, 1] = np.nan
    starts = [T0 + 0.125, T0 + 0.125 + 300 / rate_hz, T0 + 60.0]
    cuts = [values[:300], values[300:500], values[500:]]
    return [Reading("it", start, rate_hz, cut) for start, cut in zip(starts, cuts, strict=True)]


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_a_recording_reads_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"it.{ending}"
    assert write(path, CHANNELS, blocks()) == 1000
    sensor = Recording(file=str(path), speed=0)
    readings = read_all(sensor)
    np.testing.assert_array_equal(values_of(readings), values_of(blocks()))
    np.testing.assert_allclose(times_of(readings), times_of(blocks()), rtol=0, atol=1e-6)
    assert sensor.rate_hz == 3200.0
    assert sensor.channels == CHANNELS
    assert sensor.kind == "vibration"
    assert list(tmp_path.iterdir()) == [path]  # nothing left over


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_what_a_file_says_of_itself_comes_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"it.{ending}"
    with Recorder(path, CHANNELS, about={"sensor": "pümpe", "options": {"port": 1}}) as recorder:
        for block in blocks():
            recorder.write(block)
        assert not path.exists(), "a file under its own name is whole"
    with Recording(file=str(path), speed=0) as sensor:
        assert sensor.about["sensor"] == "pümpe"
        assert sensor.about["options"] == {"port": 1}
    assert sensor.about == {}
    plain = tmp_path / f"plain.{ending}"
    write(plain, CHANNELS, blocks())
    with Recording(file=str(plain), speed=0) as sensor:
        assert "sensor" not in sensor.about


def test_a_csv_says_it_to_who_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "it.csv"
    with Recorder(path, CHANNELS, about={"sensor": "pump"}) as recorder:
        recorder.write(blocks()[0])
    assert path.read_text().startswith('# {"sensor": "pump"}\ntime,x [m/s2]')
    assert Recording(file=str(path), speed=0, rate_hz=3200.0).rate_hz == 3200.0
    np.testing.assert_array_equal(values_of(read_all(Recording(file=str(path), speed=0))), blocks()[0].values)


@pytest.mark.parametrize("about", ["[1]", "{", "[" * 100_000])
def test_what_a_file_says_of_itself_may_be_nonsense(tmp_path: Path, about: str) -> None:
    np.savez(tmp_path / "it.npz", values=np.zeros(3), rate_hz=1.0, about=np.array(about))
    with Recording(file=str(tmp_path / "it.npz"), speed=0) as sensor:
        assert sensor.about == {}


@pytest.mark.parametrize("ending", ["npz.part", "npz.values", "parquet.part"])
def test_what_was_cut_off_while_it_was_written_is_known(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"it.{ending}").write_bytes(b"\0" * 1000)
    with pytest.raises(SensorError, match="is no whole recording: it was cut off while it was written"):
        Recording(file=str(tmp_path / f"it.{ending}")).open()


def test_an_npz_keeps_any_rate_and_time_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    write(path, CHANNELS, blocks(1024.0))
    np.testing.assert_array_equal(
        times_of(read_all(Recording(file=str(path), speed=0))), times_of(blocks(1024.0))
    )
    odd = tmp_path / "odd.npz"
    write(odd, CHANNELS, blocks(333.3333)[:1])
    np.testing.assert_array_equal(
        times_of(read_all(Recording(file=str(odd), speed=0))), times_of(blocks(333.3333)[:1])
    )


def test_the_same_readings_give_the_same_bytes(tmp_path: Path) -> None:
    for ending in ("csv", "npz", "parquet"):
        a, b = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
        write(a, CHANNELS, blocks())
        write(b, CHANNELS, blocks())
        assert a.read_bytes() == b.read_bytes()


@settings(deadline=None, max_examples=40)
@given(
    values=npst.arrays(
        np.float32,
        st.tuples(st.integers(2, 20), st.just(2)),
        elements=st.floats(width=32, allow_infinity=False),
    ),
    start=st.floats(1e9, 4e9),
)
def test_every_float32_survives_text(
    tmp_path_factory: pytest.TempPathFactory,
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    start: float,
) -> None:
    path = tmp_path_factory.mktemp("text") / "it.csv"
    write(path, CHANNELS, [Reading("it", start, 1.0, values)])
    readings = read_all(Recording(file=str(path), speed=0, rate_hz=1.0))
    np.testing.assert_array_equal(values_of(readings), values)
    assert readings[0].time == start


def test_a_simulated_machine_can_be_recorded_and_replayed(tmp_path: Path) -> None:
    machine = create("m", "synthetic", {"duration_s": 2, "speed": 0, "start": T0})
    readings = read_all(machine)
    write(tmp_path / "m.npz", machine.channels, readings)
    again = read_all(Recording(file=str(tmp_path / "m.npz"), speed=0))
    np.testing.assert_array_equal(values_of(again), values_of(readings))
    np.testing.assert_allclose(times_of(again), times_of(readings), rtol=0, atol=5e-7)


def test_a_recorder_refuses_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "it.csv"
    with Recorder(path, CHANNELS) as recorder:
        recorder.write(blocks()[0])
        with pytest.raises(SensorError, match="rate changed from 3200 to 10 Hz"):
            recorder.write(blocks(10.0)[0])
        with pytest.raises(SensorError, match="for 2 channels"):
            recorder.write(Reading("it", 0.0, 3200.0, np.zeros((3, 1), np.float32)))
    recorder.close()
    with pytest.raises(SensorError, match="write before open"):
        recorder.write(blocks()[0])
    with pytest.raises(SensorError, match="exists already"):
        Recorder(path, CHANNELS).open()
    with pytest.raises(SensorError, match="cannot be written: No such file"):
        Recorder(tmp_path / "no" / "it.csv", CHANNELS).open()
    with pytest.raises(SensorError, match=r"as \.csv, \.npz or \.parquet"):
        Recorder(tmp_path / "it.txt", CHANNELS).open()


def test_a_csv_can_be_followed_while_it_grows(tmp_path: Path) -> None:
    with Recorder(tmp_path / "it.csv", CHANNELS) as recorder:
        recorder.write(Reading("it", T0, 1.0, np.zeros((1, 2), np.float32)))
        text = (tmp_path / "it.csv").read_text()
        assert text == 'time,x [m/s2],"temperature, inside [Cel]"\n2024-03-01T12:00:00Z,0.0,0.0\n'


def test_a_foreign_npz_reads(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    np.savez_compressed(path, values=np.arange(6.0).reshape(3, 2), time=np.array([1.0, 2.0, 3.0]))
    sensor = Recording(file=str(path), speed=0)
    assert times_of(read_all(sensor)).tolist() == [1.0, 2.0, 3.0]
    assert [c.name for c in sensor.channels] == ["column 1", "column 2"]
    np.savez(path, values=np.arange(3), rate_hz=2.0)
    assert times_of(read_all(Recording(file=str(path), speed=0))).tolist() == [0.0, 0.5, 1.0]
    picked = Recording(file=str(path), speed=0, channels=["column 1"])
    assert values_of(read_all(picked)).tolist() == [[0.0], [1.0], [2.0]]


def test_npz_rows_with_bad_times_or_values_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    np.savez(path, values=np.array([1.0, np.inf, 3.0, 4.0, 5.0]), time=np.array([1.0, 2.0, np.nan, 2.0, 5.0]))
    sensor = Recording(file=str(path), speed=0)
    np.testing.assert_array_equal(values_of(read_all(sensor)), [[1.0], [np.nan], [5.0]])
    assert sensor.skipped == {"missing_values": 1, "bad_times": 1, "duplicates": 1}
    assert sensor.examples["bad_times"] == f"{path}, row 3: has no time"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"drive_end": np.zeros(3)}, "has no array `values` .*only drive_end"),
        ({"values": np.zeros((3, 2))}, "no time for each row and no `rate_hz`"),
        ({"values": np.zeros((0, 2)), "rate_hz": 1.0}, "has no rows"),
        ({"values": np.zeros((3, 2)), "rate_hz": -1.0}, "`rate_hz` is -1; it must be above 0"),
        ({"values": np.zeros((3, 2, 2)), "rate_hz": 1.0}, "it must be numbers"),
        ({"values": np.array(["a", "b"]), "rate_hz": 1.0}, "it must be numbers"),
        (
            {"values": np.zeros((3, 2)), "rate_hz": 1.0, "channels": np.array(["a"])},
            "2 columns of values, 1 names",
        ),
        ({"values": np.zeros((3, 2)), "rate_hz": 1.0, "time": np.zeros(2)}, "do not fit 3 rows"),
        (
            {"values": np.zeros(3), "rate_hz": 1.0, "time": np.zeros(1), "rows": np.array([4])},
            "do not fit 3 rows",
        ),
        ({"values": np.zeros(3), "time": np.array(["a", "b", "c"])}, "must be Unix seconds"),
        ({"values": np.asfortranarray(np.zeros((3, 2))), "rate_hz": 1.0}, "Fortran order"),
    ],
)
def test_an_npz_that_makes_no_sense_is_refused(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    np.savez(tmp_path / "it.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(SensorError, match=rf"it\.npz: .*{message}"):
        Recording(file=str(tmp_path / "it.npz")).open()


def test_python_objects_in_an_npz_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "it.npz", values=np.array([print, None], dtype=object), rate_hz=1.0)
    with pytest.raises(SensorError, match="never loaded"):
        Recording(file=str(tmp_path / "it.npz")).open()


def test_a_truncated_npz_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    write(path, CHANNELS, blocks())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SensorError, match=r"it\.npz: is not a whole NPZ file"):
        Recording(file=str(path)).open()
    path.write_bytes(b"")
    with pytest.raises(SensorError, match=r"it\.npz: is not a whole NPZ file"):
        Recording(file=str(path)).open()


def test_an_npz_shorter_than_it_claims_is_an_error_at_that_row(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    np.savez(path, rate_hz=1.0)
    with zipfile.ZipFile(path, "a") as archive, archive.open("values.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "<f4", "fortran_order": False, "shape": (20_000, 1)}
        )
        stream.write(np.zeros(10_000, np.float32).tobytes())
    sensor = Recording(file=str(path), speed=0)
    with sensor:
        for _ in range(8192 // FAST_ROWS):
            assert sensor.read(0) is not None
        with pytest.raises(SensorError, match=r"row 8193: .*cut off .*should have 20000 rows"):
            sensor.read(0)
    assert sensor.rows_read == 8192
