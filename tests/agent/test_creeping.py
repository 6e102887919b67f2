"""A machine that creeps away from its normal, so slowly that each step could be learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agent.alerts import Event
from agent.monitor import Monitor
from agent.pipeline import Pipeline
from agent.sentences import sentence
from models.mahalanobis import Mahalanobis
from sensors.base import Reading
from tests.agent.machines import START, Array, level, monitor

HOP_S = 600.0  # six rows an hour
DAY = 144
LEARN = 2 * DAY


def several() -> Monitor:
    return monitor(head=Mahalanobis(3, smooth=5), learn_rows=LEARN, hop_s=HOP_S, max_gap_s=6000.0)


def alone() -> Monitor:
    return level(learn_rows=LEARN, hop_s=HOP_S, max_gap_s=6000.0)


def creeping(days: float, sigma: float = 0.0, after: float = 4.0, seed: int = 0) -> Array:
    """Three channels, of which the second, the temperature, climbs by `sigma` of its row's deviation a day."""
    rows = int(days * DAY)
    noise = np.random.default_rng(seed).standard_normal((rows, 3))
    noise[:, 1] += sigma * np.maximum(0, np.arange(rows) / DAY - after)
    return (noise * [100, 0.5, 0.1] + [2e5, 60, 4]).astype(np.float32)


def heard(one: Monitor, rows: Array, first: int = 0, piece: int = 1000) -> list[Event]:
    pipeline = Pipeline([one])
    events = []
    for i in range(0, len(rows), piece):
        time = START + (first + i) * HOP_S
        events += pipeline.push([Reading("rig", time, 1 / HOP_S, rows[i : i + piece])])
    return events


def about(events: list[Event], what: str) -> list[tuple[str, float]]:
    return [(event.kind, (event.time - START) / 86400) for event in events if event.about == what]


def test_a_slow_climb_of_one_channel_is_told_once_as_creeping() -> None:
    events = heard(alone(), creeping(24, 0.5))
    told = about(events, "creeping")
    assert [kind for kind, _ in told] == ["raised", "updated"]
    assert 11.5 < told[0][1] < 13.5  # 4 sigma after 8 of the days, and half a day for the mean
    event = next(event for event in events if event.about == "creeping")
    assert event.moved[0].feature == "temperature"
    assert sentence(event) == (
        f"pump: temperature has crept from {event.moved[0].normal:.1f} to {event.moved[0].value:.1f} Cel"
        f" in {told[0][1] - 2:.0f} days: the limit is 4 sigma since commissioning."
    )


def test_a_climb_is_followed_and_told_at_the_limit() -> None:
    one = several()
    events = heard(one, creeping(30, 0.1))
    first = about(events, "creeping")[0]
    assert first[0] == "raised"
    assert isinstance(one.head, Mahalanobis)
    saved = one.current_baseline()
    assert saved is not None
    arrays, mean = saved.learned.arrays, one.head.weights["mean"][1, 0]
    deviation = arrays["drift_normal"][1, 1]
    assert 2 * deviation < mean - arrays["mean"][1, 0] < 4.01 * deviation


@pytest.mark.parametrize("make", [several, alone])
def test_a_healthy_machine_does_not_creep(make: Callable[[], Monitor]) -> None:
    assert about(heard(make(), creeping(40)), "creeping") == []


@pytest.mark.parametrize("make", [several, alone])
def test_how_the_stream_is_cut_changes_nothing(make: Callable[[], Monitor]) -> None:
    rows = creeping(26, 0.3)
    rows[2000:2010] += 50  # an alert among them, from which nothing is learned
    whole, single = make(), make()
    events = heard(whole, rows, piece=len(rows))
    assert {event.about for event in events} == {"machine", "creeping"}
    assert heard(single, rows, piece=1) == events
    assert heard(make(), rows, piece=37) == events
    one, other = whole.current_baseline(), single.current_baseline()
    assert one is not None
    assert other is not None
    for name, array in one.learned.arrays.items():
        assert array.tobytes() == other.learned.arrays[name].tobytes()


def test_an_abnormal_machine_is_not_followed() -> None:
    calm, ill = several(), several()
    rows = creeping(12)
    strange = rows.copy()
    strange[5 * DAY :, 1] += 10
    heard(calm, rows[: 5 * DAY])
    heard(ill, strange)
    before, after = calm.current_baseline(), ill.current_baseline()
    assert before is not None
    assert after is not None
    assert (before.learned.arrays["drift_slow"] == after.learned.arrays["drift_slow"]).all()
    assert ill.alert.raised


def test_where_a_machine_has_crept_to_is_not_counted_as_normal() -> None:
    """Its rows are normal from day to day, for the head follows; but not those of its commissioning."""
    one, calm = several(), several()
    heard(calm, creeping(60))
    told = about(heard(one, creeping(60, 0.1)), "creeping")
    assert one.aim.tail is not None
    assert calm.aim.tail is not None
    days, since = one.aim.tail.seconds / 86_400, told[0][1]
    assert since < 50
    assert days <= since < calm.aim.tail.seconds / 86_400


def test_what_was_learned_anew_is_the_new_normal_and_clears_what_had_crept() -> None:
    rows = creeping(30, 0.5)
    old = alone()
    heard(old, rows[: 20 * DAY])
    assert old.alerts["creeping"].raised
    rows = creeping(30, 0.0)
    rows[:, 1] += 4
    pupil, new = alone(), alone()
    heard(pupil, rows[:LEARN])  # tocsin learn --again
    assert pupil.baseline is not None
    new.arm(pupil.baseline)
    assert new.commissioned
    new.alerts["creeping"] = old.alerts["creeping"]  # as the agent does after a restart
    events = heard(new, rows[LEARN : LEARN + 2 * DAY], LEARN)
    assert [kind for kind, _ in about(events, "creeping")] == ["cleared"]
    cleared = next(event for event in events if event.about == "creeping")
    assert sentence(cleared).startswith("pump: what had crept away is back within its limit after")


def test_a_restart_goes_on_where_it_was() -> None:
    rows = creeping(26, 0.3)
    one, other = several(), several()
    assert about(heard(one, rows[: 7 * DAY]), "creeping") == []
    saved = one.current_baseline()
    assert saved is not None
    other.arm(saved)
    expected = about(heard(one, rows[7 * DAY :], 7 * DAY), "creeping")
    found = about(heard(other, rows[7 * DAY :], 7 * DAY), "creeping")
    assert [kind for kind, _ in found] == [kind for kind, _ in expected]
    assert found[0][1] == pytest.approx(expected[0][1], abs=0.2)
