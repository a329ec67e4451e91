"""The reading side of outboxes, for one sink's sender."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collectors.contract import Points, StateDir
from collectors.cursor import LAST, Cursor, Rows
from collectors.outbox.file import VERSION, noted, points_of, unpack
from collectors.wal import connect, is_damage, transaction

_OURS = "route IN (SELECT id FROM routes WHERE instr(' ' || sinks || ' ', ?))"
_SOME = f"SELECT id, points, lines, body FROM batches WHERE id BETWEEN ? AND ? AND {_OURS} ORDER BY id"
_POINTS = f"SELECT id, points FROM batches WHERE id > ? AND {_OURS}"
_LATER = f"SELECT coalesce(sum(points), 0) FROM batches, meta WHERE batches.id > counted_to AND {_OURS}"
_COUNTED = f"SELECT acquired + ({_LATER}), dropped FROM counters WHERE sink = ?"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A row of an outbox on its way, or a part of one; `points` are the fields of its lines."""

    uuid: str
    points: int
    body: bytes


@dataclass(slots=True)
class Taken:
    """Rows of one outbox, and what they hold for this sink; rows that hold nothing are settled with the others."""

    rows: list[Rows] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    lines: int = 0

    def add(self, other: Taken) -> None:
        """Put another part of the same outbox to it."""
        self.rows += other.rows
        self.chunks += other.chunks
        self.lines += other.lines


class Feed:
    """One collector's outbox as this sink sees it. Methods raise sqlite3.Error, at damage a DatabaseError."""

    def __init__(self, path: Path, sink: str) -> None:
        """Open an outbox. Raises sqlite3.Error, or LookupError while its collector is still making it."""
        self.path = path
        self.collector = path.stem
        self._sink = sink
        self.inode = path.stat().st_ino
        self._counted = 0, 0
        self._seen: object = None
        self._drained: object = None
        self._db = connect(path, write=False)
        try:
            self._db.execute("PRAGMA cache_size = -256")
            if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                raise LookupError(f"{path.name} is not ready")
            self.uuid: str = self._db.execute("SELECT uuid FROM meta").fetchone()[0]
        except BaseException:
            self._db.close()
            raise

    def replaced(self) -> bool:
        """Whether the file is gone or another one."""
        try:
            return self.path.stat().st_ino != self.inode
        except FileNotFoundError:
            return True

    def waiting(self) -> bool:
        """Whether there may be rows that nobody has taken.

        Costs two stats while nothing was written since the last look that found the end.
        """
        self._seen = self._signature()
        return self._seen != self._drained

    @property
    def drained(self) -> bool:
        """Whether all rows there were when it was last asked for :meth:`waiting` are taken."""
        return self._drained == self._seen

    def look_again(self) -> None:
        """Rows were put back."""
        self._drained = None

    def newest(self, cursor: Cursor, lines: int) -> Taken:
        """About `lines` lines of the newest rows, of those newer than any that were ever taken."""
        *below, (first, last) = cursor.gaps()
        taken, end = self._read(first, last, lines, newest=True)
        if end and not below:
            self._drained = self._seen
        return taken

    def oldest(self, cursor: Cursor, lines: int) -> Taken:
        """About `lines` lines of the oldest rows that nobody has taken."""
        taken = Taken()
        for first, last in cursor.gaps():
            part, end = self._read(first, last, lines - taken.lines)
            taken.add(part)
            if not end or taken.lines >= lines:
                return taken
        self._drained = self._seen
        return taken

    def again(self, rows: Sequence[Rows]) -> Taken:
        """What these rows hold."""
        taken = Taken()
        for first, last in rows:
            taken.add(self._read(first, last, LAST)[0])
        return taken

    def counts(self, cursor: Cursor) -> Points:
        """Points of this sink, as they were before if the outbox is damaged; `cursor` was read before."""
        try:
            row = self._db.execute(_COUNTED, (f" {self._sink} ", self._sink)).fetchone()
            self._counted = row or (0, 0)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        return points_of(*self._counted, cursor)

    def held(self, cursor: Cursor) -> tuple[Points, int, int]:
        """Counts; points of the rows that are not settled, which `queued` ought to be; those of rows on their way."""
        with transaction(self._db, "DEFERRED"):
            acquired, dropped = self._db.execute(_COUNTED, (f" {self._sink} ", self._sink)).fetchone() or (
                0,
                0,
            )
            rows = self._db.execute(_POINTS, (cursor.position, f" {self._sink} "))
            left = [(number, points) for number, points in rows if not cursor.passed(number)]
        flying = sum(points for number, points in left if cursor.sending(number))
        return points_of(acquired, dropped, cursor), sum(points for _, points in left), flying

    def noted(self) -> Cursor:
        """Where this sink stood when the collector deleted rows last."""
        return noted(self._db, self._sink)

    def close(self) -> None:
        """Release the database."""
        self._db.close()

    def _read(self, first: int, last: int, lines: int, *, newest: bool = False) -> tuple[Taken, bool]:
        """About `lines` lines of the rows from `first` to `last`, from one end; and whether that was all."""
        found: list[tuple[int, Chunk]] = []
        count = 0
        query = _SOME + " DESC" if newest else _SOME
        rows = self._db.execute(query, (first, last, f" {self._sink} "))
        try:
            for row, points, n, body in rows:
                found.append((row, Chunk(self.uuid, points, unpack(body))))
                count += n
                if count >= lines:
                    break
            end = next(rows, None) is None
        except sqlite3.DatabaseError as error:
            if not found or lines == LAST or not is_damage(error):
                raise
            end = False  # what stands before the damage can go
        finally:
            rows.close()
        if newest:
            found.reverse()
        if not found and last == LAST:
            return Taken(), end
        # A gap that is used up goes whole, with the rows in it that are another sink's, or were dropped.
        low = found[0][0] if newest and not end else first
        high = last if end and last < LAST else found[-1][0]
        return Taken([(low, high)], [chunk for _, chunk in found], count), end

    def _signature(self) -> object:
        """Differs after every commit and checkpoint."""
        return tuple(
            (s.st_mtime_ns, s.st_size) if (s := _stat(f"{self.path}{suffix}")) else None
            for suffix in ("", "-wal")
        )


def refresh(feeds: Mapping[str, Feed], state: StateDir, sink: str) -> dict[str, Feed]:
    """The feeds of all outboxes there are now, by collector; those that are gone or replaced are closed."""
    found: dict[str, Feed] = {}
    folder = state.outbox("").parent
    for path in sorted(folder.glob("*.db")) if folder.is_dir() else ():
        feed = feeds.get(path.stem)
        if feed and not feed.replaced():
            found[path.stem] = feed
            continue
        try:
            found[path.stem] = Feed(path, sink)
        except (LookupError, FileNotFoundError, sqlite3.DatabaseError):
            continue  # being made, removed or rebuilt at this moment; the next look will tell
    for name, feed in feeds.items():
        if found.get(name) is not feed:
            feed.close()
    return found


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116  (hot: two for each outbox and look)
    except FileNotFoundError:
        return None
