"""What the agent may do as the user it runs as: open its devices, write its folder."""

from __future__ import annotations

import getpass
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from agent.config import Config
from agent.finding import Finding, ill, unknown, well
from sensors import registry
from sensors.base import SensorError
from sensors.iio_device import Device
from sensors.kernel_files import read

UNIT = "etc/systemd/system/tocsin.service"
RULES = "etc/udev/rules.d/99-tocsin.rules"
# What a driver opens in /dev where its options do not say it: the first of these.
OPENED = {"audio": "snd/pcm*c", "camera": "video*"}
GROUPS = ("i2c", "spi", "gpio", "dialout", "audio", "video")  # those that deploy/install.sh gives
RULED = ("iio:device", "i2c-", "spidev", "gpiochip")  # devices that our udev rules give to the group tocsin
# What the agent writes in its folder, docs/operations.md; with what SQLite lays beside it, and what replaces it.
OURS = re.compile(r"(baselines|evidence|run|lock|alerts\.json(\.new)?|outbox\.db(-\w+)?)")
IN_DEV = re.compile(r"/dev/[\w./:-]+")


class Person(NamedTuple):
    """The user that the agent runs as."""

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, path: Path, wanted: int) -> bool:
        """Whether it may read (4), write (2), enter (1) a file by its mode, which is all that is looked at."""
        found = path.stat()
        if self.uid == 0:
            return True
        if found.st_uid == self.uid:
            mode = found.st_mode >> 6
        else:
            mode = found.st_mode >> 3 if found.st_gid in self.groups else found.st_mode
        return mode & wanted == wanted


def runs_as(root: Path = Path("/")) -> Person:
    """The user that the installed unit names, where there is one; else the one who asks."""
    name = _of_unit(root)
    for entry in _entries(root / "etc/passwd"):
        if entry[0] == name:
            groups = {int(group[2]) for group in _entries(root / "etc/group") if name in group[3].split(",")}
            return Person(name, int(entry[2]), frozenset(groups | {int(entry[3])}))
    return Person(getpass.getuser(), os.geteuid(), frozenset((*os.getgroups(), os.getegid())))


def service_user(root: Path = Path("/")) -> Iterator[Finding]:
    """Of an installed unit: its user, the groups it should be in, and the udev rules."""
    name, mend = _of_unit(root), "sudo deploy/install.sh  # in a checkout: it makes what is missing"
    if not name:
        return
    person = runs_as(root)
    if person.name != name:
        yield ill("user", f"the unit runs as {name}, who does not exist", mend)
        return
    groups = {group[0]: int(group[2]) for group in _entries(root / "etc/group")}
    missing = [group for group in GROUPS if group in groups and groups[group] not in person.groups]
    if missing:
        more = f"sudo usermod --append --groups {','.join(missing)} {name} && sudo systemctl restart tocsin"
        yield ill("user", f"{name} is not in {', '.join(missing)}, which may open devices", more)
    else:
        yield well("user", f"{name} is in the groups that open devices")
    if (root / RULES).exists():
        yield well("udev rules", f"{root / RULES} is there")
    else:
        yield ill("udev rules", f"{root / RULES} is not there: devices of root's stay closed", mend)


def devices(config: Config, person: Person, root: Path = Path("/")) -> Iterator[Finding]:
    """Each device that a configured sensor opens: there, and the agent's to open."""
    for sensor in config.sensors.values():
        for path in opened(sensor.driver, sensor.options, root):
            about = f"sensor {sensor.name}"
            if not path.exists():
                yield ill(
                    about,
                    f"{path} is not there",
                    f"ls {quote(str(path.parent))}  # is it plugged in, under another name?",
                )
            elif person.may(path, 6):
                yield well(about, f"{person.name} may open {path}")
            else:
                yield ill(about, f"{person.name} may not open {path}", _let_open(path, person, root))


def opened(driver: str, options: Mapping[str, Any], root: Path) -> list[Path]:
    """The devices that a sensor opens, as far as its options or its driver's name tell."""
    defaults = {name: parameter.default for name, parameter in registry.options(driver).items()}
    if driver == "iio":
        return _captured(options, root)
    told = [root / text.lstrip("/") for text in _texts({**defaults, **options}) if IN_DEV.fullmatch(text)]
    if told or driver not in OPENED:
        return told
    there = sorted((root / "dev").glob(OPENED[driver]))
    return there[:1] or [root / "dev" / OPENED[driver].rstrip("*")]


def _captured(options: Mapping[str, Any], root: Path) -> list[Path]:
    """The node of an IIO device whose buffer is read; polled it is read in /sys."""
    if options.get("capture") != "buffered":
        return []
    try:
        return [Device.find(root, str(options.get("device"))).node]
    except SensorError:  # it is not there: its driver says so best
        return []


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _let_open(path: Path, person: Person, root: Path) -> str:
    """The command that gives the device to the agent: our udev rules, or a group."""
    if path.name.startswith(RULED):
        return "sudo udevadm control --reload && sudo udevadm trigger"
    found = path.stat()
    names = [group[0] for group in _entries(root / "etc/group") if int(group[2]) == found.st_gid]
    if names and found.st_gid and found.st_mode & stat.S_IRGRP and found.st_mode & stat.S_IWGRP:
        return f"sudo usermod --append --groups {names[0]} {person.name} && sudo systemctl restart tocsin"
    return f"sudo setfacl -m u:{person.name}:rw {quote(str(path))}"


def state_folder(config: Config, person: Person) -> Finding:
    """The folder of everything the agent writes: its user must be able to write what is in it."""
    folder, about = config.state_dir, "state folder"
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        if person.may(parent, 3):
            return well(about, f"{folder} will be made by {person.name}")
        return ill(about, f"{folder} is not there, and {person.name} may not make it", _own(folder, person))
    try:
        closed = [
            path for path in (folder, *_below(folder)) if not person.may(path, 7 if path.is_dir() else 6)
        ]
        shared = any(not OURS.fullmatch(path.name) for path in folder.iterdir())
    except PermissionError as error:
        return unknown(about, f"{error.filename} cannot be looked into: ask again with sudo")
    if not closed:
        return well(about, f"{person.name} may write {folder}")
    more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
    mend = f"sudo chown -R {person.name}: {quote(str(folder))}"
    if shared:  # with what others put there, which must stay theirs
        mend = f"{_own(folder / 'tocsin', person)}  # and name it: state_dir"
    return ill(about, f"{person.name} may not write {closed[0]}{more}", mend)


def _own(folder: Path, person: Person) -> str:
    """The command that makes a folder of the agent's own."""
    return f"sudo install -d -o {person.name} -m 750 {quote(str(folder))}"


def _below(folder: Path, deep: int = 2) -> Iterator[Path]:
    """What the agent writes in its folder, and all that is in that."""
    for path in sorted(folder.iterdir()):
        if not path.is_symlink() and (deep < 2 or OURS.fullmatch(path.name)):
            yield path
            if path.is_dir() and deep > 1:
                yield from _below(path, deep - 1)


def _of_unit(root: Path) -> str:
    """The user that the installed unit names; "" without one."""
    match = re.search(r"^User=(\S+)", read(root / UNIT), re.MULTILINE)
    return match[1] if match else ""


def _entries(path: Path) -> Iterator[list[str]]:
    """The lines of /etc/passwd or /etc/group, passwd(5) and group(5), in their fields."""
    for line in read(path).splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[2].isdecimal() and (len(fields) == 4 or fields[3].isdecimal()):
            yield fields
