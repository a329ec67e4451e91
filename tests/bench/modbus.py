"""Modbus blocks read by the collector's protocol, beside a bare pymodbus loop that reads the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from collectors.model import Block
from collectors.protocols import modbus
from tests.bench.rows import Row, side_by_side

BLOCKS = [("holding", 0, 18), ("holding", 99, 120), ("input", 0, 14), ("input", 500, 125)]


@contextmanager
def simulator() -> Iterator[int]:
    """The press line in a process of its own; its port."""
    command = [str(Path(sys.executable).with_name("daq")), "simulate", "modbus", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.terminate()


async def bare_client(port: int) -> AsyncModbusTcpClient:
    """pymodbus as its documentation has it."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    return client


def run() -> list[Row]:
    """Four blocks of 277 registers in all, one request at a time, over loopback."""
    with simulator() as port, asyncio.Runner() as runner:
        device = modbus.parse_device("press-1", {**modbus.DEFAULTS, "host": "127.0.0.1", "port": port})
        blocks = [Block(area, "word", start, count, ()) for area, start, count in BLOCKS]
        link = runner.run(modbus.connect(device.link, device.timeout_s))
        client = runner.run(bare_client(port))
        bare = {"holding": client.read_holding_registers, "input": client.read_input_registers}

        async def ours(times: int) -> None:
            for n in range(times):
                await link.read(device, blocks[n % len(blocks)])

        async def baseline(times: int) -> None:
            for n in range(times):
                area, start, count = BLOCKS[n % len(BLOCKS)]
                await bare[area](start, count=count, device_id=1)

        def measured(clock: str) -> tuple[float, float]:
            return side_by_side(
                lambda n: runner.run(ours(n)),
                lambda n: runner.run(baseline(n)),
                400,
                clock=getattr(time, clock),
            )

        rows = [
            Row("modbus: read a block, elapsed", "pymodbus in a loop", *measured("perf_counter")),
            Row("modbus: read a block, CPU", "pymodbus in a loop", *measured("process_time")),
        ]
        link.close()
        client.close()
    return rows
