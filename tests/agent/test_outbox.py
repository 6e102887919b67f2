"""The outbox keeps what it was given, in order, within its bounds, whatever happens to it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.messages import Message
from agent.outbox import KEPT_ASIDE, ROW_BYTES, Outbox, OutboxError
from agent.salvage import MOST, salvage
from tests.real import need, need_root

REPOSITORY = Path(__file__).parents[2]


def event(seq: int, monitor: str = "pump", size: int = 100) -> Message:
    return Message("t/event", f"{monitor} {seq} ".encode().ljust(size), 1, False, "event", monitor, seq)


def state(number: int, size: int = 100) -> Message:
    return Message("t/state", f"state {number} ".encode().ljust(size), 0, True, "state", "pump")


def waiting(outbox: Outbox) -> list[Message]:
    return [stored.message for stored in outbox.pending(10**6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with Outbox(path) as opened:
        yield opened


def test_messages_come_out_as_they_went_in_oldest_first(outbox: Outbox) -> None:
    given = [event(1), state(1), event(1, "fan"), event(2), Message("ü/t", b"\x00\xff", 0, True, "state", "")]
    outbox.put(given[0])
    outbox.put_all(given[1:])
    assert waiting(outbox) == given
    first, second = outbox.pending(2)
    assert [stored.message for stored in outbox.pending(2, after=second.id)] == given[2:4]
    assert first.id < second.id


def test_a_row_leaves_only_when_it_is_acknowledged(outbox: Outbox) -> None:
    outbox.put_all([event(seq) for seq in range(1, 6)])
    ids = [stored.id for stored in outbox.pending(10)]
    outbox.ack([ids[1], ids[3], 10**9])
    assert waiting(outbox) == [event(1), event(3), event(5)]
    outbox.ack(ids)
    assert waiting(outbox) == []
    assert (outbox.waiting, outbox.size_bytes, outbox.lost) == (0, 0, 0)


def test_everything_survives_closing_and_opening(path: Path) -> None:
    with Outbox(path, 2000) as outbox:
        outbox.put_all([event(seq) for seq in range(1, 20)])
        before = waiting(outbox), outbox.waiting, outbox.size_bytes, outbox.lost, outbox.last_seq("pump")
        assert outbox.lost > 0
    with Outbox(path, 2000) as outbox:
        assert before == (
            waiting(outbox),
            outbox.waiting,
            outbox.size_bytes,
            outbox.lost,
            outbox.last_seq("pump"),
        )


def test_an_id_is_never_used_twice_even_after_the_queue_ran_empty(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(event(1))
        first = outbox.pending(1)[0].id
        outbox.ack([first])
    with Outbox(path) as outbox:
        outbox.put(event(2))
        assert outbox.pending(1)[0].id > first


def test_the_last_number_of_a_monitor_outlives_its_messages(path: Path) -> None:
    with Outbox(path) as outbox:
        assert outbox.last_seq("pump") == 0
        outbox.put_all([event(1), event(2), event(1, "fan"), state(1)])
        outbox.ack(stored.id for stored in outbox.pending(10))
    with Outbox(path) as outbox:
        assert (outbox.last_seq("pump"), outbox.last_seq("fan"), outbox.last_seq("")) == (2, 1, 0)


def test_when_full_states_go_before_events_and_the_oldest_before_the_newest(path: Path) -> None:
    with Outbox(path, max_bytes=5 * (ROW_BYTES + 107)) as outbox:
        for number in range(3):
            outbox.put(state(number))
            outbox.put(event(number + 1))
        assert waiting(outbox) == [event(1), state(1), event(2), state(2), event(3)]
        outbox.put_all([event(seq) for seq in range(4, 8)])
        assert waiting(outbox) == [event(seq) for seq in range(3, 8)]
        assert outbox.lost == 5


def test_the_loss_is_said_once_until_there_is_room_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Outbox(path, max_bytes=1000) as outbox:
        for seq in range(1, 20):
            outbox.put(event(seq))
        assert len(caplog.records) == 1
        outbox.ack(stored.id for stored in outbox.pending(100))
        outbox.put(event(20))
        for seq in range(21, 40):
            outbox.put(event(seq))
        assert len(caplog.records) == 2


def test_a_message_larger_than_the_outbox_does_not_push_the_others_out(path: Path) -> None:
    with Outbox(path, max_bytes=1000) as outbox:
        outbox.put_all([event(1), event(2, size=5000), event(3)])
        assert waiting(outbox) == [event(1), event(3)]
        assert (outbox.lost, outbox.last_seq("pump")) == (1, 3)


def test_dropped_messages_count_as_lost(outbox: Outbox) -> None:
    outbox.put_all([event(1), event(2)])
    outbox.drop([outbox.pending(1)[0].id])
    assert (waiting(outbox), outbox.lost) == ([event(2)], 1)


def test_the_file_stays_near_the_bound(path: Path) -> None:
    bound = 300_000
    with Outbox(path, bound) as outbox:
        for start in range(0, 5000, 100):
            outbox.put_all([event(start + seq, size=1200) for seq in range(1, 101)])
    assert path.stat().st_size < 1.5 * bound + 100_000


def test_a_listener_is_told_of_every_put(outbox: Outbox) -> None:
    calls = []
    outbox.listen(lambda: calls.append(outbox.waiting))
    outbox.put(event(1))
    outbox.put_all([event(2), event(3)])
    outbox.listen(None)
    outbox.put(event(4))
    assert calls == [1, 3]


def test_one_thread_may_put_while_another_takes(outbox: Outbox) -> None:
    def put() -> None:
        for seq in range(1, 301):
            outbox.put(event(seq))

    thread = threading.Thread(target=put)
    thread.start()
    taken: list[int] = []
    while len(taken) < 300:
        found = outbox.pending(20)
        taken += [stored.message.seq for stored in found]
        outbox.ack(stored.id for stored in found)
    thread.join()
    assert taken == list(range(1, 301))


def test_closing_twice_is_fine_and_a_closed_outbox_says_so(path: Path) -> None:
    outbox = Outbox(path)
    with pytest.raises(OutboxError, match="not open"):
        outbox.put(event(1))
    outbox.open()
    outbox.open()
    outbox.close()
    outbox.close()
    with pytest.raises(OutboxError, match="not open"):
        outbox.pending(1)


def test_a_second_process_is_refused(outbox: Outbox, path: Path) -> None:
    second = Outbox(path)
    with pytest.raises(OutboxError, match="another process has it open"):
        second.open()
    outbox.put(event(1))
    assert waiting(outbox) == [event(1)]


def filled(path: Path, count: int = 200) -> None:
    with Outbox(path) as outbox:
        outbox.put_all([event(seq, size=500) for seq in range(1, count + 1)])


def aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob("outbox.db.corrupt-*"))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 100, 4096, 60_000])
def test_a_file_of_random_bytes_is_set_aside_and_said(
    path: Path, seed: int, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    rubbish = random.Random(seed).randbytes(size)
    path.write_bytes(rubbish)
    with Outbox(path) as outbox:
        outbox.put(event(1))
        assert waiting(outbox) == [event(1)]
        assert outbox.set_aside is not None
        assert aside(path)[0].name in outbox.set_aside
    assert aside(path)[0].read_bytes() == rubbish
    assert "set aside" in caplog.text


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_set_aside(path: Path, share: float) -> None:
    filled(path)
    os.truncate(path, int(path.stat().st_size * share))
    with Outbox(path) as outbox:
        assert outbox.set_aside is not None
        assert waiting(outbox) == []
        outbox.put(event(1))
        assert waiting(outbox) == [event(1)]
    assert len(aside(path)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_is_set_aside_or_costs_only_what_it_hit(path: Path, seed: int) -> None:
    filled(path)
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3, 30))):
        at = chance.randrange(len(content))
        content[at : at + 8] = chance.randbytes(8)
    path.write_bytes(content)
    given = [event(seq, size=500) for seq in range(1, 201)]
    with Outbox(path) as outbox:
        try:
            found = waiting(outbox)
        except OutboxError as error:  # found only on reading: set aside then
            assert "set aside" in str(error)  # noqa: PT017
            found = waiting(outbox)
        assert all(message.payload in {known.payload for known in given} for message in found)
        outbox.put(event(201))
        assert waiting(outbox)[-1].seq == 201
        assert outbox.set_aside is not None or len(found) + outbox.lost == 200


def test_an_empty_file_with_a_log_is_set_aside_with_its_log(path: Path) -> None:
    filled(path)
    log = Path(f"{path}-wal")
    path.write_bytes(b"")
    log.write_bytes(b"\x37\x7f\x06\x82" + bytes(5000))
    with Outbox(path) as outbox:
        assert outbox.set_aside is not None
        assert "log" in outbox.set_aside
    assert [kept.name[-4:] for kept in aside(path) if kept.stat().st_size] == ["-wal"]


def test_a_log_without_its_file_is_set_aside(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(bytes(5000))
    with Outbox(path) as outbox:
        assert outbox.set_aside is not None
        outbox.put(event(1))


def test_an_empty_file_alone_is_a_new_outbox(path: Path) -> None:
    path.write_bytes(b"")
    with Outbox(path) as outbox:
        assert outbox.set_aside is None
        outbox.put(event(1))


def test_a_sound_file_that_is_no_outbox_is_set_aside_unharmed(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (name)")
    other.commit()
    other.close()
    with Outbox(path) as outbox:
        assert outbox.set_aside is not None
        assert "not an outbox" in outbox.set_aside
    kept = sqlite3.connect(aside(path)[0])
    assert kept.execute("SELECT count(*) FROM songs").fetchone() == (0,)
    kept.close()


def test_an_outbox_of_a_later_version_is_set_aside(path: Path) -> None:
    filled(path)
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with Outbox(path) as outbox:
        assert outbox.set_aside is not None
        assert "version 99" in outbox.set_aside


def test_a_message_damaged_on_disk_is_counted_as_lost_and_never_sent(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path, 3)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"pump 2 ", b"pump 9 "))
    with Outbox(path) as outbox:
        assert [message.seq for message in waiting(outbox)] == [1, 3]
        assert (outbox.lost, outbox.waiting) == (1, 2)
    assert "damaged" in caplog.text


def break_while_open(outbox: Outbox) -> None:
    """As a dying card would: the next statement finds the file malformed."""
    with pytest.raises(OutboxError, match="set aside"):
        with outbox._change():
            raise sqlite3.DatabaseError("database disk image is malformed")


def test_a_file_set_aside_while_running_costs_its_messages_and_no_number_is_given_twice(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put_all([*(event(seq) for seq in range(1, 31)), event(7, "fan")])
        outbox.remember(["a", "b"])
        old = [stored.id for stored in outbox.pending(100)]
        outbox.ack(old[:10])
        break_while_open(outbox)
        assert (outbox.last_seq("pump"), outbox.last_seq("fan"), outbox.lost) == (30, 7, 21)
        outbox.put_all([event(31), event(8, "fan")])
        assert [stored.message.seq for stored in outbox.pending(10, after=old[-1])] == [31, 8], "no stall"
        outbox.ack(old)  # the broker's word for what was under way comes late
        assert waiting(outbox) == [event(31), event(8, "fan")], "and takes nothing else with it"
    with Outbox(path) as outbox:
        assert (outbox.last_seq("pump"), outbox.lost, outbox.remembered()) == (31, 21, {"a", "b"})


def test_a_file_that_could_not_be_begun_anew_is_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Outbox(path) as outbox:
        outbox.put_all([event(1), event(2)])
        with monkeypatch.context() as trouble:

            def refuse(_: Outbox) -> None:
                raise sqlite3.OperationalError("database or disk is full")

            trouble.setattr(Outbox, "_connect", refuse)
            with pytest.raises(OutboxError, match="disk is full"):
                with outbox._change():
                    raise sqlite3.DatabaseError("database disk image is malformed")
            with pytest.raises(OutboxError, match="disk is full"):
                outbox.put(event(3))
        outbox.put(event(3))
        assert waiting(outbox) == [event(3)]
        assert (outbox.pending(1)[0].id, outbox.lost) == (3, 2)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_numbers_and_topics_are_read_from_a_truncated_file_where_they_still_can_be(
    path: Path, share: float
) -> None:
    with Outbox(path) as outbox:
        outbox.remember(["tocsin/pi-7/fan/state"])
    filled(path)
    os.truncate(path, int(path.stat().st_size * share))
    with Outbox(path) as outbox:
        assert outbox.set_aside is not None
        assert outbox.last_seq("pump") == 200
        assert outbox.remembered() == {"tocsin/pi-7/fan/state"}
        outbox.put(event(201))
    with Outbox(path) as outbox:
        assert outbox.last_seq("pump") == 201


def test_a_broken_file_with_a_log_is_left_as_it_is(path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", PUTTING, str(path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert child.stdout is not None
    for _ in range(100):
        child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    files = [path, Path(f"{path}-wal")]
    path.write_bytes(path.read_bytes()[:-4096] + random.Random(1).randbytes(4096))
    before = [file.read_bytes() for file in files]
    assert salvage(path).seqs["pump"] >= 100
    assert sorted(path.parent.iterdir()) == files
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize("seed", range(20))
def test_nothing_implausible_is_read_from_a_broken_file(path: Path, seed: int) -> None:
    filled(path)
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(30):
        at = chance.randrange(min(len(content), 6 * 4096))
        content[at : at + 8] = chance.randbytes(8)
    path.write_bytes(content)
    found = salvage(path)
    assert all(isinstance(name, str) and 0 < seq < MOST for name, seq in found.seqs.items())


def test_retained_topics_are_remembered_over_runs_and_forgotten_when_they_are_empty(path: Path) -> None:
    with Outbox(path) as outbox:
        assert outbox.remembered() == set()
        outbox.remember(["a", "b"])
        outbox.remember(["b", "c"])
    with Outbox(path) as outbox:
        assert outbox.remembered() == {"a", "b", "c"}
        outbox.forget(["a", "never there"])
    with Outbox(path) as outbox:
        assert outbox.remembered() == {"b", "c"}


def test_only_the_latest_broken_files_are_kept(path: Path) -> None:
    for number in range(KEPT_ASIDE + 3):
        path.write_bytes(b"broken" * (number + 1))
        os.utime(path, (number, number))
        with Outbox(path):
            pass
    assert [len(kept.read_bytes()) // 6 for kept in sorted(aside(path), key=lambda p: p.stat().st_mtime)] == [
        4,
        5,
        6,
    ]


def test_a_path_that_is_a_directory_is_an_error_of_the_world(path: Path) -> None:
    path.mkdir()
    with pytest.raises(OutboxError, match="cannot be opened"):
        Outbox(path).open()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KB."""
    need_root()
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        [need("mount"), "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mount is not allowed here")
    yield folder
    subprocess.run([need("umount"), str(folder)], check=True)


