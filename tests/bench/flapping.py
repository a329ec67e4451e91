"""Memory of a collector whose device closes after every answer: an hour of reconnecting, compressed.

A device that comes and goes as fast as the back-off lets it (0.5 s) is connected to 7,200 times in an hour; here every
slot needs a new connection. A deadband keeps the outbox as it is, whose page cache would grow to its 2 MB otherwise.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.bench.counters import cpu_s, rss_mb
from tests.bench.rows import Row
from tests.collectors.running import collector, until

CONNECTIONS = 7200
WARM = 1000
INTERVAL = "2ms"


class Flapping:
    """Answers one request on each connection, then closes it, every second time with a reset."""

    def __init__(self) -> None:
        self.connections = 0

    def reached(self, connections: int) -> bool:
        """Whether there were so many."""
        return self.connections >= connections

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            request = await reader.readexactly(12)
            writer.write(request[:4] + b"\0\5" + request[6:8] + b"\2\0\7")
            await writer.drain()
        if self.connections % 2:
            writer.transport.abort()
        else:
            writer.close()


async def memory(connections: int = CONNECTIONS) -> tuple[list[float], float]:
    """MB at the start (once warm), in the middle and at the end, and the CPU seconds of one reconnection."""
    flapping = Flapping()
    async with await asyncio.start_server(flapping.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        spec = {
            "type": "modbus",
            "interval": INTERVAL,
            "devices": [{"host": "127.0.0.1", "port": port}],
            "tags": [{"name": "x", "address": "holding:0", "type": "uint16", "deadband": 1}],
        }
        with tempfile.TemporaryDirectory() as state:
            async with collector(Path(state), spec) as running:
                pid, seen = running.process.pid, []
                cpu = 0.0
                for wanted in (WARM, WARM + connections // 2, WARM + connections):
                    await until(partial(flapping.reached, wanted), f"{wanted} connections", 600.0)
                    seen.append(rss_mb(pid))
                    cpu = cpu or cpu_s(pid)
                cpu = cpu_s(pid) - cpu
    return seen, cpu / connections


def run() -> list[Row]:
    """The memory is printed; the row is what a reconnection costs beside a bare one."""
    (start, middle, end), cpu = asyncio.run(memory())
    print(f"flapping: {CONNECTIONS} reconnections: RSS {start:.1f} MB at the start, {middle:.1f} in the middle, "
          f"{end:.1f} at the end")  # fmt: skip
    return [
        Row(
            "flapping: connect, read, store, CPU",
            "asyncio.open_connection, one read",
            cpu,
            asyncio.run(_bare()),
        )
    ]


async def _bare(times: int = 1000) -> float:
    """CPU seconds of connecting and reading, nothing else."""
    flapping = Flapping()
    async with await asyncio.start_server(flapping.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        began = time.process_time()
        for _ in range(times):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\0\1\0\0\0\6\1\3\0\0\0\1")
            await reader.readexactly(11)
            writer.close()
        return (time.process_time() - began) / times
