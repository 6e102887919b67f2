"""How one monitor stands, as its retained state says it."""

from __future__ import annotations

import math

from agent import messages
from agent.alerts import Alert
from agent.messages import MonitorState
from agent.monitor import Monitor
from agent.payloads import OperatingState, SignalFault

RESTS = "rests: the hardware cannot look at all monitors"


def without_a_sensor(
    monitor: str, sensor: str, device: str, now: float, alert: Alert | None, why: str, dropped: int
) -> MonitorState:
    """Of a monitor whose sensor has never been open: `alert` is one that an earlier run raised."""
    return MonitorState(
        time=messages.rfc3339(now),
        device=device,
        monitor=monitor,
        sensor=sensor,
        health="blind",
        state="inactive" if alert is None else alert.state,
        severity=None if alert is None else alert.severity,
        needs=why,
        counters={"dropped": dropped},
    )


def state_of(monitor: Monitor, device: str, now: float, blind: str, dropped: int) -> MonitorState:
    """Of a monitor that listens; `blind` is why it has nothing to judge, "" where it has."""
    status, diagnosis = monitor.status(), monitor.diagnosis
    blind = RESTS if monitor.plan.rests else blind
    counters: dict[str, float] = {
        "dropped": dropped,
        "rows": status.rows,
        "windows": status.windows,
        "missing": status.missing,
        "restarts": status.restarts,
    }
    if monitor.rested:
        counters["rested"] = monitor.rested
    return MonitorState(
        time=messages.rfc3339(now),
        device=device,
        monitor=monitor.name,
        sensor=monitor.sensor,
        health="blind" if blind else "armed" if monitor.armed else "learning",
        state=monitor.alert.state,
        severity=monitor.alert.severity if monitor.alert.raised else None,
        level=None if blind or math.isnan(status.level) else round(status.level, 4),
        needs=blind or status.needs or "; ".join(status.notes),
        model=messages.model_payload(monitor.model),
        plan=messages.plan_payload(monitor.plan),
        budget=monitor.aim.figures() if monitor.armed else None,
        operating=status.operating,
        operating_states=[
            OperatingState(name=known.name, learned=known.learned_rows, needs=known.needs_rows)
            for known in status.states
        ],
        zone="" if diagnosis is None else diagnosis.zone or "",
        measures={} if diagnosis is None else diagnosis.measures,
        faults=[
            SignalFault(fault=kind, channel=channel, since=messages.rfc3339(since))
            for kind, channel, since in status.faults
        ],
        counters=counters,
    )
