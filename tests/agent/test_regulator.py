"""The governor with real monitors, a real inbox and a board made of files; only time is pushed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agent.alerts import Event
from agent.assemble import make_monitor, make_sensor
from agent.config import Config, load_text
from agent.governor import DECIDE_S, Change, Conversion
from agent.inbox import Inbox
from agent.monitor import Monitor
from agent.payloads import Governor
from agent.pipeline import Pipeline
from agent.regulator import Regulator
from agent.senses import Senses
from agent.work import board_of, limits_of, work_of
from tests.boards import BATTERY, LAPTOP, ORIN_NANO, PI_4, PI_5, make

CONFIG = """
device: workshop
budgets: {budgets}
sensors:
  motor:
    driver: synthetic
    rate_hz: 1600
    axes: 1
    speed: 0
    start: 0
    duration_s: 600
    faults: [{{kind: looseness, at_s: 400, for_s: 60, severity: 0.3}}]
  gauges: {{driver: synthetic, output: telemetry, rate_hz: 10, speed: 0, start: 0, duration_s: 600}}
monitors:
  motor: {{sensor: motor, learn: 40 s, max_delay: 40 s}}
  gauges: {{sensor: gauges, learn: 40 s, max_delay: 20 s, priority: low}}
"""


class Trial:
    """An agent without threads on a board that takes `slower` times as long."""

    def __init__(
        self, root: Path, budgets: str, *, governed: bool = True, slower: float = 1.0, text: str = CONFIG
    ) -> None:
        self.config: Config = load_text(text.format(budgets=budgets) if "{{" in text else text)
        assert self.config.budgets is not None
        self.now, self.spent, self.slower = 1000.0, 0.0, slower
        self.inbox = Inbox(lambda: self.now)
        battery = self.config.budgets.battery_s is not None
        self.senses = Senses(root, lambda: self.now, lambda: self.spent, battery=battery)
        self.senses.open()
        board = board_of(self.config.budgets, root)
        self.governor = Regulator(
            limits_of(self.config.budgets), Conversion(board.core_w, board.rise_c), self.senses, self.inbox
        )
        self.monitors: dict[str, Monitor] = {}
        self.pipeline = Pipeline([])
        self.events: list[Event] = []
        self.changes: list[Change] = []
        self.sensors = {name: make_sensor(sensor) for name, sensor in self.config.sensors.items()}
        for sensor in self.sensors.values():
            sensor.open()
        for name, entry in self.config.monitors.items():
            sensor = self.sensors[entry.sensor]
            monitor = make_monitor(entry, sensor, governed=governed)
            self.pipeline.add(monitor)
            self.monitors[name] = monitor
            if governed:
                self.governor.add(monitor, *work_of(entry, sensor, monitor), self.now)

    def run(self, seconds: float) -> None:
        """So much of the sensors' time."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += 0.1
            for sensor in self.sensors.values():
                reading = sensor.read(0.0)
                if reading is not None:
                    self.inbox.put(reading)
            readings = self.inbox.take(0.0)
            self.spent += 100e-6  # what the agent does besides
            if readings:
                self.events += self.pipeline.push(readings)
                cost_s = 2e-3 * self.slower * len(readings)
                self.spent += cost_s
                self.governor.spend(cost_s)
            if self.governor.charges and (change := self.governor.tick(self.now)):
                self.changes.append(change)


