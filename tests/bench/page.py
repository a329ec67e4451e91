"""What the live page costs a browser with many collectors: work of its main thread for each message of the feed."""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from playwright.sync_api import CDPSession, Page, WebSocketRoute, expect

from tests.bench.rows import ROUNDS, Row
from tests.browser import chromium
from tests.e2e.plant import Plant, sleeper

MANY = 500
SETTLE_MS = 500
"""Work of a message is over by then: script, style, layout and paint."""

Status = dict[str, Any]


def run() -> list[Row]:
    """A real loop serves the page; its feed is ours, so that it has as many collectors as we like."""
    with tempfile.TemporaryDirectory() as folder:
        plant = Plant(Path(folder))
        try:
            plant.write("a.yaml", sleeper("a"))
            plant.start_loop()
            plant.wait_ready("a")
            with chromium() as browser:
                context = browser.new_context(viewport={"width": 1280, "height": 800})
                page = context.new_page()
                return _measured(page, context.new_cdp_session(page), plant.url)
        finally:
            plant.close()


def _measured(page: Page, session: CDPSession, url: str) -> list[Row]:
    with urlopen(f"{url}/api/status") as answer:
        head = json.load(answer)
    with urlopen(f"{url}/api/processes/a") as answer:
        pattern = json.load(answer)
    feed: list[WebSocketRoute] = []
    turn = 0

    def message(kind: str, count: int) -> str:
        nonlocal turn
        turn += 1
        data = [_status(pattern, number, turn) for number in range(count)]
        at = time.time()
        return json.dumps(
            {"type": kind, "timestamp": at, **head, "heartbeat_at": at, "removed": [], "data": data}
        )

    def take_over(socket: WebSocketRoute) -> None:
        feed.append(socket)

    page.route_web_socket("**/ws/processes", take_over)
    page.goto(url)
    while not feed:
        page.wait_for_timeout(10)
    session.send("Performance.enable")

    def work_s(act: Callable[[], object]) -> float:
        before = _busy_s(session)
        act()
        page.wait_for_timeout(SETTLE_MS)
        return _busy_s(session) - before

    def median_s(act: Callable[[], object]) -> float:
        return median(work_s(act) for _ in range(ROUNDS))

    whole = message("process_status_update", MANY)
    feed[0].send(whole)
    expect(page.locator("tr[data-row]").nth(15)).to_be_visible()
    parse_s = median_s(lambda: page.evaluate("text => JSON.parse(text).data.length", whole))
    rows = {
        f"page: all of {MANY} changed": lambda: feed[0].send(message("process_status_update", MANY)),
        f"page: 1 of {MANY} changed": lambda: feed[0].send(message("process_status_change", 1)),
        f"page: {MANY} sorted another way": lambda: page.locator("th.cpu button").click(),
        "page: nothing, the ages tick": lambda: None,
    }
    return [Row(what, f"JSON.parse of all {MANY}", median_s(act), parse_s) for what, act in rows.items()]


def _busy_s(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(m["value"]) for m in metrics if m["name"] == "TaskDuration")


def _status(pattern: Status, number: int, turn: int) -> Status:
    """One of many, other than at the turn before."""
    status = copy.deepcopy(pattern)
    status |= {
        "name": f"collector-{number:03d}",
        "title": f"采集器 {number}",
        "labels": {"line": str(number % 7)},
        "cpu_percent": (number * 7 + turn * 3) % 20,
        "health": "degraded" if (number + turn) % 50 == 0 else "healthy",
        "points": {**pattern["points"], "acquired": 1000 * turn + number, "queued": (number + turn) % 5},
        "devices": [
            {"name": "d", "endpoint": f"10.0.0.1:502/{number}", "connected": (number + turn) % 50 != 0,
             "last_read_at": time.time(), "reads": turn, "errors": 0, "late_cycles": 0, "lost_values": 0,
             "cycle_ms": 3.0, "last_error": None, "quarantined": []}
        ],
    }  # fmt: skip
    return status
