"""Twenty outboxes for half a minute: what they write, how often it is forced to disk, and what that is for 200.

Beside it bare SQLite that keeps the same text, unpacked, with the same promise: forced to disk within five seconds.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from collectors.contract import StateDir
from collectors.cursors import Cursors, Settled
from collectors.feed import Feed
from collectors.outbox import Outbox
from tests.bench.readings import AT_ONCE, readings
from tests.bench.rows import Row
from tests.bench.syncs import counted, counting

SECONDS, OUTBOXES, WANTED = 30, 20, 200
SYNC_EVERY = 4
LOG_S, BARE_LOG_S = 110, 300
"""So long a log grows, about, until it is written back: outboxes begin at different points of it."""
LIMIT = 1 << 40
TEXT = sum(map(len, readings())) // len(readings())

Second = Callable[[int], None]
"""What is done in that second."""


class Cost(NamedTuple):
    """Of one run: CPU seconds, bytes handed to the disk, times forced (None where it could not be counted)."""

    cpu_s: float
    written: int
    forced: int | None

    def said(self, what: str) -> str:
        """A line for 200 collectors."""
        gb = self.written / SECONDS * 86400 * WANTED / OUTBOXES / 1e9
        forced = "?" if self.forced is None else f"{self.forced / SECONDS * WANTED / OUTBOXES:.0f}"
        cpu = self.cpu_s / SECONDS * WANTED / OUTBOXES * 100
        return f"  {what:16} {gb:4,.0f} GB written a day, forced {forced:>3} times a second, {cpu:4.1f} % of a core"


def run() -> list[Row]:
    """CPU of an append with all that follows from it."""
    with tempfile.TemporaryDirectory() as folder:
        costs = _measured(Path(folder))
    text = TEXT * 86400 * WANTED / 1e9
    print(
        f"{WANTED} collectors, {AT_ONCE} values a second each, {text:,.0f} GB of text a day:", file=sys.stderr
    )
    for what, cost in costs.items():
        print(cost.said(what), file=sys.stderr)
    done = SECONDS * OUTBOXES
    bare = costs["bare SQLite"].cpu_s / done
    return [
        Row(
            f"a second of an outbox, {what}",
            "bare SQLite, inserted and synced",
            costs[what].cpu_s / done,
            bare,
        )
        for what in ("sink away", "sink taking all")
    ]


def _measured(root: Path) -> dict[str, Cost]:
    """Each plant in a process of its own, all of them beside each other: they do little."""
    costs, processes = {}, {}
    for number, what in enumerate(PLANTS):
        folder = root / str(number)
        folder.mkdir()
        try:
            environ = os.environ | counting(folder)
        except LookupError as error:
            print(error, file=sys.stderr)
            environ = dict(os.environ)
        argv = [sys.executable, "-m", "tests.bench.day", what, str(folder / "plant")]
        processes[what] = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True)
    for what, process in processes.items():
        said, _ = process.communicate()
        cpu_s, written, forced = said.split()
        costs[what] = Cost(float(cpu_s), int(written), None if forced == "None" else int(forced))
    return costs


def _sink_away(stack: ExitStack, root: Path) -> Second:
    state, bodies = StateDir(root), readings()
    outboxes = [stack.enter_context(Outbox(state, f"press-{n}")) for n in range(OUTBOXES)]
    for n, outbox in enumerate(outboxes):
        for now in range(n * LOG_S // OUTBOXES):
            outbox.append(bodies[now % len(bodies)], AT_ONCE, ("plant",))

    def second(now: int) -> None:
        for outbox in outboxes:
            outbox.append(bodies[now % len(bodies)], AT_ONCE, ("plant",))
            outbox.maintain(LIMIT, 1e9)

    return second


def _sink_taking_all(stack: ExitStack, root: Path) -> Second:
    """A sender, one acknowledgement a second, but for its requests."""
    acquire = _sink_away(stack, root)
    state = StateDir(root)
    cursors = stack.enter_context(Cursors(state, "plant"))
    feeds = [stack.enter_context(closing(Feed(state.outbox(f"press-{n}"), "plant"))) for n in range(OUTBOXES)]
    for feed in feeds:
        cursors.begin(feed.uuid, feed.collector, feed.noted())

    def second(now: int) -> None:
        acquire(now)
        taken = {feed: feed.newest(cursors.get(feed.uuid), AT_ONCE * 10) for feed in feeds if feed.waiting()}
        cursors.take_off({feed.uuid: (feed.collector, part.rows) for feed, part in taken.items()})
        cursors.acknowledge(
            {
                feed.uuid: Settled(part.rows, delivered={0: sum(chunk.points for chunk in part.chunks)})
                for feed, part in taken.items()
            }
        )

    return second


def _bare(stack: ExitStack, root: Path) -> Second:
    root.mkdir()
    bodies = readings()
    databases = []
    for n in range(OUTBOXES):
        db = stack.enter_context(closing(sqlite3.connect(root / f"{n}.db", isolation_level=None)))
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t(body BLOB)")
        databases.append(db)
        for now in range(n * BARE_LOG_S // OUTBOXES):
            db.execute("INSERT INTO t VALUES (?)", (bodies[now % len(bodies)],))

    def second(now: int) -> None:
        for n, db in enumerate(databases):
            db.execute("INSERT INTO t VALUES (?)", (bodies[now % len(bodies)],))
            if now % SYNC_EVERY == 0:
                fd = os.open(root / f"{n}.db-wal", os.O_RDONLY)
                os.fdatasync(fd)
                os.close(fd)

    return second


PLANTS: dict[str, Callable[[ExitStack, Path], Second]] = {
    "sink away": _sink_away,
    "sink taking all": _sink_taking_all,
    "bare SQLite": _bare,
}


def _live(what: str, root: Path) -> None:
    """Run a plant in real time; print its CPU seconds and bytes written."""
    with ExitStack() as stack:
        second = PLANTS[what](stack, root)
        cpu_s, written, forced, began = time.process_time(), _handed_to_disk(), counted(), time.monotonic()
        for now in range(SECONDS):
            second(now)
            time.sleep(max(0.0, began + now + 1 - time.monotonic()))
        now_forced = counted()
        print(
            time.process_time() - cpu_s,
            _handed_to_disk() - written,
            now_forced - forced if now_forced is not None and forced is not None else None,
            flush=True,
        )
        os._exit(0)  # closing is no part of a day


def _handed_to_disk() -> int:
    """https://docs.kernel.org/filesystems/proc.html, write_bytes: what made pages dirty, not what tmpfs takes."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes:")).split()[1])


if __name__ == "__main__":
    _live(sys.argv[1], Path(sys.argv[2]))
