"""The embedded database: one table, a row per field, readable with the ``sqlite3`` program while it is
written.

``value`` keeps its type: INTEGER (bool as 0 and 1), REAL or TEXT. A change of quality is a row of
measurement ``daq_quality`` with value NULL, its reason in ``labels``. A replayed line overwrites itself.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from collectors.contract import SpecFile, StateDir
from collectors.lines import Value, parse
from collectors.quantities import parse_duration, parse_size
from collectors.sinks import Result, SinkError
from collectors.wal import connect, transaction

QUALITY = "daq_quality"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS samples(
  ts_ns INTEGER NOT NULL, measurement TEXT NOT NULL, collector TEXT NOT NULL, device TEXT NOT NULL,
  labels TEXT NOT NULL, tag TEXT NOT NULL, value, quality TEXT NOT NULL
)
"""
# "This tag, this span" reads one range of it; it also makes a replay meet the row it wrote before.
_INDEX = """
CREATE UNIQUE INDEX IF NOT EXISTS samples_by_tag ON samples(tag, ts_ns, device, collector, measurement)
"""
_STORE = """
INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET labels = excluded.labels, value = excluded.value, quality = excluded.quality
"""
# Rows lie in the order they arrived, so the oldest are the first.
_EXPIRE = """
DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples ORDER BY rowid LIMIT ?) AND ts_ns < ?
"""

# One seek for each tag, by a walk over the index; all else is read off the index alone.
COUNT = """
WITH RECURSIVE tags(tag) AS (
  SELECT min(tag) FROM samples UNION ALL SELECT (SELECT min(tag) FROM samples WHERE tag > tags.tag) FROM tags
  WHERE tags.tag IS NOT NULL
)
SELECT total(1 + (measurement = 'daq_quality')) FROM tags JOIN samples USING (tag)
WHERE ts_ns >= ? AND ts_ns < ? AND collector = ?
"""

Row = tuple[int, str, str, str, str, str, Value | None, str]


def open_sink(file: SpecFile, state: StateDir) -> SqliteSink:
    """A database at ``spec.path`` below the state directory, by default ``data.db``. Raises ValueError."""
    spec = file.spec
    path = state.root / spec["path"] if "path" in spec else state.database
    retention = spec.get("retention", {})
    max_age_s = parse_duration(retention.get("maxAge", "30d"))
    return SqliteSink(path, max_age_s, parse_size(retention.get("maxBytes", "2GiB")))


class SqliteSink:
    """Writes `path`, and keeps it within `max_age_s` and `max_bytes` by deleting the oldest rows."""

    at_once = 1

    def __init__(self, path: Path, max_age_s: float, max_bytes: int) -> None:
        self._path = path
        self._max_age_ns = int(max_age_s * 1e9)
        self._max_bytes = max_bytes
        self._db: sqlite3.Connection | None = None

    def write(self, body: bytes) -> Result:
        """Store the lines in one transaction, synced. Raises SinkError."""
        try:
            rows = [row for line in body.decode().split("\n") for row in _rows(line)]
        except ValueError as error:
            raise SinkError("malformed", "Malformed", str(error)) from None
        try:
            self._db = self._db or self._open()
            with transaction(self._db):
                self._db.executemany(_STORE, rows)
                self._expire(self._db, 2 * len(rows))
            self._db.executescript(f"PRAGMA incremental_vacuum({len(rows)})")
        except (sqlite3.Error, OSError) as error:
            raise SinkError("retry", "DatabaseError", f"cannot write {self._path.name}: {error}") from None
        return Result()

    def changed(self) -> bool:
        """Never: there is no secret."""
        return False

    def count(self, collector: str, begin_ns: int, end_ns: int) -> int:
        """Rows it holds of a collector; a change of quality is two points. Raises SinkError."""
        return int(self._ask(COUNT, begin_ns, end_ns, collector) or 0)

    def kept_since(self) -> int:
        """By age; and by size, once the file is about as large as it may be. Raises SinkError."""
        by_age = time.time_ns() - self._max_age_ns
        if self._path.exists() and self._path.stat().st_size > 0.9 * self._max_bytes:
            return max(by_age, self._ask("SELECT ts_ns FROM samples ORDER BY rowid LIMIT 1") or 0)
        return by_age

    def close(self) -> None:
        """Release the database."""
        if self._db:
            self._db.close()

    def _ask(self, question: str, *values: int | str) -> int | None:
        """The one value a query gives. Raises SinkError."""
        try:
            with closing(connect(self._path, write=False)) as db:
                row = db.execute(question, values).fetchone()
        except sqlite3.Error as error:
            raise SinkError("retry", "DatabaseError", f"cannot read {self._path.name}: {error}") from None
        return row[0] if row else None

    def _open(self) -> sqlite3.Connection:
        db = connect(self._path, write=True, auto_vacuum=True)
        db.execute("PRAGMA synchronous = FULL")
        db.execute(_SCHEMA)
        db.execute(_INDEX)
        return db

    def _expire(self, db: sqlite3.Connection, step: int) -> None:
        """Twice as many rows at most as were added: it catches up with any rate, and never takes long."""
        db.execute(_EXPIRE, (step, time.time_ns() - self._max_age_ns))
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > self._max_bytes:
            db.execute(_EXPIRE, (step, 2**63 - 1))


def _rows(line: str) -> Iterator[Row]:
    measurement, tags, fields, ts_ns = parse(line)
    collector, device = tags.get("collector", ""), tags.get("device", "")
    if measurement == QUALITY:
        labels = _labels({"reason": str(fields.get("reason", ""))})
        yield ts_ns, measurement, collector, device, labels, tags["tag"], None, str(fields["quality"])
        return
    labels = _labels({k: v for k, v in tags.items() if k not in ("collector", "device")})
    for tag, value in fields.items():
        yield ts_ns, measurement, collector, device, labels, tag, value, "good"


def _labels(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, ensure_ascii=False, separators=(",", ":")) if labels else "{}"
