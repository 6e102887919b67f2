"""One peer for each driver: what it sends, how it is taken away and brought back, and whether all of it has come."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensors.base import Reading
from tests.agent.brokers import HOST, Mosquitto, free_port, listens, until
from tests.proof.ledger import Account, ticks
from tests.real import need
from tests.sensors.alsa_world import Room, define, numbers
from tests.sensors.camera_world import NetworkCamera, video
from tests.sensors.iio_pace import ELEMENTS
from tests.sensors.iio_world import ACCEL, make_device
from tests.sensors.serial_line import Cable

ROOT = Path(__file__).parents[2]
DBC = """VERSION ""
BU_: ECU
BO_ 256 Drive: 4 ECU
 SG_ Count : 0|32@1+ (1,0) [0|0] "" X
"""


class Peer:
    """What one sensor listens to. This one can neither be told to send nor taken away."""

    mortal = False  # it can be taken away
    silent_at_first = False  # until it is told to send: what was counted before is none of that

    def __init__(self, name: str, what: str, sensor: Mapping[str, Any]) -> None:
        self.name = name  # of the sensor, of at most 8 letters: the kernel keeps no more of listen:<name>
        self.what, self.sensor = what, dict(sensor)

    def start(self) -> None: ...

    def go(self) -> None:
        """Begin to send."""

    def pause(self) -> None:
        """End it."""

    def kill(self) -> None:
        """Away with it, as it goes in the world: kill -9, unplugged. May be called twice."""

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        """`left_out` as far as it is about what was sent. Here: a row at each tick."""
        return ticks(readings, left_out.get("missed_ticks", 0))


class Program(Peer):
    """A process that sends numbers by itself, and its sensor gives each channel's newest."""

    mortal = silent_at_first = True

    def __init__(
        self, name: str, what: str, sensor: Mapping[str, Any], *words: str, channels: int = 1
    ) -> None:
        super().__init__(name, what, sensor)
        self._words, self._channels = words, channels
        self._process: subprocess.Popen[str] | None = None
        self.sent = 0

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.proof.senders", *self._words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def go(self) -> None:
        self._say("go")

    def pause(self) -> None:
        self._say("pause")
        assert self._process is not None
        assert self._process.stdout is not None
        self.sent = int(self._process.stdout.readline())

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        came = sum(len(np.unique(numbers_of(readings, channel))) for channel in range(self._channels))
        return Account(self._channels * self.sent, came, _lost(left_out))

    def _say(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()


class Answering(Program):
    """A process that numbers its answers: each has to become a row."""

    silent_at_first = False

    def start(self) -> None:
        super().start()
        where = self._words[-1]
        if where.isdecimal():  # a port, which somebody else may have taken meanwhile
            until(lambda: listens(int(where)), f"{self.name}'s peer to listen at {where}")

    def go(self) -> None:
        """It answers whenever it is asked."""

    def pause(self) -> None:
        """... and goes on."""

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        numbers = numbers_of(readings)
        return Account(int(numbers[-1]), len(np.unique(numbers)), _lost(left_out), "answers")


class OnALine(Answering):
    """A unit of Modbus at the other end of a line, which is unplugged."""

    def __init__(self, name: str, what: str, sensor: Mapping[str, Any], folder: Path) -> None:
        self._folder = folder
        ours = {"port": str(folder / "ours"), "baud": 19200, "timeout_s": 0.5}
        super().__init__(name, what, {**sensor, **ours}, "modbus", "rtu", str(folder / "theirs"))
        self._cable: Cable | None = None

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._cable = Cable(self._folder)
        super().start()

    def kill(self) -> None:
        super().kill()
        cable, self._cable = self._cable, None
        if cable is not None:
            cable.pull()

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        """Of requests: each that was waited for in vain was answered late, or never."""
        answers = super().account(readings, left_out)
        unanswered = max(0, left_out.get("time_outs", 0) - (answers.sent - answers.received))
        return replace(answers, sent=answers.sent + unanswered, what="requests")


class AtABroker(Program):
    """Devices that publish, and the broker, which is killed."""

    def __init__(self, name: str, what: str, sensor: Mapping[str, Any], folder: Path, hz: float) -> None:
        self._broker = Mosquitto(folder)
        port = self._broker.port
        super().__init__(
            name, what, {**sensor, "host": HOST, "port": port}, "mqtt", str(port), str(hz), channels=3
        )

    def start(self) -> None:
        self._broker.start()
        super().start()

    def kill(self) -> None:
        self._broker.kill()
        super().kill()


class Stage(Program):
    """Somebody who plays numbered frames into a room, and the room itself, which is killed."""

    def __init__(self, name: str, what: str, sensor: Mapping[str, Any], folder: Path) -> None:
        folder.mkdir()
        self._room = Room(folder, quiet=False)
        self.alsa = define(folder, self._room.device)  # where ALSA_CONFIG_PATH should point to
        super().__init__(name, what, sensor, "sound", self._room.server)

    def start(self) -> None:
        self._room.begin()
        super().start()

    def kill(self) -> None:
        self._room.end()
        super().kill()

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        came = np.zeros(self.sent, bool)
        for reading in readings:
            heard = np.array(numbers(reading.values))
            came[heard[heard >= 0]] = True  # silence is less than none
        return Account(self.sent, int(came.sum()), _lost(left_out))


class Network(Peer):
    """A camera on the network; of the pictures between two ticks the newest is taken."""

    mortal = True

    def __init__(self, name: str, what: str, sensor: Mapping[str, Any]) -> None:
        self._camera = NetworkCamera("ball")
        super().__init__(name, what, {**sensor, "url": self._camera.url})

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        first = 1  # picture, that comes when the stream begins; from then on there is one at each tick
        account = ticks(readings[first:], left_out.get("missed_ticks", 0))
        return replace(account, counted=account.counted | _lost(left_out))

    def start(self) -> None:
        self._camera.begin()

    def kill(self) -> None:
        self._camera.end()


class Film(Peer):
    """A video file, which comes to its end."""

    def __init__(self, name: str, what: str, sensor: Mapping[str, Any], file: Path, seconds: float) -> None:
        video(file, "testsrc=size=320x240:rate=10", seconds=seconds)
        super().__init__(name, what, {**sensor, "file": str(file), "rate_hz": 10})
        self._pictures = round(10 * seconds)

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        return Account(
            self._pictures, sum(len(reading.values) for reading in readings), _lost(left_out), "pictures"
        )


class Capture(Program):
    """A device of the kernel's, whose buffer is a FIFO: three axes whose first one counts."""

    def __init__(self, name: str, what: str, folder: Path, hz: int) -> None:
        rates = {"sampling_frequency": f"{hz}\n", "sampling_frequency_available": f"{hz}\n"}
        make_device(folder, ACCEL | rates, ELEMENTS)
        sensor = {"driver": "iio", "device": "lis2dh12_accel", "capture": "buffered", "trigger": "none"}
        super().__init__(name, what, {**sensor, "root": str(folder)}, "iio", str(folder), str(hz))

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        return Account(self.sent, sum(len(reading.values) for reading in readings), _lost(left_out))


class Script(Peer):
    """The program that the driver exec starts, told by files."""

    mortal = True

    def __init__(self, name: str, what: str, folder: Path, hz: float) -> None:
        command = [sys.executable, "-m", "tests.proof.senders", "lines", str(folder), str(hz)]
        channels = [{"name": "count"}, {"name": "power", "unit": "W"}]
        sensor = {
            "driver": "exec",
            "command": command,
            "folder": str(ROOT),
            "rate_hz": hz,
            "channels": channels,
        }
        super().__init__(name, what, sensor)
        self._folder = folder
        folder.mkdir()

    def start(self) -> None:
        (self._folder / "broken").unlink(missing_ok=True)

    def go(self) -> None:
        (self._folder / "go").touch()

    def pause(self) -> None:
        (self._folder / "go").unlink()

    def kill(self) -> None:
        (self._folder / "broken").touch()

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        sent = int((self._folder / "sent").read_text())
        return Account(sent, len(np.unique(numbers_of(readings))), _lost(left_out))


class Exporter(Peer):
    """Debian's node_exporter."""

    mortal = True

    def __init__(self, name: str, what: str, sensor: Mapping[str, Any]) -> None:
        self._port, self._binary = free_port(), need("prometheus-node-exporter")
        super().__init__(name, what, {**sensor, "url": f"http://{HOST}:{self._port}/metrics"})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self._binary, f"--web.listen-address={HOST}:{self._port}"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: listens(self._port), "node_exporter listens")

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


