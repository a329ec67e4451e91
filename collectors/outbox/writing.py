"""The writing side of an outbox, for the collector, or for who holds its lock in its place."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from collectors.contract import Points, StateDir, boot_id
from collectors.cursorfile import outbox_known_as
from collectors.outbox import space
from collectors.outbox.books import Books
from collectors.outbox.file import aside_of, asides, files, lacks_rows, open_file, pack, turn
from collectors.outbox.rebuild import finish, put_back, rebuild
from collectors.outbox.receipt import ReceiptFile, path_of
from collectors.outbox.tally import Tally, added
from collectors.wal import DamagedError, is_damage, transaction

SYNC_EVERY_S = 4.0
"""A power cut takes at most this many seconds of readings, plus the time to the next maintenance."""
PRUNE_EVERY_S = 10.0
"""Between looks for what all sinks have passed; each one that finds something costs a transaction of some pages."""

log = logging.getLogger("collectors.outbox")


class Outbox:
    """One outbox. Methods raise sqlite3.Error or OSError while it is unusable; each call tries again.

    `damage` says why the file cannot be used until :meth:`rebuild`; `stored_bytes` grows with what is appended,
    `dropped_at` is the monotonic time of the last drop.
    """

    def __init__(self, state: StateDir, name: str) -> None:
        """The outbox of a collector, opened or made; where that fails, the first call tries again."""
        self.damage: str | None = None
        self.stored_bytes = 0
        self.dropped_at: float | None = None
        self._state = state
        self._name = name
        self._path = state.outbox(name)
        self._db: sqlite3.Connection | None = None
        self._books: Books | None = None
        self._receipts: ReceiptFile | None = None
        self._inodes: dict[Path, int] = {}
        self._removed: sqlite3.Connection | None = None
        self._max_bytes = 0
        self._asides: list[Path] = []
        self._pruned_at = self._synced_at = time.monotonic()
        self._unsynced, self._new = True, True
        self._try()

    @property
    def uuid(self) -> str:
        """Names this outbox for all time."""
        with self._using() as (_, books):
            return books.uuid

    def append(self, lines: bytes, points: int, sinks: tuple[str, ...]) -> None:
        """Store newline-separated lines of `points` fields in all for `sinks`; stored and counted on return.

        Without sinks nothing is stored.
        """
        if not sinks:
            return
        lines = lines.rstrip(b"\n")
        body = pack(lines)
        with self._using() as (db, books):
            with transaction(db):
                route = books.routes.get(sinks) or books.new_route(sinks)
                db.execute(
                    "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)",
                    (books.last + 1, time.time_ns(), route, points, lines.count(b"\n") + 1, body),
                )
            books.last += 1
            books.routes[sinks] = route
            books.count(dict.fromkeys(sinks, points))
            self.stored_bytes += space.ROW_BYTES + len(body)
            self._unsynced = True

    def lose(self, points: Mapping[str, int]) -> None:
        """Count points, by sink, that were acquired while the outbox could not be written, and dropped."""
        with self._using() as (_, books):
            self._settle(books, added(books.tallies, points, points))

    def counts(self) -> dict[str, Points]:
        """Points by sink; what was counted last while the file is unusable."""
        self._try()
        return self._books.counts() if self._books else {}

    def size(self) -> int:
        """Bytes in use on disk. Raises sqlite3.Error, OSError."""
        with self._using() as (db, _):
            return space.used(db, self._path)

    def is_empty(self) -> bool:
        """Whether it holds no row. Raises sqlite3.Error, OSError."""
        with self._using() as (db, _):
            return db.execute("SELECT 1 FROM batches LIMIT 1").fetchone() is None

    def oldest_s(self) -> float:
        """Age of the oldest row in seconds; 0 without any. Raises sqlite3.Error, OSError."""
        with self._using() as (db, _):
            first = db.execute("SELECT at_ns FROM batches ORDER BY id LIMIT 1").fetchone()
        return max(0.0, (time.time_ns() - first[0]) / 1e9) if first else 0.0

    def prune(self) -> None:
        """Delete the rows that every sink of their route has passed."""
        with self._using() as (_, books):
            self._settle(books, books.tallies)

    def maintain(self, max_bytes: int, max_age_s: float) -> None:
        """Sync; prune; drop and count the oldest rows beyond `max_bytes` or `max_age_s`; give space back.

        Call it about once a second. While a sender chooses its rows, dropping waits for the next call.
        """
        with self._using() as (db, books):
            self._look_for_damage(db, books)
            if self._unsynced and time.monotonic() - self._synced_at >= SYNC_EVERY_S:
                self._sync(books)
            if max_bytes != self._max_bytes:
                space.limit_log(db, max_bytes)
                self._max_bytes = max_bytes
            oldest_ns = time.time_ns() - int(max_age_s * 1e9)
            over = space.last_beyond(db, self._path, max_bytes, oldest_ns)
            if over or time.monotonic() - self._pruned_at >= PRUNE_EVERY_S:
                self._settle(books, books.tallies)
            if over and (last := space.last_beyond(db, self._path, max_bytes, oldest_ns)):
                with turn(self._path) as mine:
                    if mine:
                        self._drop_to(db, books, last)
            space.give_back(db, max_bytes)
            if self._asides:
                self._asides = space.kept_asides(self._path, self._asides, max_bytes, oldest_ns)

    def rebuild(self) -> None:
        """Take all that can be read of a damaged file into a new one, which counts the rest as dropped.

        May take a while: other methods raise until it is done, and may be called from other threads meanwhile.
        """
        with turn(self._path) as mine:
            if not mine:
                raise sqlite3.OperationalError(
                    "cannot rebuild the outbox while a sender looks at it; trying again"
                )
            if self._removed:
                put_back(self._removed, self._path)
                self._removed = None
            else:
                rebuild(self._path, self._known_as())
        self.damage = None

    @property
    def set_aside(self) -> tuple[str, float] | None:
        """The newest damaged file that was set aside and is still there: its name, and since when (epoch seconds)."""
        for file in reversed(self._asides):
            with suppress(FileNotFoundError):
                return file.name, file.stat().st_mtime
        return None

    def sync(self) -> None:
        """Put everything appended on disk now."""
        with self._using() as (_, books):
            self._sync(books)

    def close(self) -> None:
        """Release the database, everything on disk."""
        if self._db and self._books:
            with suppress(sqlite3.Error):
                self._settle(self._books, self._books.tallies)
            self._db.close()
            self._db = None
        if self._removed:
            with suppress(sqlite3.Error, OSError):
                self.rebuild()
        self._forget_receipt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        with suppress(sqlite3.Error, OSError), self._using():
            pass

    @contextmanager
    def _using(self) -> Iterator[tuple[sqlite3.Connection, Books]]:
        """The open database and its books; damage that shows is remembered, and what was acquired noted."""
        if self.damage is not None:
            raise DamagedError(self.damage)
        try:
            if self._db is None or self._books is None:
                self._db, self._books = self._open()
            yield self._db, self._books
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self.damage = str(error)
                if self._db:
                    self._db.close()
                    self._db = None
            raise
        if self._receipts and self._receipts.newest != (receipt := self._books.receipt()):
            self._receipts.write(receipt)

    def _open(self) -> tuple[sqlite3.Connection, Books]:
        finish(self._path)
        self._receipts = self._receipts or ReceiptFile(self._path)
        db, log_is_short = open_file(self._path, self._known_as())
        try:
            books = Books(db, self._state, self._receipts.newest, boot_id())
            if (log_is_short or books.damaged) and not lacks_rows(db):
                evidence = files(self._path)[1] if log_is_short else self._receipts.path
                _set_aside(self._path, evidence)
            if log_is_short or books.missing:
                lacks_rows(db, to=True)
            books.catch_up()
        except BaseException:
            db.close()
            raise
        self._inodes = self._linked()
        self._asides = asides(self._path)
        self._unsynced, self._new, self._max_bytes = True, True, 0
        return db, books

    def _known_as(self) -> str | None:
        """The uuid it ought to have; None where there never was one, or was to be none any more."""
        noted = self._receipts.newest.uuid if self._receipts else ""
        return noted or (outbox_known_as(self._state, self._name) if self._path.exists() else None)

    def _forget_receipt(self) -> None:
        if self._receipts:
            self._receipts.close()
            self._receipts = None

    def _settle(self, books: Books, tallies: Mapping[str, Tally], gone: Sequence[tuple[int]] = ()) -> None:
        self._pruned_at = time.monotonic()
        if books.settle(tallies, gone):
            self._unsynced = True

    def _drop_to(self, db: sqlite3.Connection, books: Books, last: int) -> None:
        """Drop the rows up to `last` that are not on their way."""
        cursors = books.cursors()
        dropped: dict[str, int] = {}
        gone: list[tuple[int]] = []
        for row, route, points in db.execute("SELECT id, route, points FROM batches WHERE id <= ?", (last,)):
            sinks = books.sinks_of(route)
            if any(cursors[sink].sending(row) for sink in sinks):
                continue
            gone.append((row,))
            for sink in sinks:
                if not cursors[sink].passed(row):
                    dropped[sink] = dropped.get(sink, 0) + points
        self._settle(books, added(books.tallies, {}, dropped), gone)
        if dropped:
            self.dropped_at = time.monotonic()

    def _look_for_damage(self, db: sqlite3.Connection, books: Books) -> None:
        linked = self._linked()
        for path, inode in self._inodes.items():
            if linked.get(path) != inode:  # SQLite would go on writing where nobody can read
                self._removed, self._db = db, None
                self._forget_receipt()
                raise DamagedError(f"{path.name} was removed or replaced")
        self._inodes = linked
        if any(cursor.damaged == linked[self._path] for cursor in books.cursors().values()):
            raise DamagedError("a sender cannot read all of it")

    def _linked(self) -> dict[Path, int]:
        """The inode of each file that it consists of."""
        found = {}
        for path in (*files(self._path), path_of(self._path)):
            with suppress(FileNotFoundError):
                found[path] = path.stat().st_ino
        return found

    def _sync(self, books: Books) -> None:
        """The log is enough: after a power cut SQLite takes it up to its last whole transaction. It needs the file's
        first page to do so, which may be new, as may the names of both.
        """
        file, wal, _ = files(self._path)
        for path in (file, wal, file.parent) if self._new else (wal,):
            with suppress(FileNotFoundError):  # nothing was written yet
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fdatasync(fd)
                finally:
                    os.close(fd)
        self._synced_at, self._unsynced, self._new = time.monotonic(), False, False
        books.synced = books.last


def _set_aside(path: Path, evidence: Path) -> None:
    """A copy of what tells of the damage: the log of which SQLite took a part, or, where that is gone, the receipt."""
    aside = aside_of(path, evidence.name.removeprefix(path.name).replace(".", "-"))
    shutil.copyfile(evidence, aside)
    log.error(
        "the end of the outbox is missing: what is known to be lost counts as dropped; %s tells of it",
        aside.name,
    )
