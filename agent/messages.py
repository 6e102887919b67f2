"""Topics and payloads: what goes on the wire, made from what happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import msgspec

from agent import ids, payloads
from agent.alerts import ABOUT, About, Event, Model, Plan
from agent.governor import Change
from agent.ids import rfc3339
from agent.payloads import AgentState, MonitorState, schemas
from agent.sentences import sentence

__all__ = [
    "OFFLINE",
    "ONLINE",
    "AgentState",
    "Clock",
    "Message",
    "MonitorState",
    "Topics",
    "agent_state",
    "alert_cleared",
    "alert_retained",
    "encode",
    "event_id",
    "monitor_state",
    "plan_change",
    "response",
    "rfc3339",
    "schemas",
    "sentence",
]

ONLINE = b"online"  # the words Home Assistant expects where nothing else is configured
OFFLINE = b"offline"
SPANS = ("full_s", "lite_s", "gather_s")  # of a plan; absent where nothing is saved


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message, ready to be kept or sent."""

    topic: str
    payload: bytes  # an empty one, retained, takes a retained message away
    qos: int
    retain: bool
    kind: Literal["event", "state"]  # a full outbox gives up states first, events last
    monitor: str  # "" for the agent itself
    seq: int = 0  # the event's, so that the outbox can keep the last one per monitor; 0 has none


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks at the moment an event was made; the one part of it that a replay does not repeat."""

    monotonic: float  # seconds since some start, unmoved by clock steps
    boot_id: str  # tells which boot `monotonic` belongs to; "" where unknown
    synced: bool | None  # has the system clock been set from the network; None where unknown


@dataclass(frozen=True, slots=True)
class Topics:
    """Where everything is said. The configuration keeps "+", "#" and NUL out of prefix and device."""

    prefix: str
    device: str

    @property
    def root(self) -> str:
        return f"{self.prefix}/{self.device}"

    @property
    def availability(self) -> str:
        return f"{self.root}/availability"

    @property
    def agent_state(self) -> str:
        return f"{self.root}/state"

    @property
    def event(self) -> str:
        return f"{self.root}/event"

    @property
    def requests(self) -> str:
        """The filter of all requests."""
        return f"{self.root}/request/+"

    def request(self, verb: str) -> str:
        return f"{self.root}/request/{verb}"

    def response(self, verb: str) -> str:
        return f"{self.root}/response/{verb}"

    def monitor_state(self, monitor: str) -> str:
        return f"{self.root}/{monitor}/state"

    def alert(self, monitor: str, about: About = "machine") -> str:
        """A machine and the sensor that watches it can be in alert together, hence a topic for each."""
        return f"{self.root}/{monitor}/{'alert' if about == 'machine' else f'{about}_alert'}"

    def retained(self, monitors: Iterable[str]) -> set[str]:
        """All topics that keep their last message on the broker."""
        of_each = (
            (self.monitor_state(name), *(self.alert(name, about) for about in ABOUT)) for name in monitors
        )
        return {self.availability, self.agent_state}.union(*of_each)


def encode(event: Event, device: str, prefix: str, clock: Clock | None = None) -> Message:
    """The event as it goes on the wire. Without a clock (a replay) the payload has no field `clock`."""
    return Message(
        topic=Topics(prefix, device).event,
        payload=msgspec.json.encode(event_payload(event, device, clock)),
        qos=1,
        retain=False,
        kind="event",
        monitor=event.monitor,
        seq=event.seq,
    )


def plan_change(change: Change, seq: int, time: float, topics: Topics, clock: Clock | None = None) -> Message:
    """A change of plan, on the topic of events; when the outbox is full it goes before alerts do."""
    plans, cores = change.plans, change.plans.cores
    told = payloads.PlanChange(
        id=ids.event_id(topics.device, "", "plan", "changed", time),
        seq=seq,
        time=rfc3339(time),
        device=topics.device,
        reason=change.reason,
        binding=plans.binding,
        expected_cores=float(f"{cores(plans.dial):.4g}"),
        allowed_cores=_figure(plans.allowed),
        everything_cores=float(f"{plans.everything:.4g}"),
        monitors={name: told for name, plan in change.changed.items() if (told := plan_payload(plan))},
        sentence=change.sentence,
        clock=_clock_reading(clock),
    )
    return Message(topics.event, msgspec.json.encode(told), 1, False, "state", "", seq)


def _clock_reading(clock: Clock | None) -> payloads.ClockReading | msgspec.UnsetType:
    if clock is None:
        return msgspec.UNSET
    return payloads.ClockReading(
        monotonic=round(clock.monotonic, 6), boot_id=clock.boot_id, synced=clock.synced
    )


def alert_retained(event: Event, topics: Topics, clock: Clock | None = None) -> Message | None:
    """What the retained alert topic holds after this event: the alert, or nothing once it has cleared.

    None when the topic stays as it was: a flood changes no alert.
    """
    if event.kind == "flooded":
        return None
    if event.kind == "cleared":
        return alert_cleared(event.monitor, topics, event.about)
    payload = msgspec.json.encode(event_payload(event, topics.device, clock))
    return Message(topics.alert(event.monitor, event.about), payload, 1, True, "state", event.monitor)


def alert_cleared(monitor: str, topics: Topics, about: About = "machine") -> Message:
    """Takes a retained alert away, also one that an earlier run of the agent left behind."""
    return Message(topics.alert(monitor, about), b"", 1, True, "state", monitor)


def monitor_state(state: MonitorState, topics: Topics) -> Message:
    """A monitor's retained state."""
    payload = msgspec.json.encode(state)
    return Message(topics.monitor_state(state.monitor), payload, 0, True, "state", state.monitor)


