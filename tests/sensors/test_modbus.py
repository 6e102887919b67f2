"""Modbus against pymodbus's own server, over TCP and over a serial line."""

from __future__ import annotations

import gc
import math
import re
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pymodbus.constants import ExcCodes

from sensors import OptionError, Reading, SensorError, check, create
from sensors.contract import PushedClock, SensorContract
from sensors.modbus import Modbus
from sensors.modbus_bus import _buses
from tests.sensors.modbus_peer import HOLDING, Peer, device
from tests.sensors.serial_line import Cable

QUICK_S = 0.2
VOLTS = struct.unpack(">HH", struct.pack(">f", 230.25))
WORDS = [*VOLTS, 500, 0xFFFF, 7]  # a float32, then three numbers of 16 bits


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    with Cable(tmp_path) as cable:
        yield cable


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    gc.collect()
    before = open_files(), threading.active_count()
    yield
    assert _buses == {}
    assert (open_files(), threading.active_count()) == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def register(name: str, offset: int, **more: object) -> dict[str, object]:
    return {"name": name, "table": "holding", "address": HOLDING + offset, **more}


def make(*registers: dict[str, object], **options: object) -> Modbus:
    sensor = create("meter", "modbus", {"registers": list(registers), "timeout_s": QUICK_S, **options})
    assert isinstance(sensor, Modbus)
    sensor.clock = PushedClock()
    return sensor


def over_tcp(peer: Peer, *registers: dict[str, object], **options: object) -> Modbus:
    return make(*registers, host="127.0.0.1", host_port=peer.port, **options)


def on_line(cable: Cable, *registers: dict[str, object], **options: object) -> Modbus:
    return make(*registers, port=str(cable.ours), baud=19200, **options)


def row(sensor: Modbus) -> list[float]:
    reading = sensor.read(10.0)
    assert isinstance(reading, Reading)
    return [float(value) for value in reading.values[0]]


class TestOverTcp(SensorContract):
    driver = "modbus"
    clock = PushedClock

    @pytest.fixture
    def options(self) -> Iterator[Mapping[str, object]]:
        self.peer = Peer(device(1, WORDS))
        yield {"host": "127.0.0.1", "host_port": self.peer.port, "registers": [register("a", 2)]}
        self.peer.stop()

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        return {"host": "127.0.0.1", "host_port": 1, "registers": [register("a", 2)]}

    def lose(self) -> None:
        self.peer.stop()

    def mend(self) -> None:
        self.peer = Peer(device(1, WORDS), port=self.peer.port)


class TestOnALine(SensorContract):
    driver = "modbus"
    clock = PushedClock

    @pytest.fixture
    def options(self, cable: Cable) -> Iterator[Mapping[str, object]]:
        self.cable, self.peer = cable, Peer(device(1, WORDS), line=cable.theirs)
        yield {"port": str(cable.ours), "registers": [register("a", 2)], "timeout_s": QUICK_S}
        self.peer.stop()

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"port": str(tmp_path / "no"), "registers": [register("a", 2)]}

    def lose(self) -> None:
        self.cable.pull()
        self.peer.stop()

    def mend(self) -> None:
        self.cable.plug()
        self.peer = Peer(device(1, WORDS), line=self.cable.theirs)


# What is read.


def test_every_table_and_type_is_read_over_tcp() -> None:
    with Peer(device(1, WORDS)) as peer:
        sensor = over_tcp(
            peer,
            register("voltage", 0, type="float32", unit="V"),
            register("flow", 2, scale=0.01, unit="m3/h"),
            register("temperature", 3, type="int16", scale=0.1, unit="Cel"),
            {"name": "input", "address": 30005},
            {"name": "running", "table": "coil", "address": 3},
            {"name": "tripped", "address": 10001},
        )
        with sensor:
            assert row(sensor) == pytest.approx([230.25, 5.0, -0.1, 8.0, 1.0, 0.0])
    assert [channel.unit for channel in sensor.channels] == ["V", "m3/h", "Cel", "1", "1", "1"]
    assert sensor.skipped == {}


def test_neighbours_cost_one_request() -> None:
    with Peer(device(1, WORDS)) as peer, over_tcp(peer, register("a", 4), register("b", 0)) as sensor:
        assert row(sensor) == [7.0, VOLTS[0]]
        assert len(peer.requests) == 1


def test_a_gap_that_the_device_does_not_have_is_not_read_again() -> None:
    with Peer(device(1, WORDS, gap_at=HOLDING + 3)) as peer:
        with over_tcp(peer, register("a", 2), register("b", 4)) as sensor:
            assert row(sensor) == [500.0, 7.0]
            assert len(peer.requests) == 3  # both at once, which is refused, then each alone
            assert row(sensor) == [500.0, 7.0]
            assert len(peer.requests) == 5
            assert sensor.skipped == {"illegal_data_address": 1}


