"""Signals on a CAN bus, taken apart as a DBC says."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from sensors.base import AtLeast, Channel, NotNegative, OptionError, Positive, SensorError
from sensors.extras import require
from sensors.pushed import TURN_S, Line, PushedSensor
from sensors.quantity import within
from sensors.serial_port import trouble
from sensors.values import check_names

STALE_S = 5.0  # where the DBC tells no cycle time
CYCLES = 10.0  # that may be missed where it does
PLAUSIBLE_S = 60.0  # adapters with a clock of their own count from when they were plugged in
LONGEST = 4096  # bytes of a line from an slcan adapter; a frame of CAN FD takes 150
BUS_OFF = 0x40  # in the id of an error frame; Linux, include/uapi/linux/can/error.h, CAN_ERR_BUSOFF
OFF = "the controller has gone bus-off after too many errors: check bit rate, wiring and termination"
NO_SOCKETS = (
    "no CAN sockets here: the kernel lacks them, or the service may not use them"
    " (systemctl edit tocsin, and under [Service] RestrictAddressFamilies=AF_CAN)"
)
FORMATS = (".dbc", ".arxml", ".kcd", ".sym", ".cdd")  # that cantools reads, by the file's ending
# what DBCs call their units, in UCUM
UNITS = {
    "": "1",
    "degC": "Cel",
    "°C": "Cel",
    "C": "Cel",
    "rpm": "/min",
    "1/min": "/min",
    "Nm": "N.m",
    "m/s^2": "m/s2",
}
UNITS |= {"m/s²": "m/s2", "°": "deg", "Ohm": "Ohm", "deg/s": "deg/s", "l/h": "L/h", "sec": "s"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a channel's signal is."""

    message: str
    signal: str
    lowest: float | None
    highest: float | None
    summed: float  # the largest number that goes into its own
    stale_after_s: float


