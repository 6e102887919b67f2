"""The kernel's buffer of an IIO device: set up, filled at the beat of a trigger, read by the block.

Linux, Documentation/iio/iio_devbuf.rst, Documentation/ABI/testing/sysfs-bus-iio and configfs-iio.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sensors.base import SensorError
from sensors.iio_device import DEVICES, RIGHTS, Device, chosen, number_of, numbers, write
from sensors.iio_frames import Format, Frames
from sensors.kernel_files import read

TIMERS = "sys/kernel/config/iio/triggers/hrtimer"
TIMESTAMP = "timestamp"
STALE_BYTES = 1 << 20
MOST_HZ = 1e7  # that a device may claim
MOST_SCANS = 1 << 20  # in the kernel's memory
SAME_RATE = 0.01  # a rate that is given may be so far from one that the device offers: "3.13" of 3.125


@dataclass(frozen=True, slots=True)
class Element:
    """A channel as it lies in the frames."""

    channel: str
    index: int
    format: Format


class Buffer:
    """One device's capture. `start` raises SensorError with what would be right; `stop` may be called at any time."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.rate_hz = 0.0
        # those wanted, in the order of the frame; then the timestamp, if any
        self.elements: tuple[Element, ...] = ()
        self.frames: Frames
        self._folder = _existing(device.folder, "buffer", "buffer0")
        self._scan = _existing(device.folder, "scan_elements", "buffer0")
        self._file = -1
        self._timer: Path | None = None  # a trigger that was made here
        self._rest = b""
        self._most = 0  # bytes that the kernel holds

    def start(
        self,
        channels: Sequence[str] | None,
        rate_hz: float | None,
        trigger: str,
        block_s: float,
        depth_s: float,
    ) -> None:
        """Choose, set, and switch on; last of all the buffer, as the kernel asks."""
        self._file = _opened(self.device.node)
        self._switch_off()
        names = self._choose(channels)
        timer = self._beat(trigger, rate_hz)
        self.rate_hz = self._set_rate(names[0], timer, rate_hz)
        length = self._set_depth(block_s, depth_s)
        self.elements = tuple(
            sorted((self._element(name) for name in names), key=lambda element: element.index)
        )
        self.frames = Frames([element.format for element in self.elements])
        self._most = length * self.frames.size_bytes
        self._discard()
        self._together(self._folder / "enable", names)

    def read(self, timeout: float) -> bytes | None:
        """All frames that are there once a block is full, or `timeout` has passed; None where there are none. Raises
        SensorError when the device is gone."""
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        waited = not poll.poll(1000 * timeout)
        try:
            found = os.read(self._file, self._most)
        except BlockingIOError:
            if waited and read(self._folder / "enable").strip() == "0":
                raise SensorError(f"{self._folder} was switched off by someone else") from None
            return None
        except OSError as error:
            raise SensorError(f"{self.device.node}: {error.strerror}: the device is gone") from error
        if not found:
            raise SensorError(f"{self.device.node} has come to its end: the device is gone")
        found = self._rest + found
        whole = len(found) - len(found) % self.frames.size_bytes
        self._rest = found[whole:]
        return found[:whole] or None

    def stop(self) -> None:
        """Switch it off, and take away the trigger that was made for it."""
        if self._file < 0:
            return
        with contextlib.suppress(SensorError):
            write(self._folder / "enable", "0")
        if self._timer is not None:
            with contextlib.suppress(SensorError):
                write(self.device.folder / "trigger" / "current_trigger", "\n")
            with contextlib.suppress(OSError):
                self._timer.rmdir()
            self._timer = None
        os.close(self._file)
        self._file, self._rest = -1, b""

    def _switch_off(self) -> None:
        """What a process left running that ended without a word; the node is ours alone, so nobody reads it."""
        with contextlib.suppress(SensorError):  # where it must not be written, it may be just as it is wanted
            write(self._folder / "enable", "0")

    def _choose(self, channels: Sequence[str] | None) -> list[str]:
        """Those wanted and, where there is one, the timestamp; all others are switched off first, for some devices give
        only one at a time."""
        there = [path.name[len("in_") : -len("_en")] for path in self._scan.glob("in_*_en")]
        there.sort(key=self._index)
        stamped = TIMESTAMP in there
        names = chosen(channels, [name for name in there if name != TIMESTAMP], str(self._scan))
        names += [TIMESTAMP] if stamped else []
        for name in there:
            if name not in names:
                write(self._scan / f"in_{name}_en", "0")
        for name in names:
            self._together(self._scan / f"in_{name}_en", names)
        return names

    def _together(self, path: Path, names: Sequence[str]) -> None:
        """Switch on what a device's driver may refuse, because it cannot do it with the rest."""
        try:
            write(path, "1")
        except SensorError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EINVAL:
                raise
            told = ", ".join(name for name in names if name != TIMESTAMP)
            raise SensorError(
                f"{error}: {self.device.folder.name} does not fill its buffer with {told} at once, or not at this"
                " trigger: name fewer channels, or another trigger"
            ) from error

    def _element(self, name: str) -> Element:
        path = self._scan / f"in_{name}_type"
        try:
            return Element(name, self._index(name), Format.parse(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise SensorError(f"{path}: {error}") from error

    def _index(self, name: str) -> int:
        return int(number_of(self._scan / f"in_{name}_index"))

    def _beat(self, trigger: str, rate_hz: float | None) -> Path | None:
        """Set the trigger; its folder where it has a rate of its own."""
        current = self.device.folder / "trigger" / "current_trigger"
        if not current.parent.is_dir():
            if trigger not in ("auto", "none"):
                raise SensorError(
                    f"{self.device.folder.name} fills its buffer by itself: it takes no trigger"
                )
            return None
        triggers = self._triggers()
        own = [name for name in triggers if name.startswith(f"{read(self.device.folder / 'name').strip()}-")]
        if trigger == "auto":
            trigger = read(current).strip() or (own[0] if len(own) == 1 else "timer")
        if trigger == "timer":
            trigger = self._make_timer(rate_hz)
            triggers = self._triggers()
        if trigger == "none":
            trigger = ""
        elif trigger not in triggers:
            told = ", ".join(sorted(triggers)) or "none"
            raise SensorError(f"there is no trigger {trigger}: there are {told}; or say timer")
        write(current, trigger or "\n")
        folder = triggers.get(trigger)
        return folder if folder is not None and (folder / "sampling_frequency").exists() else None

    def _triggers(self) -> dict[str, Path]:
        folders = self.device.root.glob(f"{DEVICES}/trigger[0-9]*")
        return {read(folder / "name").strip(): folder for folder in folders}

    def _make_timer(self, rate_hz: float | None) -> str:
        if rate_hz is None:
            raise SensorError("a timer needs to know how often: give rate_hz")
        timers = self.device.root / TIMERS
        name = f"tocsin{self.device.number}"
        if not timers.is_dir():
            raise SensorError(f"there is no {timers}: modprobe iio-trig-hrtimer")
        try:
            (timers / name).mkdir(exist_ok=True)
        except OSError as error:
            raise SensorError(f"{timers / name} cannot be made: {error.strerror}; {RIGHTS}") from error
        self._timer = timers / name
        return name

    def _set_rate(self, channel: str, timer: Path | None, rate_hz: float | None) -> float:
        """The rate as it is once it has been set."""
        own = self.device.attribute(channel, "sampling_frequency")
        if own is None and (self._folder / "sampling_frequency").exists():
            own = self._folder / "sampling_frequency"
        file = own if timer is None else timer / "sampling_frequency"
        if file is None:
            raise SensorError(
                f"{self.device.folder.name} shows no sampling_frequency: say trigger: timer and rate_hz"
            )
        if rate_hz is not None:
            offered = self._offered(file)
            nearest = min(offered, key=lambda rate: abs(rate - rate_hz)) if offered else rate_hz
            if abs(nearest - rate_hz) > SAME_RATE * rate_hz:
                told = ", ".join(f"{rate:g}" for rate in offered)
                raise SensorError(f"{file} does not offer {rate_hz:g} Hz: it offers {told}")
            _set_number(file, nearest)
        rate = number_of(file)
        if not 0 < rate <= MOST_HZ:
            raise SensorError(f"{file} says {rate:g} Hz: give rate_hz")
        if timer is not None and own is not None:
            self._keep_up(own, rate)
        return rate

    def _keep_up(self, own: Path, rate_hz: float) -> None:
        """The chip must convert at least as often as it is asked, or samples would come twice."""
        enough = [offered for offered in self._offered(own) if offered >= (1 - SAME_RATE) * rate_hz]
        if enough and number_of(own) < (1 - SAME_RATE) * rate_hz:
            _set_number(own, min(enough))
        if number_of(own) < (1 - SAME_RATE) * rate_hz:
            raise SensorError(f"{own} stands at {number_of(own):g} Hz: too slow for {rate_hz:g} Hz")

    def _offered(self, file: Path) -> list[float]:
        """The rates a device lists; [] where it lists none, or a range."""
        for path in (
            file.with_name(f"{file.name}_available"),
            self.device.folder / "sampling_frequency_available",
        ):
            if path.parent == file.parent and path.exists():
                with contextlib.suppress(ValueError):
                    return numbers(read(path).strip())
        return []

    def _set_depth(self, block_s: float, depth_s: float) -> int:
        """Scans that the kernel holds: a power of two, as it would make of it anyway."""
        block = max(1, round(block_s * self.rate_hz))
        length = 1 << (max(2 * block, min(round(depth_s * self.rate_hz), MOST_SCANS)) - 1).bit_length()
        _set_number(self._folder / "length", length)
        if (self._folder / "watermark").exists():
            _set_number(self._folder / "watermark", block)
        return length

    def _discard(self) -> None:
        """What lay in the buffer from before."""
        with contextlib.suppress(OSError):
            while os.read(self._file, STALE_BYTES):
                pass


def _opened(node: Path) -> int:
    try:
        return os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = {
            errno.EBUSY: "another program reads it (iio-sensor-proxy?)",
            errno.EACCES: f"the agent may not: {RIGHTS}",
            errno.ENOENT: "this device has no buffer: say capture: polled",
        }.get(error.errno or 0, error.strerror)
        raise SensorError(f"{node} cannot be opened: {why}") from error


def _existing(folder: Path, *names: str) -> Path:
    """The first of these folders that is there: kernels before 5.11 know only one buffer."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise SensorError(f"{folder} has no buffer: say capture: polled")


def _set_number(path: Path, wanted: float) -> None:
    if read(path).strip() and abs(number_of(path) - wanted) <= 1e-6 * wanted:  # 1000 is 1000.000 already
        return
    write(path, f"{wanted:.6f}".rstrip("0").rstrip("."))
