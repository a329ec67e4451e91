"""How far a sink has got in each outbox: one database per sink, written by that sink's sender alone.

A cursor is bound to the uuid of its outbox, so a recreated outbox begins at its first row. Position and
counters move in one transaction per acknowledgement, on disk before it returns: the collector deletes
what the position has passed, and a position that a power cut took back would never be reached again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from collectors.contract import StateDir
from collectors.wal import connect, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors(
  uuid TEXT PRIMARY KEY, collector TEXT NOT NULL, position INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
  flight_first INTEGER NOT NULL DEFAULT 0, flight_last INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Rows up to `position` are settled; rows `flight_first` to `flight_last` are being sent (0 and 0: none).

    `delivered` and `rejected` count points.
    """

    position: int = 0
    delivered: int = 0
    rejected: int = 0
    flight_first: int = 0
    flight_last: int = 0

    def sending(self, row: int) -> bool:
        """Whether the row is on its way to the sink."""
        return self.flight_first <= row <= self.flight_last


def read_cursor(state: StateDir, sink: str, uuid: str) -> Cursor:
    """A sink's cursor in one outbox, as its sender last committed it; rows 0 where the sender never came.

    Raises sqlite3.Error.
    """
    path = state.cursors(sink)
    if not path.exists():
        return Cursor()
    db = connect(path, write=False)
    try:
        table = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursors'").fetchone()
        return (_get(db, uuid) if table else None) or Cursor()
    finally:
        db.close()


class Cursors:
    """A sink's cursors, for its sender. Raises sqlite3.Error."""

    def __init__(self, state: StateDir, sink: str) -> None:
        self._db = connect(state.cursors(sink), write=True)
        self._db.execute(_SCHEMA)

    def get(self, uuid: str) -> Cursor:
        """Where this sink stands in the outbox `uuid`."""
        return _get(self._db, uuid) or Cursor()

    def take_off(self, uuids: Mapping[str, tuple[str, int, int]]) -> None:
        """Commit what is about to be sent: by outbox uuid its collector, first and last row.

        Not synced: after a power cut nothing is on its way.
        """
        self._db.execute("PRAGMA synchronous = NORMAL")
        with transaction(self._db):
            for uuid, (collector, first, last) in uuids.items():
                self._db.execute("DELETE FROM cursors WHERE collector = ? AND uuid <> ?", (collector, uuid))
                self._db.execute(
                    "INSERT INTO cursors(uuid, collector, flight_first, flight_last) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET flight_first = excluded.flight_first,"
                    " flight_last = excluded.flight_last",
                    (uuid, collector, first, last),
                )

    def acknowledge(self, points: Mapping[str, tuple[int, int]]) -> None:
        """Commit, synced, that all in flight is settled: by outbox uuid points delivered and rejected."""
        self._db.execute("PRAGMA synchronous = FULL")
        with transaction(self._db):
            self._db.executemany(
                "UPDATE cursors SET position = flight_last, flight_first = 0, flight_last = 0,"
                " delivered = delivered + ?, rejected = rejected + ? WHERE uuid = ?",
                [(delivered, rejected, uuid) for uuid, (delivered, rejected) in points.items()],
            )

    def close(self) -> None:
        """Release the database."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _get(db: sqlite3.Connection, uuid: str) -> Cursor | None:
    row = db.execute(
        "SELECT position, delivered, rejected, flight_first, flight_last FROM cursors WHERE uuid = ?", (uuid,)
    ).fetchone()
    return Cursor(*row) if row else None
