"""One step of the bank of level changes for slow channels: state in, state out, every channel a row."""

from __future__ import annotations

from onnx import ModelProto

from models.build.sheet import Sheet

FAST, SLOW = (4.0, 12.0), 1000.0  # time constants in samples of the short means and of the long level
SEASON_LEVEL = 200.0  # time constant of the slow level taken off the weekly residual
HOUR_RATE, WEEK_RATE = 0.05, 0.25  # slowest learning rates of the two profiles
CLIP = 50.0
LAGS, GAP = (
    144,
    20,
)  # how many stretches of the past are compared with, and how long ago the latest of them ended
PAST = GAP + LAGS - 1  # samples remembered
LIKENESS = 10.0  # time constant in samples of the comparison
QUANTILE_UP, QUANTILE_DOWN, TAIL_RATE = (
    0.005,
    0.000102,
    0.008,
)  # the first two's ratio keeps q at the 0.98 quantile
TAIL_CAP = 8.0  # an excess counts for at most this many mean excesses when the tail is updated


def level() -> ModelProto:
    """Per channel: x standardised; residuals of hourly and weekly profiles; |short mean - long level| of
    each at two speeds; of x and of the weekly residual, how unlike the newest samples are to any stretch of
    the past; each of these eight distances' excess over an online tail (peaks over threshold, exponential);
    score = their weighted mean, the last two counting double.

    Unlikeness is that of the nearest neighbour with windows that fade out instead of ending, so that a step
    costs one update for each lag: D_lag += ((x_t - x_{t-lag})^2 - D_lag) / LIKENESS, and the root of the
    smallest D.

    `profile` is `[channels, 4]`: of this hour of the day and of the week the mean, then how often each was
    seen; the caller exchanges it at the hour. `memory` is `[channels, 10]`: slow weekly level, three long
    levels, six short means; `past` is `[channels, 2, PAST]`, the newest first; `unlike` `[channels, 2, LAGS]`
    is D; `tail` is `[channels, 16]`: eight thresholds q, eight mean excesses beta. The tail goes on learning
    in alarm, by at most TAIL_CAP mean excesses a sample: frozen there, a tail learned too tight never
    recovers, which cost nine points of the NAB score and twice the alarms.
    """
    sheet = Sheet("level", "one sample of every channel through the bank of level changes")
    value = sheet.input("value", ["channels", 1])
    median = sheet.input("median", ["channels", 1])
    inverse_scale = sheet.input("inverse_scale", ["channels", 1])
    profile, memory = sheet.input("profile", ["channels", 4]), sheet.input("memory", ["channels", 10])
    past = sheet.input("past", ["channels", 2, PAST])
    unlike = sheet.input("unlike", ["channels", 2, LAGS])
    tail = sheet.input("tail", ["channels", 16])

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
    long = _towards(sheet, long, sheet.node("Sub", bases, long), 1 / SLOW)
    sheet.output("memory_next", ["channels", 10], "Concat", season, long, short, axis=1)

    pair = sheet.node("Concat", x, detrended, axis=1)
    newest = sheet.node("Unsqueeze", pair, sheet.constant([2], integer=True))
    recent, others, oldest = sheet.split(past, GAP - 1, LAGS - 1, 1, axis=2)
    sheet.output("past_next", ["channels", 2, PAST], "Concat", newest, recent, others, axis=2)
    apart_then = sheet.node("Sub", newest, sheet.node("Concat", others, oldest, axis=2))
    squared = sheet.node("Mul", apart_then, apart_then)
    step = sheet.node("Mul", sheet.node("Sub", squared, unlike), 1 / LIKENESS)
    unlike = sheet.output("unlike_next", ["channels", 2, LAGS], "Add", unlike, step)
    nearest = sheet.node("Sqrt", sheet.node("ReduceMin", unlike, axes=[2], keepdims=0))
    distance = sheet.output("distance", ["channels", 8], "Concat", sheet.node("Abs", apart), nearest, axis=1)

    q, beta = sheet.split(tail, 8, 8)
    excess = sheet.node("Sub", distance, q)
    parts = sheet.node("Relu", sheet.node("Div", excess, beta))
    over = sheet.node("Cast", sheet.node("Greater", excess, 0.0), to=1)
    capped = sheet.node("Min", excess, sheet.node("Mul", beta, TAIL_CAP))
    step = sheet.node("Mul", over, QUANTILE_UP + QUANTILE_DOWN)
    step = sheet.node("Sub", step, QUANTILE_DOWN)
    grow = sheet.node("Mul", over, TAIL_RATE)
    q = sheet.node("Add", q, sheet.node("Mul", step, beta))
    beta = sheet.node("Add", beta, sheet.node("Mul", grow, sheet.node("Sub", capped, beta)))
    sheet.output("tail_next", ["channels", 16], "Concat", q, beta, axis=1)

    # One Sum of eight columns: added in this order for any number of channels.
    parts = sheet.node("Mul", parts, sheet.constant([0.1] * 6 + [0.2] * 2))
    sheet.output("score", ["channels", 1], "Sum", *sheet.split(parts, *([1] * 8)))
    return sheet.model()


def _towards(sheet: Sheet, value: str, difference: str, rate: float) -> str:
    return sheet.node("Add", value, sheet.node("Mul", difference, rate))
