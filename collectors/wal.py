"""SQLite in WAL mode, opened one way everywhere: readers never wait for the writer, nor it for them.

Every database has one writing process, and only it checkpoints. A commit survives ``kill -9`` at once;
how soon it survives a power cut is each database's own ``PRAGMA synchronous``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BUSY_S = 5.0


def connect(path: Path, *, write: bool, auto_vacuum: bool = False) -> sqlite3.Connection:
    """Open a database, creating it with `write`; without, only read. Any thread may use it, one at a time.

    Statements commit by themselves outside :func:`transaction`. `auto_vacuum` lets a new file shrink later.
    Raises sqlite3.Error, OSError.
    """
    if write:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'rw'}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)
    try:
        if auto_vacuum:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL" if write else "PRAGMA query_only = 1")
    except BaseException:
        db.close()
        raise
    return db


class DamagedError(sqlite3.DatabaseError):
    """The file is not the database it should be, or not a whole one."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def verify(db: sqlite3.Connection) -> None:
    """Read all of a small database. Raises DamagedError."""
    if (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise DamagedError(found)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it says that the file is damaged or no database, and not that it cannot be had just now."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or nothing; `kind` DEFERRED gives a reader one snapshot. Raises sqlite3.Error."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
