"""One step of the bank of level changes for slow channels: state in, state out, every channel a row."""

from __future__ import annotations

from onnx import ModelProto

from models.build.sheet import Sheet

FAST, SLOW = (3.0, 8.0), 300.0  # time constants in samples of the short means and of the long level
SEASON_LEVEL = 200.0  # time constant of the slow level taken off the weekly residual
HOUR_RATE, WEEK_RATE = 0.05, 0.25  # slowest learning rates of the two profiles
CLIP = 50.0
QUANTILE_UP, QUANTILE_DOWN, TAIL_RATE = 0.0023, 0.000047, 0.0167  # their ratio keeps q at the 0.98 quantile
TAIL_CAP = 8.0  # an excess counts for at most this many mean excesses when the tail is updated


def level() -> ModelProto:
    """Per channel: x standardised; residuals of hourly and weekly profiles; |short mean - long level| of
    each at two speeds; each of the six excesses over an online tail (peaks over threshold, exponential);
    score = their mean.

    `profile` is `[channels, 4]`: of this hour of the day and of the week the mean, then how often each was
    seen; the caller exchanges it at the hour. `memory` is `[channels, 10]`: slow weekly level, three long
    levels, six short means; `tail` is `[channels, 12]`: six thresholds q, six mean excesses beta. The tail
    goes on learning in alarm, by at most TAIL_CAP mean excesses a sample: frozen there, a tail learned too
    tight never recovers, which cost nine points of the NAB score and twice the alarms.
    """
    sheet = Sheet("level", "one sample of every channel through the bank of level changes")
    value = sheet.input("value", ["channels", 1])
    median = sheet.input("median", ["channels", 1])
    inverse_scale = sheet.input("inverse_scale", ["channels", 1])
    profile, memory = sheet.input("profile", ["channels", 4]), sheet.input("memory", ["channels", 10])
    tail = sheet.input("tail", ["channels", 12])

    x = sheet.node("Mul", sheet.node("Sub", value, median), inverse_scale)
    x = sheet.node("Clip", x, -CLIP, CLIP)
    means, counts = sheet.split(profile, 2, 2)  # each of the hour and of the week
    seen = sheet.node("Min", counts, 1.0)
    residual = sheet.node("Sub", x, means)
    fresh = sheet.node("Reciprocal", sheet.node("Add", counts, 1.0))
    rate = sheet.node("Max", fresh, sheet.constant([HOUR_RATE, WEEK_RATE]))
    means = sheet.node("Add", means, sheet.node("Mul", rate, residual))
    sheet.output("profile_next", ["channels", 4], "Concat", means, sheet.node("Add", counts, 1.0), axis=1)

    residual = sheet.node("Mul", residual, seen)  # before a slot was seen: 0
    hourly, weekly = sheet.split(residual, 1, 1)
    season, long, short = sheet.split(memory, 1, 3, 6)
    _, week_seen = sheet.split(seen, 1, 1)
    detrended = sheet.node("Mul", sheet.node("Sub", weekly, season), week_seen)
    season = _towards(sheet, season, detrended, 1 / SEASON_LEVEL)
    bases = sheet.node("Concat", x, hourly, detrended, axis=1)  # [channels, 3]

    twice = sheet.node("Concat", bases, bases, axis=1)  # [fast of each base, slower of each base]
    speed = sheet.constant([1 / FAST[0]] * 3 + [1 / FAST[1]] * 3)
    short = sheet.node("Add", short, sheet.node("Mul", sheet.node("Sub", twice, short), speed))
    apart = sheet.output("apart", ["channels", 6], "Sub", short, sheet.node("Concat", long, long, axis=1))
    distance = sheet.output("distance", ["channels", 6], "Abs", apart)
    long = _towards(sheet, long, sheet.node("Sub", bases, long), 1 / SLOW)
    sheet.output("memory_next", ["channels", 10], "Concat", season, long, short, axis=1)

    q, beta = sheet.split(tail, 6, 6)
    excess = sheet.node("Sub", distance, q)
    parts = sheet.node("Relu", sheet.node("Div", excess, beta))
    over = sheet.node("Cast", sheet.node("Greater", excess, 0.0), to=1)
    capped = sheet.node("Min", excess, sheet.node("Mul", beta, TAIL_CAP))
    step = sheet.node("Mul", over, QUANTILE_UP + QUANTILE_DOWN)
    step = sheet.node("Sub", step, QUANTILE_DOWN)
    grow = sheet.node("Mul", over, TAIL_RATE)
    q = sheet.node("Add", q, sheet.node("Mul", step, beta))
    beta = sheet.node("Add", beta, sheet.node("Mul", grow, sheet.node("Sub", capped, beta)))
    sheet.output("tail_next", ["channels", 12], "Concat", q, beta, axis=1)

    # One Sum of six columns: added in this order for any number of channels.
    total = sheet.node("Sum", *sheet.split(parts, 1, 1, 1, 1, 1, 1))
    sheet.output("score", ["channels", 1], "Mul", total, 1 / 6)
    return sheet.model()


def _towards(sheet: Sheet, value: str, difference: str, rate: float) -> str:
    return sheet.node("Add", value, sheet.node("Mul", difference, rate))
