"""The rings of memory: bounded, the same however the stream was cut, and whole after an alert."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alerts import Alert, Event, Happening
from agent.evidence import Account, Column, Evidence, Scene, evidence_name
from agent.messages import event_id
from agent.witness import Ring, Witness
from models.window import Array

SCENE = Scene(
    channels=(Column(name="a", channel="a", unit="1"),),
    features=(Column(name="a", channel="a", unit="1"),),
    waveform=False,
    span_s=1.0,
    measures=(),
)


@given(pieces=st.lists(st.integers(0, 25), max_size=12), length=st.integers(1, 12))
def test_a_ring_holds_the_newest_rows_in_their_order_whatever_pieces_they_came_in(
    pieces: list[int], length: int
) -> None:
    ring, total = Ring(length, 2), sum(pieces)
    stream = np.arange(2 * total, dtype=np.float32).reshape(total, 2)
    start = 0
    for rows in pieces:
        if rows == 1:
            ring.push_one(float(start), stream[start])
        else:
            ring.push(np.arange(start, start + rows, dtype=float), stream[start : start + rows])
        start += rows
    times, rows_kept = ring.newest()
    kept = min(total, length)
    assert times.tolist() == list(range(total - kept, total))
    assert np.array_equal(rows_kept, stream[total - kept :])


@pytest.mark.parametrize(
    ("channels", "features", "waveform"), [(1, 0, False), (10_000, 0, False), (3, 45, True), (64, 900, True)]
)
def test_the_rings_take_no_more_memory_than_they_may(channels: int, features: int, waveform: bool) -> None:
    limit = 256_000
    assert Witness(channels, features, waveform=waveform, memory_bytes=limit).size_bytes <= limit


@given(cuts=st.lists(st.integers(1, 59), max_size=10), split=st.integers(1, 5))
def test_what_an_alert_keeps_does_not_depend_on_how_the_stream_was_cut(cuts: list[int], split: int) -> None:
    edges = sorted({0, *cuts, 60})
    assert _told(_telemetry(edges)) == _told(_telemetry(list(range(61))))
    assert _told(_shaking(edges)) == _told(_shaking(list(range(0, 61, split)) + [60] * (60 % split > 0)))


def test_evidence_is_written_at_the_alert_and_again_when_what_came_after_is_there() -> None:
    first, second = _telemetry([0, 60])
    assert (first.whole, second.whole) == (False, True)
    assert first.name == second.name
    assert first.arrays["value_times"].tolist() == [float(t) for t in range(20, 40)]
    assert second.arrays["value_times"].tolist() == [float(t) for t in range(26, 46)]
    assert second.arrays["level_times"].tolist()[-5:] == [39.0, 41.0, 42.0, 44.0, 45.0]


def test_the_end_of_an_alert_completes_its_evidence() -> None:
    witness = Witness(1, 0, waveform=False, rows=20, after=10)
    for t in range(30):
        witness.hear(float(t), 1.0, np.full((1, 1), t, np.float32), (), 1)
        mark = {20: ((0, _evidence(20.0)),), 23: ((0, None),)}.get(t, ())
        witness.judge([float(t)], [0.5], mark)
    begun, ended = witness.ready
    assert (begun.whole, ended.whole) == (False, True)
    assert ended.arrays["values"][-1, 0] == 23


def test_the_end_of_the_stream_completes_what_there_is() -> None:
    witness = Witness(1, 0, waveform=False, rows=20, after=10)
    witness.hear(0.0, 1.0, np.zeros((1, 1), np.float32), (), 1)
    witness.judge([0.0], [2.0], ((0, _evidence(0.0)),))
    witness.finish()
    assert [evidence.whole for evidence in witness.ready] == [False, True]


def test_a_gap_in_a_waveform_leaves_only_what_came_after_it() -> None:
    witness = Witness(1, 2, waveform=True)
    for time in (0.0, 1.0, 2.5):  # 10 samples of 0.1 s each: half a second is missing before the third
        values = np.full((10, 1), time, np.float32)
        witness.hear(time, 10.0, values, (([time + 0.9], np.zeros((1, 2), np.float32)),), 1)
        witness.judge([time + 0.9], [2.0], ((0, _evidence(time + 0.9)),) if time == 2.5 else ())
    (evidence,) = witness.ready
    assert evidence.arrays["waveform"].tolist() == [[2.5]] * 10
    assert evidence.waveform_end == pytest.approx(3.4)


def test_a_file_is_named_after_monitor_time_and_id_and_the_end_of_an_alert_names_that_of_its_raise() -> None:
    def name(device: str, kind: Happening, time: float, alert: Alert = Alert()) -> str:  # noqa: B008
        return evidence_name(device, "pump", "machine", kind, alert, time)

    event = Event("raised", "pump", 1_700_000_000.1239, 1, Alert(), 2.0, (), None, None, "s")
    raised = name("pi-7", "raised", event.time)
    assert raised == f"pump-20231114T221320.123Z-{event_id(event, 'pi-7')[:8]}.npz"
    assert name("pi-7", "cleared", event.time + 60, Alert(raised_at=event.time)) == raised
    assert name("pi-8", "raised", event.time) != raised
    assert name("pi-7", "updated", event.time) != raised
    assert name("pi-7", "flooded", event.time) == name("", "raised", event.time) == ""


def _telemetry(edges: list[int]) -> list[Evidence]:
    """60 rows of which every third is not judged, in readings from edge to edge; an alert at row 39."""
    witness = Witness(1, 0, waveform=False, rows=20, after=4)
    for a, b in itertools.pairwise(edges):
        judged = [t for t in range(a, b) if t % 3 != 1]
        witness.hear(float(a), 1.0, np.arange(a, b, dtype=np.float32)[:, None], (), int(bool(judged)))
        if judged:
            marks = [(i, _evidence(39.0)) for i, t in enumerate(judged) if t == 39]
            witness.judge([float(t) for t in judged], [t / 10 for t in judged], marks)
    return witness.ready


def _shaking(edges: list[int]) -> list[Evidence]:
    """60 samples at 10 Hz, a window of two of them every two, in readings from edge to edge; an alert in the middle."""
    witness = Witness(1, 1, waveform=True, rows=20, after=4)
    for a, b in itertools.pairwise(edges):
        ends = [t for t in range(a, b) if t % 2]
        times = [t / 10 for t in ends]
        rows: Array = np.array([[t] for t in ends], np.float32).reshape(-1, 1)
        values = np.arange(a, b, dtype=np.float32)[:, None]
        witness.hear(a / 10, 10.0, values, [(times, rows)] if ends else (), int(bool(ends)))
        if ends:
            marks = [(i, _evidence(3.1)) for i, t in enumerate(ends) if t == 31]
            witness.judge(times, [0.1 * t for t in ends], marks)
    return witness.ready


def _told(found: list[Evidence]) -> list[tuple[object, ...]]:
    return [
        (
            e.name,
            e.whole,
            round(e.waveform_end, 6),
            {name: array.tolist() for name, array in e.arrays.items()},
        )
        for e in found
    ]


def _evidence(time: float) -> Evidence:
    event = Event("raised", "pump", time, 1, Alert(), 2.0, (), None, None, "s")
    name = evidence_name("here", "pump", "machine", "raised", event.alert, time)
    return Evidence(name, event, Account(contributions=(), scores=(), edge=1.5), SCENE)
