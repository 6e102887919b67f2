"""A durable queue of messages in SQLite: put, pending, ack, prune."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from agent import salvage
from agent.messages import Message
from agent.salvage import Known

logger = logging.getLogger(__name__)

# "TCSN": tells an outbox from any other SQLite file (sqlite.org/fileformat2.html, 1.3.17).
APPLICATION_ID = 0x5443534E
VERSION = 1
# What SQLite adds to topic and payload in a row: record header, monitor, numbers, its share of a page.
ROW_BYTES = 160
# A WAL of 256 pages is 1 MiB. SQLite's own 1,000 would double a small outbox; at 3 pages a put the pages
# written to the main file stay below those written to the WAL.
WAL_PAGES = 256

KEPT_ASIDE = 3  # broken files kept to be looked at; a dying card must not fill itself with them

SCHEMA = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
    # AUTOINCREMENT: a number is never used twice, also after the queue ran empty.
    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, monitor TEXT NOT NULL,"
    " seq INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL,"
    " retain INTEGER NOT NULL, crc INTEGER NOT NULL)",
    "CREATE INDEX by_kind ON messages (kind, id)",
    "CREATE TABLE sequences (monitor TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE topics (topic TEXT PRIMARY KEY) WITHOUT ROWID",
)


class OutboxError(Exception):
    """The disk would not take or give it: full, read-only, failing. Keep the message and try again."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message on disk, and the number to acknowledge it by. Numbers rise with age."""

    id: int
    message: Message


O = TypeVar("O", bound="Outbox")  # Self is Python 3.11's


