"""The rate a sensor really gives: right for fast and slow ones, for blocks and pauses, live and from another thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.pace import SPAN_S, Pace
from tests.agent.brokers import free_port, until
from tests.agent.running import Agent


def given(times: list[float], rows: int = 1) -> Pace:
    pace = Pace()
    for i, time in enumerate(times):
        pace.mark(rows * (i + 1), time)
    return pace


@pytest.mark.parametrize(("every_s", "rows"), [(0.1, 320), (0.013, 1), (1.0, 1), (7.0, 3), (300.0, 1)])
def test_it_is_rows_over_time_however_they_come(every_s: float, rows: int) -> None:
    times = [i * every_s for i in range(round(200 / every_s) + 3)]
    pace = given(times, rows)
    assert pace.rate_hz(times[-1]) == pytest.approx(rows / every_s, rel=1e-5)
    assert pace.rate_hz(times[-1] + 0.9 * every_s) == pytest.approx(rows / every_s, rel=1e-5)


def test_it_is_not_known_before_two_readings_nor_after_a_new_start() -> None:
    assert given([]).rate_hz(5.0) is None
    assert given([1.0]).rate_hz(5.0) is None
    pace = given([1.0, 2.0])
    assert pace.rate_hz(2.0) == 1.0
    pace.restart()
    assert pace.rate_hz(2.0) is None


def test_it_falls_when_readings_stay_away() -> None:
    pace = given([float(i) for i in range(11)])
    assert pace.rate_hz(11.9) == 1.0
    assert pace.rate_hz(20.0) == 0.5
    assert pace.rate_hz(100.0) == 0.1


def test_a_change_is_whole_after_a_minute() -> None:
    before = [i / 10 for i in range(1000)]
    after = [100.0 + i for i in range(round(SPAN_S) + 2)]
    pace = given([*before, *after])
    assert pace.rate_hz(after[-1]) == pytest.approx(1.0, rel=0.01)


def test_a_running_agent_tells_it(tmp_path: Path) -> None:
    config = {
        "sensors": {"board": {"driver": "host", "rate_hz": 50}},
        "monitors": {"board": {"sensor": "board"}},
    }
    with Agent(tmp_path, config, port=free_port()) as agent:
        agent.until("listens on board")
        until(lambda: agent.ask()["sensors"]["board"]["delivered_hz"], "two readings, a second apart")
        told = agent.ask()["sensors"]["board"]
        assert told["delivered_hz"] == pytest.approx(50.0, rel=0.2), "this machine may be busy"
        assert agent.ask()["agent"]["delivered_hz"]["board"] == pytest.approx(50.0, rel=0.2)
