"""CAN: signals of frames on python-can's virtual bus, and from an adapter at the other end of a pty."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import struct
import time
import tty
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors import Channel, SensorError, check, create
from sensors.can import BUS_OFF, Can
from sensors.contract import SensorContract
from tests.agent.brokers import until
from tests.real import require
from tests.sensors.rows import Written, becomes, row, until_error

RATE_HZ = 50.0
DBC = """VERSION ""
NS_ :
BS_:
BU_: ECU
BO_ 256 Engine: 8 ECU
 SG_ EngineSpeed : 0|16@1+ (0.25,0) [0|16000] "rpm" X
 SG_ OilTemp : 16|8@1+ (1,-40) [-40|214] "degC" X
 SG_ Torque : 24|16@1- (0.1,0) [0|0] "Nm" X
BO_ 512 Pumps: 8 ECU
 SG_ Which M : 0|8@1+ (1,0) [0|0] "" X
 SG_ PressA m0 : 8|16@1+ (0.1,0) [0|1000] "kPa" X
 SG_ PressB m1 : 8|16@1+ (0.1,0) [0|1000] "kPa" X
BO_ 2566844926 Big: 4 ECU
 SG_ Volts : 0|32@1- (1,0) [0|0] "V" X
BO_ 768 Gear: 2 ECU
 SG_ OilTemp : 7|16@0- (0.01,0) [0|0] "degC" X
