"""A whole collector, from the socket into its outbox, beside bare pymodbus that reads the same blocks, or tag by tag.

The devices are libmodbus servers, a process each, so that the collector is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from collectors.contract import Report
from tests.bench.counters import cpu_s
from tests.bench.rows import Goal, Row
from tests.collectors.running import Running, collector, until

DEVICES = 10
REGISTERS = 2000
BLOCK = 125
SECONDS = 9.0


@contextmanager
def libmodbus(count: int) -> Iterator[list[int]]:
    """So many servers; their ports."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            command = [sys.executable, "-m", "tests.simulators.libmodbus_server"]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout is not None
            ports.append(int(process.stdout.readline()))
        yield ports


async def bare(
    ports: list[int], seconds: float, block: int, registers: int, every_s: float
) -> tuple[float, float]:
    """pymodbus, a client for each port, blocks one after the other, again after so many seconds or at once; registers
    a second, and CPU seconds for each.
    """
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port) for port in ports]
    for client in clients:
        assert await client.connect()
    end, cpu, began = perf_counter() + seconds, process_time(), perf_counter()

    async def loop(client: AsyncModbusTcpClient) -> int:
        read, due = 0, began
        while perf_counter() < end:
            for start in range(0, registers, block):
                answer = await client.read_holding_registers(start, count=block, device_id=1)
                read += len(answer.registers)
            due += every_s
            await asyncio.sleep(max(0.0, due - perf_counter()))
        return read

    read = sum(await asyncio.gather(*map(loop, clients)))
    for client in clients:
        client.close()
    return read / (perf_counter() - began), (process_time() - cpu) / read


def in_process(
    ports: list[int], *, block: int = BLOCK, registers: int = REGISTERS, every_s: float = 0.0
) -> tuple[float, float]:
    """The baseline in a process of its own."""
    options = json.dumps([ports, SECONDS, block, registers, every_s])
    command = [sys.executable, "-m", "tests.bench.collecting", options]
    rate, cpu = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return float(rate), float(cpu)


async def ours(ports: list[int], tags: int, interval: str) -> tuple[float, float, int]:
    """A collector of so many registers a device: points stored a second, share of a core, and cycles missed."""
    spec: dict[str, Any] = {
        "type": "modbus",
        "interval": interval,
        "deviceDefaults": {"host": "127.0.0.1"},
        "devices": [{"name": f"d{n}", "port": port} for n, port in enumerate(ports)],
        "tags": [{"name": f"t{n}", "address": f"holding:{n}", "type": "int16"} for n in range(tags)],
    }
    with tempfile.TemporaryDirectory() as state:
        async with collector(Path(state), spec) as running:
            began, cpu = await _next_report(running, 0.0), cpu_s(running.process.pid)
            began, cpu = await _next_report(running, began.at), cpu_s(running.process.pid)
            ended = await _next_report(running, began.at + SECONDS)
            cpu = cpu_s(running.process.pid) - cpu
            await running.stop()
    count = ended.points["plant"].acquired - began.points["plant"].acquired
    late = sum(device.late_cycles for device in ended.devices)
    took = ended.at - began.at
    return count / took, cpu / took, late


async def _next_report(running: Running, after: float) -> Report:
    """The first report of a whole cycle after a time; they come every ten seconds."""

    def looked() -> Report | None:
        report = running.report()
        return report if report and report.cycled and report.at > after else None

    found = await until(looked, "a report", 60.0)
    assert found
    return found


def run() -> list[Row]:
    """As fast as it goes, then at fixed rates, whose share of a core is printed."""
    with libmodbus(DEVICES) as ports:
        rate, share, _ = asyncio.run(ours(ports, REGISTERS, "1ms"))
        bare_rate, bare_cpu = in_process(ports)
        tag_rate, _ = in_process(ports, block=1)
        print(f"modbus: {DEVICES} x {REGISTERS} registers flat out: {rate:,.0f} tags/s stored, {share:.0%} of a core; "
              f"bare pymodbus {bare_rate:,.0f} registers/s")  # fmt: skip
        for devices, tags, interval in ((10, 200, "1s"), (1, 1000, "100ms")):
            stored, used, late = asyncio.run(ours(ports[:devices], tags, interval))
            print(f"modbus: {devices} x {tags} tags each {interval}: {stored:,.0f} tags/s stored, "
                  f"{used:.1%} of a core, {late} cycles missed")  # fmt: skip
        paced_rate, paced_cpu = in_process(ports[:1], registers=1000, every_s=0.1)
    paced = f"modbus: 1,000 tags each 100 ms, {stored:,.0f}/s stored, {late} cycles missed, CPU of a core"
    return [
        Row("modbus: a register flat out into the outbox", "pymodbus, the same blocks, nothing stored",
            1 / rate, 1 / bare_rate, goal=Goal(times=0.85)),
        Row("modbus: the same", "pymodbus, one request a tag", 1 / rate, 1 / tag_rate, goal=Goal(times=50)),
        Row("modbus: the same, CPU", "pymodbus, the same blocks, nothing stored", share / rate, bare_cpu),
        Row(paced, "pymodbus, the same blocks, nothing stored", 100 * used, 100 * paced_cpu * paced_rate, "%",
            Goal(25.0)),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(bare(*json.loads(sys.argv[1])))))
