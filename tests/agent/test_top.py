"""What `tocsin top` shows of a real agent's answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from agent import top
from tests.agent.brokers import free_port, until
from tests.agent.running import Agent
from tests.agent.terminal import Terminal

ANSWER: dict[str, Any] = {
    "agent": {
        "device": "workshop",
        "health": "ok",
        "problems": ["budget cannot be kept: memory: 92 MB, 80 MB are given"],
        "counters": {"up_seconds": 7200.0, "cpu_seconds": 72.0, "rss_bytes": 92e6},
        "governor": {
            "budgets": {"cores": 0.1, "temperature_c": 75.0, "memory_bytes": 80e6, "battery_s": 3600.0},
            "cores": 0.025,
            "power_w": 0.0225,
            "temperature_c": 61.2,
            "battery_left_s": 1800,
            "binding": "cpu",
            "reason": "there is room again",
            "setting": 8,
            "settings": 12,
            "windows": 1000,
            "inferences": 250,
            "saved": 750,
            "joules_per_inference": 0.0021,
            "power": "reckoned from processor time",
            "delay_s": {"pump": 12.34},
            "max_delay_s": {"pump": 60.0},
        },
    },
    "monitors": {
        "pump": {
            "health": "armed",
            "level": 0.31,
            "state": "inactive",
            "plan": {"hop_s": 0.5, "variant": "fp32", "look": "sentinel", "full_s": 10.0, "gather_s": 5.0},
        },
        "new": {
            "health": "learning",
            "level": None,
            "state": "inactive",
            "plan": {"hop_s": 1.0, "variant": "fp32"},
        },
        "gone": {"health": "blind", "level": None, "state": "inactive", "plan": None},
    },
}


def test_budgets_stand_beside_what_is_used_of_them() -> None:
    shown = "\n".join(top.lines(ANSWER))
    assert "cpu          #####............... 2.50 % of a core of 10.00 % of a core  <- tightest" in shown
    assert "61.2 Cel of 75.0 Cel" in shown
    assert "power                             22 mW" in shown
    assert "30 min to last" in shown
    assert "problem: budget cannot be kept: memory" in shown


def test_what_is_saved_and_how_each_monitor_looks_is_said() -> None:
    shown = top.lines(ANSWER)
    assert "250 inferences for 1,000 windows: 750 saved; 2.1 mJ each, reckoned from processor time" in shown
    rows = [line for line in shown if line.startswith(("gone", "new", "pump"))]
    assert [row.split()[0] for row in rows] == ["gone", "new", "pump"]
    assert "12.3 of 60 s" in rows[2]
    assert "looks every 10 s, at once when the sentinel stirs, samples gathered for 5 s" in rows[2]
    assert "looks at everything" in rows[1]


def test_without_budgets_the_use_is_shown_all_the_same() -> None:
    answer = {**ANSWER, "agent": {**ANSWER["agent"], "governor": None}}
    shown = "\n".join(top.lines(answer))
    assert "1.00% of a core, 92 MB; no budgets are set" in shown


@pytest.mark.parametrize("name", ["temperature_c", "joules_per_inference"])
def test_what_is_unknown_is_called_so(name: str) -> None:
    governor = {**ANSWER["agent"]["governor"], name: None}
    shown = "\n".join(top.lines({**ANSWER, "agent": {**ANSWER["agent"], "governor": governor}}))
    assert ("unknown of 75.0 Cel" in shown) == (name == "temperature_c")


def test_on_a_terminal_it_is_drawn_until_q_and_says_so_when_the_agent_is_gone(tmp_path: Path) -> None:
    config = {"sensors": {"board": {"driver": "host"}}, "monitors": {"board": {"sensor": "board"}}}
    with Agent(tmp_path, config, port=free_port()) as agent:
        words = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "agent",
            "top",
            "-c",
            str(agent.config),
            "--every",
            "0.1",
        ]
        agent.until("listens on board")
        with Terminal(words) as terminal:
            until(lambda: terminal.shows("MONITOR") and terminal.shows("no budgets are set"), "the table")
            terminal.press("q")
            assert terminal.end() == ""
            assert terminal.process.returncode == 0
        with Terminal(words) as terminal:
            until(lambda: terminal.shows("MONITOR"), "the table")
            agent.stop()
            assert "tocsin: " in terminal.end()
            assert terminal.process.returncode == 1
