"""Recordings read as sensors: dialects, times, spacing, pacing, and what is wrong in files."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sensors import Channel, SensorError
from sensors.recording import Recording
from sensors.rows import longest_forward
from tests.sensors.world import PushedClock, make_csv, read_all, times_of, values_of

FAR = 4_070_908_800.0  # the year 2099
T0 = 1_709_294_400.0  # 2024-03-01 12:00:00 UTC


def recording(path: Path, text: str | None = None, **options: object) -> Recording:
    if text is not None:
        path.write_text(text, encoding="utf-8")
    options.setdefault("speed", 0)
    return Recording(file=str(path), **options)  # type: ignore[arg-type]


def read(path: Path, text: str, **options: object) -> tuple[list[float], list[list[float]]]:
    readings = read_all(recording(path, text, **options))
    return times_of(readings).tolist(), values_of(readings).tolist()


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "machine.csv"


def test_a_nab_file_reads(csv: Path) -> None:
    text = "timestamp,value\n2013-12-02 21:15:00,73.96732207\n2013-12-02 21:20:00,74.93588199999998\n"
    times, values = read(csv, text)
    assert times == [1386018900.0, 1386019200.0]
    assert values == [[np.float32(73.96732207)], [np.float32(74.93588199999998)]]


def test_a_skab_file_reads_without_its_labels(csv: Path) -> None:
    text = "datetime;Current;Volume Flow RateRMS;anomaly;changepoint\n"
    text += "".join(f"2020-03-09 10:14:{i};1.3302;32.0;0.0;1.0\n" for i in range(33, 40))
    sensor = recording(csv, text)
    readings = read_all(sensor)
    assert sensor.channels == (Channel("Current"), Channel("Volume Flow RateRMS"))
    assert sensor.rate_hz == 1.0
    assert values_of(readings).shape == (7, 2)


def test_labels_are_channels_where_they_are_asked_for(csv: Path) -> None:
    sensor = recording(csv, "time,x,anomaly\n0,1,0\n1,2,1\n", channels=["anomaly"])
    assert values_of(read_all(sensor)).tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2024-03-01T12:00:00Z", "2024-03-01T12:00:01Z"),
        ("2024-03-01 12:00:00", "2024-03-01 12:00:01"),
        ("2024-03-01T12:00:00.000", "2024-03-01T12:00:01.000000"),
        ("2024-03-01T14:00:00+02:00", "2024-03-01T14:00:01+02:00"),
        ("2024-03-01T07:30:00-0430", "2024-03-01T07:30:01-0430"),
        ("2024/3/1 12:00", "2024/3/1 12:00:01"),
        ("1709294400", "1709294401"),
        ("1709294400.0", "1709294401.0"),
        ("1709294400000", "1709294401000"),
        ("1709294400000000", "1709294401000000"),
        ("1709294400000000000", "1709294401000000000"),
        ("1.7092944e9", "1.709294401e9"),
        ("01.03.2024 12:00:00", "01.03.2024 12:00:01"),
    ],
)
def test_every_usual_form_of_time_reads(csv: Path, first: str, second: str) -> None:
    times, _ = read(csv, f"time,x\n{first},1\n{second},2\n")
    assert times == [T0, T0 + 1]


def test_a_day_or_month_first_date_is_told_from_the_days_above_twelve(csv: Path) -> None:
    day_first, _ = read(csv, "date,x\n12/03/2024 00:00,1\n13/03/2024 00:00,2\n")
    month_first, _ = read(csv, "date,x\n3/12/2024 12:00 AM,1\n3/13/2024 12:00 AM,2\n")
    assert day_first == month_first == [1710201600.0, 1710288000.0]


def test_a_date_that_could_be_either_is_refused_until_told(csv: Path) -> None:
    text = "date,x\n03/04/2024 10:00,1\n03/04/2024 11:00,2\n"
    with pytest.raises(SensorError, match=r"machine\.csv, row 2, column date: .*time_form: day-first"):
        recording(csv, text).open()
    times, _ = read(csv, text, time_form="day-first")
    assert times[0] == 1712138400.0


def test_seconds_from_zero_are_kept_or_moved_to_a_start(csv: Path) -> None:
    text = "t,x\n0.0,1\n0.5,2\n1.0,3\n"
    assert read(csv, text)[0] == [0.0, 0.5, 1.0]
    assert read(csv, text, start="2024-03-01T12:00:00Z")[0] == [T0, T0 + 0.5, T0 + 1]


def test_a_unit_in_the_header_says_what_the_numbers_are(csv: Path) -> None:
    sensor = recording(csv, "time [ms],Motor temp [°C],p (Pa)\n0,1,2\n500,3,4\n")
    assert times_of(read_all(sensor)).tolist() == [0.0, 0.5]
    assert sensor.channels == (Channel("Motor temp", "Cel"), Channel("p", "Pa"))


def test_rows_without_times_need_a_rate(csv: Path) -> None:
    with pytest.raises(SensorError, match=r"no time column among x, y.*`rate_hz`"):
        recording(csv, "x,y\n1,2\n3,4\n").open()
    assert read(csv, "x,y\n1,2\n3,4\n", rate_hz=4.0) == ([0.0, 0.25], [[1.0, 2.0], [3.0, 4.0]])


def test_a_table_without_header_gets_numbered_columns(csv: Path) -> None:
    sensor = recording(csv, "2024-03-01T12:00:00,1.5\n2024-03-01T12:00:01,2.5\n")
    assert times_of(read_all(sensor)).tolist() == [T0, T0 + 1]
    assert sensor.channels == (Channel("column 2"),)


@pytest.mark.parametrize(
    "text",
    [
        "time;x;y\n0;1,5;2\n1;2,5;3\n",  # decimal comma
        "time\tx\ty\n0\t1.5\t2\n1\t2.5\t3\n",
        '"time","x","y"\n"0","1.5","2"\n"1","2.5","3"\n',
        "# made by hand\n\ntime,x,y\n0,1.5,2\n\n1,2.5,3\n\n",
        "\ufefftime,x,y\r\n0,1.5,2\r\n1,2.5,3\r\n",
        "time,x,y,\n0,1.5,2\n1,2.5,3\n",  # ... in the header alone
        "time,x,y\n0,1.5,2,\n1,2.5,3,\n",  # ... in the rows alone
        "time,x,y\ns,Cel,bar\n0,1.5,2\n1,2.5,3\n",  # units in a row of their own
        "time,x,y\n0,1.5,2\n# the pump was oiled, by hand\n1,2.5,3\n",
        "# made by numpy\n# time,x,y\n0,1.5,2\n1,2.5,3\n",
        "sep=;\ntime;x;y\n0;1,5;2\n1;2,5;3\n",  # Excel
        'time,x,y\n0,"1,5",2\n1,"2,5",3\n',
        "time,x,y,\n0,1.5,2,\n1,2.5,3,\n",  # a comma too many, everywhere
        "time,x,name,y\n0,1.5,pump,2\n1,2.5,pump,3\n",  # text is no channel
    ],
)
def test_dialects_read_alike(csv: Path, text: str) -> None:
    assert read(csv, text) == ([0.0, 1.0], [[1.5, 2.0], [2.5, 3.0]])


@pytest.mark.parametrize(
    "text",
    [
        'time,x\n0,"1,234.5"\n1,"1,234,567"\n',
        "time;x\n0;1.234,5\n1;1.234.567\n",
        "time;x\n0;1234,5\n1;1234567\n",
        "time\tx\n0\t1,234.5\n1\t1,234,567\n",
        "time;x\n0;1'234.5\n1;1'234'567\n",
        "time;x\n0;1\u00a0234,5\n1;1\u202f234\u202f567\n",
    ],
)
def test_marks_of_thousands_are_told_from_those_of_decimals(csv: Path, text: str) -> None:
    assert read(csv, text)[1] == [[1234.5], [1234567.0]]


def test_a_mark_that_first_appears_far_into_the_file_is_understood_or_counted(csv: Path) -> None:
    def late(before: str, cell: str) -> tuple[float, dict[str, int]]:
        sensor = recording(csv, "time;x\n" + "".join(f"{i};{before}\n" for i in range(300)) + f"300;{cell}\n")
        return float(values_of(read_all(sensor))[-1, 0]), sensor.skipped

    unclear = {"not_a_number": 1, "missing_values": 1}
    assert late("3", "3,5") == (3.5, {})
    assert late("999.5", "1,000.5") == (1000.5, {})
    assert late("999,5", "1.000,5") == (1000.5, {})
    assert late("3", "3.125") == (3.125, {})
    for before, cell in (("999,5", "1.000"), ("999.5", "1,000")):
        value, skipped = late(before, cell)
        assert math.isnan(value)
        assert skipped == unclear


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('time,x\n0,"1,234"\n1,"2,345"\n', "'1,234' may mean a thousand or a fraction"),
        ("time;x;y\n0;1.234;1,5\n", "'1.234' beside '1,5' may mean a thousand or a fraction"),
        ("time;x;y\n0;1.234,5;1,234.5\n", "mark their decimals differently"),
        ("time,x\n0,3,14\n1,3,15\n", "row 2: 3 columns where the header has 2: are those decimal commas"),
    ],
)
def test_a_number_that_may_be_one_of_two_is_refused(csv: Path, text: str, message: str) -> None:
    with pytest.raises(SensorError, match=rf"machine\.csv.*{message}"):
        recording(csv, text).open()


def test_units_in_a_row_of_their_own_are_the_channels_units(csv: Path) -> None:
    sensor = recording(
        csv, "time;Temp;p\nYYYY-MM-DD hh:mm:ss;[°C];bar\n2024-03-01 12:00:00;1,5;2\n", rate_hz=1.0
    )
    assert times_of(read_all(sensor)).tolist() == [T0]
    assert sensor.channels == (Channel("Temp", "Cel"), Channel("p", "bar"))
    assert sensor.skipped == {}


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        ("date;time;v", "2024-03-01;12:00:00;1", "2024-03-01;12:00:01;2"),
        ("time;date;v", "12:00:00;2024-03-01;1", "12:00:01;2024-03-01;2"),
        ("Datum;Uhrzeit;v", "01.03.2024;12:00:00,0;1,5", "01.03.2024;12:00:01,0;2,5"),
        ("Date;Time;v", "31/03/2024;12:00:00 PM;1", "31/03/2024;12:00:01 PM;2"),
        ("date;time;v", "20240301;120000;1", "20240301;120001;2"),
        ("Date;v;Time", "20240301;1;12:00:00", "20240301;2;12:00:01"),
        ("date;timestamp;v", "2024-03-01;2024-03-01 12:00:00;1", "2024-03-01;2024-03-01 12:00:01;2"),
        ("date;time;v", "2024-03-01;1709294400;1", "2024-03-01;1709294401;2"),
        ("time;v", "20240301120000;1", "20240301120001;2"),
        ("time;v", "20240301T120000;1", "20240301T120001;2"),
    ],
)
def test_dates_and_times_of_day_in_two_columns_are_one_time(
    csv: Path, header: str, first: str, second: str
) -> None:
    sensor = recording(csv, "\n".join([header, first, second, ""]))
    april = T0 + 30 * 86400 if "31/03" in first else T0
    assert times_of(read_all(sensor)).tolist() == [april, april + 1]
    assert [channel.name for channel in sensor.channels] == ["v"]


def test_a_column_of_dates_named_as_time_takes_the_times_of_day_along(csv: Path) -> None:
    text = "day;hour;v\n2024-03-01;12:00;1\n2024-03-01;12:01;2\n2024-03-01;;3\n2024-03-01;27:00;3\n"
    for name in ("day", "hour"):
        sensor = recording(csv, text, time=name)
        assert times_of(read_all(sensor)).tolist() == [T0, T0 + 60]
        assert sensor.examples["bad_times"].startswith(f"{csv}, row 4: column day and hour:")
        assert sensor.skipped == {"bad_times": 2}


def test_dates_alone_are_times_too(csv: Path) -> None:
    for days in (("2024-03-01", "2024-03-02"), ("20240301", "20240302")):
        times, _ = read(csv, f"date;v\n{days[0]};1\n{days[1]};2\n")
        assert times == [T0 - 43200, T0 + 43200]


def test_a_column_of_times_may_be_left_alone(csv: Path) -> None:
    text = "time;v\n2024-03-01 12:00;1\n2024-03-01 12:00;2\n"
    assert read(csv, text, time="none", rate_hz=2.0)[0] == [0.0, 0.5]


def test_digits_are_milliseconds_where_that_is_said(csv: Path) -> None:
    assert read(csv, "time;v\n20240301120000;1\n20240301121000;2\n", time_form="ms")[0][0] == 20240301120.0
    with pytest.raises(SensorError, match=r"row 2, column time: '99999999999998' is neither.*`time_form`"):
        recording(csv, "time;v\n99999999999998;1\n99999999999999;2\n").open()


def test_latin_1_headers_read(csv: Path) -> None:
    csv.write_bytes("time,Drehzahl für M1 [°C]\n0,1\n1,2\n".encode("latin-1"))
    sensor = recording(csv)
    sensor.open()
    assert sensor.channels == (Channel("Drehzahl für M1", "Cel"),)
    sensor.close()


def test_columns_come_in_the_order_asked_for(csv: Path) -> None:
    assert read(csv, "time,a,b,c\n0,1,2,3\n1,4,5,6\n", channels=["c", "a"])[1] == [[3.0, 1.0], [6.0, 4.0]]


def test_a_column_that_is_not_there_is_named_with_the_nearest(csv: Path) -> None:
    with pytest.raises(SensorError, match=r"no column 'presure': did you mean pressure\?"):
        recording(csv, "time,pressure\n0,1\n1,2\n", channels=["presure"]).open()
    with pytest.raises(SensorError, match=r"no time column 'when': there are time, pressure"):
        recording(csv, time="when").open()


def test_missing_values_are_nan_and_counted(csv: Path) -> None:
    text = "time,a,b\n0,1,\n1,nan,2\n2,inf,3\n3,,\n4,N/A,5\n5,1e99,6\n"
    sensor = recording(csv, text)
    values = values_of(read_all(sensor))
    np.testing.assert_array_equal(
        values, [[1, np.nan], [np.nan, 2], [np.nan, 3], [np.nan, np.nan], [np.nan, 5], [np.nan, 6]]
    )
    assert sensor.skipped == {"missing_values": 7}
    assert sensor.examples == {"missing_values": f"{csv}, row 2: column b: has no value"}


BROKEN = """time,a,b
2024-03-01T12:00:00,1,1
2024-03-01T12:00:01,2,2
2024-03-01T12:00:01,3,3
2024-03-01T11:00:00,4,4
2024-03-01T12:00:02,oops,5
2024-03-01T12:00:03,6
2024-03-01T12:00:04,7,7,7
yesterday,8,8
2024-02-30T12:00:00,9,9
2024-03-01T12:00:05,10,10
"""


def test_broken_rows_are_skipped_and_counted_by_reason(csv: Path) -> None:
    sensor = recording(csv, BROKEN)
    readings = read_all(sensor)
    assert (times_of(readings) - T0).tolist() == [0.0, 1.0, 2.0, 5.0]
    assert values_of(readings)[:, 1].tolist() == [1, 2, 5, 10]
    assert sensor.skipped == {
        "not_a_number": 1,
        "missing_values": 1,
        "missing_columns": 1,
        "extra_columns": 1,
        "bad_times": 2,
        "duplicates": 1,
        "backwards": 1,
    }
    assert sensor.examples["missing_columns"] == f"{csv}, row 7: 2 columns where the header has 3"
    assert sensor.examples["not_a_number"] == f"{csv}, row 6: column a: 'oops' is not a number"
    assert sensor.examples["backwards"] == f"{csv}, row 5: its time goes backwards (2024-03-01T11:00:00)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2024-03-01T12:00:01,3", "row 4: has the same time as a row before it"),
        ("2024-03-01T11:00:00,4", "row 4: its time goes backwards"),
        ("2024-03-01T12:00:02,oops", "row 4: column a: 'oops' is not a number"),
        ("2024-03-01T12:00:03", "row 4: 1 columns where the header has 2"),
        ("2024-03-01T12:00:03,1,2", "row 4: 3 columns where the header has 2"),
        ("yesterday,8", "row 4: column time: 'yesterday' is not a time like 2024-03-31T12:00:00Z"),
        (",8", "row 4: column time: has no time"),
        ("2024-13-01T12:00:03,1", "row 4: column time: .*month must be in 1..12"),
    ],
)
def test_with_on_error_stop_the_first_broken_row_is_an_error(csv: Path, row: str, message: str) -> None:
    text = f"time,a\n2024-03-01T12:00:00,1\n2024-03-01T12:00:01,2\n{row}\n2024-03-01T12:00:05,1\n"
    with pytest.raises(SensorError, match=r"machine\.csv, " + message):
        read_all(recording(csv, text, on_error="stop"))


def test_one_row_far_in_the_future_does_not_hide_the_rest(csv: Path) -> None:
    sensor = recording(csv, "time,a\n0,1\n1,2\n4000000000,3\n2,4\n3,5\n")
    assert values_of(read_all(sensor))[:, 0].tolist() == [1, 2, 4, 5]
    assert sensor.skipped == {"ahead": 1}


def second_by_second(rows: int, wrong: dict[int, float]) -> str:
    """One row a second, some of them with a wrong time."""
    return "time,a\n" + "".join(f"{wrong.get(i, T0 + i):.0f},{i}\n" for i in range(rows))


@pytest.mark.parametrize("first", [0, 200, 5000, 8126, 8190, 8191, 8192, 16383])
@pytest.mark.parametrize("many", [1, 2, 60])
@pytest.mark.parametrize("wrong", [FAR, 0.0])
def test_a_few_rows_with_a_wrong_time_are_all_that_is_lost(
    csv: Path, first: int, many: int, wrong: float
) -> None:
    rows = range(first, first + many)
    sensor = recording(csv, second_by_second(20_000, {i: wrong + i for i in rows}), rate_hz=1.0)
    values = values_of(read_all(sensor))[:, 0]
    if first == 0 and wrong == 0.0:  # nothing tells a first row that is too early from a gap after it
        assert values.tolist() == list(range(20_000))
    else:
        assert values.tolist() == [i for i in range(20_000) if i not in rows]
        assert sensor.skipped == {"ahead" if wrong else "backwards": many}


def test_a_leap_in_the_first_row_leaves_the_rate_known(csv: Path) -> None:
    sensor = recording(csv, second_by_second(20, {0: FAR}))
    assert len(values_of(read_all(sensor))) == 19
    assert sensor.rate_hz == 1.0


@pytest.mark.parametrize("at", [100, 8000, 8192, 10_000])
def test_a_clock_that_was_set_back_for_good_begins_anew(csv: Path, at: int) -> None:
    """Nothing of what agrees with itself is lost, and a leap among it still is."""
    back = {i: T0 - 1e6 + i for i in range(at, 20_000)} | {at + 300: FAR}
    sensor = recording(csv, second_by_second(20_000, back))
    readings = read_all(sensor)
    assert sensor.skipped == {"restarts": 1, "ahead": 1}
    assert sensor.examples["restarts"].startswith(f"{csv}, row {at + 2}: its time goes back, and the rows")
    assert len(values_of(readings)) == 19_999
    assert times_of(readings)[at] == T0 - 1e6 + at


def test_pacing_goes_on_where_time_begins_anew(csv: Path) -> None:
    sensor = recording(csv, second_by_second(200, {i: T0 + i - 150 for i in range(100, 200)}), speed=1.0)
    sensor.clock = clock = PushedClock()
    read_all(sensor)
    assert sum(clock.waits) == pytest.approx(198.0)


def test_an_hour_set_back_is_skipped_where_that_costs_few_rows(csv: Path) -> None:
    times = [300 * i - 3600 * (i >= 100) for i in range(200)]
    sensor = recording(csv, "time,a\n" + "".join(f"{t},1\n" for t in times))
    np.testing.assert_allclose(np.diff(times_of(read_all(sensor))), 300.0)
    assert sensor.skipped == {"backwards": 11, "duplicates": 1}


@settings(deadline=None, max_examples=200)
@given(
    times=st.lists(st.integers(0, 30), max_size=14),
    last=st.integers(-5, 20) | st.just(-np.inf),
    price=st.integers(1, 5),
)
def test_no_way_to_read_rows_forward_loses_fewer(times: list[int], last: float, price: int) -> None:
    def worth(kept: tuple[int, ...]) -> int:
        chosen = [last, *(times[i] for i in kept)]
        return len(kept) - price * sum(b <= a for a, b in itertools.pairwise(chosen))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sensors.rows.RESTART_ROWS", price)
        kept = tuple(np.flatnonzero(longest_forward(np.array(times, np.float64), last)).tolist())
    every = itertools.chain.from_iterable(
        itertools.combinations(range(len(times)), n) for n in range(len(times) + 1)
    )
    assert worth(kept) == max(map(worth, every))


@pytest.mark.parametrize(("rows", "first"), [(200, 200), (9000, 8192 - 256)])
def test_equal_times_are_said_to_be_equal(csv: Path, rows: int, first: int) -> None:
    text = "time,a\n" + "2024-03-01T12:00:00,1\n" * rows
    with pytest.raises(
        SensorError, match=rf"its first {first} rows have all the same time \(2024-03-01T12:.*`time: none`"
    ):
        recording(csv, text).open()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("time,a\n", "row 1: only a header"),
        ("time,a\n\n\n", "row 1: only a header"),
        ("time,a\n0\n1\n", "row 2: 1 columns where the header has 2"),
        ("time,a\n0,1\n", "one row only"),
        ("time,a\nx,1\ny,1\n", "row 2, column time: 'x' is not a time"),
        ("time,name\n0,pump\n1,fan\n", "no column of numbers"),
        ("time,a\0\n0,1\n", "is not a text file"),
    ],
)
def test_a_useless_file_is_refused_with_its_name_and_row(csv: Path, text: str, message: str) -> None:
    with pytest.raises(SensorError, match=rf"machine\.csv.*{message}"):
        recording(csv, text).open()


def test_a_text_column_asked_for_by_name_is_refused(csv: Path) -> None:
    with pytest.raises(SensorError, match=r"column name: holds text \('pump'\)"):
        recording(csv, "time,name\n0,pump\n1,fan\n", channels=["name"]).open()


def test_a_gap_begins_a_new_reading_and_small_jitter_does_not(csv: Path) -> None:
    times = [0.0, 1.04, 1.97, 3.0, 9.5, 10.5, 11.5]
    readings = read_all(recording(csv, "t,x\n" + "".join(f"{t},{t}\n" for t in times), rate_hz=1.0))
    assert [(r.time, len(r.values)) for r in readings] == [(0.0, 4), (9.5, 3)]


def test_times_rounded_to_milliseconds_still_give_the_true_rate(csv: Path) -> None:
    sensor = recording(csv, "t,x\n" + "".join(f"{round(i / 3, 3)},{i}\n" for i in range(1000)))
    readings = read_all(sensor)
    assert sensor.rate_hz == 3.0
    assert len(readings) == 1


def test_a_fast_recording_is_a_vibration_and_a_slow_one_telemetry(csv: Path) -> None:
    fast = recording(csv, "x\n" + "1\n" * 10, rate_hz=1000.0)
    fast.open()
    assert fast.kind == "vibration"
    fast.close()
    slow = recording(csv, rate_hz=1.0)
    slow.open()
    assert slow.kind == "telemetry"
    slow.close()


steps = st.lists(st.sampled_from([1.0, 1.0, 1.0, 1.05, 0.96, 2.0, 7.3, 0.0, -3.0]), min_size=2, max_size=60)


@settings(deadline=None, max_examples=60)
@given(steps=steps, chunk=st.integers(1, 70))
def test_no_chunk_size_changes_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[float], chunk: int
) -> None:
    csv = tmp_path_factory.mktemp("sweep") / "machine.csv"
    times = T0 + np.cumsum([0.0, *steps])
    text = "time,a,b\n" + "".join(f"{t:.3f},{i},{'' if i % 5 == 0 else i / 3}\n" for i, t in enumerate(times))
    whole = read_all(recording(csv, text, rate_hz=1.0))
    pieces = read_all(recording(csv, rate_hz=1.0, chunk=chunk))
    assert max(len(r.values) for r in pieces) <= chunk
    np.testing.assert_allclose(times_of(pieces), times_of(whole), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(values_of(pieces), values_of(whole))


def test_blocks_leave_no_seam(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "time,a\n" + "".join(f"{i + (i > 333) * 5},{i}\n" for i in range(1000))
    whole = read_all(recording(csv, text))
    monkeypatch.setattr("sensors.csv_table.BLOCK_ROWS", 128)
    pieces = read_all(recording(csv))
    np.testing.assert_array_equal(times_of(pieces), times_of(whole))
    np.testing.assert_array_equal(values_of(pieces), values_of(whole))


def test_the_careful_parser_agrees_with_the_fast_one(csv: Path) -> None:
    rows = [f"2024-03-01T12:00:{i:02d}.{i:03d}Z,{i / 7!r},{-i}e-3" for i in range(60)]
    fast = read_all(recording(csv, "time,a,b\n" + "\n".join(rows) + "\n"))
    broken = [*rows, "2024-03-01T12:02:00.000Z,oops,1"]
    careful = read_all(recording(csv, "time,a,b\n" + "\n".join(broken) + "\n"))
    np.testing.assert_array_equal(values_of(fast), values_of(careful)[:60])
    np.testing.assert_array_equal(times_of(fast), times_of(careful)[:60])


def test_playing_is_paced_by_the_recordings_own_times(csv: Path) -> None:
    sensor = Recording(file=str(make_csv(csv, 5)), speed=2.0)
    sensor.clock = clock = PushedClock()
    read_all(sensor)
    assert clock.waits == pytest.approx([0.5] * 4)


def test_as_fast_as_it_goes_never_waits(csv: Path) -> None:
    sensor = Recording(file=str(make_csv(csv)), speed=0)
    sensor.clock = clock = PushedClock()
    assert len(read_all(sensor)) == 1
    assert clock.waits == []
    assert sensor.waits


def test_finished_is_said_with_the_last_reading(csv: Path) -> None:
    sensor = recording(make_csv(csv, 4), chunk=2)
    sensor.open()
    assert sensor.progress() == 0.0
    assert sensor.read(0) is not None
    assert sensor.progress() == pytest.approx(0.5)
    said = [sensor.finished]
    assert sensor.read(0) is not None
    said.append(sensor.finished)
    assert said == [False, True]
    assert sensor.read(0) is None
    assert (sensor.rows_read, sensor.rows_total, sensor.progress()) == (4, 4, 1.0)
    sensor.close()


def test_a_repeated_recording_goes_on_in_time(csv: Path) -> None:
    sensor = recording(make_csv(csv, 3), repeat=True)
    with sensor:
        readings = [sensor.read(0) for _ in range(3)]
    assert [r.time - T0 for r in readings if r] == [0.0, 3.0, 6.0]


def test_an_error_in_mid_file_comes_after_what_was_read_before_it(
    csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensors.csv_table.BLOCK_ROWS", 120)
    rows = [f"{i},{i}" for i in range(200)]
    rows[150] = "150,oops"
    sensor = recording(csv, "time,a\n" + "\n".join(rows) + "\n", on_error="stop")
    sensor.open()
    first = sensor.read(0)
    assert first is not None
    assert len(first.values) == 120
    with pytest.raises(SensorError, match="row 152: column a: 'oops'"):
        sensor.read(0)
    assert sensor.finished
    sensor.close()


@pytest.mark.parametrize("time", ["1e309", "-1e309", "1e300", "nan"])
def test_a_time_beyond_all_calendars_is_no_time(csv: Path, time: str) -> None:
    for text in (f"t,x\n0,1\n{time},2\n1,3\n", f"t,x\n0,1\n{time},oops\n1,3\n", f"t,x\n{time},1\n0,1\n1,3\n"):
        sensor = recording(csv, text)
        assert times_of(read_all(sensor)).tolist() == [0.0, 1.0]
        assert sensor.skipped["bad_times"] == 1
    with pytest.raises(SensorError, match=r"none of its rows can be used|is not a time|has no times|holds"):
        recording(csv, f"t,x\n{time},1\n{time},2\n").open()


@settings(deadline=None, max_examples=100)
@example(cells=["1e309", "", "1e309"])
@given(cells=st.lists(st.text(alphabet='0123456789.,;:-+ "\neTZaµ\t', max_size=12), max_size=30))
def test_no_text_whatever_is_anything_but_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    csv = tmp_path_factory.mktemp("garbage") / "machine.csv"
    csv.write_text(
        "time,x\n0,1\n1,2\n"
        + "".join(itertools.chain.from_iterable(zip(cells, [",", "\n"] * 15, strict=False)))
    )
    try:
        readings = read_all(recording(csv))
    except SensorError as error:
        if "machine.csv" not in str(error):
            raise
        return
    assert (np.diff(times_of(readings)) > 0).all()