class Can(PushedSensor):
    """Signals of a CAN bus by their names in a DBC, aligned to a rate.

    Options:
        dbc_file: what the frames mean: DBC, ARXML, KCD, SYM or CDD.
        signals: which signals, as Signal or Message.Signal; without it, all of the file.
        channel: the bus; for socketcan the network interface, for slcan the serial port.
        interface: python-can's name of what the bus is connected by: socketcan, slcan, pcan, kvaser, gs_usb, ...
        bitrate: bits per second, where the interface sets them; socketcan's are set by ip link.
        fd: listen to CAN FD.
        rate_hz: samples per second; each has the newest value of every signal.
        delay_s: how much later a sample is given than its time.
        stale_after_s: how old a value may become; without it, 10 cycles of its message, 5 s where the file tells none.
    """

    def __init__(
        self,
        *,
        dbc_file: Path,
        signals: Sequence[str] | None = None,
        channel: str = "can0",
        interface: str = "socketcan",
        bitrate: Annotated[int, AtLeast(1)] | None = None,
        fd: bool = False,
        rate_hz: Positive = 10.0,
        delay_s: NotNegative = 0.0,
        stale_after_s: Positive | None = None,
    ) -> None:
        super().__init__(channel, rate_hz, delay_s)
        if dbc_file.suffix.lower() not in FORMATS:
            raise OptionError("dbc_file", str(dbc_file), f"must end in one of {', '.join(FORMATS)}")
        if signals is not None:
            check_names("signals[{}]", signals)
        if bitrate is not None and interface == "socketcan":
            set_it = f"ip link set {channel} type can bitrate {bitrate}"
            raise OptionError("bitrate", bitrate, f"is not set here for socketcan: {set_it}")
        self._file, self._signals, self._stale_after_s = dbc_file, signals, stale_after_s
        self._bus: dict[str, Any] = {"interface": interface, "channel": channel}
        self._bus |= {name: value for name, value in (("bitrate", bitrate), ("fd", fd)) if value}
        if interface == "slcan":
            self._bus["listen_only"] = True  # others are told so where their bit rate is set
            self._bus["timeout"] = TURN_S  # python-can itself would look each millisecond
        self._places: tuple[Place, ...] = ()
        self._messages: dict[
            tuple[int, bool], Any
        ] = {}  # cantools' messages, by id and whether it is extended

    def limits_s(self) -> list[float]:
        if not self._places:
            self._find(self._read())
        return [place.stale_after_s for place in self._places]

    def source(self, channel: int) -> str:
        return f"{self.where} in {self._places[channel].message}"

    def attend(self, line: Line) -> None:
        can = require("can", extra="can")
        decode_error = require("cantools.database.errors", extra="can").Error
        channels: dict[str, list[tuple[int, Place]]] = {}
        for i, place in enumerate(self._places):
            channels.setdefault(place.message, []).append((i, place))
        try:
            with self._open(can) as bus:
                line.up()
                while not line.leaving:
                    frame = self._receive(bus)
                    if frame is None:
                        if bus.state is can.BusState.ERROR:
                            raise SensorError(OFF)
                    elif frame.is_error_frame:
                        self._hear_error(frame)
                    elif message := self._messages.get((frame.arbitration_id, frame.is_extended_id)):
                        self._hear(line, frame, message, channels[message.name], decode_error)
        except (can.CanError, NotImplementedError, ValueError) as error:
            raise SensorError(str(error)) from error
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                raise SensorError(NO_SOCKETS) from error
            raise

    def _open(self, can: Any) -> Any:
        try:
            return can.Bus(**self._bus, **self._filters(), ignore_config=True)
        except (can.CanError, OSError) as error:
            if self._bus["interface"] == "slcan":
                raise SensorError(trouble(self.where, error)) from error
            raise

    def _receive(self, bus: Any) -> Any:
        """The next frame; None where there is none yet."""
        try:
            frame = bus.recv(TURN_S)
        except UnicodeDecodeError as error:  # python-can 4.6 keeps it and fails for ever
            raise SensorError(f"the adapter sends what is no frame: {error}") from error
        except (ValueError, LookupError) as error:
            self.skip("bad_frames", f"the adapter sends what is no frame: {error}")
            return None
        if len(getattr(bus, "_buffer", b"")) > LONGEST:  # python-can's slcan keeps what has no end for ever
            self.skip("bad_frames", "the adapter sends no end of a line")
            raise SensorError(
                f"{LONGEST} bytes and no end of a line: is this the adapter's port, and does it speak slcan?"
            )
        return frame

    def _hear_error(self, frame: Any) -> None:
        """Count it. Raises SensorError when the controller has left the bus."""
        self.skip("error_frames", f"an error frame on the bus: {frame.arbitration_id:#x}")
        if frame.arbitration_id & BUS_OFF:
            raise SensorError(OFF)

    def _hear(
        self,
        line: Line,
        frame: Any,
        message: Any,
        wanted: list[tuple[int, Place]],
        decode_error: type[Exception],
    ) -> None:
        try:
            signals = message.decode(bytes(frame.data), decode_choices=False)
        except decode_error as error:
            reason = "unknown_multiplexers" if "multiplexer" in str(error) else "bad_frames"
            self.skip(reason, f"{message.name}: {error}")
            return
        now = self.clock.now()
        time = frame.timestamp if abs(now - frame.timestamp) < PLAUSIBLE_S else None
        for i, place in wanted:
            if place.signal not in signals:  # multiplexed, and not this time
                continue
            number, raw = math.nan, float(signals[place.signal])
            try:
                number = within(raw, place.lowest, place.highest, place.summed)
            except ValueError as error:
                self.skip("out_of_range", f"{message.name}.{place.signal}: {error}")
            if math.isnan(raw):
                self.skip("not_a_number", f"{message.name}.{place.signal} is NaN")
            line.push(i, number, time)

    def _filters(self) -> dict[str, Any]:
        """Only wanted frames, where the kernel sorts them; its error frames come all the same."""
        if self._bus["interface"] != "socketcan":
            return {}
        return {
            "can_filters": [
                {"can_id": number, "can_mask": 0x1FFFFFFF if extended else 0x7FF, "extended": extended}
                for number, extended in self._messages
            ]
        }

    def _read(self) -> Any:
        """The DBC. Raises SensorError."""
        cantools = require("cantools", extra="can")
        try:
            return cantools.database.load_file(self._file, strict=False)
        except OSError as error:
            raise self.error(f"{self._file}: cannot be read: {error.strerror}") from error
        except (cantools.Error, ValueError) as error:
            raise self.error(f"{self._file}: is not what its ending says: {error}") from error

    def _find(self, database: Any) -> None:
        """The messages and signals that are asked for. Raises SensorError with all that are not there."""
        there = {(m.name, signal.name): (m, signal) for m in database.messages for signal in m.signals}
        found: list[tuple[Any, Any]] = []
        wrong: list[str] = []
        for asked in [".".join(key) for key in there] if self._signals is None else self._signals:
            message, dot, name = asked.rpartition(".")
            fits = [
                pair for key, pair in there.items() if key == (message, name) or (not dot and key[1] == name)
            ]
            if len(fits) == 1:
                found += fits
            elif not fits:
                wrong.append(f"{asked} is not in it")
            else:
                wrong.append(
                    f"{asked} is in {' and '.join(m.name for m, _ in fits)}: write {fits[0][0].name}.{name}"
                )
        if wrong or not found:
            raise self.error(f"{self._file}: {', '.join(wrong) or 'has no signals'}")
        names = [signal.name for _, signal in found]
        self.channels = tuple(
            Channel(
                signal.name if names.count(signal.name) == 1 else f"{message.name}.{signal.name}",
                UNITS.get(signal.unit or "", signal.unit),
            )
            for message, signal in found
        )
        self._messages = {(message.frame_id, message.is_extended_frame): message for message, _ in found}
        self._places = tuple(self._place(message, signal) for message, signal in found)

    def _place(self, message: Any, signal: Any) -> Place:
        cycles = CYCLES * len(signal.multiplexer_ids or (0,))
        stale_after_s = self._stale_after_s or (message.cycle_time or 0) / 1e3 * cycles or STALE_S
        summed = max(abs(signal.minimum or 0.0), abs(signal.maximum or 0.0), abs(signal.offset))
        return Place(message.name, signal.name, signal.minimum, signal.maximum, summed, stale_after_s)