def test_units_of_one_line_are_heard_by_sensors_that_share_it(cable: Cable) -> None:
    with Peer(device(1, [11]), device(2, [22]), line=cable.theirs):
        sensors = [on_line(cable, register("a", 0), unit_id=unit, rate_hz=1000) for unit in (1, 2)]
        heard: dict[int, set[float]] = {1: set(), 2: set()}

        def listen(unit: int, sensor: Modbus) -> None:
            with sensor:
                for _ in range(50):
                    heard[unit] |= set(row(sensor))

        threads = [threading.Thread(target=listen, args=pair) for pair in zip((1, 2), sensors, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard == {1: {11.0}, 2: {22.0}}
        assert [sensor.skipped for sensor in sensors] == [{}, {}]


def test_units_behind_one_host_share_a_connection() -> None:
    with Peer(device(1, [11]), device(2, [22])) as peer:
        first, second = (over_tcp(peer, register("a", 0), unit_id=unit) for unit in (1, 2))
        with first, second:
            assert [row(first), row(second)] == [[11.0], [22.0]]
            assert len(_buses) == 1
            first.close()
            assert row(second) == [22.0]


def test_sensors_of_one_line_must_agree_on_its_settings(cable: Cable) -> None:
    with on_line(cable, register("a", 0)):
        other = on_line(cable, register("a", 0), unit_id=2, parity="even")
        with pytest.raises(
            SensorError, match=r"meter: .*baud: 19200, parity: none.*here.*parity: even.*must be the same"
        ):
            other.open()


def test_a_port_that_another_program_holds_says_so(cable: Cable) -> None:
    import serial

    with serial.Serial(str(cable.ours), exclusive=True):
        with pytest.raises(SensorError, match="is in use by another program or sensor"):
            on_line(cable, register("a", 0)).open()


# What is refused, broken, late or missing.


def test_what_a_unit_refuses_is_missing_and_counted_by_name_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refuses = {HOLDING: ExcCodes.DEVICE_BUSY, HOLDING + 4: ExcCodes.DEVICE_FAILURE}
    with Peer(device(1, WORDS, refuses=refuses)) as peer:
        with over_tcp(peer, register("a", 0), register("b", 2), register("c", 4), bridge=0) as sensor:
            assert row(sensor) == pytest.approx([math.nan, 500.0, math.nan], nan_ok=True)
            assert sensor.skipped == {"server_device_busy": 1, "server_device_failure": 1}
            row(sensor)
    assert [record.getMessage() for record in caplog.records if "counted" in record.getMessage()] == [
        "sensor meter: holding 100: server device busy; counted from now on",
        "sensor meter: holding 104: server device failure; counted from now on",
    ]


def test_a_unit_that_refuses_all_is_an_error_that_says_what(cable: Cable) -> None:
    with Peer(device(1, WORDS), line=cable.theirs), on_line(cable, register("a", 40, type="int32")) as sensor:
        with pytest.raises(
            SensorError,
            match=r"meter: unit 1 at .*: holding 140 to 141: illegal data address \(is its table right",
        ):
            sensor.read(1.0)


def test_an_answer_with_a_wrong_checksum_is_counted_and_asked_for_again(cable: Cable) -> None:
    with Peer(device(1, WORDS), line=cable.theirs) as peer, on_line(cable, register("a", 2)) as sensor:
        assert row(sensor) == [500.0]
        good = peer.spoil
        wrong = iter([flipped])
        peer.spoil = lambda packet: next(wrong, good)(packet)
        assert row(sensor) == [500.0]
        assert sensor.skipped == {"crc_errors": 1}
        peer.spoil = flipped
        with pytest.raises(SensorError, match="holding 102: crc errors"):
            sensor.read(10.0)
        assert sensor.skipped == {"crc_errors": 3}


def flipped(packet: bytes) -> bytes:
    return packet[:3] + bytes([packet[3] ^ 0x10]) + packet[4:]


@pytest.mark.parametrize(
    ("cut", "reason", "hint"),
    [
        (slice(0, 0), "time_outs", "is unit_id 1 right, and baud and parity?"),
        (slice(0, 3), "short_answers", "are baud, parity and stop_bits those of the unit?"),
        (slice(0, -1), "crc_errors", "are baud, parity and stop_bits those of the unit?"),
    ],
)
def test_an_answer_that_comes_in_part_or_not_at_all_is_counted(
    cable: Cable, cut: slice, reason: str, hint: str
) -> None:
    with Peer(device(1, WORDS), line=cable.theirs) as peer, on_line(cable, register("a", 2)) as sensor:
        peer.spoil = lambda packet: packet[cut]
        with pytest.raises(SensorError, match=re.escape(f"{reason.replace('_', ' ')} ({hint})")):
            sensor.read(10.0)
        assert sensor.skipped == {reason: 1}  # who has not answered yet is not asked twice


def test_a_late_answer_is_not_taken_for_another(cable: Cable) -> None:
    """Both blocks are one register of the same unit: on a line their answers look the same."""
    with Peer(device(1, WORDS), line=cable.theirs) as peer:
        with on_line(cable, register("a", 2), register("b", 4), bridge=0, retries=0) as sensor:
            assert row(sensor) == [500.0, 7.0]

            def late(packet: bytes) -> bytes:
                if packet[4] == 7:
                    peer.spoil = lambda packet: packet
                    time.sleep(1.5 * QUICK_S)
                return packet

            peer.spoil = late
            assert row(sensor) == pytest.approx([500.0, math.nan], nan_ok=True)
            assert row(sensor) == [500.0, 7.0]
            assert row(sensor) == [500.0, 7.0]
            assert sensor.skipped == {"time_outs": 1}


def test_a_silent_unit_does_not_silence_the_others_on_its_line(cable: Cable) -> None:
    with Peer(device(1, [11]), device(2, [22]), line=cable.theirs) as peer:
        peer.spoil = lambda packet: b"" if packet[0] == 2 else packet
        first, second = (on_line(cable, register("a", 0), unit_id=unit) for unit in (1, 2))
        with first, second:
            assert row(first) == [11.0]
            with pytest.raises(SensorError, match=r"unit 2 at .*: holding 100: time outs"):
                second.read(10.0)
            assert row(first) == [11.0]
        assert first.skipped == {}


@pytest.mark.parametrize(
    ("value", "reason"), [(math.nan, "not_finite"), (math.inf, "not_finite"), (1e300, "out_of_range")]
)
def test_numbers_that_are_none_are_missing_and_counted(value: float, reason: str) -> None:
    words = struct.unpack(">4H", struct.pack(">d", value))
    with Peer(device(1, [*words, 5])) as peer:
        with over_tcp(peer, register("a", 0, type="float64"), register("b", 4)) as sensor:
            assert row(sensor) == pytest.approx([math.nan, 5.0], nan_ok=True)
            assert sensor.skipped == {reason: 1}


def test_the_devices_own_missing_value_is_counted() -> None:
    with Peer(device(1, [0x8000, 5])) as peer:
        with over_tcp(peer, register("a", 0, type="int16", missing=0x8000), register("b", 1)) as sensor:
            assert row(sensor) == pytest.approx([math.nan, 5.0], nan_ok=True)
            assert sensor.skipped == {"missing_values": 1}


# Gone, and back again.


def test_a_server_that_is_gone_is_an_error_and_comes_back() -> None:
    with Peer(device(1, [11])) as peer:
        sensor = over_tcp(peer, register("a", 0))
        sensor.open()
        assert row(sensor) == [11.0]
        port = peer.port
    with pytest.raises(SensorError, match=rf"meter: the connection to 127.0.0.1:{port} is lost"):
        sensor.read(10.0)
    sensor.close()
    with pytest.raises(SensorError, match=rf"meter: no connection to 127.0.0.1:{port}: .*refused"):
        sensor.open()
    with Peer(device(1, [12]), port=port):
        sensor.open()
        assert row(sensor) == [12.0]
        sensor.close()


def test_a_plug_that_is_pulled_is_an_error_and_comes_back(cable: Cable) -> None:
    sensor = on_line(cable, register("a", 0))
    with Peer(device(1, [11]), line=cable.theirs):
        sensor.open()
        assert row(sensor) == [11.0]
        cable.pull()
        with pytest.raises(SensorError, match="is lost"):
            sensor.read(10.0)
        sensor.close()
        with pytest.raises(SensorError, match="is it plugged in"):
            sensor.open()
    cable.plug()
    with Peer(device(1, [12]), line=cable.theirs):
        sensor.open()
        assert row(sensor) == [12.0]
        sensor.close()


# Options.


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"registers": [register("a", 0)]}, "port", "either port or host"),
        ({"registers": [register("a", 0)], "port": "/dev/x", "host": "y"}, "port", "either port or host"),
        ({"registers": [register("a", 0)], "port": "/dev/x", "unit_id": 255}, "unit_id", "1 to 247"),
        ({"registers": [], "host": "y"}, "registers", "is empty"),
        (
            {"registers": [register("a", 0)], "host": "y", "most_registers": 126},
            "most_registers",
            "at most 125",
        ),
        (
            {"registers": [register("a", 0), register("a", 1)], "host": "y"},
            "registers[1].name",
            "is the name of two channels",
        ),
        (
            {"registers": [register("a", 0, type="int64")], "host": "y", "most_registers": 2},
            "most_registers",
            "takes 4",
        ),
        ({"registers": [{"name": "a", "address": 7}], "host": "y"}, "registers[0].address", "in which table"),
        ({"registers": [register("a", 0, order="ACBD")], "host": "y"}, "registers[0].order", "did you mean"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, object], path: str, words: str) -> None:
    problems = check("modbus", options)
    assert [problem.path for problem in problems] == [path]
    assert words in problems[0].message


def test_zero_and_255_are_units_of_a_host_only() -> None:
    for unit_id in (0, 255):
        assert check("modbus", {"registers": [register("a", 0)], "host": "y", "unit_id": unit_id}) == []
    with pytest.raises(OptionError):
        make(register("a", 0), port="/dev/x", unit_id=0)
