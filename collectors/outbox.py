"""A collector's outbox: what it has read and not every sink has taken yet. SQLite, one writer: the collector.

Lines that were acquired together are one row, and one transaction with the counters, so that a point is
counted exactly when it is stored. A row carries its route, the sinks in force when it was read, and stays
with them. Senders only read; each keeps its position in its own database (cursors.py). Rows that all
cursors of their route have passed are pruned.

**Dropping the oldest without touching what is being sent.** Two short sections must not interleave: a
sender reads which rows exist and commits their range as in flight; the collector reads those ranges and
deletes rows outside them. Both hold :func:`turn`, a lock of the kernel's that dies with its holder, and
neither waits for it: a sender comes back a moment later, a collector drops at its next turn. So a row is
in a published range before its sender posts it, or is gone before the sender looks. Committing to one
database after reading the other would not do by itself: whichever order the two choose, a row remains
that both, or neither, would count. Acknowledging needs no lock: it moves rows from in flight to passed in
one transaction, and neither kind is dropped. A killed sender leaves its ranges published; its successor
sends those first.

A commit survives ``kill -9`` at once (WAL, synchronous = NORMAL) and a power cut once the log is synced:
with the next append or :meth:`Outbox.maintain` after :data:`SYNC_EVERY_S`. A sender may have delivered,
and durably counted, rows that a power cut then took from the outbox; opening counts them as acquired
again and never reuses their ids.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from collectors.contract import Points, StateDir
from collectors.cursors import Cursor, read_cursor
from collectors.wal import connect, transaction

SYNC_EVERY_S = 4.0
"""A power cut takes at most this many seconds of readings, plus the time to the next call."""

_SPARE_PAGES = 256
"""Free pages kept for reuse before the file gives any back."""

_VERSION = 1
_SCHEMA = """
CREATE TABLE meta(uuid TEXT NOT NULL);
CREATE TABLE routes(id INTEGER PRIMARY KEY, sinks TEXT NOT NULL UNIQUE);
CREATE TABLE batches(
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, route INTEGER NOT NULL REFERENCES routes,
  points INTEGER NOT NULL, lines INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE counters(
  sink TEXT PRIMARY KEY, acquired INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO sqlite_sequence VALUES ('batches', 0);
"""


class Outbox:
    """The writing side, for the collector alone. Methods raise sqlite3.Error where it is unusable."""

    def __init__(self, state: StateDir, name: str) -> None:
        """Open the outbox of a collector, or make one. Raises sqlite3.Error, OSError."""
        self._state = state
        self._path = state.outbox(name)
        self._db = connect(self._path, write=True, auto_vacuum=True)
        self._db.execute("PRAGMA synchronous = NORMAL")
        if not self._db.execute("PRAGMA user_version").fetchone()[0]:
            self._create()
        self.uuid: str = self._db.execute("SELECT uuid FROM meta").fetchone()[0]
        self._routes = {tuple(s.split()): i for i, s in self._db.execute("SELECT id, sinks FROM routes")}
        self._passed: list[tuple[int, int]] = []
        self._synced_at, self._unsynced = time.monotonic(), True
        self._catch_up()

    def append(self, lines: bytes, points: int, sinks: tuple[str, ...]) -> None:
        """Store newline-separated lines of `points` fields in all for `sinks`; stored and counted on return.

        Without sinks nothing is stored.
        """
        if not sinks:
            return
        with transaction(self._db):
            route = self._routes.get(sinks) or self._new_route(sinks)
            self._db.execute(
                "INSERT INTO batches(at_ns, route, points, lines, body) VALUES (?, ?, ?, ?, ?)",
                (time.time_ns(), route, points, lines.rstrip(b"\n").count(b"\n") + 1, lines),
            )
            self._db.executemany(
                "UPDATE counters SET acquired = acquired + ? WHERE sink = ?",
                [(points, sink) for sink in sinks],
            )
        self._routes[sinks] = route
        self._unsynced = True
        self._sync_if_due()

    def counts(self) -> dict[str, Points]:
        """Points by sink. Cursors are read before the own counters, so no count is ever negative."""
        cursors = self._cursors()
        rows = self._db.execute("SELECT sink, acquired, dropped FROM counters").fetchall()
        return {
            sink: points_of(acquired, dropped, cursors.get(sink, Cursor()))
            for sink, acquired, dropped in rows
        }

    def prune(self) -> None:
        """Delete the rows that every sink of their route has passed."""
        cursors = self._cursors()
        passed = [(min(cursors[s].position for s in sinks), route) for sinks, route in self._routes.items()]
        if passed != self._passed:
            with transaction(self._db):
                self._db.executemany("DELETE FROM batches WHERE id <= ? AND route = ?", passed)
            self._passed = passed

    def maintain(self, max_bytes: int, max_age_s: float) -> None:
        """Prune; drop and count the oldest rows beyond `max_bytes` or `max_age_s`; sync; give space back.

        Call it about once a second. While a sender chooses its rows, dropping waits for the next call.
        """
        self.prune()
        last = self._last_beyond(max_bytes, time.time_ns() - int(max_age_s * 1e9))
        if last:
            with turn(self._path) as mine:
                if mine:
                    self._drop_to(last)
        self._sync_if_due()
        if self._pragma("freelist_count") > _SPARE_PAGES:
            self._db.executescript(f"PRAGMA incremental_vacuum({_SPARE_PAGES})")

    def sync(self) -> None:
        """Put everything appended on disk now."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._synced_at, self._unsynced = time.monotonic(), False

    def close(self) -> None:
        """Release the database, everything on disk."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _create(self) -> None:
        with transaction(self._db):
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute("INSERT INTO meta VALUES (?)", (uuid.uuid4().hex,))
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def _new_route(self, sinks: tuple[str, ...]) -> int:
        self._db.executemany("INSERT OR IGNORE INTO counters(sink) VALUES (?)", [(sink,) for sink in sinks])
        added = self._db.execute("INSERT INTO routes(sinks) VALUES (?)", (" ".join(sinks),))
        assert added.lastrowid is not None
        return added.lastrowid

    def _cursors(self) -> dict[str, Cursor]:
        sinks = {sink for route in self._routes for sink in route}
        return {sink: read_cursor(self._state, sink, self.uuid) for sink in sinks}

    def _catch_up(self) -> None:
        """After a power cut: take back in what a sender had already seen of the rows that were lost."""
        cursors = self._cursors()
        (last,) = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batches'").fetchone()
        seen = max((c.seen for c in cursors.values()), default=0)
        if seen <= last:
            return
        with transaction(self._db):
            self._db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'batches'", (seen,))
            for sink, cursor in cursors.items():
                queued = sum(
                    points
                    for row, points, route in self._db.execute("SELECT id, points, route FROM batches")
                    if not cursor.passed(row) and sink in self._sinks_of(route)
                )
                self._db.execute(
                    "UPDATE counters SET acquired = dropped + ? WHERE sink = ?",
                    (cursor.delivered + cursor.rejected + queued, sink),
                )

    def _last_beyond(self, max_bytes: int, oldest_ns: int) -> int:
        """The newest row that a limit asks to drop; 0 for none."""
        first = self._db.execute("SELECT at_ns FROM batches ORDER BY id LIMIT 1").fetchone()
        if first is None:
            return 0
        old = 0
        if first[0] < oldest_ns:
            (old,) = self._db.execute("SELECT max(id) FROM batches WHERE at_ns < ?", (oldest_ns,)).fetchone()
        over = (self._pragma("page_count") - self._pragma("freelist_count")) * self._pragma(
            "page_size"
        ) - max_bytes
        full = 0
        if over > 0:
            for row, size in self._db.execute("SELECT id, length(body) FROM batches ORDER BY id"):
                full, over = row, over - size
                if over <= 0:
                    break
        return max(old, full)

    def _drop_to(self, last: int) -> None:
        cursors = self._cursors()
        rows = self._db.execute("SELECT id, route, points FROM batches WHERE id <= ?", (last,)).fetchall()
        dropped: dict[str, int] = {}
        gone: list[tuple[int]] = []
        for row, route, points in rows:
            sinks = self._sinks_of(route)
            if any(cursors[sink].sending(row) for sink in sinks):
                continue
            gone.append((row,))
            for sink in sinks:
                if not cursors[sink].passed(row):
                    dropped[sink] = dropped.get(sink, 0) + points
        with transaction(self._db):
            self._db.executemany("DELETE FROM batches WHERE id = ?", gone)
            self._db.executemany(
                "UPDATE counters SET dropped = dropped + ? WHERE sink = ?",
                [(n, sink) for sink, n in dropped.items()],
            )

    def _sinks_of(self, route: int) -> tuple[str, ...]:
        return next(sinks for sinks, number in self._routes.items() if number == route)

    def _sync_if_due(self) -> None:
        if self._unsynced and time.monotonic() - self._synced_at >= SYNC_EVERY_S:
            self.sync()

    def _pragma(self, name: str) -> int:
        value: int = self._db.execute(f"PRAGMA {name}").fetchone()[0]
        return value


@contextmanager
def turn(outbox: Path) -> Iterator[bool]:
    """Try to be the one that decides about an outbox's rows; yields whether we are. Raises OSError."""
    fd = os.open(outbox.with_suffix(".turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def points_of(acquired: int, dropped: int, cursor: Cursor) -> Points:
    """All five counts of one sink; `cursor` must have been read first, else `queued` may be negative."""
    queued = acquired - dropped - cursor.delivered - cursor.rejected
    return Points(acquired, cursor.delivered, queued, dropped, cursor.rejected)
