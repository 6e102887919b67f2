"""The sound cards that record, from what kernels list."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensors import check
from sensors.audio import Audio
from tests.sensors.world import make_board

USB_CARD = """\
C-Media Electronics Inc. USB PnP Sound Device at usb-0000:01:00.0-1.3, full speed : USB Audio

Playback:
  Status: Stop
  Interface 1
    Altset 1
    Format: S16_LE
    Channels: 2
    Endpoint: 0x01 (1 OUT) (ADAPTIVE)
    Rates: 48000, 44100

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: {form}
    Channels: 1
    Endpoint: 0x82 (2 IN) (ADAPTIVE)
    Rates: {rates}
"""


@pytest.mark.parametrize(
    ("form", "rates", "told"),
    [
        ("S16_LE", "48000, 44100", {"format": "S16_LE", "rate_hz": 48_000}),
        ("S24_3LE", "8000 - 96000 (continuous)", {"format": "S24_3LE", "rate_hz": 48_000}),
        ("S16_LE", "16000", {"format": "S16_LE", "rate_hz": 16_000}),
    ],
)
def test_cards_that_record_are_found_with_what_they_give(
    tmp_path: Path, form: str, rates: str, told: dict[str, object]
) -> None:
    pcm = (
        "00-00: bcm2835 HDMI 1 : bcm2835 HDMI 1 : playback 8\n"
        "01-00: USB Audio : USB Audio : playback 1 : capture 1\n"
        "02-00: Generic Analog : Generic Analog : playback 1 : capture 1\n"
    )
    files = {"pcm": pcm, "card0/id": "b1\n", "card1/id": "Device\n", "card2/id": "Intel\n"}
    files["card1/stream0"] = USB_CARD.format(form=form, rates=rates)
    make_board(tmp_path, {f"proc/asound/{name}": text for name, text in files.items()})
    usb, other = Audio.find(tmp_path)
    assert (usb.name, usb.what) == ("Device", "sound card Device: USB Audio")
    assert usb.options == {"device": "hw:CARD=Device,DEV=0", **told}
    assert other.options["device"] == "hw:CARD=Intel,DEV=0"
    assert all(check("audio", found.options) == [] for found in (usb, other))


def test_a_card_of_no_format_of_ours_is_told_without_one(tmp_path: Path) -> None:
    files = {"pcm": "00-00: a : b : capture 1\n", "card0/id": "odd\n"}
    files["card0/stream0"] = USB_CARD.format(form="DSD_U8", rates="48000")
    make_board(tmp_path, {f"proc/asound/{name}": text for name, text in files.items()})
    (found,) = Audio.find(tmp_path)
    assert "format" not in found.options
