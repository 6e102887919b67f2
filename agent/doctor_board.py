"""How the board is that the agent runs on: its clock, its power, its disk, what its firmware was told to switch on."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from agent.finding import Finding, ill, unknown, well
from sensors.host import GET_THROTTLED, THROTTLED
from sensors.kernel_files import hexadecimal, number, read

STA_UNSYNC, TIME_ERROR = 0x40, 5  # linux/timex.h
EARLIEST = 1_767_225_600.0  # 2026-01-01: before this program
ROOM_BYTES = 50_000_000  # that a disk should have beside what the agent may write
SECTOR_BYTES = 512  # of /sys/block/*/stat, whatever the disk's own are: Documentation/block/stat.rst
FIRMWARE = ("boot/firmware/config.txt", "boot/config.txt")  # of Raspberry Pi OS 12 and after, and before


@dataclass(frozen=True, slots=True)
class Bus:
    """A bus of a Raspberry Pi that is off until the firmware is told otherwise; raspberrypi.com, config.txt."""

    name: str
    line: str  # of config.txt, that switches it on
    word: str  # raspi-config's, that writes this line
    device: str  # what it brings


BUSES = (
    Bus("i2c", r"^\s*dtparam=(.*,)?i2c(_arm)?(=on|=1)?\s*(,|$)", "do_i2c", "dev/i2c-1"),
    Bus("spi", r"^\s*dtparam=(.*,)?spi(=on|=1)?\s*(,|$)", "do_spi", "dev/spidev0.0"),
    Bus("1-wire", r"^\s*dtoverlay=w1-gpio", "do_onewire", "sys/bus/w1/devices/w1_bus_master1"),
    Bus("serial", r"^\s*enable_uart=1", "do_serial_hw", "dev/serial0"),
)


def clock() -> Finding:
    """Whether the network sets it, by the kernel's own word; adjtimex(2)."""
    now = time.time()
    mend = "sudo timedatectl set-ntp true"
    if now < EARLIEST:
        return ill("clock", f"says {time.strftime('%Y-%m-%d', time.gmtime(now))}, which is over", mend)
    synced = synchronised()
    if synced is None:
        return unknown("clock", "the kernel does not say whether it is synchronised")
    if not synced:
        return ill("clock", "is not synchronised: alerts will carry times that are wrong", mend)
    return well("clock", "is synchronised")


def synchronised() -> bool | None:
    """The kernel's word, whoever it is that sets the clock; None where it may not be asked."""
    timex = ctypes.create_string_buffer(
        512
    )  # struct timex, more than large enough; modes = 0 changes nothing
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state < 0:
        return None if ctypes.get_errno() in (errno.EPERM, errno.ENOSYS) else False
    # modes, offset, freq, maxerror, esterror, status: on 64 bit at 0, 8, 16, 24, 32, 40
    status = int.from_bytes(timex.raw[40:44], "little")
    return not (status & STA_UNSYNC or state == TIME_ERROR)


def power(root: Path) -> Finding:
    """What the firmware of a Raspberry Pi says of its supply and temperature, now and since it was asked last."""
    bits = hexadecimal(root / GET_THROTTLED)
    if bits is None:
        alarm = next(
            (
                hwmon / "in0_lcrit_alarm"
                for hwmon in sorted(root.glob("sys/class/hwmon/hwmon*"))
                if read(hwmon / "name").strip() == "rpi_volt"
            ),
            None,
        )
        if alarm is None:
            return unknown("power", "this board does not say whether it is throttled")
        bits = int(number(read(alarm)) == 1.0)
    now = [name for name, bit in THROTTLED.items() if bits >> bit & 1]
    before = [name for name, bit in THROTTLED.items() if bits >> (bit + 16) & 1]
    if "under-voltage" in now:
        return ill("power", f"now: {', '.join(now)}", "use the board's own power supply, and a short cable")
    if now:
        return ill("power", f"now: {', '.join(now)}", "cool it: a heat sink, a fan, air")
    if before:
        return unknown("power", f"well now, but not long ago: {', '.join(before)}")
    return well("power", "no under-voltage, no throttling")


