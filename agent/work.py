"""From a configuration to the governor and the work of each monitor in its care."""

from __future__ import annotations

from math import prod
from pathlib import Path

from agent import costs
from agent.assemble import shape_of
from agent.boards import BOARDS, Board, detect
from agent.budgets_config import BudgetsConfig
from agent.detectors import DETECTORS
from agent.governor import Conversion, Limits
from agent.inbox import TAKE_BYTES, Inbox
from agent.ladders import Costs, Work, default_delay_s
from agent.monitor import Monitor
from agent.monitor_config import MonitorConfig
from agent.regulator import Regulator
from agent.senses import Senses
from models.bundle import shipped
from models.smoothed import SmoothedHead
from models.vibration import Vibration
from sensors.base import Sensor

FLOAT_BYTES = 4


def make_regulator(budgets: BudgetsConfig, inbox: Inbox) -> Regulator:
    """For these budgets, on this board."""
    board = board_of(budgets)
    senses = Senses(battery=budgets.battery_s is not None)
    senses.open()
    return Regulator(
        limits_of(budgets), Conversion(budgets.core_power_w or board.core_w, board.rise_c), senses, inbox
    )


def board_of(budgets: BudgetsConfig, root: Path = Path("/")) -> Board:
    """Whose power and heat are reckoned with."""
    return BOARDS.get(budgets.board) or detect(root)


def limits_of(budgets: BudgetsConfig) -> Limits:
    """The budgets as the governor takes them."""
    return Limits(
        cores=budgets.cpu_cores,
        power_w=budgets.power_w,
        temperature_c=budgets.temperature_cel,
        battery_s=budgets.battery_s,
        memory_bytes=budgets.memory_bytes,
    )


def work_of(config: MonitorConfig, sensor: Sensor, monitor: Monitor) -> tuple[Work, Costs]:
    """What a monitor has to do, and what its parts cost here: measured, which takes a dozen windows' time."""
    channels = len(config.channels) or len(sensor.channels)
    shape = shape_of(config, sensor, channels)
    vibration = shape.kind == "vibration"
    span = shape.smooth if vibration else 1
    work = Work(
        plan=monitor.plan,
        reading_s=min(shape.hop_s, READING_S) if vibration else 1 / sensor.rate_hz,
        span=span,
        cascaded=monitor.cascade is not None,
        max_delay_s=config.max_delay_s or default_delay_s(monitor.plan, span),
        priority=config.priority,
        most_gathered_s=TAKE_BYTES / (FLOAT_BYTES * len(sensor.channels) * sensor.rate_hz),
        weights_bytes=_weights_bytes(monitor, shape.detector),
    )
    found = costs.measured(
        monitor.features,
        channels,
        sensor.rate_hz,
        shape.window if vibration else 1,
        shape.hop,
        cascaded=vibration,
    )
    if isinstance(monitor.features, Vibration):
        monitor.features.forget_all()  # that was noise
    return work, found


def _weights_bytes(monitor: Monitor, detector: str) -> int:
    """That one window moves: the head's arrays, and the model's that makes its features."""
    head = monitor.head
    own = 0 if not isinstance(head, SmoothedHead) else sum(prod(shape) for shape in head.shapes.values())
    bundle = DETECTORS[detector].bundle
    return FLOAT_BYTES * own + (
        shipped(bundle).manifest.variants[monitor.plan.variant].weight_bytes if bundle else 0
    )


READING_S = 0.1  # of stream in one reading of a waveform, as drivers give them
