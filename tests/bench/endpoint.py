"""The endpoint with 500 collectors: answers while passes run, passes while it answers, changes to 200 WebSockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.rows import Row
from tests.e2e.plant import Plant, sleeper

COLLECTORS = 500
CLIENTS = 200
PER_S = 50
SECONDS = 30.0
KILLS = 20


def run() -> list[Row]:
    """500 sleeping programs under a real `daq run`."""
    with tempfile.TemporaryDirectory() as directory:
        plant = Plant(Path(directory))
        try:
            names = [f"c{n:03}" for n in range(COLLECTORS)]
            for name in names:
                plant.write(f"{name}.yaml", sleeper(name, "  restart: {delay: 500ms}\n"))
            plant.start_loop()
            plant.wait_ready(*names, deadline_s=180)
            return [*_answering(plant), *asyncio.run(_pushing(plant))]
        finally:
            plant.close()


def _answering(plant: Plant) -> list[Row]:
    kills = _Kills(plant)
    kills.start()
    quiet, _ = _passes_during(plant, lambda: _ask(plant.url, 1))
    loaded, took = _passes_during(plant, lambda: _ask(plant.url, PER_S))
    kills.end()
    bare = _bare(_get(plant.url)[0])
    what = f"GET /api/processes, {PER_S}/s, {COLLECTORS} collectors"
    return [
        Row(f"{what}, median", "uvicorn, same bytes", median(took), median(bare)),
        Row(f"{what}, p99", "uvicorn, same bytes", _p99(took), _p99(bare)),
        Row(f"a pass, {PER_S} GET/s beside it", "1 GET/s", loaded, quiet),
    ]


class _Kills(threading.Thread):
    """A death each second, so that passes are made and bodies are new."""

    def __init__(self, plant: Plant) -> None:
        super().__init__()
        self._plant, self._over = plant, threading.Event()

    def run(self) -> None:
        n = 0
        while not self._over.wait(1.0):
            n += 7
            pid = self._plant.status(f"c{n % COLLECTORS:03}").get("pid")
            if pid:
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        self._over.set()
        self.join()


def _passes_during(plant: Plant, work: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Mean seconds of a pass while `work` goes on, and what that returns."""
    before = _passes(plant.url)
    result = work()
    after = _passes(plant.url)
    return (after[1] - before[1]) / (after[0] - before[0]), result


def _passes(url: str) -> tuple[float, float]:
    """How many passes were made, and seconds they took together."""
    text = _get(url, "/metrics")[0].decode()
    count, total = (
        float(re.findall(rf"^daq_reconcile_duration_seconds_{part} (\S+)", text, re.MULTILINE)[0])
        for part in ("count", "sum")
    )
    return count, total


def _get(url: str, path: str = "/api/processes") -> tuple[bytes, float]:
    begin = time.perf_counter()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body, time.perf_counter() - begin


def _ask(url: str, per_s: int, seconds: float = SECONDS) -> list[float]:
    """Seconds that each of `per_s` requests a second took."""
    took, begin, pause = [], time.perf_counter(), threading.Event()
    for n in range(int(per_s * seconds)):
        pause.wait(max(0.0, begin + n / per_s - time.perf_counter()))
        took.append(_get(url)[1])
    return took


def _bare(body: bytes) -> list[float]:
    """The same requests to an application that does nothing but send those bytes."""

    async def app(scope: object, receive: object, send: Callable[[dict[str, object]], object]) -> None:
        head = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"%d" % len(body))],
        }
        await send(head)  # type: ignore[misc]
        await send({"type": "http.response.body", "body": body})  # type: ignore[misc]

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    took = _ask(f"http://127.0.0.1:{port}", PER_S, 10.0)
    server.should_exit = True
    thread.join()
    return took


async def _pushing(plant: Plant) -> list[Row]:
    alone = await _deaths_told(plant, 1)
    many = await _deaths_told(plant, CLIENTS)
    slowest = [max(times) for times in many]
    every = [t for times in many for t in times]
    first = [times[0] for times in alone]
    return [
        Row(f"pass to change told, {CLIENTS} clients, median", "1 client", median(every), median(first)),
        Row(f"pass to change told, {CLIENTS} clients, p99", "1 client", _p99(every), max(first)),
        Row("the same, slowest client of each, median", "1 client", median(slowest), median(first)),
    ]


async def _deaths_told(plant: Plant, clients: int) -> list[list[float]]:
    """For each of some deaths, seconds from the pass that saw it to its message at each client."""
    url = plant.url.replace("http", "ws") + "/ws/processes"
    sockets = [await connect(url, max_size=None, compression=None) for _ in range(clients)]
    for socket in sockets:
        await socket.recv()

    async def told(socket: ClientConnection, name: str) -> float:
        async for text in socket:
            message = json.loads(text) if '"process_status_change"' in str(text[:60]) else None
            if message and any(s["name"] == name and s["pid"] is None for s in message["data"]):
                heard: float = time.time() - message["heartbeat_at"]
                return heard
        raise ConnectionError

    found = []
    for n in range(KILLS):
        name = f"c{n * 11 % COLLECTORS:03}"
        pid = None
        while pid is None:
            pid = plant.status(name).get("pid")
            await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(told(socket, name)) for socket in sockets]
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        found.append(await asyncio.gather(*waiting))
    for socket in sockets:
        await socket.close()
    return found


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]
