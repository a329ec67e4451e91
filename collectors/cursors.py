"""How far a sink has got in each outbox: one database per sink, written by that sink's sender alone.

A cursor is bound to the uuid of its outbox, so a recreated outbox begins at its first row. Position, ranges
and counters move in one transaction per acknowledgement, on disk before it returns: the collector deletes
what the position has passed, and a position that a power cut took back would never be reached again. The
same transaction keeps the ledger: points delivered, by collector and hour of their timestamps, which is
what ``daq audit`` compares with the sink.

A damaged database is set aside and made anew. No point is lost and none counted twice by that (but the ledger begins
again): the collector notes where each cursor stood whenever it deletes rows, so what is not settled by that note is
still there to be sent, again at worst; a sink that gets a point twice keeps it once.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from collectors.contract import StateDir
from collectors.cursor import Cursor, Rows
from collectors.wal import connect, is_damage, transaction, verify

HOUR_NS = 3600 * 10**9
LEDGER_HOURS = 40 * 24
"""How long delivered points are remembered by hour."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors(
  uuid TEXT PRIMARY KEY, collector TEXT NOT NULL, position INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0, damaged INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger(
  collector TEXT, hour INTEGER, points INTEGER NOT NULL, PRIMARY KEY (collector, hour)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replayed(letter TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ranges(
  uuid TEXT, first INTEGER, last INTEGER NOT NULL, settled INTEGER NOT NULL, PRIMARY KEY (uuid, first)
) WITHOUT ROWID
"""
_GET = """
SELECT position, delivered, rejected, damaged, first, last, settled FROM cursors LEFT JOIN ranges USING (uuid)
WHERE uuid = ? ORDER BY first
"""
_RANGE = "INSERT INTO ranges VALUES (?, ?, ?, ?)"

log = logging.getLogger("collectors.cursors")


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of rows of one outbox: points `rejected`, and delivered by hour since the epoch."""

    rows: Sequence[Rows]
    rejected: int = 0
    delivered: Mapping[int, int] = field(default_factory=dict)


def read_cursor(state: StateDir, sink: str, uuid: str) -> Cursor:
    """A sink's cursor in one outbox, as its sender last committed it; rows 0 where the sender never came.

    Raises sqlite3.Error.
    """
    path = state.cursors(sink)
    if not path.exists():
        return Cursor()
    with closing(connect(path, write=False)) as db:
        table = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'ranges'").fetchone()
        return (_get(db, uuid) if table else None) or Cursor()


def read_ledger(state: StateDir, sink: str, collector: str, first: int, last: int) -> int:
    """Points of a collector that a sink has taken, by the hours of their timestamps: `first` to before `last`.

    Raises sqlite3.Error.
    """
    path = state.cursors(sink)
    if not path.exists():
        return 0
    with closing(connect(path, write=False)) as db:
        row = db.execute(
            "SELECT sum(points) FROM ledger WHERE collector = ? AND hour >= ? AND hour < ?",
            (collector, first, last),
        ).fetchone()
    return int(row[0] or 0)


def outbox_known_as(state: StateDir, collector: str) -> str | None:
    """The uuid under which senders know a collector's outbox; None where none has met it."""
    for sink in state.sinks_with_cursors():
        try:
            db = connect(state.cursors(sink), write=False)
            try:
                found = db.execute("SELECT uuid FROM cursors WHERE collector = ?", (collector,)).fetchone()
            finally:
                db.close()
        except sqlite3.Error:
            continue  # damaged too, or being made; another may know
        if found:
            return str(found[0])
    return None


class Cursors:
    """A sink's cursors, for its sender. Raises sqlite3.Error."""

    def __init__(self, state: StateDir, sink: str) -> None:
        """Open them; damaged ones are set aside as ``.corrupt-<time>`` and begun anew. Raises OSError too."""
        path = state.cursors(sink)
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            log.error("cannot read %s: %s; it is set aside, outboxes know where to go on", path.name, error)
            _set_aside(path)
            self._db = _open(path)
        self._known: dict[str, Cursor] = {}
        self._left_over: dict[str, Sequence[Rows]] = {}

    def begin(self, uuid: str, collector: str, noted: Cursor) -> None:
        """Meet an outbox, which notes where this sink stood: a cursor that knows of less goes on from there."""
        with self._all_or_nothing():
            self._forget_others(collector, uuid)
            if self.get(uuid).settled < noted.settled:
                self._put(uuid, noted)

    def tell_damaged(self, uuid: str, inode: int) -> None:
        """Let the collector know that this file of its outbox cannot be read whole."""
        if self.get(uuid).damaged != inode:
            self._db.execute("UPDATE cursors SET damaged = ? WHERE uuid = ?", (inode, uuid))
            self._known[uuid] = replace(self.get(uuid), damaged=inode)

    def get(self, uuid: str) -> Cursor:
        """Where this sink stands in the outbox `uuid`."""
        if uuid not in self._known:
            self._known[uuid] = cursor = _get(self._db, uuid) or Cursor()
            self._left_over[uuid] = cursor.flights
        return self._known[uuid]

    def left_over(self, uuid: str) -> Sequence[Rows]:
        """Rows that a sender before this one left on their way, at the first call."""
        self.get(uuid)
        return self._left_over.pop(uuid, ())

    def leave_over(self, uuid: str, rows: Sequence[Rows]) -> None:
        """What :meth:`left_over` told could not be read or noted now; it will tell it again."""
        if rows:
            self._left_over[uuid] = rows

    def take_off(self, rows: Mapping[str, tuple[str, Sequence[Rows]]]) -> None:
        """Commit what is about to be sent: by outbox uuid its collector and rows.

        Not synced: after a power cut nothing is on its way.
        """
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._all_or_nothing():
            for uuid, (collector, taken) in rows.items():
                self._forget_others(collector, uuid)
                cursor = self.get(uuid)
                new = [rows for rows in taken if rows not in cursor.flights]
                self._db.executemany(_RANGE, [(uuid, *rows, 0) for rows in new])
                self._known[uuid] = cursor.take_off(new)

    def put_back(self, rows: Mapping[str, Sequence[Rows]]) -> None:
        """Commit that these are not on their way any more, nothing of them having been taken."""
        with self._all_or_nothing():
            for uuid, taken in rows.items():
                cursor = self.get(uuid)
                left = tuple(f for f in cursor.flights if f not in set(taken))
                self._put(uuid, replace(cursor, flights=left))

    def acknowledge(self, settled: Mapping[str, Settled]) -> None:
        """Commit, synced, what became of rows that were on their way, by outbox uuid."""
        self._db.execute("PRAGMA synchronous = FULL")
        with self._all_or_nothing():
            for uuid, part in settled.items():
                delivered = sum(part.delivered.values())
                self._put(uuid, self.get(uuid).settle(part.rows, delivered, part.rejected))
                self._enter(uuid, part.delivered)

    def replayed(self, letters: Iterable[tuple[str, str, int, int]]) -> None:
        """Commit, synced, that dead letters were delivered after all: id, outbox uuid, hour and points of each.

        They are remembered until :meth:`forget_replayed`, so that none is counted twice.
        """
        self._db.execute("PRAGMA synchronous = FULL")
        with self._all_or_nothing():
            for letter, uuid, hour, points in letters:
                added = self._db.execute("INSERT OR IGNORE INTO replayed VALUES (?)", (letter,)).rowcount
                cursor = self.get(uuid)
                moved = min(points, cursor.rejected)
                if added and moved:
                    self._put(
                        uuid,
                        replace(cursor, delivered=cursor.delivered + moved, rejected=cursor.rejected - moved),
                    )
                    self._enter(uuid, {hour: moved})

    def already_replayed(self) -> set[str]:
        """The letters that were delivered, and perhaps still stand in their file."""
        return {letter for (letter,) in self._db.execute("SELECT letter FROM replayed")}

    def forget_replayed(self) -> None:
        """Their file holds none of them any more."""
        self._db.execute("DELETE FROM replayed")

    def close(self) -> None:
        """Release the database."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A transaction; where it fails, what is known goes back with it."""
        before = dict(self._known)
        try:
            with transaction(self._db):
                yield
        except BaseException:
            self._known = before
            raise

    def _put(self, uuid: str, cursor: Cursor) -> None:
        self._db.execute(
            "UPDATE cursors SET position = ?, delivered = ?, rejected = ? WHERE uuid = ?",
            (cursor.position, cursor.delivered, cursor.rejected, uuid),
        )
        self._db.execute("DELETE FROM ranges WHERE uuid = ?", (uuid,))
        self._db.executemany(_RANGE, [(uuid, *rows, 1) for rows in cursor.ahead])
        self._db.executemany(_RANGE, [(uuid, *rows, 0) for rows in cursor.flights])
        self._known[uuid] = cursor

    def _enter(self, uuid: str, points: Mapping[int, int]) -> None:
        oldest = time.time_ns() // HOUR_NS - LEDGER_HOURS
        self._db.executemany(
            "INSERT INTO ledger SELECT collector, ?, ? FROM cursors WHERE uuid = ? "
            "ON CONFLICT DO UPDATE SET points = points + excluded.points",
            [(hour, n, uuid) for hour, n in points.items()],
        )
        self._db.execute(
            "DELETE FROM ledger WHERE collector = (SELECT collector FROM cursors WHERE uuid = ?) AND hour < ?",
            (uuid, oldest),
        )

    def _forget_others(self, collector: str, uuid: str) -> None:
        """A collector has one outbox; the cursors of those before it are of no use."""
        if not self._db.execute(
            "INSERT OR IGNORE INTO cursors(uuid, collector) VALUES (?, ?)", (uuid, collector)
        ).rowcount:
            return
        gone = self._db.execute(
            "SELECT uuid FROM cursors WHERE collector = ? AND uuid <> ?", (collector, uuid)
        ).fetchall()
        self._db.executemany("DELETE FROM ranges WHERE uuid = ?", gone)
        self._db.executemany("DELETE FROM cursors WHERE uuid = ?", gone)


def _open(path: Path) -> sqlite3.Connection:
    db = connect(path, write=True)
    try:
        for statement in _SCHEMA.split(";\n"):
            db.execute(statement)
        if not db.execute("SELECT 1 FROM pragma_table_info('cursors') WHERE name = 'damaged'").fetchone():
            db.execute("ALTER TABLE cursors ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0")
        verify(db)
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(path: Path) -> None:
    for suffix in ("", "-wal"):
        if (file := path.with_name(path.name + suffix)).exists():
            file.replace(f"{file}.corrupt-{time.time():.0f}")
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


def _get(db: sqlite3.Connection, uuid: str) -> Cursor | None:
    rows = db.execute(_GET, (uuid,)).fetchall()
    if not rows:
        return None
    position, delivered, rejected, damaged, *_ = rows[0]
    ranges = [row[4:] for row in rows if row[4] is not None]
    return Cursor(
        position,
        delivered,
        rejected,
        ahead=tuple((first, last) for first, last, settled in ranges if settled),
        flights=tuple((first, last) for first, last, settled in ranges if not settled),
        damaged=damaged,
    )
