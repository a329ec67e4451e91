"""5,000 monitored items that change twice a second, collected into an outbox, beside bare asyncua."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

from asyncua import Client

from tests.bench.counters import cpu_s, points
from tests.bench.rows import Goal, Row
from tests.collectors.opcua_server import Running, node, running
from tests.collectors.running import collector, until

ITEMS = 5000
EVERY_S = 0.5
SECONDS = 15.0
TAGS = [{"name": f"x{n}", "node": node(f"Load.{n}")} for n in range(ITEMS)]


class Counting:
    """A handler that does nothing else."""

    def __init__(self) -> None:
        self.values = 0

    def datachange_notification(self, _node: object, _value: object, _data: object) -> None:
        """Called by asyncua for each value."""
        self.values += 1


async def bare(url: str) -> tuple[float, int]:
    """asyncua with an empty handler; CPU seconds for each value, and how many there were."""
    async with Client(url, timeout=30, watchdog_intervall=30) as client:
        index = await client.get_namespace_index("urn:daq:simulator")
        nodes = [client.get_node(f"ns={index};s=Load.{n}") for n in range(ITEMS)]
        handler = Counting()
        async with await client.create_subscription(EVERY_S * 1000, handler) as subscription:
            for at in range(0, ITEMS, 500):
                await subscription.subscribe_data_change(nodes[at : at + 500], queuesize=10)
            await until(lambda: handler.values >= 2 * ITEMS, "values", 60.0)
            values, began = handler.values, process_time()
            await asyncio.sleep(SECONDS)
            values = handler.values - values
            return (process_time() - began) / values, values


async def ours(url: str) -> tuple[float, int, list[int]]:
    """The collector as it runs; CPU seconds for each value stored, how many, and how many of each change."""
    spec = {"type": "opcua", "devices": [{"url": url, "timeout": "30s"}], "tags": TAGS}
    with tempfile.TemporaryDirectory() as state:
        async with collector(Path(state), spec) as running:
            path = running.state.outbox(running.name)
            await until(running.is_connected, "a connection", 60.0)
            await until(lambda: points(path) >= 3 * ITEMS, "values", 60.0)
            cpu, count = cpu_s(running.process.pid), points(path)
            await asyncio.sleep(SECONDS)
            cpu, count = cpu_s(running.process.pid) - cpu, points(path) - count
            await running.stop()
            changes: dict[int, int] = {}
            for _, _, fields, _ in running.rows():
                for value in fields.values():
                    assert isinstance(value, float)
                    changes[int(value)] = changes.get(int(value), 0) + 1
    return cpu / count, count, [changes[step] for step in sorted(changes)]


def in_process(url: str) -> tuple[float, int]:
    """The baseline in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.opcua", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu, values = json.loads(done.stdout)
    return float(cpu), int(values)


def measured(server: Running) -> Row:
    """Both, one after the other."""
    mine, count, changes = asyncio.run(ours(server.url))
    whole = changes[2:-2]
    print(f"opcua: {count / SECONDS:.0f} values/s stored, {mine * count / SECONDS:.0%} of a core; "
          f"{sum(whole)} of {len(whole) * ITEMS} values of {len(whole)} changes")  # fmt: skip
    theirs, values = in_process(server.url)
    print(f"opcua: baseline {values / SECONDS:.0f} values/s, {theirs * values / SECONDS:.0%} of a core")
    what, beside = "opcua: a value subscribed and stored, CPU", "asyncua, empty handler, nothing stored"
    return Row(what, beside, mine, theirs, goal=Goal(times=0.8))


def run() -> list[Row]:
    """One row: CPU for each value."""
    with running(items=ITEMS, every_s=EVERY_S) as server:
        return [measured(server)]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(bare(sys.argv[1]))))
