"""An outbox's file: its tables, how lines are packed in a row, how it is opened, and how damage shows."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collectors.contract import Points
from collectors.cursor import Cursor
from collectors.wal import DamagedError, committed_frames, connect, is_damage, transaction

VERSION = 2
"""Version 1 kept lines unpacked and counted at every append; its files are rebuilt."""

_SCHEMA = """
CREATE TABLE meta(uuid TEXT NOT NULL, counted_to INTEGER NOT NULL);
CREATE TABLE routes(id INTEGER PRIMARY KEY, sinks TEXT NOT NULL UNIQUE);
CREATE TABLE batches(
  id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, route INTEGER NOT NULL REFERENCES routes,
  points INTEGER NOT NULL, lines INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE counters(
  sink TEXT PRIMARY KEY, acquired INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
  position INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
  ahead TEXT NOT NULL DEFAULT '[]'
) WITHOUT ROWID;
"""

ASIDE = "corrupt"


def pack(lines: bytes) -> bytes:
    """Lines as a row keeps them: an eighth of the space, and with a checksum (RFC 1950)."""
    return zlib.compress(lines, 1)


def unpack(body: bytes) -> bytes:
    """The lines of a row. Raises DamagedError."""
    try:
        return zlib.decompress(body)
    except zlib.error as error:
        raise DamagedError(f"a row is damaged: {error}") from error


def open_file(path: Path, known: str | None) -> tuple[sqlite3.Connection, bool]:
    """Open an outbox for writing; one that does not exist yet is made, as `known` if that is given.

    Raises sqlite3.Error, OSError.

    SQLite would force a new file to disk ten times before the first row. It is left to the caller to do so once.

    One that is there and empty is damaged if it is known (by the uuid `known`).

    Of a damaged log SQLite takes, without a word, what stands before the damage; whether it did.
    """
    existed, log = path.exists(), files(path)[1]
    committed = committed_frames(log)
    db = connect(path, write=True, auto_vacuum=True, synchronous="NORMAL" if existed else "OFF")
    try:
        taken = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1] if committed else 0
        if _is_empty(db):
            if existed and known:
                raise DamagedError("it is empty, and was not")
            create(db, known or uuid.uuid4().hex)
        db.execute("PRAGMA synchronous = NORMAL")
        verify(db)
    except BaseException:
        db.close()
        raise
    return db, 0 <= taken < committed


def create(db: sqlite3.Connection, identity: str) -> None:
    """Make the tables. Raises sqlite3.Error."""
    with transaction(db):
        for statement in _SCHEMA.split(";\n"):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES (?, 0)", (identity,))
        db.execute(f"PRAGMA user_version = {VERSION}")


def verify(db: sqlite3.Connection) -> None:
    """Raises DamagedError for what is no outbox of this version, or damaged where a quick look sees it."""
    if (version := db.execute("PRAGMA user_version").fetchone()[0]) != VERSION:
        raise DamagedError(f"it is no outbox of version {VERSION} (user_version {version})")
    try:
        whole = db.execute("SELECT count(*) FROM meta").fetchone() == (1,)
        for sink in [sink for (sink,) in db.execute("SELECT sink FROM counters").fetchall()]:
            noted(db, sink)
        for order in ("ASC", "DESC"):
            db.execute(
                f"SELECT * FROM batches JOIN routes ON route = routes.id ORDER BY batches.id {order}"
            ).fetchone()
    except sqlite3.OperationalError as error:
        if is_damage(error) or "no such" in str(error):
            raise DamagedError(str(error)) from error
        raise
    if not whole:
        raise DamagedError("it does not say which outbox it is")


def noted(db: sqlite3.Connection, sink: str) -> Cursor:
    """Where a sink's cursor stood when rows were deleted last. Raises sqlite3.Error."""
    row = db.execute(
        "SELECT position, delivered, rejected, ahead FROM counters WHERE sink = ?", (sink,)
    ).fetchone()
    if row is None:
        return Cursor()
    position, delivered, rejected, ahead = row
    try:
        return Cursor(
            position, delivered, rejected, tuple((first, last) for first, last in json.loads(ahead))
        )
    except ValueError as error:
        raise DamagedError(f"where {sink} stood is damaged: {error}") from error


def lacks_rows(db: sqlite3.Connection, *, to: bool | None = None) -> bool:
    """Whether rows may be missing that counters speak of; with `to`, from now on. Raises sqlite3.Error."""
    if to is not None:
        db.execute(f"PRAGMA application_id = {int(to)}")
    return bool(db.execute("PRAGMA application_id").fetchone()[0])


def files(path: Path) -> tuple[Path, ...]:
    """The database, its log, the log's index."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def aside_of(path: Path, what: str = "") -> Path:
    """Where a file that is damaged now is set aside."""
    return path.with_name(f"{path.name}.{ASIDE}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}{what}")


def asides(path: Path) -> list[Path]:
    """Damaged files that were set aside, oldest first."""
    begin = f"{path.name}.{ASIDE}-"
    return sorted(path.with_name(name) for name in os.listdir(path.parent) if name.startswith(begin))  # noqa: PTH208


def points_of(acquired: int, dropped: int, cursor: Cursor) -> Points:
    """All five counts of one sink; `cursor` must have been read first, else `queued` may be negative."""
    queued = acquired - dropped - cursor.delivered - cursor.rejected
    return Points(acquired, cursor.delivered, queued, dropped, cursor.rejected)


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


def _is_empty(db: sqlite3.Connection) -> bool:
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    return not tables and not db.execute("PRAGMA user_version").fetchone()[0]
