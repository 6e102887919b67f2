"""Operating states: found where they are clear, not where there is one; judged when settled, and never by a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.state_finding import QUICKEST, find, settling
from models.state_tracker import GLITCH_ROWS, Mark, Segment, Tracker
from models.states import Candidate, States, declared, restored
from models.window import Array

SPEED, LOAD, HEAT = Candidate(0, "speed", "Hz"), Candidate(1, "load", "%"), Candidate(2, "temperature", "Cel")
PLAIN = (Candidate(0, "a", ""), Candidate(1, "b", ""), Candidate(2, "c", ""))
DAY = ((0.0, 0.0, 400), (25.0, 70.0, 900), (25.0, 100.0, 500), (0.0, 0.0, 300), (25.0, 70.0, 900))


def machine(legs: Sequence[tuple[float, float, int]], seed: int = 0, ramp: int = 10) -> Array:
    """Rows of speed, load and a temperature that follows slowly; each leg is reached within `ramp` rows."""
    random = np.random.default_rng(seed)
    speed, load = [legs[0][0]], [legs[0][1]]
    for to_speed, to_load, rows in legs:
        for to, of in ((to_speed, speed), (to_load, load)):
            of += np.linspace(of[-1], to, ramp).tolist() + [to] * (rows - ramp)
    heat = [20.0]
    for value in load[1:]:
        heat.append(heat[-1] + 0.01 * (20.0 + 0.3 * value - heat[-1]))
    rows = np.array([speed, load, heat]).T[1:] + random.normal(size=(len(heat) - 1, 3)) * (0.05, 1.5, 0.1)
    return np.asarray(rows, np.float32)


def taught(rows: Array, candidates: Sequence[Candidate] = (SPEED, LOAD, HEAT), **options: bool) -> States:
    found = find(rows, [0], candidates, dwell=60, **options)
    assert found is not None
    return found


def tracker(
    states: States, bound: int = 60, patience: int = 600, persist: int = 120, most: int = 6
) -> Tracker:
    return Tracker(states, bound, patience, persist, most)


def labels(tracked: Tracker, rows: Array) -> NDArray[np.int64]:
    """The state of each row, -1 where it is not judged."""
    found = np.full(len(rows), -1)
    for segment in tracked.push(rows, True)[0]:
        found[segment.start : segment.stop] = segment.state
    return found


def test_states_are_found_in_the_channels_that_drive_and_named_by_their_values() -> None:
    states = taught(machine(DAY))
    assert [channel.name for channel in states.channels] == ["speed", "load"]
    assert [states.name(i) for i in range(states.count)] == [
        "state 1 (speed 0 Hz, load 0 %)",
        "state 2 (speed 25 Hz, load 70 %)",
        "state 3 (speed 25 Hz, load 100 %)",
    ]
    assert states.open


@pytest.mark.parametrize("seed", range(5))
def test_one_state_is_one_state(seed: int) -> None:
    random = np.random.default_rng(seed)
    still = random.normal(size=(600, 3)).astype(np.float32)
    walking = np.cumsum(random.normal(size=(600, 3)), axis=0).astype(np.float32)
    coarse = np.round(random.normal(size=(600, 3)) * 0.8).astype(np.float32)
    swinging = np.sin(np.arange(600) / 40)[:, None].repeat(3, axis=1).astype(np.float32)
    for rows in (still, walking, coarse, swinging, still + 5 * swinging):
        assert find(rows, [0], PLAIN, dwell=60) is None
    for rows in (walking, swinging, still + 5 * swinging):
        assert find(rows, [0], (SPEED, LOAD, HEAT), dwell=60) is None
    for rows in (still, coarse):
        states = taught(rows)
        assert states.count == 1
        assert (states.entered(states.of(rows)) == 0).all()


def test_a_drive_that_was_kept_at_one_point_tells_it_from_others() -> None:
    """Without anybody saying so: a lesson of one state, and the machine is run at another."""
    states = taught(machine(((25.0, 70.0, 600),)))
    assert [channel.name for channel in states.channels] == ["speed", "load"]
    assert states.open
    elsewhere = np.array([[25.3, 71, 40], [12, 70, 40], [25, 100, 60], [0, 0, 20]], np.float32)
    assert states.entered(states.of(elsewhere)).tolist() == [0, -1, -1, -1]
    rows = machine(((25.0, 70.0, 600),))
    rows[:, 1] = 50 + np.cumsum(np.random.default_rng(1).normal(size=600))  # a load that wanders
    assert [channel.name for channel in taught(rows).channels] == ["speed"]


def test_a_level_that_changed_once_is_no_state_unless_the_channel_drives_the_machine() -> None:
    rows = machine(((25.0, 70.0, 600), (25.0, 100.0, 600)))
    assert find(rows, [0], PLAIN, dwell=60) is None
    assert taught(rows).count == 2
    assert taught(machine(DAY), PLAIN).count == 3  # it came back


def test_what_does_not_drive_the_machine_has_no_unknown_places() -> None:
    states = taught(machine(DAY), PLAIN)
    assert not states.open
    far = np.array([[1000.0, 500.0, 20.0]], np.float32)
    assert states.entered(states.of(far))[0] == 2


def test_a_channel_that_a_person_chose_gives_its_only_state_a_box() -> None:
    rows = machine(((25.0, 70.0, 600),))
    heat = Candidate(0, "heat", "Cel")
    assert find(rows, [0], (heat,), dwell=60) is None
    states = taught(rows, (heat,), chosen=True)
    assert states.count == 1
    assert states.entered(np.array([[25.3], [0.0]])).tolist() == [0, -1]


def test_a_state_that_is_hardly_seen_is_none() -> None:
    rows = machine(((25.0, 70.0, 2000), (0.0, 0.0, 50), (25.0, 70.0, 2000)))
    assert taught(rows, (SPEED,)).count == 1


def test_a_switch_that_flutters_tells_no_states() -> None:
    random = np.random.default_rng(0)
    rows = np.where(np.repeat(random.random(200) < 0.5, 10), 1.0, 0.0)[:, None].astype(np.float32)
    assert find(rows, [0], (Candidate(0, "switch", ""),), dwell=60) is None


def test_rows_on_the_way_and_those_that_settle_are_not_judged() -> None:
    rows = machine(DAY, seed=1)
    states = replace(taught(machine(DAY)), settle=(20, 20, 20))
    found = labels(tracker(states), rows)
    edges = np.cumsum([leg[2] for leg in DAY]) - 1
    for edge, before, after in zip(edges, (0, 1, 2, 0), (1, 2, 0, 1), strict=False):
        assert found[edge - 5] == before
        assert (found[edge + 6 : edge + 25] == -1).all()
        assert found[edge + 45] == after
    assert (found >= 0).mean() > 0.9


def test_how_long_a_state_takes_to_settle_is_learned() -> None:
    rows = machine(DAY * 3)
    states = taught(rows)
    entered = states.entered(states.of(rows))
    current = np.random.default_rng(0).normal(size=(len(rows), 1)).astype(np.float32)
    for entry in np.flatnonzero(np.diff(entered) != 0) + 1:  # a surge of 25 rows at each entry
        current[entry : entry + 25] += 20.0
    assert settling(states, rows, entered, most=60) == (QUICKEST,) * 3  # warming is part of the state
    assert settling(states, np.hstack([rows, current]), entered, most=60) == (25,) * 3


@settings(deadline=None, max_examples=30)
@given(
    cuts=st.lists(st.integers(1, 3500), max_size=12),
    legs=st.lists(
        st.tuples(
            st.sampled_from([0.0, 12.0, 25.0]),
            st.sampled_from([0.0, 70.0, 85.0, 100.0]),
            st.integers(20, 400),
        ),
        min_size=1,
        max_size=9,
    ),
    drives=st.booleans(),
)
def test_no_cut_changes_what_is_judged(
    cuts: list[int], legs: list[tuple[float, float, int]], drives: bool
) -> None:
    states = taught(machine(DAY), (SPEED, LOAD, HEAT) if drives else PLAIN)
    rows = machine(legs, seed=2)

    def walked(edges: Sequence[int]) -> tuple[list[tuple[int, int, bool]], list[Mark], States]:
        of = tracker(states, bound=30, patience=100, persist=60)
        judged: list[tuple[int, int, bool]] = []
        marks: list[Mark] = []
        for a, b in zip([0, *edges], [*edges, len(rows)], strict=True):
            segments, said = of.push(rows[a:b], a == 0)
            judged += [
                (s.state, a + i, s.fresh and i == s.start) for s in segments for i in range(s.start, s.stop)
            ]
            marks += [Mark(mark.kind, a + mark.row) for mark in said]
        return judged, marks, of.states

    whole, pieces = walked([]), walked(sorted({cut for cut in cuts if cut < len(rows)}))
    assert whole[:2] == pieces[:2]
    np.testing.assert_array_equal(whole[2].low, pieces[2].low)
    single = walked(range(1, len(rows)))
    assert single[:2] == whole[:2]


def test_a_short_glitch_does_not_leave_the_state() -> None:
    states = taught(machine(DAY))
    rows = machine(((25.0, 70.0, 400),))
    rows[200 : 200 + GLITCH_ROWS] = 0.0
    segments, _ = tracker(states).push(rows, True)
    assert [segment.fresh for segment in segments] == [True, False]
    assert segments[0].stop == 200
    assert segments[1].start == 200 + GLITCH_ROWS
    rows[200 : 200 + GLITCH_ROWS + 1] = 0.0
    segments, _ = tracker(states).push(rows, True)
    assert [segment.fresh for segment in segments] == [True, True]


def test_a_place_never_seen_becomes_a_state_once_the_machine_stays_there() -> None:
    tracked = tracker(taught(machine(DAY)))
    rows = machine(((25.0, 70.0, 300), (12.0, 40.0, 600), (25.0, 70.0, 300)))
    segments, marks = tracked.push(rows, True)
    assert [mark.kind for mark in marks] == ["grown"]
    assert 300 + 120 <= marks[0].row <= 300 + 140
    assert tracked.states.count == 4
    assert tracked.states.name(3).startswith("state 4 (speed 12 Hz, load 40")
    assert [segment.state for segment in segments if segment.fresh] == [1, 3, 1]


def test_there_are_never_more_states_than_allowed_and_a_machine_without_one_is_told_once() -> None:
    tracked = tracker(taught(machine(DAY)), most=3)
    segments, marks = tracked.push(machine(((25.0, 70.0, 300), (12.0, 40.0, 2000), (25.0, 70.0, 300))), True)
    assert [mark.kind for mark in marks] == ["lost", "found"]
    assert marks[0].row == pytest.approx(300 + 600, abs=15)
    assert tracked.states.count == 3
    assert {segment.state for segment in segments} == {1}


def test_a_machine_that_wanders_between_states_is_lost_not_a_state() -> None:
    tracked = tracker(taught(machine(DAY)))
    speed = 12.5 + 7.0 * np.sin(np.arange(3000) / 25.0)
    rows = np.stack([speed, np.full(3000, 40.0), np.full(3000, 30.0)], axis=1).astype(np.float32)
    segments, marks = tracked.push(rows, True)
    assert not segments
    assert [(mark.kind, mark.row) for mark in marks] == [("lost", 599)]
    assert tracked.unknown


def test_where_no_channel_drives_a_place_between_states_belongs_to_the_nearest_after_the_bound() -> None:
    tracked = tracker(taught(machine(DAY), PLAIN))
    rows = machine(((25.0, 70.0, 300), (25.0, 84.0, 600)))
    found = labels(tracked, rows)
    assert (found[310:360] == -1).all()
    assert set(found[420:].tolist()) <= {1, -1}
    assert (found[420:] == 1).mean() > 0.5


def test_a_fault_in_another_channel_leaves_the_state_as_it_is() -> None:
    states = taught(machine(DAY))
    rows = machine(DAY, seed=1)
    ill = rows.copy()
    ill[600:, 2] += 500.0
    np.testing.assert_array_equal(labels(tracker(states), rows), labels(tracker(states), ill))


def test_after_a_gap_a_state_must_settle_again() -> None:
    tracked = tracker(taught(machine(DAY)))
    rows = machine(((25.0, 70.0, 200),))
    tracked.push(rows, True)
    segments, _ = tracked.push(rows, True)
    assert segments[0] == Segment(1, QUICKEST, 200, True)


def test_what_a_baseline_keeps_of_states_is_all_of_them() -> None:
    states = replace(taught(machine(DAY)), settle=(7, 20, 30))
    again = restored(states.arrays(), (SPEED, LOAD, HEAT), ())
    for name in ("low", "high", "centre", "margin", "linger"):
        np.testing.assert_array_equal(getattr(again, name), getattr(states, name))
    assert (again.channels, again.settle, again.open) == (states.channels, states.settle, states.open)
    arrays = states.arrays()
    with pytest.raises(ValueError, match="cannot be read"):
        restored(arrays, (HEAT,), ())
    with pytest.raises(ValueError, match="do not fit together"):
        restored(arrays | {"low": arrays["low"][:1]}, (SPEED, LOAD, HEAT), ())


def test_states_may_be_declared_and_what_meets_no_condition_is_none() -> None:
    states = declared(
        [{SPEED: (-np.inf, 2.0)}, {SPEED: (20.0, np.inf), LOAD: (50.0, np.inf)}], ["idle", "work"], 5
    )
    assert [states.name(i) for i in range(2)] == ["idle", "work"]
    values = np.array([[0.0, 80.0], [25.0, 70.0], [25.0, 10.0], [2.1, 0.0]])
    assert states.entered(values).tolist() == [0, 1, -1, -1]
    assert states.inside(values, 0, lingering=True).tolist() == [True, False, False, True]
