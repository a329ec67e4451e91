"""The reading side of outboxes, for one sink's sender."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.contract import Points, StateDir
from collectors.cursors import Cursor
from collectors.outbox import points_of
from collectors.wal import connect

_SOME = """
SELECT id, points, lines, body FROM batches
WHERE id > ? AND route IN (SELECT id FROM routes WHERE instr(' ' || sinks || ' ', ?)) ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A row of an outbox on its way, or a part of one; `points` are the fields of its lines."""

    uuid: str
    points: int
    body: bytes


class Feed:
    """One collector's outbox as this sink sees it. Methods raise sqlite3.Error."""

    def __init__(self, path: Path, sink: str) -> None:
        """Open an outbox. Raises sqlite3.Error, or LookupError while its collector is still making it."""
        self.path = path
        self.collector = path.stem
        self._sink = sink
        self._inode = path.stat().st_ino
        self._drained: object = None
        self._db = connect(path, write=False)
        self._db.execute("PRAGMA cache_size = -256")
        if not self._db.execute("PRAGMA user_version").fetchone()[0]:
            self._db.close()
            raise LookupError(f"{path.name} is not ready")
        self.uuid: str = self._db.execute("SELECT uuid FROM meta").fetchone()[0]

    def replaced(self) -> bool:
        """Whether the file is gone or another one."""
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def take(self, after: int, lines: int) -> tuple[int, int, list[Chunk]]:
        """Rows behind row `after`, about `lines` lines: first and last row, and what they hold, oldest first.

        Costs two stats while nothing was written since the last look that found the end.
        """
        seen = self._signature()
        if seen == self._drained:
            return 0, 0, []
        taken: list[Chunk] = []
        first = last = 0
        rows = self._db.execute(_SOME, (after, f" {self._sink} "))
        for last, points, count, body in rows:
            first = first or last
            taken.append(Chunk(self.uuid, points, body.rstrip(b"\n")))
            lines -= count
            if lines <= 0:
                break
        else:
            self._drained = seen
        rows.close()
        return first, last, taken

    def counts(self, cursor: Cursor) -> Points:
        """Points of this sink; `cursor` was read before."""
        row = self._db.execute(
            "SELECT acquired, dropped FROM counters WHERE sink = ?", (self._sink,)
        ).fetchone()
        acquired, dropped = row or (0, 0)
        return points_of(acquired, dropped, cursor)

    def close(self) -> None:
        """Release the database."""
        self._db.close()

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
        except (LookupError, FileNotFoundError, sqlite3.OperationalError):
            continue  # being made or removed at this moment; the next look will tell
    for name, feed in feeds.items():
        if found.get(name) is not feed:
            feed.close()
    return found


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116  (hot: two for each outbox and look)
    except FileNotFoundError:
        return None
