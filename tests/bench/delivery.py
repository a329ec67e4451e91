"""An outbox carried into real databases, beside a loop that posts the same lines and influxdb-client's batching mode.

Times are seconds a line, of the wall and of the CPU of this process; the servers run on the same cores.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import WriteOptions

from collectors.contract import SpecFile, StateDir
from collectors.outbox import Outbox
from collectors.sender import Sender
from collectors.sinks import Result, Sink, open_sink
from tests.bench.rows import Goal, Row
from tests.collectors.sending import settled
from tests.databases import influxd, victoria_metrics

LINES, IN_A_ROW, IN_A_BATCH = 100_000, 100, 5_000
ROUNDS = 3
NOW = 1_793_480_000 * 10**9


def run() -> list[Row]:
    """Lines of three fields and some 130 bytes; each outbox row holds what a poll of 100 lines leaves."""
    lines = [
        f"press,collector=press-line,device=press-{n % 40},hall=A,line=1"
        f" temperature={173.4 + n % 50},pressure={n % 1000}i,speed={1450.5 + n % 7} {NOW + n * 1_000_000}"
        for n in range(LINES)
    ]
    rows = ["\n".join(lines[n : n + IN_A_ROW]).encode() for n in range(0, LINES, IN_A_ROW)]
    bodies = ["\n".join(lines[n : n + IN_A_BATCH]).encode() for n in range(0, LINES, IN_A_BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("influxd", "victoria"):
            (root / name).mkdir()
        with influxd(root / "influxd") as influx, victoria_metrics(root / "victoria") as victoria:
            influx.query("CREATE DATABASE bench")
            v1 = {"type": "influxdb", "url": influx.url, "database": "bench"}
            v2 = {"type": "influxdb", "url": victoria.url, "bucket": "b", "org": "o"}
            path = "/write?db=bench&precision=ns"
            return [
                *_compared("influxd", v1, rows, "a bare POST loop, gzip 1", lambda: _post(influx.url, path, bodies),
                           goal=Goal(times=0.8)),
                *_compared("victoria-metrics", v2, rows, "a bare POST loop, gzip 1",
                           lambda: _post(victoria.url, path, bodies)),
                *_compared("victoria-metrics", v2, rows, "influxdb-client batching, gzip",
                           lambda: _batching(victoria.url, lines), goal=Goal(times=2)),
                *_compared("SQLite", {"type": "sqlite"}, rows, "executemany of ready rows", _insert(root, lines)),
            ]  # fmt: skip


def _compared(
    name: str,
    spec: dict[str, Any],
    rows: list[bytes],
    what: str,
    baseline: Callable[[], None],
    *,
    goal: Goal | None = None,
) -> list[Row]:
    """Wall and CPU of ours and of a baseline, in turns; the first round of each warms up."""
    times: list[tuple[float, float, float, float]] = []
    for _ in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            state = StateDir(Path(folder))
            with Outbox(state, "press-line") as outbox:
                for row in rows:
                    outbox.append(row, 3 * IN_A_ROW, ("plant",))
                ours = asyncio.run(_send(state, spec))
        times.append((*ours, *_timed(baseline)))
    wall, cpu, wall_baseline, cpu_baseline = (median(t) / LINES for t in zip(*times[1:], strict=True))
    return [
        Row(f"a line from outbox into {name}", what, wall, wall_baseline, goal=goal),
        Row(f"a line from outbox into {name}, CPU", what, cpu, cpu_baseline),
    ]


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


class _Counting:
    """A sink that ends the sender once it has taken all lines: looking for that costs nothing."""

    def __init__(self, sink: Sink, stop: Callable[[], object]) -> None:
        self.at_once = sink.at_once
        self.changed, self.count, self.kept_since, self.close = (
            sink.changed,
            sink.count,
            sink.kept_since,
            sink.close,
        )
        self._sink = sink
        self._stop = stop
        self._taken = 0

    def write(self, body: bytes) -> Result:
        result = self._sink.write(body)
        self._taken += body.count(b"\n") + 1
        if self._taken == LINES:
            self._stop()
        return result


async def _send(state: StateDir, spec: dict[str, Any]) -> tuple[float, float]:
    """Wall and CPU seconds of a sender that runs until all is taken; not those of making its databases."""
    file, stop, loop = SpecFile("Sink", "plant", "d", spec), asyncio.Event(), asyncio.get_running_loop()
    with closing(open_sink(file, state)) as sink:
        counting = _Counting(sink, lambda: loop.call_soon_threadsafe(stop.set))
        with closing(Sender(file, state, stop, counting)) as sender:
            wall, cpu = time.perf_counter(), time.process_time()
            await sender.run()
            times = time.perf_counter() - wall, time.process_time() - cpu
    assert settled(state, "press-line", "plant")
    return times


def _post(url: str, path: str, bodies: list[bytes]) -> None:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    for body in bodies:
        connection.request("POST", path, gzip.compress(body, 1), {"Content-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204
    connection.close()


def _batching(url: str, lines: list[str]) -> None:
    with InfluxDBClient(url, "t", org="o", enable_gzip=True) as client:
        api = client.write_api(write_options=WriteOptions(batch_size=IN_A_BATCH, flush_interval=1_000))
        for line in lines:
            api.write("b", "o", line)
        api.close()


def _insert(root: Path, lines: list[str]) -> Callable[[], None]:
    """The same rows, parsed beforehand, into the same table; a transaction for each batch, synced."""
    sink = open_sink(SpecFile("Sink", "bare", "d", {"type": "sqlite", "path": "bare.db"}), StateDir(root))
    sink.write("\n".join(lines).encode())
    sink.close()
    with closing(sqlite3.connect(root / "bare.db")) as db:
        rows = db.execute("SELECT * FROM samples").fetchall()

    def insert() -> None:
        with closing(sqlite3.connect(root / "bare.db", isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("DELETE FROM samples")
            for first in range(0, len(rows), 3 * IN_A_BATCH):
                db.execute("BEGIN")
                db.executemany(
                    "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows[first : first + 3 * IN_A_BATCH],
                )
                db.execute("COMMIT")

    return insert
