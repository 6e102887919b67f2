"""The level bank against one channel of it written in plain Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.detector import Job, Learned
from models.level import EDGE, HOURS, PRIOR_COUNT, PRIOR_SHARE, WARM, WEEK_HOURS, Level, LevelBank
from tests.models.heads import times_of
from tests.models.streams import Array, noise


@dataclass
class Plain:
    """One channel in double precision, as the design has it."""

    median: float
    scale: float
    q: list[float]
    beta: list[float]
    hour: dict[int, tuple[float, int]] = field(default_factory=dict)  # mean, how often seen
    week: dict[int, tuple[float, int]] = field(default_factory=dict)
    season: float = 0.0
    long: list[float] = field(default_factory=lambda: [0.0] * 3)
    short: list[float] = field(default_factory=lambda: [0.0] * 6)
    past: list[list[float]] = field(default_factory=lambda: [[0.0] * 163, [0.0] * 163])  # the newest first
    unlike: list[list[float]] = field(default_factory=lambda: [[0.0] * 144, [0.0] * 144])

    def step(self, time: float, value: float) -> tuple[float, list[float]]:
        """The score and the eight distances of one more sample."""
        x = min(50.0, max(-50.0, (value - self.median) / self.scale))
        slot = int(time // 3600)
        hourly = self._residual(self.hour, slot % 24, x, 0.05)
        weekly = self._residual(self.week, slot % 168, x, 0.25)
        detrended = 0.0 if weekly is None else weekly - self.season
        self.season += detrended / 200
        bases = [x, 0.0 if hourly is None else hourly, detrended]
        distances = []
        for i in range(6):
            self.short[i] += (bases[i % 3] - self.short[i]) / (4 if i < 3 else 12)
            distances.append(abs(self.short[i] - self.long[i % 3]))
        self.long = [level + (base - level) / 1000 for level, base in zip(self.long, bases, strict=True)]
        for i, base in enumerate((x, detrended)):
            past, unlike = self.past[i], self.unlike[i]
            for lag in range(144):
                unlike[lag] += ((base - past[19 + lag]) ** 2 - unlike[lag]) / 10
            self.past[i] = [base, *past[:-1]]
            distances.append(math.sqrt(min(unlike)))
        score = 0.0
        for i, d in enumerate(distances):
            excess = d - self.q[i]
            score += max(0.0, excess / self.beta[i]) * (0.1 if i < 6 else 0.2)
            if excess > 0:
                capped = min(excess, 8 * self.beta[i])
                self.q[i] += 0.005 * self.beta[i]
                self.beta[i] += 0.008 * (capped - self.beta[i])
            else:
                self.q[i] -= 0.000102 * self.beta[i]
        return score, distances

    @staticmethod
    def _residual(profile: dict[int, tuple[float, int]], slot: int, x: float, slowest: float) -> float | None:
        mean, seen = profile.get(slot, (0.0, 0))
        profile[slot] = (mean + max(slowest, 1 / (seen + 1)) * (x - mean), seen + 1)
        return x - mean if seen else None


def seasonal(rows: int, seed: int = 0) -> Array:
    """A day's and a week's rhythm with noise, five minutes apart."""
    hours = np.arange(rows) / 12
    rhythm = 3 * np.sin(2 * np.pi * hours / 24) + np.where(hours // 24 % 7 >= 5, -2, 0)
    return (70 + 5 * (rhythm + noise(rows, 1, seed)[:, 0]))[:, None].astype(np.float32)


def times(rows: int, first: int = 0) -> list[float]:
    return [1700000000.0 + 300.0 * (first + i) for i in range(rows)]


def plainly_learned(rows: Array) -> Plain:
    """The same lesson as the head's: the first rows give the tail, the others go through it."""
    x = rows[:, 0].astype(np.float64)
    low, median, high = np.quantile(x, (0.05, 0.5, 0.95))
    plain = Plain(median, (high - low) / 3.3, [1e9] * 8, [1e9] * 8)
    warm = min(WARM, len(x) // 2)
    distances = np.empty((warm, 8))
    for i in range(warm):
        distances[i] = plain.step(times(warm)[i], x[i])[1]
        ripe = i - 20 - 30 + 1  # lags that have had their time
        distances[i, 6:] = [math.sqrt(min(of[:ripe])) if ripe > 0 else 0.0 for of in plain.unlike]
    q = np.quantile(distances, 0.98, axis=0)
    over = distances > q
    prior = PRIOR_COUNT * PRIOR_SHARE * np.maximum(q, 0.05)
    beta = (np.where(over, distances - q, 0).sum(axis=0) + prior) / (over.sum(axis=0) + PRIOR_COUNT)
    plain.q, plain.beta = q.tolist(), beta.tolist()
    for time, value in zip(times(len(x))[warm:], x[warm:].tolist(), strict=True):
        plain.step(time, value)
    return plain


def head_of(learned: Learned, bank: LevelBank | None = None) -> Level:
    head = Level(len(learned.arrays["median"]))
    head.arm(learned)
    head.bank = bank = bank or LevelBank()
    head.seat = bank.seat(head)
    return head


def raw_of(head: Level, first: int, rows: Array) -> Array:
    job = head.take(times(len(rows), first), rows, False)
    assert job is not None
    assert head.bank is not None
    head.bank.score([job])
    return job.raw


def learned_from(rows: Array) -> Learned:
    return Level(rows.shape[1]).learn(np.asarray(times(len(rows))), rows, [0])


def test_scores_are_those_of_a_plain_walk_through_the_definition() -> None:
    rows = seasonal(4000)
    rows[3000:3050] += 60
    rows[3500:, 0] = 70
    plain, head = plainly_learned(rows[:750]), head_of(learned_from(rows[:750]))
    raw = raw_of(head, 750, rows[750:])
    expected = [plain.step(t, v)[0] for t, v in zip(times(3250, 750), rows[750:, 0].tolist(), strict=True)]
    assert max(expected) > 5
    assert raw[0].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-3)
    state = head.learned().arrays
    assert state["memory"][0].tolist() == pytest.approx([plain.season, *plain.long, *plain.short], abs=1e-3)
    assert state["tail"][0].tolist() == pytest.approx([*plain.q, *plain.beta], rel=1e-3, abs=1e-4)
    for slot, (mean, seen) in plain.hour.items():
        assert state["table"][0, slot] == pytest.approx(mean, abs=1e-3)
        assert state["table"][0, HOURS + WEEK_HOURS + slot] == seen
    for slot, (mean, seen) in plain.week.items():
        assert state["table"][0, HOURS + slot] == pytest.approx(mean, abs=1e-3)
        assert state["table"][0, 2 * HOURS + WEEK_HOURS + slot] == seen


