"""What an outbox takes of the disk, and which of its rows have to go."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from collectors.outbox.file import files

ROW_BYTES = 32
"""What a row takes beside its body, about."""
_LOG_BYTES = 2 << 20
"""Reserved for the log, which is written back at half of it; less in an outbox of few MiB."""
_SPARE_PAGES = 256
"""Free pages kept for reuse before the file gives any back."""
_GIVEN_PAGES = 4096
"""Most of what it gives back at once, so that nobody waits long."""


def used(db: sqlite3.Connection, path: Path) -> int:
    """Bytes of the file that hold something, and of its log. Raises sqlite3.Error."""
    log = files(path)[1]
    return _filled(db) + (log.stat().st_size if log.exists() else 0)


def last_beyond(db: sqlite3.Connection, path: Path, max_bytes: int, oldest_ns: int) -> int:
    """The newest row that a limit asks to drop; 0 for none. Raises sqlite3.Error."""
    first = db.execute("SELECT at_ns FROM batches ORDER BY id LIMIT 1").fetchone()
    if first is None:
        return 0
    old = full = 0
    if first[0] < oldest_ns:
        (old,) = db.execute("SELECT max(id) FROM batches WHERE at_ns < ?", (oldest_ns,)).fetchone()
    over = max(used(db, path), _filled(db) + _log_bytes(max_bytes)) - max_bytes
    if over > 0:
        for row, size in db.execute("SELECT id, length(body) FROM batches ORDER BY id"):
            full, over = row, over - size
            if over <= 0:
                break
    return max(old, full)


def limit_log(db: sqlite3.Connection, max_bytes: int) -> None:
    """Have the log written back, and cut, at half of what is reserved for it. Raises sqlite3.Error."""
    log_bytes = _log_bytes(max_bytes) // 2
    db.execute(f"PRAGMA wal_autocheckpoint = {log_bytes // _pragma(db, 'page_size')}")
    db.execute(f"PRAGMA journal_size_limit = {log_bytes}")


def give_back(db: sqlite3.Connection, max_bytes: int) -> None:
    """Let the file shrink by what it neither needs nor will soon. Raises sqlite3.Error."""
    free, size = _pragma(db, "freelist_count"), _pragma(db, "page_size")
    spare = min(_SPARE_PAGES, max_bytes // 8 // size)
    if free > spare:
        db.executescript(f"PRAGMA incremental_vacuum({min(free - spare, _GIVEN_PAGES)})")


def kept_asides(path: Path, found: list[Path], max_bytes: int, oldest_ns: int) -> list[Path]:
    """Of damaged files that were set aside (oldest first) remove all but the newest, log and all; what is kept.

    That one goes too when it is as old as data may be, or takes space that data needs. Raises OSError.
    """
    newest = found[-1].name.removesuffix("-wal").removesuffix("-receipt")
    kept = [file for file in found if file.name.startswith(newest) and file.exists()]
    taken = sum(file.stat().st_size for file in (*files(path), *kept) if file.exists())
    if taken > max_bytes or any(file.stat().st_mtime_ns < oldest_ns for file in kept):
        kept = []
    for file in set(found) - set(kept):
        file.unlink(missing_ok=True)
    return kept


def _filled(db: sqlite3.Connection) -> int:
    return (_pragma(db, "page_count") - _pragma(db, "freelist_count")) * _pragma(db, "page_size")


def _log_bytes(max_bytes: int) -> int:
    return max(1 << 15, min(_LOG_BYTES, max_bytes // 8))


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value
