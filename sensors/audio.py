"""Sound and vibration through ALSA: microphones, and accelerometers that show themselves as a sound card."""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from sensors.alsa_cards import recorders
from sensors.base import (
    VIBRATION_FROM_HZ,
    AtLeast,
    Channel,
    Found,
    OptionError,
    Positive,
    Reading,
    Sensor,
    SensorError,
    sensor_name,
)
from sensors.log_mel import LogMel, Mel
from sensors.pcm import SIZES, Format, decode
from sensors.program import Program
from sensors.sample_times import Arrivals, Epoch, Timeline
from sensors.values import check_names

MOST_HZ = 384_000  # arecord's own bound is 384 kHz; 192 kHz is what is tested
PERIOD_S = 0.05  # longest between two interrupts of the card; each wakes arecord, and then the agent
BUFFER_S = 1.0  # how much the card holds while arecord does not run, where it can
PIPE_BYTES = 2**20  # how much the pipe holds while the agent does not: /proc/sys/fs/pipe-max-size
OPEN_S = 10.0  # within which a card has said how it is set up
LOUDEST = 1e4  # shares of full scale: a float may be more than 1, but 80 dB more are no sound
SMALLEST_SCALE, LARGEST_SCALE = (
    1e-9,
    1e9,
)  # of full scale: what is loud at it, squared and summed, fits float32
SILENT_S = 2.0  # and ten periods: a card that runs has something to say by then
# What arecord says (alsa-utils, aplay/aplay.c), and what would be right
ADVICE = {
    "No such": "is it plugged in, and the agent's user in the group audio? `arecord -l` lists the cards",
    "busy": "another program has it",
    "Permission denied": "put the agent's user into the group audio",
    "Sample format non available": "give it a `format` that it has",
    "Channels count non available": "say with `inputs` how many channels it has",
}


@dataclass(frozen=True, slots=True)
class Input:
    """One channel.

    Options:
        name: the channel's name.
        unit: of what comes out, in UCUM: Pa, m/s2; 1 = shares of full scale.
        full_scale: what the largest count of the card stands for, in that unit; negative turns the sign.
        input: which of the card's channels, from 1; without it, its place in this list.
    """

    name: str
    unit: str = "1"
    full_scale: float = 1.0
    input: Annotated[int, AtLeast(1)] | None = None

    def __post_init__(self) -> None:
        if not SMALLEST_SCALE <= abs(self.full_scale) <= LARGEST_SCALE:
            told = f"must be {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}, or as much below 0"
            raise OptionError("full_scale", self.full_scale, told)


