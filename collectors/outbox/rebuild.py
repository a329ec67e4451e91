"""What can still be read of a damaged outbox, in a new file in its place.

The new file is whole and on disk before the old one moves aside, so a death at any moment costs nothing: it is
either begun again or finished with the next opening.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from collectors.outbox.file import aside_of, create, files, lacks_rows, pack, unpack
from collectors.wal import DamagedError, is_damage, transaction

Row = tuple[Any, ...]

_ROWS_AT_ONCE = 200
_ROWS_UNCOUNTED = 5_000
"""So far behind what was counted rows are looked for where the last one cannot be asked for."""

log = logging.getLogger("collectors.outbox")


def rebuild(path: Path, known: str | None) -> None:
    """Make a new outbox of what is readable; `known` is the uuid that senders know it by.

    Raises sqlite3.Error or OSError where the new one cannot be written; then nothing has changed.
    """
    new = _unfinished(path)
    for file in files(new):
        file.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        kept = _salvage(path, db, known)
    _put_on_disk(new)
    aside = aside_of(path)
    if path.exists():
        path.replace(aside)
    if (log_file := files(path)[1]).exists():
        log_file.replace(aside.with_name(f"{aside.name}-wal"))
    finish(path)
    log.error("the outbox was damaged: %d batches were taken over; the damaged file is %s", kept, aside.name)


def put_back(db: sqlite3.Connection, path: Path) -> None:
    """Make the file of an open outbox anew, whole, where it was removed or replaced under its writer; closes `db`.

    What lies in its place is set aside. Raises sqlite3.Error or OSError; then it can be tried again.
    """
    new = _unfinished(path)
    for file in files(new):
        file.unlink(missing_ok=True)
    db.execute("VACUUM INTO ?", (str(new),))
    _put_on_disk(new)
    db.close()  # which removes what has the name of its log
    if path.exists():
        path.replace(aside_of(path))
    finish(path)
    log.error("the outbox was removed or replaced while it was in use; all of it is put back")


def finish(path: Path) -> None:
    """Put a new file that is ready in the place of the one that was moved aside. Raises OSError."""
    new = _unfinished(path)
    if new.exists() and not path.exists():
        for file in files(path)[1:]:
            file.unlink(missing_ok=True)
        new.replace(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _salvage(path: Path, db: sqlite3.Connection, known: str | None) -> int:
    """Copy what is readable; how many rows that were."""
    if not path.exists():
        create(db, known or uuid.uuid4().hex)
        return 0
    with _opened(path) as old:
        meta = _readable(old, "SELECT * FROM meta")
        create(db, meta[0][0] if meta else known or uuid.uuid4().hex)
        routes = _readable(old, "SELECT id, sinks FROM routes")
        counters = _readable(old, "SELECT * FROM counters")
        sequence = _readable(old, "SELECT seq FROM sqlite_sequence WHERE name = 'batches'")
        counted_to = meta[0][1] if meta and len(meta[0]) > 1 else sequence[0][0] if sequence else 0
        kept = 0
        with transaction(db):
            db.executemany("INSERT INTO routes VALUES (?, ?)", routes)
            db.executemany(
                "INSERT INTO counters(sink, acquired, dropped) VALUES (?, ?, ?)", [c[:3] for c in counters]
            )
            db.executemany(
                "UPDATE counters SET position = ?, delivered = ?, rejected = ?, ahead = ? WHERE sink = ?",
                [(*c[3:], c[0]) for c in counters if len(c) == 7],
            )
            for _, sinks in routes:
                db.executemany(
                    "INSERT OR IGNORE INTO counters(sink) VALUES (?)", [(s,) for s in sinks.split()]
                )
            for row in _rows(old, {number for number, _ in routes}, counted_to):
                db.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)
                kept += 1
            db.execute("UPDATE meta SET counted_to = ?", (counted_to,))
            lacks_rows(db, to=True)
        return kept


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The damaged file, as far as it can be opened: one with a broken first page as a copy with a whole one.

    All outboxes have the same first page: a header and where their tables begin.
    """
    with closing(_connect(path)) as old:
        if not _is_broken(old) or not path.stat().st_size:
            yield old
            return
    copy, blank = (path.with_name(f".{path.name}.{what}") for what in ("copy", "blank"))
    try:
        with closing(sqlite3.connect(blank, isolation_level=None)) as db:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            create(db, "")
            size = db.execute("PRAGMA page_size").fetchone()[0]
        shutil.copyfile(path, copy)
        with blank.open("rb") as whole, copy.open("r+b") as file:
            file.write(whole.read(size))
            file.seek(28)  # where a header says how many pages there are
            file.write((path.stat().st_size // size).to_bytes(4, "big"))
        with closing(_connect(copy)) as old:
            yield old
    finally:
        for file_left in (*files(copy), *files(blank)):
            file_left.unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    old = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    with suppress(sqlite3.DatabaseError):
        old.execute("PRAGMA writable_schema = ON")  # reads also what is shorter than its header says
    return old


def _is_broken(old: sqlite3.Connection) -> bool:
    try:
        old.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        return is_damage(error)
    return False


def _rows(old: sqlite3.Connection, routes: set[int], counted_to: int) -> Iterator[Row]:
    """Every row that can be read and is what was written, in order."""
    version = _readable(old, "PRAGMA user_version")
    first, last = (
        _readable(old, f"SELECT id FROM batches ORDER BY id {way} LIMIT 1") for way in ("ASC", "DESC")
    )
    row = first[0][0] if first else 1
    end = last[0][0] if last else max(row, counted_to) + _ROWS_UNCOUNTED
    some = "SELECT id, at_ns, route, points, lines, body FROM batches WHERE id BETWEEN ? AND ? ORDER BY id"
    while row <= end:
        upto = min(end, row + _ROWS_AT_ONCE - 1)
        try:
            found = old.execute(some, (row, upto)).fetchall()
        except sqlite3.Error:
            found = [r for number in range(row, upto + 1) for r in _readable(old, some, (number, number))]
        row = upto + 1
        for number, at_ns, route, points, lines, body in found:
            try:
                packed = pack(body.rstrip(b"\n")) if version == [(1,)] else body
                whole = unpack(packed).count(b"\n") + 1 == lines
            except (DamagedError, TypeError, AttributeError):
                continue
            if whole and route in routes:
                yield number, at_ns, route, points, lines, packed


def _readable(old: sqlite3.Connection, query: str, parameters: Row = ()) -> list[Row]:
    try:
        return old.execute(query, parameters).fetchall()
    except sqlite3.Error as error:
        if (
            isinstance(error, sqlite3.OperationalError)
            and not is_damage(error)
            and "no such" not in str(error)
        ):
            raise
        return []


def _put_on_disk(new: Path) -> None:
    fd = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
