"""The sound cards that record, as the kernel lists them."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sensors.kernel_files import read
from sensors.pcm import Format

USUAL_HZ = 48_000  # which nearly all cards have
FORMATS: tuple[Format, ...] = typing.get_args(Format)


@dataclass(frozen=True, slots=True)
class Recorder:
    """One device of a card that records. `channels` is 0, and `format` None, where the kernel does not say."""

    card: str  # its name for ALSA, which stays the same
    device: int
    what: str
    channels: int = 0
    format: Format | None = None
    rate_hz: int = USUAL_HZ


def recorders(root: Path) -> Iterator[Recorder]:
    """From /proc/asound/pcm, and of USB cards from their streams (Documentation/sound/designs/procfs.rst)."""
    for line in read(root / "proc/asound/pcm").splitlines():
        found = re.match(r"(\d+)-(\d+): (.*?) : .*\bcapture \d", line)
        if found is None:
            continue
        folder = root / f"proc/asound/card{int(found[1])}"
        card, device = read(folder / "id").strip(), int(found[2])
        if card:
            yield _stream(Recorder(card, device, found[3]), read(folder / f"stream{device}"))


def _stream(recorder: Recorder, text: str) -> Recorder:
    """With what it records, from the first setting that we can read."""
    for setting in text.partition("\nCapture:")[2].split("Altset")[1:]:
        told = dict(re.findall(r"^ *(Format|Channels|Rates): *(.+?) *$", setting, re.MULTILINE))
        form = next((form for form in FORMATS if form == told.get("Format")), None)
        rates = [int(rate) for rate in re.findall(r"\d+", told.get("Rates", ""))]
        if form is None or not told.get("Channels", "").isdigit() or not rates:
            continue
        usual = USUAL_HZ in rates or ("continuous" in told["Rates"] and min(rates) <= USUAL_HZ <= max(rates))
        rate = USUAL_HZ if usual else max(rates)
        return Recorder(recorder.card, recorder.device, recorder.what, int(told["Channels"]), form, rate)
    return recorder
