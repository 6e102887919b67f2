"""The shape of every payload, from which the published JSON Schemas are made.

Each names its schema and that schema's version. Within a version fields are only ever added.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

# Not postponed lookups but real types: msgspec resolves these annotations when it first encodes.
Time = Annotated[str, Meta(description="RFC 3339, UTC, milliseconds: 2026-07-01T12:00:00.000Z", pattern="Z$")]
Number = Annotated[float | None, Meta(description="null where it is unknown or not finite")]
AlertState = Literal["inactive", "pending", "active", "clearing"]
Severity = Literal["warning", "critical"]


class Moved(Struct, frozen=True, kw_only=True):
    """A feature that left normal."""

    feature: Annotated[str, Meta(description="the channel, or a band of it in words")]
    channel: str
    sigma: Annotated[float | None, Meta(description="distance from normal in standard deviations, signed")]
    direction: Literal["up", "down"]
    value: Number
    normal: Number
    unit: Annotated[str, Meta(description='UCUM; "1" where it has none')]
    share: Annotated[
        float | None, Meta(description="of the score; of all features they add up to 1; may be negative")
    ] = None


class Model(Struct, frozen=True, kw_only=True):
    """What scored."""

    detector: str
    graph: Annotated[str, Meta(description="file name of the ONNX graph")]
    digest: Annotated[str, Meta(description="SHA-256, hexadecimal, of the graph and its weights")]
    variant: Annotated[str, Meta(description="precision of the graph: fp32, int8")]


class Plan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often, and with which variant. What the governor does not save is left out."""

    hop_s: Annotated[float, Meta(description="seconds from one window to the next")]
    variant: str
    look: Annotated[
        Literal["full", "lite", "sentinel", "none"],
        Meta(
            description="what looks at every window: the whole model; the sentinel, and the model at a single one "
            "now and then; the sentinel alone; nobody, for the hardware cannot do it all"
        ),
    ] = "full"
    full_s: Annotated[
        float, Meta(description="seconds at most from one look of the whole model to the next; 0: hop_s")
    ] = 0.0
    lite_s: Annotated[float, Meta(description="the same of looks at a single window; 0: none is planned")] = (
        0.0
    )
    gather_s: Annotated[
        float, Meta(description="seconds that samples are gathered for before they are looked at")
    ] = 0.0


class ClockReading(Struct, frozen=True, kw_only=True):
    """The device's clocks when the event was made."""

    monotonic: Annotated[float, Meta(description="seconds, unmoved by steps of the clock")]
    boot_id: Annotated[str, Meta(description="tells which boot `monotonic` counts from")]
    synced: Annotated[bool | None, Meta(description="set from the network; null where unknown")]


class Event(Struct, frozen=True, kw_only=True, tag_field="schema", tag="tocsin.event/1"):
    """Something happened to an alert. Append-only; a double carries the same id."""

    id: Annotated[str, Meta(description="UUID made from device, monitor, subject, kind and time")]
    seq: Annotated[int, Meta(description="counts the monitor's events from 1", ge=1)]
    time: Time
    device: str
    monitor: str
    sensor: str
    kind: Literal["raised", "updated", "cleared", "flooded"]
    about: Annotated[
        Literal["machine", "creeping", "sensor", "signal", "state"],
        Meta(
            description="what is ill: the machine; the machine, slowly; its sensor, which is silent; "
            "its sensor's signal, which cannot be true"
        ),
    ]
    state: Annotated[AlertState, Meta(description="of the alert, after what happened")]
    severity: Severity
    level: Annotated[float | None, Meta(description="1.0 is the edge of normal")]
    peak: Annotated[float | None, Meta(description="highest level since it was raised")]
    since: Annotated[Time | None, Meta(description="when it was raised; null if it was not")]
    suppressed: Annotated[int, Meta(description="raises kept back by the flood limit", ge=0)]
    moved: Annotated[list[Moved], Meta(description="what left normal, the most first")]
    rest: Annotated[
        float | None, Meta(description="share of the score that the features not in `moved` make together")
    ] = None
    model: Model | None
    plan: Plan | None
    fault: Annotated[
        str, Meta(description="name of the fault where it has one: stuck, outer race; may be empty")
    ] = ""
    confidence: Annotated[
        float | None,
        Meta(description="in the name of the machine's fault, up to 0.99; null where none is named"),
    ] = None
    zone: Annotated[
        str, Meta(description="A to D of ISO 20816, where the kind of machine is configured; else empty")
    ] = ""
    operating: Annotated[
        str, Meta(description="operating state of the machine; empty where none are told apart")
    ] = ""
    evidence: Annotated[str, Meta(description="file that holds what was seen; empty without one")] = ""
    note: Annotated[
        str, Meta(description="what is wrong with the sensor, or why an alert was given up; may be empty")
    ]
    sentence: Annotated[str, Meta(description="all of this for a person, in English")]
    clock: ClockReading | UnsetType = UNSET  # absent from what a replay writes


