"""A baseline on disk is whole, its own, or refused with the reason."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import baseline as baselines
from models.archive import LARGEST_BYTES
from models.baseline import (
    FORMAT,
    Baseline,
    BrokenBaseline,
    ForeignBaseline,
    Meta,
    Origin,
    PartMeta,
    load,
    save,
)
from models.calibration import Calibration
from models.detector import Learned
from models.tail import Growth, Tail
from tests.models.heads import KINDS, Kind, armed, healthy, lesson, scored

BELONGS_TO = {"sensor": "pump", "channels": "temperature [Cel]", "window": "20 rows"}
TAIL = Tail(0.7, 12.0, 1.25, 600.0, 0.14)
ORIGIN = Origin(rows=600, first=1.5, last=1700000000.123456, stuck=3, strays=4, notes=("load never moved",))


def baseline_of(kind: Kind) -> Baseline:
    learned = lesson(kind)
    return Baseline(
        parts={
            "": Learned(learned.arrays, learned.calibration, ORIGIN.notes, TAIL, Growth(7, (1.5, 0.9), 93))
        },
        origin=ORIGIN,
        detector=kind.head().detector,
    )


def small() -> Baseline:
    arrays = {"mean": np.arange(6, dtype=np.float32).reshape(2, 3)}
    return Baseline(
        parts={"": Learned(arrays, Calibration((1.25, 3e30)))}, origin=ORIGIN, detector="mahalanobis"
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_was_saved_comes_back_to_the_bit_and_scores_the_same(kind: Kind, tmp_path: Path) -> None:
    path, before = tmp_path / "deep" / "pump.npz", baseline_of(kind)
    save(path, before, BELONGS_TO)
    after = load(path, BELONGS_TO)
    assert after.origin == ORIGIN
    assert after.detector == before.detector
    assert after.learned.calibration == before.learned.calibration
    assert after.learned.tail == before.learned.tail == TAIL
    assert after.learned.growth == before.learned.growth
    assert after.learned.notes == ORIGIN.notes
    assert after.learned.arrays.keys() == before.learned.arrays.keys()
    for name, array in before.learned.arrays.items():
        assert after.learned.arrays[name].tobytes() == array.tobytes()
    assert after.digest("graph") == before.digest("graph")
    rows = healthy(kind, 100, seed=5)
    expected = scored(armed(kind), [rows])
    assert (scored(armed(kind, learned=after.learned), [rows]).raw == expected.raw).all()


def test_saving_again_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "pump.npz"
    save(path, baseline_of(KINDS[0]), BELONGS_TO)
    save(path, small(), BELONGS_TO)
    assert load(path, BELONGS_TO).learned.arrays.keys() == {"mean"}
    assert [file.name for file in tmp_path.iterdir()] == ["pump.npz"]


def test_what_a_power_cut_left_half_written_beside_it_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "pump.npz"
    save(path, small(), BELONGS_TO)
    (tmp_path / "pump.npz.new").write_bytes(path.read_bytes()[:100])
    assert load(path, BELONGS_TO).origin == ORIGIN
    save(path, small(), BELONGS_TO)
    assert [file.name for file in tmp_path.iterdir()] == ["pump.npz"]


def test_without_a_file_that_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz", BELONGS_TO)


def test_another_configuration_is_told_what_was_and_what_is(tmp_path: Path) -> None:
    path = tmp_path / "pump.npz"
    save(path, small(), BELONGS_TO)
    now = {"sensor": "pump", "channels": "temperature [Cel], load [%]", "smooth": "5 rows"}
    with pytest.raises(ForeignBaseline) as refused:
        load(path, now)
    assert str(refused.value) == (
        f"{path}: learned under another configuration:"
        " channels was temperature [Cel], is now temperature [Cel], load [%];"
        " window was 20 rows, is now not set; smooth was not set, is now 5 rows: learn again"
    )


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pump.npz"
    monkeypatch.setattr(baselines, "FORMAT", 99)
    save(path, small(), BELONGS_TO)
    monkeypatch.undo()
    with pytest.raises(ForeignBaseline, match=f"format 99, this version reads {FORMAT}"):
        load(path, BELONGS_TO)


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, body in members.items():
            archive.writestr(f"{name}.npy", body)
    return content.getvalue()


def npy(array: object, allow_pickle: bool = False) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array), allow_pickle=allow_pickle)
    return content.getvalue()


def meta(**changed: object) -> bytes:
    whole = Meta(
        format=FORMAT,
        detector="level",
        belongs_to=BELONGS_TO,
        parts={"": PartMeta(edges=(2.0,), arrays=("mean",))},
        origin=ORIGIN,
    )
    fields = {**msgspec.to_builtins(whole), **changed}
    return npy(np.frombuffer(msgspec.json.encode(fields), np.uint8))


def bomb() -> bytes:
    """A small file that would be 256 MiB once read."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.npy", meta())
        archive.writestr("mean.npy", npy(np.zeros(2**26, np.float32)))
    return content.getvalue()