def agent_state(state: AgentState, topics: Topics) -> Message:
    """The agent's retained state."""
    return Message(topics.agent_state, msgspec.json.encode(state), 0, True, "state", "")


def response(
    verb: str,
    topics: Topics,
    transaction: str | int | msgspec.UnsetType = msgspec.UNSET,
    *,
    answer: object = None,
    error: str = "",
) -> Message:
    """The answer to a request, with the request's own `transaction`. With an error there is no answer."""
    if error:
        said = payloads.Response(verb=verb, status="error", transaction=transaction, error=error)
    else:
        said = payloads.Response(verb=verb, status="ok", transaction=transaction, answer=answer)
    return Message(topics.response(verb), msgspec.json.encode(said), 1, False, "state", "")


def event_id(event: Event, device: str) -> str:
    """The same for the same event, live or replayed, sent once or twice."""
    return ids.event_id(device, event.monitor, event.about, event.kind, event.time)


def event_payload(event: Event, device: str, clock: Clock | None = None) -> payloads.Event:
    """The event in the published shape. Numbers keep six figures: more is noise."""
    alert = event.alert
    return payloads.Event(
        id=event_id(event, device),
        seq=event.seq,
        time=rfc3339(event.time),
        device=device,
        monitor=event.monitor,
        sensor=event.sensor,
        kind=event.kind,
        about=event.about,
        state=alert.state,
        severity=alert.severity,
        level=_figure(event.level),
        peak=_figure(alert.peak) if event.kind != "flooded" else None,
        since=rfc3339(alert.raised_at) if event.kind != "flooded" else None,
        suppressed=alert.suppressed,
        moved=[
            payloads.Moved(
                feature=moved.feature,
                channel=moved.channel,
                sigma=_figure(moved.sigma),
                direction=moved.direction,
                value=_figure(moved.value),
                normal=_figure(moved.normal),
                unit=moved.unit,
                share=_share(moved.share),
            )
            for moved in event.moved
        ],
        rest=_rest(event),
        model=model_payload(event.model),
        plan=plan_payload(event.plan),
        note=event.note,
        fault=event.fault,
        confidence=_figure(event.confidence),
        zone=event.zone,
        operating=event.operating,
        evidence=event.evidence,
        sentence=sentence(event),
        clock=_clock_reading(clock),
    )


def model_payload(model: Model | None) -> payloads.Model | None:
    if model is None:
        return None
    return payloads.Model(
        detector=model.detector, graph=model.graph, digest=model.digest, variant=model.variant
    )


def plan_payload(plan: Plan | None) -> payloads.Plan | None:
    if plan is None:
        return None
    told = {name: span_s for name in SPANS if (span_s := getattr(plan, name))}
    return payloads.Plan(hop_s=plan.hop_s, variant=plan.variant, look=plan.look, **told)


def _rest(event: Event) -> float | None:
    """What the named shares leave of 1."""
    named = [moved.share for moved in event.moved if moved.share is not None]
    return _share(1.0 - sum(share or 0.0 for share in map(_share, named))) if named else None


def _share(share: float | None) -> float | None:
    """To a hundredth of a percent, so that what is read adds up."""
    return None if share is None or not isfinite(share) else round(share, 4) + 0.0


def _figure(value: float | None) -> float | None:
    if value is None or not isfinite(value):
        return None
    return float(f"{value:.6g}")