class PlanChange(Struct, frozen=True, kw_only=True, tag_field="schema", tag="tocsin.plan/1"):
    """The governor has monitors look more or less often. On the topic of events; a double carries the same id."""

    id: Annotated[str, Meta(description="UUID made from device and time")]
    seq: Annotated[int, Meta(description="counts the device's changes of plan from 1", ge=1)]
    time: Time
    device: str
    reason: Annotated[str, Meta(description="why, for a person")]
    binding: Annotated[str, Meta(description="the budget that is tightest: cpu, power, temperature, ...")]
    expected_cores: Annotated[float, Meta(description="CPU seconds per second that the agent will use by it")]
    allowed_cores: Annotated[
        float | None, Meta(description="that the tightest budget leaves; null: no limit")
    ]
    everything_cores: Annotated[float, Meta(description="that looking at every window at once would take")]
    monitors: Annotated[dict[str, Plan], Meta(description="those whose plan has changed, as it is now")]
    sentence: Annotated[str, Meta(description="all of this for a person, in English")]
    clock: ClockReading | UnsetType = UNSET


class Budget(Struct, frozen=True, kw_only=True):
    """False alarms: what was asked for, and what normal operation so far lets expect."""

    asked_per_hour: Annotated[float | None, Meta(description="null where a sensitivity was set instead")]
    expected_per_hour: Annotated[
        list[float] | None, Meta(description="low, expected, high: the rate and its 90 % interval")
    ]
    normal_seen_hours: float
    words: Annotated[str, Meta(description="the same for a person, in English")]


class OperatingState(Struct, frozen=True, kw_only=True):
    """One of the ways the machine is run, with a baseline of its own."""

    name: str
    learned: Annotated[int, Meta(description="rows that its baseline was learned from; 0: it has none yet")]
    needs: Annotated[int, Meta(description="rows that are missing until it has a baseline")]


class SignalFault(Struct, frozen=True, kw_only=True):
    """Something that a sensor's signal suffers from."""

    fault: Annotated[
        str, Meta(description="dropout, out_of_range, spikes, stuck, flat, saturated, wrong_rate")
    ]
    channel: Annotated[str, Meta(description="empty: all of them")]
    since: Annotated[Time, Meta(description="of the first sample that was wrong")]


class MonitorState(Struct, frozen=True, kw_only=True, tag_field="schema", tag="tocsin.monitor/1"):
    """How one monitor stands: retained, and sent no more often than the configuration says."""

    time: Time
    device: str
    monitor: str
    sensor: str
    health: Annotated[
        Literal["learning", "armed", "blind"],
        Meta(description="learning what normal is; armed; blind: it gets nothing it could judge"),
    ]
    state: AlertState = "inactive"
    severity: Severity | None = None
    level: Annotated[
        float | None,
        Meta(
            description="1.0 is the edge of normal; null while nothing is judged: learning, between two operating "
            "states, in one without a baseline, or blind"
        ),
    ] = None
    needs: Annotated[str, Meta(description='what it lacks: "needs 240 more rows"; may be empty')] = ""
    model: Model | None = None
    plan: Plan | None = None
    budget: Budget | None = None
    operating: Annotated[str, Meta(description="operating state the machine is in; empty between two")] = ""
    operating_states: Annotated[
        list[OperatingState], Meta(description="all that are known; empty where none are told apart")
    ] = []
    zone: Annotated[
        str, Meta(description="A to D of ISO 20816 now, where the kind of machine is configured; else empty")
    ] = ""
    measures: Annotated[
        dict[str, float],
        Meta(
            description="vibration: of the newest window each channel's RMS, peak, crest factor and kurtosis, "
            "and the RMS of its velocity in mm/s"
        ),
    ] = {}
    faults: Annotated[list[SignalFault], Meta(description="of the sensor's signal, now")] = []
    counters: Annotated[dict[str, float], Meta(description="since the start of the agent")] = {}


