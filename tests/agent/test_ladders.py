"""Operating points: what each monitor can do for how much, and in what order steps up are taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.alerts import Plan
from agent.ladders import (
    SENTINEL_HEARS,
    Costs,
    Ladder,
    Menu,
    Point,
    Work,
    changed,
    default_delay_s,
    ladder,
)

VIBRATION = Costs(call=60e-6, hop=25e-6, window=570e-6, score=60e-6, sentinel=12e-6)
TELEMETRY = Costs(call=45e-6, hop=1.5e-6, window=0.0, score=0.0)


def vibration(max_delay_s: float = 60.0, **changes: object) -> Work:
    work = Work(Plan(0.5), 0.1, 5, True, max_delay_s)
    return work.__class__(**{**{name: getattr(work, name) for name in work.__slots__}, **changes})


def telemetry(max_delay_s: float = 60.0) -> Work:
    return Work(Plan(1.0), 1.0, 1, False, max_delay_s)


works = st.builds(
    Work,
    plan=st.floats(0.05, 600).map(Plan),
    reading_s=st.floats(0.004, 600),
    span=st.integers(1, 30),
    cascaded=st.booleans(),
    max_delay_s=st.floats(0.1, 1e5),
    priority=st.sampled_from(["low", "normal", "high"]),
    most_gathered_s=st.floats(0, 1000),
)
costs = st.builds(Costs, *(st.floats(1e-7, 1e-2) for _ in range(5)))


@settings(deadline=None)
@given(work=works, cost=costs)
def test_every_point_keeps_the_greatest_delay(work: Work, cost: Costs) -> None:
    for point in ladder("m", work, cost).points:
        plan = point.plan
        whole_s = round(plan.full_s / plan.hop_s) * plan.hop_s  # as a monitor counts windows
        gap_s = max(whole_s, plan.hop_s if plan.gather_s else 0.0)
        if plan != work.plan:
            assert gap_s + plan.gather_s <= work.max_delay_s + 1e-9
            assert plan.gather_s <= work.most_gathered_s


@settings(deadline=None)
@given(work=works, cost=costs)
def test_each_step_up_costs_more_is_better_and_is_worth_less_than_the_one_before(
    work: Work, cost: Costs
) -> None:
    points = ladder("m", work, cost).points
    cores, values = [point.cores for point in points], [point.value for point in points]
    assert cores == sorted(cores)
    assert values == sorted(values)
    slopes = np.diff(values) / np.maximum(np.diff(cores), 1e-12)
    assert all(np.diff(slopes) <= 1e-6 * np.abs(slopes[:-1]) + 1e-12)


@settings(deadline=None)
@given(work=works, cost=costs)
def test_nothing_costs_more_than_everything(work: Work, cost: Costs) -> None:
    found = ladder("m", work, cost)
    assert found.points[0].cores <= found.everything + 1e-12


def test_vibration_may_be_heard_by_the_sentinel_alone_between_looks() -> None:
    cheapest = ladder("m", vibration(), VIBRATION).points[0]
    assert cheapest.plan.look == "sentinel"
    assert cheapest.plan.full_s + cheapest.plan.gather_s == pytest.approx(0.95 * 60)
    assert cheapest.cores < 0.15 * ladder("m", vibration(), VIBRATION).everything


def test_a_machine_whose_normal_is_not_known_well_is_worth_looking_at() -> None:
    points = ladder("m", vibration(grown=False), VIBRATION).points
    assert points[-1].plan.look == "full"
    assert points[-1].plan.gather_s == 5.0
    assert ladder("m", vibration(), VIBRATION).points[-1].plan.look == "sentinel"


def test_the_value_of_a_point_is_the_delay_it_leaves_on_average() -> None:
    point = next(p for p in ladder("m", vibration(), VIBRATION).points if p.plan.full_s == 10.0)
    assert point.value == pytest.approx(1 - (5.0 / 2 + (1 - SENTINEL_HEARS) * 10 / 2) / 60)


def test_telemetry_is_gathered_and_nothing_of_it_is_passed_over() -> None:
    points = ladder("m", telemetry(), TELEMETRY).points
    assert {point.plan.look for point in points} == {"full"}
    assert points[0].plan.gather_s == pytest.approx(56.0)
    assert points[0].cores < 0.1 * ladder("m", telemetry(), TELEMETRY).everything


def test_a_monitor_that_costs_next_to_nothing_is_left_alone() -> None:
    slow = Work(Plan(300.0), 300.0, 1, False, 3000.0)
    assert [point.plan for point in ladder("m", slow, TELEMETRY).points] == [Plan(300.0)]


def test_a_delay_too_short_for_any_saving_leaves_one_way() -> None:
    points = ladder("m", vibration(max_delay_s=0.6), VIBRATION).points
    assert all(point.plan.look == "full" for point in points)


def test_a_monitor_that_may_not_skip_windows_looks_at_all() -> None:
    points = ladder("m", vibration(cascaded=False), VIBRATION).points
    assert {point.plan.look for point in points} == {"full"}


def test_the_default_delay_leaves_room_for_ten_looks() -> None:
    assert default_delay_s(Plan(1.0), 1) == 60.0
    assert default_delay_s(Plan(10.0), 20) == 2000.0


def steps(*cores_and_values: tuple[float, float], name: str = "m", priority: str = "normal") -> Ladder:
    points = tuple(
        Point(Plan(1.0, full_s=100.0 / (i + 1)), cores, value)
        for i, (cores, value) in enumerate(cores_and_values)
    )
    return Ladder(name, points, 10.0, priority)  # type: ignore[arg-type]


def test_the_step_that_is_worth_most_for_its_cost_comes_first() -> None:
    menu = Menu([steps((1, 0.1), (2, 0.2), name="a"), steps((1, 0.1), (2, 0.9), name="b")])
    assert menu.cost(0) == 2
    assert menu.points(1)["b"].cores == 2
    assert menu.points(1)["a"].cores == 1
    assert menu.points(2)["a"].cores == 2


def test_priority_weighs_what_a_step_is_worth() -> None:
    menu = Menu([steps((1, 0.1), (2, 0.3), name="a", priority="high"), steps((1, 0.1), (2, 0.4), name="b")])
    assert menu.points(1)["a"].cores == 2


def test_the_least_important_are_shed_first_and_all_before_none() -> None:
    menu = Menu(
        [
            steps((1, 0.1), name="high", priority="high"),
            steps((1, 0.1), name="low", priority="low"),
            steps((3, 0.1), name="normal"),
        ]
    )
    assert menu.lowest == -3
    shed = [{name for name, point in menu.points(dial).items() if not point.value} for dial in (-1, -2, -3)]
    assert shed == [{"low"}, {"low", "normal"}, {"low", "normal", "high"}]
    assert [menu.cost(dial) for dial in (-3, -2, -1, 0)] == [0.0, 1.0, 4.0, 5.0]


@settings(deadline=None)
@given(st.lists(st.tuples(works, costs), min_size=1, max_size=6), st.floats(0, 0.1))
def test_what_fits_fits_and_one_more_would_not(each: list[tuple[Work, Costs]], cores: float) -> None:
    menu = Menu([ladder(str(i), work, cost) for i, (work, cost) in enumerate(each)])
    dial = menu.fitting(cores)
    assert 0 <= dial <= menu.highest
    assert menu.cost(dial) <= cores or dial == 0
    assert dial == menu.highest or menu.cost(dial + 1) > cores
    assert sum(point.cores for point in menu.points(dial).values()) == pytest.approx(menu.cost(dial))


def test_only_what_changes_is_told() -> None:
    menu = Menu([steps((1, 0.1), (2, 0.2), name="a"), steps((1, 0.1), (2, 0.9), name="b")])
    assert list(changed(menu.points(0), menu.points(1))) == ["b"]
    assert set(changed({}, menu.points(1))) == {"a", "b"}