@pytest.fixture(autouse=True)
def grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes of normal are enough here."""
    monkeypatch.setattr("agent.regulator.GROWN_S", 60.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path, PI_5)


def kinds(trial: Trial) -> list[tuple[str, str]]:
    return [(event.monitor, event.kind) for event in trial.events]


def test_the_same_is_heard_for_much_less_and_no_later_than_allowed(root: Path) -> None:
    governed, free = Trial(root, "true"), Trial(root, "true", governed=False)
    for trial in (governed, free):
        trial.run(600)
    assert kinds(governed) == kinds(free) == [("motor", "raised"), ("motor", "cleared")]
    assert governed.events[0].time <= free.events[0].time + 40
    cascade = governed.monitors["motor"].cascade
    assert cascade is not None
    assert cascade.looks.extracted < 0.6 * cascade.looks.windows
    assert governed.events[0].plan is not None
    assert governed.events[0].plan.look == "sentinel"


def test_no_sample_waits_longer_than_allowed(root: Path) -> None:
    trial = Trial(root, "{cpu: 1%}")
    trial.run(600)
    delays = {name: each.delay_s for name, each in trial.governor.charges.items()}
    assert 1.0 < delays["motor"] <= 40
    assert 1.0 < delays["gauges"] <= 20


def test_while_it_learns_a_monitor_is_left_alone(root: Path) -> None:
    trial = Trial(root, "true")
    trial.run(30)
    assert not trial.changes
    assert {monitor.plan.look for monitor in trial.monitors.values()} == {"full"}
    trial.run(60)
    assert trial.changes[0].reason.startswith("learned: ")


def test_a_hot_board_takes_back_and_says_so(tmp_path: Path) -> None:
    root = make(tmp_path, PI_4 | {"sys/devices/platform/soc/soc:firmware/get_throttled": "0\n"})
    trial = Trial(root, "{temperature: 70 °C}", slower=10.0)
    trial.run(300)
    before = trial.governor.plans.dial
    assert before > 0
    make(root, {"sys/class/thermal/thermal_zone0/temp": "70500\n"})
    trial.run(2 * DECIDE_S)
    assert trial.governor.plans.dial == 0
    assert trial.changes[-1].reason == "temperature: 70.5 Cel, 70 Cel at most"
    assert trial.governor.problems == (
        "budget cannot be kept: temperature: 70.5 Cel though nothing more can be saved, 70 Cel at most",
    )


def test_the_figures_add_up(root: Path) -> None:
    trial = Trial(root, "{cpu: 2%, memory: 30 MB}")
    trial.run(300)
    found = trial.governor.figures
    assert found.budgets == {"cores": 0.02, "memory_bytes": 30_000_000}
    assert found.windows == found.inferences + found.saved
    assert found.binding in ("cpu", "hardware")
    assert found.joules_per_inference is not None
    total_j = trial.spent * 1.3  # of a Raspberry Pi 5's core
    assert found.joules_per_inference * found.inferences == pytest.approx(total_j, rel=0.1)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Governor) == found


def test_a_sensor_is_gathered_for_its_most_impatient_monitor(root: Path) -> None:
    trial = Trial(root, "true")
    trial.run(200)
    plan = trial.governor.points["gauges"].plan
    assert 0.5 < plan.gather_s <= 20
    rows = trial.monitors["gauges"].rows
    trial.run(plan.gather_s + 0.1)
    assert trial.monitors["gauges"].rows >= rows + 10 * plan.gather_s - 1


def test_a_monitor_that_rests_looks_at_nothing_and_comes_back(root: Path) -> None:
    trial = Trial(root, "true")
    trial.run(100)
    motor = trial.monitors["motor"]
    plan, windows = motor.plan, motor.windows
    motor.obey(replace(plan, rests=True))
    trial.run(20)
    assert motor.windows == windows
    assert motor.rested >= 10 * 1600
    motor.obey(plan)
    trial.run(20)
    assert motor.windows > windows
    assert kinds(trial) == []


def test_senses_look_at_the_board_they_are_given(root: Path) -> None:
    now = [10.0]
    spent = [1.0]
    senses = Senses(root, lambda: now[0], lambda: spent[0], battery=True)
    senses.open()
    now[0], spent[0] = 15.0, 1.5
    seen = senses.look(0.4, 0.0)
    assert seen.agent_cores == pytest.approx(0.1)
    assert seen.monitor_cores == pytest.approx(0.08)
    assert seen.temperature_c == pytest.approx(48.75)
    assert seen.under_voltage is False
    assert seen.throttled is False
    assert seen.board_w is not None
    assert seen.board_w > 0.5
    assert seen.battery_wh is None
    now[0] = 20.0
    assert senses.look(0.4, 0.0).agent_cores == 0.0


def test_a_board_that_shows_nothing_leaves_everything_unknown(tmp_path: Path) -> None:
    senses = Senses(tmp_path)
    senses.open()
    seen = senses.look(0.0, 0.0)
    assert (seen.temperature_c, seen.throttled, seen.board_w, seen.memory_bytes) == (None,) * 4
    assert seen.agent_cores is not None


TWO = """
device: workshop
budgets: true
sensors:
  gauges: {driver: synthetic, output: telemetry, rate_hz: 10, speed: 0, start: 0, duration_s: 600}