class Audio(Sensor):
    """A microphone, or an accelerometer that is a sound card, as `arecord` hears it.

    Options:
        device: ALSA's name of it, such as hw:CARD=Device (`arecord -L` lists them). hw: is what the card itself gives;
            plughw: and default convert, which is no measurement any more.
        channels: what it hears; without it, one channel "sound" in shares of full scale.
        rate_hz: samples per second that the card is set to, up to 384 kHz.
        format: how the card counts.
        inputs: how many channels the card has; without it, as many as are used. hw: gives all or none.
        features: none = the waveform; log_mel = the level in bands of pitch, in dB.
        mel: the bands of log_mel.
        block_s: length of one Reading of the waveform.
    """

    def __init__(
        self,
        *,
        device: str,
        channels: Sequence[Input] | None = None,
        rate_hz: Positive = 48_000.0,
        format: Format = "S16_LE",
        inputs: Annotated[int, AtLeast(1)] | None = None,
        features: Literal["none", "log_mel"] = "none",
        mel: Mel | None = None,
        block_s: Positive = 0.1,
    ) -> None:
        if not device or device.startswith("-") or not device.isprintable():
            raise OptionError("device", device, "is no name of a device, such as hw:CARD=Device")
        if rate_hz != int(rate_hz) or rate_hz > MOST_HZ:
            raise OptionError("rate_hz", rate_hz, f"must be a whole number of at most {MOST_HZ}")
        ears = [Input("sound")] if channels is None else channels
        check_names("channels[{}].name", [ear.name for ear in ears])
        places = [i if ear.input is None else ear.input - 1 for i, ear in enumerate(ears)]
        if inputs is not None and max(places) >= inputs:
            i = places.index(max(places))
            raise OptionError(f"channels[{i}].input", ears[i].input or i + 1, f"is beyond inputs: {inputs}")
        if mel is not None and features != "log_mel":
            raise OptionError("mel", mel, "goes with features: log_mel")
        self.rate_hz = self._sound_hz = rate_hz
        self.channels = tuple(Channel(ear.name, ear.unit) for ear in ears)
        self.skipped: Counter[str] = Counter()
        self._scales = np.array([ear.full_scale for ear in ears], np.float32)
        self._mel: LogMel | None = None
        if features == "log_mel":
            self._mel = LogMel(mel or Mel(), rate_hz, np.abs(self._scales))
            self.rate_hz = rate_hz / self._mel.hop
            self.channels = tuple(
                Channel(f"{ear.name} {float(f'{hz:.4g}'):g} Hz", "dB")
                for ear in ears
                for hz in self._mel.centres_hz
            )
        elif rate_hz >= VIBRATION_FROM_HZ:
            self.kind = "vibration"
        self._device, self._format, self._places = device, format, places
        self._inputs = max(places) + 1 if inputs is None else inputs
        self._frame_bytes = self._inputs * SIZES[format]
        self._block = max(1, round(block_s * rate_hz))
        self._period_s = min(PERIOD_S, block_s)
        self._program: Program | None = None
        self._ready: deque[Reading] = deque()

    @classmethod
    def find(cls, root: Path) -> Sequence[Found]:
        """Cards that record; how many channels, only USB cards say, and others mostly have two."""
        found = []
        for recorder in recorders(root):
            options: dict[str, object] = {"device": f"hw:CARD={recorder.card},DEV={recorder.device}"}
            count = recorder.channels or 2
            if count > 1:
                options["channels"] = [{"name": f"channel {i + 1}"} for i in range(count)]
            if recorder.format is not None:
                options |= {"format": recorder.format, "rate_hz": recorder.rate_hz}
            note = "" if shutil.which("arecord") else "sudo apt install alsa-utils"
            what = f"sound card {recorder.card}: {recorder.what}"
            found.append(Found(sensor_name(recorder.card, "audio"), what, options, note))
        return found

    def open(self) -> None:
        self.close()
        if shutil.which("arecord") is None:
            raise self.error("arecord is not installed: apt install alsa-utils")
        self._setup: dict[str, float] = {}  # what arecord told of its own, by name
        self._formats: list[str] = []  # that the card has, where it has not the one that was asked for
        self._overrun = False  # arecord has said so
        self._arrivals = Arrivals(self._sound_hz, 2.0 * self._period_s)
        self._epoch, self._timeline = Epoch("monotonic", self.clock), Timeline(self.rate_hz)
        self._rest = b""  # of a frame
        self._ended: OSError | None = None
        self._collected: list[NDArray[np.float32]] = []
        self._time = 0.0  # of the first that was collected
        if self._mel is not None:
            self._mel.restart()
        try:
            self._program = Program(
                self.name,
                self._command(),
                environment={"LC_ALL": "C"},  # its words are read
                pipe_bytes=PIPE_BYTES,
                hear=self._understand,
            )
            self._rest = self._await_setup(self._program)
        except OSError as error:
            self.close()
            raise self._trouble(error) from None
        self._heard = self.clock.monotonic()
        self._late_s = math.inf  # since it was heard; the first may come at any time

    def read(self, timeout: float) -> Reading | None:
        if self._program is None:
            raise self.error("read before open")
        end = self.clock.monotonic() + timeout
        while not self._ready:
            left = end - self.clock.monotonic()
            try:
                if not self._hear(self._program, max(0.0, left)) or left <= 0.0:
                    break
            except OSError as error:
                raise self._trouble(error) from None
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        program, self._program = self._program, None
        self._ready.clear()
        if program is not None:
            program.end()

    def _command(self) -> list[str]:
        return [
            *("arecord", "-v", "-t", "raw", "-D", self._device, "-f", self._format),
            *("-r", f"{self._sound_hz:.0f}", "-c", str(self._inputs)),
            *("--period-time", f"{1e6 * self._period_s:.0f}", "--buffer-time", f"{1e6 * BUFFER_S:.0f}"),
        ]

    def _await_setup(self, program: Program) -> bytes:
        """The first that it says, once its rate is known to be right. Raises OSError."""
        end = self.clock.monotonic() + OPEN_S
        said = b""
        while "exact rate" not in self._setup and self.clock.monotonic() < end and not said:
            said = program.receive(0.1)
        told = self._setup.get("exact rate")
        if told is None:
            raise OSError("it does not say how it is set up")
        if told != self._sound_hz:
            raise OSError(f"runs at {told:g} Hz, not {self._sound_hz:g}: give it a rate_hz that it has")
        return said

    def _understand(self, words: str) -> bool:
        """What arecord tells besides samples; True for what is no complaint."""
        if "overrun!!!" in words or words.startswith("Suspended"):
            self._overrun = True
            self.skipped["overruns"] += 1
            return True
        told = re.match(r"\s+([a-z_ ]+?) *: (\d+)", words)
        if told:
            self._setup.setdefault(told[1], float(told[2]))  # what comes later is of what it is made of
        if words.startswith("- "):  # after "Available formats:"
            self._formats.append(words[2:])
        return re.match(r"arecord: |ALSA lib |Warning", words) is None

    def _hear(self, program: Program, timeout: float) -> bool:
        """Wait for sound, and take all there is; False when none came. Raises OSError."""
        if self._ended is not None:
            raise self._ended
        chunk = program.receive(timeout, PIPE_BYTES)
        now, before = self.clock.monotonic(), self._heard
        if not chunk:
            if now - before > max(SILENT_S, 10 * self._period_s):
                raise OSError("gives no samples any more")
            return False
        self._heard = now
        pieces = [self._rest, chunk]
        try:
            while len(chunk) < PIPE_BYTES and (chunk := program.receive(0.0, PIPE_BYTES)):
                pieces.append(chunk)
        except OSError as error:
            self._ended = error  # told once what it said before has been read
        said = b"".join(pieces)
        whole = len(said) - len(said) % self._frame_bytes
        self._rest = said[whole:]
        if whole:
            self._take(said[:whole], late=now - before > self._late_s)
            self._late_s = 2.0 * self._period_s
        if self._overrun:  # it says so before it goes on: this was what came before
            self._overrun = False
            self._lose(self._arrivals.resume(self.clock.monotonic()))
        return True

    def _take(self, octets: bytes, late: bool) -> None:
        shares = decode(self._format, octets, self._inputs)[:, self._places]
        if self._format == "FLOAT_LE":
            self._leave_out(shares)
        samples = shares * self._scales
        # Late, the newest may have waited, or be the last before an overrun: then only their count is sure.
        run = self._arrivals.run(len(samples), None if late else self._heard)
        if run.lost:
            self._lose(run.lost)
        if self._mel is not None:
            levels, last = self._mel.feed(samples)
            if len(levels):
                self._place(run.time + last / self._sound_hz, levels)
            return
        if not self._collected:
            self._time = run.time
        self._collected.append(samples)
        if sum(map(len, self._collected)) >= self._block:
            self._give()

    def _lose(self, count: int) -> None:
        """Samples are missing between what came and what comes."""
        self.skipped["lost_samples"] += count
        self._give()
        if self._mel is not None:
            self._mel.restart()

    def _give(self) -> None:
        if self._collected:
            self._place(self._time, np.concatenate(self._collected))
            self._collected = []

    def _place(self, time: float, values: NDArray[np.float32]) -> None:
        time = self._timeline.place(time + self._epoch.offset_s(), len(values))
        self._ready.append(Reading(self.name, time, self.rate_hz, values))

    def _leave_out(self, shares: NDArray[np.float32]) -> None:
        """A float may be no number, or no sound: then it is missing."""
        sound = np.abs(shares) <= LOUDEST
        if not sound.all():
            nothing = int(np.isnan(shares).sum())
            self.skipped["not_a_number"] += nothing
            self.skipped["out_of_range"] += int(sound.size - sound.sum()) - nothing
            shares[~sound] = np.nan

    def _trouble(self, error: OSError) -> SensorError:
        words = re.sub(r"arecord: \w+:\d+: ", "", str(error))
        advice = next((f": {told}" for said, told in ADVICE.items() if said in words), "")
        formats = f": {', '.join(self._formats)}" if self._formats else ""
        return self.error(f"{self._device}: {words}{advice}{formats}")
