"""`tocsin explain`: finds the evidence of an alert and shows why it was one, in the terminal or as a picture."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path

import msgspec
import numpy as np

from agent.charts import Doubles, Pen, bar, line_chart, pen, percents, spark
from agent.config import Config
from agent.evidence import Spread
from agent.evidence_store import NAME, BrokenEvidence, Stored, read
from agent.explanation import HARMONICS, Explanation, explain, series, spectra
from agent.messages import rfc3339
from agent.recordings import Refusal
from agent.sentences import duration, quantity

MOST_SHOWN = 10  # contributions and features; the others are added up
WIDEST = 120
LEAST_SPARK, MOST_SPARK = 8, 24
FACT = 10  # where the words of a fact begin
LAST = "last"


def command(config: Config | None, event: str, *, folder: str | None, png: str | None, as_json: bool) -> int:
    """`tocsin explain`. `config` is not needed where `event` is a file, or `folder` is given. Raises Refusal."""
    path = find(event, folder, config)
    try:
        stored = read(path)
    except FileNotFoundError:
        raise Refusal(f"{path}: no such file") from None
    except BrokenEvidence as error:
        raise Refusal(str(error)) from None
    told = explain(stored, path.name)
    if png is not None:
        from agent import picture

        try:
            picture.save(stored, told, Path(png))
        except OSError as error:
            raise Refusal(f"{png}: cannot be written: {error.strerror or error}") from None
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(told)).decode())
    elif png is None:
        width = min(WIDEST, shutil.get_terminal_size((100, 24)).columns)
        print("\n".join(page(stored, told, pen(width, sys.stdout.encoding))))
    else:
        print(f"{png} shows {path.name}", file=sys.stderr)
    return 0


# Which evidence.


def is_file(event: str) -> bool:
    """The word on the command line is a file, so that no configuration is needed to find it."""
    return event.endswith(".npz") and Path(event).is_file()


def find(event: str, folder: str | None, config: Config | None) -> Path:
    """The file that `event` means: a path, the name of a file in the folder, an event's id or the beginning of one, a
    monitor's name, or "last". Raises Refusal."""
    if folder is None and is_file(event):
        return Path(event)
    if folder is None:
        assert config is not None
        place = config.state_dir / "evidence"
    else:
        place = Path(folder)
    if "/" in event:
        raise Refusal(f"{event}: no such file")
    try:
        names = sorted(path.name for path in place.iterdir() if NAME.fullmatch(path.name))
    except FileNotFoundError:
        raise Refusal(f"{place}: no such folder: no alert has left evidence there yet") from None
    except OSError as error:
        raise Refusal(f"{place}: cannot be read: {error.strerror}") from None
    if not names:
        raise Refusal(f"{place}: no evidence there: no alert has left any yet")
    if event in names:
        return place / event
    newest = sorted(names, key=_when)
    if event == LAST:
        return place / newest[-1]
    of_monitor = [name for name in newest if _part(name, "monitor") == event]
    if of_monitor:
        return place / of_monitor[-1]
    wanted = event.lower()
    alike = [name for name in newest if wanted[:8] == _part(name, "id")[: len(wanted[:8])]]
    if len(wanted) > 8:
        alike = [name for name in alike if _id(place / name).startswith(wanted)]
    if len(alike) == 1:
        return place / alike[0]
    if alike:
        raise Refusal(f"{event} could be any of these: {', '.join(alike)}")
    monitors = sorted({_part(name, "monitor") for name in names})
    message = f"no evidence of {event} in {place}: it has {len(names)} of {', '.join(monitors)}"
    raise Refusal(
        f"{message}, from {_when(newest[0])[0]} to {_when(newest[-1])[0]}; only alerts about the machine and about "
        'creeping leave any: try "tocsin explain last"'
    )


def _when(name: str) -> tuple[str, str]:
    return _part(name, "time"), name


def _part(name: str, part: str) -> str:
    found = NAME.fullmatch(name)
    assert found is not None
    return found[part]


def _id(path: Path) -> str:
    """The whole id; a file that cannot be read has none."""
    try:
        return read(path).meta.event.id
    except (BrokenEvidence, FileNotFoundError):
        return ""


# The page.


def page(stored: Stored, told: Explanation, pen: Pen) -> list[str]:
    """All of it as lines of text, none wider than the pen."""
    event = told.event
    lines = [event.sentence, ""]
    lines += _facts(stored, told)
    lines += ["", "Level: 1 is the edge of normal", *_level(told, pen)]
    lines += ["", *_contributions(told, pen)]
    lines += ["", *_features(stored, told, pen)]
    lines += _spectra(stored, told, pen)
    lines = [part for line in lines for part in _wrapped(line, pen.width)]
    if pen.plain:
        lines = [line.encode("ascii", "replace").decode() for line in lines]
    return lines


