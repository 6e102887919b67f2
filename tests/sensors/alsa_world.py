"""Sound without a sound card: ALSA's file plugin, and a room of PulseAudio's that runs at its own pace."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensors.contract import PushedClock
from tests.real import need, require

SYSTEM = Path("/usr/share/alsa/alsa.conf")
SOON_S = 20.0


def define(folder: Path, *devices: str) -> Path:
    """A configuration of ALSA with these devices besides its own; ALSA_CONFIG_PATH should say so."""
    path = folder / "asound.conf"
    path.write_text("\n".join([f"<{SYSTEM}>", *devices]) + "\n")
    return path


def of_file(name: str, file: Path) -> str:
    """A device that gives the file's samples over and over, as fast as they are taken."""
    return f'pcm.{name} {{ type file; slave.pcm "null"; file /dev/null; infile "{file}"; format raw }}'


class Room:
    """A room of PulseAudio's, at the pace of this computer's clock; the device `room` listens to it. It is quiet,
    or somebody plays in it."""

    PACE = "rate=48000 channels=2"

    def __init__(self, folder: Path, *, quiet: bool = True) -> None:
        self._folder, self._socket = folder, folder / "native"
        heard = "quiet" if quiet else "stage.monitor"
        self._module = f"module-null-source source_name=quiet {self.PACE} max_latency_msec=20"
        if not quiet:
            self._module = f"module-null-sink sink_name=stage {self.PACE}"
        self.server = f"unix:{self._socket}"
        self.device = f'pcm.room {{ type pulse; server "{self.server}"; device {heard} }}'
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Room:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        plugins = list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
        require(bool(plugins), "libasound2-plugins is not installed")
        folders = "HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"
        self._server = subprocess.Popen(
            [
                *(need("pulseaudio"), "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
                *("--disable-shm=1", "--realtime=no", "--high-priority=no"),
                *("-L", self._module),
                *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"),
            ],
            env={**os.environ, **{name: str(self._folder) for name in folders}},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._socket.exists)

    def end(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None
        self._socket.unlink(missing_ok=True)


class Card:
    """Stands for a Program that is arecord, for the card and its buffer, and for the pipe. Frames are `numbered`."""

    PERIOD_S, BUFFER_S, PIPE_FRAMES = 0.05, 1.0, 12_000

    def __init__(self, clock: PushedClock, rate_hz: int) -> None:
        self._clock, self._rate_hz = clock, rate_hz
        self._period = round(self.PERIOD_S * rate_hz)
        self._began = clock.monotonic()
        self._next = 0  # number of the first frame that arecord has not taken
        self._stuck = False  # a period was taken, and does not fit into the pipe
        self._pipe: list[tuple[int, int]] = []
        self.lost = 0
        self.ended = False

    def __call__(
        self,
        listener: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        pipe_bytes: int,
        hear: Callable[[str], bool],
    ) -> Card:
        self._hear = hear
        hear("Its setup is:")
        hear(f"  exact rate   : {self._rate_hz} ({self._rate_hz}/1)")
        return self

    def receive(self, timeout: float, most: int = 65_536) -> bytes:
        self._run()
        if not self._pipe and timeout > 0.0:
            until_next = (self._next + self._period - self._now()) / self._rate_hz
            self._clock.push(min(timeout, max(0.0, until_next) + 1e-4))
            self._run()
        frames, self._pipe = self._pipe, []
        self._run()
        return b"".join(numbered(last - first, first).tobytes() for first, last in frames)

    def end(self) -> None:
        self.ended = True

    def _now(self) -> int:
        """Number of the frame that the card is about to take."""
        return int((self._clock.monotonic() - self._began) * self._rate_hz)

    def _run(self) -> None:
        """What arecord has done by now."""
        while self._next + self._period <= self._now() or self._stuck:
            if self._held() + self._period > self.PIPE_FRAMES:
                self._stuck = True
                return
            self._pipe.append((self._next, self._next + self._period))
            self._next += self._period
            if self._stuck and self._now() - self._next > self.BUFFER_S * self._rate_hz:
                self.lost += self._now() - self._next
                self._next = self._now()
                self._hear("overrun!!! (at least 0.001 ms long)")
            self._stuck = False

    def _held(self) -> int:
        return sum(last - first for first, last in self._pipe)


def numbered(frames: int, first: int = 0) -> NDArray[np.int16]:
    """Two channels that together count the frames, 1000 more than their numbers: each can be told from silence. Both
    move with each frame, as sound does: what stands still is withheld as a sensor's fault."""
    n = np.arange(first + 1000, first + 1000 + frames)
    return np.stack([n // 1000 + n % 1000, n % 1000], axis=1).astype(np.int16)


def numbers(values: NDArray[np.float32]) -> list[int]:
    """Which frames of `numbered` these are; silence is -1000."""
    counts = np.rint(values.astype(np.float64) * 2**15).astype(np.int64)
    found: list[int] = ((counts[:, 0] - counts[:, 1]) * 1000 + counts[:, 1] - 1000).tolist()
    return found


def until(claim: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.01)
