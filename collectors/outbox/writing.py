"""The writing side of an outbox, for the collector, or for who holds its lock in its place."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from collectors.contract import Points, StateDir
from collectors.cursor import Cursor
from collectors.cursors import outbox_known_as, read_cursor
from collectors.outbox import space
from collectors.outbox.file import asides, files, is_rebuilt, noted, open_file, pack, points_of, turn
from collectors.outbox.rebuild import finish, rebuild
from collectors.outbox.tally import Tally, added, caught_up
from collectors.wal import DamagedError, is_damage, transaction

SYNC_EVERY_S = 4.0
"""A power cut takes at most this many seconds of readings, plus the time to the next call."""
PRUNE_EVERY_S = 10.0
"""Between looks for what all sinks have passed; each one that finds something costs a transaction of some pages."""


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
        self._uuid = ""
        self._last = 0
        self._inode = 0
        self._routes: dict[tuple[str, ...], int] = {}
        self._tallies: dict[str, Tally] = {}
        self._noted: object = None
        self._max_bytes = 0
        self._asides: list[Path] = []
        self._pruned_at = self._synced_at = time.monotonic()
        self._unsynced, self._new = True, True
        self._try()

    @property
    def uuid(self) -> str:
        """Names this outbox for all time."""
        with self._using():
            return self._uuid

    def append(self, lines: bytes, points: int, sinks: tuple[str, ...]) -> None:
        """Store newline-separated lines of `points` fields in all for `sinks`; stored and counted on return.

        Without sinks nothing is stored.
        """
        if not sinks:
            return
        lines = lines.rstrip(b"\n")
        body = pack(lines)
        with self._using() as db:
            with transaction(db):
                route = self._routes.get(sinks) or self._new_route(db, sinks)
                db.execute(
                    "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)",
                    (self._last + 1, time.time_ns(), route, points, lines.count(b"\n") + 1, body),
                )
            self._last += 1
            self._routes[sinks] = route
            self._tallies = added(self._tallies, dict.fromkeys(sinks, points))
            self.stored_bytes += space.ROW_BYTES + len(body)
            self._unsynced = True
            self._sync_if_due(db)

    def lose(self, points: Mapping[str, int]) -> None:
        """Count points, by sink, that were acquired while the outbox could not be written, and dropped."""
        with self._using() as db:
            self._settle(db, added(self._tallies, points, points))

    def counts(self) -> dict[str, Points]:
        """Points by sink; what was counted last while the file is unusable."""
        self._try()
        cursors = self._cursors()
        return {s: points_of(t.acquired, t.dropped, cursors[s]) for s, t in self._tallies.items()}

    def size(self) -> int:
        """Bytes in use on disk. Raises sqlite3.Error, OSError."""
        with self._using() as db:
            return space.used(db, self._path)

    def is_empty(self) -> bool:
        """Whether it holds no row. Raises sqlite3.Error, OSError."""
        with self._using() as db:
            return db.execute("SELECT 1 FROM batches LIMIT 1").fetchone() is None

    def oldest_s(self) -> float:
        """Age of the oldest row in seconds; 0 without any. Raises sqlite3.Error, OSError."""
        with self._using() as db:
            first = db.execute("SELECT at_ns FROM batches ORDER BY id LIMIT 1").fetchone()
        return max(0.0, (time.time_ns() - first[0]) / 1e9) if first else 0.0

    def prune(self) -> None:
        """Delete the rows that every sink of their route has passed."""
        with self._using() as db:
            self._settle(db, self._tallies)

    def maintain(self, max_bytes: int, max_age_s: float) -> None:
        """Prune; drop and count the oldest rows beyond `max_bytes` or `max_age_s`; sync; give space back.

        Call it about once a second. While a sender chooses its rows, dropping waits for the next call.
        """
        with self._using() as db:
            self._look_for_damage()
            if max_bytes != self._max_bytes:
                space.limit_log(db, max_bytes)
                self._max_bytes = max_bytes
            oldest_ns = time.time_ns() - int(max_age_s * 1e9)
            over = space.last_beyond(db, self._path, max_bytes, oldest_ns)
            if over or time.monotonic() - self._pruned_at >= PRUNE_EVERY_S:
                self._settle(db, self._tallies)
            if over and (last := space.last_beyond(db, self._path, max_bytes, oldest_ns)):
                with turn(self._path) as mine:
                    if mine:
                        self._drop_to(db, last)
            self._sync_if_due(db)
            space.give_back(db, max_bytes)
            if self._asides:
                self._asides = space.kept_asides(self._path, self._asides, max_bytes, oldest_ns)

    def rebuild(self) -> None:
        """Take all that can be read of a damaged file into a new one, which counts the rest as dropped.

        May take a while: other methods raise until it is done, and may be called from other threads meanwhile.
        """
        known = self._uuid or outbox_known_as(self._state, self._name)
        with turn(self._path) as mine:
            if not mine:
                raise sqlite3.OperationalError(
                    "cannot rebuild the outbox while a sender looks at it; trying again"
                )
            rebuild(self._path, known)
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
        with self._using():
            self._sync()

    def close(self) -> None:
        """Release the database, everything on disk."""
        if self._db:
            with suppress(sqlite3.Error):
                self._settle(self._db, self._tallies)
            self._db.close()
            self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        with suppress(sqlite3.Error, OSError), self._using():
            pass

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The open database; damage that shows is remembered."""
        if self.damage is not None:
            raise DamagedError(self.damage)
        try:
            if self._db is None:
                self._db = self._open()
            yield self._db
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self.damage = str(error)
                if self._db:
                    self._db.close()
                    self._db = None
            raise

    def _open(self) -> sqlite3.Connection:
        finish(self._path)
        db = open_file(self._path, outbox_known_as(self._state, self._name))
        try:
            self._read(db)
            self._catch_up(db)
        except BaseException:
            db.close()
            raise
        self._inode = self._path.stat().st_ino
        self._asides = asides(self._path)
        self._unsynced, self._new, self._max_bytes, self._noted = True, True, 0, None
        return db

    def _read(self, db: sqlite3.Connection) -> None:
        """What is kept in memory: routes, the last row, tallies."""
        self._uuid, counted_to = db.execute("SELECT uuid, counted_to FROM meta").fetchone()
        self._routes = {tuple(s.split()): i for i, s in db.execute("SELECT id, sinks FROM routes")}
        (last,) = db.execute("SELECT max(id) FROM batches").fetchone()
        self._last = max(counted_to, last or 0)
        before = self._tallies if is_rebuilt(db) else {}
        self._tallies = {
            sink: Tally(acquired, dropped, noted(db, sink))
            for sink, acquired, dropped in db.execute(
                "SELECT sink, acquired, dropped FROM counters"
            ).fetchall()
        }
        later = "SELECT route, sum(points) FROM batches WHERE id > ? GROUP BY route"
        for route, points in db.execute(later, (counted_to,)).fetchall():
            self._tallies = added(self._tallies, dict.fromkeys(self._sinks_of(route), points))

        for sink, tally in before.items():  # this process knows more than could be read
            if self._tallies.get(sink, Tally()).acquired < tally.acquired:
                self._tallies[sink] = tally

    def _catch_up(self, db: sqlite3.Connection) -> None:
        """Bring counters in line with rows and cursors, where they may not be.

        After a power cut: take back in what a sender had already seen of the rows that were lost. After a rebuild:
        count what could not be read as dropped.
        """
        for sink in self._state.sinks_with_cursors():
            if self._cursor(sink).settled:
                self._tallies.setdefault(sink, Tally())
        cursors = self._cursors()
        seen = max((cursor.seen for cursor in cursors.values()), default=0)
        if seen <= self._last and not is_rebuilt(db):
            return
        self._last = max(seen, self._last)
        queued = dict.fromkeys(cursors, 0)
        for row, points, route in db.execute("SELECT id, points, route FROM batches"):
            for sink in self._sinks_of(route):
                queued[sink] += 0 if cursors[sink].passed(row) else points
        self._settle(db, caught_up(self._tallies, cursors, queued))
        is_rebuilt(db, to=False)

    def _new_route(self, db: sqlite3.Connection, sinks: tuple[str, ...]) -> int:
        db.executemany("INSERT OR IGNORE INTO counters(sink) VALUES (?)", [(sink,) for sink in sinks])
        added = db.execute("INSERT INTO routes(sinks) VALUES (?)", (" ".join(sinks),))
        assert added.lastrowid is not None
        return added.lastrowid

    def _cursors(self, tallies: Mapping[str, Tally] | None = None) -> dict[str, Cursor]:
        """Where each sink stands."""
        known = self._tallies if tallies is None else tallies
        return {sink: max(self._cursor(sink), t.noted, key=lambda c: c.settled) for sink, t in known.items()}

    def _cursor(self, sink: str) -> Cursor:
        """What a sink's own database says, if it can tell."""
        try:
            return read_cursor(self._state, sink, self._uuid)
        except (sqlite3.Error, OSError):
            return Cursor()

    def _settle(
        self, db: sqlite3.Connection, tallies: Mapping[str, Tally], gone: Sequence[tuple[int]] = ()
    ) -> None:
        """Keep `tallies`; note them and the cursors; delete the rows of `gone`, and what every sink has passed."""
        cursors = self._cursors(tallies)
        settled = {sink: tally.noting(cursors[sink]) for sink, tally in tallies.items()}
        passed = [(min(cursors[s].position for s in sinks), route) for sinks, route in self._routes.items()]
        news = settled, self._last
        self._pruned_at = time.monotonic()
        if news == self._noted and not gone:
            return
        with transaction(db):
            db.executemany("DELETE FROM batches WHERE id = ?", gone)
            db.executemany("DELETE FROM batches WHERE id <= ? AND route = ?", passed)
            db.executemany(
                "INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (sink, t.acquired, t.dropped, c.position, c.delivered, c.rejected, json.dumps(c.ahead))
                    for sink, t in settled.items()
                    for c in (t.noted,)
                ],
            )
            db.execute("UPDATE meta SET counted_to = ?", (self._last,))
        self._tallies, self._noted, self._unsynced = settled, news, True

    def _drop_to(self, db: sqlite3.Connection, last: int) -> None:
        """Drop the rows up to `last` that are not on their way."""
        cursors = self._cursors()
        dropped: dict[str, int] = {}
        gone: list[tuple[int]] = []
        for row, route, points in db.execute("SELECT id, route, points FROM batches WHERE id <= ?", (last,)):
            sinks = self._sinks_of(route)
            if any(cursors[sink].sending(row) for sink in sinks):
                continue
            gone.append((row,))
            for sink in sinks:
                if not cursors[sink].passed(row):
                    dropped[sink] = dropped.get(sink, 0) + points
        self._settle(db, added(self._tallies, {}, dropped), gone)
        if dropped:
            self.dropped_at = time.monotonic()

    def _sinks_of(self, route: int) -> tuple[str, ...]:
        return next((sinks for sinks, number in self._routes.items() if number == route), ())

    def _look_for_damage(self) -> None:
        if any(cursor.damaged == self._inode for cursor in self._cursors().values()):
            raise DamagedError("a sender cannot read all of it")

    def _sync_if_due(self, db: sqlite3.Connection) -> None:
        if self._unsynced and time.monotonic() - self._synced_at >= SYNC_EVERY_S:
            self._sync()

    def _sync(self) -> None:
        """The log is enough: after a power cut SQLite takes it up to its last whole transaction. It needs the file's
        first page to do so, which may be new, as may the names of both.
        """
        file, log, _ = files(self._path)
        for path in (file, log, file.parent) if self._new else (log,):
            with suppress(FileNotFoundError):  # nothing was written yet
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fdatasync(fd)
                finally:
                    os.close(fd)
        self._synced_at, self._unsynced, self._new = time.monotonic(), False, False