monitors:
  patient: {sensor: gauges, learn: 40 s, max_delay: 40 s}
  hasty: {sensor: gauges, learn: 40 s, max_delay: 500 ms}
"""


def test_of_two_monitors_at_one_sensor_the_plans_say_what_is_gathered_for_both(root: Path) -> None:
    trial = Trial(root, "true", text=TWO)
    trial.run(200)
    plans = {name: point.plan for name, point in trial.governor.points.items()}
    assert plans["patient"].gather_s == plans["hasty"].gather_s < 0.5
    assert {name: monitor.plan for name, monitor in trial.monitors.items()} == plans


def test_each_change_of_plan_is_told_once(root: Path) -> None:
    trial = Trial(root, "{cpu: 1%}")
    trial.run(600)
    known: dict[str, object] = {}
    for change in trial.changes:
        assert change.changed
        assert all(known.get(name) != plan for name, plan in change.changed.items())
        known |= change.changed
    assert known == {name: monitor.plan for name, monitor in trial.monitors.items()}


def test_a_delay_that_no_plan_can_keep_is_a_problem(root: Path) -> None:
    text = CONFIG.replace("max_delay: 40 s", "max_delay: 100 ms")
    trial = Trial(root, "true", text=text)
    trial.run(60)
    assert any(words.startswith("monitor motor: a sample has waited") for words in trial.governor.problems)


def test_others_see_figures_that_are_replaced_and_never_changed(root: Path) -> None:
    trial = Trial(root, "true")
    trial.run(100)
    before = trial.governor.figures
    copy = msgspec.json.encode(before)
    trial.run(50)
    assert trial.governor.figures is not before
    assert msgspec.json.encode(before) == copy


def test_a_board_without_the_figure_of_a_budget_says_so(tmp_path: Path) -> None:
    trial = Trial(
        make(tmp_path, {"proc/stat": "cpu 1 1 1 1 1 1 1 1\n"}), "{temperature: 70 °C, battery: 10 h}"
    )
    trial.run(20)
    assert trial.governor.problems == (
        "budget cannot be watched: temperature: this board shows none",
        "budget cannot be watched: battery: this board shows none",
    )


def test_a_processor_above_its_trip_point_is_throttled(tmp_path: Path) -> None:
    root = make(tmp_path, ORIN_NANO)
    senses = Senses(root)
    senses.open()
    assert senses.look(0.0, 0.0).throttled is False
    make(root, {"sys/class/thermal/thermal_zone8/temp": "99100\n"})
    assert senses.look(0.0, 0.0).throttled is True


def test_a_battery_is_read_only_where_one_is_to_last(tmp_path: Path) -> None:
    root = make(tmp_path, LAPTOP)
    senses = Senses(root)
    senses.open()
    assert senses.look(0.0, 0.0).battery_wh is None
    watched = Senses(root, battery=True)
    watched.open()
    seen = watched.look(0.0, 0.0)
    assert (seen.on_battery, seen.battery_wh, seen.battery_full_wh, seen.board_w) == (True, 40.0, 50.0, 8.0)
    make(root, {f"{BATTERY}/status": "Unknown\n"})
    assert watched.look(0.0, 0.0).on_battery is None


def test_a_machine_whose_normal_is_not_known_well_is_looked_at_all_the_time_where_that_fits(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.regulator.GROWN_S", 200.0)
    trial = Trial(root, "true")
    trial.run(180)
    motor = trial.monitors["motor"]
    looks = [motor.plan.look]
    trial.run(150)
    looks.append(motor.plan.look)
    assert motor.seen_s >= 200
    assert looks[0] == "full" != looks[1]
    seen_s = motor.seen_s
    trial.run(60)
    assert motor.seen_s == seen_s, "what is looked at because it is strange is no sample of normal"
