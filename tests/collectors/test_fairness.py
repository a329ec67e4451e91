"""The newest readings arrive at once, however long the backlog is that an outage left."""

from __future__ import annotations

import threading
import time

import pytest

from collectors.contract import Points, StateDir
from collectors.outbox import Outbox
from tests.collectors.sending import send_until, settled, sink
from tests.scripted import Answer, scripted

pytestmark = pytest.mark.e2e

BACKLOG = 1_000_000
"""Points: 1,000 rows of 100 lines of 10 fields."""
LIVE_EVERY_S = 0.05
ANSWER_S = 0.05
AGE_S = 1.0
"""Two requests under way, and the tick before them, on a busy machine."""


def test_beside_a_backlog_of_a_million_points_no_live_point_grows_older_than_a_second(
    state: StateDir,
) -> None:
    ages: list[float] = []
    backlog_done_at = 0.0
    lock = threading.Lock()
    stored: set[str] = set()

    def script(_: int, body: str, __: object) -> Answer | None:
        nonlocal backlog_done_at
        threading.Event().wait(ANSWER_S)  # a database at the end of a slow line
        now = time.time_ns()
        lines = body.splitlines()
        with lock:
            ages.extend((now - int(line.rpartition(" ")[2])) / 1e9 for line in lines if line[0] == "n")
            if any(line[0] == "o" for line in lines):
                backlog_done_at = time.monotonic()
            stored.update(lines)
        return 204, {}, ""

    fields = ",".join(f"f{n}=1" for n in range(10))
    with scripted() as server, Outbox(state, "busy") as busy, Outbox(state, "calm") as calm:
        for first in range(0, BACKLOG // 10, 100):
            rows = "\n".join(f"o,collector=busy {fields} {n}" for n in range(first, first + 100))
            busy.append(rows.encode(), 1000, ("plant",))
        server.script = script
        began = time.monotonic()
        live = 0

        def acquire() -> bool:
            nonlocal live
            if len(stored) < BACKLOG // 10 and time.monotonic() - began > live * LIVE_EVERY_S:
                live += 1
                for name, outbox in (("busy", busy), ("calm", calm)):
                    line = f"n,collector={name} f={live} {time.time_ns()}"
                    outbox.append(line.encode(), 1, ("plant",))
            return settled(state, "busy", "plant") and settled(state, "calm", "plant")

        spec = sink(type="influxdb", url=server.url, database="d", batch={"lines": 1000, "maxAge": "100ms"})
        send_until(spec, state, acquire, "the backlog")
        assert busy.counts()["plant"] == Points(BACKLOG + live, delivered=BACKLOG + live)
    assert len(stored) == BACKLOG // 10 + 2 * live
    assert len(ages) == 2 * live
    assert max(ages) < AGE_S
    assert (
        backlog_done_at - began > 2 * AGE_S
    )  # oldest first, the first live point would have waited for that