class Governor(Struct, frozen=True, kw_only=True):
    """Budgets, what is used of them, and what is saved; since the start of the agent where nothing else is said."""

    budgets: Annotated[
        dict[str, float],
        Meta(description="those set of cores, power_w, temperature_c, battery_s, memory_bytes"),
    ]
    cores: Annotated[Number, Meta(description="CPU seconds per second of the agent, mean of about 40 s")] = (
        None
    )
    allowed_cores: Annotated[Number, Meta(description="that the tightest budget leaves")] = None
    power_w: Annotated[Number, Meta(description="of the agent, above the idle board")] = None
    power: Annotated[str, Meta(description="how the power is known")] = "reckoned from processor time"
    temperature_c: Number = None
    battery_left_s: Annotated[
        Number, Meta(description="that the battery is still to last; null on mains")
    ] = None
    binding: Annotated[str, Meta(description="the budget or the trouble that is tightest")] = ""
    reason: Annotated[str, Meta(description="of the latest change of plan")] = ""
    setting: Annotated[int, Meta(description="steps up that are taken; below 0 monitors rest")] = 0
    settings: Annotated[int, Meta(description="steps up that there are")] = 0
    windows: int = 0
    inferences: Annotated[int, Meta(description="windows that a model looked at")] = 0
    saved: Annotated[int, Meta(description="windows that none looked at")] = 0
    joules_per_inference: Annotated[Number, Meta(description="all that the agent took, over those")] = None
    weights_bytes_per_s: Annotated[float, Meta(description="of models, moved through the processor")] = 0.0
    changes: Annotated[int, Meta(description="of plan")] = 0
    delay_s: Annotated[
        dict[str, float],
        Meta(
            description="of each monitor: the longest that a sample waited for the whole model in the last hour"
        ),
    ] = {}
    max_delay_s: Annotated[dict[str, float], Meta(description="of each monitor: that it may wait")] = {}


class AgentState(Struct, frozen=True, kw_only=True, tag_field="schema", tag="tocsin.agent/1"):
    """How the agent itself stands: retained."""

    time: Time
    device: str
    version: str
    started: Time
    health: Annotated[Literal["ok", "degraded"], Meta(description="degraded: `problems` says why")]
    problems: list[str] = []
    monitors: Annotated[dict[str, str], Meta(description="the health of each monitor")] = {}
    delivered_hz: Annotated[
        dict[str, Number],
        Meta(description="samples per second that each sensor gave over the last minute; null while unknown"),
    ] = {}
    broker: Annotated[
        dict[str, Any], Meta(description="the connection: protocol, since, last error, ...")
    ] = {}
    outbox: Annotated[dict[str, Any], Meta(description="messages waiting and lost, size in bytes")] = {}
    governor: Annotated[Governor | None, Meta(description="null without `budgets`")] = None
    counters: Annotated[dict[str, float], Meta(description="since the start of the agent")] = {}


class Request(Struct, frozen=True, kw_only=True):
    """What may be sent to `request/<verb>`. Other fields are the verb's own."""

    transaction: Annotated[
        str | int | UnsetType, Meta(description="comes back in the response, so that they can be paired")
    ] = UNSET


class Response(Struct, frozen=True, kw_only=True, tag_field="schema", tag="tocsin.response/1"):
    """The answer to a request, on `response/<verb>`."""

    verb: str
    status: Literal["ok", "error"]
    transaction: str | int | UnsetType = UNSET
    answer: Annotated[Any, Meta(description="the verb's own; absent from errors")] = UNSET
    error: Annotated[str | UnsetType, Meta(description="what was wrong, for a person")] = UNSET


PUBLISHED: dict[str, type[Struct]] = {
    "event": Event,
    "plan": PlanChange,
    "monitor-state": MonitorState,
    "agent-state": AgentState,
    "request": Request,
    "response": Response,
}


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas (2020-12) by name, as `docs/schemas/<name>.json` and `tocsin schema` hold them."""
    found: dict[str, dict[str, Any]] = {}
    for name, shape in PUBLISHED.items():
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"tocsin:{name}"}
        found[name] = {**schema, **msgspec.json.schema(shape)}
    return found


def write(folder: Path) -> None:
    """Write the schemas for publication: `python -m agent.payloads docs/schemas`."""
    for name, schema in schemas().items():
        (folder / f"{name}.json").write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