def _facts(stored: Stored, told: Explanation) -> list[str]:
    event, scene = told.event, stored.meta.scene
    lines = [f"event     {event.kind} {event.time}, {event.id}"]
    lines.append(f"monitor   {event.monitor} on sensor {event.sensor} of {event.device}")
    if event.operating:
        lines.append(f"state     {event.operating}")
    if event.model is not None:
        model = event.model
        lines.append(f"model     {model.detector}, {model.graph} {model.variant}, {model.digest[:16]}")
    if scene.learned_rows:
        learned = f"{rfc3339(scene.learned_from)} to {rfc3339(scene.learned_until)}"
        lines.append(f"learned   from {scene.learned_rows:,} rows, {learned}")
    lines += [f"edge      {note}" for note in told.notes]
    whole = (
        "before and after the event" if told.whole else "up to the event; what came after is not there yet"
    )
    lines.append(f"evidence  {told.evidence}, {whole}")
    return lines


def _level(told: Explanation, pen: Pen) -> list[str]:
    times = np.array([time for time, _ in told.level])
    levels = np.array([level for _, level in told.level])
    lines = []
    if cut := _gap(times, told.time):
        lines.append(f"({cut} levels more, of before a gap of {duration(times[cut] - times[cut - 1])})")
        times, levels = times[cut:], levels[cut:]
    marks = [(told.time, f"{told.event.kind} {_clock(told.time)}")]
    ends = (_clock(times[0]), _clock(times[-1])) if len(times) else ("", "")
    lines += line_chart(pen, times, levels, edge=1.0, marks=marks, ends=ends, base=0.0)
    if told.onset is not None:
        lasted = duration(told.time - told.onset)
        lines.append(f"At 1.0 or above since {_clock(told.onset)}, {lasted} before it was {told.event.kind}.")
    return lines


def _gap(times: Doubles, time: float) -> int:
    """So many of the times lie before a gap that would take most of the chart."""
    before = times[times <= time]
    if len(before) < 2:
        return 0
    steps = np.diff(before)
    widest = int(steps.argmax())
    return widest + 1 if steps[widest] > (times[-1] - times[0]) / 2 and widest + 2 < len(before) else 0


