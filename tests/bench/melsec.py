"""MELSEC tags read and decoded by the collector's protocol, beside bare pymcprotocol that reads the same words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pymcprotocol

from collectors import blocks, protocols
from collectors.decode import decoder
from collectors.spec import parse
from tests.bench.rows import Row, side_by_side


@contextmanager
def simulator() -> Iterator[int]:
    """A QnU in a process of its own; its port."""
    daq = str(Path(sys.executable).with_name("daq"))
    command = [daq, "simulate", "melsec", "--frame", "3E", "--series", "Q", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.terminate()


def run() -> list[Row]:
    """A thousand int16 from D200 in two requests, and one alone; one operation is all of them."""
    with simulator() as port, asyncio.Runner() as runner:
        client = pymcprotocol.Type3E()
        client.connect("127.0.0.1", port)
        rows = [*_rows(1000, port, runner, client), *_rows(1, port, runner, client)]
        client.close()
    return rows


def _rows(count: int, port: int, runner: asyncio.Runner, client: pymcprotocol.Type3E) -> list[Row]:
    options = {"host": "127.0.0.1", "port": port, "frame": "3E", "series": "QnU"}
    tag = {"name": "x", "address": "D200", "type": "int16", "count": count}
    melsec = protocols.load("melsec")
    (device,) = parse("plc", {"type": "melsec", "devices": [options], "tags": [tag]}).devices
    reads = [(block, decoder(block)) for block in blocks.group(device.tags, device.limits)]
    link = runner.run(melsec.connect(device.link, device.timeout_s))

    async def ours(times: int) -> None:
        for _ in range(times):
            for block, decode in reads:
                decode(await link.read(device, block))

    def baseline(times: int) -> None:
        for _ in range(times):
            for block, _ in reads:
                client.batchread_wordunits(f"D{block.start}", block.count)

    def measured(clock: Callable[[], float]) -> tuple[float, float]:
        return side_by_side(lambda n: runner.run(ours(n)), baseline, 100, clock=clock)

    what = f"melsec: {count:,} tags, {len(reads)} requests" if count > 1 else "melsec: 1 tag, 1 request"
    rows = [
        Row(f"{what}, elapsed", "pymcprotocol in a loop", *measured(time.perf_counter)),
        Row(f"{what}, CPU", "pymcprotocol in a loop", *measured(time.process_time)),
    ]
    link.close()
    return rows
