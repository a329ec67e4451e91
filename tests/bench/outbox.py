"""A poll's lines put into the outbox, beside one bare insert into SQLite with the same promise.

What both write for it goes to stderr.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from collectors.contract import StateDir
from collectors.outbox import Outbox
from tests.bench.readings import AT_ONCE, readings
from tests.bench.rows import Row, repeated, side_by_side

APPENDS = 3000


def run() -> list[Row]:
    """10 lines of 20 fields in one transaction; both survive kill -9."""
    bodies = cycle(readings())
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        bare = sqlite3.connect(root / "bare.db", isolation_level=None)
        bare.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t(body BLOB)"
        )
        with Outbox(StateDir(root), "press-line") as outbox:
            ours = repeated(lambda: outbox.append(next(bodies), AT_ONCE, ("local",)))
            theirs = repeated(lambda: bare.execute("INSERT INTO t VALUES (?)", (next(bodies),)))
            times = side_by_side(ours, theirs, 300)
            print(
                f"{AT_ONCE / times[0]:,.0f} points/s; an append of {AT_ONCE} points writes {_written(ours):,.0f} bytes,"
                f" bare {_written(theirs):,.0f}; how often that is forced to disk: the bench `day`",
                file=sys.stderr,
            )
        bare.close()
    return [Row("outbox: append 200 points", "sqlite3, one bare insert", *times)]


def _written(work: Callable[[int], object]) -> float:
    """Bytes each time, the log written back now and then included."""
    before = _passed_to_write()
    work(APPENDS)
    return (_passed_to_write() - before) / APPENDS


def _passed_to_write() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar:")).split()[1])
