"""How far a sink got in each outbox, for its sender, which alone writes it.

A cursor is bound to the uuid of its outbox, so a recreated outbox begins at its first row. Position, ranges
and counters move in one transaction per acknowledgement, on disk before it returns: the collector deletes
what the position has passed, and a position that a power cut took back would never be reached again. The
same transaction keeps the ledger: points delivered, by collector and hour of their timestamps, which is
what ``daq audit`` compares with the sink.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

from collectors.contract import StateDir
from collectors.cursor import Cursor, Rows
from collectors.cursorfile import get, open_cursors
from collectors.hours import HOUR_NS
from collectors.wal import transaction

LEDGER_HOURS = 40 * 24
"""How long delivered points are remembered by hour."""

_RANGE = "INSERT INTO ranges VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of rows of one outbox: points `rejected`, and delivered by hour since the epoch."""

    rows: Sequence[Rows]
    rejected: int = 0
    delivered: Mapping[int, int] = field(default_factory=dict)


class Cursors:
    """A sink's cursors. Methods raise sqlite3.Error or OSError while they are unusable; each call tries again."""

    def __init__(self, state: StateDir, sink: str) -> None:
        """Nothing is opened yet."""
        self._path = state.cursors(sink)
        self._opened: sqlite3.Connection | None = None
        self._known: dict[str, Cursor] = {}
        self._left_over: dict[str, Sequence[Rows]] = {}

    def open(self) -> None:
        """Have them there, also where there is nothing to note yet."""
        if self._opened is None:
            self._opened = open_cursors(self._path)

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
            self._known[uuid] = cursor = get(self._db, uuid) or Cursor()
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
        if self._opened:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _db(self) -> sqlite3.Connection:
        self.open()
        assert self._opened
        return self._opened

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