def _contributions(told: Explanation, pen: Pen) -> list[str]:
    """Bars that add up to 100 %, printed figures included."""
    parts = told.contributions
    if not parts or not told.scores:
        return ["No contributions were kept."]
    made = told.scores[0]
    if made.raw is None:
        lines = [f"What made the level: {made.name}, beyond all numbers."]
    else:
        ratio, edge = made.raw / made.reference, told.edge
        what = f"{made.name} {quantity(made.raw, '')}, {ratio:.3g} times its reference"
        lines = [
            f"What made the level: {what}; the edge is {edge:.3g} times, so the level is {ratio / edge:.3g}."
        ]
    if made.adds_up:
        lines.append(f"Shares of the {made.adds_up}; one below zero speaks against an alert.")
    elif len(parts) > 1:
        lines.append("The largest alone makes it: the score is a maximum, not a sum.")
    shown = [part for part in parts[:MOST_SHOWN] if made.adds_up or part.share > 0 or part.sigma]
    rest = sum(part.share for part in parts) - sum(part.share for part in shown)
    shares = [part.share for part in shown]
    names = [part.feature for part in shown]
    others = len(parts) - len(shown)
    if others:
        shares.append(rest)
        names.append(f"{others} other{'s' if others > 1 else ''}")
    figures = percents(shares)
    most = max(max(abs(share) for share in shares), 1e-9)
    name_width = min(max(map(len, names)), max(16, pen.width // 3))
    room = max(8, pen.width - name_width - 24)
    for i, (share, name) in enumerate(zip(shares, names, strict=True)):
        sigma = shown[i].sigma if i < len(shown) else None
        far = "" if sigma is None else f"{sigma:+.1f} sigma"
        text = f"{_fit(name, name_width)} {figures[i]:>6} %  {far:>12}  {bar(pen, share / most, room)}"
        lines.append(text.rstrip()[: pen.width])
    lines.append(f"{'together':<{name_width}} {sum(map(float, figures)):>6.1f} %")
    return lines


def _features(stored: Stored, told: Explanation, pen: Pen) -> list[str]:
    """Before and after of the features that count most. Where the page is too narrow, stretches are left out."""
    courses = told.features[:MOST_SHOWN]
    if not courses:
        return ["No features were kept."]
    _, rows, columns = series(stored)
    names = [column.name for column in columns]
    table = [["feature", "learned", "before", "now", "after"]]
    for course in courses:
        unit = "" if course.unit in ("", "1") else f" in {course.unit}"
        spreads = (course.learned, course.before, course.now, course.after)
        table.append([course.feature + unit, *map(_spread, spreads)])
    used = [0, *(i for i in range(1, 5) if any(row[i] != "-" for row in table[1:]))]
    widths = [max(len(row[i]) for row in table) for i in range(5)]
    for unwanted in (4, 2):
        if unwanted in used and sum(widths[i] + 2 for i in used) - 2 > pen.width:
            used.remove(unwanted)
    over = sum(widths[i] + 2 for i in used) - 2 - pen.width
    widths[0] = max(min(16, widths[0]), widths[0] - max(0, over))
    left = pen.width - sum(widths[i] + 2 for i in used)
    lines = ["Median (5 % are below .. 5 % are above) of what was learned from and of what came:"]
    lines.append("  ".join(_fit(table[0][i], widths[i]) for i in used).rstrip())
    for row, course in zip(table[1:], courses, strict=True):
        line = "  ".join(_fit(row[i], widths[i]) for i in used)
        if left >= LEAST_SPARK and course.feature in names:
            line += "  " + spark(pen, rows[:, names.index(course.feature)], min(MOST_SPARK, left))
        lines.append(line.rstrip()[: pen.width])
    return lines


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    low, median, high = (quantity(x, "") for x in (spread.low, spread.median, spread.high))
    return f"{median} ({low}..{high})"


def _spectra(stored: Stored, told: Explanation, pen: Pen) -> list[str]:
    """Of the channel that counts most: amplitudes, and the envelope with a bearing's lines."""
    found = spectra(stored, told)
    if not found:
        return []
    channel = next((part.channel for part in told.contributions if part.channel in found), next(iter(found)))
    unit = next(column.unit for column in stored.meta.scene.channels if column.name == channel)
    now, before = found[channel]
    lines = []
    for words, spectrum in (("before", before), ("now", now)):
        if spectrum is None:
            continue
        frequencies, amplitudes, _ = spectrum
        span = duration(1 / frequencies[1]) if frequencies[1] < 1 else f"{1 / frequencies[1]:.2g} s"
        lines += ["", f"Spectrum of {channel} in {unit}, {words}, of {span} (logarithmic)"]
        ceiling = max(float(s.amplitudes.max()) for s in found[channel] if s is not None)
        drawn: Doubles = np.maximum(amplitudes[1:], ceiling * 1e-4)
        ends = ("0", f"{frequencies[-1]:.0f} Hz")
        lines += line_chart(pen, frequencies[1:], drawn, ends=ends, height=5, logarithmic=True, peaks=True)
    if told.lines:
        until = min(HARMONICS * max(told.lines.values()), float(now.frequencies[-1]))
        shown = (now.frequencies > 0) & (now.frequencies <= until)
        marks = [(hz, part) for part, hz in told.lines.items() if hz <= until]
        lines += ["", f"Envelope spectrum of {channel}, now, over its median"]
        lines += line_chart(
            pen,
            now.frequencies[shown],
            now.envelope[shown],
            marks=marks,
            ends=("0", f"{until:.0f} Hz"),
            base=0.0,
        )
        lines += [_line(part, hz, now.frequencies, now.envelope) for part, hz in told.lines.items()]
    return lines


def _line(part: str, hz: float, frequencies: Doubles, envelope: Doubles) -> str:
    """How high the envelope stands at a line and its harmonics, within 1 % of slip."""
    heights = []
    for harmonic in (1, 2, 3):
        near = np.abs(frequencies - harmonic * hz) <= max(0.01 * harmonic * hz, float(frequencies[1]))
        if near.any():
            heights.append(f"{envelope[near].max():.1f}")
    return f"  {part}, {hz:.4g} Hz and harmonics: {', '.join(heights)} times the median"


def _clock(time: float) -> str:
    return rfc3339(time)[:19].replace("T", " ")


def _fit(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else text[: width - 1] + "~"


def _wrapped(line: str, width: int) -> list[str]:
    """Only prose can be too long: what follows stands under the first word, a fact's under the fact."""
    if len(line) <= width:
        return [line]
    under = FACT if line[:FACT].strip() and line[FACT - 2 : FACT] == "  " else 2
    return textwrap.wrap(line, width, subsequent_indent=" " * under)