def disk(folder: Path, needed_bytes: int, root: Path = Path("/")) -> Iterator[Finding]:
    """The disk that the agent writes to; `needed_bytes` is what it may write there."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        found = os.statvfs(there)
    except OSError as error:
        yield ill("disk", f"{there}: {error.strerror}", f"ls -ld {quote(str(there))}")
        return
    if found.f_flag & os.ST_RDONLY:
        yield ill(
            "disk",
            f"{there} is mounted read-only: by the system, or because the disk failed",
            f'sudo mount -o remount,rw "$(findmnt -n -o TARGET --target {quote(str(there))})"',
        )
        return
    free = found.f_bavail * found.f_frsize
    room = f"{free / 1e9:.3g} GB" if free > 1e9 else f"{free / 1e6:.0f} MB"
    if free < needed_bytes + ROOM_BYTES:
        wanted = (needed_bytes + ROOM_BYTES) / 1e6
        yield ill(
            "disk",
            f"{room} free on {there}, and {wanted:.0f} MB are needed",
            "sudo journalctl --vacuum-size=50M",
        )
    elif found.f_files and not found.f_favail:
        yield ill("disk", f"{there} has no room for another file (inodes)", "sudo apt-get clean")
    else:
        yield well("disk", f"{room} free on {there}")
    device = _device(there, root)
    if device is not None:
        yield from _health(device, root)


def _device(folder: Path, root: Path) -> Path | None:
    """The folder in /sys of the partition or disk that a folder lies on; None for what is no disk."""
    number = folder.stat().st_dev
    path = root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    return path.resolve() if path.exists() else None


def _health(device: Path, root: Path) -> Iterator[Finding]:
    """What the kernel knows of a disk; Documentation/ABI/testing/sysfs-fs-ext4, driver-api/mmc/mmc-dev-attrs.rst."""
    errors = number(read(root / f"sys/fs/ext4/{device.name}/errors_count"))
    if errors > 0:
        yield ill(
            "disk",
            f"ext4 has met {errors:.0f} errors on {device.name}",
            f"sudo e2fsck -f /dev/{device.name}  # from another system, and copy it first",
        )
    whole = device.parent if (device / "partition").exists() else device
    card = whole / "device"
    failed = hexadecimal(card / "ioerr_cnt") or 0
    if failed > 0:
        yield unknown("disk", f"{whole.name} has failed {failed} commands since the start")
    # Of ten: each a tenth of its life, eleven is more than that; of the two kinds of memory the one that is worn more.
    worn = max([0, *(int(word, 16) for word in read(card / "life_time").split() if word.startswith("0x"))])
    if (
        worn >= 10 or (hexadecimal(card / "pre_eol_info") or 0) >= 2
    ):  # 2: 80 % of the spare blocks are used, 3: 90 %
        # Where nothing is mounted, the copy would go onto the very card.
        copy = f"sudo dd if=/dev/{whole.name} of=/media/usb/card.img bs=4M"
        mend = f"mountpoint -q /media/usb && {copy}  # and put it on a new one"
        yield ill("disk", f"{whole.name} is near the end of its life ({10 * worn} % worn)", mend)
    elif worn:
        yield well("disk", f"{whole.name} is worn to at most {10 * worn} %")
    elif read(card / "type").strip() == "SD":
        yield unknown(
            "disk", f"{whole.name} is an SD card, which does not tell its wear; {_written(whole, root)}"
        )


def _written(disk: Path, root: Path) -> str:
    fields = read(disk / "stat").split()
    up_s = number(read(root / "proc/uptime").partition(" ")[0])
    if len(fields) < 7 or not up_s > 0:
        return "nor what was written"
    written = number(fields[6]) * SECTOR_BYTES
    return f"all of this machine wrote {written * 86_400 / up_s / 1e9:.2g} GB a day to it since the start"


def buses(needed: Iterable[str], root: Path) -> Iterator[Finding]:
    """Of a Raspberry Pi: what the configured sensors need and its firmware was not told."""
    needed = set(needed)
    config = next((path for name in FIRMWARE if (path := root / name).exists()), None)
    for bus in BUSES:
        if bus.name not in needed:
            continue
        if (root / bus.device).exists():
            yield well("bus", f"{bus.name} is there ({root / bus.device})")
        elif config is None:
            yield unknown(
                "bus", f"{root / bus.device} is not there, and this is no Raspberry Pi that could be told"
            )
        elif re.search(bus.line, read(config), re.MULTILINE):
            yield ill("bus", f"{bus.name} is switched on in {config}, but not there yet", "sudo reboot")
        else:
            yield ill("bus", f"{bus.name} is off in {config}", f"sudo raspi-config nonint {bus.word} 0")