def test_saved_state_goes_on_exactly_where_it_stood() -> None:
    rows = seasonal(2000)
    head = head_of(learned_from(rows[:750]))
    raw_of(head, 750, rows[750:1200])
    saved = head.learned()
    expected = raw_of(head, 1200, rows[1200:])
    assert (raw_of(head_of(saved), 1200, rows[1200:]) == expected).all()
    with pytest.raises(AssertionError):  # what came before did matter
        assert (raw_of(head_of(learned_from(rows[:750])), 1200, rows[1200:]) == expected).all()


def test_each_channel_of_several_is_scored_as_if_it_were_alone() -> None:
    rows = np.concatenate([seasonal(1500), seasonal(1500, seed=1) * 3, noise(1500, 1, 2)], axis=1)
    together = raw_of(head_of(learned_from(rows[:750])), 750, rows[750:])
    for i in range(3):
        alone = raw_of(head_of(learned_from(rows[:750, i : i + 1])), 750, rows[750:, i : i + 1])
        assert (together[[1 + i, 4 + i, 7 + i]] == alone[1:]).all()
    assert (together[0] == together[1:4].max(axis=0)).all()


def test_a_gap_is_bridged_for_levels_outlast_it() -> None:
    rows = seasonal(1500)
    head = head_of(learned_from(rows[:750]))
    job = head.take(times(100, 9000), rows[750:850], True)
    assert job is not None
    assert len(job.times) == 100


@pytest.mark.parametrize("constant", [0.0, 5.0, -1e6])
def test_a_channel_that_never_moved_is_strange_as_soon_as_it_does(constant: float) -> None:
    rows = np.full((1000, 1), constant, np.float32)
    rows[950:] += max(1e-3, 0.01 * abs(constant))
    raw = raw_of(head_of(learned_from(rows[:750])), 750, rows[750:])
    assert not raw[0, :200].any()
    assert raw[0, 205:].max() > EDGE * 1.5


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_a_coarse_channel_keeps_its_calm(step: float) -> None:
    rows = (np.round(noise(6000, 1) / step) * step).astype(np.float32)
    raw = raw_of(head_of(learned_from(rows[:750])), 750, rows[750:])
    assert np.mean(raw[0] > 2) < 0.01


def test_learning_takes_the_same_from_every_number_of_rows() -> None:
    """The shortest lesson has a tail of its own; a longer one has gone through more of it."""
    for rows in (20, 150, 301):
        learned = learned_from(seasonal(rows))
        assert learned.calibration.edges == (EDGE,)
        assert (learned.arrays["tail"] < 1e6).all()
        assert (learned.arrays["tail"][:, 8:] > 0).all()


def test_heads_that_are_not_due_do_not_move() -> None:
    bank = LevelBank()
    heads = [head_of(learned_from(seasonal(300, seed)), bank) for seed in range(3)]
    before = [head.learned().arrays for head in heads]
    jobs = [Job(heads[1], times_of(1), (seasonal(1),))]
    bank.score(jobs)
    for i, head in enumerate(heads):
        same = all((head.learned().arrays[name] == array).all() for name, array in before[i].items())
        assert same == (i != 1)
