"""What an open outbox has counted: its routes, its last row, and a tally for each sink."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from collectors.contract import Points, StateDir
from collectors.cursor import Cursor
from collectors.cursorfile import read_cursor
from collectors.outbox.file import lacks_rows, noted, points_of
from collectors.outbox.receipt import Receipt
from collectors.outbox.tally import Tally, added, caught_up
from collectors.wal import transaction


class Books:
    """The books of one outbox, for its writer. Methods raise sqlite3.Error, and leave them as they are then.

    `missing` says whether there is less than `receipt` speaks of, and `damaged` that no power cut explains it.
    """

    def __init__(self, db: sqlite3.Connection, state: StateDir, receipt: Receipt, boot: str) -> None:
        """Read what the file holds."""
        self._db = db
        self._state = state
        self._boot = boot
        self._written: object = None
        self.uuid: str
        self.uuid, counted_to = db.execute("SELECT uuid, counted_to FROM meta").fetchone()
        self.routes = {tuple(s.split()): i for i, s in db.execute("SELECT id, sinks FROM routes")}
        (last,) = db.execute("SELECT max(id) FROM batches").fetchone()
        self.last = max(counted_to, last or 0)
        self.tallies = {
            sink: Tally(acquired, dropped, noted(db, sink))
            for sink, acquired, dropped in db.execute(
                "SELECT sink, acquired, dropped FROM counters"
            ).fetchall()
        }
        later = "SELECT route, sum(points) FROM batches WHERE id > ? GROUP BY route"
        for route, points in db.execute(later, (counted_to,)).fetchall():
            self.count(dict.fromkeys(self.sinks_of(route), points))
        self.synced = 0
        self.missing = self.damaged = False
        if receipt.uuid == self.uuid:
            self._compare(receipt)

    def _compare(self, receipt: Receipt) -> None:
        """Take over what only the receipt knows."""
        self.synced = receipt.synced
        for sink, acquired in receipt.acquired.items():
            tally = self.tallies.get(sink, Tally())
            if tally.acquired < acquired:
                self.missing = True
                self.tallies[sink] = replace(tally, acquired=acquired)
        self.damaged = self.missing and (receipt.boot == self._boot or self.last < receipt.synced)
        self.last = max(self.last, receipt.last)

    def catch_up(self) -> None:
        """Bring counters in line with rows and cursors, where they may not be.

        What a sender had already seen of rows that are lost was acquired; what else cannot be read any more is dropped.
        """
        for sink in self._state.sinks_with_cursors():
            if self._cursor(sink).settled:
                self.tallies.setdefault(sink, Tally())
        cursors = self.cursors()
        seen = max((cursor.seen for cursor in cursors.values()), default=0)
        if seen <= self.last and not lacks_rows(self._db):
            return
        self.last = max(seen, self.last)
        queued = dict.fromkeys(cursors, 0)
        for row, points, route in self._db.execute("SELECT id, points, route FROM batches"):
            for sink in self.sinks_of(route):
                queued[sink] += 0 if cursors[sink].passed(row) else points
        self.settle(caught_up(self.tallies, cursors, queued))
        lacks_rows(self._db, to=False)

    def counts(self) -> dict[str, Points]:
        """Points by sink."""
        cursors = self.cursors()
        return {s: points_of(t.acquired, t.dropped, cursors[s]) for s, t in self.tallies.items()}

    def count(self, points: Mapping[str, int]) -> None:
        """So many points more were acquired, by sink."""
        self.tallies = added(self.tallies, points)

    def receipt(self) -> Receipt:
        """What is to be known of it where the file does not tell any more."""
        acquired = {sink: tally.acquired for sink, tally in self.tallies.items()}
        return Receipt(self.uuid, self._boot, self.last, self.synced, acquired)

    def cursors(self, tallies: Mapping[str, Tally] | None = None) -> dict[str, Cursor]:
        """Where each sink stands."""
        known = self.tallies if tallies is None else tallies
        return {sink: max(self._cursor(sink), t.noted, key=lambda c: c.settled) for sink, t in known.items()}

    def new_route(self, sinks: tuple[str, ...]) -> int:
        """Within a transaction; it is known once that is over and `routes` has it."""
        self._db.executemany("INSERT OR IGNORE INTO counters(sink) VALUES (?)", [(sink,) for sink in sinks])
        entered = self._db.execute("INSERT INTO routes(sinks) VALUES (?)", (" ".join(sinks),))
        assert entered.lastrowid is not None
        return entered.lastrowid

    def sinks_of(self, route: int) -> tuple[str, ...]:
        """The sinks of a route."""
        return next((sinks for sinks, number in self.routes.items() if number == route), ())

    def settle(self, tallies: Mapping[str, Tally], gone: Sequence[tuple[int]] = ()) -> bool:
        """Keep `tallies`; note them and the cursors; delete the rows of `gone`, and what every sink has passed.

        Whether there was anything to write.
        """
        cursors = self.cursors(tallies)
        settled = {sink: tally.noting(cursors[sink]) for sink, tally in tallies.items()}
        passed = [(min(cursors[s].position for s in sinks), route) for sinks, route in self.routes.items()]
        news = settled, self.last
        if news == self._written and not gone:
            return False
        with transaction(self._db):
            self._db.executemany("DELETE FROM batches WHERE id = ?", gone)
            self._db.executemany("DELETE FROM batches WHERE id <= ? AND route = ?", passed)
            self._db.executemany(
                "INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (sink, t.acquired, t.dropped, c.position, c.delivered, c.rejected, json.dumps(c.ahead))
                    for sink, t in settled.items()
                    for c in (t.noted,)
                ],
            )
            self._db.execute("UPDATE meta SET counted_to = ?", (self.last,))
        self.tallies, self._written = settled, news
        return True

    def _cursor(self, sink: str) -> Cursor:
        """What a sink's own database says, if it can tell."""
        try:
            return read_cursor(self._state, sink, self.uuid)
        except (sqlite3.Error, OSError):
            return Cursor()
