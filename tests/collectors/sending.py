"""Running a sender in tests: within this process until something is so, or as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from collectors.contract import Points, Report, SpecFile, StateDir, read_json, to_json, write_json
from collectors.cursorfile import read_cursor
from collectors.feed import Feed
from collectors.sender import run

FAST = {"lines": 500, "maxAge": "10ms"}


def sink(name: str = "plant", **spec: Any) -> SpecFile:
    """The spec file of a sink; small batches unless it says otherwise."""
    return SpecFile("Sink", name, "d1", {"batch": FAST, **spec})


def send_until(spec: SpecFile, state: StateDir, condition: Callable[[], object], what: str) -> int:
    """Run a sender until `condition`, then ask it to stop; its exit code."""

    async def main() -> int:
        stop = asyncio.Event()
        sender = asyncio.create_task(run(spec, state, stop))
        end = time.monotonic() + 20
        while not condition():
            assert not sender.done(), f"the sender ended before {what}"
            assert time.monotonic() < end, f"waited 20 s for {what}"
            await asyncio.sleep(0.005)
        stop.set()
        return await asyncio.wait_for(sender, 20)

    return asyncio.run(main())


def points(state: StateDir, collector: str, sink: str) -> Points:
    """The counts of one collector for one sink, as anybody may read them."""
    feed = Feed(state.outbox(collector), sink)
    try:
        return feed.counts(read_cursor(state, sink, feed.uuid))
    finally:
        feed.close()


def settled(state: StateDir, collector: str, sink: str) -> bool:
    """Whether nothing is left to send."""
    return points(state, collector, sink).queued == 0


def report(state: StateDir, sink: str) -> Report | None:
    """The newest report of a sender; None before the first."""
    try:
        return Report.from_json(read_json(state.report(sink)))
    except FileNotFoundError:
        return None


def held(state: StateDir, sink: str) -> str | None:
    """The reason a sender's report gives for not delivering."""
    made = report(state, sink)
    return made.held.reason if made and made.held else None


def write_spec(spec: SpecFile, state: StateDir) -> Path:
    """The spec file, which is immutable."""
    path = state.spec(spec.name, spec.digest)
    if not path.exists():
        write_json(path, to_json(spec))
    return path


def start_sender(spec: SpecFile, state: StateDir, log: Path) -> subprocess.Popen[bytes]:
    """The real process, started as the reconciler does."""
    path = write_spec(spec, state)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "collectors", str(path)],
            env={"PATH": os.environ["PATH"], "DAQ_STATE_DIR": str(state.root), "DAQ_NAME": spec.name},
            stdout=output,
            stderr=output,
        )


def samples(path: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    """Rows of an embedded database, oldest first; none while there is no table."""
    if not path.exists():
        return []
    db = sqlite3.connect(path)
    try:
        return db.execute(f"SELECT {columns} FROM samples ORDER BY ts_ns, tag").fetchall()
    except sqlite3.OperationalError as error:
        assert "no such table" in str(error) or "locked" in str(error), error
        return []
    finally:
        db.close()