SIG_VALTYPE_ 2566844926 Volts : 1;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_ "GenMsgCycleTime" BO_ 256 20;
"""


@pytest.fixture(autouse=True)
def _python_can_is_there() -> None:
    for name in ("can", "cantools", "serial"):
        require(importlib.util.find_spec(name) is not None, f"{name} is not installed")


@pytest.fixture
def dbc(tmp_path: Path) -> Path:
    path = tmp_path / "machine.dbc"
    path.write_text(DBC)
    return path


class Bus:
    """Another node on the virtual bus, which sends."""

    def __init__(self, channel: str) -> None:
        self._can: Any = importlib.import_module("can")
        self._bus = self._can.Bus(interface="virtual", channel=channel)
        self.database: Any = importlib.import_module("cantools").database.load_string(
            DBC, "dbc", strict=False
        )

    def say(self, message: str, **signals: float) -> None:
        """A frame with these signals, those not named 0."""
        known = self.database.get_message_by_name(message)
        data = known.encode({s.name: 0 for s in known.signals} | signals, strict=False)
        self.send(known.frame_id, data, is_extended_id=known.is_extended_frame)

    def send(self, number: int, data: bytes = b"", **more: object) -> None:
        given = {"is_extended_id": False, "timestamp": time.time(), **more}
        self._bus.send(self._can.Message(arbitration_id=number, data=data, **given))

    def close(self) -> None:
        self._bus.shutdown()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    bus = Bus(str(tmp_path))
    yield bus
    bus.close()


class TestCan(SensorContract):
    driver = "can"
    bus: Bus

    @pytest.fixture
    def options(self, dbc: Path, bus: Bus, tmp_path: Path) -> Mapping[str, object]:
        type(self).bus = bus
        return {"dbc_file": str(dbc), "interface": "virtual", "channel": str(tmp_path), "rate_hz": RATE_HZ}

    @pytest.fixture
    def nowhere(self, tmp_path: Path) -> Mapping[str, object]:
        return {"dbc_file": str(tmp_path / "no.dbc")}

    def lose(self) -> None:
        self.bus.send(BUS_OFF, bytes(8), is_error_frame=True)


def sensor_of(dbc: Path, *signals: str, **options: object) -> Can:
    given = {"dbc_file": str(dbc), "interface": "virtual", "channel": str(dbc.parent), "rate_hz": RATE_HZ}
    sensor = create("car", "can", {**given, **({"signals": list(signals)} if signals else {}), **options})
    assert isinstance(sensor, Can)
    return sensor


def test_signals_of_several_messages_are_scaled_and_have_their_units(dbc: Path, bus: Bus) -> None:
    with sensor_of(dbc, "EngineSpeed", "Engine.OilTemp", "Torque", "Volts", stale_after_s=60) as sensor:
        assert sensor.channels == (
            Channel("EngineSpeed", "/min"),
            Channel("OilTemp", "Cel"),
            Channel("Torque", "N.m"),
            Channel("Volts", "V"),
        )
        bus.say("Engine", EngineSpeed=1480.25, OilTemp=85, Torque=-12.5)
        becomes(sensor, 1480.25, 85.0, -12.5, math.nan)
        bus.say("Big", Volts=231.5)
        becomes(sensor, 1480.25, 85.0, -12.5, 231.5)
        bus.send(0x7FF, bytes(8))  # somebody else's
        bus.send(256, bytes(8), is_extended_id=True)  # the same number, and another message
        becomes(sensor, 1480.25, 85.0, -12.5, 231.5)
        assert sensor.skipped == {}


def test_without_signals_all_of_the_file_are_channels(dbc: Path, bus: Bus) -> None:
    with sensor_of(dbc) as sensor:
        assert [channel.name for channel in sensor.channels] == [
            "EngineSpeed",
            "Engine.OilTemp",
            "Torque",
            "Which",
            "PressA",
            "PressB",
            "Volts",
            "Gear.OilTemp",
        ]


def test_multiplexed_signals_keep_their_values_while_others_are_sent(dbc: Path, bus: Bus) -> None:
    with sensor_of(dbc, "PressA", "PressB", stale_after_s=60) as sensor:
        bus.send(512, bytes([0, 100, 0, 0, 0, 0, 0, 0]))
        becomes(sensor, 10.0, math.nan)
        bus.send(512, bytes([1, 200, 0, 0, 0, 0, 0, 0]))
        becomes(sensor, 10.0, 20.0)
        bus.send(512, bytes([7, 200, 0, 0, 0, 0, 0, 0]))
        until(lambda: sensor.skipped.get("unknown_multiplexers"), "counted")
        becomes(sensor, 10.0, 20.0)


def test_every_frame_is_a_sample_or_counted(dbc: Path, bus: Bus) -> None:
    sent, heard = 500, set[float]()
    with sensor_of(dbc, "EngineSpeed", stale_after_s=60) as sensor:
        for i in range(sent):
            bus.say("Engine", EngineSpeed=i)
            if i % 25 == 0:
                heard |= set(row(sensor))
        while sent - 1 not in heard:
            heard |= set(row(sensor))
    assert len({value for value in heard if value == value}) + sensor.skipped["superseded"] == sent


def test_a_signal_is_stale_after_ten_of_its_cycles_or_five_seconds(dbc: Path, bus: Bus) -> None:
    with sensor_of(dbc, "EngineSpeed", "Volts") as sensor:
        assert sensor.limits_s() == [pytest.approx(0.2), 5.0]
        bus.say("Engine", EngineSpeed=100)
        bus.say("Big", Volts=1)
        becomes(sensor, 100.0, 1.0)
        becomes(sensor, math.nan, 1.0)
        assert sensor.skipped["stale"] >= 1


def test_wrong_frames_are_counted_and_no_samples(dbc: Path, bus: Bus) -> None:
    with sensor_of(dbc, "EngineSpeed", "Volts", "Gear.OilTemp", stale_after_s=60) as sensor:
        bus.say("Engine", EngineSpeed=100)
        bus.say("Gear", OilTemp=-1.25)
        becomes(sensor, 100.0, math.nan, -1.25)
        bus.send(256, bytes(3))
        until(lambda: sensor.skipped.get("bad_frames"), "a frame that is too short")
        becomes(sensor, 100.0, math.nan, -1.25)
        bus.send(256, b"\xff" * 8)  # more than the file allows: not available
        becomes(sensor, math.nan, math.nan, -1.25)
        bus.send(0x18FEF1FE, struct.pack("<f", math.nan), is_extended_id=True)
        until(lambda: sensor.skipped.get("not_a_number"), "NaN")
        bus.send(0x18FEF1FE, struct.pack("<f", math.inf), is_extended_id=True)
        until(lambda: sensor.skipped.get("out_of_range") == 2, "an infinity")
        becomes(sensor, math.nan, math.nan, -1.25)
        assert sensor.skipped["bad_frames"] == 1


def test_error_frames_are_counted_and_bus_off_is_an_error(dbc: Path, bus: Bus) -> None:
    with sensor_of(dbc, "EngineSpeed", stale_after_s=60) as sensor:
        bus.say("Engine", EngineSpeed=100)
        bus.send(0x08, bytes(8), is_error_frame=True)  # a protocol violation, include/uapi/linux/can/error.h
        bus.send(0x20, bytes(8), is_error_frame=True)  # no acknowledgement
        becomes(sensor, 100.0)
        until(lambda: sensor.skipped.get("error_frames") == 2, "counted")
        bus.send(BUS_OFF, bytes(8), is_error_frame=True)
        with pytest.raises(SensorError, match=f"car: {dbc.parent}: the controller has gone bus-off"):
            until_error(sensor)
        sensor.close()
        sensor.open()
        bus.say("Engine", EngineSpeed=200)
        becomes(sensor, 200.0)


def test_signals_that_are_not_in_the_file_are_told_at_once(dbc: Path) -> None:
    with pytest.raises(SensorError) as raised:
        sensor_of(dbc, "Nope", "OilTemp", "Engine.Volts", "Torque").open()
    assert str(raised.value) == (
        f"car: {dbc}: Nope is not in it, OilTemp is in Engine and Gear: write Engine.OilTemp, Engine.Volts is not in it"
    )


@pytest.mark.parametrize("text", ["", "rubbish", "BO_ 256 Engine: 8\n"])
def test_a_file_that_is_no_dbc_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.dbc"
    path.write_text(text)
    with pytest.raises(SensorError, match=rf"car: {path}: (is not what its ending says|has no signals)"):
        sensor_of(path).open()


@pytest.mark.parametrize("interface", ["nosuch", "socketcan", "slcan"])
def test_an_interface_that_is_not_there_is_an_error(dbc: Path, interface: str) -> None:
    sensor = sensor_of(dbc, interface=interface, channel="can77")
    with pytest.raises(
        SensorError,
        match=r"car: can77: .*(not supported|no CAN sockets here|No such|there is no can77: is it plugged in\?)",
    ):
        sensor.open()
    sensor.close()


class Adapter:
    """A serial CAN adapter of the kind that speaks lines (LAWICEL CANUSB manual, ASCII commands), on a pty."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        self.path = os.ttyname(theirs)
        os.close(theirs)

    def say(self, line: bytes, end: bytes = b"\r") -> None:
        os.write(self._ours, line + end)

    def heard(self) -> bytes:
        return os.read(self._ours, 4096)

    def unplug(self) -> None:
        os.close(self._ours)


