"""An outage of six minutes made up for in influxd, by a real sender, while ten collectors go on.

Meanwhile influxd is asked ten times a second how old the newest reading is that it holds. Ages go to stderr.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from collectors.contract import StateDir
from collectors.cursorfile import read_cursor
from collectors.outbox import Outbox
from tests.bench.counters import cpu_s, rss_mb
from tests.bench.rows import Row
from tests.collectors.sending import sink, start_sender
from tests.databases import Influx, influxd

COLLECTORS, LINES, FIELDS = 10, 10, 20
AT_ONCE = LINES * FIELDS
EVERY_S = 0.2
LIVE = COLLECTORS * AT_ONCE / EVERY_S
"""Points a second."""
BACKLOG_S = 360
"""So long the outage was."""
WITHIN_S = 120.0
NEWEST = "SELECT last(zone_0) FROM press WHERE time > now() - 5m GROUP BY collector"


def run() -> list[Row]:
    """Seconds for a point of the backlog, and for one as they are read."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        influx = stack.enter_context(influxd(root))
        influx.query("CREATE DATABASE bench")
        state = StateDir(root / "state")
        names = [f"press-{n}" for n in range(COLLECTORS)]
        outboxes = {name: stack.enter_context(Outbox(state, name)) for name in names}
        now = time.time()
        for past in range(int(BACKLOG_S / EVERY_S), 0, -1):
            _read(outboxes, now - past * EVERY_S)
        took, ages = _catch_up(state, influx, outboxes, root / "log")
    points = BACKLOG_S * LIVE
    print(
        f"{points:,.0f} points in {took:.1f} s while {LIVE:,.0f} a second were read; the newest reading stored was"
        f" {median(ages):.2f} s old at the median, {max(ages):.2f} s at most",
        file=sys.stderr,
    )
    return [Row("a point of a backlog, into influxd", "a point as it is read", took / points, 1 / LIVE)]


def _read(outboxes: Mapping[str, Outbox], at: float) -> None:
    """What the collectors read at a time (epoch seconds)."""
    fields = ",".join(f"zone_{n}={at % 500 + n:.1f}" for n in range(FIELDS))
    for name, outbox in outboxes.items():
        lines = [
            f"press,collector={name},device={name}-{n} {fields} {int(at * 1e9) + n}" for n in range(LINES)
        ]
        outbox.append("\n".join(lines).encode(), AT_ONCE, ("plant",))


def _catch_up(
    state: StateDir, influx: Influx, outboxes: Mapping[str, Outbox], log: Path
) -> tuple[float, list[float]]:
    """Seconds until the backlog was delivered; ages of the newest reading that is there of the collector worst off."""
    ends = {outbox.uuid: int(BACKLOG_S / EVERY_S) for outbox in outboxes.values()}
    sender = start_sender(sink(type="influxdb", url=influx.url, database="bench", batch={}), state, log)
    try:
        began, ages = time.monotonic(), list[float]()
        reads = 0
        while not all(read_cursor(state, "plant", uuid).position >= end for uuid, end in ends.items()):
            assert time.monotonic() - began < WITHIN_S, log.read_text()
            while reads * EVERY_S < time.monotonic() - began:
                reads += 1
                _read(outboxes, time.time())
            newest = influx.query(NEWEST, "bench")
            if len(newest) == COLLECTORS:
                ages.append(time.time() - min(row["time"] for row in newest) / 1e9)
            time.sleep(0.1)
        return time.monotonic() - began, ages
    finally:
        print(f"the sender: {cpu_s(sender.pid):.1f} s of CPU, {rss_mb(sender.pid):.0f} MB", file=sys.stderr)
        sender.terminate()
        sender.wait()