def fill(outbox: Outbox) -> None:
    for seq in range(1, 1000):
        outbox.put(event(seq, size=4000))


def test_a_full_disk_is_said_loses_nothing_and_is_got_over(small_disk: Path) -> None:
    with Outbox(small_disk / "outbox.db") as outbox:
        with pytest.raises(OutboxError, match="disk is full"):
            fill(outbox)
        kept = outbox.waiting
        assert kept > 10
        assert [message.seq for message in waiting(outbox)] == list(range(1, kept + 1))
        assert outbox.last_seq("pump") == kept
        subprocess.run([need("mount"), "-o", "remount,size=8m", str(small_disk)], check=True)
        outbox.put(event(kept + 1))
        assert waiting(outbox)[-1].seq == kept + 1
    with Outbox(small_disk / "outbox.db") as outbox:
        assert outbox.waiting == kept + 1
        assert outbox.set_aside is None


def test_a_disk_too_full_even_to_begin_is_an_error_of_the_world(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(396 * 1024))
    with pytest.raises(OutboxError, match="full"):
        Outbox(small_disk / "outbox.db").open()


def test_a_read_only_folder_is_an_error_of_the_world(small_disk: Path) -> None:
    filled(small_disk / "outbox.db", 5)
    subprocess.run([need("mount"), "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutboxError):
        with Outbox(small_disk / "outbox.db") as outbox:
            outbox.put(event(6))
    with pytest.raises(OutboxError):
        Outbox(small_disk / "new" / "outbox.db").open()
    subprocess.run([need("mount"), "-o", "remount,rw", str(small_disk)], check=True)
    with Outbox(small_disk / "outbox.db") as outbox:
        assert outbox.waiting == 5
        assert outbox.set_aside is None


PUTTING = """
import sys
from pathlib import Path
from agent.outbox import Outbox
from tests.agent.test_outbox import event

with Outbox(Path(sys.argv[1])) as outbox:
    for seq in range(outbox.last_seq("pump") + 1, 10**6):
        outbox.put(event(seq))
        print(seq, flush=True)
"""


def test_kill_9_between_puts_loses_none_that_put_returned_for(path: Path) -> None:
    last = 0
    for patience in (1, 30, 77, 150):
        child = subprocess.Popen(
            [sys.executable, "-c", PUTTING, str(path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )
        assert child.stdout is not None
        for _ in range(patience):
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")[:-1]  # what it managed to print before it died
        child.wait()
        child.stdout.close()
        last = int(rest[-1]) if rest else last
        with Outbox(path) as outbox:
            seqs = [message.seq for message in waiting(outbox)]
            assert seqs == list(range(1, len(seqs) + 1))
            assert len(seqs) in (last, last + 1)  # one may be on disk that nobody heard of
            assert outbox.last_seq("pump") == len(seqs)
            assert outbox.set_aside is None


class AgainstAModel(RuleBasedStateMachine):
    """The outbox beside a list that does the same, closed and opened at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bound = 2500
        self.model: list[tuple[int, Message]] = []
        self.lost = 0
        self.seqs: dict[str, int] = {}
        self.reopen()

    def reopen(self) -> None:
        self.outbox = Outbox(Path(self.folder.name) / "outbox.db", self.bound)
        self.outbox.open()

    @rule(kinds=st.lists(st.tuples(st.booleans(), st.sampled_from(["pump", "fan"]), st.integers(20, 3000))))
    def put(self, kinds: list[tuple[bool, str, int]]) -> None:
        messages = []
        for is_event, monitor, size in kinds:
            if is_event:
                self.seqs[monitor] = self.seqs.get(monitor, 0) + 1
                messages.append(event(self.seqs[monitor], monitor, size))
            else:
                messages.append(state(size, size))
        self.outbox.put_all(messages)
        fitting = [message for message in messages if self.size(message) <= self.bound]
        self.lost += len(messages) - len(fitting)
        self.model += [(0, message) for message in fitting]
        for kind in ("state", "event"):
            index = 0
            while sum(self.size(message) for _, message in self.model) > self.bound and index < len(
                self.model
            ):
                if self.model[index][1].kind == kind:
                    del self.model[index]
                    self.lost += 1
                else:
                    index += 1

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        stored = self.outbox.pending(1000)
        gone = data.draw(st.sets(st.integers(0, len(stored) - 1)))
        self.outbox.ack([stored[index].id for index in gone])
        self.model = [pair for index, pair in enumerate(self.model) if index not in gone]

    @rule()
    def close_and_open(self) -> None:
        self.outbox.close()
        self.reopen()

    @invariant()
    def agrees(self) -> None:
        expected = [message for _, message in self.model]
        assert waiting(self.outbox) == expected
        assert self.outbox.waiting == len(expected)
        assert self.outbox.size_bytes == sum(self.size(message) for message in expected) <= self.bound
        assert self.outbox.lost == self.lost
        for monitor, seq in self.seqs.items():
            assert self.outbox.last_seq(monitor) == seq

    @staticmethod
    def size(message: Message) -> int:
        return len(message.topic) + len(message.payload) + ROW_BYTES

    def teardown(self) -> None:
        self.outbox.close()
        self.folder.cleanup()


def test_it_agrees_with_a_model_whatever_is_done_to_it() -> None:
    run_state_machine_as_test(
        AgainstAModel,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