class Files(Peer):
    """Numbers in files of the kernel's, which vanish and come back: those that `paths` finds once the agent runs."""

    mortal = True
    paths: Sequence[Path] = ()

    def start(self) -> None:
        for path in self.paths:
            if path.with_name("." + path.name).exists():
                path.with_name("." + path.name).rename(path)

    def kill(self) -> None:
        for path in self.paths:
            if path.exists():
                path.rename(path.with_name("." + path.name))


class Chip(Files):
    """An ADXL345 that is emulated in the agent, wired for as long as a file is there; its samples count to 4096."""

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        counts = np.concatenate([reading.values[:, 0] for reading in readings]) * 256 / 9.80665
        numbers = np.unwrap(counts.astype(np.float64).round(), period=4096)
        return Account(int(numbers[-1]) + 1, len(numbers), _lost(left_out))


class Simulated(Peer):
    """A source of its own, without gaps."""

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        first, last = readings[0], readings[-1]
        sent = round((last.time - first.time) * first.rate_hz) + len(last.values)
        return Account(sent, sum(len(reading.values) for reading in readings), _lost(left_out))


class Played(Peer):
    """A recording, which comes to its end."""

    def __init__(self, name: str, what: str, file: Path, rows: int, speed: float) -> None:
        self._rows = rows
        lines = [f"{60 * i},{i + 1},{i % 7}" for i in range(rows)]
        file.write_text("\n".join(["time,count,power [W]", *lines]) + "\n")
        super().__init__(name, what, {"driver": "recording", "file": str(file), "speed": speed})

    def account(self, readings: Sequence[Reading], left_out: Mapping[str, int]) -> Account:
        return Account(self._rows, len(np.unique(numbers_of(readings))), _lost(left_out))


def numbers_of(readings: Sequence[Reading], channel: int = 0) -> NDArray[np.float32]:
    """All of one channel but for missing ones, and but for 0, which was there before anything was sent."""
    values = np.concatenate([reading.values[:, channel] for reading in readings])
    found: NDArray[np.float32] = values[~np.isnan(values) & (values != 0.0)]
    return found


def _lost(left_out: Mapping[str, int]) -> dict[str, int]:
    """Samples that became no row. A tick that passed is none, and neither is one at which a value was too old."""
    no_samples = ("missed_ticks", "stale")
    return {reason: count for reason, count in left_out.items() if reason not in no_samples}