def claiming(*shape: int) -> bytes:
    """Seven numbers that say they are more."""
    content = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(28)


class Trap:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was loaded",))


BROKEN = {
    "empty": b"",
    "text": b"not a baseline\n",
    "zeros": bytes(4096),
    "one array": npy(np.zeros(3)),
    "a pickle": pickle.dumps(Trap()),
    "a pickled array": npy(np.array([Trap()], object), allow_pickle=True),
    "a zip with a pickle": zipped(meta=meta(), mean=npy(np.array([Trap()], object), allow_pickle=True)),
    "a zip of something else": zipped(readme=b"hello"),
    "no meta": zipped(mean=npy(np.zeros(3, np.float32))),
    "meta is no json": zipped(meta=npy(np.frombuffer(b"{", np.uint8))),
    "meta lacks fields": zipped(meta=npy(np.frombuffer(b"{}", np.uint8))),
    "no parts": zipped(meta=meta(parts={})),
    "edges of nothing": zipped(meta=meta(parts={"": {"arrays": ["mean"], "edges": [1.0, 0.0]}})),
    "edges that are text": zipped(meta=meta(parts={"": {"arrays": ["mean"], "edges": ["wide"]}})),
    "fewer arrays than it had": zipped(meta=meta()),
    "more arrays than it had": zipped(meta=meta(), mean=npy(np.float32(1)), tail=npy(np.float32(1))),
    "text instead of numbers": zipped(meta=meta(), mean=npy(np.array(["a"]))),
    "double precision": zipped(meta=meta(), mean=npy(np.zeros(3))),
    "no array but bytes": zipped(meta=meta(), mean=b"hello"),
    "a bomb": bomb(),
    "an array of all memory": zipped(meta=meta(), mean=claiming(10**12)),
    "an array of more than it has": zipped(meta=meta(), mean=claiming(99)),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_baseline_is_called_broken(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pump.npz"
    path.write_bytes(content)
    with pytest.raises(BrokenBaseline, match=r"pump\.npz: "):
        load(path, BELONGS_TO)


def test_an_oversized_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "pump.npz"
    with path.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(BrokenBaseline, match="larger than any baseline"):
        load(path, BELONGS_TO)


def test_a_folder_in_its_place_is_called_broken(tmp_path: Path) -> None:
    with pytest.raises(BrokenBaseline):
        load(tmp_path, BELONGS_TO)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("baseline") / "pump.npz"
    save(path, small(), BELONGS_TO)
    return path.read_bytes()


def test_every_truncation_is_called_broken(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pump.npz"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(BrokenBaseline):
            load(path, BELONGS_TO)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_give_what_was_saved_or_a_broken_baseline(
    whole: bytes, tmp_path: Path, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(whole)
    for where, value in damage:
        content[where % len(content)] = value
    path = tmp_path / "pump.npz"
    path.write_bytes(content)
    try:
        found = load(path, BELONGS_TO)
    except BrokenBaseline:
        return
    assert found.origin == ORIGIN
    assert found.learned.calibration == small().learned.calibration
    assert {name: array.tolist() for name, array in found.learned.arrays.items()} == {
        name: array.tolist() for name, array in small().learned.arrays.items()
    }


def test_a_digest_names_the_graph_and_what_was_learned_but_not_the_state() -> None:
    kind = next(kind for kind in KINDS if kind.name == "level of 3")
    before = baseline_of(kind)
    head = armed(kind)
    scored(head, [healthy(kind, 100, seed=5)])
    later = Baseline(parts={"": head.learned()}, origin=ORIGIN, detector="level")
    assert not (later.learned.arrays["memory"] == before.learned.arrays["memory"]).all()
    assert later.digest("graph") == before.digest("graph")
    assert later.digest("another graph") != before.digest("graph")
    other = Baseline(parts={"": lesson(kind, 1)}, origin=ORIGIN, detector="level")
    assert other.digest("graph") != before.digest("graph")