class Outbox:
    """Messages that have not reached the broker. Two threads may use it: one that puts, one that sends.

    A put has returned: the message survives kill -9 and a power cut (WAL, synchronous=FULL). Bounded: when
    `max_bytes` is exceeded the oldest states go first and events last; what was lost is counted, on disk
    too, and said. `max_bytes` counts topics, payloads and ROW_BYTES each; the file itself may be larger by
    half, and the WAL beside it has 1 MiB. A file found broken is set aside and a new one begun, which takes
    over the last numbers given and the retained topics: from memory or, at start, from what can be read.
    """

    def __init__(self, path: Path, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.set_aside: str | None = None  # why and where to, once a broken file was found
        self.lost = 0  # messages given up: for want of room, found damaged, in a file set aside while running
        self.size_bytes = 0
        self.waiting = 0  # messages in the queue
        self._db: sqlite3.Connection | None = None
        self._wanted = False  # opened, and not closed since
        self._known = Known()  # what is on disk, or a put ahead of it where the disk refused
        self._lock = threading.RLock()
        self._full = False
        self._listener: Callable[[], None] | None = None

    def open(self) -> None:
        """Raises OutboxError when there is no room, no permission, or another process has it open."""
        with self._lock:
            if self._db is not None:
                return
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.path.is_dir():  # on tmpfs SQLite takes it for a damaged database
                    raise OutboxError(f"{self.path}: cannot be opened: it is a directory")
                self._begin()
            except (OSError, sqlite3.OperationalError) as error:
                self._shut()
                raise OutboxError(f"{self.path}: {_words(error)}") from error
            self._wanted = True

    def close(self) -> None:
        """May be called twice."""
        with self._lock:
            self._wanted = False
            self._shut()

    def __enter__(self: O) -> O:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Call `listener` after every put, from the thread that put. The publisher wakes up by it."""
        self._listener = listener

    def put(self, message: Message) -> None:
        """Keep a message; on disk on return. Raises OutboxError, and then nothing was kept."""
        self.put_all((message,))

    def put_all(self, messages: Sequence[Message]) -> None:
        """Keep several in one transaction: all of them or, with OutboxError, none."""
        with self._change() as db:
            lost = 0
            for message in messages:
                if message.seq:
                    self._known.merge(Known(seqs={message.monitor: message.seq}))
                    db.execute(
                        "INSERT INTO sequences VALUES (?, ?)"
                        " ON CONFLICT (monitor) DO UPDATE SET seq = max(seq, excluded.seq)",
                        (message.monitor, message.seq),
                    )
                if (
                    _size(message.topic, message.payload) > self.max_bytes
                ):  # would push out all the others and then itself
                    lost += 1
                    continue
                cursor = db.execute(
                    "INSERT INTO messages (kind, monitor, seq, topic, payload, qos, retain, crc)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        message.kind,
                        message.monitor,
                        message.seq,
                        message.topic,
                        message.payload,
                        message.qos,
                        message.retain,
                        _crc(message),
                    ),
                )
                self._known.merge(Known(last_id=cursor.lastrowid or 0))
                self.size_bytes += _size(message.topic, message.payload)
                self.waiting += 1
            lost += self._prune(db)
            self._count(db, lost)
        if lost and not self._full:
            logger.warning(
                "outbox is full (%d bytes): the oldest messages are given up, %d so far",
                self.max_bytes,
                self.lost,
            )
        self._full = bool(lost) or (self._full and self.size_bytes > self.max_bytes // 2)
        if self._listener is not None:
            self._listener()

    def pending(self, limit: int, after: int = 0) -> list[Stored]:
        """The oldest messages, at most `limit` of them, with ids above `after`. Raises OutboxError."""
        damaged: list[int] = []
        found: list[Stored] = []
        with self._lock:
            with self._change() as db:
                rows = db.execute(
                    "SELECT id, topic, payload, qos, retain, kind, monitor, seq, crc FROM messages"
                    " WHERE id > ? ORDER BY id LIMIT ?",
                    (after, limit),
                ).fetchall()
            for row in rows:
                message = Message(row[1], row[2], row[3], bool(row[4]), row[5], row[6], row[7])
                if _crc(message) == row[8]:
                    found.append(Stored(row[0], message))
                else:
                    damaged.append(row[0])
            if damaged:
                logger.error("outbox: %d messages were damaged on disk and are given up", len(damaged))
                self.drop(damaged)
        return found

    def ack(self, ids: Iterable[int]) -> None:
        """Forget messages that have arrived. Unknown ids are fine. Raises OutboxError."""
        with self._change() as db:
            self._delete(db, ids)

    def drop(self, ids: Iterable[int]) -> None:
        """Give up messages that can never arrive: as `ack`, but counted as lost."""
        with self._change() as db:
            self._count(db, self._delete(db, ids))

    def last_seq(self, monitor: str) -> int:
        """The number of the monitor's last event ever put; 0 before the first. Raises OutboxError."""
        with self._change() as db:
            row = db.execute("SELECT seq FROM sequences WHERE monitor = ?", (monitor,)).fetchone()
        return int(row[0]) if row else 0

    def remembered(self) -> set[str]:
        """The retained topics that this outbox was told to remember, in this run and in earlier ones."""
        with self._lock:
            return set(self._known.topics)

    def remember(self, topics: Iterable[str]) -> None:
        """Keep the names of retained topics, so that a later run can empty them. Raises OutboxError."""
        with self._lock:
            fresh = set(topics) - self._known.topics
            if fresh:
                with self._change() as db:
                    db.executemany("INSERT OR IGNORE INTO topics VALUES (?)", [(topic,) for topic in fresh])
                self._known.topics |= fresh

    def forget(self, topics: Iterable[str]) -> None:
        """They have been emptied. Raises OutboxError."""
        with self._lock:
            gone = set(topics)
            with self._change() as db:
                db.executemany("DELETE FROM topics WHERE topic = ?", [(topic,) for topic in gone])
            self._known.topics -= gone

    def _prune(self, db: sqlite3.Connection) -> int:
        """Delete until it fits: states first, then events, each from the oldest. How many went."""
        gone = 0
        for kind in ("state", "event"):
            while self.size_bytes > self.max_bytes:
                rows = db.execute(
                    "SELECT id FROM messages WHERE kind = ? ORDER BY id LIMIT 1", (kind,)
                ).fetchall()
                if not rows:
                    break
                gone += self._delete(db, [row[0] for row in rows])
        return gone

    def _delete(self, db: sqlite3.Connection, ids: Iterable[int]) -> int:
        gone = 0
        for id in ids:
            row = db.execute("SELECT topic, payload FROM messages WHERE id = ?", (id,)).fetchone()
            if row is not None:
                db.execute("DELETE FROM messages WHERE id = ?", (id,))
                self.size_bytes -= _size(row[0], row[1])
                self.waiting -= 1
                gone += 1
        return gone

    def _count(self, db: sqlite3.Connection, lost: int) -> None:
        if lost:
            self.lost += lost
            db.execute("INSERT OR REPLACE INTO counters VALUES ('lost', ?)", (self.lost,))

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone. Leaves nothing behind, in memory or on disk, when it fails."""
        with self._lock:
            if (
                self._db is None and self._wanted
            ):  # a broken file could not be replaced: it may be possible now
                self.open()
            db = self._db
            if db is None:
                raise OutboxError(f"{self.path}: not open")
            before = self.size_bytes, self.waiting, self.lost
            try:
                db.execute("BEGIN")
                yield db
                db.execute("COMMIT")
            except BaseException as error:
                self.size_bytes, self.waiting, self.lost = before
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise OutboxError(f"{self.path}: {_words(error)}") from error
                if _broken(error):
                    self._renew(str(error))
                    raise OutboxError(f"{self.path}: {self.set_aside}") from error
                raise

    def _renew(self, reason: str) -> None:
        """Set the broken file aside and begin anew. Raises OutboxError when even that fails."""
        self._shut()
        try:
            aside = self._move(reason)
            self._known.merge(salvage.salvage(aside))
            self._known.lost = max(self._known.lost, self.lost + self.waiting)
            self._db = self._connect()
        except (OSError, sqlite3.Error) as error:
            self._shut()
            raise OutboxError(f"{self.path}: {_words(error)}") from error

    def _begin(self) -> None:
        try:
            self._db = self._connect()
        except sqlite3.DatabaseError as error:
            if not _broken(error):
                raise
            self._renew(str(error))

    def _connect(self) -> sqlite3.Connection:
        """Raises a bare sqlite3.DatabaseError when the file is no sound outbox."""
        log = Path(f"{self.path}-wal")
        size = self.path.stat().st_size if self.path.exists() else 0
        # SQLite deletes the log of an empty file without a word, and the messages in it.
        if size == 0 and log.exists() and log.stat().st_size > 0:
            raise sqlite3.DatabaseError("the file is empty but its log is not")
        if 0 < size < 512:  # the smallest page there is; some shorter files SQLite takes for new ones
            raise sqlite3.DatabaseError("file is not a database")
        db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            # One process alone: a second agent on the same state directory is refused; no -shm is needed.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            db.execute(f"PRAGMA journal_size_limit = {WAL_PAGES * 4096}")
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                db.execute("BEGIN IMMEDIATE")
                for statement in SCHEMA:
                    db.execute(statement)
                self._known.write(db)
                db.execute("COMMIT")
            self._take_stock(db)
        except BaseException:
            db.close()
            raise
        return db

    def _take_stock(self, db: sqlite3.Connection) -> None:
        """Check the file and count what is in it."""
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise sqlite3.DatabaseError("not an outbox")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise sqlite3.DatabaseError(f"an outbox of version {version}, which this agent does not know")
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"damaged: {' '.join(str(verdict).split())}")
        count, size = db.execute(
            "SELECT count(*), total(length(CAST(topic AS BLOB)) + length(payload)) FROM messages"
        ).fetchone()
        self.waiting = count
        self.size_bytes = int(size) + count * ROW_BYTES
        known = salvage.read(db)
        self.lost = known.lost
        self._known.merge(known)

    def _move(self, reason: str) -> Path:
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        target = Path(f"{self.path}.corrupt-{stamp}")
        count = 1
        while target.exists():
            count += 1
            target = Path(f"{self.path}.corrupt-{stamp}.{count}")
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{ending}").rename(f"{target}{ending}")
        aside = sorted(
            self.path.parent.glob(f"{self.path.name}.corrupt-*"), key=lambda path: path.stat().st_mtime
        )
        for old in [path for path in aside if not path.name.endswith(("-wal", "-shm"))][:-KEPT_ASIDE]:
            for ending in ("", "-wal", "-shm"):
                Path(f"{old}{ending}").unlink(missing_ok=True)
        sync_directory(self.path.parent)
        self.set_aside = f"{reason}; set aside as {target.name}"
        logger.error("outbox: %s; what waited in it is not sent", self.set_aside)
        return target

    def _shut(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


def sync_directory(path: Path) -> None:
    """Make renames in a directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _size(topic: str, payload: bytes) -> int:
    return len(topic.encode()) + len(payload) + ROW_BYTES


def _crc(message: Message) -> int:
    """Of topic and payload. A damaged row may hold text where bytes were: no match either."""
    payload = message.payload if isinstance(message.payload, bytes) else b""
    return zlib.crc32(payload, zlib.crc32(str(message.topic).encode()))


def _broken(error: BaseException) -> bool:
    """SQLITE_CORRUPT and SQLITE_NOTADB come as the bare class; all other errors as subclasses of it."""
    return type(error) is sqlite3.DatabaseError


def _words(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return "another process has it open: is a second agent running?"
    if "full" in text:
        return "the disk is full"
    if "readonly" in text:
        return "no permission to write to it"
    if "unable to open" in text:
        return "cannot be opened: no permission, or not a file"
    return text