@pytest.mark.filterwarnings(
    "ignore:.*unclosed:ResourceWarning"
)  # python-can 4.6 leaves a dead port to the collector
def test_an_adapter_on_a_serial_port_is_read_unplugged_and_read_again(dbc: Path) -> None:
    for _ in range(2):
        adapter = Adapter()
        sensor = sensor_of(
            dbc,
            "EngineSpeed",
            "Volts",
            interface="slcan",
            channel=adapter.path,
            bitrate=250_000,
            stale_after_s=60,
        )
        with sensor:
            assert b"S5\r" in (said := adapter.heard())  # 250 kbit/s
            assert said.endswith(b"L\r")  # it only listens
            adapter.say(b"t1008" + b"9001" + b"00" * 6)
            adapter.say(b"T18FEF1FE4" + b"0000803F")
            becomes(sensor, 100.0, 1.0)
            adapter.say(b"tXYZ8")
            adapter.say(b"t")
            adapter.say(b"t1008" + b"2003" + b"00" * 6)
            becomes(sensor, 200.0, 1.0)
            assert sensor.skipped["bad_frames"] == 2
            adapter.unplug()
            with pytest.raises(SensorError, match=f"car: {adapter.path}: "):
                until_error(sensor)


def test_a_device_that_is_no_adapter_is_an_error_before_it_fills_the_memory(dbc: Path) -> None:
    device = Adapter()
    with sensor_of(dbc, "EngineSpeed", interface="slcan", channel=device.path) as sensor:
        device.say(b"21.5;" * 1000, end=b"")
        with pytest.raises(
            SensorError, match=f"car: {device.path}: 4096 bytes and no end of a line: is this"
        ):
            until(lambda: row(sensor) == [], "an error")
        assert sensor.skipped["bad_frames"] == 1
    device.unplug()


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"dbc_file": "machine.txt"}, "dbc_file"),
        ({"signals": []}, "signals"),
        ({"signals": ["a", "b", "a"]}, "signals[2]"),
        ({"bitrate": 500_000}, "bitrate"),
        ({"bitrate": 0, "interface": "slcan"}, "bitrate"),
        ({"rate_hz": 0}, "rate_hz"),
    ],
)
def test_options_that_make_no_sense_are_told(options: dict[str, object], path: str) -> None:
    assert [problem.path for problem in check("can", {"dbc_file": "machine.dbc", **options})] == [path]


class Frame:
    """A frame as python-can hands it out."""

    timestamp = 0.0

    def __init__(self, data: bytes) -> None:
        self.data = data


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Can:
    path = tmp_path_factory.mktemp("can") / "machine.dbc"
    path.write_text(DBC)
    sensor = sensor_of(path)
    sensor.limits_s()
    return sensor


@given(data=st.binary(max_size=64), number=st.integers(0, 3))
def test_no_frame_does_worse_than_being_counted(opened: Can, data: bytes, number: int) -> None:
    error = importlib.import_module("cantools.database.errors").Error
    message = list(opened._messages.values())[number]
    line = Written()
    wanted = [(i, place) for i, place in enumerate(opened._places) if place.message == message.name]
    opened._hear(line, Frame(data), message, wanted, error)  # type: ignore[arg-type]  # as much of a line as is used
    assert all(math.isnan(value) or np.isfinite(np.float32(value)) for value in line.values)
