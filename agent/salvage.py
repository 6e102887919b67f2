"""What a new outbox takes over from a broken one: numbers that must not be given twice, topics to be emptied."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

MOST = 2**53  # a larger number is damage
SMALLEST = 512  # bytes of an SQLite file; of an empty one SQLite would delete the log


@dataclass(slots=True)
class Known:
    """What outlives the messages."""

    last_id: int = 0  # of a message
    lost: int = 0
    seqs: dict[str, int] = field(default_factory=dict)  # the last of each monitor
    topics: set[str] = field(default_factory=set)  # retained on the broker, by this run or an earlier one

    def merge(self, other: Known) -> None:
        """The larger of each number, and all topics."""
        self.last_id = max(self.last_id, other.last_id)
        self.lost = max(self.lost, other.lost)
        for monitor, seq in other.seqs.items():
            self.seqs[monitor] = max(seq, self.seqs.get(monitor, 0))
        self.topics |= other.topics

    def write(self, db: sqlite3.Connection) -> None:
        """Into a new outbox, within the caller's transaction."""
        if self.last_id:
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('messages', ?)", (self.last_id,))
        if self.lost:
            db.execute("INSERT INTO counters VALUES ('lost', ?)", (self.lost,))
        db.executemany("INSERT INTO sequences VALUES (?, ?)", self.seqs.items())
        db.executemany("INSERT INTO topics VALUES (?)", [(topic,) for topic in self.topics])


def read(db: sqlite3.Connection) -> Known:
    """Of a sound outbox. Raises sqlite3.Error."""
    return Known(
        last_id=int(db.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0] or 0),
        lost=int(db.execute("SELECT total(value) FROM counters WHERE name = 'lost'").fetchone()[0]),
        seqs=dict(db.execute("SELECT monitor, seq FROM sequences")),
        topics={topic for (topic,) in db.execute("SELECT topic FROM topics")},
    )


def salvage(path: Path) -> Known:
    """What of it can still be read from a broken file, which is left as it is. Leaves out the implausible.

    The numbers of messages do not matter: none of the file's is known to anybody after a start.
    """
    found = Known()
    if not path.exists() or path.stat().st_size < SMALLEST:
        return found
    log, shared = Path(f"{path}-wal"), Path(f"{path}-shm")
    had_log = log.exists()
    with suppress(sqlite3.Error), closing(_open(path)) as db:
        for monitor, seq in _rows(db, "SELECT monitor, seq FROM sequences"):
            if isinstance(monitor, str) and isinstance(seq, int) and 0 < seq < MOST:
                found.seqs[monitor] = seq
        for (topic,) in _rows(db, "SELECT topic FROM topics"):
            if isinstance(topic, str) and topic.isprintable():
                found.topics.add(topic)
        for (lost,) in _rows(db, "SELECT value FROM counters WHERE name = 'lost'"):
            if isinstance(lost, int) and 0 < lost < MOST:
                found.lost = lost
    shared.unlink(missing_ok=True)  # SQLite makes both, also for a reader
    if not had_log:
        log.unlink(missing_ok=True)
    return found


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    db.text_factory = lambda text: text.decode(errors="replace")
    db.execute("PRAGMA writable_schema = ON")  # or SQLite would not look into a file that is cut short
    return db


def _rows(db: sqlite3.Connection, query: str) -> Iterator[tuple[object, ...]]:
    """Up to the first that is damaged."""
    with suppress(sqlite3.Error):
        yield from db.execute(query)
