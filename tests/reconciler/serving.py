"""The real endpoint on a free port of loopback, over snapshots that tests publish."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from websockets.sync.client import ClientConnection, connect

from collectors.contract import StateDir, monotonic
from reconciler.model import Desired, History, Plan
from reconciler.publish import Publisher
from reconciler.server.address import Address
from reconciler.server.listener import Server

LOOPBACK = "127.0.0.1"
UPGRADE = (
    b"GET /ws/processes HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
"""The request that opens the WebSocket."""


def status(name: str, **more: Any) -> dict[str, Any]:
    """A plausible status object."""
    points = {"acquired": 10, "delivered": 6, "queued": 2, "dropped": 1, "rejected": 1}
    conditions = [
        {"type": kind, "status": "True", "reason": "Collecting", "message": "reads", "since": 1.0}
        for kind in ("Ready", "Healthy")
    ]
    device = {
        "name": name,
        "endpoint": "10.0.0.1:502/1",
        "connected": True,
        "last_read_at": 5.0,
        "reads": 3,
        "errors": 0,
        "late_cycles": 0,
        "lost_values": 0,
        "cycle_ms": 12.0,
        "last_error": None,
        "quarantined": [],
    }
    return {
        "name": name,
        "kind": "Collector",
        "type": "modbus",
        "title": "压机",
        "labels": {"line": "1"},
        "status": "running",
        "health": "healthy",
        "pid": None,
        "cpu_percent": 1.5,
        "memory_mb": 20.0,
        "start_time": 100.0,
        "uptime_s": 3.0,
        "restart_count": 2,
        "last_error": None,
        "desired_state": "running",
        "digest": "1-a",
        "applied_revision": "abc",
        "next_restart_at": None,
        "command": ["python"],
        "config_file": None,
        "manifest": {"path": f"{name}.yaml", "line": 7},
        "interval_s": 1.0,
        "points_per_second": 2.5,
        "sinks": ["plant"],
        "node": "edge",
        "conditions": conditions,
        "last_termination": None,
        "devices": [device],
        "points": points,
        **more,
    }


def sink(name: str, **more: Any) -> dict[str, Any]:
    """A status object of a Sink."""
    return status(name, **{"kind": "Sink", "type": "influxdb", "devices": [], "sinks": [], **more})


def document(*statuses: Mapping[str, Any], heartbeat_at: float = 1000.5) -> dict[str, Any]:
    """What status.json would hold."""
    source: dict[str, Any] = dict.fromkeys(
        ("fetched", "attempted", "branch", "dirty", "verified", "fetched_at", "error", "desired_digest")
    )
    counts = ("total", "running", "stopped", "error", "degraded")
    summary: dict[str, Any] = {f"{word}_processes": len(statuses) for word in counts}
    summary |= dict.fromkeys(("disconnected_devices", "stale_tags", "queued_points"), 0)
    summary |= dict.fromkeys(("avg_cpu_usage", "memory_mb", "points_per_second"), 0.5)
    return {
        "reconciler": {
            "pid": 1,
            "started_at": 1.0,
            "heartbeat_at": heartbeat_at,
            "version": "1",
            "node": "edge",
        },
        "source": {"kind": "directory", "applied": "abc", **source},
        "converged": True,
        "summary": {**summary, "revision": "abc", "converged": True},
        "processes": list(statuses),
    }


class Answer(NamedTuple):
    """What a request got."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body parsed."""
        return json.loads(self.body)


class Served:
    """An endpoint and what it serves."""

    def __init__(self, root: Path, **more: Any) -> None:
        self.state = StateDir(root)
        self.publisher = Publisher(self.state)
        self.server = Server(self.publisher, Address(**{"host": LOOPBACK, "port": 0, **more}))
        self.port = int(self.server.url.rpartition(":")[2])
        self.server.start()

    def listen(self, **more: Any) -> ClientConnection:
        """A client of the WebSocket."""
        scheme = "wss" if "ssl" in more else "ws"
        url = f"{scheme}://localhost:{self.port}/ws/processes"
        client: ClientConnection = connect(url, max_size=None, compression=None, **more)
        return client

    def publish(
        self,
        *statuses: Mapping[str, Any],
        plan: Plan | None = None,
        histories: Mapping[str, History] | None = None,
        heartbeat_at: float = 1000.5,
    ) -> None:
        """Publish a pass."""
        self.publisher.publish(
            document(*statuses, heartbeat_at=heartbeat_at),
            monotonic(),
            plan=plan or Plan(()),
            desired=Desired({}),
            histories=histories or {},
        )

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """One request; `_` in a header's name stands for `-`."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return answer


@contextmanager
def served(root: Path, *statuses: Mapping[str, Any], **more: Any) -> Iterator[Served]:
    """An endpoint, with a first pass published if there are any `statuses`."""
    endpoint = Served(root, **more)
    try:
        if statuses:
            endpoint.publish(*statuses)
        yield endpoint
    finally:
        endpoint.server.close()
