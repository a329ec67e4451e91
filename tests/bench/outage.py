"""A day's outage in size: an outbox is filled, and drained again, beside bare SQLite doing the same unpacked.

`DAQ_OUTAGE` says how many points, a million unless told. Figures that are no times go to stderr.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from collectors.contract import StateDir
from collectors.cursors import Cursors, Settled
from collectors.feed import Feed
from collectors.outbox import Outbox
from collectors.outbox.file import files
from tests.bench.readings import AT_ONCE, readings
from tests.bench.rows import Row

POINTS = int(os.environ.get("DAQ_OUTAGE", "1000000"))
LIMIT = 1 << 40
BATCH_LINES = 5000


def run() -> list[Row]:
    """Seconds a point, to store and to take out again."""
    with tempfile.TemporaryDirectory() as directory:
        state = StateDir(Path(directory))
        ours = _fill(state), _drain(state)
        bare = _bare(Path(directory) / "bare.db")
    return [
        Row(f"outbox: store each of {POINTS:,} points", "sqlite3, bare insert, unpacked", ours[0], bare[0]),
        Row("outbox: take each out again, acknowledged", "sqlite3, bare select, unpacked", ours[1], bare[1]),
    ]


def _fill(state: StateDir) -> float:
    with Outbox(state, "press") as outbox:
        began, since = time.process_time(), time.monotonic()
        for n, lines in enumerate(_bodies()):
            outbox.append(lines, AT_ONCE, ("plant",))
            if n % 100 == 0:
                outbox.maintain(LIMIT, 1e9)
        spent, took = time.process_time() - began, time.monotonic() - since
    size = sum(file.stat().st_size for file in files(state.outbox("press")) if file.exists())
    raw = sum(map(len, readings())) / len(readings()) / AT_ONCE
    _say(
        f"filled {POINTS:,} points in {took:.1f} s, {spent:.1f} s of CPU; {size / POINTS:.2f} bytes a point"
        f" on disk ({raw:.1f} as text), {size / 2**20:.0f} MiB; peak memory {_peak():.0f} MiB"
    )
    return spent / POINTS


def _drain(state: StateDir) -> float:
    began, since, taken = time.process_time(), time.monotonic(), 0
    with Outbox(state, "press") as outbox, Cursors(state, "plant") as cursors:
        opened = time.monotonic() - since
        feed = Feed(state.outbox("press"), "plant")
        cursors.begin(feed.uuid, "press", feed.noted())
        while feed.waiting():
            part = feed.oldest(cursors.get(feed.uuid), BATCH_LINES)
            if not part.rows:
                break
            cursors.take_off({feed.uuid: ("press", part.rows)})
            points = sum(chunk.points for chunk in part.chunks)
            cursors.acknowledge({feed.uuid: Settled(part.rows, delivered={0: points})})
            taken += points
            outbox.maintain(LIMIT, 1e9)
        outbox.prune()
        assert (taken, outbox.is_empty()) == (POINTS // AT_ONCE * AT_ONCE, True)
        spent, took = time.process_time() - began, time.monotonic() - since
        shrunk = time.monotonic()
        while (size := state.outbox("press").stat().st_size) > 4 << 20:
            outbox.maintain(LIMIT, 1e9)
        shrunk = time.monotonic() - shrunk
        feed.close()
    _say(
        f"drained in {took:.1f} s, {spent:.1f} s of CPU, {taken / took:,.0f} points/s; opened in {opened:.2f} s;"
        f" shrunk to {size / 2**20:.1f} MiB in {shrunk:.1f} s more; peak memory {_peak():.0f} MiB"
    )
    return spent / POINTS


def _bare(path: Path) -> tuple[float, float]:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t(body BLOB)")
    began = time.process_time()
    for lines in _bodies():
        db.execute("INSERT INTO t VALUES (?)", (lines,))
    filled = time.process_time()
    for (_,) in db.execute("SELECT body FROM t"):
        pass
    drained = time.process_time()
    db.close()
    return (filled - began) / POINTS, (drained - filled) / POINTS


def _bodies() -> Iterator[bytes]:
    return islice(cycle(readings()), POINTS // AT_ONCE)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
