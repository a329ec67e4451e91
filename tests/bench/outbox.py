"""A poll's lines put into the outbox, beside one bare insert into SQLite with the same promise."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from collectors.contract import StateDir
from collectors.outbox import Outbox
from tests.bench.rows import Row, repeated, side_by_side

LINES = b"\n".join(b"press,collector=press-line,device=press-1 " + b"zone=173.4," * 20 for _ in range(10))
POINTS = 200


def run() -> list[Row]:
    """10 lines of 20 fields in one transaction; both survive kill -9."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        bare = sqlite3.connect(root / "bare.db", isolation_level=None)
        bare.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t(body BLOB)"
        )
        with Outbox(StateDir(root), "press-line") as outbox:
            times = side_by_side(
                repeated(lambda: outbox.append(LINES, POINTS, ("local",))),
                repeated(lambda: bare.execute("INSERT INTO t VALUES (?)", (LINES,))),
                300,
            )
        bare.close()
    return [Row("outbox: append 200 points", "sqlite3, one bare insert", *times)]
