"""What an OPC UA collector weighs while its server is lost and found again: an hour of that without the waits."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from collectors.model import LinkLostError
from tests.bench.rows import Row
from tests.collectors.opcua_server import Running, node, running
from tests.collectors.relay import relayed
from tests.collectors.test_opcua_collecting import source

SESSIONS = 1000
"""So many would be lost in an hour, were each to last 3 s."""
LOOK_AFTER = (SESSIONS // 10, SESSIONS // 2, SESSIONS)
TAGS = [{"name": f"x{n}", "node": node(f"Load.{n}")} for n in range(100)]


async def flap(server: Running) -> list[float]:
    """Open, receive and lose sessions; MiB resident after so many."""
    weights = []
    with tempfile.TemporaryDirectory() as root:
        async with relayed(server.port) as relay:
            found = source(f"opc.tcp://127.0.0.1:{relay.port}", Path(root), *TAGS, timeout="10s")
            for n in range(1, SESSIONS + 1):
                try:
                    await found.open()
                    await found.receive()
                    await relay.cut()
                    while True:
                        await found.receive()
                except LinkLostError:
                    await found.close()
                server.tell(
                    end_sessions=True
                )  # it would keep them for a minute, and a thousand are too many for it
                relay.asked.clear()
                if n in LOOK_AFTER:
                    weights.append(resident_mib())
    return weights


def resident_mib() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run() -> list[Row]:
    """Print the weights; nothing is compared."""
    command = [sys.executable, "-m", "tests.bench.opcua_flapping"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told = (f"{mib:.1f} MiB after {n}" for n, mib in zip(LOOK_AFTER, json.loads(done.stdout), strict=True))
    print(f"opcua_flapping: {', '.join(told)} lost sessions of {len(TAGS)} items")
    return []


if __name__ == "__main__":
    with running(items=len(TAGS)) as flapping:
        print(json.dumps(asyncio.run(flap(flapping))))
