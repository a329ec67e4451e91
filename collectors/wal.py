"""SQLite in WAL mode, opened one way everywhere: readers never wait for the writer, nor it for them.

Every database has one writing process, and only it checkpoints: readers open read-only, else the last one to close
would write the log back and remove it, and with it what tells of damage. A commit survives ``kill -9`` at once; how
soon it survives a power cut is each database's own ``PRAGMA synchronous``.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

_BUSY_S = 5.0
_GENERATIONS = 1 << 20


def connect(
    path: Path,
    *,
    write: bool,
    auto_vacuum: bool = False,
    synchronous: Literal["OFF", "NORMAL", "FULL"] = "FULL",
) -> sqlite3.Connection:
    """Open a database, creating it with `write`; without, only read. Any thread may use it, one at a time.

    Statements commit by themselves outside :func:`transaction`. `auto_vacuum` lets a new file shrink later.
    `synchronous` holds from the first page on. Raises sqlite3.Error, OSError.
    """
    if write:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)
    try:
        db.execute(f"PRAGMA synchronous = {synchronous}")
        if auto_vacuum:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if write:
            db.execute("PRAGMA journal_mode = WAL")
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


def committed_frames(log: Path) -> int:
    """How many frames of a log belong to transactions that were committed, whether or not they are whole still.

    https://www.sqlite.org/fileformat2.html#the_write_ahead_log: a header of 32 bytes, then frames of a header of 24
    and a page; frames of the present generation bear the header's salt, the last one of a commit a size. Behind them
    may stand frames of earlier generations, whose first salt is lower by a few. More than any log holds where there
    is anything else.
    """
    try:
        size = log.stat().st_size
        with log.open("rb") as file:
            magic, _, page, _, *salt = struct.unpack(">6I", file.read(24))
            if magic not in (0x377F0682, 0x377F0683):
                return size
            last = 0
            for number in range((size - 32) // (24 + page)):
                file.seek(32 + number * (24 + page) + 4)
                commit, *theirs = struct.unpack(">3I", file.read(12))
                if theirs == salt:
                    last = number + 1 if commit else last
                elif not 0 < (salt[0] - theirs[0]) % (1 << 32) < _GENERATIONS:
                    return size
            return last
    except (FileNotFoundError, struct.error):
        return 0  # none, or not even a header


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
