"""Evidence on disk: bounded, whole or not there, and never a reason to fail."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.alerts import Alert, Event
from agent.evidence import Account, Column, Contribution, Evidence, Scene, Score
from agent.evidence_store import BrokenEvidence, Store, encode, read
from agent.messages import event_payload

COLUMN = Column(name="a", channel="a", unit="Pa")
SCENE = Scene(channels=(COLUMN,), features=(COLUMN,), waveform=False, span_s=5.0, measures=())
PART = Contribution(feature="a", channel="a", unit="Pa", sigma=3.0, share=1.0, value=2.0, normal=1.0)
SCORE = Score(name="distance", adds_up="squared distance", raw=9.0, reference=3.0)
ACCOUNT = Account(contributions=(PART,), scores=(SCORE,), edge=1.5, notes=("a word",))


def evidence(number: int = 0, rows: int = 10) -> Evidence:
    time = 1_700_000_000.0 + number
    event = Event("raised", "pump", time, number + 1, Alert(raised_at=time), 2.0, (), None, None, "s")
    arrays = {
        "level_times": time + np.arange(rows),
        "levels": np.ones(rows, np.float32),
        "value_times": time + np.arange(rows),
        "values": np.ones((rows, 1), np.float32),
    }
    name = f"pump-20231114T2213{20 + number % 40:02d}.000Z-{number:08x}.npz"
    return Evidence(name, event, ACCOUNT, SCENE, arrays)


def put(store: Store, found: Evidence) -> None:
    store.put(found, event_payload(found.event, "pi-7"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    store, one = Store(tmp_path / "new", 10**6, 10), evidence()
    put(store, one)
    stored = read(tmp_path / "new" / one.name)
    assert stored.meta.event.monitor == "pump"
    assert stored.meta.account == ACCOUNT
    assert stored.meta.scene == SCENE
    assert {name: array.tolist() for name, array in stored.arrays.items()} == {
        name: array.tolist() for name, array in one.arrays.items()
    }
    assert names(tmp_path / "new") == [one.name]


def test_the_same_evidence_gives_the_same_bytes() -> None:
    payload = event_payload(evidence().event, "pi-7")
    assert encode(evidence(), payload) == encode(evidence(), payload)


def test_the_oldest_make_room_in_number(tmp_path: Path) -> None:
    store = Store(tmp_path, 10**7, 3)
    for number in range(5):
        put(store, evidence(number))
        os.utime(tmp_path / evidence(number).name, (number, number))  # a second apart
    assert names(tmp_path) == [evidence(number).name for number in (2, 3, 4)]
    assert (store.written, store.removed) == (5, 2)


def test_the_oldest_make_room_in_size(tmp_path: Path) -> None:
    size = len(encode(evidence(), event_payload(evidence().event, "pi-7")))
    store = Store(tmp_path, 3 * size + size // 2, 100)
    for number in range(5):
        put(store, evidence(number))
        os.utime(tmp_path / evidence(number).name, (number, number))
    assert names(tmp_path) == [evidence(number).name for number in (2, 3, 4)]


def test_evidence_larger_than_its_folder_may_be_is_given_up_and_counted(tmp_path: Path) -> None:
    store = Store(tmp_path, 1000, 10)
    put(store, evidence(rows=1000))
    assert names(tmp_path) == []
    assert (store.written, store.removed) == (0, 1)


def test_a_file_that_is_whole_takes_the_place_of_the_first(tmp_path: Path) -> None:
    store = Store(tmp_path, 10**6, 1)
    put(store, evidence())
    put(store, replace(evidence(), whole=True))
    assert read(tmp_path / evidence().name).meta.whole
    assert store.removed == 0


def test_what_a_power_cut_left_half_written_is_taken_away_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "pump-20231114T221320.000Z-00000000.npz.new").write_bytes(b"PK\x03\x04 half")
    (tmp_path / "notes.txt").write_text("somebody's own")
    put(Store(tmp_path, 10**6, 10), evidence())
    assert names(tmp_path) == ["notes.txt", evidence().name]


def test_a_torn_file_is_said_to_be_and_counts_for_room_like_any_other(tmp_path: Path) -> None:
    torn = tmp_path / evidence(1).name
    torn.write_bytes(encode(evidence(), event_payload(evidence().event, "pi-7"))[:900])
    os.utime(torn, (1, 1))
    with pytest.raises(BrokenEvidence, match="no whole evidence"):
        read(torn)
    put(Store(tmp_path, 10**6, 1), evidence(2))
    assert names(tmp_path) == [evidence(2).name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(place=st.integers(0, 3000), bits=st.integers(1, 255), cut=st.integers(0, 400))
def test_a_damaged_file_is_broken_or_whole_and_nothing_else(
    tmp_path: Path, place: int, bits: int, cut: int
) -> None:
    content = bytearray(encode(evidence(), event_payload(evidence().event, "pi-7")))
    content[place % len(content)] ^= bits
    path = tmp_path / "one.npz"
    path.write_bytes(bytes(content[: len(content) - cut]))
    with contextlib.suppress(BrokenEvidence):
        assert read(path).meta.account == ACCOUNT


def test_what_holds_something_else_is_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    np.savez(path, x=np.zeros(3))
    with pytest.raises(BrokenEvidence, match="it has no meta"):
        read(path)
    np.savez(path, meta=np.frombuffer(b"{}", np.uint8))
    with pytest.raises(BrokenEvidence, match="missing required field"):
        read(path)
    np.savez(path, allow_pickle=True, meta=np.array([{"a": 1}], object))
    with pytest.raises(BrokenEvidence, match="allow_pickle"):
        read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("array", "instead", "words"),
    [
        ("values", np.zeros((3, 1)), "do not fit"),
        ("values", np.zeros((10, 2)), "do not fit"),
        ("levels", np.zeros((10, 1)), "do not fit"),
        ("levels", np.zeros(10, int), "no numbers"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(
    tmp_path: Path, array: str, instead: np.ndarray[tuple[int, ...], np.dtype[np.float64]], words: str
) -> None:
    one = evidence()
    wrong = replace(one, arrays={**one.arrays, array: instead})
    put(Store(tmp_path, 10**6, 10), wrong)
    with pytest.raises(BrokenEvidence, match=words):
        read(tmp_path / one.name)


def test_numbers_that_are_none_outlive_the_disk(tmp_path: Path) -> None:
    part = msgspec.structs.replace(PART, sigma=float("inf"), value=float("nan"))
    score = msgspec.structs.replace(SCORE, raw=float("inf"))
    account = msgspec.structs.replace(ACCOUNT, contributions=(part,), scores=(score,))
    put(Store(tmp_path, 10**6, 10), replace(evidence(), account=account))
    (found,) = read(tmp_path / evidence().name).meta.account.contributions
    assert (found.sigma, found.value) == (None, None)
