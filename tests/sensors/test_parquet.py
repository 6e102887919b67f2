"""Parquet files: our own, those of others, and those that are torn or make no sense."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensors import Channel, Reading, SensorError
from sensors.parquet_table import GROUP_ROWS, ParquetWriter
from sensors.recorder import Recorder, write
from sensors.recording import Recording
from tests.real import require
from tests.sensors.test_recorder import CHANNELS, T0, blocks
from tests.sensors.world import read_all, times_of, values_of

try:
    import pyarrow as arrow
    from pyarrow import parquet
except ImportError:
    arrow = parquet = None


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    require(arrow is not None or "without" in request.node.name, "pyarrow is not installed")


def put(path: Path, **columns: Any) -> Path:
    """A file as others write it."""
    parquet.write_table(arrow.table(columns), path)
    return path


def heard(path: Path, **options: Any) -> tuple[list[float], list[list[float]], Recording]:
    sensor = Recording(file=str(path), speed=0, **options)
    readings = read_all(sensor)
    return times_of(readings).tolist(), values_of(readings).tolist(), sensor


def test_without_the_extra_it_is_refused_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "it.parquet").write_bytes(b"PAR1")
    with pytest.raises(SensorError, match=r"pyarrow is not installed: pip install 'tocsin\[parquet\]'"):
        Recording(file=str(tmp_path / "it.parquet")).open()
    with pytest.raises(SensorError, match="pyarrow is not installed"):
        Recorder(tmp_path / "new.parquet", CHANNELS).open()


def test_other_programs_read_what_we_write(tmp_path: Path) -> None:
    with Recorder(tmp_path / "it.parquet", CHANNELS, about={"sensor": "pump"}) as recorder:
        for block in blocks():
            recorder.write(block)
    table = parquet.read_table(tmp_path / "it.parquet")
    assert [str(field.type) for field in table.schema] == ["timestamp[ns, tz=UTC]", "float", "float"]
    assert table.schema.field("x").metadata == {b"unit": b"m/s2"}
    assert table.column(2).null_count == 1, "a value that is missing is null"
    assert str(table.column("time")[0]) == "2024-03-01 12:00:00.125000+00:00"


def test_times_are_right_to_the_nanosecond_of_float64(tmp_path: Path) -> None:
    start = 1_709_294_400.123456
    values = np.zeros((50_000, 1), np.float32)
    write(tmp_path / "it.parquet", [Channel("a")], [Reading("it", start, 25_600.0, values)])
    times, _, sensor = heard(tmp_path / "it.parquet")
    np.testing.assert_allclose(np.array(times), start + np.arange(50_000) / 25_600, rtol=0, atol=3e-7)
    assert sensor.rate_hz == 25_600.0


def test_memory_is_bounded_while_it_is_written(tmp_path: Path) -> None:
    writer = ParquetWriter(tmp_path / "it.parquet", [Channel("a")], {})
    reading = Reading("it", T0, 1000.0, np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32))
    for _ in range(2 * GROUP_ROWS // 1000 + 2):
        writer.write(reading)
    writer.close()
    assert parquet.ParquetFile(tmp_path / "it.parquet").num_row_groups == 3


def test_a_channel_may_be_called_time(tmp_path: Path) -> None:
    write(tmp_path / "it.parquet", [Channel("time")], [Reading("it", T0, 1.0, np.ones((3, 1), np.float32))])
    times, values, _ = heard(tmp_path / "it.parquet")
    assert (times[0], values) == (T0, [[1.0]] * 3)


def test_a_file_of_others_reads(tmp_path: Path) -> None:
    stamps = arrow.array([1_000_000, 2_000_000, None, 4_000_000], arrow.timestamp("us"))
    path = put(
        tmp_path / "it.parquet",
        when=stamps,
        pressure=[1, 2, 3, None],
        on=[True, False, True, True],
        note=["a", "b", "c", "d"],
        anomaly=[0, 0, 0, 1],
    )
    times, values, sensor = heard(path)
    assert times == [1.0, 2.0, 4.0]
    np.testing.assert_array_equal(values, [[1.0, 1.0], [2.0, 0.0], [np.nan, 1.0]])
    assert [channel.name for channel in sensor.channels] == ["pressure", "on"]
    assert sensor.skipped == {"missing_values": 1, "bad_times": 1}
    assert heard(path, channels=["anomaly"])[1] == [[0.0], [0.0], [1.0]]


@pytest.mark.parametrize(
    ("times", "options"),
    [
        ([T0, T0 + 1, T0 + 2], {}),
        ([T0 * 1e3, (T0 + 1) * 1e3, (T0 + 2) * 1e3], {}),
        ([int(T0), int(T0) + 1, int(T0) + 2], {"time_form": "s"}),
        (["2024-03-01T12:00:00Z", "2024-03-01 12:00:01+00:00", "2024-03-01 12:00:02"], {}),
    ],
)
def test_times_may_be_numbers_or_texts(tmp_path: Path, times: list[Any], options: dict[str, Any]) -> None:
    assert heard(put(tmp_path / "it.parquet", time=times, a=[1, 2, 3]), **options)[0] == [T0, T0 + 1, T0 + 2]


def test_without_times_a_rate_is_enough(tmp_path: Path) -> None:
    path = put(tmp_path / "it.parquet", a=[1.0, 2.0])
    assert heard(path, rate_hz=2.0)[0] == [0.0, 0.5]
    assert heard(put(path, time=[7, 8], a=[1, 2]), time="none", rate_hz=2.0)[0] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"a": [1.0]}, {}, "no column of times among a: name it"),
        ({"time": [1], "note": ["x"]}, {}, "no column of numbers among time, note"),
        ({"time": [1], "a": [1]}, {"channels": ["b"]}, "no column 'b': there are time, a"),
        ({"time": [1], "a": ["x"]}, {"channels": ["a"]}, "column a: holds string, not numbers"),
        ({"time": [1], "a": [1]}, {"time": "tmie"}, "no time column 'tmie': did you mean time?"),
        ({"time": [[1]], "a": [1]}, {}, "column time holds list<.*>, not times"),
        ({"time": [], "a": []}, {}, "has no rows"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SensorError, match=rf"it\.parquet: .*{message}"):
        Recording(file=str(put(tmp_path / "it.parquet", **columns)), **options).open()


def test_a_torn_file_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "it.parquet"
    write(path, CHANNELS, blocks())
    whole = path.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(SensorError, match=r"it\.parquet: is not a whole Parquet file"):
            Recording(file=str(path)).open()
    with pytest.raises(SensorError, match="no such file"):
        Recording(file=str(tmp_path / "no.parquet")).open()


@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_file_is_an_error_or_a_tally_and_never_a_crash(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "it.parquet"
    write(path, CHANNELS, blocks())
    whole, chance = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(chance.choice((1, 3, 30))):
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    path.write_bytes(whole)
    told = str(path)
    try:
        read_all(Recording(file=str(path), speed=0))
    except SensorError as error:
        told = str(error)
    assert "it.parquet" in told
