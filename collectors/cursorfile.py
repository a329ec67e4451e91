"""The database of one sink's cursors, ``cursors/<sink>.db``: its tables, how it is opened, and what others read in it.

A damaged one is set aside and made anew. No point is lost and none counted twice by that (but the ledger begins again):
the collector notes where each cursor stood whenever it deletes rows, so what is not settled by that note is still there
to be sent, again at worst; a sink that gets a point twice keeps it once.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from collectors.contract import StateDir
from collectors.cursor import Cursor
from collectors.wal import connect, is_damage, verify

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

log = logging.getLogger("collectors.cursors")


def read_cursor(state: StateDir, sink: str, uuid: str) -> Cursor:
    """A sink's cursor in one outbox, as its sender last committed it; rows 0 where the sender never came.

    Raises sqlite3.Error.
    """
    path = state.cursors(sink)
    if not path.exists():
        return Cursor()
    with closing(connect(path, write=False)) as db:
        table = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'ranges'").fetchone()
        return (get(db, uuid) if table else None) or Cursor()


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


def open_cursors(path: Path) -> sqlite3.Connection:
    """Open it for its sender; a damaged one is set aside as ``.corrupt-<time>`` and begun anew.

    Raises sqlite3.Error, OSError.
    """
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        log.error("cannot read %s: %s; it is set aside, outboxes know where to go on", path.name, error)
        _set_aside(path)
        return _open(path)


def get(db: sqlite3.Connection, uuid: str) -> Cursor | None:
    """The cursor in the outbox `uuid`; None where there never was one. Raises sqlite3.Error."""
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
